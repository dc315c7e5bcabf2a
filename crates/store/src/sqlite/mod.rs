//! SQLite: one file, one writer, readers beside it.

mod catalogue;
mod ledger;
mod matching;
mod numbers;
mod queue;
mod rows;
mod runs;
mod store;
mod tenancy;

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Sqlite as Driver, Transaction};

use crate::{Error, Result};

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/sqlite");

/// Longest wait for the writer or a reader.
const ACQUIRE: Duration = Duration::from_secs(10);

/// The embedded database. Every accepted write is on disk before it is acknowledged
/// (`synchronous = FULL`), so that no run is lost when the process or the machine dies.
#[derive(Clone, Debug)]
pub struct Sqlite {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Sqlite {
    /// Opens the database file, creating and migrating it as needed.
    ///
    /// # Errors
    /// [`Error::Database`] if the file cannot be opened, [`Error::Migrate`] if it was written by a
    /// newer version.
    pub async fn open(file: &Path) -> Result<Self> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).map_err(|source| Error::File {
                path: folder.display().to_string(),
                source,
            })?;
        }
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(ACQUIRE);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.clone())
            .await?;
        MIGRATIONS.run(&writer).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(4)
            .acquire_timeout(ACQUIRE)
            .connect_with(options.read_only(true))
            .await?;
        Ok(Self { writer, readers })
    }

    /// Closes the database after the transactions in flight.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// A transaction that holds the write lock from its start, so that what it read is still true
    /// when it writes.
    async fn write(&self) -> Result<Transaction<'static, Driver>> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }
}
