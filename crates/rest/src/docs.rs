//! The OpenAPI document, and a page to try the operations from a browser.

use std::sync::Arc;

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};
use utoipa_swagger_ui::Config;

use super::operations::{Kind, Table};
use super::pages::base;
use super::paths::AsAsked;
use crate::error::{Answer, Failure};

/// Only what this server serves; the page styles its own elements.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

pub(crate) fn operations(table: &mut Table) {
    table.tag("Documentation", "This document, and a page to try it.");
    table
        .get("/openapi.json", document)
        .id("ringdown-openapi")
        .summary("Fetch this document")
        .open()
        .answers::<Value>(200);
    table
        .get("/docs", index)
        .id("ringdown-docs")
        .summary("Try the operations in a browser")
        .open()
        .answers_media(200, "text/html")
        .answers_nothing(308);
    table
        .get("/docs/{file}", file)
        .id("ringdown-docs-file")
        .summary("Fetch a part of that page")
        .path("file", Kind::Text, "Its name.")
        .open()
        .answers_media(200, "*/*");
}

/// The document of this server, built once; a request only fills in where the server is.
#[derive(Clone, Debug)]
pub(crate) struct Document(Arc<Value>);

impl Document {
    pub(crate) fn of(table: &Table) -> Self {
        Self(Arc::new(table.document("")))
    }
}

async fn document(Extension(document): Extension<Document>, headers: HeaderMap) -> Json<Value> {
    let mut document = Value::clone(&document.0);
    if let Value::Object(map) = &mut document {
        map.insert("servers".to_owned(), json!([{"url": base(&headers)}]));
    }
    Json(document)
}

async fn index(Extension(asked): Extension<AsAsked>) -> Answer<Response> {
    // Without the slash the page would look for its parts beside itself.
    if !asked.0.ends_with('/') {
        let there = [(header::LOCATION, "docs/")];
        return Ok((StatusCode::PERMANENT_REDIRECT, there).into_response());
    }
    page("index.html")
}

async fn file(Path(name): Path<String>) -> Answer<Response> {
    page(&name)
}

fn page(name: &str) -> Answer<Response> {
    let config = Config::new(["../openapi.json"]).validator_url("none");
    let found = utoipa_swagger_ui::serve(name, Arc::new(config))
        .map_err(|error| Failure::internal(&error.to_string()))?;
    let Some(found) = found else {
        return Err(Failure::detail(
            StatusCode::NOT_FOUND,
            "The page has no such part.",
        ));
    };
    let headers: [(HeaderName, &str); 4] = [
        (header::CONTENT_TYPE, &found.content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    Ok((headers, found.bytes.into_owned()).into_response())
}
