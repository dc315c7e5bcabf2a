//! The attempt ledger.

use axum::Json;
use axum::extract::State as Extract;
use ringdown_api::{Page as WirePage, own as wire};
use ringdown_domain::attempt::Verdict;
use ringdown_domain::dial::Stage;
use ringdown_domain::{CallerValue, RunId};
use ringdown_store::{Attempt, AttemptFilter, AttemptKind};

use super::State;
use super::pages::{Asked, time};
use crate::error::{Answer, Failure};

fn caller_header(value: CallerValue) -> wire::CallerHeader {
    wire::CallerHeader {
        header: value.header.to_string(),
        value: value.value,
        number: value.number.map(String::from),
    }
}

/// Shows a row of the ledger.
pub(crate) fn show(attempt: Attempt) -> wire::Attempt {
    let row = attempt.row;
    let presented = row.presented;
    wire::Attempt {
        id: attempt.id,
        kind: row.kind.as_str().to_owned(),
        attempt_id: row.attempt_id,
        at: time(row.at),
        verdict: row.verdict,
        explanation: row.explanation,
        run_id: row.run.map(|run| run.0),
        nearest: row.nearest,
        from_raw: row.from_raw,
        from: row.from.map(|number| number.to_string()),
        to_raw: row.to_raw,
        to: row.to.map(|number| number.to_string()),
        source: row.source,
        sip_call_id: row.sip_call_id,
        response: row.response,
        ending: row.ending.map(|ending| ending.to_string()),
        route: row.route,
        trunk: presented.trunk,
        from_header: presented.header.map(|header| header.to_string()),
        caller_headers: presented.values.into_iter().map(caller_header).collect(),
    }
}

pub(crate) async fn attempts(
    Extract(state): Extract<State>,
    asked: Asked,
) -> Answer<Json<WirePage<wire::Attempt>>> {
    let page = asked.page()?;
    let kind = asked
        .query("kind")
        .map(|text| {
            AttemptKind::parse(text)
                .ok_or_else(|| Failure::field("kind", "Expected invite or dial."))
        })
        .transpose()?;
    let verdict = asked.query("verdict");
    if let Some(text) = verdict
        && Verdict::parse(text).is_none()
        && Stage::parse(text).is_none()
    {
        let message = format!("There is no verdict {text:?}; caller_id_mismatch is one.");
        return Err(Failure::field("verdict", message));
    }
    let filter = AttemptFilter {
        run: asked.query_id("run_id")?.map(RunId),
        kind,
        verdict: verdict.map(str::to_owned),
        refused: asked.query("refused") == Some("true"),
    };
    let scope = asked.principal.scope;
    let listing = state.store().attempts(scope, filter, page).await?;
    Ok(Json(asked.listing(page, listing, show)?))
}
