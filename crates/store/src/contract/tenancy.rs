use async_trait::async_trait;
use ringdown_domain::{KeyId, OrganisationId, ProjectId, Timestamp};

use crate::{
    ApiKeyRecord, AuditEntry, Listing, NewApiKey, NewOrganisation, Organisation, Page, Principal,
    Project, Result, Scope, SecretChange, SecretOwner, StoredSecret,
};

/// Organisations and projects.
#[async_trait]
pub trait Tenancy: Send + Sync {
    /// Whether the database answers; for health checks.
    async fn ping(&self) -> Result<()>;
    /// Creates an organisation with one project named "default" and one admin key, or fails with
    /// [`Error::Conflict`](crate::Error::Conflict) if the slug is taken.
    async fn create_organisation(
        &self,
        new: NewOrganisation,
        now: Timestamp,
    ) -> Result<(Organisation, Project)>;
    /// The organisation with this slug.
    async fn organisation_by_slug(&self, slug: &str) -> Result<Option<Organisation>>;
    /// The organisation.
    async fn organisation(&self, id: OrganisationId) -> Result<Organisation>;
    /// All organisations, by id; for the deployment's operator.
    async fn organisations(&self, page: Page) -> Result<Listing<Organisation>>;
    /// Replaces the organisation's name, limit and other fields, and changes these secrets.
    async fn update_organisation(
        &self,
        organisation: &Organisation,
        secrets: Vec<SecretChange>,
        now: Timestamp,
    ) -> Result<()>;
    /// Changes the organisation's parallel-call limit.
    async fn set_organisation_limit(&self, id: OrganisationId, limit: Option<u32>) -> Result<()>;
    /// Stores a project with its settings; `id`, `created_at` and `updated_at` are filled in.
    async fn create_project(
        &self,
        project: Project,
        secrets: Vec<SecretChange>,
        now: Timestamp,
    ) -> Result<Project>;
    /// The projects of the scope, by id.
    async fn projects(&self, scope: Scope) -> Result<Vec<Project>>;
    /// One project.
    async fn project(&self, scope: Scope, id: ProjectId) -> Result<Project>;
    /// Replaces the project's name and settings, and changes these secrets.
    async fn update_project(
        &self,
        project: &Project,
        secrets: Vec<SecretChange>,
        now: Timestamp,
    ) -> Result<()>;
    /// The audit log, newest first. `count` stops at 10,000.
    async fn audit_log(&self, scope: Scope, page: Page) -> Result<Listing<AuditEntry>>;
}

/// API keys. Only their hashes are stored.
#[async_trait]
pub trait Keys: Send + Sync {
    /// Registers an API key by its SHA-256.
    async fn add_api_key(&self, key: NewApiKey, now: Timestamp) -> Result<ApiKeyRecord>;
    /// The keys of the scope that are not revoked, by id. A project's scope sees the project's own.
    async fn api_keys(&self, scope: Scope) -> Result<Vec<ApiKeyRecord>>;
    /// Revokes a key: it stops working at once, in every process within a second.
    async fn revoke_api_key(&self, scope: Scope, id: KeyId, now: Timestamp) -> Result<()>;
    /// Who holds the key with this SHA-256, if it is neither revoked nor expired.
    async fn authenticate(&self, key_sha256: [u8; 32], now: Timestamp)
    -> Result<Option<Principal>>;
    /// Writes down when keys were last used.
    async fn keys_used(&self, used: Vec<(KeyId, Timestamp)>) -> Result<()>;
}

/// Sealed secrets. What they hold is the vault's matter.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// Names of the secrets an object has.
    async fn secret_names(&self, scope: Scope, owner: SecretOwner) -> Result<Vec<String>>;
    /// Every secret of these objects that has one, as the owner is displayed and the secret's name.
    async fn secrets_of(
        &self,
        scope: Scope,
        owners: &[SecretOwner],
    ) -> Result<Vec<(String, String)>>;
    /// A sealed secret.
    async fn secret(&self, scope: Scope, owner: SecretOwner, name: &str) -> Result<Option<String>>;
    /// Changes secrets of an object.
    async fn change_secrets(
        &self,
        org: OrganisationId,
        owner: SecretOwner,
        changes: Vec<SecretChange>,
        now: Timestamp,
    ) -> Result<()>;
    /// All secrets of all organisations after this one, in the order of `(owner, name)`; for
    /// rotation.
    async fn secrets_after(
        &self,
        after: Option<(String, String)>,
        limit: u32,
    ) -> Result<Vec<StoredSecret>>;
    /// Replaces a sealed secret, unless it was changed meanwhile; whether it did.
    async fn reseal(&self, old: &StoredSecret, sealed: &str, now: Timestamp) -> Result<bool>;
}
