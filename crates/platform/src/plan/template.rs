//! `{{test_profile.a.b}}` and `{{test_profile['a b']}}`: a missing key becomes an empty text.

use serde_json::Value;

/// `text` with the placeholders of a test profile filled in.
pub(super) fn fill(text: &str, information: Option<&Value>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let Some((inner, tail)) = after.split_once("}}") else {
            out.push_str("{{");
            rest = after;
            continue;
        };
        match keys(inner.trim()) {
            Some(keys) => out.push_str(&look_up(&keys, information)),
            None => {
                out.push_str("{{");
                out.push_str(inner);
                out.push_str("}}");
            }
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

/// The path behind `test_profile`; `None` if the placeholder is not about the test profile.
fn keys(inner: &str) -> Option<Vec<String>> {
    let mut rest = inner.strip_prefix("test_profile")?;
    let mut keys = Vec::new();
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix('.') {
            let end = tail.find(['.', '[']).unwrap_or(tail.len());
            let (key, tail) = tail.split_at(end);
            keys.push(key.to_owned());
            rest = tail;
        } else {
            let tail = rest.strip_prefix('[')?;
            let (key, tail) = tail.split_once(']')?;
            keys.push(key.trim_matches(['\'', '"']).to_owned());
            rest = tail;
        }
    }
    Some(keys)
}

/// Looks the path up in the whole profile, then among the testing agent's variables.
fn look_up(keys: &[String], information: Option<&Value>) -> String {
    let Some(information) = information else {
        return String::new();
    };
    let found = walk(information, keys)
        .or_else(|| walk(information.get("testing_agent_variables")?, keys))
        .or_else(|| walk(information.get("main_agent_variables")?, keys));
    match found {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

fn walk<'a>(root: &'a Value, keys: &[String]) -> Option<&'a Value> {
    keys.iter()
        .try_fold(root, |value, key| value.get(key.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_and_missing_ones_are_empty() {
        let information = serde_json::json!({
            "a": {"b": "deep", "c d": 7},
            "testing_agent_variables": {"name": "Alex"},
        });
        let fill = |text| fill(text, Some(&information));
        assert_eq!(fill("x {{test_profile.a.b}} y"), "x deep y");
        assert_eq!(fill("{{ test_profile['a']['c d'] }}"), "7");
        assert_eq!(fill("I am {{test_profile.name}}"), "I am Alex");
        assert_eq!(fill("[{{test_profile.none}}]"), "[]");
        assert_eq!(fill("{{other}} {{"), "{{other}} {{");
    }
}
