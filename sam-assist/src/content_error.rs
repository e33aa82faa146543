//! Errors of what a learned file holds.

use sam_files::SealError;
use sam_prompt::ConfigError;
use thiserror::Error;

use crate::Trained;

/// Why the content of a prompt card or of a learner's state is invalid. Every text is fit for a terminal.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum ContentError {
    /// A value of its configuration is out of range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The file is larger than any file of its kind.
    #[error("it is larger than {most} MiB, too large for a {kind}")]
    TooLarge {
        /// The limit, in MiB.
        most: u64,
        /// Kind of file expected.
        kind: &'static str,
    },
    /// The file is of another format, or its header too large.
    #[error("it is not a safetensors file, or its header is larger than that of a {kind}")]
    Header {
        /// Kind of file expected.
        kind: &'static str,
    },
    /// The file is of another format, damaged or cut off.
    #[error("it is not a safetensors file, or damaged or cut off ({reason})")]
    Safetensors {
        /// What the reader of safetensors found. A text, since it may quote the file and is printable here.
        reason: String,
    },
    /// A safetensors file of another kind.
    #[error("its safetensors header has no entry \"{entry}\"; is it a checkpoint?")]
    NoEntry {
        /// The entry.
        entry: &'static str,
    },
    /// An entry of another kind.
    #[error("its entry \"{entry}\" is not that of a {kind} ({reason})")]
    Entry {
        /// The entry.
        entry: &'static str,
        /// Kind of file expected.
        kind: &'static str,
        /// What the reader of JSON found. A text, since it may quote the file and is printable here.
        reason: String,
    },
    /// An entry without a checksum.
    #[error("its entry \"{entry}\" carries no checksum")]
    Seal {
        /// The entry.
        entry: &'static str,
        /// What is wrong.
        #[source]
        source: SealError,
    },
    /// The content was changed after it was written.
    #[error("it is damaged: its checksum does not match")]
    Checksum,
    /// A text that could steer a terminal.
    #[error("its {what} holds control characters")]
    ControlCharacters {
        /// Which text.
        what: &'static str,
    },
    /// The structure has no name.
    #[error("its structure has no name")]
    NoName,
    /// A text that is no SHA-256.
    #[error("expected 64 hexadecimal digits as {what}, found {found:?}")]
    NoSha256 {
        /// Which text.
        what: &'static str,
        /// The text.
        found: String,
    },
    /// A Dice that is none.
    #[error("its self-check's Dice is {found}, not within 0 to 1")]
    Dice {
        /// The Dice.
        found: f64,
    },
    /// The configuration is not that of the learned parameters.
    #[error("its config says {members} times {trained:?}, which is not what was learned")]
    OtherLearning {
        /// Number of ensemble members in the configuration.
        members: usize,
        /// What the configuration trains.
        trained: Trained,
    },
    /// The configuration has another number of ensemble members.
    #[error("it has {found} ensemble members, but its config says {expected}")]
    Members {
        /// Number of members in the file.
        found: usize,
        /// Number of members in the configuration.
        expected: usize,
    },
    /// The configuration has another size of what was trained.
    #[error("the {name} is {found}, but its config says {expected}")]
    Size {
        /// Which size.
        name: &'static str,
        /// The size in the file.
        found: usize,
        /// The size in the configuration.
        expected: usize,
    },
    /// The parameters that tell the size of what was trained are missing.
    #[error("the {name} cannot be found: its parameters are missing")]
    NoSize {
        /// Which size.
        name: &'static str,
    },
    /// A parameter whose name could steer a terminal.
    #[error("the parameter {path:?} has control characters in its name")]
    ParameterName {
        /// Its name.
        path: String,
    },
    /// A parameter of another number type.
    #[error("its parameter {path} is of type {found}, expected F32")]
    ParameterType {
        /// Its name.
        path: String,
        /// Its type.
        found: String,
    },
    /// A parameter with NaN or infinity.
    #[error("its parameter {path} holds values that are not finite")]
    NotFinite {
        /// Its name.
        path: String,
    },
    /// The losses of a learner are missing.
    #[error("its losses are missing")]
    NoLosses,
    /// The moments of a parameter do not fit it.
    #[error("the moments of its parameter {path} are missing or of another shape")]
    Moments {
        /// The parameter's name.
        path: String,
    },
}
