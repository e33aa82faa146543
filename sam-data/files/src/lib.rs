#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod atomic;
mod error;
mod hash;
mod lines;
mod lock;
mod sanitize;
mod seal;
mod text;

pub use atomic::{UNFINISHED, check_folder, check_writable, is_unfinished, sync_folder, write_atomic};
pub use error::{OpenLinesError, ReadError, WriteError};
pub use hash::{ParseSha256Error, Sha256Hasher, Sha256Id, hexadecimal, sha256_hex, sha256_of_file};
pub use lines::AppendLines;
pub use lock::FileLock;
pub use sanitize::sanitize;
pub use seal::{SealError, seal, seal_with, unseal, unseal_checked};
pub use text::{MAX_TEXT, read_text, without_mark};
