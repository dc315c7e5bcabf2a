use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Extract;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use schemars::JsonSchema;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::operations::Table;
use super::{Api, State, served};

/// Media type of the Prometheus text format.
const EXPOSITION: &str = "text/plain; version=0.0.4";

const PING_DEADLINE: Duration = Duration::from_secs(2);

/// Longest time for one of the pages alone.
const PROBE_DEADLINE: Duration = Duration::from_secs(5);

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

/// The health pages alone, for a process without the REST API. `is_connected` says whether it reaches NATS.
pub fn probes(
    health: Arc<Health>,
    is_connected: impl Fn() -> bool + Clone + Send + Sync + 'static,
) -> Api {
    let rendered = Arc::clone(&health);
    let router = Router::new()
        .route("/healthz", get(alive))
        .route(
            "/readyz",
            get(async move || readiness(&health, is_connected(), true)),
        )
        .route("/metrics", get(async move || exposition(&rendered)));
    served(router, PROBE_DEADLINE)
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
    let ping = tokio::time::timeout(PING_DEADLINE, state.store().ping()).await;
    let is_connected = state.engine.bus().is_connected();
    readiness(&state.health, is_connected, matches!(ping, Ok(Ok(()))))
}

fn readiness(health: &Health, is_connected: bool, has_database: bool) -> Response {
    let mut missing = Vec::new();
    if health.is_draining() {
        missing.push("draining: no new work is taken");
    }
    if !has_database {
        missing.push("the database does not answer");
    }
    if !is_connected {
        missing.push("NATS is not connected");
    }
    let (code, status) = match missing.is_empty() {
        true => (StatusCode::OK, "ready"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
    };
    (code, Json(Ready { status, missing })).into_response()
}

pub(crate) async fn metrics(Extract(state): Extract<State>) -> Response {
    exposition(&state.health)
}

fn exposition(health: &Health) -> Response {
    let kind = [(header::CONTENT_TYPE, EXPOSITION)];
    (kind, (health.metrics)()).into_response()
}
