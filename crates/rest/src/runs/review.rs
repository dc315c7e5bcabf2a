//! What people say of a run after the fact. It is kept beside what the engine found out and never
//! changes it: a reviewer's verdict is shown before the engine's, and the counts are the engine's.

use axum::Json;
use axum::extract::State as Extract;
use ringdown_api as wire;
use ringdown_bus::now;
use ringdown_domain::RunId;
use ringdown_store::{Extra, Run, RunPatch};
use serde_json::{Value, json};

use super::detail;
use crate::State;
use crate::body::{Fields, MAX_TEXT};
use crate::error::Answer;
use crate::operations::{Body, Kind};
use crate::pages::{Asked, Id};

/// Names of the notes of a run.
const FEEDBACK: &str = "feedback";
const REVIEWED: &str = "is_reviewed";
const VERDICT: &str = "reviewed_success";
const TRACE: &str = "trace_id";

/// Texts of `evaluation_status`.
const VERDICTS: &[&str] = &["success", "failure", "reviewed_success", "reviewed_failure"];

/// A run's review.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Review {
    /// What a reviewer wrote.
    pub(crate) feedback: String,
    /// Whether somebody reviewed it.
    pub(crate) is_reviewed: bool,
    /// The reviewer's verdict.
    pub(crate) verdict: Option<bool>,
    /// A name in the users' own traces.
    pub(crate) trace_id: String,
}

impl Review {
    pub(crate) fn of(run: &Run) -> Self {
        let text = |name: &str| run.notes.get(name).and_then(Value::as_str);
        let flag = |name: &str| run.notes.get(name).and_then(Value::as_bool);
        Self {
            feedback: text(FEEDBACK).unwrap_or_default().to_owned(),
            is_reviewed: flag(REVIEWED).unwrap_or_default(),
            verdict: flag(VERDICT),
            trace_id: text(TRACE).unwrap_or_default().to_owned(),
        }
    }
}

/// What may be written to a run.
pub(super) fn body() -> Body {
    Body::new()
        .optional(FEEDBACK, Kind::Short(10_000), "What a reviewer wrote.")
        .optional(REVIEWED, Kind::Flag, "Whether somebody reviewed it.")
        .optional(
            "evaluation_status",
            Kind::OneOf(VERDICTS),
            "reviewed_success or reviewed_failure is a reviewer's verdict and marks the run as \
             reviewed; success or failure takes it back.",
        )
        .optional(TRACE, Kind::Short(32), "A name in your own traces.")
        .lenient()
}

/// The notes that a body asks for; what the engine owns is ignored. Only what was sent is written, so that
/// two reviewers at once do not undo each other's.
fn read(fields: &mut Fields) -> Answer<Extra> {
    let mut notes = Extra::new();
    if fields.has(FEEDBACK) {
        let text = fields.text(FEEDBACK, MAX_TEXT).unwrap_or_default();
        notes.insert(FEEDBACK.to_owned(), json!(text));
    }
    if let Some(text) = fields.text("evaluation_status", 32) {
        let verdict = match text.as_str() {
            "reviewed_success" => Some(true),
            "reviewed_failure" => Some(false),
            "success" | "failure" => None,
            _ => {
                let expected = format!("Expected one of: {}.", VERDICTS.join(", "));
                fields.wrong("evaluation_status", expected);
                None
            }
        };
        notes.insert(VERDICT.to_owned(), json!(verdict));
        if verdict.is_some() {
            notes.insert(REVIEWED.to_owned(), json!(true));
        }
    }
    if let Some(reviewed) = fields.boolean(REVIEWED) {
        notes.insert(REVIEWED.to_owned(), json!(reviewed));
    }
    if fields.has(TRACE) {
        let text = fields.text(TRACE, 32).unwrap_or_default();
        notes.insert(TRACE.to_owned(), json!(text));
    }
    fields.check()?;
    Ok(notes)
}

/// Serves PUT and PATCH alike: an absent field stays as it is.
pub(super) async fn change(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
    mut fields: Fields,
) -> Answer<Json<wire::Run>> {
    let (scope, id) = (asked.principal.scope, RunId(id));
    state.store().run(scope, id).await?;
    let patch = RunPatch {
        notes: Some(read(&mut fields)?),
        ..RunPatch::default()
    };
    state.store().patch_run(id, patch, now()).await?;
    let run = state.store().run(scope, id).await?;
    detail(&state, &asked, &run).await
}
