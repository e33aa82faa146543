//! Content-addressed files: written once, named by the SHA-256 of their content, and never changed.

use std::{
    fs::{self, File},
    io::{self, Cursor},
    path::{Path, PathBuf},
};

use image::{ColorType, ImageDecoder, ImageError, codecs::png::PngDecoder};
use sam_files::{ReadError, Sha256Id, UNFINISHED, read_bounded, sync_folder};
use sam_prompt::ndarray::{Array2, ArrayView2};
use thiserror::Error;

use super::error::BoxError;

const MIB: u64 = 1 << 20;

/// Kinds of objects, each with its own file extension and size limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ObjectKind {
    /// Labels of one slice: PNG with 16-bit grey values.
    Slice,
    /// A prompt card.
    Card,
    /// A label map of the scan.
    Mask,
    /// Slices and their trust.
    Ranking,
}

impl ObjectKind {
    const fn ending(self) -> &'static str {
        match self {
            Self::Slice => "png",
            Self::Card => "safetensors",
            Self::Mask => "nii.gz",
            Self::Ranking => "json",
        }
    }

    /// Maximum file size. Larger files are refused before they are read.
    const fn max_bytes(self) -> u64 {
        match self {
            Self::Slice => 64 * MIB,
            Self::Card => 256 * MIB,
            Self::Mask => 1024 * MIB,
            Self::Ranking => 16 * MIB,
        }
    }
}

/// An object that cannot be read or written.
#[derive(Debug, Error)]
pub(super) enum ObjectError {
    #[error("{} is missing; restore it from a copy of the session", .0.display())]
    Missing(PathBuf),
    #[error("{} is not a file; restore it from a copy of the session", .0.display())]
    NotAFile(PathBuf),
    #[error("{} was altered: its content no longer has the SHA-256 that is its name; restore it from a copy of the session", .0.display())]
    Altered(PathBuf),
    #[error("cannot read {}", .0.display())]
    Read(PathBuf, #[source] BoxError),
    #[error("cannot write to {}", .0.display())]
    Write(PathBuf, #[source] BoxError),
}

/// Why a PNG file does not hold a slice's labels.
#[derive(Debug, Error)]
enum PictureError {
    #[error("expected {} x {} pixels, as the scan's slices have, found {} x {}", expected.0, expected.1, found.0, found.1)]
    Size { expected: (usize, usize), found: (usize, usize) },
    #[error("expected 16-bit grey values, found {0:?}")]
    Colour(ColorType),
    #[error("it is not a valid PNG file")]
    Png(#[from] ImageError),
}

/// A folder of objects.
#[derive(Debug)]
pub(super) struct Objects {
    folder: PathBuf,
}

impl Objects {
    /// Opens a folder, or creates it, and deletes unfinished files of a crash.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if sam_files::is_unfinished(entry.path()) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(Self { folder: folder.to_path_buf() })
    }

    /// Stores the file that `write` writes to a temporary path. The file gets its final name when it is complete and on the disk.
    pub(super) fn put<E: Into<BoxError>>(
        &self,
        kind: ObjectKind,
        write: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<Sha256Id, ObjectError> {
        let failed = |source: BoxError| ObjectError::Write(self.folder.clone(), source);
        let unfinished = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(&self.folder);
        let unfinished = unfinished.map_err(|error| failed(error.into()))?;
        let written = unfinished.path().join(format!("object.{}", kind.ending()));
        write(&written).map_err(|error| failed(error.into()))?;
        let keep = || -> io::Result<Sha256Id> {
            File::open(&written)?.sync_all()?;
            let id = Sha256Id::of_file(&written).map_err(|error| error.source)?;
            // The same content has the same name, so a replaced file had the same content or was damaged.
            fs::rename(&written, self.path(kind, id))?;
            sync_folder(&self.folder)?;
            Ok(id)
        };
        keep().map_err(|error| failed(error.into()))
    }

    /// The path of an object. Its content is checked against its name.
    pub(super) fn find(&self, kind: ObjectKind, id: Sha256Id) -> Result<PathBuf, ObjectError> {
        let path = self.path(kind, id);
        let length = match fs::symlink_metadata(&path) {
            Ok(found) if found.is_file() => found.len(),
            Ok(_) => return Err(ObjectError::NotAFile(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(ObjectError::Missing(path)),
            Err(error) => return Err(ObjectError::Read(path, error.into())),
        };
        if length > kind.max_bytes() {
            return Err(ObjectError::Altered(path));
        }
        match Sha256Id::of_file(&path) {
            Ok(found) if found == id => Ok(path),
            Ok(_) => Err(ObjectError::Altered(path)),
            Err(ReadError { source, .. }) => Err(ObjectError::Read(path, source.into())),
        }
    }

    /// Stores the labels of a slice.
    pub(super) fn put_slice(&self, labels: ArrayView2<'_, u16>) -> Result<Sha256Id, ObjectError> {
        self.put(ObjectKind::Slice, |path| sam_data::write_mask(path, labels))
    }

    /// Reads the labels of a slice with this number of rows and columns.
    pub(super) fn slice(&self, id: Sha256Id, size: (usize, usize)) -> Result<Array2<u16>, ObjectError> {
        let bytes = self.read(ObjectKind::Slice, id)?;
        decode(&bytes, size).map_err(|error| ObjectError::Read(self.path(ObjectKind::Slice, id), error.into()))
    }

    /// The content of an object, checked against its name.
    pub(super) fn read(&self, kind: ObjectKind, id: Sha256Id) -> Result<Vec<u8>, ObjectError> {
        let path = self.find(kind, id)?;
        match read_bounded(&path, kind.max_bytes()) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(ObjectError::Altered(path)),
            Err(error) => Err(ObjectError::Read(path, error.into())),
        }
    }

    pub(super) fn path(&self, kind: ObjectKind, id: Sha256Id) -> PathBuf {
        self.folder.join(format!("{id}.{}", kind.ending()))
    }
}

/// Decodes a PNG with 16-bit grey values. The size is checked before memory is allocated.
fn decode(bytes: &[u8], (rows, columns): (usize, usize)) -> Result<Array2<u16>, PictureError> {
    let decoder = PngDecoder::new(Cursor::new(bytes))?;
    let (width, height) = decoder.dimensions();
    let found = (height as usize, width as usize);
    if found != (rows, columns) {
        return Err(PictureError::Size { expected: (rows, columns), found });
    }
    let colour = decoder.color_type();
    if colour != ColorType::L16 {
        return Err(PictureError::Colour(colour));
    }
    let mut pixels = vec![0; 2 * rows * columns];
    decoder.read_image(&mut pixels)?;
    // The decoder returns values in this machine's byte order.
    Ok(Array2::from_shape_fn((rows, columns), |(row, column)| {
        let place = 2 * (row * columns + column);
        u16::from_ne_bytes([pixels[place], pixels[place + 1]])
    }))
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use sam_prompt::error_chain;
    use sam_prompt::ndarray::{Array3, array};

    use super::*;

    type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

    #[test]
    fn objects_are_read_back_and_altered_ones_are_refused() -> Result {
        let folder = tempfile::tempdir()?;
        let objects = Objects::open(folder.path())?;
        let labels = array![[0, 1, 65535], [2, 0, 300]];
        let id = objects.put_slice(labels.view())?;
        assert_eq!(objects.put_slice(labels.view())?, id, "the same content is the same file");
        assert_eq!(objects.slice(id, (2, 3))?, labels);
        assert_eq!(fs::read_dir(folder.path())?.count(), 1);
        let refused = |size| error_chain(&objects.slice(id, size).expect_err("it is refused"));
        assert!(refused((3, 2)).contains("expected 3 x 2 pixels"), "{}", refused((3, 2)));

        let path = objects.path(ObjectKind::Slice, id);
        let mut bytes = fs::read(&path)?;
        bytes[40] ^= 1;
        fs::write(&path, &bytes)?;
        assert!(refused((2, 3)).contains("was altered"), "{}", refused((2, 3)));
        objects.put_slice(labels.view())?;
        assert_eq!(objects.slice(id, (2, 3))?, labels, "writing it again repairs it");
        fs::remove_file(&path)?;
        assert!(refused((2, 3)).contains("is missing"), "{}", refused((2, 3)));
        Ok(())
    }

    #[test]
    fn other_pictures_are_refused() -> Result {
        let folder = tempfile::tempdir()?;
        let objects = Objects::open(folder.path())?;
        let colour = Array3::<u8>::zeros((2, 3, 3));
        let id = objects.put(ObjectKind::Slice, |path| sam_data::write_rgb(path, colour.view()))?;
        assert!(error_chain(&objects.slice(id, (2, 3)).expect_err("in colour")).contains("16-bit grey"));
        let id = objects.put(ObjectKind::Slice, |path| fs::write(path, b"no picture"))?;
        assert!(objects.slice(id, (2, 3)).is_err());
        Ok(())
    }

    #[test]
    fn a_failed_write_leaves_nothing_and_crashes_are_cleaned_up() -> Result {
        let folder = tempfile::tempdir()?;
        let objects = Objects::open(folder.path())?;
        objects.put(ObjectKind::Ranking, |_| Err("no ranking")).expect_err("nothing was written");
        assert_eq!(fs::read_dir(folder.path())?.count(), 0);
        let unfinished = folder.path().join(format!("{UNFINISHED}1"));
        fs::create_dir(&unfinished)?;
        fs::write(unfinished.join("object.png"), b"half a pic")?;
        Objects::open(folder.path())?;
        assert_eq!(fs::read_dir(folder.path())?.count(), 0);
        Ok(())
    }
}
