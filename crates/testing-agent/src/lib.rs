//! The testing agent: answers the calls of agents under test, talks to them, records them, and
//! reports what happened.
//!
//! Purpose: every INVITE that arrives is explained. It is either refused, with the reason the
//! platform found, or answered and taken through a short conversation to an end with a reason.
//!
//! Contract:
//! * The platform decides which run a call belongs to; nothing is answered without its word. Calls
//!   from outside every [`Trunk`] get no response at all, and calls beyond the capacity get
//!   486; both are reported to the ledger at a bounded rate and always counted.
//! * A matched call reports `answered`, `turn`s, `ended`, `recorded`, in this order, each with a
//!   message id that makes publishing again harmless. A call that could not be answered reports
//!   `ended` and `recorded` only. Publishing goes on until it succeeds or the drain is over.
//! * What the testing agent says and when is decided by [`script`], a pure state machine.
//! * Every queue is bounded and every wait has a deadline. Nothing received from the network panics.
//!
//! Refuses: to match calls, to keep recordings (a [`RecordingSink`] does), to score them.

mod call;
mod conversation;
mod error;
mod facts;
mod hearing;
mod ledger;
mod live;
mod metrics;
mod network;
mod options;
mod prompts;
mod recording;
pub mod script;
mod seldom;
mod service;
mod trunk;

pub use error::Error;
pub use network::{InvalidNetwork, Network};
pub use options::{Detector, Options};
pub use recording::{RecordingSink, SinkError};
pub use service::{Handle, Service};
pub use trunk::Trunk;
