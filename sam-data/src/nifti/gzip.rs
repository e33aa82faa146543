//! Reads gzip files of one or several members, and what comes after them.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Chain, Cursor, ErrorKind, Read},
};

use flate2::bufread::GzDecoder;

/// The first bytes of a gzip member.
pub(super) const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// A gzip file unpacks to at most this many times its length: two bits for 258 equal bytes.
/// Source: <https://zlib.net/zlib_tech.html>, "Maximum Compression Factor".
pub(super) const MAX_RATIO: u64 = 1032;

/// The rest of a file, after the first bytes of a member, which were read to recognise it.
type Rest = Chain<Cursor<Vec<u8>>, BufReader<File>>;

/// The uncompressed bytes of all members of a gzip file, one after the other.
///
/// Bytes after the last member do not belong to the stream. Zeros are padding, which tapes and block devices add, and gzip itself ignores.
pub(super) struct Members {
    /// The member that is being read; `None` behind the last one.
    member: Option<GzDecoder<Rest>>,
    /// Number of bytes behind the last member, unless all are zero.
    foreign: Option<u64>,
}

impl Members {
    /// Reads a file that begins with [`MAGIC`].
    pub(super) fn new(file: BufReader<File>) -> Self {
        Self { member: Some(GzDecoder::new(Cursor::default().chain(file))), foreign: None }
    }

    /// The number of bytes behind the last member that are not padding. Known only at the end of the stream.
    pub(super) fn foreign(&self) -> Option<u64> {
        self.foreign
    }

    /// Goes on to the next member, or reads to the end of the file if there is none.
    fn advance(&mut self, mut file: BufReader<File>) -> io::Result<()> {
        let mut start = Vec::new();
        (&mut file).take(MAGIC.len() as u64).read_to_end(&mut start)?;
        if start == MAGIC {
            self.member = Some(GzDecoder::new(Cursor::new(start).chain(file)));
            return Ok(());
        }
        let mut count = start.len();
        let mut is_padding = start.iter().all(|&byte| byte == 0);
        loop {
            let bytes = match file.fill_buf() {
                Ok([]) => break,
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            is_padding &= bytes.iter().all(|&byte| byte == 0);
            let length = bytes.len();
            count += length;
            file.consume(length);
        }
        self.foreign = (!is_padding).then_some(count as u64);
        Ok(())
    }
}

impl Read for Members {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while let Some(mut member) = self.member.take() {
            let count = member.read(buffer);
            if !matches!(count, Ok(0)) {
                self.member = Some(member);
                return count;
            }
            // The member is complete, and its checksum is right.
            let (_, file) = member.into_inner().into_inner();
            self.advance(file)?;
        }
        Ok(0)
    }
}
