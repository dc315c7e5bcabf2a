//! The database: SQLite in one file with one writer and readers beside it, or PostgreSQL shared by
//! several platforms. What differs between them is in `sql` and here; the tables' modules are the same.

mod agents;
mod apply;
mod batches;
mod carriers;
mod checkups;
mod counts;
mod cron;
mod folders;
mod grouped;
mod keys;
mod ledger;
mod matching;
mod migrations;
mod numbers;
mod outbox;
mod personalities;
mod profiles;
mod queue;
mod retention;
mod rows;
mod run_lists;
mod scenarios;
mod secrets;
mod suites;
mod tenancy;
mod transfer;
mod transitions;
mod trigger;
mod waiting;
mod webhooks;

pub use transfer::{Export, Import, Rows, SCHEMA};

use std::path::Path;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{PgPool, SqlitePool};

use apply::Step;
use grouped::Group;
use matching::Call;
use migrations::{POSTGRES, SQLITE};

use crate::sql::{Session, Writer, sql};
use crate::{Actor, Error, NewAttempt, Result, Store, Transition};

/// Longest wait for a connection.
const ACQUIRE: Duration = Duration::from_secs(10);

/// Longest statement on PostgreSQL, and longest pause inside a transaction: a process that is gone
/// without a word holds its locks no longer than this.
const STATEMENT: &str = "60s";

/// Longest wait for a lock on PostgreSQL.
const LOCK: &str = "20s";

/// The platform's database. Every accepted write is on disk before it is acknowledged, so that no run is
/// lost when the process or the machine dies. Cheap to clone; clones share the connections.
#[derive(Clone, Debug)]
pub struct Database {
    pools: Pools,
    steps: Group<Step>,
    calls: Group<Call>,
    attempts: Group<NewAttempt>,
}

#[derive(Clone, Debug)]
enum Pools {
    Sqlite { writer: Writer, readers: SqlitePool },
    Postgres(PgPool),
}

impl Store for Database {}

impl Database {
    /// Opens a SQLite file, creating and migrating it as needed. One process at a time may use it.
    ///
    /// # Errors
    /// [`Error::Database`] if the file cannot be opened, [`Error::Migrate`] if it was written by a
    /// newer version.
    pub async fn sqlite(file: &Path) -> Result<Self> {
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
        SQLITE.run(&writer).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(4)
            .acquire_timeout(ACQUIRE)
            .connect_with(options.read_only(true))
            .await?;
        let writer = Writer::new(writer);
        Ok(Self::on(Pools::Sqlite { writer, readers }))
    }

    /// Connects to a PostgreSQL database, `postgres://user:password@host/name`, and migrates it as
    /// needed. Any number of processes may use it, with at most `connections` connections each.
    ///
    /// # Errors
    /// [`Error::Database`] if it cannot be reached, [`Error::Migrate`] if it was written by a newer
    /// version.
    pub async fn postgres(url: &str, connections: u32) -> Result<Self> {
        let options: PgConnectOptions = url.parse()?;
        let options = options.application_name("ringdown");
        // Migrating may take as long as it has to.
        let migrating = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE)
            .connect_with(options.clone())
            .await?;
        POSTGRES.run(&migrating).await?;
        migrating.close().await;
        let options = options.options([
            // Our statements are short, and compiling one would take longer than any of them.
            ("jit", "off"),
            ("statement_timeout", STATEMENT),
            ("lock_timeout", LOCK),
            ("idle_in_transaction_session_timeout", STATEMENT),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE)
            .connect_with(options)
            .await?;
        Ok(Self::on(Pools::Postgres(pool)))
    }

    fn on(pools: Pools) -> Self {
        Self {
            steps: Group::start(pools.clone()),
            calls: Group::start(pools.clone()),
            attempts: Group::start(pools.clone()),
            pools,
        }
    }

    /// Closes the database after the transactions in flight.
    pub async fn close(&self) {
        match &self.pools {
            Pools::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Pools::Postgres(pool) => pool.close().await,
        }
    }

    /// Whether transactions should be short because they keep every other writer waiting.
    fn has_one_writer(&self) -> bool {
        matches!(self.pools, Pools::Sqlite { .. })
    }

    /// A transaction; see [`Pools::write`].
    async fn write(&self) -> Result<Session> {
        self.pools.write().await
    }

    /// Carries out a step of a run, together with others of the same time.
    async fn step(&self, step: Step) -> Result<Transition> {
        if Actor::current().is_none() {
            return self.steps.take(step).await;
        }
        // What a user demands is audited in its own transaction.
        grouped::alone(&self.pools, step).await
    }

    /// A connection for reading.
    async fn read(&self) -> Result<Session> {
        Ok(match &self.pools {
            Pools::Sqlite { readers, .. } => Session::SqliteRead(readers.acquire().await?),
            Pools::Postgres(pool) => Session::PostgresRead(pool.acquire().await?),
        })
    }
}

impl Pools {
    /// A transaction. On SQLite it holds the write lock from its start; on PostgreSQL what is read for a
    /// decision has to be read `locked`. Locks are taken in this order, so that none waits for another in
    /// a circle: organisation, projects, carrier, number, batches by id, runs.
    async fn write(&self) -> Result<Session> {
        Ok(match self {
            Pools::Sqlite { writer, .. } => Session::SqliteWrite(writer.begin().await?),
            Pools::Postgres(pool) => Session::PostgresWrite(pool.begin().await?),
        })
    }
}

/// Keeps others from deciding about the same thing until the end of the transaction. SQLite has one
/// writer anyway.
async fn lock(session: &mut Session, what: &str) -> Result<()> {
    lock_all(session, [what]).await
}

/// The same for several things, always in the same order.
async fn lock_all(session: &mut Session, what: impl IntoIterator<Item = &str>) -> Result<()> {
    if let Session::PostgresWrite(_) = session {
        let what: Vec<&str> = what.into_iter().collect();
        sql("SELECT pg_advisory_xact_lock(w.key) FROM (\
             SELECT hashtextextended(e.value, 0) AS key \
             FROM jsonb_array_elements_text($1::jsonb) e (value) ORDER BY 1) w")
        .bind(serde_json::Value::from(what).to_string())
        .all(session)
        .await?;
    }
    Ok(())
}
