//! The bus: NATS with JetStream, and nothing else speaks to it.
//!
//! Purpose: streams, subjects, durable work, observation, claims, leases, shared rates and numbers, questions
//! to the platforms, trace context, and a supervised `nats-server` for one-machine use.
//!
//! Contract:
//! * Subjects are only built by [`subject`].
//! * [`Bus::publish`] returns once the server has stored the fact, or fails within a deadline.
//! * [`Bus::claim`] has exactly one winner per subject. An acknowledgement is no fence.
//! * A [`Lease`] lasts while its holder is heard. It says who is well, and fences nothing.
//! * Consumers get every fact at least once and must be idempotent.
//! * What cannot be decoded is counted, logged once in a while and dropped, never delivered.
//!
//! Refuses: JSON, in-memory doubles, and waiting without a deadline.

mod ask;
mod backlog;
mod connection;
mod consume;
mod error;
mod gather;
mod hold;
mod lease;
mod outgoing;
mod pace;
mod publish;
mod server;
mod streams;
pub mod subject;
mod together;
mod trace;
mod unusable;

pub use ask::{MatchCall, MatchCalls, Question, Questions};
pub use connection::{Bus, Options};
pub use consume::{Delivery, From, Observed, Observer, Watch, Workers, WorkersOptions};
pub use error::Error;
pub use lease::{Heard, Heartbeats, Lease, LeaseTimes};
pub use pace::Pacer;
pub use publish::{Claim, Published};
pub use server::{NatsServer, ServerOptions, find_nats_server};
pub use streams::Stream;
pub use together::Message;

use ringdown_domain::Timestamp;

/// The present moment. The bus stamps facts with it; other crates may use it as their clock.
pub fn now() -> Timestamp {
    let micros = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_micros());
    Timestamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
}

/// A new event id (UUIDv7: unique, and ordered by time).
pub fn new_event_id() -> String {
    uuid::Uuid::now_v7().to_string()
}
