//! Turns `pending` transitions into dial attempts: at most one call per run.
//!
//! Contract:
//! 1. A worker takes a transition from the durable consumer all dialers share.
//!    A run whose route it does not have is left to those that may have it, for a few seconds.
//! 2. It waits for its turn. If that takes a while, it says so with a claim, for people and for other attempts.
//! 3. Just before the side effect it checks the window and writes its intention, which exactly one attempt ever can. Who
//!    finds another one dials nothing. Giving a run up is an intention too, that keeps everybody from dialing.
//! 4. The carrier says placed, not placed or ambiguous. Only what was provably not placed is tried
//!    again, inside the window, by the same attempt.
//! 5. An attempt is named after the transition it was made for. That transition coming again means
//!    that the claimant is gone. If it had not begun to dial, the run is dialed by its heir. If it had, the carrier is
//!    asked: by the key of the attempt, or among its calls. What cannot be found out is recorded as unknown, and never
//!    dialed again. Another transition of a run that was dialed means that it was announced more than once, and is dropped.
//! 6. An account's calls per second and calls at once are shared by every dialer on the bus. Who gets no turn in time says
//!    that the dial was dropped.
//! 7. A call that a provider has accepted is followed until it reaches its run: the transition stays unanswered, so that
//!    another dialer goes on where one stops. What the provider still queues when the window closes is called off.
//!
//! Refuses: deciding whether a run passed, and anything about SIP.

mod accounts;
mod attempt;
mod cancelled;
mod dial;
mod error;
mod facts;
mod follow;
mod heir;
mod lane;
mod metrics;
mod service;

pub use accounts::Access;
pub use error::Error;
pub use service::{Dialer, Options};
