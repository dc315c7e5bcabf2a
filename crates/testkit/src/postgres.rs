//! PostgreSQL: databases of the server that `scripts/with-postgres.sh` starts, and servers of one test.

mod server;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

pub use server::Server;

/// Names the server, as `scripts/with-postgres.sh` sets it: the URL of a superuser's database.
pub const SERVER: &str = "RINGDOWN_TEST_POSTGRES";

/// Longest wait of the client for the server, in milliseconds.
const PATIENCE_MS: u32 = 60_000;

/// A database of one test. It is dropped with this value, whoever still uses it.
#[derive(Debug)]
pub struct Fresh {
    name: String,
    url: String,
    dropped: bool,
}

impl Fresh {
    /// An empty database.
    ///
    /// # Panics
    /// Without a server, and if it refuses.
    pub async fn create() -> Self {
        Self::made("template0".to_owned()).await
    }

    /// A copy of a database that `prepare` fills, given its URL. It is called once for all tests of one
    /// program, so it has to do the same each time, and to end its connections.
    ///
    /// # Panics
    /// Without a server, and if it refuses.
    pub async fn prepared(prepare: impl AsyncFnOnce(String)) -> Self {
        let template = template_name();
        if !exists(&template).await {
            // Tests run in processes of their own, any of which may be first. Each prepares one under a
            // name that is its own, and the first to be ready gives it the name that all look for.
            let mut draft = Self::create().await;
            prepare(draft.url.clone()).await;
            let rename = format!("ALTER DATABASE {} RENAME TO {template}", draft.name);
            if execute(rename.clone()).await.is_ok() {
                draft.dropped = true;
            } else {
                assert!(exists(&template).await, "{rename} failed");
                draft.drop_database().await;
            }
        }
        Self::made(template).await
    }

    async fn made(template: String) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{count}", std::process::id());
        let server = server();
        let (address, _) = server
            .rsplit_once('/')
            .unwrap_or_else(|| panic!("{SERVER} is {server:?}: it has to name a database"));
        let url = format!("{address}/{name}");
        execute(format!("CREATE DATABASE {name} TEMPLATE {template}"))
            .await
            .unwrap();
        Self {
            name,
            url,
            dropped: false,
        }
    }

    /// Where the database is: `postgres://user:password@host:port/name`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Drops the database; connections to it are cut.
    ///
    /// # Panics
    /// If the server refuses.
    pub async fn drop_database(mut self) {
        self.dropped = true;
        execute(drop_statement(&self.name)).await.unwrap();
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if !self.dropped {
            // The test has failed. Should this fail as well, the database goes with its server.
            let _ = psql(&server(), &["-c", &drop_statement(&self.name)]);
        }
    }
}

/// Runs SQL on a database, for what a test cannot do or see by other means; its answer as text, a line
/// for each row, `|` between columns.
///
/// # Errors
/// What the server said.
pub async fn query(url: &str, sql: &str) -> Result<String, String> {
    let (url, sql) = (url.to_owned(), sql.to_owned());
    tokio::task::spawn_blocking(move || psql(&url, &["-c", &sql]))
        .await
        .unwrap()
}

/// Loads a dump into a database.
///
/// # Errors
/// What the server said.
pub async fn load(url: &str, dump: &Path) -> Result<(), String> {
    let (url, dump) = (url.to_owned(), dump.display().to_string());
    let loaded = tokio::task::spawn_blocking(move || psql(&url, &["-f", &dump]));
    loaded.await.unwrap().map(drop)
}

fn server() -> String {
    std::env::var(SERVER).unwrap_or_else(|_| {
        panic!(
            "this test needs PostgreSQL, and {SERVER} does not say where it is: run `make test`, or \
             `scripts/with-postgres.sh cargo nextest run -p {}`",
            std::env::var("CARGO_PKG_NAME").unwrap_or_else(|_| "PACKAGE".to_owned())
        )
    })
}

fn drop_statement(name: &str) -> String {
    format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")
}

/// The same for all processes of one program, another one after it was built anew.
fn template_name() -> String {
    let program = std::env::current_exe().unwrap();
    let built = program.metadata().and_then(|file| file.modified()).unwrap();
    let mut hasher = DefaultHasher::new();
    (program, built).hash(&mut hasher);
    format!("template_{:016x}", hasher.finish())
}

async fn exists(database: &str) -> bool {
    let sql = format!("SELECT count(*) FROM pg_database WHERE datname = '{database}'");
    execute(sql).await.unwrap().trim() == "1"
}

async fn execute(sql: String) -> Result<String, String> {
    query(&server(), &sql).await
}

/// One of the newest PostgreSQL's programs, or the one in PATH.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql");
    let mut found: Vec<PathBuf> = versions
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin").join(name))
        .filter(|program| program.is_file())
        .collect();
    found.sort();
    found.pop().unwrap_or_else(|| PathBuf::from(name))
}

fn psql(url: &str, order: &[&str]) -> Result<String, String> {
    let output: Output = Command::new(program("psql"))
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d"])
        .arg(url)
        .args(order)
        .env("PGCONNECT_TIMEOUT", "30")
        .env("PGOPTIONS", format!("-c statement_timeout={PATIENCE_MS}"))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("run psql, of the package postgresql: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{}: {}", order.join(" "), said.trim()))
}
