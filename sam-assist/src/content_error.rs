//! Errors in the content of learned files.

use sam_core::NotWeights;
use sam_files::SealError;
use sam_prompt::ConfigError;
use thiserror::Error;

use crate::Trained;

/// Why the content of a prompt card or of a learner's state is invalid. Every text is safe to print on a terminal.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum ContentError {
    /// A value of its configuration is out of range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The file is larger than the limit for its kind.
    #[error("it is larger than {most} MiB, too large for a {kind}")]
    TooLarge {
        /// The limit, in MiB.
        most: u64,
        /// Kind of file expected.
        kind: &'static str,
    },
    /// A file that was given by mistake.
    #[error(transparent)]
    NotWeights(#[from] NotWeights),
    /// The file is not safetensors, or its header is too large.
    #[error("it is not a safetensors file, or its header is larger than that of a {kind}")]
    Header {
        /// Kind of file expected.
        kind: &'static str,
    },
    /// The file is not safetensors, or is damaged or cut off.
    #[error("it is not a safetensors file, or damaged or cut off ({reason})")]
    Safetensors {
        /// Message of the safetensors parser, as printable text because it may quote the file.
        reason: String,
    },
    /// A safetensors file of another kind: it lacks the entry.
    #[error("its safetensors header has no entry \"{entry}\"; is it a checkpoint?")]
    NoEntry {
        /// Name of the entry.
        entry: &'static str,
    },
    /// The entry is that of another kind of file.
    #[error("its entry \"{entry}\" is not that of a {kind} ({reason})")]
    Entry {
        /// Name of the entry.
        entry: &'static str,
        /// Kind of file expected.
        kind: &'static str,
        /// Message of the JSON parser, as printable text because it may quote the file.
        reason: String,
    },
    /// The entry has no checksum.
    #[error("its entry \"{entry}\" carries no checksum")]
    Seal {
        /// Name of the entry.
        entry: &'static str,
        /// What is wrong.
        #[source]
        source: SealError,
    },
    /// The content was changed after it was written.
    #[error("it is damaged: its checksum does not match")]
    Checksum,
    /// A text with control characters, which could manipulate a terminal.
    #[error("its {what} holds control characters")]
    ControlCharacters {
        /// Which text.
        what: &'static str,
    },
    /// The structure has no name.
    #[error("its structure has no name")]
    NoName,
    /// A text that is not a SHA-256.
    #[error("expected 64 hexadecimal digits as {what}, found {found:?}")]
    NoSha256 {
        /// Which text.
        what: &'static str,
        /// The text.
        found: String,
    },
    /// A Dice that is not within 0 to 1.
    #[error("its self-check's Dice is {found}, not within 0 to 1")]
    Dice {
        /// The value.
        found: f64,
    },
    /// The configuration does not match the learned parameters.
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
    /// A size of what was trained differs from the configuration.
    #[error("the {name} is {found}, but its config says {expected}")]
    Size {
        /// Which size.
        name: &'static str,
        /// The size in the file.
        found: usize,
        /// The size in the configuration.
        expected: usize,
    },
    /// A size of what was trained is unknown, because its parameters are missing.
    #[error("the {name} cannot be found: its parameters are missing")]
    NoSize {
        /// Which size.
        name: &'static str,
    },
    /// A parameter name with control characters, which could manipulate a terminal.
    #[error("the parameter {path:?} has control characters in its name")]
    ParameterName {
        /// Its name.
        path: String,
    },
    /// A parameter of another element type.
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
    /// The moments of a parameter are missing or have another shape.
    #[error("the moments of its parameter {path} are missing or of another shape")]
    Moments {
        /// The parameter's name.
        path: String,
    },
}
