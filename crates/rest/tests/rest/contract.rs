//! Holds every answer of every test against two documents: the reference service's, reduced to its
//! structure (`tests/reference/openapi.json`), and the one this server generates.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

use crate::exceptions::EXCEPTIONS;

/// Problems reported of one answer.
const PROBLEMS: usize = 5;

/// An OpenAPI document whose response schemas are compiled when they are first needed.
pub struct Document {
    name: &'static str,
    value: Value,
    compiled: Mutex<HashMap<String, Arc<Validator>>>,
}

/// The reference, with the corrections of [`EXCEPTIONS`].
pub static REFERENCE: LazyLock<Document> = LazyLock::new(|| {
    let mut value: Value = serde_json::from_str(include_str!("../reference/openapi.json")).unwrap();
    for exception in EXCEPTIONS {
        for at in exception.at {
            let place = value.pointer_mut(at);
            let stale = || panic!("there is no {at} for an exception: {}", exception.why);
            *place.unwrap_or_else(stale) = serde_json::from_str(exception.instead).unwrap();
        }
    }
    as_answers(&mut value);
    Document::new("the reference", value)
});

/// What this server generates.
pub static OURS: LazyLock<Document> = LazyLock::new(|| {
    let value = ringdown_rest::openapi(ringdown_rest::DOCUMENTED_BASE);
    Document::new("our own document", value)
});

/// Makes schemas say what they mean for answers.
fn as_answers(value: &mut Value) {
    if let Value::Array(items) = value {
        items.iter_mut().for_each(as_answers);
    }
    let Value::Object(map) = value else {
        return;
    };
    // What is only written is not to be expected in an answer, required or not.
    if let Some(Value::Object(properties)) = map.get("properties").cloned()
        && let Some(Value::Array(required)) = map.get_mut("required")
    {
        let written = |name: &str| properties.get(name).is_some_and(|p| p["writeOnly"] == true);
        required.retain(|name| !written(name.as_str().unwrap()));
    }
    // "Exactly one of anything and null" refuses null, though null is what it is meant to add.
    if map.get("oneOf") == Some(&json!([{}, {"type": "null"}])) {
        map.remove("oneOf");
    }
    // The older way to allow null, which JSON Schema does not know.
    if map.get("nullable") == Some(&json!(true))
        && let Some(kind) = map.get("type").cloned()
    {
        map.insert("type".to_owned(), json!([kind, "null"]));
    }
    map.values_mut().for_each(as_answers);
}

impl Document {
    fn new(name: &'static str, value: Value) -> Self {
        Self {
            name,
            value,
            compiled: Mutex::default(),
        }
    }

    /// All operations: method, path, and the operation itself.
    pub fn operations(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        let paths = self.value["paths"].as_object().unwrap().iter();
        paths.flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().iter();
            methods.map(move |(method, operation)| (method.as_str(), path.as_str(), operation))
        })
    }

    /// The operation that serves a request; the path with the most fixed parts wins.
    fn find(&self, method: &str, asked: &str) -> Option<(&str, &Value)> {
        let asked: Vec<&str> = parts(asked);
        let fits = |path: &str| {
            let template = parts(path);
            template.len() == asked.len()
                && template
                    .iter()
                    .zip(&asked)
                    .all(|(template, part)| template.starts_with('{') || template == part)
        };
        self.operations()
            .filter(|(known, path, _)| known.eq_ignore_ascii_case(method) && fits(path))
            .max_by_key(|(_, path, _)| parts(path).iter().filter(|p| !p.starts_with('{')).count())
            .map(|(_, path, operation)| (path, operation))
    }

    fn validator(&self, key: &str, schema: &Value) -> Arc<Validator> {
        let mut compiled = self.compiled.lock().unwrap();
        let validator = compiled.entry(key.to_owned()).or_insert_with(|| {
            let mut root = json!({"components": self.value["components"]});
            root["allOf"] = json!([schema]);
            let options = jsonschema::options()
                .with_draft(Draft::Draft202012)
                .should_validate_formats(true);
            let built = options.build(&root);
            Arc::new(built.unwrap_or_else(|error| panic!("{} of {key}: {error}", self.name)))
        });
        Arc::clone(validator)
    }

    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(pointer) => self.value.pointer(&pointer[1..]).unwrap(),
            None => value,
        }
    }

    /// Holds one answer against the document.
    fn check(&self, response: &Value, key: &str, answer: &Answer<'_>) {
        let schema = self
            .resolve(response)
            .pointer("/content/application~1json/schema");
        let Some(schema) = schema else {
            return;
        };
        // An export is JSON or CSV, as it was asked for.
        if answer.body.is_none() && key.starts_with("results-v1-export-result-runs-retrieve") {
            return;
        }
        let said = answer
            .body
            .unwrap_or_else(|| panic!("{key} did not answer with JSON"));
        let validator = self.validator(key, schema);
        let problems: Vec<String> = validator
            .iter_errors(said)
            .take(PROBLEMS)
            .map(|error| {
                format!(
                    "  {}: {}",
                    error.instance_path(),
                    shorten(&error.to_string())
                )
            })
            .collect();
        assert!(
            problems.is_empty(),
            "an answer to {} {} is not what {} says of {key}:\n{}",
            answer.method,
            answer.path,
            self.name,
            problems.join("\n"),
        );
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(600) {
        Some((end, _)) => format!("{} ...", &text[..end]),
        None => text.to_owned(),
    }
}

/// The parts of a path in the one form that documents use.
fn parts(path: &str) -> Vec<&str> {
    let path = path.split('?').next().unwrap().trim_matches('/');
    path.split('/')
        .map(|part| part.strip_suffix("-external").unwrap_or(part))
        .collect()
}

/// An answer as the documents see it.
pub struct Answer<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub status: u16,
    /// The body, if it is JSON.
    pub body: Option<&'a Value>,
}

/// Fails the test if the answer is not what the documents say.
pub fn check(answer: &Answer<'_>) {
    let (method, asked, status) = (answer.method, answer.path, answer.status);
    let success = (200..300).contains(&status);
    if method == "HEAD" {
        return;
    }
    if let Some((path, operation)) = OURS.find(method, asked) {
        let responses = &operation["responses"];
        let own = responses.get(status.to_string());
        assert!(
            own.is_some() || !success,
            "{method} {path} answers {status}, which its operation does not declare"
        );
        let key = format!("{} {status}", operation["operationId"].as_str().unwrap());
        OURS.check(own.unwrap_or(&responses["default"]), &key, answer);
    }
    if success && let Some((_, operation)) = REFERENCE.find(method, asked) {
        let id = operation["operationId"].as_str().unwrap();
        let response = operation["responses"].get(status.to_string());
        let response = response
            .unwrap_or_else(|| panic!("{id} answers {status}, which the reference does not"));
        REFERENCE.check(response, &format!("{id} {status}"), answer);
        crate::compatibility::asked(id);
    }
}
