//! A client of the API that needs no socket, and what it makes to test with.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use futures::future::BoxFuture;
use ringdown_rest::Api;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::contract;

pub const CALLER: &str = "+15551230001";
pub const V1: &str = "/test_framework/v1";
pub const OWN: &str = "/ringdown/v1";

/// Lists of the API; [`counted`] says how many objects one has.
pub const LISTS: [&str; 7] = [
    "/test_framework/v1/aiagents/",
    "/test_framework/v1/scenarios/",
    "/test_framework/v1/test-profiles/",
    "/test_framework/v1/phone-numbers/",
    "/test_framework/v1/runs/",
    "/test_framework/v1/results/",
    "/ringdown/v1/attempts/",
];

/// Objects in a list: of all pages, or of one that comes whole.
pub fn counted(list: &Value) -> u64 {
    match list {
        Value::Array(objects) => objects.len() as u64,
        page => page["count"].as_u64().unwrap(),
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
}

impl Answer {
    /// The body, which has to be JSON; `null` if there is none.
    pub fn json(&self) -> Value {
        if self.bytes.is_empty() {
            return Value::Null;
        }
        let declared = self.headers[header::CONTENT_TYPE].to_str().unwrap();
        assert_eq!(declared, "application/json", "{self:?}");
        serde_json::from_slice(&self.bytes).unwrap()
    }

    #[track_caller]
    pub fn ok(&self) -> Value {
        let text = String::from_utf8_lossy(&self.bytes);
        assert!(self.status.is_success(), "{}: {text}", self.status);
        self.json()
    }

    /// The answer has this status and `{"detail": "..."}`.
    #[track_caller]
    pub fn refused(&self, status: u16) -> String {
        let body = self.json();
        assert_eq!(self.status.as_u16(), status, "{body}");
        let detail = body["detail"].as_str().expect("a detail").to_owned();
        assert_eq!(body, json!({"detail": detail}));
        assert!(!detail.is_empty());
        detail
    }

    /// The answer is a 400 that says something about `field`, in the reference's form.
    #[track_caller]
    pub fn names(&self, field: &str) {
        let body = self.json();
        assert_eq!(self.status, StatusCode::BAD_REQUEST, "{body}");
        let messages = body.get(field).and_then(Value::as_array);
        let messages = messages.unwrap_or_else(|| panic!("{field} is not named: {body}"));
        assert!(!messages.is_empty(), "{body}");
        for message in messages {
            assert!(message.as_str().is_some_and(|m| m.len() > 5), "{body}");
        }
    }
}

/// A client of the API.
#[derive(Clone)]
pub struct Client {
    pub api: Api,
    pub key: Option<String>,
}

impl Client {
    pub fn with_key(&self, key: Option<&str>) -> Self {
        Self {
            api: self.api.clone(),
            key: key.map(str::to_owned),
        }
    }

    pub fn key(&self) -> &str {
        self.key.as_deref().unwrap()
    }

    /// Sends `body` as it is.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        content_type: Option<&str>,
        body: Vec<u8>,
    ) -> BoxFuture<'static, Answer> {
        self.send_with(method, path, content_type, &[], body)
    }

    /// Sends a JSON body with this `Idempotency-Key`.
    pub fn once(&self, path: &str, key: &str, body: &Value) -> BoxFuture<'static, Answer> {
        let body = serde_json::to_vec(body).unwrap();
        let key = [("idempotency-key", key)];
        self.send_with("POST", path, Some("application/json"), &key, body)
    }

    fn send_with(
        &self,
        method: &str,
        path: &str,
        content_type: Option<&str>,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> BoxFuture<'static, Answer> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "platform.test");
        if let Some(key) = &self.key {
            request = request.header("x-cekura-api-key", key);
        }
        if let Some(kind) = content_type {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.request(request.body(Body::from(body)).unwrap())
    }

    /// Sends a request as it is. The answer is not held against the documents.
    pub fn unchecked(&self, request: Request) -> BoxFuture<'static, Answer> {
        let answered = self.api.clone().oneshot(request);
        Box::pin(async move {
            let (parts, body) = answered.await.unwrap().into_parts();
            let kind = parts.headers.get(header::CONTENT_TYPE);
            // A stream of events has no end while its runs have none.
            let bytes = if kind.is_some_and(|kind| kind == "text/event-stream") {
                Vec::new()
            } else {
                to_bytes(body, usize::MAX).await.unwrap().to_vec()
            };
            Answer {
                status: parts.status,
                headers: parts.headers,
                bytes,
            }
        })
    }

    /// Sends a request as it is.
    pub fn request(&self, request: Request) -> BoxFuture<'static, Answer> {
        let (method, path) = (request.method().to_string(), request.uri().to_string());
        let answered = self.unchecked(request);
        Box::pin(async move {
            let answer = answered.await;
            contract::check(&contract::Answer {
                method: &method,
                path: &path,
                status: answer.status.as_u16(),
                body: serde_json::from_slice(&answer.bytes).ok().as_ref(),
            });
            answer
        })
    }

    /// Fetches something with further headers, which replace the usual ones.
    pub async fn get_with(&self, path: &str, headers: &[(&'static str, &str)]) -> Answer {
        let mut request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let usual = [("host", "platform.test"), ("x-cekura-api-key", self.key())];
        for (name, value) in usual.iter().chain(headers) {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        self.unchecked(request).await
    }

    /// Sends `body` as JSON.
    pub async fn ask(&self, method: &str, path: &str, body: &Value) -> Answer {
        let body = serde_json::to_vec(body).unwrap();
        self.send(method, path, Some("application/json"), body)
            .await
    }

    pub async fn try_get(&self, path: &str) -> Answer {
        self.send("GET", path, None, Vec::new()).await
    }

    pub async fn get(&self, path: &str) -> Value {
        self.try_get(path).await.ok()
    }

    /// A run as it is shown among others: without the attempts that it has when it is shown alone.
    pub async fn run_among_others(&self, run: i64) -> Value {
        let mut run = self.get(&format!("{V1}/runs/{run}/")).await;
        let metadata = run["metadata"].as_object_mut().unwrap();
        assert!(
            metadata
                .remove("attempts")
                .is_some_and(|attempts| attempts.is_array())
        );
        run
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        self.ask("POST", path, &body).await.ok()
    }

    pub async fn patch(&self, path: &str, body: Value) -> Value {
        self.ask("PATCH", path, &body).await.ok()
    }

    /// How many objects of every kind there are.
    pub async fn counts(&self) -> Vec<u64> {
        let mut counts = Vec::new();
        for list in LISTS {
            counts.push(counted(&self.get(&format!("{list}?page_size=1")).await));
        }
        let projects = self.get("/ringdown/v1/projects/").await;
        counts.push(projects.as_array().unwrap().len() as u64);
        counts
    }

    pub async fn number(&self, number: &str) -> i64 {
        let made = self.post("/ringdown/v1/phone-numbers/", json!({"number": number}));
        id(&made.await)
    }

    pub async fn agent(&self, name: &str) -> i64 {
        let agent = json!({"agent_name": name, "inbound": false, "contact_number": CALLER});
        id(&self.post(&format!("{V1}/aiagents/"), agent).await)
    }

    pub async fn scenario(&self, agent: i64, name: &str) -> i64 {
        let scenario = json!({"name": name, "agent": agent, "personality": 1});
        id(&self.post(&format!("{V1}/scenarios/"), scenario).await)
    }

    /// A number of its own, an agent that calls, and an evaluator.
    pub async fn catalogue(&self, number: &str) -> Catalogue {
        let number = self.number(number).await;
        let agent = self.agent("agent").await;
        Catalogue {
            number,
            agent,
            scenario: self.scenario(agent, "evaluator").await,
        }
    }

    /// Triggers `runs` runs of one evaluator.
    pub async fn trigger(&self, of: &Catalogue, runs: usize) -> Triggered {
        let body = json!({"scenarios": [of.scenario], "agent_id": of.agent, "frequency": runs});
        let path = format!("{V1}/scenarios/run_scenarios/");
        let answer = self.post(&path, body).await;
        let ids: Vec<i64> = answer["runs"].as_array().unwrap().iter().map(id).collect();
        assert_eq!(ids.len(), runs);
        Triggered {
            result: id(&answer),
            ids,
        }
    }

    /// The states of runs, in the order of their ids here.
    pub async fn statuses(&self, ids: &[i64]) -> Vec<String> {
        let list: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let path = format!("{V1}/runs/bulk/?run_ids={}", list.join(","));
        let runs = self.get(&path).await;
        let runs = runs.as_array().unwrap();
        assert_eq!(runs.iter().map(id).collect::<Vec<_>>(), ids);
        let status = |run: &Value| run["status"].as_str().unwrap().to_owned();
        runs.iter().map(status).collect()
    }
}

#[derive(Clone, Copy)]
pub struct Catalogue {
    pub number: i64,
    pub agent: i64,
    pub scenario: i64,
}

pub struct Triggered {
    pub result: i64,
    pub ids: Vec<i64>,
}

pub fn id(value: &Value) -> i64 {
    value["id"].as_i64().unwrap_or_else(|| panic!("{value}"))
}
