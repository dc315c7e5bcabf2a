//! Bounds on text that comes from outside, so that no fact outgrows a message of the bus.

/// Longest number, address or id kept as it came, in characters.
pub(super) const RAW: usize = 256;

/// Longest sentence somebody else wrote, in characters.
pub(super) const SENTENCE: usize = 2_000;

/// At most `limit` characters of `text`; what is cut off is marked.
pub(super) fn clip(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::clip;

    #[test]
    fn characters_are_never_split() {
        assert_eq!(clip("äöü", 3), "äöü");
        assert_eq!(clip("äöü!", 3), "äöü...");
        assert_eq!(clip("", 0), "");
    }
}
