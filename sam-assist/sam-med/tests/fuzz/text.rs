//! Damage to JSON: most of the text stays valid JSON, but with another content.

use std::ops::Range;

use rand::{Rng, RngExt};

use crate::damage::damage;

/// Replacements of numbers.
const NUMBERS: [&str; 20] = [
    "0",
    "1",
    "2",
    "-1",
    "-0.0",
    "0.1",
    "1e-300",
    "1e308",
    "1e999",
    "255",
    "65535",
    "65536",
    "4294967296",
    "9007199254740993",
    "18446744073709551615",
    "18446744073709551616",
    "null",
    "true",
    "[]",
    "\"7\"",
];

/// Replacements of strings.
const WORDS: [&str; 9] =
    ["", ".", "..", "../../outside", "/etc/passwd", "\\u001b[2J", "\\u0000", "\u{e4}\u{1f600}", "auto"];

/// A few faults in a text, most of them in its numbers and strings.
pub(crate) fn damage_text(text: &mut Vec<u8>, random: &mut dyn Rng) {
    let faults = if random.random_bool(0.6) { 1 } else { random.random_range(2..5) };
    for _ in 0..faults {
        match random.random_range(0..10) {
            0..4 => replace_number(text, random),
            4..6 => replace_word(text, random),
            6 => {
                if let Some(part) = part(text, random) {
                    let copied = text[part.clone()].to_vec();
                    let times = if random.random_bool(0.05) { random.random_range(1..2000) } else { 1 };
                    text.splice(part.start..part.start, copied.repeat(times));
                }
            }
            7 => {
                if let Some(part) = part(text, random) {
                    text.drain(part);
                }
            }
            8 => {
                let depth = if random.random_bool(0.2) { random.random_range(1..1 << 14) } else { 2 };
                let at = random.random_range(0..=text.len());
                text.splice(at..at, b"[".repeat(depth));
            }
            _ => damage(text, usize::MAX, random),
        }
    }
}

/// One of the values; `None` if there are none.
fn one_of<T>(mut values: Vec<T>, random: &mut dyn Rng) -> Option<T> {
    (!values.is_empty()).then(|| values.swap_remove(random.random_range(0..values.len())))
}

fn replace_number(text: &mut Vec<u8>, random: &mut dyn Rng) {
    let is_part = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    let starts = |at: usize| text[at].is_ascii_digit() && (at == 0 || b":,[-".contains(&text[at - 1]));
    let numbers = (0..text.len()).filter(|&at| starts(at)).map(|start| {
        let length = text[start..].iter().take_while(|&&byte| is_part(byte)).count();
        start..start + length
    });
    if let Some(number) = one_of(numbers.collect(), random) {
        text.splice(number, NUMBERS[random.random_range(0..NUMBERS.len())].bytes());
    }
}

fn replace_word(text: &mut Vec<u8>, random: &mut dyn Rng) {
    let quotes: Vec<_> = (0..text.len()).filter(|&at| text[at] == b'"').collect();
    let words = quotes.windows(2).step_by(2).map(|pair| pair[0] + 1..pair[1]);
    if let Some(word) = one_of(words.collect(), random) {
        let long = if random.random_bool(0.05) { "x".repeat(1 << 16) } else { String::new() };
        let other = WORDS[random.random_range(0..WORDS.len())];
        text.splice(word, other.bytes().chain(long.bytes()));
    }
}

/// The text between two commas.
fn part(text: &[u8], random: &mut dyn Rng) -> Option<Range<usize>> {
    let commas: Vec<_> = (0..text.len()).filter(|&at| text[at] == b',').collect();
    one_of(commas.windows(2).map(|pair| pair[0]..pair[1]).collect(), random)
}
