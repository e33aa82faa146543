//! Opens a single file or a header pair and reads its bytes.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek},
    path::{Path, PathBuf},
};

use flate2::bufread::MultiGzDecoder;

use super::{
    decode,
    header::{self, Layout, MOST_EXTENSIONS},
    issue::HeaderIssue,
};
use crate::{DataError, SourceHeader};

/// Bytes that are read at once. They stay in the CPU cache until they are decoded.
const CHUNK: usize = 256 << 10;

/// A file whose header has been checked.
pub(super) struct Source {
    pub(super) layout: Layout,
    pub(super) header: SourceHeader,
    /// Positioned at the first voxel of the wanted volume.
    voxels: Stream,
    volumes_behind: usize,
}

impl Source {
    /// Opens a single file or either file of a pair. `time` chooses a volume.
    pub(super) fn open(path: &Path, time: Option<usize>) -> Result<Self, DataError> {
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
        let wanted = match time {
            Some(time) if time < layout.volumes => time,
            Some(asked) => return Err(DataError::NoSuchVolume { path: stream.path, asked, found: layout.volumes }),
            None if layout.volumes == 1 => 0,
            None => return Err(DataError::SeveralVolumes { path: stream.path, found: layout.volumes }),
        };
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
        Ok(Self { layout, header, voxels: stream, volumes_behind })
    }

    /// Decodes all voxels of the wanted volume, first index fastest.
    pub(super) fn decode<T>(mut self, mut convert: impl FnMut(f64) -> T) -> Result<Decoded<T>, DataError> {
        let Layout { kind, little_endian, length, .. } = self.layout;
        let size = decode::size_of(kind).unwrap_or(1);
        let total = length / size;
        let mut values = Vec::new();
        if let Bytes::File { .. } = self.voxels.bytes {
            // `must_hold` has checked that the voxels are there.
            let room = values.try_reserve_exact(total);
            room.map_err(|_| DataError::Memory { path: self.voxels.path.clone(), shape: self.layout.shape })?;
        }
        self.voxels.chunks(length, "voxels", |bytes| {
            reserve(&mut values, bytes.len() / size, total);
            decode::append(&mut values, bytes, kind, little_endian, &mut convert);
        })?;
        let (layout, header) = self.finish()?;
        Ok(Decoded { values, layout, header })
    }

    /// The undecoded voxels of the wanted volume: their position on disk, or their bytes if the file is compressed.
    pub(super) fn raw(mut self) -> Result<(Raw, Layout, SourceHeader), DataError> {
        if let Bytes::File { file, .. } = &mut self.voxels.bytes {
            let place = file.stream_position().and_then(|start| Ok((file.get_ref().try_clone()?, start)));
            let (file, start) = place.map_err(|source| self.voxels.failure(source))?;
            return Ok((Raw::File { file, start }, self.layout, self.header));
        }
        let bytes = self.voxels.part(self.layout.length, "voxels")?;
        let (layout, header) = self.finish()?;
        Ok((Raw::Memory(bytes), layout, header))
    }

    /// Checks that the file is complete.
    fn finish(mut self) -> Result<(Layout, SourceHeader), DataError> {
        self.voxels.skip(self.volumes_behind * self.layout.length, "other volumes")?;
        self.voxels.finish()?;
        Ok((self.layout, self.header))
    }
}

/// Decoded voxels with their header.
pub(super) struct Decoded<T> {
    /// First index fastest.
    pub(super) values: Vec<T>,
    pub(super) layout: Layout,
    pub(super) header: SourceHeader,
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

/// Reserves memory for more values, at most `total`. A header can announce any size, so capacity only doubles as data arrives.
fn reserve<T>(values: &mut Vec<T>, more: usize, total: usize) {
    if values.capacity() - values.len() < more {
        let room = values.len().max(more).min(total.saturating_sub(values.len()));
        values.reserve_exact(room.max(more));
    }
}

/// The bytes of a file, decompressed if it is gzip.
struct Stream {
    path: PathBuf,
    bytes: Bytes,
}

enum Bytes {
    /// A regular file, whose length is known.
    File { file: BufReader<File>, length: u64 },
    /// A stream that can only be read from start to end.
    Flow(Box<dyn Read + Send + Sync>),
}

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File { file, .. } => file.read(buffer),
            Self::Flow(flow) => flow.read(buffer),
        }
    }
}

impl Stream {
    fn open(path: &Path) -> Result<Self, DataError> {
        let open = || {
            let mut file = BufReader::with_capacity(CHUNK, File::open(path)?);
            let is_gzip = file.fill_buf()?.starts_with(&[0x1f, 0x8b]);
            let meta = file.get_ref().metadata()?;
            Ok::<_, io::Error>(if is_gzip {
                Bytes::Flow(Box::new(MultiGzDecoder::new(file)))
            } else if meta.is_file() {
                Bytes::File { file, length: meta.len() }
            } else {
                Bytes::Flow(Box::new(file))
            })
        };
        let bytes = open().map_err(|source| DataError::Read { path: path.to_path_buf(), source })?;
        Ok(Self { path: path.to_path_buf(), bytes })
    }

    /// Reads a header of either version, without extensions.
    fn header(&mut self) -> Result<SourceHeader, DataError> {
        let mut bytes = self.part(4, "header")?;
        let first = [bytes[0], bytes[1], bytes[2], bytes[3]];
        let (length, little_endian) = header::length_and_order(first).map_err(|issue| self.refuse(issue))?;
        bytes.extend(self.part(length - 4, "header")?);
        Ok(SourceHeader { bytes, extensions: Vec::new(), little_endian })
    }

    /// Reads the extensions after the header of a pair. Returns four zero bytes if there are none.
    fn extensions_of_pair(&mut self) -> Result<Vec<u8>, DataError> {
        let mut bytes = Vec::new();
        let outcome = (&mut self.bytes).take(MOST_EXTENSIONS as u64).read_to_end(&mut bytes);
        outcome.map_err(|source| self.failure(source))?;
        // In a single file, the voxels would follow. So their offset must not depend on bytes that are not an extension. Valid extensions
        // are a flag, then blocks of 16 bytes.
        let whole = bytes.len() >= 20 && bytes[0] != 0 && (bytes.len() - 4).is_multiple_of(16);
        Ok(if whole { bytes } else { vec![0; 4] })
    }

    /// Refuses a file that is shorter than its header announces, before anything is read or allocated.
    fn must_hold(&self, before: usize, voxels: usize) -> Result<(), DataError> {
        let Bytes::File { length, .. } = self.bytes else { return Ok(()) };
        let found = usize::try_from(length).unwrap_or(usize::MAX).saturating_sub(before);
        if found >= voxels {
            return Ok(());
        }
        Err(DataError::Truncated { path: self.path.clone(), what: "voxels", expected: voxels, found })
    }

    /// Reads exactly `expected` bytes in chunks and passes each to `take`. All chunks except the last have the same length, a multiple of
    /// 8.
    fn chunks(&mut self, expected: usize, what: &'static str, mut take: impl FnMut(&[u8])) -> Result<(), DataError> {
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
    fn part(&mut self, expected: usize, what: &'static str) -> Result<Vec<u8>, DataError> {
        let mut bytes = Vec::new();
        self.chunks(expected, what, |chunk| {
            reserve(&mut bytes, chunk.len(), expected);
            bytes.extend_from_slice(chunk);
        })?;
        Ok(bytes)
    }

    /// Skips bytes. In a stream they must exist; for files, [`Stream::must_hold`] has checked it.
    fn skip(&mut self, count: usize, what: &'static str) -> Result<(), DataError> {
        match &mut self.bytes {
            Bytes::File { file, .. } => file.seek_relative(count as i64).map_err(|source| self.failure(source)),
            Bytes::Flow(_) => self.chunks(count, what, |_| {}),
        }
    }

    /// Verifies the gzip checksum. The decoder does this at the end of the stream, one byte after the voxels.
    fn finish(mut self) -> Result<(), DataError> {
        let outcome = (&mut self.bytes).take(1).read_to_end(&mut Vec::new());
        outcome.map(drop).map_err(|source| self.failure(source))
    }

    fn refuse(&self, HeaderIssue { expected, found }: HeaderIssue) -> DataError {
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
