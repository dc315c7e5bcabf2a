use std::time::Duration;

use axum::Json;
use axum::extract::State as Extract;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::State;
use super::operations::Table;

/// Media type of the Prometheus text format.
const EXPOSITION: &str = "text/plain; version=0.0.4";

const PING_DEADLINE: Duration = Duration::from_secs(2);

/// What the health pages report.
pub struct Health {
    draining: CancellationToken,
    metrics: Box<dyn Fn() -> String + Send + Sync>,
}

impl Health {
    /// `metrics` renders the Prometheus text exposition.
    pub fn new(metrics: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self {
            draining: CancellationToken::new(),
            metrics: Box::new(metrics),
        }
    }

    /// From now on the process is not ready: it takes no new work.
    pub fn drain(&self) {
        self.draining.cancel();
    }

    /// Whether the process takes no new work.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Cancelled once the process takes no new work.
    pub(crate) fn drained(&self) -> CancellationToken {
        self.draining.clone()
    }
}

pub(crate) fn operations(table: &mut Table) {
    table.tag("Health", "For load balancers and Prometheus.");
    table
        .get("/healthz", alive)
        .id("ringdown-healthz")
        .summary("Ask whether the process is alive")
        .open()
        .answers::<Alive>(200);
    table
        .get("/readyz", ready)
        .id("ringdown-readyz")
        .summary("Ask whether the process takes work")
        .open()
        .answers::<Ready>(200)
        .answers::<Ready>(503);
    table
        .get("/metrics", metrics)
        .id("ringdown-metrics")
        .summary("Fetch metrics for Prometheus")
        .open()
        .answers_media(200, EXPOSITION);
}

/// The process answers.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Alive {
    /// Always `alive`.
    status: &'static str,
}

/// Whether the process takes work.
#[derive(Serialize, JsonSchema)]
struct Ready {
    /// `ready` or `not ready`.
    status: &'static str,
    /// What keeps it from being ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<&'static str>,
}

pub(crate) async fn alive() -> Json<Alive> {
    Json(Alive { status: "alive" })
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
    let (code, status) = match missing.is_empty() {
        true => (StatusCode::OK, "ready"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
    };
    (code, Json(Ready { status, missing })).into_response()
}

pub(crate) async fn metrics(Extract(state): Extract<State>) -> Response {
    let kind = [(header::CONTENT_TYPE, EXPOSITION)];
    (kind, (state.health.metrics)()).into_response()
}
