//! Folds what happens on the bus into live state and reports.
//!
//! Contract: [`Live`] is a pure fold; facts may come twice and, between streams, in any order.
//! [`Observer`] replays and follows the streams and never influences a run. Reports are rendered
//! from values, so that the same report is made of local and of remote runs.
//!
//! Refuses: the database. What an observer knows, it has seen on the bus or was told.

mod error;
mod live;
pub mod report;
mod service;

pub use error::Error;
pub use live::{CallView, DialView, Live, RunKey, RunView};
pub use service::{Change, Observer, Options};
