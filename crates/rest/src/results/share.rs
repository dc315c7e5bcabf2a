//! Links that show one result to whoever has them, until they expire. Only the token's hash is stored, so
//! the database does not open anything.
//!
//! What a link shows has no settings, no variables of test profiles and no instructions: they may hold
//! secrets. It leads nowhere but to the result's own recordings, which the same token opens.

use std::fmt::Write as _;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State as Extract};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use rand::RngExt as _;
use ringdown_api as wire;
use ringdown_bus::now;
use ringdown_domain::{ResultId, RunId, Timestamp};
use ringdown_store::Scope;
use serde_json::{Value, json};

use super::detail;
use crate::State;
use crate::auth::hash_key;
use crate::body::MaybeFields;
use crate::error::{Answer, Failure};
use crate::operations::{Body, Kind, Table};
use crate::pages::{Asked, Base, Id, time};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a link works if nothing else is asked for.
const USUAL: Duration = DAY.saturating_mul(7);

/// Longest that a link may work.
const LONGEST: Duration = DAY.saturating_mul(90);

pub(super) fn operations(table: &mut Table) {
    table
        .post(
            "/test_framework/v1/results/{id}/create_shareable_link_token",
            create,
        )
        .id("create-shareable-link-token_2")
        .summary("Make a link that shows a result without an API key")
        .takes(
            Body::new()
                .optional(
                    "expire_at",
                    Kind::Time,
                    "When it stops working: within 90 days; in 7 days if absent.",
                )
                .lenient(),
        )
        .answers::<wire::ShareableLink>(200);
    table
        .get("/ringdown/v1/shared/{token}", show)
        .id("ringdown-shared-retrieve")
        .summary("Show a shared result")
        .path("token", Kind::Text, "The token of the link.")
        .open()
        .answers::<wire::ResultDetail>(200);
    table
        .get("/ringdown/v1/shared/{token}/runs/{id}/recording", recording)
        .id("ringdown-shared-recording-retrieve")
        .summary("Fetch the recording of a run of a shared result")
        .path("token", Kind::Text, "The token of the link.")
        .path("id", Kind::Id, "The run.")
        .open()
        .answers_media(200, "audio/wav");
}

/// 256 random bits in hexadecimal.
fn draw() -> String {
    let bytes: [u8; 32] = rand::rng().random();
    let mut text = String::with_capacity(64);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// When a link asked for at `now` stops working.
fn expiry(text: Option<&str>, now: Timestamp) -> Result<Timestamp, &'static str> {
    let Some(text) = text else {
        return Ok(now.plus(USUAL));
    };
    let at: jiff::Timestamp = text
        .parse()
        .map_err(|_| "Expected a time such as 2026-01-31T12:00:00Z.")?;
    let at = Timestamp::from_micros(at.as_microsecond());
    if at <= now {
        return Err("This time is over.");
    }
    if at > now.plus(LONGEST) {
        return Err("A link works for at most 90 days.");
    }
    Ok(at)
}

async fn create(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
    MaybeFields(mut fields): MaybeFields,
) -> Answer<Json<wire::ShareableLink>> {
    let scope = asked.principal.scope;
    state.store().batch(scope, ResultId(id)).await?;
    let now = now();
    let text = fields.text("expire_at", 64);
    fields.check()?;
    let expires_at =
        expiry(text.as_deref(), now).map_err(|why| Failure::field("expire_at", why))?;
    let token = draw();
    state
        .store()
        .add_share_link(scope, ResultId(id), hash_key(&token), expires_at, now)
        .await?;
    Ok(Json(wire::ShareableLink {
        shareable_link: format!("{}/ringdown/v1/shared/{token}/", asked.base),
        token,
        expire_at: time(expires_at),
    }))
}

async fn look_up(state: &State, token: &str) -> Answer<(Scope, ResultId)> {
    let found = state.store().shared_batch(hash_key(token), now()).await?;
    let (org, result) = found.ok_or_else(|| {
        Failure::detail(
            axum::http::StatusCode::NOT_FOUND,
            "There is no such link, or it has expired.",
        )
    })?;
    Ok((org.into(), result))
}

/// Nobody keeps what a link shows, and nobody is told where it was seen.
fn private(mut response: Response) -> Response {
    for (name, value) in [
        (header::CACHE_CONTROL, "private, no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("x-robots-tag"), "noindex"),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Takes out what is nobody else's business.
fn redact(result: &mut wire::ResultDetail, base: &str, token: &str) {
    result.run_settings = Value::Null;
    for run in result.runs.values_mut() {
        run.scenario_instructions.clear();
        run.feedback.clear();
        run.trace_id.clear();
        run.voice_recording_url = run.voice_recording_url.take().map(|_| {
            format!(
                "{base}/ringdown/v1/shared/{token}/runs/{}/recording/",
                run.id
            )
        });
        if let Some(profile) = &mut run.test_profile_data {
            profile.information = json!({});
        }
        if let Value::Object(facts) = &mut run.metadata {
            facts.remove("recording");
        }
    }
}

async fn show(
    Extract(state): Extract<State>,
    Path(token): Path<String>,
    Base(base): Base,
) -> Answer<Response> {
    let (scope, id) = look_up(&state, &token).await?;
    let mut result = detail(&state, scope, id, &base).await?;
    redact(&mut result, &base, &token);
    Ok(private(Json(result).into_response()))
}

async fn recording(
    Extract(state): Extract<State>,
    Path((token, id)): Path<(String, String)>,
) -> Answer<Response> {
    let (scope, result) = look_up(&state, &token).await?;
    let missing = || Failure::not_found("recording of run", &id);
    let run = id.parse().map_err(|_| missing())?;
    let run = state.store().run(scope, RunId(run)).await?;
    let key = run.recording.filter(|_| run.result == result);
    let content = state.artefacts.get(&key.ok_or_else(missing)?).await?;
    let wav = [(header::CONTENT_TYPE, "audio/wav")];
    Ok(private((wav, content).into_response()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_works_for_seven_days_and_for_at_most_ninety() {
        let now = Timestamp::from_micros(1_700_000_000_000_000);
        let text = |after: Duration| time(now.plus(after));
        assert_eq!(expiry(None, now), Ok(now.plus(USUAL)));
        assert_eq!(expiry(Some(&text(LONGEST)), now), Ok(now.plus(LONGEST)));
        let second = Duration::from_secs(1);
        for text in [
            text(LONGEST + second),
            text(Duration::ZERO),
            "2000-01-01T00:00:00Z".to_owned(),
            "tomorrow".to_owned(),
        ] {
            assert!(expiry(Some(&text), now).is_err(), "{text}");
        }
    }
}
