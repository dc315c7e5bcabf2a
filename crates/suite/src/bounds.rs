//! What holds for every JSON value that is taken in, whatever it means.

use serde_json::Value;

use crate::problem::{Problems, field, item};

/// Bytes of a whole suite, as JSON without spaces.
pub const MAX_BYTES: usize = 1024 * 1024;

/// Levels of nesting. What is stored is wrapped again in answers, and JSON readers stop at 128.
pub const MAX_DEPTH: usize = 32;

/// Whether the value is small and flat enough, and free of null characters, which no database keeps.
pub(crate) fn fits(value: &Value, max_bytes: usize, problems: &mut Problems) -> bool {
    let before = problems.iter().count();
    let mut open = vec![(value, String::new(), 1)];
    while let Some((value, path, depth)) = open.pop() {
        if depth > MAX_DEPTH {
            problems.add(
                path,
                format!("At most {MAX_DEPTH} levels of nesting are read."),
            );
            return false;
        }
        match value {
            Value::String(text) if text.contains('\0') => {
                problems.add(path, "A text cannot hold a null character: take it out.");
            }
            Value::Array(items) => open.extend(
                items
                    .iter()
                    .enumerate()
                    .filter(|(_, item)| holds_more(item))
                    .map(|(index, value)| (value, item(&path, index), depth + 1)),
            ),
            Value::Object(map) => {
                for (name, value) in map {
                    if name.contains('\0') {
                        problems.add(
                            path.clone(),
                            "The name of a field cannot hold a null character: take it out.",
                        );
                    }
                    if holds_more(value) {
                        open.push((value, field(&path, name), depth + 1));
                    }
                }
            }
            _ => {}
        }
    }
    if bytes(value) > max_bytes {
        let message = format!("At most {max_bytes} bytes are read: make it shorter, or divide it.");
        problems.add("", message);
    }
    problems.iter().count() == before
}

fn holds_more(value: &Value) -> bool {
    matches!(value, Value::String(_) | Value::Array(_) | Value::Object(_))
}

/// Length of a value as JSON.
pub(crate) fn bytes(value: &impl serde::Serialize) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX, |json| json.len())
}
