//! Requests that are sent twice but carried out once.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use ringdown_domain::{ResultId, RunId};
use ringdown_store::{Error as StoreError, Idempotency, Scope};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::answer;
use crate::State;
use crate::error::{Answer, Failure};

const HEADER: &str = "idempotency-key";

/// Characters of a key.
const MAX_KEY: usize = 255;

/// Bytes of test profiles in an answer that is kept.
pub(super) const MAX_KEPT: usize = 16 * 1024 * 1024;

/// How long a request waits for the same one that is being carried out.
const PATIENCE: Duration = Duration::from_secs(20);

/// Pause between two looks at what another request, maybe in another process, has come to.
const LOOK: Duration = Duration::from_millis(50);

/// Runs that are read at once.
const PAGE: u32 = 500;

/// The key that a request was sent with, and what the request was.
pub(super) fn idempotency(
    headers: &HeaderMap,
    scope: Scope,
    operation: &str,
    body: &Map<String, Value>,
) -> Answer<Option<Idempotency>> {
    let mut keys = headers.get_all(HEADER).iter();
    let Some(key) = keys.next() else {
        return Ok(None);
    };
    let visible = |key: &[u8]| key.iter().all(u8::is_ascii_graphic);
    let fits = (1..=MAX_KEY).contains(&key.len()) && visible(key.as_bytes());
    let key = key.to_str().ok().filter(|_| fits && keys.next().is_none());
    let Some(key) = key else {
        return Err(Failure::detail(
            StatusCode::BAD_REQUEST,
            "Idempotency-Key has to be one header of 1 to 255 visible ASCII characters.",
        ));
    };
    let mut digest = Sha256::new();
    let project = scope.project.map(|project| project.0);
    let said = serde_json::to_vec(&(operation, project, body));
    digest.update(said.map_err(|error| Failure::internal(&error.to_string()))?);
    Ok(Some(Idempotency {
        key: key.to_owned(),
        request_sha256: digest.finalize().into(),
    }))
}

/// The answer to the same request before, if there was one. Waits for it if it is being made.
pub(super) async fn answered(
    state: &State,
    scope: Scope,
    once: Option<&Idempotency>,
    status: StatusCode,
) -> Answer<Option<Response>> {
    let Some(once) = once else {
        return Ok(None);
    };
    let deadline = Instant::now() + PATIENCE;
    loop {
        let Some(before) = state.store().repeated(scope.org, &once.key).await? else {
            return Ok(None);
        };
        if before.request_sha256 != once.request_sha256 {
            return Err(Failure::detail(
                StatusCode::UNPROCESSABLE_ENTITY,
                "This Idempotency-Key was used for a different request: send a new key with this \
                 one, or repeat the request exactly as it was.",
            ));
        }
        if let Some(body) = before.answer {
            return Ok(Some(answer::respond(status, body, true)));
        }
        if Instant::now() >= deadline {
            let body = made_good(state, scope, &once.key, before.result).await?;
            return Ok(Some(answer::respond(status, body, true)));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// As [`answered`], after the store said that there is one, though it may not be visible yet.
pub(super) async fn awaited(
    state: &State,
    scope: Scope,
    once: Option<&Idempotency>,
    status: StatusCode,
) -> Answer<Option<Response>> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(answer) = answered(state, scope, once, status).await? {
            return Ok(Some(answer));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(None)
}

pub(super) fn under_way() -> Failure {
    Failure::detail(
        StatusCode::CONFLICT,
        "A request with this Idempotency-Key is being carried out: send it again in a moment.",
    )
}

/// The answer of a request whose process died before it could give one.
async fn made_good(state: &State, scope: Scope, key: &str, result: ResultId) -> Answer<String> {
    let batch = state.store().batch(scope, result).await?;
    let mut runs = Vec::new();
    let mut after: Option<RunId> = None;
    loop {
        let page = state.store().runs_of(scope, result, after, PAGE).await?;
        let Some(last) = page.last() else {
            break;
        };
        after = Some(last.id);
        runs.extend(page);
    }
    let body = answer::of_stored(&batch, &runs)?;
    let kept = keep(state, scope, key, &body).await?;
    Ok(kept.unwrap_or(body))
}

/// Keeps an answer unless one is kept already; returns the one that is.
pub(super) async fn keep(
    state: &State,
    scope: Scope,
    key: &str,
    body: &str,
) -> Result<Option<String>, StoreError> {
    let store = state.store();
    store.keep_answer(scope.org, key, body).await?;
    let kept = store.repeated(scope.org, key).await?;
    Ok(kept.and_then(|kept| kept.answer))
}
