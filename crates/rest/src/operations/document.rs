use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::{Content, Operation, Parameter, Table};
use ringdown_api::{API_KEY_HEADER, Detail, FieldErrors};

const ABOUT: &str = "Tests voice agents that place outbound calls. Paths are served with and \
    without the trailing slash, and those of the compatible API also with `-external` after the \
    name of the resource.";

impl Table {
    /// The OpenAPI 3.1 document. `base` is the server's URL without a trailing slash.
    pub(crate) fn document(&self, base: &str) -> Value {
        let settings = SchemaSettings::draft2020_12().for_serialize();
        let mut schemas = settings
            .with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
            })
            .into_generator();
        let mut paths = Map::new();
        for operation in &self.operations {
            let entry = paths
                .entry(operation.documented_path())
                .or_insert_with(|| json!({}));
            if let Value::Object(methods) = entry {
                let name = operation.method.as_str().to_owned();
                methods.insert(name, operation.document(&mut schemas));
            }
        }
        let errors = [
            schemas.subschema_for::<FieldErrors>(),
            schemas.subschema_for::<Detail>(),
        ];
        let tags = self
            .tags
            .iter()
            .map(|(name, about)| json!({"name": name, "description": about}));
        let mut document = json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Ringdown",
                "version": env!("CARGO_PKG_VERSION"),
                "description": ABOUT,
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": base}],
            "tags": tags.collect::<Value>(),
            "security": [{"key": []}],
            "paths": paths,
            "components": {
                "securitySchemes": {
                    "key": {"type": "apiKey", "in": "header", "name": API_KEY_HEADER},
                },
                "responses": {
                    "Error": {
                        "description": "What is wrong, by field or as a whole.",
                        "content": {"application/json": {"schema": {"anyOf": errors}}},
                    },
                },
                "schemas": schemas.take_definitions(true),
            },
        });
        // The order is to be the same however serde_json was built.
        document.sort_all_objects();
        document
    }
}

impl Operation {
    /// Documented paths end with a slash, as the reference's do; pages without a key do not.
    fn documented_path(&self) -> String {
        match self.role {
            Some(_) => format!("{}/", self.path),
            None => self.path.to_owned(),
        }
    }

    fn document(&self, schemas: &mut SchemaGenerator) -> Value {
        let mut out = json!({"operationId": self.id, "summary": self.summary, "tags": [self.tag]});
        let Value::Object(map) = &mut out else {
            return out;
        };
        let mut set = |name: &str, value: Value| map.insert(name.to_owned(), value);
        if let Some(about) = self.about {
            set("description", about.into());
        }
        let parameters: Vec<Value> = self
            .path_parameters
            .iter()
            .map(|parameter| parameter.document("path"))
            .chain(self.query.iter().map(|one| one.document("query")))
            .collect();
        if !parameters.is_empty() {
            set("parameters", parameters.into());
        }
        if let Some(body) = &self.body {
            let content = json!({"application/json": {"schema": body.schema()}});
            set("requestBody", json!({"required": true, "content": content}));
        }
        match self.role {
            Some(role) => set("x-required-role", role.as_str().into()),
            None => set("security", json!([])),
        };
        if self.whole_organisation {
            set("x-whole-organization", true.into());
        }
        if self.operator {
            set("x-operator", true.into());
        }
        let mut responses = Map::new();
        for reply in &self.replies {
            let content = match reply.content {
                Content::Nothing => None,
                Content::Json(schema) => {
                    Some(json!({"application/json": {"schema": schema(schemas)}}))
                }
                Content::Media(media) => Some(json!({media: {}})),
            };
            let mut response = json!({"description": describe(reply.status)});
            if let (Some(content), Value::Object(map)) = (content, &mut response) {
                map.insert("content".to_owned(), content);
            }
            responses.insert(reply.status.to_string(), response);
        }
        responses.insert(
            "default".to_owned(),
            json!({"$ref": "#/components/responses/Error"}),
        );
        set("responses", responses.into());
        out
    }
}

impl Parameter {
    fn document(&self, place: &str) -> Value {
        json!({
            "name": self.name,
            "in": place,
            "required": self.required,
            "description": self.about,
            "schema": self.kind.schema(),
        })
    }
}

fn describe(status: u16) -> &'static str {
    match status {
        200 => "Done.",
        201 => "Created.",
        202 => "Accepted; it will be done.",
        204 => "Done; there is nothing to say.",
        308 => "The page is at the same path with a slash.",
        503 => "Not now.",
        _ => "See the status.",
    }
}
