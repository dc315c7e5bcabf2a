//! Turns `pending` transitions into dial attempts: at most one call per run.
//!
//! Contract:
//! 1. A worker takes a transition from the durable consumer all dialers share.
//!    A run whose route it does not have is left to those that may have it, for a few seconds.
//! 2. It claims the run on the bus. Exactly one attempt ever wins.
//! 3. Just before the side effect it checks the window and writes its intention, again as a claim:
//!    a reconciler that took over has written it first, and then nothing is dialed.
//! 4. The carrier says placed, not placed or ambiguous. Only what was provably not placed is tried
//!    again, inside the window, by the same attempt.
//! 5. An attempt is named after the transition it was made for. That transition coming again means
//!    that the claimant is gone. Its books are closed: fenced off if it had not begun to dial, else
//!    recorded as unknown. Nothing is dialed again. Another transition of a claimed run means that
//!    the run was announced more than once, and is dropped.
//!
//! 6. An account's calls per second and calls at once are shared by every dialer on the bus. Who gets no turn in time says
//!    that the dial was dropped.
//! 7. A call that a provider has accepted is followed until it reaches its run: the transition stays unanswered, so that
//!    another dialer goes on where one stops. What the provider still queues when the window closes is called off.
//!
//! Refuses: deciding whether a run passed, and anything about SIP.

mod accounts;
mod attempt;
mod error;
mod facts;
mod follow;
mod lane;
mod metrics;
mod reconcile;
mod service;

pub use accounts::Access;
pub use error::Error;
pub use service::{Dialer, Options};
