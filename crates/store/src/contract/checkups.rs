use async_trait::async_trait;

use crate::{Agent, Checkup, Result};

/// What is asked before a batch of an agent is triggered.
#[async_trait]
pub trait Checkups: Send + Sync {
    /// What a batch of `agent` would find now, in a few statements however much there is. The agent
    /// has been read within its caller's scope; [`Rival`](crate::Rival)s are looked for in all of its
    /// organisation.
    async fn checkup(&self, agent: &Agent) -> Result<Checkup>;
}
