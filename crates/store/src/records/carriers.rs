use ringdown_domain::{CarrierId, CarrierName, OrganisationId, Timestamp};

use super::{Extra, SecretChange};

/// An account of an organisation at a provider, with which runs of any of its projects can be dialed.
#[derive(Clone, Debug, PartialEq)]
pub struct Carrier {
    /// Its id.
    pub id: CarrierId,
    /// Its organisation.
    pub org: OrganisationId,
    /// Its name, unique in its organisation. It never changes: secrets are sealed under it.
    pub name: CarrierName,
    /// The provider, by its name in settings.
    pub provider: String,
    /// What the provider needs to know, without secrets.
    pub settings: Extra,
    /// How many calls may start with it per second, above 0 and up to 10,000; `None`: the provider's default.
    pub calls_per_second: Option<f64>,
    /// How many calls may be up with it at once, 1 to 1,000,000; `None`: the provider's default.
    pub concurrent_calls: Option<u32>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A carrier to create.
#[derive(Clone, Debug)]
pub struct NewCarrier {
    /// Its organisation.
    pub org: OrganisationId,
    /// Its name.
    pub name: CarrierName,
    /// The provider.
    pub provider: String,
    /// What the provider needs to know, without secrets.
    pub settings: Extra,
    /// How many calls may start with it per second.
    pub calls_per_second: Option<f64>,
    /// How many calls may be up with it at once.
    pub concurrent_calls: Option<u32>,
    /// Its secrets.
    pub secrets: Vec<SecretChange>,
}
