//! The schema of either database, in steps of which each is taken once. What a database has taken is noted in it with
//! the step's SHA-384: a step that was released is never changed.
//!
//! The list is written out because the macro that reads a folder (`sqlx::migrate!`) would have half of sqlx compiled a
//! second time, for the compiler itself.

use std::sync::LazyLock;

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// The file's name without its ending, and what it says.
type Step = (&'static str, &'static str);

macro_rules! steps {
    ($folder:literal: $($name:literal)+) => {
        &[$(($name, include_str!(concat!("../../migrations/", $folder, "/", $name, ".sql")))),+]
    };
}

const SQLITE_STEPS: &[Step] = steps!("sqlite":
    "0001_first"
    "0002_indexes"
    "0003_teams"
    "0004_trunks"
    "0005_holders"
    "0006_pace_and_priority"
    "0007_endings"
    "0008_carriers"
);

const POSTGRES_STEPS: &[Step] = steps!("postgres":
    "0001_first"
    "0002_trunks"
    "0003_holders"
    "0004_pace_and_priority"
    "0005_endings"
    "0006_carriers"
);

pub(super) static SQLITE: LazyLock<Migrator> = LazyLock::new(|| migrator(SQLITE_STEPS));
pub(super) static POSTGRES: LazyLock<Migrator> = LazyLock::new(|| migrator(POSTGRES_STEPS));

fn migrator(steps: &[Step]) -> Migrator {
    let migrations = (1..).zip(steps).map(|(version, (name, sql))| {
        let (_, description) = name.split_once('_').unwrap_or(("", name));
        let description = description.replace('_', " ").into();
        Migration::new(
            version,
            description,
            MigrationType::Simple,
            (*sql).into_sql_str(),
            false,
        )
    });
    Migrator::with_migrations(migrations.collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::path::Path;

    use super::*;

    /// Every file of the folder is a step, in the order of the numbers, and is what the folder's own reader in
    /// sqlx makes of it.
    async fn complete(folder: &str, ours: &Migrator, steps: &[Step]) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("migrations")
            .join(folder);
        let files = std::fs::read_dir(&folder).unwrap().count();
        let read = Migrator::new(folder).await.unwrap();
        let told = |migrator: &Migrator| -> Vec<_> {
            let all = migrator.iter().map(|step| {
                let (version, kind) = (step.version, step.migration_type);
                (
                    version,
                    step.description.clone(),
                    kind,
                    step.checksum.clone(),
                    step.no_tx,
                )
            });
            all.collect()
        };
        assert_eq!(told(ours), told(&read));
        assert_eq!(ours.iter().count(), files);
        for ((name, _), step) in steps.iter().zip(ours.iter()) {
            assert!(name.starts_with(&format!("{:04}_", step.version)), "{name}");
        }
    }

    #[tokio::test]
    async fn every_file_is_a_step() {
        complete("sqlite", &SQLITE, SQLITE_STEPS).await;
        complete("postgres", &POSTGRES, POSTGRES_STEPS).await;
    }
}
