//! The bytes of a file, uncompressed.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek},
    path::{Path, PathBuf},
};

use super::{
    gzip::{MAGIC, MAX_RATIO, Members},
    header::{self, MOST_EXTENSIONS, NIFTI},
    issue::HeaderIssue,
};
use crate::{DataError, SourceHeader, signature};

/// Bytes that are read at once. They stay in the CPU cache until they are decoded.
pub(super) const CHUNK: usize = 256 << 10;

/// The bytes of a file, decompressed if it is gzip.
pub(super) struct Stream {
    pub(super) path: PathBuf,
    bytes: Bytes,
}

enum Bytes {
    /// A regular file, whose length is known.
    File { file: BufReader<File>, length: u64 },
    /// A gzip file. The length is that of the file, which is not known for a pipe.
    Packed { members: Box<Members>, length: Option<u64> },
    /// A pipe.
    Flow(BufReader<File>),
}

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File { file, .. } | Self::Flow(file) => file.read(buffer),
            Self::Packed { members, .. } => members.read(buffer),
        }
    }
}

impl Stream {
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let open = || {
            let mut file = BufReader::with_capacity(CHUNK, File::open(path)?);
            let is_gzip = file.fill_buf()?.starts_with(&MAGIC);
            let meta = file.get_ref().metadata()?;
            let length = meta.is_file().then_some(meta.len());
            Ok::<_, io::Error>(match length {
                _ if is_gzip => Bytes::Packed { members: Box::new(Members::new(file)), length },
                Some(length) => Bytes::File { file, length },
                None => Bytes::Flow(file),
            })
        };
        let bytes = open().map_err(|source| DataError::Read { path: path.to_path_buf(), source })?;
        Ok(Self { path: path.to_path_buf(), bytes })
    }

    /// Reads a header of either version, without extensions.
    pub(super) fn header(&mut self) -> Result<SourceHeader, DataError> {
        let mut bytes = self.part(4, "header")?;
        let first = [bytes[0], bytes[1], bytes[2], bytes[3]];
        let Some((length, little_endian)) = header::length_and_order(first) else {
            return Err(self.foreign(bytes));
        };
        bytes.extend(self.part(length - 4, "header")?);
        Ok(SourceHeader { bytes, extensions: Vec::new(), little_endian })
    }

    /// The error for a file that is not NIfTI; names its format if it is known.
    fn foreign(&mut self, mut start: Vec<u8>) -> DataError {
        let first = format!("a file that begins with the bytes {start:?}");
        // What cannot be read is not needed to say that the file is not NIfTI.
        let _ = (&mut self.bytes).take(signature::LENGTH).read_to_end(&mut start);
        let packed = if matches!(self.bytes, Bytes::Packed { .. }) { "gzip of " } else { "" };
        let known = signature::volume_advice(&start).map(|(name, advice)| format!("{packed}{name}; {advice}"));
        self.refuse(HeaderIssue { expected: NIFTI, found: known.unwrap_or(first) })
    }

    /// Reads the extensions after the header of a pair. Returns four zero bytes if there are none.
    pub(super) fn extensions_of_pair(&mut self) -> Result<Vec<u8>, DataError> {
        let mut bytes = Vec::new();
        let outcome = (&mut self.bytes).take(MOST_EXTENSIONS as u64).read_to_end(&mut bytes);
        outcome.map_err(|source| self.failure(source))?;
        // In a single file, the voxels would follow. So their offset must not depend on bytes that are not an extension. Valid extensions
        // are a flag, then blocks of 16 bytes.
        let whole = bytes.len() >= 20 && bytes[0] != 0 && (bytes.len() - 4).is_multiple_of(16);
        Ok(if whole { bytes } else { vec![0; 4] })
    }

    /// Refuses a file that cannot hold what its header announces, before anything is read or allocated.
    pub(super) fn must_hold(&self, before: usize, voxels: usize) -> Result<(), DataError> {
        match self.bytes {
            Bytes::File { length, .. } => {
                let found = usize::try_from(length).unwrap_or(usize::MAX).saturating_sub(before);
                if found >= voxels {
                    return Ok(());
                }
                Err(DataError::Truncated { path: self.path.clone(), what: "voxels", expected: voxels, found })
            }
            Bytes::Packed { length: Some(length), .. } => {
                let most = length.saturating_mul(MAX_RATIO);
                if (before as u64).saturating_add(voxels as u64) <= most {
                    return Ok(());
                }
                Err(self.refuse(HeaderIssue {
                    expected: "no more voxels than the file can hold",
                    found: format!(
                        "{voxels} bytes of voxels, but {length} bytes of gzip hold at most {most}: the file is truncated or its header \
                         damaged; copy or download it again"
                    ),
                }))
            }
            _ => Ok(()),
        }
    }

    /// A vector with room for `total` values; `None` if there is not so much memory.
    ///
    /// The room is exact if the file has been checked to hold the values ([`Stream::must_hold`]). A pipe may announce any number, so there
    /// the vector has to grow as values arrive.
    pub(super) fn room<T>(&self, total: usize) -> Option<Vec<T>> {
        let mut values = Vec::new();
        let is_checked = !matches!(self.bytes, Bytes::Flow(_) | Bytes::Packed { length: None, .. });
        values.try_reserve_exact(if is_checked { total } else { 0 }).ok()?;
        Some(values)
    }

    /// Reads exactly `expected` bytes in chunks and passes each to `take`. All chunks except the last have the same length, a multiple of
    /// 8.
    pub(super) fn chunks(
        &mut self,
        expected: usize,
        what: &'static str,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), DataError> {
        let mut chunk = vec![0; expected.min(CHUNK)];
        let mut found = 0;
        while found < expected {
            let wanted = chunk.len().min(expected - found);
            let mut filled = 0;
            while filled < wanted {
                match self.bytes.read(&mut chunk[filled..wanted]) {
                    Ok(0) => break,
                    Ok(count) => filled += count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    // A truncated plain file returns 0 bytes, a truncated gzip stream returns this error.
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                    Err(error) => return Err(self.failure(error)),
                }
            }
            found += filled;
            if filled < wanted {
                return Err(DataError::Truncated { path: self.path.clone(), what, expected, found });
            }
            take(&chunk[..wanted]);
        }
        Ok(())
    }

    /// Reads exactly `expected` bytes.
    pub(super) fn part(&mut self, expected: usize, what: &'static str) -> Result<Vec<u8>, DataError> {
        let mut bytes = Vec::new();
        self.append(&mut bytes, expected, what)?;
        Ok(bytes)
    }

    /// Reads exactly `expected` bytes and appends them.
    pub(super) fn append(&mut self, bytes: &mut Vec<u8>, expected: usize, what: &'static str) -> Result<(), DataError> {
        let total = bytes.len() + expected;
        self.chunks(expected, what, |chunk| {
            reserve(bytes, chunk.len(), total);
            bytes.extend_from_slice(chunk);
        })
    }

    /// Skips bytes. In a stream they must exist; for files, [`Stream::must_hold`] has checked it.
    pub(super) fn skip(&mut self, count: usize, what: &'static str) -> Result<(), DataError> {
        match &mut self.bytes {
            Bytes::File { file, .. } => file.seek_relative(count as i64).map_err(|source| self.failure(source)),
            _ => self.chunks(count, what, |_| {}),
        }
    }

    /// The file and the current position in it, if it is not compressed; slices can then be read from it.
    pub(super) fn place(&mut self) -> Result<Option<(File, u64)>, DataError> {
        let Bytes::File { file, .. } = &mut self.bytes else { return Ok(None) };
        let place = file.stream_position().and_then(|start| Ok((file.get_ref().try_clone()?, start)));
        place.map(Some).map_err(|source| self.failure(source))
    }

    /// Verifies the gzip checksum. The decoder does this at the end of the stream, one byte after the voxels. Returns the number of bytes
    /// behind the stream that are not padding.
    pub(super) fn finish(mut self) -> Result<Option<u64>, DataError> {
        let outcome = (&mut self.bytes).take(1).read_to_end(&mut Vec::new());
        outcome.map_err(|source| self.failure(source))?;
        Ok(if let Bytes::Packed { members, .. } = self.bytes { members.foreign() } else { None })
    }

    pub(super) fn refuse(&self, HeaderIssue { expected, found }: HeaderIssue) -> DataError {
        DataError::Format { path: self.path.clone(), expected, found }
    }

    fn failure(&self, source: io::Error) -> DataError {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        let path = self.path.clone();
        match source.kind() {
            InvalidData | InvalidInput | UnexpectedEof => DataError::Damaged { path, source },
            _ => DataError::Read { path, source },
        }
    }
}

/// Reserves memory for more values, at most `total`. It only doubles as data arrives, because a pipe can announce any size.
pub(super) fn reserve<T>(values: &mut Vec<T>, more: usize, total: usize) {
    if values.capacity() - values.len() < more {
        let room = values.len().max(more).min(total.saturating_sub(values.len()));
        values.reserve_exact(room.max(more));
    }
}
