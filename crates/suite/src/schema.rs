use std::sync::OnceLock;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::Value;
use thiserror::Error;

use crate::conditional::Actions;
use crate::document::Document;
use crate::problem::brief;
use crate::request::Upload;

/// The versions of the format.
pub const VERSIONS: &[&str] = &["1"];

/// There is no such version of the format.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there is no version `{0}` of the suite format: leave it out, or ask for 1")]
pub struct UnknownVersion(String);

/// The JSON Schema (2020-12) of a suite; `None`: of the newest version.
///
/// # Errors
///
/// If the version is not known.
pub fn json_schema(version: Option<&str>) -> Result<Value, UnknownVersion> {
    match version {
        None | Some("1") => Ok(document().clone()),
        Some(other) => Err(UnknownVersion(brief(other))),
    }
}

pub(crate) fn document() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(of::<Document>)
}

pub(crate) fn actions() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(of::<Actions>)
}

pub(crate) fn upload() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(of::<Upload>)
}

fn of<T: JsonSchema>() -> Value {
    let schema: Schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<T>();
    let mut schema = schema.to_value();
    join_lines(&mut schema);
    schema
}

/// Makes one line of each description: the lines of a comment are not those of an editor.
fn join_lines(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            for (keyword, value) in map {
                match value {
                    Value::String(text) if keyword == "description" => {
                        *text = text.replace('\n', " ");
                    }
                    value => join_lines(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(join_lines),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keywords that `shape` acts on.
    const ACTED_ON: &[&str] = &[
        "$ref",
        "additionalProperties",
        "anyOf",
        "const",
        "enum",
        "items",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minimum",
        "oneOf",
        "properties",
        "required",
        "type",
    ];

    /// Keywords that say nothing about what is allowed.
    const ANNOTATIONS: &[&str] = &[
        "$defs",
        "$schema",
        "default",
        "description",
        "format",
        "title",
    ];

    /// Every keyword of a schema and of those inside it.
    fn keywords(schema: &Value, found: &mut Vec<String>) {
        let Value::Object(schema) = schema else {
            assert!(schema.is_boolean(), "{schema}");
            return;
        };
        for (keyword, value) in schema {
            found.push(keyword.clone());
            match keyword.as_str() {
                "properties" | "$defs" => {
                    for schema in value.as_object().unwrap().values() {
                        keywords(schema, found);
                    }
                }
                "items" | "additionalProperties" => keywords(value, found),
                "anyOf" | "oneOf" => {
                    for schema in value.as_array().unwrap() {
                        keywords(schema, found);
                    }
                }
                _ => {}
            }
        }
    }

    #[test]
    fn every_keyword_of_the_schemas_is_acted_on() {
        for schema in [document(), actions(), upload()] {
            let mut found = Vec::new();
            keywords(schema, &mut found);
            for keyword in found {
                let keyword = keyword.as_str();
                assert!(
                    ACTED_ON.contains(&keyword) || ANNOTATIONS.contains(&keyword),
                    "{keyword}"
                );
            }
        }
    }

    #[test]
    fn every_field_is_described() {
        for schema in [document(), actions(), upload()] {
            let mut open = vec![schema];
            while let Some(schema) = open.pop() {
                if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
                    for (name, property) in properties {
                        assert!(property.get("description").is_some(), "{name}");
                    }
                }
                if let Some(definitions) = schema.get("$defs").and_then(Value::as_object) {
                    open.extend(definitions.values());
                }
            }
        }
    }

    #[test]
    fn only_known_versions_have_a_schema() {
        let newest = json_schema(None).unwrap();
        assert_eq!(json_schema(Some("1")).unwrap(), newest);
        assert!(newest.get("$id").is_none());
        assert_eq!(
            newest["$schema"],
            "https://json-schema.org/draft/2020-12/schema"
        );
        let unknown = json_schema(Some("2")).unwrap_err().to_string();
        assert!(unknown.contains("`2`"), "{unknown}");
    }
}
