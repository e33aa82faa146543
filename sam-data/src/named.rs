//! Types whose values are told by name, on command lines and in JSON alike.

/// Parses a type by the names that its `Display` writes: `FromStr`, and `From` and `TryFrom` of `String`, which serde uses.
///
/// `$all` is an array of all values, `$expected` the names as an error lists them.
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
