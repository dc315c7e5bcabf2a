//! Watches runs at a remote service and puts their transitions on the bus.
//!
//! Contract: takes `triggered` plans, reads their runs in bulk until all have ended, and publishes
//! each transition once, as the same message on the same subject that our own platform uses. A run
//! that becomes pending is noticed within [`NOTICE`], however long the batch takes. Losing the
//! service for a while delays transitions and loses none that it still reports.
//!
//! Refuses: triggering and dialing.

mod error;
mod pace;
mod service;
mod watch;

use std::time::Duration;

/// Longest time between two looks at runs that may become pending: what the reference's sample
/// script allows itself.
pub const NOTICE: Duration = Duration::from_secs(3);

pub use error::Error;
pub use service::Poller;
