use std::sync::Arc;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::Kind;

/// The JSON object that an operation reads. Bodies are read field by field, so they are mostly
/// declared that way too.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    schema: Value,
}

impl Body {
    /// An object without fields; add them with [`required`](Self::required) and
    /// [`optional`](Self::optional). Other fields are refused unless it is [`lenient`](Self::lenient).
    pub(crate) fn new() -> Self {
        Self::of_schema(json!({"type": "object", "additionalProperties": false}))
    }

    /// What `T` reads.
    pub(crate) fn of<T: JsonSchema>() -> Self {
        let settings = SchemaSettings::draft2020_12().for_deserialize();
        let inline = settings.with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        });
        Self::of_schema(inline.into_generator().into_root_schema_for::<T>().into())
    }

    /// Whatever this JSON schema says.
    pub(crate) fn of_schema(schema: Value) -> Self {
        Self { schema }
    }

    /// A field that has to be there.
    pub(crate) fn required(self, name: &str, kind: Kind, about: &str) -> Self {
        let mut body = self.field(name, kind.schema(), about);
        if let Value::Object(schema) = &mut body.schema
            && let Value::Array(required) = schema
                .entry("required")
                .or_insert_with(|| Value::Array(Vec::new()))
        {
            required.push(name.into());
        }
        body
    }

    /// A field that may be absent or null.
    pub(crate) fn optional(self, name: &str, kind: Kind, about: &str) -> Self {
        self.field(name, or_null(kind.schema()), about)
    }

    fn field(mut self, name: &str, mut schema: Value, about: &str) -> Self {
        if let Value::Object(schema) = &mut schema {
            schema.insert("description".to_owned(), about.into());
        }
        if let Value::Object(body) = &mut self.schema
            && let Value::Object(properties) = body
                .entry("properties")
                .or_insert_with(|| Value::Object(Map::new()))
        {
            properties.insert(name.to_owned(), schema);
        }
        self
    }

    /// Fields beyond the declared ones are no error: they are kept as they came, or ignored.
    pub(crate) fn lenient(mut self) -> Self {
        if let Value::Object(body) = &mut self.schema {
            body.insert("additionalProperties".to_owned(), true.into());
        }
        self
    }

    /// The same fields, none of which has to be there: what PATCH takes where PUT takes `self`.
    pub(crate) fn partly(mut self) -> Self {
        if let Value::Object(body) = &mut self.schema {
            body.remove("required");
        }
        self
    }

    pub(super) fn schema(&self) -> &Value {
        &self.schema
    }

    /// The names of its fields, where the schema lists them.
    pub(super) fn names(&self) -> Option<Arc<[String]>> {
        let properties = self.schema.get("properties")?.as_object()?;
        Some(properties.keys().cloned().collect())
    }
}

/// The same or null.
fn or_null(mut schema: Value) -> Value {
    if let Value::Object(map) = &mut schema {
        if let Some(Value::String(kind)) = map.get("type").cloned() {
            map.insert("type".to_owned(), json!([kind, "null"]));
        }
        if let Some(Value::Array(texts)) = map.get_mut("enum") {
            texts.push(Value::Null);
        }
    }
    schema
}
