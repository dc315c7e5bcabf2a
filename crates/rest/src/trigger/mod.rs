//! Starting runs: by selection, from a suite that is kept as code, and once more.

mod again;
mod answer;
mod repeat;
mod suite;

use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use ringdown_api as wire;
use ringdown_domain::admission::{MAX_PRIORITY, MIN_PRIORITY};
use ringdown_domain::{AgentId, PersonalityId, ProjectId, ScenarioId, TestProfileId};
use ringdown_platform::Error;
use ringdown_platform::plan::{Mode, Refusal, Request, Selection};
use ringdown_store::{Error as StoreError, Idempotency, NewBatch, Scope};
use tracing::warn;

use super::State;
use super::body::Fields;
use super::operations::{Body, Table};
use super::pages::Asked;
use crate::error::{Answer, Failure};

/// What the operations say about the header.
const REPEATING: &str = "With the header Idempotency-Key (1 to 255 visible ASCII characters) the same \
    request is carried out once: within 24 hours it gets the first answer again, with the header \
    Idempotent-Replayed: true. A different request with the same key is refused with 422.";

pub(crate) fn operations(table: &mut Table) {
    table
        .post("/test_framework/v1/scenarios/run_scenarios", run_scenarios)
        .id("scenarios-run-voice_2")
        .summary("Run evaluators")
        .about(REPEATING)
        .takes(Body::of::<wire::RunScenarios>())
        .answers::<wire::TriggeredResult>(201);
    suite::operations(table);
    again::operations(table);
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Wrong(problems) => {
                let mut errors = wire::FieldErrors::default();
                for problem in problems.0 {
                    errors.add(problem.field, problem.message);
                }
                Self::Fields(errors)
            }
            Refusal::Store(error) => error.into(),
        }
    }
}

/// Refuses new runs while the service shuts down.
fn takes_runs(state: &State) -> Answer<()> {
    if state.health.is_draining() {
        return Err(Failure::detail(
            StatusCode::SERVICE_UNAVAILABLE,
            "The service is shutting down and takes no new runs.",
        ));
    }
    Ok(())
}

fn read(fields: &mut Fields) -> Answer<Request> {
    let freq = fields.integer("freq", 1, 10_000);
    let frequency = fields.integer("frequency", 1, 10_000).or(freq);
    let mut test_profiles = fields.ids("test_profile_ids").unwrap_or_default();
    let one = fields.id("test_profile_id");
    test_profiles.extend(one.filter(|id| !test_profiles.contains(id)));
    let mut personalities = fields.ids("personality_ids").unwrap_or_default();
    let one = fields.id("personality_id");
    personalities.extend(one.filter(|id| !personalities.contains(id)));
    let mode = match fields.text("mode", 32) {
        Some(text) => Mode::parse(&text).unwrap_or_else(|| {
            fields.wrong("mode", "Expected same_number or different_numbers.");
            Mode::default()
        }),
        None => Mode::default(),
    };
    let concurrency_limit = fields
        .integer("concurrency_limit", 1, 1_000_000)
        .and_then(|limit| u32::try_from(limit).ok());
    let priority = fields
        .integer("priority", MIN_PRIORITY.into(), MAX_PRIORITY.into())
        .and_then(|priority| i32::try_from(priority).ok());
    let scenarios = fields.ids("scenarios");
    let tags = fields.texts("tags", 100);
    let folder_path = fields.text("folder_path", 255);
    let ids = scenarios.map(|ids| ids.into_iter().map(ScenarioId).collect());
    let selection = match (ids, tags, folder_path) {
        (Some(ids), None, None) => Some(Selection::Scenarios(ids)),
        (None, Some(tags), None) => Some(Selection::Tags(tags)),
        (None, None, Some(path)) => Some(Selection::FolderPath(path)),
        _ => None,
    };
    let request = Request {
        agent_id: fields.id("agent_id").map(AgentId),
        assistant_id: fields.text("assistant_id", 255),
        project_id: fields.id("project_id").map(ProjectId),
        frequency: frequency.and_then(|f| u32::try_from(f).ok()).unwrap_or(1),
        name: fields.text("name", 255),
        outbound_phone_number: fields.number("outbound_phone_number"),
        personality_ids: personalities.into_iter().map(PersonalityId).collect(),
        test_profile_ids: test_profiles.into_iter().map(TestProfileId).collect(),
        mode,
        agent_number: fields.number("agent_number"),
        concurrency_limit,
        priority: priority.unwrap_or_default(),
        mock_tool_names: fields.texts("mock_tool_names", 255),
        ..Request::of(Selection::Scenarios(Vec::new()))
    };
    fields.check()?;
    let selection = selection.ok_or_else(|| {
        Failure::field(
            "scenarios",
            "Select what to run with exactly one of scenarios, tags and folder_path.",
        )
    })?;
    Ok(Request {
        selection,
        ..request
    })
}

pub(crate) async fn run_scenarios(
    Extract(state): Extract<State>,
    asked: Asked,
    headers: HeaderMap,
    mut fields: Fields,
) -> Answer<Response> {
    takes_runs(&state)?;
    let scope = asked.principal.scope;
    let once = repeat::idempotency(&headers, scope, "run_scenarios", fields.as_sent())?;
    let request = read(&mut fields)?;
    if let Some(answer) = repeat::answered(&state, scope, once.as_ref(), CREATED).await? {
        return Ok(answer);
    }
    let batch = state.engine.plan(scope, &request).await?;
    fire(&state, scope, batch, once, CREATED).await
}

const CREATED: StatusCode = StatusCode::CREATED;

/// Stores and starts a batch, and answers with its runs. What was carried out before is answered as
/// it was then.
async fn fire(
    state: &State,
    scope: Scope,
    mut batch: NewBatch,
    once: Option<Idempotency>,
    status: StatusCode,
) -> Answer<Response> {
    let shown = answer::Shown::of(&batch);
    if once.is_some() && shown.bytes(&batch) > repeat::MAX_KEPT {
        return Err(Failure::field(
            "frequency",
            "The test profiles of so many runs are too large for an answer that is kept: trigger \
             fewer runs at once, or leave Idempotency-Key out.",
        ));
    }
    batch.idempotency.clone_from(&once);
    let triggered = match state.engine.trigger(batch).await {
        Ok(triggered) => triggered,
        Err(Error::Store(StoreError::Repeated(_))) => {
            let answer = repeat::awaited(state, scope, once.as_ref(), status).await?;
            return answer.ok_or_else(repeat::under_way);
        }
        Err(error) => return Err(error.into()),
    };
    let body = shown.answer(&triggered)?;
    let Some(once) = once else {
        return Ok(answer::respond(status, body, false));
    };
    let body = match repeat::keep(state, scope, &once.key, &body).await {
        Ok(kept) => kept.unwrap_or(body),
        // The runs are stored, so this is still the truth.
        Err(error) => {
            warn!(%error, "cannot keep the answer to a request with an idempotency key");
            body
        }
    };
    Ok(answer::respond(status, body, false))
}
