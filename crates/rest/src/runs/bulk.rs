//! Many runs at once, as pollers ask for them all the time.
//!
//! Each run's JSON is kept in memory with the version it shows. A request looks up the versions of its
//! runs, in one row, and reads only those runs whose JSON is not kept in that version: so nothing stale is
//! served, and a run outside the caller's scope has no version to be found by.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use rand::RngExt as _;
use ringdown_domain::RunId;
use ringdown_store::Run;
use sha2::{Digest as _, Sha256};

use super::show::show;
use crate::State;
use crate::error::{Answer, Failure};
use crate::pages::Asked;

/// Runs one bulk read may ask for. The reference's sample script asks for a whole batch at once, and a
/// request line holds about this many ids.
pub(super) const MAX_IDS: usize = 5_000;

/// Memory that kept runs may take together.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// A guess of how many runs fit, for the cache's own tables.
const USUAL_RUNS: usize = 16 * 1024;

/// What keeping a run takes besides its text.
const OVERHEAD: u64 = 200;

/// A run's JSON. Its only link begins between two parts, because the host is the caller's word.
#[derive(Clone, Debug)]
struct Kept {
    version: u64,
    before: Bytes,
    /// What follows the beginning of the link; `None` without a link.
    after: Option<Bytes>,
}

impl Kept {
    fn len(&self, base: &str) -> usize {
        let after = self.after.as_ref();
        self.before.len() + after.map_or(0, |after| base.len() + after.len())
    }

    fn write(&self, base: &str, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.before);
        if let Some(after) = &self.after {
            to.extend_from_slice(base.as_bytes());
            to.extend_from_slice(after);
        }
    }
}

#[derive(Clone)]
struct Bytewise;

impl Weighter<RunId, Kept> for Bytewise {
    fn weight(&self, _: &RunId, kept: &Kept) -> u64 {
        u64::try_from(kept.len("")).map_or(u64::MAX, |bytes| bytes.saturating_add(OVERHEAD))
    }
}

/// The runs' JSON. Cheap to clone; clones share it.
#[derive(Clone)]
pub(crate) struct RunCache {
    kept: Arc<Cache<RunId, Kept, Bytewise>>,
    /// Stands where links begin; no text holds it by chance.
    mark: Arc<str>,
}

impl RunCache {
    pub(crate) fn new() -> Self {
        Self::of(MAX_BYTES)
    }

    fn of(bytes: u64) -> Self {
        let mark: u128 = rand::rng().random();
        Self {
            kept: Arc::new(Cache::with_weighter(USUAL_RUNS, bytes, Bytewise)),
            mark: format!("mark-{mark:032x}").into(),
        }
    }

    fn get(&self, id: RunId, version: u64) -> Option<Kept> {
        self.kept.get(&id).filter(|kept| kept.version == version)
    }

    fn keep(&self, run: &Run) -> Answer<Kept> {
        let json = serde_json::to_vec(&show(run, &self.mark))
            .map_err(|error| Failure::internal(&error.to_string()))?;
        let mark = self.mark.as_bytes();
        let json = Bytes::from(json);
        // Only a run with a recording has a link.
        let place = match run.recording {
            Some(_) => json.windows(mark.len()).position(|part| part == mark),
            None => None,
        };
        let kept = match place {
            Some(at) => Kept {
                version: run.version,
                before: json.slice(..at),
                after: Some(json.slice(at + mark.len()..)),
            },
            None => Kept {
                version: run.version,
                before: json,
                after: None,
            },
        };
        self.kept.insert(run.id, kept.clone());
        Ok(kept)
    }
}

/// The ids of a request.
fn ids(asked: &Asked) -> Answer<Vec<RunId>> {
    const EXPECTED: &str = "Expected run ids separated by commas, for example run_ids=1,2,3.";
    let text = asked
        .query("run_ids")
        .ok_or_else(|| Failure::field("run_ids", "This parameter is required."))?;
    let mut ids = Vec::new();
    for part in text.split(',') {
        let id: Option<i64> = part.trim().parse().ok();
        let id = id.ok_or_else(|| Failure::field("run_ids", EXPECTED))?;
        ids.push(RunId(id));
        if ids.len() > MAX_IDS {
            let message = format!("At most {MAX_IDS} ids are allowed at once.");
            return Err(Failure::field("run_ids", message));
        }
    }
    Ok(ids)
}

/// What names an answer: the runs asked for, in order, with their versions.
fn tag(base: &str, runs: impl Iterator<Item = (RunId, u64)>) -> String {
    use std::fmt::Write as _;
    let mut hash = Sha256::new();
    // Another release may show the same run differently.
    hash.update(env!("CARGO_PKG_VERSION"));
    hash.update([0]);
    hash.update(base);
    hash.update([0]);
    for (id, version) in runs {
        hash.update(id.0.to_le_bytes());
        hash.update(version.to_le_bytes());
    }
    let mut text = String::from("\"");
    for byte in hash.finalize().iter().take(16) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.push('"');
    text
}

/// Whether the caller has what this tag names (RFC 9110 section 13.1.2, weakly compared).
fn has(headers: &HeaderMap, tag: &str) -> bool {
    let given = headers.get_all(header::IF_NONE_MATCH).iter();
    given
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|one| one.trim().trim_start_matches("W/"))
        .any(|one| one == tag || one == "*")
}

fn tagged(mut response: Response, tag: &str) -> Response {
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.insert(header::ETAG, tag);
    }
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-cache"),
    );
    response
}

/// The same text inside a JSON string.
fn escaped(text: &str) -> Answer<String> {
    let json =
        serde_json::to_string(text).map_err(|error| Failure::internal(&error.to_string()))?;
    Ok(json.trim_matches('"').to_owned())
}

pub(super) async fn bulk(
    Extract(state): Extract<State>,
    Extension(cache): Extension<RunCache>,
    headers: HeaderMap,
    asked: Asked,
) -> Answer<Response> {
    let ids = ids(&asked)?;
    let scope = asked.principal.scope;
    let versions: HashMap<RunId, u64> = state
        .store()
        .versions(scope, &ids)
        .await?
        .into_iter()
        .collect();
    let known = || {
        ids.iter()
            .filter_map(|id| versions.get(id).map(|version| (*id, *version)))
    };
    let now = tag(&asked.base, known());
    if has(&headers, &now) {
        return Ok(tagged(StatusCode::NOT_MODIFIED.into_response(), &now));
    }
    let mut found: HashMap<RunId, Kept> = HashMap::with_capacity(versions.len());
    let mut changed = Vec::new();
    for (id, version) in &versions {
        match cache.get(*id, *version) {
            Some(kept) => {
                found.insert(*id, kept);
            }
            None => changed.push(*id),
        }
    }
    if !changed.is_empty() {
        // A run that is deleted meanwhile is not found here and left out.
        for run in state.store().runs_by_id(scope, &changed).await? {
            found.insert(run.id, cache.keep(&run)?);
        }
    }
    let base = escaped(&asked.base)?;
    let shown: Vec<(RunId, &Kept)> = ids
        .iter()
        .filter_map(|id| found.get(id).map(|kept| (*id, kept)))
        .collect();
    let length: usize = shown.iter().map(|(_, kept)| kept.len(&base) + 1).sum();
    let mut body = Vec::with_capacity(length + 2);
    body.push(b'[');
    for (place, (_, kept)) in shown.iter().enumerate() {
        if place > 0 {
            body.push(b',');
        }
        kept.write(&base, &mut body);
    }
    body.push(b']');
    // What is shown may be newer than what was looked up.
    let tag = tag(
        &asked.base,
        shown.iter().map(|(id, kept)| (*id, kept.version)),
    );
    let json = [(header::CONTENT_TYPE, "application/json")];
    Ok(tagged((json, Body::from(body)).into_response(), &tag))
}
