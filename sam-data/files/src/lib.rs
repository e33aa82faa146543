#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::unwrap_used))]

mod atomic;
mod bounded;
mod error;
mod hash;
mod identity;
mod lines;
mod lock;
mod lossy_path;
mod output_lock;
mod outputs;
mod sanitize;
mod seal;
mod text;

pub use atomic::{UNFINISHED, check_folder, check_writable, is_unfinished, sync_folder, write_atomic};
pub use bounded::read_bounded;
pub use error::{OpenLinesError, ReadError, WriteError};
pub use hash::{ParseSha256Error, Sha256Hasher, Sha256Id, hexadecimal, sha256_hex, sha256_of_file};
pub use identity::FileId;
pub use lines::AppendLines;
pub use lock::FileLock;
pub use lossy_path::LossyPath;
pub use output_lock::{LockError, OutputLock, ProcessId};
pub use outputs::{ONLY_COPY, OutputError, OutputPlan, Outputs, kept_for, own_files, shorten_text};
pub use sanitize::{controls_output, escape_controls, sanitize};
pub use seal::{SealError, seal, seal_with, unseal, unseal_checked};
pub use text::{MAX_TEXT, read_text, without_mark};
