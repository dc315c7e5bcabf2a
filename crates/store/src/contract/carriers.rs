use async_trait::async_trait;
use ringdown_domain::{AgentId, CarrierName, Timestamp};

use crate::{Carrier, Listing, NewCarrier, Page, Result, Scope, SecretChange};

/// Accounts at providers, with which an organisation's runs are dialed. They are shared by all its projects:
/// the scope of one sees them all and changes none.
#[async_trait]
pub trait Carriers: Send + Sync {
    /// Stores a new carrier. [`Error::Conflict`](crate::Error::Conflict) if its organisation has one of that name.
    async fn create_carrier(&self, new: NewCarrier, now: Timestamp) -> Result<Carrier>;
    /// The carrier of this name.
    async fn carrier(&self, scope: Scope, name: &CarrierName) -> Result<Carrier>;
    /// Carriers, by name.
    async fn carriers(&self, scope: Scope, page: Page) -> Result<Listing<Carrier>>;
    /// The agents in the scope that are dialed through this carrier, by id, at most 1000.
    async fn agents_of_carrier(
        &self,
        scope: Scope,
        name: &CarrierName,
    ) -> Result<Vec<(AgentId, String)>>;
    /// Replaces what can change of a carrier as it was read, and changes these secrets. What was checked together
    /// is stored together: [`Error::Conflict`](crate::Error::Conflict) if it was changed since it was read.
    async fn update_carrier(
        &self,
        carrier: &Carrier,
        secrets: Vec<SecretChange>,
        now: Timestamp,
    ) -> Result<()>;
    /// Deletes a carrier and its secrets. [`Error::Conflict`](crate::Error::Conflict), which names them, while
    /// agents are dialed through it.
    async fn delete_carrier(&self, scope: Scope, name: &CarrierName) -> Result<()>;
}
