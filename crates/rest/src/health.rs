use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Json;
use axum::extract::State as Extract;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::State;

const PING_DEADLINE: Duration = Duration::from_secs(2);

/// What the health pages report.
pub struct Health {
    draining: AtomicBool,
    metrics: Box<dyn Fn() -> String + Send + Sync>,
}

impl Health {
    /// `metrics` renders the Prometheus text exposition.
    pub fn new(metrics: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self {
            draining: AtomicBool::new(false),
            metrics: Box::new(metrics),
        }
    }

    /// From now on the process is not ready: it takes no new work.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the process takes no new work.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

pub(crate) async fn alive() -> Json<serde_json::Value> {
    Json(json!({"status": "alive"}))
}

pub(crate) async fn ready(Extract(state): Extract<State>) -> Response {
    let mut missing = Vec::new();
    if state.health.is_draining() {
        missing.push("draining: no new work is taken");
    }
    let ping = tokio::time::timeout(PING_DEADLINE, state.store().ping()).await;
    if !matches!(ping, Ok(Ok(()))) {
        missing.push("the database does not answer");
    }
    if !state.engine.bus().is_connected() {
        missing.push("NATS is not connected");
    }
    if missing.is_empty() {
        Json(json!({"status": "ready"})).into_response()
    } else {
        let body = Json(json!({"status": "not ready", "missing": missing}));
        (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
    }
}

pub(crate) async fn metrics(Extract(state): Extract<State>) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    (kind, (state.health.metrics)()).into_response()
}
