//! Content-addressed files: written once, named by what they hold, and never changed.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Cursor},
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context, Result, anyhow, ensure};
use image::{ColorType, ImageDecoder, codecs::png::PngDecoder};
use sam_core::{hexadecimal, sha256_of_file};
use sam_prompt::ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What the names of unfinished files begin with.
const UNFINISHED: &str = ".unfinished-";
const MIB: u64 = 1 << 20;

/// The name of an object: the SHA-256 of its bytes, 64 hexadecimal digits where it is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectId([u8; 32]);

impl ObjectId {
    /// The name of what holds these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The name of what a file holds.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn of_file(path: &Path) -> Result<Self> {
        sha256_of_file(path)?.parse()
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hexadecimal(&self.0))
    }
}

impl From<ObjectId> for String {
    fn from(id: ObjectId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for ObjectId {
    type Error = anyhow::Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl FromStr for ObjectId {
    type Err = anyhow::Error;

    /// Takes nothing but 64 digits, in lower case: a name read from a file leads nowhere else.
    fn from_str(text: &str) -> Result<Self> {
        let is_digit = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
        ensure!(text.len() == 64 && text.bytes().all(is_digit), "expected a SHA-256 of 64 digits, found {text:?}");
        let mut bytes = [0; 32];
        for (byte, place) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[place..place + 2], 16)?;
        }
        Ok(Self(bytes))
    }
}

/// Kinds of objects, each with its own ending and size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Labels of one slice: PNG of 16-bit grey.
    Slice,
    /// A prompt card.
    Card,
    /// A label map of the scan.
    Mask,
    /// Slices and their scores.
    Ranking,
}

impl Kind {
    const fn ending(self) -> &'static str {
        match self {
            Self::Slice => "png",
            Self::Card => "safetensors",
            Self::Mask => "nii.gz",
            Self::Ranking => "json",
        }
    }

    /// Larger ones are refused before they are read.
    const fn max_bytes(self) -> u64 {
        match self {
            Self::Slice => 64 * MIB,
            Self::Card => 256 * MIB,
            Self::Mask => 1024 * MIB,
            Self::Ranking => 16 * MIB,
        }
    }
}

/// A folder of objects.
#[derive(Debug, Clone)]
pub struct Objects {
    folder: PathBuf,
}

impl Objects {
    /// Opens a folder, or makes it. What a crash left unfinished there is cleared away.
    ///
    /// # Errors
    /// If it cannot be made or read.
    pub fn open(folder: &Path) -> Result<Self> {
        let open = || -> io::Result<()> {
            fs::create_dir_all(folder)?;
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                    fs::remove_dir_all(entry.path())?;
                }
            }
            Ok(())
        };
        open().with_context(|| format!("cannot open the folder {}", folder.display()))?;
        Ok(Self { folder: folder.to_path_buf() })
    }

    /// Keeps what `write` writes to the path it is handed: on the disk, and under its final name only when it is whole.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn put(&self, kind: Kind, write: impl FnOnce(&Path) -> Result<()>) -> Result<ObjectId> {
        let unfinished = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(&self.folder);
        let unfinished = unfinished.with_context(|| format!("cannot write to {}", self.folder.display()))?;
        let written = unfinished.path().join(format!("object.{}", kind.ending()));
        write(&written)?;
        let keep = || -> Result<ObjectId> {
            File::open(&written)?.sync_all()?;
            let id = ObjectId::of_file(&written)?;
            // The same content has the same name: what is replaced is the same, or was damaged.
            fs::rename(&written, self.path(kind, id))?;
            sync_folder(&self.folder)?;
            Ok(id)
        };
        keep().with_context(|| format!("cannot write to {}", self.folder.display()))
    }

    /// Where an object is; it was looked at, and holds what its name says.
    ///
    /// # Errors
    /// If it is missing, too large or altered.
    pub fn find(&self, kind: Kind, id: ObjectId) -> Result<PathBuf> {
        let path = self.path(kind, id);
        let shown = path.display();
        let length = match fs::symlink_metadata(&path) {
            Ok(found) if found.is_file() => found.len(),
            Ok(_) => return Err(anyhow!("{shown} is no file: put it back from a copy of the session")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(anyhow!("{shown} is missing: put it back from a copy of the session"));
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {shown}")),
        };
        let is_whole = length <= kind.max_bytes()
            && ObjectId::of_file(&path).with_context(|| format!("cannot read {shown}"))? == id;
        ensure!(
            is_whole,
            "{shown} was altered, it no longer holds what its name says: put it back from a copy of the session"
        );
        Ok(path)
    }

    /// Keeps the labels of a slice.
    ///
    /// # Errors
    /// As [`Objects::put`].
    pub fn put_slice(&self, labels: ArrayView2<'_, u16>) -> Result<ObjectId> {
        self.put(Kind::Slice, |path| Ok(sam_data::write_mask(path, labels)?))
    }

    /// The labels of a slice of so many rows and columns.
    ///
    /// # Errors
    /// As [`Objects::find`]; if it is no slice of this size.
    pub fn slice(&self, id: ObjectId, size: (usize, usize)) -> Result<Array2<u16>> {
        let path = self.find(Kind::Slice, id)?;
        let read = || {
            let bytes = fs::read(&path)?;
            decode(&bytes, size)
        };
        read().with_context(|| format!("cannot read the slice {}", path.display()))
    }

    fn path(&self, kind: Kind, id: ObjectId) -> PathBuf {
        self.folder.join(format!("{id}.{}", kind.ending()))
    }
}

/// The pixels of a PNG of 16-bit grey. Its size is asked before any room is made for it.
fn decode(bytes: &[u8], (rows, columns): (usize, usize)) -> Result<Array2<u16>> {
    let decoder = PngDecoder::new(Cursor::new(bytes))?;
    let (width, height) = decoder.dimensions();
    ensure!(
        (height as usize, width as usize) == (rows, columns),
        "expected {rows} x {columns} pixels, as the scan's slices have, found {height} x {width}"
    );
    let colour = decoder.color_type();
    ensure!(colour == ColorType::L16, "expected grey of 16 bits, found {colour:?}");
    let mut pixels = vec![0; 2 * rows * columns];
    decoder.read_image(&mut pixels)?;
    // The decoder gives numbers as this machine keeps them.
    let labels = pixels.chunks_exact(2).map(|bytes| u16::from_ne_bytes([bytes[0], bytes[1]])).collect();
    Ok(Array2::from_shape_vec((rows, columns), labels)?)
}

/// Makes the names in a folder outlive a power failure.
///
/// # Errors
/// What the system says.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    // Elsewhere folders cannot be opened, and need not be.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use sam_prompt::ndarray::array;

    use super::*;

    #[test]
    fn what_is_kept_is_read_back_and_what_was_altered_is_refused() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let objects = Objects::open(folder.path())?;
        let labels = array![[0, 1, 65535], [2, 0, 300]];
        let id = objects.put_slice(labels.view())?;
        assert_eq!(objects.put_slice(labels.view())?, id, "the same content is the same file");
        assert_eq!(objects.slice(id, (2, 3))?, labels);
        assert_eq!(fs::read_dir(folder.path())?.count(), 1);
        let refused = |size| format!("{:#}", objects.slice(id, size).expect_err("it is refused"));
        assert!(refused((3, 2)).contains("expected 3 x 2 pixels"), "{}", refused((3, 2)));

        let path = objects.path(Kind::Slice, id);
        let mut bytes = fs::read(&path)?;
        bytes[40] ^= 1;
        fs::write(&path, &bytes)?;
        assert!(refused((2, 3)).contains("was altered"), "{}", refused((2, 3)));
        objects.put_slice(labels.view())?;
        assert_eq!(objects.slice(id, (2, 3))?, labels, "writing it again heals it");
        fs::remove_file(&path)?;
        assert!(refused((2, 3)).contains("is missing"), "{}", refused((2, 3)));
        Ok(())
    }

    #[test]
    fn other_pictures_are_no_slices() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let objects = Objects::open(folder.path())?;
        let colour = Array2::<u16>::zeros((2, 3)).mapv(|_| 0_u8).insert_axis(sam_prompt::ndarray::Axis(2));
        let colour = colour.broadcast((2, 3, 3)).context("a colour picture")?.to_owned();
        let id = objects.put(Kind::Slice, |path| Ok(sam_data::write_rgb(path, colour.view())?))?;
        assert!(format!("{:#}", objects.slice(id, (2, 3)).expect_err("in colour")).contains("grey of 16 bits"));
        let id = objects.put(Kind::Slice, |path| Ok(fs::write(path, b"no picture")?))?;
        assert!(objects.slice(id, (2, 3)).is_err());
        Ok(())
    }

    #[test]
    fn what_fails_leaves_nothing_and_what_a_crash_left_is_cleared() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let objects = Objects::open(folder.path())?;
        objects.put(Kind::Ranking, |_| Err(anyhow!("no ranking"))).expect_err("nothing was written");
        assert_eq!(fs::read_dir(folder.path())?.count(), 0);
        fs::create_dir(folder.path().join(".unfinished-1"))?;
        fs::write(folder.path().join(".unfinished-1").join("object.png"), b"half a pic")?;
        Objects::open(folder.path())?;
        assert_eq!(fs::read_dir(folder.path())?.count(), 0);
        Ok(())
    }

    #[test]
    fn a_name_is_64_digits_and_nothing_else() {
        let id = ObjectId::of(b"scan");
        assert_eq!(id.to_string().parse::<ObjectId>().expect("its own name"), id);
        let digits = id.to_string();
        for name in ["", "../../etc/passwd", &digits[1..], &digits.to_uppercase(), &digits.replace(&digits[..2], "+a")]
        {
            assert!(name.parse::<ObjectId>().is_err(), "{name}");
        }
    }
}
