//! The first organisation and the key that administers the deployment.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use anyhow::Context as _;
use ringdown_bus::now;
use ringdown_rest::{ApiKey, hash_key};
use ringdown_store::{Database, Keys as _, NewApiKey, NewOrganisation, Tenancy as _};

use crate::config::Config;
use crate::exit::Failure;

/// Slug of the organisation that exists from the first start.
const FIRST_TEAM: &str = "default";

/// The key that administers the deployment: made with the first organisation, kept in a file that
/// only its owner can read. The database holds only its hash.
pub(crate) async fn admin_key(config: &Config, store: &Database) -> Result<String, Failure> {
    let path = config.data_dir.join("admin.key");
    let key = match std::fs::read_to_string(&path) {
        Ok(text) => text.trim().to_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = ApiKey::generate();
            write_private(&path, key.expose())
                .with_context(|| format!("failed to write {}", path.display()))
                .map_err(Failure::unavailable)?;
            key.expose().to_owned()
        }
        Err(error) => {
            let error = anyhow::Error::new(error);
            let error = error.context(format!("failed to read {}", path.display()));
            return Err(Failure::unavailable(error));
        }
    };
    let hash = hash_key(&key);
    if store
        .authenticate(hash, now())
        .await
        .map_err(Failure::internal)?
        .is_some()
    {
        return Ok(key);
    }
    let existing = store
        .organisation_by_slug(FIRST_TEAM)
        .await
        .map_err(Failure::internal)?;
    let registered = match existing {
        Some(organisation) => {
            let new = NewApiKey {
                scope: organisation.id.into(),
                key_sha256: hash,
                name: "admin".to_owned(),
                hint: key
                    .get(key.len().saturating_sub(4)..)
                    .unwrap_or_default()
                    .to_owned(),
                role: ringdown_store::Role::Admin,
                operator: true,
                rate_per_minute: None,
                expires_at: None,
            };
            store.add_api_key(new, now()).await.map(drop)
        }
        None => {
            let new = NewOrganisation {
                team: FIRST_TEAM.parse().map_err(Failure::internal)?,
                name: "Default".to_owned(),
                parallel_limit: config.parallel_calls,
                key_sha256: hash,
                operator: true,
            };
            store.create_organisation(new, now()).await.map(drop)
        }
    };
    registered.map_err(Failure::internal)?;
    Ok(key)
}

fn write_private(path: &PathBuf, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
