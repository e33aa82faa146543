//! Single images and masks: PNG, TIFF and JPEG, detected by content, and MATLAB instance maps.

use std::{
    io::{self, Cursor},
    path::Path,
};

use ::image::{
    ColorType, DynamicImage, ExtendedColorType, ImageEncoder, ImageFormat, ImageReader, codecs::png::PngEncoder,
};
use ndarray::{Array2, Array3, ArrayView2, ArrayView3};

use sam_files::write_atomic;

use crate::{DataError, ImageError, Window, matlab, signature};

/// File extensions of images, in lower case.
pub(crate) const IMAGE_ENDINGS: [&str; 5] = ["png", "tif", "tiff", "jpg", "jpeg"];
/// A higher 8-bit level is closer to white than to black.
const HALF_WHITE: u8 = 127;

/// Reads an image: `[rows, columns, channels]`, with one channel for grey and three for colour. An alpha channel is dropped.
///
/// # Units
/// Stored levels: 0 to 255, or 0 to 65535 for 16-bit files.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Image`] if the file is not an image of 8 or 16 bits.
pub fn read_image(path: impl AsRef<Path>) -> Result<Array3<f32>, DataError> {
    let path = path.as_ref();
    let (image, _) = decode(path)?;
    let (columns, rows) = (image.width() as usize, image.height() as usize);
    let (channels, values): (usize, Vec<f32>) = match image.color() {
        ColorType::L8 | ColorType::La8 => (1, image.into_luma8().into_raw().into_iter().map(f32::from).collect()),
        ColorType::L16 | ColorType::La16 => (1, image.into_luma16().into_raw().into_iter().map(f32::from).collect()),
        ColorType::Rgb8 | ColorType::Rgba8 => (3, image.into_rgb8().into_raw().into_iter().map(f32::from).collect()),
        ColorType::Rgb16 | ColorType::Rgba16 => (3, image.into_rgb16().into_raw().into_iter().map(f32::from).collect()),
        other => {
            return Err(refuse(path, ImageError::PixelType { found: format!("{other:?}") }));
        }
    };
    Array3::from_shape_vec((rows, columns, channels), values).map_err(|error| unreadable(path, error))
}

/// Reads an image as the model sees it, in 8-bit levels: `[rows, columns, channels]`, with one channel for grey and three for colour.
///
/// [`Window::Auto`] keeps 8-bit images unchanged. All channels share one window, so that colours do not shift.
///
/// # Errors
/// As [`read_image`]; [`DataError::Window`] if the window cannot be applied.
pub fn read_levels(path: impl AsRef<Path>, window: &Window) -> Result<Array3<u8>, DataError> {
    let image = read_image(path)?;
    Ok(window.resolve(image.view())?.apply(image.view()))
}

/// Reads a mask of label values or instance numbers: `[rows, columns]`. The file is an 8-bit or 16-bit grey image, or a `.mat` file (MATLAB
/// level 5) with an array `inst_map`.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Image`], also if the mask is in colour or a JPEG, whose compression changes values.
pub fn read_mask(path: impl AsRef<Path>) -> Result<Array2<u16>, DataError> {
    let path = path.as_ref();
    if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("mat")) {
        return matlab::read_instances(path);
    }
    let (image, format) = decode(path)?;
    if format == Some(ImageFormat::Jpeg) {
        return Err(refuse(path, ImageError::JpegMask));
    }
    let (columns, rows) = (image.width() as usize, image.height() as usize);
    let values: Vec<u16> = match image {
        DynamicImage::ImageLuma8(image) => image.into_raw().into_iter().map(u16::from).collect(),
        DynamicImage::ImageLuma16(image) => image.into_raw(),
        other => {
            return Err(refuse(path, ImageError::ColourMask { found: format!("{:?}", other.color()) }));
        }
    };
    Array2::from_shape_vec((rows, columns), values).map_err(|error| unreadable(path, error))
}

/// Reads a binary mask that is white on the object: `[rows, columns]`, in any image format.
///
/// Compression and smoothing leave levels between black and white. Levels closer to white are inside the mask. If no level is above 1, the
/// mask consists of zeros and ones.
pub(crate) fn read_silhouette(path: &Path) -> Result<Array2<bool>, DataError> {
    let levels = decode(path)?.0.into_luma8();
    let (columns, rows) = (levels.width() as usize, levels.height() as usize);
    let levels = levels.into_raw();
    let black = if levels.iter().all(|&level| level <= 1) { 0 } else { HALF_WHITE };
    let white = levels.into_iter().map(|level| level > black).collect();
    Array2::from_shape_vec((rows, columns), white).map_err(|error| unreadable(path, error))
}

/// Writes a colour image `[rows, columns, 3]` as PNG.
///
/// # Errors
/// [`DataError::Extension`] unless the name ends in `.png`; [`DataError::Image`] if the number of channels is not three;
/// [`DataError::Write`].
pub fn write_rgb(path: impl AsRef<Path>, pixels: ArrayView3<'_, u8>) -> Result<(), DataError> {
    let path = path.as_ref();
    let (rows, columns, channels) = pixels.dim();
    if channels != 3 {
        return Err(refuse(path, ImageError::Channels { found: channels }));
    }
    let bytes: Vec<u8> = pixels.iter().copied().collect();
    write_png(path, &bytes, (rows, columns), ExtendedColorType::Rgb8)
}

/// Writes a grey image `[rows, columns]` as 8-bit PNG: 0 is black, 255 is white.
///
/// # Errors
/// [`DataError::Extension`] unless the name ends in `.png`; [`DataError::Write`].
pub fn write_grey(path: impl AsRef<Path>, pixels: ArrayView2<'_, u8>) -> Result<(), DataError> {
    let path = path.as_ref();
    let bytes: Vec<u8> = pixels.iter().copied().collect();
    write_png(path, &bytes, pixels.dim(), ExtendedColorType::L8)
}

/// Writes a binary mask `[rows, columns]` as 8-bit PNG: white on black, as viewers show it.
///
/// [`read_mask`] reads it as the label value 255.
///
/// # Errors
/// [`DataError::Extension`] unless the name ends in `.png`; [`DataError::Write`].
pub fn write_binary_mask(path: impl AsRef<Path>, mask: ArrayView2<'_, bool>) -> Result<(), DataError> {
    write_grey(path, mask.mapv(|inside| if inside { u8::MAX } else { 0 }).view())
}

/// Writes a mask of label values or instance numbers, `[rows, columns]`, as 16-bit PNG, which [`read_mask`] reads back.
///
/// In a viewer, 65535 is white, so label values such as 1 or 255 look black. To look at a mask, use [`write_binary_mask`], or
/// [`write_grey`] with levels of your choice.
///
/// # Errors
/// [`DataError::Extension`] unless the name ends in `.png`; [`DataError::Write`].
pub fn write_mask(path: impl AsRef<Path>, labels: ArrayView2<'_, u16>) -> Result<(), DataError> {
    let path = path.as_ref();
    // The encoder expects native byte order and converts it.
    let bytes: Vec<u8> = labels.iter().flat_map(|label| label.to_ne_bytes()).collect();
    write_png(path, &bytes, labels.dim(), ExtendedColorType::L16)
}

fn write_png(
    path: &Path,
    bytes: &[u8],
    (rows, columns): (usize, usize),
    kind: ExtendedColorType,
) -> Result<(), DataError> {
    if !path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png")) {
        return Err(DataError::Extension {
            path: path.to_path_buf(),
            expected: ".png, the only format that images are written in; volumes of labels are written by write_labels",
        });
    }
    let mut encoded = Vec::new();
    PngEncoder::new(&mut encoded)
        .write_image(bytes, columns as u32, rows as u32, kind)
        .map_err(|error| DataError::Write { path: path.to_path_buf(), source: io::Error::other(error) })?;
    Ok(write_atomic(path, |file| file.write_all(&encoded))?)
}

/// Decodes an image and returns its format.
fn decode(path: &Path) -> Result<(DynamicImage, Option<ImageFormat>), DataError> {
    let bytes = std::fs::read(path).map_err(|source| DataError::Read { path: path.to_path_buf(), source })?;
    if let Some(found) = signature::not_an_image(&bytes) {
        return Err(refuse(path, ImageError::OtherFormat { found }));
    }
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let reader = reader.map_err(|source| DataError::Read { path: path.to_path_buf(), source })?;
    let format = reader.format();
    Ok((reader.decode().map_err(|error| unreadable(path, error))?, format))
}

fn unreadable(path: &Path, error: impl std::error::Error + Send + Sync + 'static) -> DataError {
    refuse(path, ImageError::Decode(Box::new(error)))
}

fn refuse(path: &Path, source: ImageError) -> DataError {
    DataError::Image { path: path.to_path_buf(), source }
}

#[cfg(test)]
mod tests {
    use ::image::{ImageBuffer, Luma, LumaA, Rgb};

    use super::*;
    use sam_prompt::error_chain;

    #[test]
    fn grey_colour_and_16_bits_keep_their_levels() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("image.png");
        let level = |x: u32, y: u32| (10 * y + x) as u8;
        let expect = |channels: usize, factor: f32| {
            let image = read_image(&path).expect("just written");
            assert_eq!(image.dim(), (3, 4, channels));
            for ((row, column, channel), &value) in image.indexed_iter() {
                let expected = f32::from(level(column as u32, row as u32)) * factor + channel as f32;
                assert!((value - expected).abs() < 1e-6, "{value} {expected}");
            }
        };
        ImageBuffer::from_fn(4, 3, |x, y| Luma([level(x, y)])).save(&path).expect("writable");
        expect(1, 1.0);
        assert_eq!(read_mask(&path).expect("grey")[(2, 3)], 23);
        ImageBuffer::from_fn(4, 3, |x, y| LumaA([level(x, y), 9])).save(&path).expect("writable");
        expect(1, 1.0);
        ImageBuffer::from_fn(4, 3, |x, y| Luma([u16::from(level(x, y)) * 300])).save(&path).expect("writable");
        expect(1, 300.0);
        assert_eq!(read_mask(&path).expect("grey")[(2, 3)], 6900);
        ImageBuffer::from_fn(4, 3, |x, y| Rgb([level(x, y), level(x, y) + 1, level(x, y) + 2]))
            .save(&path)
            .expect("writable");
        expect(3, 1.0);
        let refused = error_chain(&read_mask(&path).expect_err("a mask in colour"));
        assert!(refused.contains("grey"), "{refused}");
    }

    #[test]
    fn tiff_and_jpeg_are_read_and_a_jpeg_is_no_label_map() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let tiff = folder.path().join("deep.tif");
        ImageBuffer::from_fn(4, 3, |x, y| Rgb([(300 * x) as u16, (7000 * y) as u16, 9])).save(&tiff).expect("writable");
        let image = read_image(&tiff).expect("just written");
        assert_eq!((image.dim(), image[(2, 3, 0)], image[(2, 3, 1)]), ((3, 4, 3), 900.0, 14000.0));
        ImageBuffer::from_fn(4, 3, |x, _| Luma([x as u16 * 1000])).save(&tiff).expect("writable");
        assert_eq!(read_mask(&tiff).expect("grey")[(1, 3)], 3000);

        let jpeg = folder.path().join("mask.jpg");
        let half = |x: u32| if x < 16 { 0_u8 } else { 255 };
        ImageBuffer::from_fn(32, 32, |x, _| Rgb([half(x); 3])).save(&jpeg).expect("writable");
        assert_eq!(read_image(&jpeg).expect("just written").dim(), (32, 32, 3));
        assert!(error_chain(&read_mask(&jpeg).expect_err("lossy")).contains("PNG or TIFF"));
        let white = read_silhouette(&jpeg).expect("just written");
        assert!(white.indexed_iter().all(|((_, column), &white)| white == (column >= 16)), "in colour, and compressed");
        ImageBuffer::from_fn(32, 32, |x, _| Luma([u8::from(x >= 16)])).save(&tiff).expect("writable");
        assert_eq!(read_silhouette(&tiff).expect("zeros and ones"), white);

        let floats = ImageBuffer::from_fn(4, 3, |_, _| Rgb([0.5_f32; 3]));
        floats.save(&tiff).expect("writable");
        assert!(error_chain(&read_image(&tiff).expect_err("floating point")).contains("8 or 16 bits"));
    }

    #[test]
    fn masks_are_written_with_all_their_bits() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("mask.png");
        let labels = Array2::from_shape_fn((3, 4), |(row, column)| (row * 20000 + column) as u16);
        write_mask(&path, labels.view()).expect("writable");
        assert_eq!(read_mask(&path).expect("just written"), labels);
        write_binary_mask(&path, labels.mapv(|label| label > 20000).view()).expect("writable");
        assert_eq!(read_mask(&path).expect("just written"), labels.mapv(|label| if label > 20000 { 255 } else { 0 }));
        for name in ["mask.nii", "mask.jpg", "mask"] {
            let path = folder.path().join(name);
            assert!(matches!(write_mask(&path, labels.view()), Err(DataError::Extension { .. })), "{name}");
            assert!(!path.exists());
        }
    }

    #[test]
    fn colour_pictures_are_written_and_text_is_no_image() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("picture.png");
        let pixels = Array3::from_shape_fn((5, 6, 3), |(row, column, channel)| (row * 40 + column * 5 + channel) as u8);
        write_rgb(&path, pixels.view()).expect("writable");
        assert_eq!(read_image(&path).expect("just written"), pixels.mapv(f32::from));
        let (two_channels, _) = pixels.view().split_at(ndarray::Axis(2), 2);
        assert!(matches!(write_rgb(&path, two_channels), Err(DataError::Image { .. })));
        std::fs::write(&path, "no image").expect("writable");
        assert!(read_image(&path).expect_err("text").to_string().contains("picture.png"));
        assert!(matches!(read_image(folder.path().join("missing.png")), Err(DataError::Read { .. })));
    }
}
