use std::time::Duration;

use ringdown_domain::admission::Pace;
use ringdown_domain::{AgentId, CarrierId, KeyId, OrganisationId, ProjectId, Team, Timestamp};
use serde::{Deserialize, Serialize};

use super::Extra;

/// Whose data may be used: a whole organisation's, or one project's. Every query for a user is made
/// within a scope, so that one team can never reach another's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    /// The organisation.
    pub org: OrganisationId,
    /// The only project of it that may be used; `None`: all.
    pub project: Option<ProjectId>,
}

impl From<OrganisationId> for Scope {
    fn from(org: OrganisationId) -> Self {
        Self { org, project: None }
    }
}

/// A tenant.
#[derive(Clone, Debug, PartialEq)]
pub struct Organisation {
    /// Its id.
    pub id: OrganisationId,
    /// Its token on the bus.
    pub team: Team,
    /// Its name.
    pub name: String,
    /// Parallel-call limit over all its projects; `None` is unlimited.
    pub parallel_limit: Option<u32>,
    /// The other API fields.
    pub extra: Extra,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
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
    pub operator: bool,
}

/// What the holder of a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Read.
    Viewer,
    /// Read, change what is tested with, run tests.
    Editor,
    /// All of it, keys and settings included.
    Admin,
}

impl Role {
    /// The text used on the API and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Admin => "admin",
        }
    }

    /// The role with this text, if any.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Viewer, Self::Editor, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == text)
    }
}

/// An API key to register.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// Whose key it is, and the project it is bound to.
    pub scope: Scope,
    /// SHA-256 of the key.
    pub key_sha256: [u8; 32],
    /// What it is for.
    pub name: String,
    /// The key's last characters, so that its holder can tell it from others.
    pub hint: String,
    /// What it allows.
    pub role: Role,
    /// Whether it administers the whole deployment.
    pub operator: bool,
    /// Requests it may make per minute; `None`: the deployment's default.
    pub rate_per_minute: Option<u32>,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
}

/// A registered API key. The key itself is not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyRecord {
    /// Its id.
    pub id: KeyId,
    /// Whose key it is, and the project it is bound to.
    pub scope: Scope,
    /// What it is for.
    pub name: String,
    /// The key's last characters.
    pub hint: String,
    /// What it allows.
    pub role: Role,
    /// Whether it administers the whole deployment.
    pub operator: bool,
    /// Requests it may make per minute; `None`: the deployment's default.
    pub rate_per_minute: Option<u32>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// The holder of an API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The key.
    pub key: KeyId,
    /// The key's name.
    pub key_name: String,
    /// Whose data it may use.
    pub scope: Scope,
    /// The organisation's token on the bus.
    pub team: Team,
    /// What it may do.
    pub role: Role,
    /// Whether it administers the whole deployment.
    pub operator: bool,
    /// Requests it may make per minute; `None`: the deployment's default.
    pub rate_per_minute: Option<u32>,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
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
#[derive(Clone, Debug, PartialEq)]
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
    /// How many of its calls start per second at the most; `None`: as many as there are slots.
    pub pace: Option<Pace>,
    /// Length of the dial window (`outbound_timeout`), 1 to 300 s.
    pub dial_window: Duration,
    /// Longest call (`max_call_duration`), 10 to 3600 s.
    pub max_call_duration: Duration,
    /// Mutual silence that ends a call.
    pub silence_timeout: Duration,
    /// What refused callers hear.
    pub reject: Reject,
    /// Where its webhooks go; `None`: nowhere.
    pub webhook_url: Option<String>,
    /// Days that ended results are kept; `None`: for ever.
    pub retention_days: Option<u32>,
    /// The other API fields.
    pub extra: Extra,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What a secret belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretOwner {
    /// An organisation.
    Organisation(OrganisationId),
    /// A project.
    Project(ProjectId),
    /// An agent.
    Agent(AgentId),
    /// An imported phone number.
    PhoneNumber(ringdown_domain::PhoneNumberId),
    /// A carrier.
    Carrier(CarrierId),
}

impl std::fmt::Display for SecretOwner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Organisation(id) => write!(f, "organisation:{id}"),
            Self::Project(id) => write!(f, "project:{id}"),
            Self::Agent(id) => write!(f, "agent:{id}"),
            Self::PhoneNumber(id) => write!(f, "phone_number:{id}"),
            Self::Carrier(id) => write!(f, "carrier:{id}"),
        }
    }
}

/// A secret to store or to forget, written together with the object it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretChange {
    /// Its name, for example `webhook_secret`.
    pub name: String,
    /// The sealed value; `None` forgets it.
    pub sealed: Option<String>,
}

/// A sealed secret as stored, for rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSecret {
    /// What it belongs to, as [`SecretOwner`] is displayed.
    pub owner: String,
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub org: OrganisationId,
    /// The sealed value.
    pub sealed: String,
}
