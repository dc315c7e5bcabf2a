//! The rules of functions.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::actions::{Config, Function, Method, Output, Scalar};
use super::placeholder;
use crate::near::nearest;
use crate::problem::{Problems, brief, field, item};

/// The functions that there are, with their outputs.
#[derive(Debug, Default)]
pub(super) struct Declared<'a>(BTreeMap<&'a str, BTreeSet<&'a str>>);

impl Declared<'_> {
    /// What is wrong with a function's name, if anything is.
    pub(super) fn name(&self, name: &str) -> Option<String> {
        if self.0.contains_key(name) {
            return None;
        }
        let advice = match nearest(name, self.0.keys().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "declare it under functions.".to_owned(),
        };
        Some(format!("There is no function `{}`: {advice}", brief(name)))
    }

    /// What is wrong with the use of a function's output, if anything is.
    pub(super) fn output(&self, name: &str, output: &str) -> Option<String> {
        let Some(outputs) = self.0.get(name) else {
            return self.name(name);
        };
        if outputs.contains(output) {
            return None;
        }
        let advice = match nearest(output, outputs.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "declare it under its response_mapping.".to_owned(),
        };
        let output = brief(output);
        Some(format!(
            "The function `{name}` has no output `{output}`: {advice}"
        ))
    }
}

pub(super) fn check<'a>(
    functions: Option<&'a [Function]>,
    path: &str,
    problems: &mut Problems,
) -> Declared<'a> {
    let mut declared = Declared::default();
    for (index, function) in functions.unwrap_or_default().iter().enumerate() {
        let at = item(path, index);
        let name = field(&at, "name");
        if !is_name(&function.name) {
            problems.add(name, "Write a name of letters, digits, `_` and `-`.");
        } else if declared.0.contains_key(function.name.as_str()) {
            problems.add(name, "Another function has this name: give each its own.");
        }
        // Only earlier ones are declared yet, so that one function can use another's outputs.
        config(&function.config, &declared, &field(&at, "config"), problems);
        let outputs = function.config.response_mapping.iter().flatten();
        declared
            .0
            .entry(&function.name)
            .or_default()
            .extend(outputs.map(|(name, _)| name.as_str()));
    }
    declared
}

fn config(config: &Config, declared: &Declared<'_>, path: &str, problems: &mut Problems) {
    let url = field(path, "url");
    if let Some(message) = wrong_url(&config.url) {
        problems.add(url.clone(), message);
    }
    values(&config.url, declared, &url, problems);
    for (name, map) in [
        ("headers", &config.headers),
        ("query_params", &config.query_params),
    ] {
        let path = field(path, name);
        for (name, value) in map.iter().flatten() {
            let at = field(&path, name);
            if name.trim().is_empty() {
                problems.add(at.clone(), "A name cannot be empty.");
            }
            if let Scalar::Text(text) = value {
                if path.ends_with("headers") && text.contains(['\r', '\n']) {
                    problems.add(at.clone(), "A header is one line: take the line break out.");
                }
                values(text, declared, &at, problems);
            }
        }
    }
    if let Some(body) = &config.body {
        let at = field(path, "body");
        if config.method != Some(Method::Post) {
            problems.add(
                at.clone(),
                "Only POST sends a body: write POST as the method.",
            );
        }
        let mut open = vec![body];
        while let Some(value) = open.pop() {
            match value {
                Value::String(text) => values(text, declared, &at, problems),
                Value::Array(items) => open.extend(items),
                Value::Object(map) => open.extend(map.values()),
                _ => {}
            }
        }
    }
    let mapping = field(path, "response_mapping");
    for (name, output) in config.response_mapping.iter().flatten() {
        let at = field(&mapping, name);
        if !is_name(name) {
            problems.add(at.clone(), "Write a name of letters, digits, `_` and `-`.");
        }
        let path = match output {
            Output::Path(path) => path,
            Output::Or(output) => &output.path,
        };
        if !is_path(path) {
            problems.add(
                at,
                format!(
                    "`{}` is no path to one value: write one such as `$.data.items[0].status` or \
                     `$.meta[\"order-id\"]`.",
                    brief(path)
                ),
            );
        }
    }
}

/// Checks the outputs of earlier functions that a text uses.
fn values(text: &str, declared: &Declared<'_>, path: &str, problems: &mut Problems) {
    for (name, output) in placeholder::functions(text) {
        if let Some(message) = declared.output(name, output) {
            let message =
                format!("{message} Only functions further up in the list can be used here.");
            problems.add(path, message);
        }
    }
}

/// Whether a text can be a name in tags and placeholders.
pub(super) fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// What the text alone says against a URL. Whether its host is public is known only when it is called.
fn wrong_url(url: &str) -> Option<&'static str> {
    let rest = ["https://", "http://"].iter().find_map(|scheme| {
        let (head, rest) = url.split_at_checked(scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then_some(rest)
    });
    let Some(rest) = rest else {
        return Some("Write a URL that begins with https:// or http://.");
    };
    let host = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    if host.contains('@') {
        return Some("A URL holds no user name or password here: send them as a header.");
    }
    if url.contains(|c: char| c.is_whitespace() || c.is_control()) && !url.contains("{{") {
        return Some("A URL has no spaces: write %20 for each.");
    }
    let name = host.split(':').next().unwrap_or_default();
    if name.is_empty() && !host.starts_with('[') {
        return Some("The URL has no host: write one that the whole internet can reach.");
    }
    let address: Option<std::net::Ipv4Addr> = name.parse().ok();
    let inside = address.is_some_and(|ip| {
        ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified()
    }) || name.eq_ignore_ascii_case("localhost")
        || host.starts_with("[::1]");
    inside.then_some("Only hosts that the whole internet can reach are called: write another one.")
}

/// Whether a path leads to one value: `$`, then `.key`, `[0]`, `[-1]` or `["key"]`.
fn is_path(path: &str) -> bool {
    let Some(mut rest) = path.strip_prefix('$') else {
        return false;
    };
    while !rest.is_empty() {
        let step = match rest.strip_prefix('.') {
            Some(key) => {
                let end = key.find(['.', '[']).unwrap_or(key.len());
                let (key, rest) = key.split_at(end);
                let plain = key
                    .chars()
                    .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
                (!key.is_empty() && plain).then_some(rest)
            }
            None => rest.strip_prefix('[').and_then(subscript),
        };
        let Some(step) = step else {
            return false;
        };
        rest = step;
    }
    true
}

/// Reads what follows `[`, and returns what follows `]`.
fn subscript(text: &str) -> Option<&str> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''));
    if let Some(quote) = quote {
        let (key, rest) = text.get(1..)?.split_once(quote)?;
        return rest.strip_prefix(']').filter(|_| !key.is_empty());
    }
    let (index, rest) = text.split_once(']')?;
    let digits = index.strip_prefix('-').unwrap_or(index);
    let number = (1..=9).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    number.then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_one_value() {
        for path in [
            "$",
            "$.a",
            "$.a.b[0]",
            "$[-1].c",
            "$.m[\"order-id\"]",
            "$['a b'][2]",
        ] {
            assert!(is_path(path), "{path}");
        }
        for path in [
            "",
            "a",
            "$a",
            "$..a",
            "$.a.*",
            "$[*]",
            "$[?(@.a)]",
            "$[0",
            "$['a]",
            "$.",
            "$[]",
        ] {
            assert!(!is_path(path), "{path}");
        }
    }

    #[test]
    fn a_url_is_public_as_far_as_its_text_says() {
        for url in [
            "https://api.example.com/a?b={{test_profile.c}}",
            "http://203.0.113.5:8080",
            "HTTPS://x",
        ] {
            assert_eq!(wrong_url(url), None, "{url}");
        }
        for url in [
            "ftp://x",
            "https://",
            "https://u:p@x/",
            "https://localhost:1/",
            "http://127.0.0.1",
            "http://10.0.0.1/",
            "http://[::1]/",
            "https://a b/",
            "http://:80/",
        ] {
            assert!(wrong_url(url).is_some(), "{url}");
        }
    }
}
