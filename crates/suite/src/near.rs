//! The known name that somebody meant.

/// Longest name that is compared: beyond it, a name was not mistyped.
const LONGEST: usize = 64;

/// The known name nearest to `given`, if one is near enough to have been meant.
pub(crate) fn nearest<'a>(
    given: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let given: Vec<char> = given
        .chars()
        .take(LONGEST + 1)
        .flat_map(char::to_lowercase)
        .collect();
    if given.len() > LONGEST {
        return None;
    }
    known
        .into_iter()
        .map(|name| (distance(&given, name), name))
        .min()
        // A third of the letters may be wrong.
        .filter(|(distance, name)| *distance <= (name.len().max(given.len()) / 3).max(1))
        .map(|(_, name)| name)
}

/// Letters to change, add, take away, or swap with the next (optimal string alignment).
fn distance(given: &[char], name: &str) -> usize {
    let mut above_that: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=given.len()).collect();
    let mut previous = None;
    for (line, letter) in name.chars().enumerate() {
        let mut left = line + 1;
        let mut row = vec![left];
        for (column, other) in given.iter().enumerate() {
            let at =
                |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX / 2);
            let changed = at(&above, column) + usize::from(*other != letter);
            left = changed.min(left + 1).min(at(&above, column + 1) + 1);
            let before = column.checked_sub(1).and_then(|before| given.get(before));
            if previous == Some(*other) && before == Some(&letter) {
                left = left.min(at(&above_that, column - 1) + 1);
            }
            row.push(left);
        }
        above_that = std::mem::replace(&mut above, row);
        previous = Some(letter);
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_found_and_nothing_else() {
        let known = ["instructions", "name", "metrics", "expected_outcome"];
        assert_eq!(nearest("instruction", known), Some("instructions"));
        assert_eq!(nearest("Metircs", known), Some("metrics"));
        assert_eq!(nearest("nme", known), Some("name"));
        assert_eq!(nearest("expected_outcom", known), Some("expected_outcome"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest(&"x".repeat(100_000), known), None);
        assert_eq!(nearest("dtfm", ["dtmf", "voice"]), Some("dtmf"));
        assert_eq!(distance(&[], "abc"), 3);
        assert_eq!(distance(&['a', 'b', 'c', 'd'], "abdc"), 1);
        assert_eq!(distance(&['k', 'i', 't', 't', 'e', 'n'], "sitting"), 3);
    }
}
