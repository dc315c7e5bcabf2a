//! The answer to a request that starts runs. It may list 10,000 of them, so it is written from what is
//! there already instead of from copies.

use std::collections::HashMap;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use ringdown_api::RunStatus;
use ringdown_domain::run::{Status, Window};
use ringdown_domain::{RunId, Timestamp};
use ringdown_platform::Triggered;
use ringdown_store::{Batch, NewBatch, ProfileSnapshot, Run};
use serde::Serialize;
use serde_json::Number;

use crate::body::bytes;
use crate::error::{Answer, Failure};
use crate::pages::time;

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Written as `ringdown_api::TriggeredResult` is read.
#[derive(Serialize)]
struct Result<'a> {
    id: i64,
    name: &'a str,
    agent: i64,
    status: RunStatus,
    success_rate: u8,
    run_as_text: bool,
    runs: Vec<Line<'a>>,
    created_at: String,
}

/// Written as `ringdown_api::TriggeredRun` is read.
#[derive(Serialize)]
struct Line<'a> {
    id: i64,
    status: RunStatus,
    scenario: i64,
    scenario_name: &'a str,
    number: &'a str,
    outbound_number: &'a str,
    inbound_number: Option<&'a str>,
    test_profile_data: Option<&'a ProfileSnapshot>,
    outbound_dial_window_opens_at: Option<String>,
    outbound_dial_window_seconds: Option<Number>,
    outbound_dial_window_closes_at: Option<String>,
}

impl<'a> Line<'a> {
    fn new(id: RunId, status: Status, number: &'a str, window: Option<Window>) -> Self {
        Self {
            id: id.0,
            status: status.into(),
            scenario: 0,
            scenario_name: "",
            number,
            outbound_number: number,
            inbound_number: None,
            test_profile_data: None,
            outbound_dial_window_opens_at: window.map(|window| time(window.opens_at)),
            outbound_dial_window_seconds: window.and_then(seconds),
            outbound_dial_window_closes_at: window.map(|window| time(window.closes_at)),
        }
    }
}

/// Whole seconds as a whole number.
fn seconds(window: Window) -> Option<Number> {
    let length = Timestamp::since(window.closes_at, window.opens_at);
    if length.subsec_nanos() == 0 {
        Some(length.as_secs().into())
    } else {
        Number::from_f64(length.as_secs_f64())
    }
}

/// What the answer needs of a batch that is about to be stored.
pub(super) struct Shown {
    templates: Vec<(i64, String, Option<i64>)>,
    profiles: HashMap<i64, ProfileSnapshot>,
}

impl Shown {
    pub(super) fn of(batch: &NewBatch) -> Self {
        let mut profiles = HashMap::new();
        let mut templates = Vec::with_capacity(batch.templates.len());
        for template in &batch.templates {
            let profile = template.test_profile.as_ref();
            if let Some(profile) = profile {
                profiles
                    .entry(profile.id)
                    .or_insert_with(|| profile.clone());
            }
            templates.push((
                template.scenario.0,
                template.scenario_name.clone(),
                profile.map(|profile| profile.id),
            ));
        }
        Self {
            templates,
            profiles,
        }
    }

    /// Bytes of the test profiles in the answer.
    pub(super) fn bytes(&self, batch: &NewBatch) -> usize {
        let sizes: HashMap<i64, usize> = self
            .profiles
            .iter()
            .map(|(id, profile)| (*id, bytes(profile)))
            .collect();
        let of_run = |template: usize| {
            let profile = self.templates.get(template)?.2?;
            sizes.get(&profile).copied()
        };
        let runs = batch.runs.iter().filter_map(|run| of_run(run.template));
        runs.fold(0, usize::saturating_add)
    }

    pub(super) fn answer(&self, triggered: &Triggered) -> Answer<String> {
        // Both are in the order of the ids, unless a run was deleted meanwhile.
        let mut progress = triggered.progress.iter().peekable();
        let lines = triggered.runs.iter().map(|run| {
            while progress.next_if(|other| other.id < run.id).is_some() {}
            let now = progress.next_if(|other| other.id == run.id);
            let status = now.map_or(Status::InQueue, |now| now.status);
            let window = now.and_then(|now| now.window);
            let line = Line::new(run.id, status, run.number.as_str(), window);
            let Some((scenario, name, profile)) = self.templates.get(run.template) else {
                return line;
            };
            Line {
                scenario: *scenario,
                scenario_name: name,
                test_profile_data: profile.and_then(|id| self.profiles.get(&id)),
                ..line
            }
        });
        written(&triggered.batch, lines.collect())
    }
}

/// The answer that a batch which was stored some time ago would get now.
pub(super) fn of_stored(batch: &Batch, runs: &[Run]) -> Answer<String> {
    let lines = runs.iter().map(|run| Line {
        scenario: run.scenario.0,
        scenario_name: &run.scenario_name,
        test_profile_data: run.test_profile.as_ref(),
        ..Line::new(run.id, run.status(), run.number.as_str(), run.window)
    });
    written(batch, lines.collect())
}

fn written(batch: &Batch, runs: Vec<Line<'_>>) -> Answer<String> {
    let result = Result {
        id: batch.id.0,
        name: &batch.name,
        agent: batch.agent.0,
        status: Status::Pending.into(),
        success_rate: 0,
        run_as_text: false,
        runs,
        created_at: time(batch.created_at),
    };
    serde_json::to_string(&result).map_err(|error| Failure::internal(&error.to_string()))
}

pub(super) fn respond(status: StatusCode, body: String, replayed: bool) -> Response {
    let json = HeaderValue::from_static("application/json");
    let mut response = (status, [(header::CONTENT_TYPE, json)], body).into_response();
    if replayed {
        let yes = HeaderValue::from_static("true");
        response.headers_mut().insert(REPLAYED, yes);
    }
    response
}
