//! Slices as people count them: from 1.

use std::{fmt, num::NonZeroUsize, str::FromStr};

use thiserror::Error;

/// The number of a slice as people type and read it: counted from 1, as ITK-SNAP shows it.
///
/// Code and JSON have the slice's index, a `usize` counted from 0. Only this type converts one to the other, so the two cannot be mixed up:
/// every text for people shows a slice through it.
///
/// ```
/// use sam_prompt::SliceNumber;
///
/// let number: SliceNumber = "23".parse()?;
/// assert_eq!(number.index(), 22);
/// assert_eq!(format!("slice {}", SliceNumber::of_index(22)), "slice 23");
/// # Ok::<(), sam_prompt::ParseSliceNumberError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SliceNumber(NonZeroUsize);

/// A text that is not the number of a slice.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected the number of a slice, counted from 1, found {found:?}")]
pub struct ParseSliceNumberError {
    /// The text.
    pub found: String,
}

impl SliceNumber {
    /// The number of the slice with this index, counted from 0.
    pub const fn of_index(index: usize) -> Self {
        Self(NonZeroUsize::MIN.saturating_add(index))
    }

    /// The slice's index, counted from 0.
    pub const fn index(self) -> usize {
        self.0.get() - 1
    }

    /// The number and the index, for texts about a JSON file, which holds the index: `23 (index 22)`.
    pub fn with_index(self) -> String {
        format!("{self} (index {})", self.index())
    }
}

impl fmt::Display for SliceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for SliceNumber {
    type Err = ParseSliceNumberError;

    fn from_str(text: &str) -> Result<Self, ParseSliceNumberError> {
        let number = text.trim().parse().map(Self);
        number.map_err(|_| ParseSliceNumberError { found: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn slices_are_counted_from_one() {
        assert_eq!(SliceNumber::of_index(0).to_string(), "1");
        assert_eq!("1".parse::<SliceNumber>().map(SliceNumber::index), Ok(0));
        for text in ["0", "-1", "", "1.5", "a", "99999999999999999999999"] {
            let error = text.parse::<SliceNumber>().expect_err("no slice").to_string();
            assert!(error.contains("counted from 1"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn a_number_is_read_back_as_its_index(index in 0..usize::MAX) {
            let number = SliceNumber::of_index(index);
            prop_assert_eq!(number.index(), index);
            prop_assert_eq!(number.to_string().parse::<SliceNumber>(), Ok(number));
        }
    }
}
