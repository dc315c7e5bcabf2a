//! The transitions of a result as they happen, as server-sent events (HTML standard, section 9.2), for
//! clients that would otherwise poll.
//!
//! A stream begins with where every run is and goes on with what the bus announces. The id of an event is
//! its place in the bus's stream, so a client that comes back with `Last-Event-ID`, to any platform, gets
//! what it missed and nothing twice.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::stream::unfold;
use ringdown_api::own as wire;
use ringdown_bus::{From as Start, Observer, Stream, subject};
use ringdown_domain::run::Status;
use ringdown_domain::{ResultId, RunId};
use ringdown_proto::v1::RunTransition;
use ringdown_proto::v1::envelope::Fact;
use ringdown_store::Run;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::State;
use super::operations::{Kind, Table};
use super::pages::{Asked, Id, time};
use crate::error::{Answer, Failure};
use crate::results;

/// Streams one process serves at once.
const MAX_STREAMS: usize = 512;

/// A stream in which nothing happens says so this often, so that nobody in between closes it.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A resumed stream of a result that has ended is over once nothing more came for this long.
const QUIET: Duration = Duration::from_secs(1);

/// Places for streams. Cheap to clone; clones share them.
#[derive(Clone)]
pub(crate) struct Places(Arc<Semaphore>);

impl Places {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MAX_STREAMS)))
    }
}

pub(crate) fn operations(table: &mut Table) {
    table
        .get("/ringdown/v1/results/{id}/events", events)
        .id("ringdown-results-events")
        .summary("Follow a result's runs as they change state")
        .about(
            "Server-sent events. `snapshot`: `{\"runs\": [...]}`, where every run is, at the beginning of \
             a new stream. `transition`: a run's new state. `end`: all runs have ended, and the stream \
             with them. A client that lost its connection sends the id of the last event it got in \
             `Last-Event-ID`: it gets what it missed instead of a snapshot, as far as the bus still has \
             it. A platform that shuts down ends its streams.",
        )
        .query(
            "last_event_id",
            Kind::Integer,
            "Like Last-Event-ID, for clients that cannot set headers.",
        )
        .answers_media(200, "text/event-stream")
        .answers::<ringdown_api::Detail>(503);
}

/// An event of a run as it is stored.
fn stored(run: &Run) -> wire::RunEvent {
    wire::RunEvent {
        run_id: run.id.0,
        seq: run.seq,
        status: run.status().to_string(),
        outbound_dial_window_opens_at: run.window.map(|window| time(window.opens_at)),
        outbound_dial_window_closes_at: run.window.map(|window| time(window.closes_at)),
        error_message: run.error_message().unwrap_or_default().to_owned(),
        success: run.success(),
    }
}

/// An event as the bus announces it.
fn announced(transition: RunTransition, status: Status) -> wire::RunEvent {
    let window = transition.window();
    wire::RunEvent {
        run_id: transition.run_id,
        seq: transition.seq,
        status: status.to_string(),
        outbound_dial_window_opens_at: window.map(|window| time(window.opens_at)),
        outbound_dial_window_closes_at: window.map(|window| time(window.closes_at)),
        error_message: transition.error_message,
        success: transition.success,
    }
}

/// One client's stream.
struct Feed {
    observer: Observer,
    result: ResultId,
    /// The last place in its history that the client knows each run to be in.
    known: HashMap<RunId, u64>,
    /// Runs whose end the client has not heard of.
    open: HashSet<RunId>,
    snapshot: Option<Event>,
    resumed: bool,
    ended: bool,
    drained: CancellationToken,
    _place: OwnedSemaphorePermit,
}

impl Feed {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        if let Some(snapshot) = self.snapshot.take() {
            return Some((Ok(snapshot), self));
        }
        if self.ended {
            return None;
        }
        loop {
            let all_ended = self.open.is_empty();
            if all_ended && !self.resumed {
                return Some((Ok(self.end()), self));
            }
            let drained = self.drained.clone();
            let observed = tokio::select! {
                () = drained.cancelled() => return None,
                observed = self.observer.next() => observed,
                () = tokio::time::sleep(QUIET), if all_ended => return Some((Ok(self.end()), self)),
            };
            // A client that is cut off asks again from the last event it got.
            let observed = observed?.ok()?;
            let Some(Fact::Run(transition)) = observed.envelope.fact else {
                continue;
            };
            if let Some(event) = self.take(transition) {
                let event = Event::default()
                    .event("transition")
                    .id(observed.sequence.to_string())
                    .json_data(event)
                    .ok()?;
                return Some((Ok(event), self));
            }
        }
    }

    fn end(&mut self) -> Event {
        self.ended = true;
        Event::default().event("end").data("{}")
    }

    /// What a transition is to the client; `None` if it knows it, or it is of another result.
    fn take(&mut self, transition: RunTransition) -> Option<wire::RunEvent> {
        if transition.result_id != self.result.0 {
            return None;
        }
        let status = transition.known_status()?;
        let run = transition.run();
        let known = self.known.entry(run).or_default();
        if transition.seq <= *known {
            return None;
        }
        *known = transition.seq;
        if status.is_terminal() {
            self.open.remove(&run);
        }
        Some(announced(transition, status))
    }
}

/// The event after which a client goes on, if it says one.
fn last_event(headers: &HeaderMap, asked: &Asked) -> Answer<Option<u64>> {
    const HEADER: &str = "Last-Event-ID";
    let header = headers.get(HEADER).map(|value| value.to_str());
    let (name, text) = match header {
        Some(text) => (HEADER, text.ok()),
        None => match asked.query("last_event_id") {
            Some(text) => ("last_event_id", Some(text)),
            None => return Ok(None),
        },
    };
    let id = text.and_then(|text| text.trim().parse().ok());
    id.map(Some)
        .ok_or_else(|| Failure::field(name, "Expected the id of an event of this stream."))
}

async fn events(
    Extract(state): Extract<State>,
    Extension(places): Extension<Places>,
    Id(id): Id,
    headers: HeaderMap,
    asked: Asked,
) -> Answer<Response> {
    let scope = asked.principal.scope;
    let result = state.store().batch(scope, ResultId(id)).await?.id;
    let last = last_event(&headers, &asked)?;
    let place = places.0.try_acquire_owned().map_err(|_| {
        Failure::detail(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{MAX_STREAMS} clients follow results already. Ask again later, or poll."),
        )
    })?;
    let drained = state.health.drained();
    if drained.is_cancelled() {
        let message = "This platform is shutting down. Ask again, at another one.";
        return Err(Failure::detail(StatusCode::SERVICE_UNAVAILABLE, message));
    }
    let team = state.store().organisation(scope.org).await?.team;
    let start = match last {
        Some(last) => Start::Sequence(last.saturating_add(1)),
        None => Start::Now,
    };
    // Whatever happens after this is heard, so what is read next cannot be older than what is heard first.
    let observer = state
        .engine
        .bus()
        .observe(Stream::Runs, &subject::runs_of(&team), start)
        .await
        .map_err(|error| {
            let message = format!("The bus cannot be followed now: {error}. Ask again.");
            Failure::detail(StatusCode::SERVICE_UNAVAILABLE, message)
        })?;
    let (mut known, mut open, mut runs) = (HashMap::new(), HashSet::new(), Vec::new());
    results::each_run(&state, scope, result, |run| {
        if !run.status().is_terminal() {
            open.insert(run.id);
        }
        if last.is_none() {
            known.insert(run.id, run.seq);
            runs.push(stored(run));
        }
    })
    .await?;
    let snapshot = match last {
        Some(_) => None,
        None => {
            let event = Event::default().event("snapshot");
            let event = event.json_data(wire::RunsSnapshot { runs });
            Some(event.map_err(|error| Failure::internal(&error.to_string()))?)
        }
    };
    let feed = Feed {
        observer,
        result,
        known,
        open,
        snapshot,
        resumed: last.is_some(),
        ended: false,
        drained,
        _place: place,
    };
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    let stream = Sse::new(unfold(feed, Feed::next)).keep_alive(keep_alive);
    Ok(stream.into_response())
}
