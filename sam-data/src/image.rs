//! PNG images and masks.

use std::{
    io::{self, Cursor},
    path::Path,
};

use ::image::{DynamicImage, ExtendedColorType, ImageEncoder, ImageReader, codecs::png::PngEncoder};
use ndarray::{Array2, Array3, ArrayView3};

use crate::{DataError, write_atomically};

/// Reads an image: `[rows, columns, channels]`, one channel for grey and three for colour, transparency dropped.
///
/// # Units
/// Stored levels: 0 to 255, or 0 to 65535 for 16-bit files.
///
/// # Errors
/// [`DataError::Read`] or [`DataError::Image`].
pub fn read_image(path: &Path) -> Result<Array3<f32>, DataError> {
    let image = decode(path)?;
    let (columns, rows) = (image.width() as usize, image.height() as usize);
    let wide = matches!(image.color().bytes_per_pixel() / image.color().channel_count(), 2..);
    let (channels, values): (usize, Vec<f32>) = match (image.color().has_color(), wide) {
        (false, false) => (1, image.into_luma8().into_raw().into_iter().map(f32::from).collect()),
        (false, true) => (1, image.into_luma16().into_raw().into_iter().map(f32::from).collect()),
        (true, false) => (3, image.into_rgb8().into_raw().into_iter().map(f32::from).collect()),
        (true, true) => (3, image.into_rgb16().into_raw().into_iter().map(f32::from).collect()),
    };
    Array3::from_shape_vec((rows, columns, channels), values).map_err(|error| unreadable(path, &error))
}

/// Reads a mask whose pixels are label values: `[rows, columns]`, 8 or 16 bits of grey.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Image`], also where the mask is in colour.
pub fn read_mask(path: &Path) -> Result<Array2<u16>, DataError> {
    let image = decode(path)?;
    let (columns, rows) = (image.width() as usize, image.height() as usize);
    let values: Vec<u16> = match image {
        DynamicImage::ImageLuma8(image) => image.into_raw().into_iter().map(u16::from).collect(),
        DynamicImage::ImageLuma16(image) => image.into_raw(),
        other => {
            let reason = format!("a mask must be grey, with label values as pixels; found {:?}", other.color());
            return Err(DataError::Image { path: path.to_path_buf(), reason });
        }
    };
    Array2::from_shape_vec((rows, columns), values).map_err(|error| unreadable(path, &error))
}

/// Writes a colour picture `[rows, columns, 3]` as PNG.
///
/// # Errors
/// [`DataError::Image`] if there are not three channels; [`DataError::Write`].
pub fn write_rgb(path: &Path, pixels: ArrayView3<'_, u8>) -> Result<(), DataError> {
    let (rows, columns, channels) = pixels.dim();
    if channels != 3 {
        let reason = format!("expected three channels, found {channels}");
        return Err(DataError::Image { path: path.to_path_buf(), reason });
    }
    let bytes: Vec<u8> = pixels.iter().copied().collect();
    let mut encoded = Vec::new();
    PngEncoder::new(&mut encoded)
        .write_image(&bytes, columns as u32, rows as u32, ExtendedColorType::Rgb8)
        .map_err(|error| DataError::Write { path: path.to_path_buf(), source: io::Error::other(error) })?;
    write_atomically(path, |file| file.write_all(&encoded))
}

fn decode(path: &Path) -> Result<DynamicImage, DataError> {
    let bytes = std::fs::read(path).map_err(|source| DataError::Read { path: path.to_path_buf(), source })?;
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let reader = reader.map_err(|source| DataError::Read { path: path.to_path_buf(), source })?;
    reader.decode().map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &dyn std::error::Error) -> DataError {
    DataError::Image { path: path.to_path_buf(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use ::image::{ImageBuffer, Luma, LumaA, Rgb};

    use super::*;

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
        let refused = read_mask(&path).expect_err("a mask in colour").to_string();
        assert!(refused.contains("grey"), "{refused}");
    }

    #[test]
    fn colour_pictures_are_written_and_text_is_no_image() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("picture.png");
        let pixels = Array3::from_shape_fn((5, 6, 3), |(row, column, channel)| (row * 40 + column * 5 + channel) as u8);
        write_rgb(&path, pixels.view()).expect("writable");
        assert_eq!(read_image(&path).expect("just written"), pixels.mapv(f32::from));
        assert!(matches!(write_rgb(&path, pixels.slice(ndarray::s![.., .., ..2])), Err(DataError::Image { .. })));
        std::fs::write(&path, "no image").expect("writable");
        assert!(read_image(&path).expect_err("text").to_string().contains("picture.png"));
        assert!(matches!(read_image(&folder.path().join("missing.png")), Err(DataError::Read { .. })));
    }
}
