//! Numbers of things in messages.

/// A number with its noun: `1 slice`, `2 slices`. The noun must take an `s` in the plural.
pub fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_is_singular() {
        assert_eq!([0, 1, 2].map(|count| counted(count, "slice")), ["0 slices", "1 slice", "2 slices"]);
    }
}
