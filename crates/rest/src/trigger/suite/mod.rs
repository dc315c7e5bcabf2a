//! Tests as code: evaluators that are created or changed from a suite, and run.
//!
//! A case is the evaluator of the agent with the same key, or else the one with the same name that has
//! no key; otherwise it is created. Personalities and test profiles that are written in the suite are
//! stored under their names. Everything is checked first, the batch included; then all of it is stored
//! in one transaction; then the batch is triggered.

mod lookup;
mod parts;

use axum::Json;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use ringdown_api as wire;
use ringdown_bus::now;
use ringdown_platform::plan::{Mode, Request, Selection};
use ringdown_store::NewBatch;
use ringdown_suite as suite;
use serde_json::{Map, Value};

use super::{REPEATING, fire, repeat, takes_runs};
use crate::State;
use crate::body::Raw;
use crate::error::{Answer, Failure};
use crate::operations::{Body, Kind, Table};
use crate::pages::Asked;
use parts::Parts;

pub(super) fn operations(table: &mut Table) {
    table
        .post(
            "/test_framework/v1/scenarios/run_scenarios_json",
            run_scenarios_json,
        )
        .id("scenarios-run-json_2")
        .summary("Run a suite of tests that is kept as code")
        .about(REPEATING)
        .query(
            "dry_run",
            Kind::Flag,
            "Check everything and say what would happen; nothing is stored or run.",
        )
        .takes(
            Body::new()
                .required(
                    "spec",
                    Kind::Any,
                    "The suite: an object, or the same as text.",
                )
                .optional("agent_id", Kind::Id, "The agent under test.")
                .optional(
                    "name",
                    Kind::Short(255),
                    "The result's name; else the suite's.",
                )
                .optional("channel", Kind::Text, "How the agent is reached: voice.")
                .lenient(),
        )
        .answers::<wire::SuiteAnswer>(200);
    table
        .get("/test_framework/v1/scenarios/json_schema", json_schema)
        .id("scenarios-json-schema_2")
        .summary("The JSON Schema of a suite of tests")
        .query(
            "version",
            Kind::Text,
            "The version of the format; the newest if absent.",
        )
        .answers::<Map<String, Value>>(200);
}

pub(crate) async fn json_schema(asked: Asked) -> Answer<Json<Value>> {
    suite::json_schema(asked.query("version"))
        .map(Json)
        .map_err(|unknown| Failure::field("version", format!("{unknown}.")))
}

/// Problems by their place; what concerns the whole body stands at `spec`.
fn wrong(problems: &suite::Problems) -> Failure {
    let mut errors = wire::FieldErrors::default();
    for problem in problems.iter() {
        let path = match problem.path.as_str() {
            "" => "spec",
            path => path,
        };
        errors.add(path, problem.message.clone());
    }
    if problems.left_out() > 0 {
        let more = format!("There are {} more problems.", problems.left_out());
        errors.add("spec", more);
    }
    Failure::Fields(errors)
}

pub(crate) async fn run_scenarios_json(
    Extract(state): Extract<State>,
    asked: Asked,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Answer<Response> {
    takes_runs(&state)?;
    let scope = asked.principal.scope;
    let dry_run = match asked.query("dry_run") {
        None | Some("false" | "0") => false,
        Some("true" | "1") => true,
        Some(_) => return Err(Failure::field("dry_run", "Expected true or false.")),
    };
    let Value::Object(sent) = &body else {
        return Err(Failure::detail(
            StatusCode::BAD_REQUEST,
            "The body has to be a JSON object.",
        ));
    };
    let once = if dry_run {
        None
    } else {
        repeat::idempotency(&headers, scope, "run_scenarios_json", sent)?
    };
    if let Some(answer) = repeat::answered(&state, scope, once.as_ref(), StatusCode::OK).await? {
        return Ok(answer);
    }
    let checked = suite::Request::parse(&body).map_err(|problems| wrong(&problems))?;
    let plan = checked.plan();
    let mut parts = Parts::look_up(&state, scope, &checked, &plan).await?;
    let request = request(&plan);
    let agent = parts.agent.clone();
    // The batch is planned as if all were stored, so that nothing is if it cannot run.
    let engine = &state.engine;
    let planned = engine
        .plan_picks(scope, &request, &agent, parts.picks())
        .await?;
    if dry_run {
        return Ok(Json(parts.shown(&planned)).into_response());
    }
    parts.store(&state, now()).await?;
    let batch: NewBatch = engine
        .plan_picks(scope, &request, &agent, parts.picks())
        .await?;
    fire(&state, scope, batch, once, StatusCode::OK).await
}

/// The settings of the runs. What runs is said by the picks.
fn request(plan: &suite::Plan) -> Request {
    let settings = &plan.settings;
    Request {
        frequency: settings.frequency,
        name: plan.name.clone(),
        outbound_phone_number: settings.outbound_phone_number.clone(),
        mode: match settings.mode {
            suite::Mode::SameNumber => Mode::SameNumber,
            suite::Mode::DifferentNumbers => Mode::DifferentNumbers,
        },
        agent_number: settings.agent_number.clone(),
        concurrency_limit: settings.concurrency_limit,
        priority: settings.priority,
        mock_tool_names: settings.mock_tool_names.clone(),
        ..Request::of(Selection::Cases(Vec::new()))
    }
}
