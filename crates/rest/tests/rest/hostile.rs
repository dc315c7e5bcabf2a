//! Every operation of the document, asked with values that no field or parameter expects: refused or
//! ignored, never a failure inside, and nothing is stored by what was refused. On both databases, which
//! differ in what they take.

use axum::body::Body;
use axum::extract::Request;
use serde_json::{Value, json};

use crate::world::{Catalogue, World};

/// Values of a path or query, percent-encoded.
const TEXTS: &[&str] = &[
    "%00",
    "a%00b",
    "%FF%FE",
    "%ED%A0%80",
    "-1",
    "0",
    "9223372036854775807",
    "9223372036854775808",
    "99999999999999999999999999",
    "1e400",
    "NaN",
    "true",
    "1,2,9223372036854775807",
    "%27;--",
    "%25_%5C",
    "0000-00-00",
    "0001-01-01T00:00:00Z",
    "-009999-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
    "%2B275760-09-13T00:00:00Z",
    "2026-02-30T25:61:61Z",
    "2026-01-01T00:00:00%2B99:99",
];

/// Values of a field, as JSON.
const VALUES: &[&str] = &[
    r#""\u0000""#,
    r#""a\u0000b""#,
    r#"{"a\u0000": ["\u0000"]}"#,
    r#"["\u0000"]"#,
    "9223372036854775807",
    "-9223372036854775808",
    "99999999999999999999999999",
    "1e308",
    "-0.0",
    r#""0001-01-01T00:00:00Z""#,
    r#""9999-12-31T23:59:59.999999999Z""#,
    r#""-009999-01-01T00:00:00Z""#,
    r#""2026-02-30T25:61:61Z""#,
    "[[[]]]",
];

/// What no JSON reader here takes.
const NO_JSON: &[&str] = &[
    "1e400",
    r#""\ud800""#,
    r#""\udc00\ud800""#,
    "01",
    "+1",
    "Infinity",
];

struct Operation {
    method: String,
    path: String,
    queries: Vec<String>,
    fields: Vec<String>,
}

fn operations(document: &Value) -> Vec<Operation> {
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let none = Vec::new();
            let parameters = operation["parameters"].as_array().unwrap_or(&none);
            let queries = parameters.iter().filter(|asked| asked["in"] == "query");
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let schema = match schema["$ref"].as_str() {
                Some(name) => document.pointer(name.trim_start_matches('#')).unwrap(),
                None => schema,
            };
            let fields = schema["properties"].as_object();
            found.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                queries: queries
                    .map(|asked| asked["name"].as_str().unwrap().to_owned())
                    .collect(),
                fields: fields.map_or_else(Vec::new, |of| of.keys().cloned().collect()),
            });
        }
    }
    found
}

/// A path with ids that exist, as far as one catalogue has them.
fn filled(path: &str, made: &Catalogue) -> String {
    let id = if path.contains("scenarios") {
        made.scenario
    } else if path.contains("phone-numbers") {
        made.number
    } else {
        made.agent
    };
    let mut filled = String::new();
    for part in path.split_inclusive('/') {
        match part.strip_prefix('{') {
            Some(rest) => filled.push_str(&format!("{id}{}", rest.split_once('}').unwrap().1)),
            None => filled.push_str(part),
        }
    }
    filled
}

async fn asked(world: &World, method: &str, path: &str, body: Option<String>) -> u16 {
    let shown = body.clone().unwrap_or_default();
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "platform.test")
        .header("x-cekura-api-key", world.us.key());
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    let body = Body::from(body.unwrap_or_default());
    // Not held against the documents: fields that are kept as they came are shown as they came.
    let answer = world.us.unchecked(request.body(body).unwrap()).await;
    let status = answer.status.as_u16();
    assert!(
        status < 500,
        "{method} {path} {shown:.200}: {status} {}",
        String::from_utf8_lossy(&answer.bytes)
    );
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_nothing_expects_do_no_harm() {
    let running = World::start().await;
    let (world, us) = (&running, &running.us);
    let made = us.catalogue("+15559990001").await;
    let document = ringdown_rest::openapi("http://platform.test");
    let mut requests = 0;
    for operation in operations(&document) {
        let Operation { method, path, .. } = &operation;
        // What changes something by being asked at all is asked with a body only.
        if method == "GET" || path.contains('{') {
            for text in TEXTS {
                if let Some(at) = path.find('{') {
                    let (_, after) = path.split_once('}').unwrap();
                    let path = format!("{}{text}{after}", &path[..at])
                        .replace('{', "")
                        .replace('}', "");
                    if text.parse::<u8>().is_err() {
                        asked(world, method, &path, Some("{}".to_owned())).await;
                        requests += 1;
                    }
                }
                for query in operation.queries.iter().filter(|_| method == "GET") {
                    let path = format!("{}?{query}={text}", filled(path, &made));
                    asked(world, method, &path, None).await;
                    requests += 1;
                }
            }
        }
        let path = filled(path, &made);
        for field in &operation.fields {
            let before = us.counts().await;
            let mut accepted = false;
            // A long list only in something new: an object that keeps many is slow to change.
            let long = (method == "POST").then(|| json!(vec![1; 10_001]).to_string());
            for value in VALUES.iter().map(|value| (*value).to_owned()).chain(long) {
                let body = format!("{{{}: {value}}}", json!(field));
                accepted |= asked(world, method, &path, Some(body)).await < 400;
                requests += 1;
            }
            if !accepted {
                assert_eq!(us.counts().await, before, "{method} {path} {field}");
            }
        }
        if let Some(field) = operation.fields.first() {
            for value in NO_JSON {
                let body = format!("{{{}: {value}}}", json!(field));
                assert!(
                    asked(world, method, &path, Some(body)).await >= 400,
                    "{path} {value}"
                );
            }
        }
    }
    assert!(requests > 3000, "{requests}");
    running.close().await;
}

/// Of two values under one name the last one counts, as everywhere where JSON is read leniently, and what
/// is refused in it is refused.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_of_two_values_counts() {
    let world = World::start().await;
    let agents = "/test_framework/v1/aiagents/";
    let kind = Some("application/json");
    let body = r#"{"inbound": true, "agent_name": "first", "agent_name": 7}"#;
    let answer = world.us.send("POST", agents, kind, body.into()).await;
    answer.names("agent_name");
    let body = r#"{"inbound": true, "agent_name": 7, "agent_name": "last"}"#;
    let made = world.us.send("POST", agents, kind, body.into()).await.ok();
    assert_eq!(made["agent_name"], "last");
    assert_eq!(world.us.get(agents).await["count"], 1);
    world.close().await;
}
