//! The one table of operations. Each is declared once, beside its handler; the router and the
//! OpenAPI document are both made from it, so neither can say what the other does not.
//!
//! A handler that reads a query parameter or a field of the body that its operation does not declare
//! is a defect. Debug builds stop at it ([`Declared`]).
//!
//! ```ignore
//! pub(crate) fn operations(table: &mut Table) {
//!     table.tag("Agents", "The voice agents under test.");
//!     table
//!         .get("/test_framework/v1/aiagents", list)
//!         .id("aiagents-v1-list")
//!         .summary("List agents")
//!         .paged()
//!         .query("project_id", Kind::Id, "Only of this project.")
//!         .answers::<Page<Agent>>(200);
//! }
//! ```

mod body;
mod document;
mod kind;

use std::sync::Arc;

use axum::handler::Handler;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter, on};
use axum::{Extension, Router};
use schemars::{JsonSchema, Schema, SchemaGenerator};

pub(crate) use body::Body;
pub(crate) use kind::Kind;

use super::State;
use super::auth::{Guard, Needs, require};
use ringdown_store::Role;

/// Every operation of the server, in the order of their declaration.
#[derive(Default)]
pub(crate) struct Table {
    tags: Vec<(&'static str, &'static str)>,
    operations: Vec<Operation>,
}

/// Methods an operation may have. HEAD is served with every GET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Post => MethodFilter::POST,
            Self::Put => MethodFilter::PUT,
            Self::Patch => MethodFilter::PATCH,
            Self::Delete => MethodFilter::DELETE,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Put => "put",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }
}

/// A parameter of a query or path.
struct Parameter {
    name: &'static str,
    kind: Kind,
    about: &'static str,
    required: bool,
}

/// What one status answers with.
struct Reply {
    status: u16,
    content: Content,
}

enum Content {
    /// A status alone.
    Nothing,
    /// JSON with this schema.
    Json(fn(&mut SchemaGenerator) -> Schema),
    /// Something else, by media type.
    Media(&'static str),
}

/// One operation. Its methods add to the declaration and can be chained.
pub(crate) struct Operation {
    method: Method,
    path: &'static str,
    handler: MethodRouter<State>,
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    about: Option<&'static str>,
    path_parameters: Vec<Parameter>,
    query: Vec<Parameter>,
    body: Option<Body>,
    replies: Vec<Reply>,
    /// The role its caller needs; `None` if no key is asked for.
    role: Option<Role>,
    /// Whether a key that is bound to a project does not do.
    whole_organisation: bool,
    /// Whether it takes a key that administers the deployment.
    operator: bool,
}

impl Table {
    /// Puts the operations that follow under a heading of the document.
    pub(crate) fn tag(&mut self, name: &'static str, about: &'static str) {
        self.tags.push((name, about));
    }

    /// Declares a GET. `path` has no trailing slash; both spellings are served.
    pub(crate) fn get<H, T>(&mut self, path: &'static str, handler: H) -> &mut Operation
    where
        H: Handler<T, State>,
        T: 'static,
    {
        self.add(Method::Get, path, handler)
    }

    /// Declares a POST.
    pub(crate) fn post<H, T>(&mut self, path: &'static str, handler: H) -> &mut Operation
    where
        H: Handler<T, State>,
        T: 'static,
    {
        self.add(Method::Post, path, handler)
    }

    /// Declares a PUT.
    pub(crate) fn put<H, T>(&mut self, path: &'static str, handler: H) -> &mut Operation
    where
        H: Handler<T, State>,
        T: 'static,
    {
        self.add(Method::Put, path, handler)
    }

    /// Declares a PATCH.
    pub(crate) fn patch<H, T>(&mut self, path: &'static str, handler: H) -> &mut Operation
    where
        H: Handler<T, State>,
        T: 'static,
    {
        self.add(Method::Patch, path, handler)
    }

    /// Declares a DELETE.
    pub(crate) fn delete<H, T>(&mut self, path: &'static str, handler: H) -> &mut Operation
    where
        H: Handler<T, State>,
        T: 'static,
    {
        self.add(Method::Delete, path, handler)
    }

    fn add<H, T>(&mut self, method: Method, path: &'static str, handler: H) -> &mut Operation
    where
        H: Handler<T, State>,
        T: 'static,
    {
        let role = match method {
            Method::Get => Role::Viewer,
            _ => Role::Editor,
        };
        let in_path = path.split(['{', '}']).skip(1).step_by(2);
        self.operations.push_mut(Operation {
            method,
            path,
            handler: on(method.filter(), handler),
            id: "",
            tag: self.tags.last().map_or("", |(name, _)| name),
            summary: "",
            about: None,
            path_parameters: in_path.map(Parameter::in_path).collect(),
            query: Vec::new(),
            body: None,
            replies: Vec::new(),
            role: Some(role),
            whole_organisation: false,
            operator: false,
        })
    }

    /// The router: every operation behind the key and role it asks for.
    pub(crate) fn router(self, state: &State) -> Router<State> {
        let mut router = Router::new();
        for operation in self.operations {
            let declared = Declared::of(&operation);
            let mut route = operation.handler;
            if let Some(role) = operation.role {
                let method = operation.method.as_str().to_uppercase();
                let guard = Guard {
                    state: state.clone(),
                    needs: Needs {
                        role,
                        whole_organisation: operation.whole_organisation,
                        operator: operation.operator,
                    },
                    operation: format!("{method} {}", operation.path).into(),
                };
                route = route.route_layer(from_fn_with_state(guard, require));
            }
            router = router.route(operation.path, route.route_layer(Extension(declared)));
        }
        router
    }
}

impl Parameter {
    fn in_path(name: &'static str) -> Self {
        Self {
            name,
            kind: Kind::Id,
            about: "Which one.",
            required: true,
        }
    }
}

impl Operation {
    /// The `operationId`; the reference's, where it has the operation.
    pub(crate) fn id(&mut self, id: &'static str) -> &mut Self {
        self.id = id;
        self
    }

    /// A few words, as a heading.
    pub(crate) fn summary(&mut self, summary: &'static str) -> &mut Self {
        self.summary = summary;
        self
    }

    /// What else a caller should know.
    pub(crate) fn about(&mut self, about: &'static str) -> &mut Self {
        self.about = Some(about);
        self
    }

    /// Says more about a `{name}` of the path, which is an id unless told otherwise.
    pub(crate) fn path(
        &mut self,
        name: &'static str,
        kind: Kind,
        about: &'static str,
    ) -> &mut Self {
        for parameter in &mut self.path_parameters {
            if parameter.name == name {
                (parameter.kind, parameter.about) = (kind, about);
            }
        }
        self
    }

    /// A query parameter that may be left out.
    pub(crate) fn query(
        &mut self,
        name: &'static str,
        kind: Kind,
        about: &'static str,
    ) -> &mut Self {
        self.query.push(Parameter {
            name,
            kind,
            about,
            required: false,
        });
        self
    }

    /// A query parameter that has to be there.
    pub(crate) fn required_query(
        &mut self,
        name: &'static str,
        kind: Kind,
        about: &'static str,
    ) -> &mut Self {
        self.query(name, kind, about);
        if let Some(parameter) = self.query.last_mut() {
            parameter.required = true;
        }
        self
    }

    /// The parameters of a list that comes in pages.
    pub(crate) fn paged(&mut self) -> &mut Self {
        self.query("page", Kind::Integer, "Which page, from 1.");
        self.query(
            "page_size",
            Kind::Integer,
            "Items per page, 1 to 500; 30 if absent.",
        )
    }

    /// The JSON object the body has to be.
    pub(crate) fn takes(&mut self, body: Body) -> &mut Self {
        self.body = Some(body);
        self
    }

    /// Answers `status` with a `T` as JSON.
    pub(crate) fn answers<T: JsonSchema>(&mut self, status: u16) -> &mut Self {
        self.replies.push(Reply {
            status,
            content: Content::Json(SchemaGenerator::subschema_for::<T>),
        });
        self
    }

    /// Answers `status` without a body.
    pub(crate) fn answers_nothing(&mut self, status: u16) -> &mut Self {
        self.replies.push(Reply {
            status,
            content: Content::Nothing,
        });
        self
    }

    /// Answers `status` with something that is not JSON.
    pub(crate) fn answers_media(&mut self, status: u16, media: &'static str) -> &mut Self {
        self.replies.push(Reply {
            status,
            content: Content::Media(media),
        });
        self
    }

    /// The role its caller needs. Without this: viewer for GET, editor for the other methods.
    pub(crate) fn role(&mut self, role: Role) -> &mut Self {
        self.role = Some(role);
        self
    }

    /// A key that is bound to a project does not do.
    pub(crate) fn whole_organisation(&mut self) -> &mut Self {
        self.whole_organisation = true;
        self
    }

    /// Only a key that administers the deployment does.
    pub(crate) fn operator(&mut self) -> &mut Self {
        self.operator = true;
        self.role(Role::Admin)
    }

    /// Asks for no key.
    pub(crate) fn open(&mut self) -> &mut Self {
        self.role = None;
        self
    }
}

/// The names an operation declares, carried by its requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Declared {
    query: Arc<[&'static str]>,
    body: Option<Arc<[String]>>,
}

impl Declared {
    fn of(operation: &Operation) -> Self {
        Self {
            query: operation.query.iter().map(|one| one.name).collect(),
            body: match &operation.body {
                Some(body) => body.names(),
                None => Some(Arc::default()),
            },
        }
    }

    /// Stops a debug build whose handler reads an undeclared query parameter.
    pub(crate) fn check_query(&self, name: &str) {
        debug_assert!(
            self.query.contains(&name),
            "the query parameter {name} is read but not declared; add .query({name:?}, ...)"
        );
    }

    /// Stops a debug build whose handler reads an undeclared field of the body.
    pub(crate) fn check_field(&self, name: &str) {
        debug_assert!(
            self.body
                .as_ref()
                .is_none_or(|names| names.iter().any(|known| known == name)),
            "the field {name} is read but not declared in the operation's .takes(...)"
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    async fn nothing() {}

    fn declared() -> Table {
        let mut table = Table::default();
        table.tag("Things", "All of them.");
        table
            .patch("/v1/things/{id}", nothing)
            .id("things-change")
            .summary("Change a thing")
            .query("dry", Kind::Flag, "Only try.")
            .takes(
                Body::new()
                    .required("name", Kind::Short(8), "Its name.")
                    .optional("size", Kind::OneOf(&["s", "l"]), "Its size."),
            )
            .role(Role::Admin)
            .answers_nothing(204);
        table.get("/alive", nothing).open().answers::<bool>(200);
        table
    }

    #[test]
    fn the_document_says_what_was_declared() {
        let document = declared().document("http://here");
        assert_eq!(document["servers"], json!([{"url": "http://here"}]));
        let change = &document["paths"]["/v1/things/{id}/"]["patch"];
        assert_eq!(change["operationId"], "things-change");
        assert_eq!(change["tags"], json!(["Things"]));
        assert_eq!(change["x-required-role"], "admin");
        assert_eq!(change["parameters"][0]["name"], "id");
        assert_eq!(change["parameters"][0]["in"], "path");
        assert_eq!(change["parameters"][1]["name"], "dry");
        let body = &change["requestBody"]["content"]["application/json"]["schema"];
        assert_eq!(body["required"], json!(["name"]));
        assert_eq!(body["additionalProperties"], false);
        let size = &body["properties"]["size"];
        assert_eq!(size["type"], json!(["string", "null"]));
        assert_eq!(size["enum"], json!(["s", "l", null]));
        assert!(change["responses"]["204"].get("content").is_none());
        let alive = &document["paths"]["/alive"]["get"];
        assert_eq!(alive["security"], json!([]));
        let answer = &alive["responses"]["200"]["content"]["application/json"]["schema"];
        assert_eq!(answer["type"], "boolean");
    }

    #[test]
    fn what_is_declared_may_be_read() {
        let declared = Declared::of(&declared().operations[0]);
        declared.check_query("dry");
        declared.check_field("size");
    }

    #[test]
    #[should_panic(expected = "the query parameter wet is read but not declared")]
    fn an_undeclared_query_parameter_may_not() {
        Declared::of(&declared().operations[0]).check_query("wet");
    }

    #[test]
    #[should_panic(expected = "the field colour is read but not declared")]
    fn an_undeclared_field_may_not() {
        Declared::of(&declared().operations[0]).check_field("colour");
    }

    #[test]
    #[should_panic(expected = "the field name is read but not declared")]
    fn nor_any_field_of_an_operation_without_a_body() {
        Declared::of(&declared().operations[1]).check_field("name");
    }
}
