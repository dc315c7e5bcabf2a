use std::time::Duration;

use ringdown_domain::{OrganisationId, ProjectId, Team, Timestamp};
use serde::{Deserialize, Serialize};

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organisation {
    /// Its id.
    pub id: OrganisationId,
    /// Its token on the bus.
    pub team: Team,
    /// Its name.
    pub name: String,
    /// Parallel-call limit over all its projects; `None` is unlimited.
    pub parallel_limit: Option<u32>,
}

/// A tenant to create.
#[derive(Clone, Debug)]
pub struct NewOrganisation {
    /// Its token on the bus, unique.
    pub team: Team,
    /// Its name.
    pub name: String,
    /// Parallel-call limit; `None` is unlimited.
    pub parallel_limit: Option<u32>,
    /// SHA-256 of its first API key.
    pub key_sha256: [u8; 32],
    /// Whether that key administers the whole deployment.
    pub admin: bool,
}

/// An API key to register.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// Whose key it is.
    pub org: OrganisationId,
    /// SHA-256 of the key.
    pub key_sha256: [u8; 32],
    /// What it is for.
    pub label: String,
    /// Whether it administers the whole deployment.
    pub admin: bool,
}

/// The holder of an API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The organisation whose data it may use.
    pub org: OrganisationId,
    /// The organisation's token on the bus.
    pub team: Team,
    /// Whether it administers the whole deployment.
    pub admin: bool,
}

/// What a refused caller hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reject {
    /// A final response with a reason.
    Explicit,
    /// Nothing, as the reference service does.
    Silent,
}

/// A project and its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Its organisation.
    pub org: OrganisationId,
    /// Its name.
    pub name: String,
    /// Parallel-call limit; `None` is unlimited.
    pub parallel_limit: Option<u32>,
    /// Share of the organisation's slots relative to other projects, at least 1.
    pub weight: u32,
    /// Length of the dial window (`outbound_timeout`), 1 to 300 s.
    pub dial_window: Duration,
    /// Longest call (`max_call_duration`), 10 to 3600 s.
    pub max_call_duration: Duration,
    /// Mutual silence that ends a call.
    pub silence_timeout: Duration,
    /// What refused callers hear.
    pub reject: Reject,
    /// When it was created.
    pub created_at: Timestamp,
}
