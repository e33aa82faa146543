//! Numbers that may be undefined, as text and in JSON, and bytes in JSON.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serializer, de::Error};

use crate::lines::MISSING;

/// Reads a number; `null`, which JSON has for a number that is not finite, becomes NaN.
pub(super) fn nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// Reads a list of numbers, with `null` as NaN.
pub(super) fn nans<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    let numbers: Vec<Option<f64>> = Deserialize::deserialize(deserializer)?;
    Ok(numbers.into_iter().map(|number| number.unwrap_or(f64::NAN)).collect())
}

/// Reads a pair of numbers; `None` if one of them is `null`.
pub(super) fn pair<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<(f64, f64)>, D::Error> {
    let pair: Option<(Option<f64>, Option<f64>)> = Deserialize::deserialize(deserializer)?;
    Ok(pair.and_then(|(low, high)| low.zip(high)))
}

pub(super) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(super) fn write_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&to_base64(bytes))
}

pub(super) fn read_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// A number with at most `decimals` decimals, without trailing zeros; a dash if it is undefined.
pub(super) fn short(number: f64, decimals: usize) -> String {
    if !number.is_finite() {
        return MISSING.to_owned();
    }
    let text = format!("{number:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// A number as the label of an axis; from ten thousand on, in thousands or millions.
pub(super) fn tick(number: f64) -> String {
    match number.abs() {
        1e6.. => format!("{}M", short(number / 1e6, 3)),
        1e4.. => format!("{}k", short(number / 1e3, 3)),
        _ => short(number, 3),
    }
}

/// A score with three decimals; a dash if it is undefined.
pub(super) fn score(number: f64) -> String {
    if number.is_finite() { format!("{number:.3}") } else { MISSING.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_short_as_they_can_be() {
        let text: Vec<String> =
            [0.5, 1.0, -0.0001, 0.128, 1200.0, f64::NAN].into_iter().map(|number| short(number, 2)).collect();
        assert_eq!(text, ["0.5", "1", "0", "0.13", "1200", MISSING]);
        assert_eq!([tick(-0.25), tick(2000.0), tick(-25e3), tick(1.5e6)], ["-0.25", "2000", "-25k", "1.5M"]);
        assert_eq!([score(0.9), score(f64::INFINITY)], ["0.900", MISSING]);
    }
}
