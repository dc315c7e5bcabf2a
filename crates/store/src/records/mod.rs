//! What the store reads and writes.

mod carriers;
mod catalogue;
mod checkups;
mod ledger;
mod queue;
mod runs;
mod suites;
mod tenancy;
mod webhooks;

pub use carriers::*;
pub use catalogue::*;
pub use checkups::*;
pub use ledger::*;
pub use queue::*;
pub use runs::*;
pub use suites::*;
pub use tenancy::*;
pub use webhooks::*;

/// JSON object of API fields that the platform stores and returns but does not act on.
pub type Extra = serde_json::Map<String, serde_json::Value>;

/// One page of a listing, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Page number, from 1.
    pub number: u32,
    /// Rows per page.
    pub size: u32,
}

/// Rows of one page and how many there are in all.
#[derive(Clone, Debug)]
pub struct Listing<T> {
    /// Rows over all pages.
    pub count: u64,
    /// Rows of this page.
    pub rows: Vec<T>,
}
