//! Outgoing webhooks: the delivery log, replays and tests.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State as Extract;
use axum::http::{HeaderName, StatusCode};
use ringdown_api::Page as WirePage;
use ringdown_api::teams as wire_teams;
use ringdown_api::webhooks as wire;
use ringdown_bus::now;
use ringdown_domain::{ProjectId, ResultId, WebhookEventId};
use ringdown_store::{
    Project, Scope, WebhookEvent, WebhookFilter, WebhookKind, WebhookState, WebhookTry,
};
use ringdown_webhook::{Error as WebhookError, Options, Sender};

use super::State;
use super::operations::{Kind, Table};
use super::pages::{Asked, Id, time};
use super::teams::projects;
use crate::error::{Answer, Failure};

const KINDS: &[&str] = &["result.completed", "result.pre_trigger", "test"];
const STATES: &[&str] = &["due", "delivered", "failed", "skipped"];

/// What came of a test, beside the reference service's answer.
const OUTCOME_HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("x-ringdown-webhook-id"),
    HeaderName::from_static("x-ringdown-webhook-state"),
    HeaderName::from_static("x-ringdown-webhook-status"),
];

pub(crate) fn operations(table: &mut Table) {
    table.tag(
        "Webhooks",
        "What was told to projects' webhook targets, and what came of it.",
    );
    table
        .post("/user/v1/projects/{id}/test-webhook", test_as_reference)
        .id("projects-test-webhook-create")
        .summary("Send a test to a project's webhook target")
        .about(
            "Sends a mock result.completed at once, one time. The headers X-Ringdown-Webhook-Id, \
             -State and -Status say what came of it. A body is not looked at.",
        )
        .answers::<wire_teams::Project>(200);
    table
        .post("/ringdown/v1/projects/{id}/test-webhook", test)
        .id("ringdown-projects-test-webhook-create")
        .summary("Send a test to a project's webhook target and show what came of it")
        .about("Sends a mock result.completed at once, one time. A body is not looked at.")
        .answers::<wire::WebhookDetail>(200);
    table
        .get("/ringdown/v1/webhooks", list)
        .id("ringdown-webhooks-list")
        .summary("List outgoing webhooks, newest first")
        .paged()
        .query("project_id", Kind::Id, "Only of this project.")
        .query("kind", Kind::OneOf(KINDS), "Only of this kind.")
        .query("state", Kind::OneOf(STATES), "Only in this state.")
        .query("result_id", Kind::Id, "Only about this result.")
        .answers::<WirePage<wire::Webhook>>(200);
    table
        .get("/ringdown/v1/webhooks/{id}", read)
        .id("ringdown-webhooks-retrieve")
        .summary("Show an outgoing webhook, its body and every try")
        .answers::<wire::WebhookDetail>(200);
    table
        .post("/ringdown/v1/webhooks/{id}/replay", replay)
        .id("ringdown-webhooks-replay-create")
        .summary("Send a webhook again, with the same id and body")
        .about("A body is not looked at.")
        .answers::<wire::Webhook>(200);
}

impl From<WebhookError> for Failure {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::Store(error) => error.into(),
            other => Self::internal(&other.to_string()),
        }
    }
}

/// Queries of URLs often hold tokens.
fn without_query(url: &str) -> String {
    url.split(['?', '#']).next().unwrap_or_default().to_owned()
}

fn show(event: &WebhookEvent) -> wire::Webhook {
    wire::Webhook {
        id: event.id.0,
        project_id: event.project.0,
        kind: event.kind.as_str().to_owned(),
        result_id: event.result.map(|result| result.0),
        state: event.state.as_str().to_owned(),
        url: without_query(&event.url),
        tries: event.tries,
        next_try_at: event.next_try_at.map(time),
        created_at: time(event.created_at),
        updated_at: time(event.updated_at),
    }
}

fn show_try(one: WebhookTry) -> wire::WebhookTry {
    wire::WebhookTry {
        at: time(one.at),
        url: without_query(&one.url),
        status: one.status,
        error: one.error,
        answer: one.answer,
        duration_ms: u64::try_from(one.duration.as_millis()).unwrap_or(u64::MAX),
    }
}

fn detail((event, tries): (WebhookEvent, Vec<WebhookTry>)) -> wire::WebhookDetail {
    wire::WebhookDetail {
        body: serde_json::from_str(&event.body).unwrap_or_default(),
        webhook: show(&event),
        attempts: tries.into_iter().map(show_try).collect(),
    }
}

/// A word of a query that has to be one of a few.
fn word<T>(
    asked: &Asked,
    name: &str,
    parse: fn(&str) -> Option<T>,
    known: &[&str],
) -> Answer<Option<T>> {
    let unknown = || Failure::field(name, format!("Expected one of {}.", known.join(", ")));
    let text = asked.query(name);
    text.map(|text| parse(text).ok_or_else(unknown)).transpose()
}

pub(crate) async fn list(
    Extract(state): Extract<State>,
    asked: Asked,
) -> Answer<Json<WirePage<wire::Webhook>>> {
    let page = asked.page()?;
    let filter = WebhookFilter {
        project: asked.query_id("project_id")?.map(ProjectId),
        kind: word(&asked, "kind", WebhookKind::parse, KINDS)?,
        state: word(&asked, "state", WebhookState::parse, STATES)?,
        result: asked.query_id("result_id")?.map(ResultId),
    };
    let scope = asked.principal.scope;
    let listing = state.store().webhooks(scope, filter, page).await?;
    Ok(Json(asked.listing(page, listing, |event| show(&event))?))
}

pub(crate) async fn read(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
) -> Answer<Json<wire::WebhookDetail>> {
    let scope = asked.principal.scope;
    let found = state.store().webhook(scope, WebhookEventId(id)).await?;
    Ok(Json(detail(found)))
}

pub(crate) async fn replay(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
) -> Answer<Json<wire::Webhook>> {
    let scope = asked.principal.scope;
    let id = WebhookEventId(id);
    let replayed = state.store().replay_webhook(scope, id, now()).await?;
    state.engine.webhooks_changed();
    Ok(Json(show(&replayed)))
}

/// Sends a test to the target of a project in the scope.
async fn send_test(state: &State, scope: Scope, id: i64) -> Answer<(Project, wire::WebhookDetail)> {
    let project = state.store().project(scope, ProjectId(id)).await?;
    if project.webhook_url.is_none() {
        let message = "The project has no target to test; set webhook_url first.";
        return Err(Failure::field("webhook_url", message));
    }
    let sender = Sender::new(
        Arc::clone(state.engine.store()),
        state.egress.clone(),
        Arc::clone(&state.keyring),
        Options {
            // Whoever asked waits, and gives up after 30 seconds.
            timeout: Duration::from_secs(25),
            ..Options::new("")
        },
    );
    let tested = sender.test(&project).await?;
    Ok((project, detail(tested)))
}

pub(crate) async fn test(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
) -> Answer<Json<wire::WebhookDetail>> {
    let (_, tested) = send_test(&state, asked.principal.scope, id).await?;
    Ok(Json(tested))
}

pub(crate) async fn test_as_reference(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
) -> Answer<(
    StatusCode,
    [(HeaderName, String); 3],
    Json<wire_teams::Project>,
)> {
    let (project, tested) = send_test(&state, asked.principal.scope, id).await?;
    let organisation = state.store().organisation(project.org).await?;
    let shown = projects::show(&state, &organisation, project).await?;
    let status = tested.attempts.last().and_then(|last| last.status);
    let [id, reached, answered] = OUTCOME_HEADERS;
    let headers = [
        (id, tested.webhook.id.to_string()),
        (reached, tested.webhook.state),
        (
            answered,
            status.map_or_else(|| "none".to_owned(), |status| status.to_string()),
        ),
    ];
    Ok((StatusCode::OK, headers, Json(shown)))
}
