//! Triggers batches at a service and announces them on the bus.
//!
//! Contract: a plan is checked first (the agent exists and makes calls), triggered at most once,
//! and published as a `triggered` fact that carries every run with its number. From there the
//! poller takes over. A trigger whose answer was lost is never repeated: it could place a second
//! batch of calls.
//!
//! Refuses: watching runs and dialing.

mod error;
mod trigger;

pub use error::Error;
pub use trigger::{Plan, Triggered, trigger};
