//! Checks a value against a schema of ours, in words for people.
//!
//! Understands what `schemars` writes for the types of this crate and no more; a test holds every
//! schema of ours to that.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::bounds::fits;
use crate::near::nearest;
use crate::problem::{Problems, brief, count, field, item};

/// Fields that somebody may look for here, and where they belong.
const ELSEWHERE: &[(&str, &str)] = &[
    ("accent", "the accent comes with voice_id"),
    ("agent", "name the agent in the request, as agent_id"),
    ("agent_id", "name the agent in the request, not in the file"),
    ("background_sound_volume", SAVED),
    ("channel", "it belongs in the request, not in the file"),
    ("expected_outcome_prompt", "here it is expected_outcome"),
    ("file", "send the content of the file as spec"),
    ("folder_path", CASES),
    ("freq", "here it is frequency"),
    ("generation_config", SAVED),
    ("interruption_level", SAVED),
    ("main_agent_variables", "here they are agent_variables"),
    ("message_plan", SAVED),
    ("network_simulation", SAVED),
    (
        "personality_ids",
        "choose the personality of each case in the file",
    ),
    ("scenario_language", "here it is language"),
    ("scenario_type", "here it is type"),
    ("scenarios", CASES),
    ("start_speaking_plan", SAVED),
    ("stop_speaking_plan", SAVED),
    (
        "test_profile_ids",
        "choose the test profile of each case in the file",
    ),
    ("testing_agent_variables", "here they are caller_variables"),
];

const SAVED: &str = "it is set on a saved personality: refer to that one as base";
const CASES: &str = "the cases of the file are what is run";

/// Checks the value and reads it, if nothing is wrong.
pub(crate) fn read<T: DeserializeOwned>(
    schema: &Value,
    value: &Value,
    max_bytes: usize,
    problems: &mut Problems,
) -> Option<T> {
    let mut found = Problems::default();
    if fits(value, max_bytes, &mut found) {
        let mut shape = Shape {
            root: schema,
            problems: &mut found,
        };
        shape.visit(schema, value, "");
    }
    let read = if found.is_empty() {
        match serde_json::from_value(value.clone()) {
            Ok(read) => Some(read),
            Err(error) => {
                found.add("", format!("It cannot be read: {error}."));
                None
            }
        }
    } else {
        None
    };
    problems.append(found);
    read
}

struct Shape<'a> {
    root: &'a Value,
    problems: &'a mut Problems,
}

impl<'a> Shape<'a> {
    fn visit(&mut self, schema: &'a Value, value: &Value, path: &str) {
        // `true` takes everything.
        let Value::Object(schema) = schema else {
            return;
        };
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            self.visit(self.resolve(target), value, path);
        }
        if let Some(branches) = schema
            .get("anyOf")
            .or_else(|| schema.get("oneOf"))
            .and_then(Value::as_array)
        {
            self.branches(branches, value, path);
        }
        if !self.kind(schema, value, path) {
            return;
        }
        self.choice(schema, value, path);
        match value {
            Value::Number(number) => self.number(schema, number, path),
            Value::String(text) => self.text(schema, text, path),
            Value::Array(items) => self.list(schema, items, path),
            Value::Object(map) => self.object(schema, map, path),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn resolve(&self, target: &str) -> &'a Value {
        target
            .strip_prefix('#')
            .and_then(|pointer| self.root.pointer(pointer))
            .unwrap_or(&Value::Null)
    }

    /// The schema behind references.
    fn target(&self, mut schema: &'a Value) -> &'a Value {
        while let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            schema = self.resolve(target);
        }
        schema
    }

    /// Goes on with the branch that is for values of this kind. Ours differ in kind, or are all words.
    fn branches(&mut self, branches: &'a [Value], value: &Value, path: &str) {
        let fitting: Vec<&'a Value> = branches
            .iter()
            .filter(|branch| self.kinds(branch).iter().any(|name| is(name, value)))
            .collect();
        let words: Vec<&Value> = fitting
            .iter()
            .flat_map(|branch| words(self.target(branch)))
            .collect();
        match fitting.as_slice() {
            [] => {
                let kinds: Vec<&str> = branches
                    .iter()
                    .flat_map(|branch| self.kinds(branch))
                    .collect();
                self.wrong_kind(&kinds, value, path);
            }
            [_, _, ..] if !words.is_empty() => {
                if !words.contains(&value) {
                    self.not_among(&words, value, path);
                }
            }
            [branch, ..] => self.visit(branch, value, path),
        }
    }

    /// The kinds of value that a branch is for.
    fn kinds(&self, schema: &'a Value) -> Vec<&'a str> {
        let schema = self.target(schema);
        let branches = schema.get("anyOf").or_else(|| schema.get("oneOf"));
        match (schema.get("type"), branches.and_then(Value::as_array)) {
            (Some(types), _) => names(types),
            (None, Some(branches)) => branches
                .iter()
                .flat_map(|branch| self.kinds(branch))
                .collect(),
            (None, None) => Vec::new(),
        }
    }

    /// Whether the value is of a kind that is allowed.
    fn kind(&mut self, schema: &'a Map<String, Value>, value: &Value, path: &str) -> bool {
        let allowed = schema.get("type").map(names).unwrap_or_default();
        let fits = allowed.is_empty() || allowed.iter().any(|name| is(name, value));
        if !fits {
            self.wrong_kind(&allowed, value, path);
        }
        fits
    }

    fn wrong_kind(&mut self, allowed: &[&str], value: &Value, path: &str) {
        let mut kinds: Vec<&str> = Vec::new();
        for name in allowed {
            let kind = kind_name(name);
            // That it may be left out goes without saying.
            if *name != "null" && !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        let got = match value {
            Value::Number(number) if number.is_f64() => format!("the number {number}"),
            other => kind_of(other).to_owned(),
        };
        let expected = kinds.join(" or ");
        self.problems
            .add(path, format!("Expected {expected}, found {got}."));
    }

    fn choice(&mut self, schema: &'a Map<String, Value>, value: &Value, path: &str) {
        let words: Vec<&Value> = match (schema.get("enum"), schema.get("const")) {
            (Some(Value::Array(words)), _) => words.iter().collect(),
            (_, Some(word)) => vec![word],
            _ => return,
        };
        if !words.contains(&value) {
            self.not_among(&words, value, path);
        }
    }

    fn not_among(&mut self, words: &[&Value], value: &Value, path: &str) {
        let known: Vec<&str> = words.iter().filter_map(|word| word.as_str()).collect();
        let given = match value {
            Value::String(text) => brief(text),
            other => brief(&other.to_string()),
        };
        let meant = nearest(&given, known.iter().copied());
        let advice = match meant {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("write one of {}.", known.join(", ")),
        };
        self.problems
            .add(path, format!("`{given}` is not known here: {advice}"));
    }

    fn number(&mut self, schema: &'a Map<String, Value>, number: &serde_json::Number, path: &str) {
        let bound = |name: &str| schema.get(name).filter(|bound| bound.is_number());
        let (lowest, highest) = (bound("minimum"), bound("maximum"));
        let given = number.as_f64().unwrap_or(f64::NAN);
        let below = lowest
            .and_then(Value::as_f64)
            .is_some_and(|low| given < low);
        let above = highest
            .and_then(Value::as_f64)
            .is_some_and(|high| given > high);
        if below || above {
            let allowed = match (lowest, highest) {
                (Some(lowest), Some(highest)) => format!("between {lowest} and {highest}"),
                (Some(lowest), None) => format!("at least {lowest}"),
                (None, Some(highest)) => format!("at most {highest}"),
                (None, None) => return,
            };
            self.problems
                .add(path, format!("{number} is out of range: write {allowed}."));
        }
    }

    fn text(&mut self, schema: &'a Map<String, Value>, text: &str, path: &str) {
        let length = text.chars().count() as u64;
        self.size(
            schema,
            ["minLength", "maxLength"],
            length,
            "character",
            path,
        );
    }

    fn list(&mut self, schema: &'a Map<String, Value>, items: &[Value], path: &str) {
        let size = items.len() as u64;
        self.size(schema, ["minItems", "maxItems"], size, "item", path);
        if let Some(each) = schema.get("items") {
            for (index, value) in items.iter().enumerate() {
                self.visit(each, value, &item(path, index));
            }
        }
    }

    fn object(&mut self, schema: &'a Map<String, Value>, map: &Map<String, Value>, path: &str) {
        let size = map.len() as u64;
        self.size(
            schema,
            ["minProperties", "maxProperties"],
            size,
            "field",
            path,
        );
        let known = schema.get("properties").and_then(Value::as_object);
        let required = schema.get("required").and_then(Value::as_array);
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            if !map.contains_key(name) {
                self.problems
                    .add(field(path, name), "This field is required.");
            }
        }
        for (name, value) in map {
            let at = field(path, name);
            if let Some(schema) = known.and_then(|known| known.get(name)) {
                self.visit(schema, value, &at);
                continue;
            }
            match schema.get("additionalProperties") {
                Some(Value::Bool(false)) => {
                    let known = known.into_iter().flatten().map(|(name, _)| name.as_str());
                    let advice = unknown(name, &known.collect::<Vec<_>>());
                    self.problems.add(at, advice);
                }
                Some(schema) => self.visit(schema, value, &at),
                None => {}
            }
        }
    }

    fn size(
        &mut self,
        schema: &Map<String, Value>,
        [least, most]: [&str; 2],
        size: u64,
        noun: &str,
        path: &str,
    ) {
        let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
        if let Some(least) = bound(least).filter(|least| size < *least) {
            let message = format!("At least {} needed, found {size}.", needs(least, noun));
            self.problems.add(path, message);
        }
        if let Some(most) = bound(most).filter(|most| size > *most) {
            let message = format!("At most {} allowed, found {size}.", needs(most, noun));
            self.problems.add(path, message);
        }
    }
}

fn needs(number: u64, noun: &str) -> String {
    let verb = if number == 1 { "is" } else { "are" };
    format!("{} {verb}", count(number, noun))
}

/// What to do about a field that is not known.
fn unknown(name: &str, known: &[&str]) -> String {
    let elsewhere = ELSEWHERE.iter().find(|(field, _)| *field == name);
    if let Some((_, advice)) = elsewhere {
        return format!("There is no such field here: {advice}.");
    }
    match nearest(name, known.iter().copied()) {
        Some(meant) => format!("There is no such field here: did you mean `{meant}`?"),
        None => format!(
            "There is no such field here: take it out. Known are {}.",
            known.join(", ")
        ),
    }
}

/// The names under `type`.
fn names(types: &Value) -> Vec<&str> {
    match types {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The words that a schema of words allows.
fn words(schema: &Value) -> Vec<&Value> {
    match (schema.get("const"), schema.get("enum")) {
        (Some(word), _) => vec![word],
        (_, Some(Value::Array(words))) => words.iter().collect(),
        _ => Vec::new(),
    }
}

fn is(name: &str, value: &Value) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

fn kind_name(name: &str) -> &'static str {
    match name {
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "a text",
        "array" => "a list",
        "object" => "an object",
        _ => "null",
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
