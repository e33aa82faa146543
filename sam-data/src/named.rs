//! Types that are written by name, on command lines and in JSON.

/// Implements `FromStr`, and the conversions from and to `String` that serde uses, with the names that a type's `Display` writes.
///
/// `$all` is an array of all values, `$expected` the list of names for the error message.
macro_rules! named {
    ($type:ty, $all:expr, $expected:expr) => {
        impl std::str::FromStr for $type {
            type Err = $crate::DataError;

            fn from_str(word: &str) -> Result<Self, $crate::DataError> {
                let found = $all.into_iter().find(|value| value.to_string() == word);
                found.ok_or_else(|| $crate::DataError::Word { expected: $expected, found: word.to_owned() })
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }

        impl TryFrom<String> for $type {
            type Error = $crate::DataError;

            fn try_from(word: String) -> Result<Self, $crate::DataError> {
                word.parse()
            }
        }
    };
}

pub(crate) use named;
