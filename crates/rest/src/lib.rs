//! The REST API: the reference service's, plus our own additions under `/ringdown/v1/`.
//!
//! Paths are served with and without the `-external` suffix and the trailing slash. Every error is
//! JSON: `{"field": ["message"]}` for fields, `{"detail": "message"}` otherwise.
//!
//! Every operation is declared once, in the `operations` function of its resource's module; the
//! router and the OpenAPI document are made from those declarations. The document is at `/openapi.json`, a page to try it
//! at `/docs/`.

mod agents;
mod attempts;
mod auth;
mod body;
mod callbacks;
mod carriers;
mod cron_jobs;
mod dispatch;
mod docs;
mod doctor;
mod error;
mod events;
mod health;
mod imports;
mod kept;
mod listen;
mod metrics;
mod numbers;
mod operations;
mod own;
mod pages;
mod paths;
mod personalities;
mod profiles;
mod queue;
mod results;
mod runs;
mod scenarios;
mod teams;
mod trigger;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Router};
use ringdown_store::{Artefacts, Store};
use ringdown_vault::Keyring;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tower::util::MapRequest;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;
use tracing::Instrument as _;

pub use auth::{Access, ApiKey, Limits, hash_key};
pub use dispatch::Dispatcher;
pub use doctor::Deployment;
pub use health::{Health, probes};

use error::Failure;
use operations::Table;

use ringdown_platform::Engine;

/// Longest a request may take, body and all.
const REQUEST_DEADLINE: Duration = Duration::from_secs(60);

/// What the handlers share.
#[derive(Clone)]
pub struct State {
    /// The engine.
    pub engine: Engine,
    /// Recordings.
    pub artefacts: Artefacts,
    /// What the health pages report.
    pub health: Arc<Health>,
    /// Keys that seal credentials before they are stored.
    pub keyring: Arc<Keyring>,
    /// Sends requests to addresses that users name.
    pub egress: ringdown_egress::Client,
    /// Asks providers whose a number is.
    pub accounts: ringdown_carrier::account::Accounts,
    /// Who may enter, and how often.
    pub access: Access,
    /// What is known of the roles beside it.
    pub deployment: Deployment,
}

impl State {
    fn store(&self) -> &dyn Store {
        self.engine.store().as_ref()
    }
}

/// The API as a service: paths are normalised before they are routed.
pub type Api = MapRequest<Router, fn(Request) -> Request>;

/// Every operation. Each module declares its own; the order is that of the document.
fn table() -> Table {
    let mut table = Table::default();
    agents::operations(&mut table);
    scenarios::operations(&mut table);
    trigger::operations(&mut table);
    runs::operations(&mut table);
    results::operations(&mut table);
    numbers::operations(&mut table);
    imports::operations(&mut table);
    profiles::operations(&mut table);
    personalities::operations(&mut table);
    metrics::operations(&mut table);
    cron_jobs::operations(&mut table);
    own::operations(&mut table);
    carriers::operations(&mut table);
    queue::operations(&mut table);
    doctor::operations(&mut table);
    events::operations(&mut table);
    webhooks::operations(&mut table);
    callbacks::operations(&mut table);
    teams::operations(&mut table);
    health::operations(&mut table);
    docs::operations(&mut table);
    table
}

/// Where the committed document says a server is: where one listens unless told otherwise.
pub const DOCUMENTED_BASE: &str = "http://127.0.0.1:8080";

/// The OpenAPI 3.1 document of a server at `base`, a URL without a trailing slash.
pub fn openapi(base: &str) -> serde_json::Value {
    table().document(base)
}

/// Builds the API.
pub fn api(state: State) -> Api {
    let table = table();
    let document = docs::Document::of(&table);
    let router = table
        .router(&state)
        .layer(Extension(document))
        .layer(Extension(body::Deadline(state.access.limits().body)))
        .layer(Extension(runs::RunCache::new()))
        .layer(Extension(events::Places::new()))
        .fallback(error::unknown_path)
        .method_not_allowed_fallback(error::method_not_allowed)
        .with_state(state);
    served(router, REQUEST_DEADLINE)
}

/// Operations as a service.
fn served(router: Router, deadline: Duration) -> Api {
    guarded(router, deadline).map_request(paths::normalise as fn(Request) -> Request)
}

/// Whatever happens to a request, it is answered in time and in the API's own shape.
fn guarded(router: Router, deadline: Duration) -> Router {
    router
        .layer(from_fn(to_the_end))
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            deadline,
        ))
        .layer(from_fn(error::shape))
        .layer(from_fn(auth::identify))
}

/// Carries a change out to its end even if its client hangs up or the deadline passes. A handler
/// dropped half-way would, for example, have stored runs that nobody admits.
async fn to_the_end(request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    match tokio::spawn(next.run(request).in_current_span()).await {
        Ok(response) => response,
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(cancelled) => Failure::internal(&cancelled.to_string()).into_response(),
        },
    }
}

/// Serves the API on `listener` until `stop`; requests in flight are finished.
pub async fn serve(listener: TcpListener, api: Api, stop: CancellationToken) {
    listen::serve(listener, api, stop, listen::Limits::default()).await;
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::routing::get;

    use super::*;

    async fn ask(router: Router, method: &str) -> (StatusCode, serde_json::Value) {
        let request = Request::builder().method(method).uri("/");
        let request = request.body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 10_000).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn an_overlong_request_and_a_panic_are_answered_in_the_apis_shape() {
        let handlers = get(|| async { panic!("a defect") as StatusCode })
            .post(|| async { panic!("a defect") as StatusCode })
            .put(std::future::pending::<StatusCode>)
            .delete(|| async { StatusCode::IM_A_TEAPOT });
        let handlers = Router::new().route("/", handlers);
        for (method, expected) in [
            ("GET", StatusCode::INTERNAL_SERVER_ERROR),
            ("POST", StatusCode::INTERNAL_SERVER_ERROR),
            ("PUT", StatusCode::REQUEST_TIMEOUT),
            ("DELETE", StatusCode::IM_A_TEAPOT),
        ] {
            // Only the one that never ends is to run into its deadline.
            let deadline = match expected {
                StatusCode::REQUEST_TIMEOUT => Duration::from_millis(1),
                _ => REQUEST_DEADLINE,
            };
            let (status, body) = ask(guarded(handlers.clone(), deadline), method).await;
            assert_eq!(status, expected, "{method}");
            let detail = body["detail"].as_str().unwrap();
            assert!(
                !detail.is_empty() && !detail.contains("defect"),
                "{method}: {detail}"
            );
        }
    }
}
