//! Opens a single file or a header pair and decodes its voxels.

use std::{
    ffi::OsStr,
    fs::File,
    path::{Path, PathBuf},
};

use super::{affine, decode, form::Forms, header::Layout, note::NiftiNote, stream};
use crate::{DataError, Grid, ScanNote, SourceHeader};
use stream::Stream;

/// What a file says about its voxels, after its header has been checked.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) path: PathBuf,
    pub(super) layout: Layout,
    pub(super) header: SourceHeader,
    pub(super) forms: Forms,
    pub(super) grid: Grid,
    /// What the person must know about how the file was read.
    pub(super) notes: Vec<ScanNote>,
}

/// A file whose header has been checked.
pub(super) struct Source {
    pub(super) head: Head,
    /// Positioned at the first voxel of the wanted volume.
    voxels: Stream,
    volumes_behind: usize,
}

impl Source {
    /// Opens a single file or either file of a pair. `volume` chooses a volume by its index.
    pub(super) fn open(path: &Path, volume: Option<usize>) -> Result<Self, DataError> {
        let (mut stream, mut voxels) = (Stream::open(path)?, None);
        let mut header = match stream.header() {
            // The file may hold the voxels of a pair. Then the other file has the header.
            Err(error @ (DataError::Format { .. } | DataError::Truncated { .. } | DataError::Damaged { .. })) => {
                let Some(other) = other_half(path, "img", "hdr") else { return Err(error) };
                (stream, voxels) = (Stream::open(&other)?, Some(path.to_path_buf()));
                stream.header()?
            }
            outcome => outcome?,
        };
        let layout = Layout::parse(&header).map_err(|issue| stream.refuse(issue))?;
        let wanted = match volume {
            Some(index) if index < layout.volumes => index,
            Some(asked) => return Err(DataError::NoSuchVolume { path: stream.path, asked, found: layout.volumes }),
            None if layout.volumes == 1 => 0,
            None => return Err(DataError::SeveralVolumes { path: stream.path, found: layout.volumes }),
        };
        let forms = affine::of_header(&header).and_then(|forms| {
            let grid = Grid::try_new(layout.shape, forms.affine)?;
            Ok((forms, grid))
        });
        let (forms, grid) = forms.map_err(|source| DataError::Affine { path: path.to_path_buf(), source })?;
        if layout.pair {
            header.extensions = stream.extensions_of_pair()?;
            let voxels = voxels.or_else(|| other_half(&stream.path, "hdr", "img"));
            stream = Stream::open(&voxels.ok_or(DataError::Half { path: stream.path })?)?;
            stream.must_hold(layout.offset, layout.volumes * layout.length)?;
            stream.skip(layout.offset, "what is before the voxels")?;
        } else {
            stream.must_hold(layout.offset, layout.volumes * layout.length)?;
            header.extensions = stream.part(layout.offset - header.bytes.len(), "extensions")?;
        }
        stream.skip(wanted * layout.length, "other volumes")?;
        let volumes_behind = layout.volumes - 1 - wanted;
        let mut head = Head { path: path.to_path_buf(), layout, header, forms, grid, notes: Vec::new() };
        if let Some(sform) = head.forms.unusable.clone() {
            head.note(NiftiNote::UnusableSform { sform });
        }
        Ok(Self { head, voxels: stream, volumes_behind })
    }

    /// Opens a label map.
    pub(super) fn open_labels(path: &Path) -> Result<Self, DataError> {
        Self::open(path, None).map_err(|error| match error {
            DataError::SeveralVolumes { path, found } => {
                let found = format!("{found} volumes; save the one with the outlines as a file of its own");
                DataError::Format { path, expected: "a label map of one volume", found }
            }
            error => error,
        })
    }

    /// Decodes all voxels of the wanted volume, first index fastest.
    pub(super) fn decode<T>(mut self, mut convert: impl FnMut(f64) -> T) -> Result<(Vec<T>, Head), DataError> {
        let Layout { kind, little_endian, length, .. } = self.head.layout;
        let size = decode::size_of(kind).unwrap_or(1);
        let total = length / size;
        let mut values = self.voxels.room(total).ok_or_else(|| self.too_large())?;
        self.voxels.chunks(length, "voxels", |bytes| {
            stream::reserve(&mut values, bytes.len() / size, total);
            decode::append(&mut values, bytes, kind, little_endian, &mut convert);
        })?;
        Ok((values, self.finish()?))
    }

    /// The undecoded voxels of the wanted volume: their position on disk, or their bytes if the file is compressed.
    pub(super) fn raw(mut self) -> Result<(Raw, Head), DataError> {
        if let Some((file, start)) = self.voxels.place()? {
            return Ok((Raw::File { file, start }, self.head));
        }
        let length = self.head.layout.length;
        let mut bytes = self.voxels.room(length).ok_or_else(|| self.too_large())?;
        self.voxels.append(&mut bytes, length, "voxels")?;
        Ok((Raw::Memory(bytes), self.finish()?))
    }

    fn too_large(&self) -> DataError {
        DataError::Memory { path: self.head.path.clone(), shape: self.head.layout.shape }
    }

    /// Checks that the file is complete.
    fn finish(mut self) -> Result<Head, DataError> {
        self.voxels.skip(self.volumes_behind * self.head.layout.length, "other volumes")?;
        if let Some(bytes) = self.voxels.finish()? {
            self.head.note(NiftiNote::AfterGzip { bytes });
        }
        Ok(self.head)
    }
}

impl Head {
    /// Adds a note on this file.
    pub(super) fn note(&mut self, note: NiftiNote) {
        self.notes.push(ScanNote::Nifti { path: self.path.clone(), note });
    }
}

/// Undecoded voxels.
#[derive(Debug)]
pub(super) enum Raw {
    /// A file on disk and the offset of the first voxel.
    File {
        file: File,
        start: u64,
    },
    Memory(Vec<u8>),
}

/// The other file of a pair: the path with the extension `to` instead of `from`, compressed or not.
pub(super) fn other_half(path: &Path, from: &str, to: &str) -> Option<PathBuf> {
    let is = |path: &Path, ending: &str| path.extension().is_some_and(|found| found.eq_ignore_ascii_case(ending));
    let plain = if is(path, "gz") { path.with_extension("") } else { path.to_path_buf() };
    if !is(&plain, from) {
        return None;
    }
    let upper = plain.extension().and_then(OsStr::to_str).is_some_and(|ending| ending == from.to_uppercase());
    let endings = if upper {
        [to.to_uppercase(), format!("{}.GZ", to.to_uppercase())]
    } else {
        [to.to_owned(), format!("{to}.gz")]
    };
    endings.iter().map(|ending| plain.with_extension(ending)).find(|path| path.is_file())
}
