//! The platform: owns the runs. Planning, run queue, call matching, deadlines, the outbox relay.
//!
//! Contract:
//! * The store is the truth. A transition and its outbox row are one transaction; the relay
//!   publishes rows in order with `Nats-Msg-Id = <run>:<seq>`. Losing NATS stalls only the fan-out.
//! * Admission is driven by events: a freed slot admits at once.
//! * Facts from the bus are applied idempotently; what does not fit a run's state is ignored.
//!
//! Refuses: HTTP (`rest`), audio, SIP and dialing. Those are other roles, heard on the bus.

mod call_note;
pub mod dialing;
mod engine;
mod error;
mod invariants;
pub mod plan;
mod score;

pub use call_note::{CALL_NOTE, CallNote};
pub use engine::{Engine, Options, Triggered};
pub use error::Error;
pub use score::{Score, ScoreMetric, ScoreTurn};
