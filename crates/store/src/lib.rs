//! Persistence: the platform's database and the artefacts (recordings, reports).
//!
//! Contract: [`Store`] is narrow and says what the platform needs, not what SQL can do. Every
//! method is one transaction. A run's transition and its outbox row are written together; the state
//! machine itself is `domain::run`. Tenant data is only reachable within the [`Scope`] that
//! owns it, so one team's key can never read another's rows. One implementation, [`Database`], speaks
//! to SQLite and to PostgreSQL.
//!
//! Refuses: the bus (an outbox row is a record, the platform turns it into a message), clocks (time
//! is handed in), wire formats, secrets in the clear.

mod artefacts;
mod audit;
mod contract;
mod database;
mod error;
mod records;
mod sql;

use ringdown_domain::attempt::Verdict;
use ringdown_domain::matching::Judgement;

pub use artefacts::Artefacts;
pub use audit::{Actor, AuditEntry};
pub use contract::*;
pub use database::{Database, Export, Import, Rows, SCHEMA};
pub use error::Error;
pub use records::*;

/// The result of a store operation.
pub type Result<T> = std::result::Result<T, Error>;

/// What matching decided, with the run as it is after the claim.
#[derive(Clone, Debug)]
pub struct Matched {
    /// The judgement, as written to the ledger.
    pub judgement: Judgement,
    /// The matched or nearest run.
    pub run: Option<Run>,
    /// How refused callers of that run's project are treated; explicit if no project is concerned.
    pub reject: Reject,
}

impl Matched {
    /// The verdict.
    pub fn verdict(&self) -> Verdict {
        self.judgement.verdict
    }
}
