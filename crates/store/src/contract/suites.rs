use async_trait::async_trait;
use ringdown_domain::Timestamp;

use crate::{NewSuite, Result, StoredSuite};

/// Evaluators that are kept as code.
#[async_trait]
pub trait Suites: Send + Sync {
    /// Creates or replaces everything that a suite of tests is made of, or nothing of it.
    /// [`Error::NotFound`](crate::Error::NotFound) if something that is to be replaced is gone.
    async fn put_suite(&self, suite: NewSuite, now: Timestamp) -> Result<StoredSuite>;
}
