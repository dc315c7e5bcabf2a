//! `ringdown secrets`: the keys that seal stored credentials.

use clap::{Args, Subcommand};
use ringdown_bus::now;
use ringdown_store::{Database, Secrets as _, StoredSecret};
use ringdown_vault::Keyring;
use serde::Serialize;

use crate::cli::{Format, Settings};
use crate::config::Config;
use crate::exit::{Exit, Failure, Outcome};
use crate::{print, roles};

/// Secrets read at once.
const PAGE: u32 = 500;

/// `ringdown secrets`
#[derive(Debug, Args)]
pub(crate) struct Secrets {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do with the keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print a new key, as a line for the key file or RINGDOWN_SECRETS_KEYS.
    NewKey,
    /// Seal every stored credential again with the current key: the first of the key file.
    ///
    /// First put the new key behind the others and restart every platform, so that all can open what
    /// it seals; then put it in front and restart again; then rotate. Afterwards the old key can go.
    /// May be interrupted and repeated, and run while platforms work.
    Rotate {
        #[command(flatten)]
        settings: Box<Settings>,
    },
}

/// What came of a rotation.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// The key that seals now.
    key: String,
    /// Secrets that were sealed again.
    resealed: u64,
    /// Those that were sealed with it already.
    current: u64,
    /// Those that were changed meanwhile; whoever did sealed them with the current key.
    changed: u64,
    /// Those that no key opens: owner, name and why.
    failed: Vec<String>,
}

pub(crate) fn new_key(format: Format) -> Outcome {
    let key = ringdown_vault::new_key().map_err(Failure::internal)?;
    match format {
        Format::Human => print::line(key.expose())?,
        Format::Json => print::json(&serde_json::json!({"key": key.expose()}))?,
    }
    Ok(Exit::Success)
}

pub(crate) async fn rotate(config: &Config, format: Format) -> Outcome {
    let keyring = config.keyring().map_err(Failure::unavailable)?;
    let database = roles::open_database(config).await?;
    let report = reseal(&database, &keyring).await;
    database.close().await;
    let report = report?;
    match format {
        Format::Json => print::json(&report)?,
        Format::Human => print::line(&format!(
            "sealed {} again with the key {}; {} were already, {} were changed meanwhile",
            report.resealed, report.key, report.current, report.changed
        ))?,
    }
    if report.failed.is_empty() {
        return Ok(Exit::Success);
    }
    let message = format!(
        "{} secrets were left as they are:\n{}",
        report.failed.len(),
        report.failed.join("\n")
    );
    Err(Failure::internal(anyhow::Error::msg(message)))
}

async fn reseal(database: &Database, keyring: &Keyring) -> Result<Report, Failure> {
    let mut report = Report {
        key: keyring.current_id().to_owned(),
        ..Report::default()
    };
    let mut after = None;
    loop {
        let page = database
            .secrets_after(after.take(), PAGE)
            .await
            .map_err(Failure::unavailable)?;
        let Some(last) = page.last() else {
            return Ok(report);
        };
        after = Some((last.owner.clone(), last.name.clone()));
        for secret in &page {
            one(database, keyring, secret, &mut report).await?;
        }
        eprintln!(
            "{} secrets looked at, {} sealed again",
            report.resealed + report.current + report.changed + report.failed.len() as u64,
            report.resealed
        );
    }
}

async fn one(
    database: &Database,
    keyring: &Keyring,
    secret: &StoredSecret,
    report: &mut Report,
) -> Result<(), Failure> {
    match keyring.reseal_stored(secret.org.0, &secret.name, &secret.sealed) {
        Ok(None) => report.current += 1,
        Ok(Some(sealed)) => {
            let done = database
                .reseal(secret, &sealed, now())
                .await
                .map_err(Failure::unavailable)?;
            *(if done {
                &mut report.resealed
            } else {
                &mut report.changed
            }) += 1;
        }
        Err(error) => report
            .failed
            .push(format!("{} {}: {error}", secret.owner, secret.name)),
    }
    Ok(())
}
