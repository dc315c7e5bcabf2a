//! What the platform needs of a database, by what it is about. Every method is one transaction.
//! A `Scope` says whose rows it may see or change: what lies outside is [`Error::NotFound`](crate::Error::NotFound),
//! as if it did not exist. `update_*` replaces the whole record.

mod carriers;
mod catalogue;
mod checkups;
mod runs;
mod schedules;
mod suites;
mod tenancy;
mod webhooks;

pub use carriers::Carriers;
pub use catalogue::{Agents, Folders, Numbers, Personalities, Scenarios, TestProfiles};
pub use checkups::Checkups;
pub use runs::{Ledger, Outbox, Retention, Runs, Transitions};
pub use schedules::Schedules;
pub use suites::Suites;
pub use tenancy::{Keys, Secrets, Tenancy};
pub use webhooks::Webhooks;

/// The platform's database. Object safe, so that SQLite and PostgreSQL serve the same platform.
pub trait Store:
    Tenancy
    + Keys
    + Secrets
    + Agents
    + Scenarios
    + Folders
    + TestProfiles
    + Personalities
    + Numbers
    + Carriers
    + Checkups
    + Schedules
    + Suites
    + Runs
    + Transitions
    + Ledger
    + Outbox
    + Webhooks
    + Retention
    + 'static
{
}
