//! `{{function.name.output}}` in a text.

/// The inside of every `{{...}}`, without the spaces around it.
pub(super) fn inside(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once("{{")?;
        let (inside, after) = after.split_once("}}")?;
        rest = after;
        Some(inside.trim())
    })
}

/// The functions' values that a text uses: each function's name and output. Either may be empty.
pub(super) fn functions(text: &str) -> impl Iterator<Item = (&str, &str)> {
    inside(text).filter_map(|inside| {
        let rest = inside.strip_prefix("function")?;
        let rest = match rest.strip_prefix('.') {
            Some(rest) => rest,
            None if rest.is_empty() => rest,
            None => return None,
        };
        Some(rest.split_once('.').unwrap_or((rest, "")))
    })
}

/// The text without its `{{...}}`, or `None` if it has none.
pub(super) fn literal(text: &str) -> Option<String> {
    let mut literal = String::new();
    let mut rest = text;
    let mut any = false;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((_, after)) = after.split_once("}}") else {
            break;
        };
        any = true;
        literal.push_str(before);
        rest = after;
    }
    literal.push_str(rest);
    any.then_some(literal)
}
