//! SQLite's one writer. Transactions that follow each other without a pause become durable together: each is
//! a savepoint of one transaction of the database, and none is acknowledged before that one is on disk. A
//! disk takes milliseconds to be sure of a write; without this it would be asked once for every change.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::{Sqlite, SqliteConnection, SqlitePool};
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};
use tracing::{debug, warn};

use crate::{Error, Result};

/// Transactions that become durable together, at most.
const TOGETHER: usize = 64;

/// The first of them waits for the others no longer than this.
const PATIENCE: Duration = Duration::from_millis(5);

/// Longest wait for one's turn.
const TURN: Duration = Duration::from_secs(10);

/// Whoever writes, one after the other. Cheap to clone; clones share the connection.
#[derive(Clone, Debug)]
pub(crate) struct Writer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pool: SqlitePool,
    connection: Arc<Mutex<Connection>>,
    waiting: AtomicUsize,
}

#[derive(Debug, Default)]
struct Connection {
    /// Taken when it is needed first.
    held: Option<PoolConnection<Sqlite>>,
    /// The transaction of the database, while there is one.
    group: Option<Group>,
    /// A turn ended without a word: what it did has to be undone.
    abandoned: bool,
}

#[derive(Debug)]
struct Group {
    since: Instant,
    /// Who waits for it to be on disk.
    members: Vec<oneshot::Sender<std::result::Result<(), String>>>,
}

/// Somebody who waits for a turn. If it goes away, the group must not wait for it.
struct Waiting<'a> {
    writer: &'a Writer,
    has_turn: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.writer.0.waiting.fetch_sub(1, Ordering::SeqCst);
        if !self.has_turn {
            self.writer.settle_later();
        }
    }
}

/// One transaction. Dropped without [`Turn::commit`], nothing of it has happened.
pub(crate) struct Turn {
    writer: Writer,
    /// Empty once it is over.
    connection: Option<OwnedMutexGuard<Connection>>,
}

impl Writer {
    /// A writer on the only connection of `pool`.
    pub(crate) fn new(pool: SqlitePool) -> Self {
        Self(Arc::new(Inner {
            pool,
            connection: Arc::default(),
            waiting: AtomicUsize::new(0),
        }))
    }

    /// Waits for a turn. It holds the database's write lock, so that what it reads is still true when it writes.
    ///
    /// # Errors
    /// [`Error::Database`] if none came within 10 s or the database refused.
    pub(crate) async fn begin(&self) -> Result<Turn> {
        self.0.waiting.fetch_add(1, Ordering::SeqCst);
        let mut waiting = Waiting {
            writer: self,
            has_turn: false,
        };
        let lock = Arc::clone(&self.0.connection).lock_owned();
        let guard = tokio::time::timeout(TURN, lock)
            .await
            .map_err(|_| Error::Database(sqlx::Error::PoolTimedOut))?;
        let mut turn = Turn {
            writer: self.clone(),
            connection: Some(guard),
        };
        waiting.has_turn = true;
        drop(waiting);
        let connection = turn.guard()?;
        connection.undo_abandoned().await;
        // Until the savepoint stands it is not known what is there to be undone.
        connection.abandoned = true;
        if connection.held.is_none() {
            connection.held = Some(self.0.pool.acquire().await?);
        }
        if connection.group.is_none() {
            connection.execute("BEGIN IMMEDIATE").await?;
            connection.group = Some(Group {
                since: Instant::now(),
                members: Vec::new(),
            });
        }
        connection.execute("SAVEPOINT turn").await?;
        Ok(turn)
    }

    /// Closes the connection after the transactions that wait for it.
    pub(crate) async fn close(&self) {
        let mut connection = self.0.connection.lock().await;
        connection.undo_abandoned().await;
        connection.commit().await;
        connection.held = None;
        drop(connection);
        self.0.pool.close().await;
    }

    /// Does what the next turn would have done, should none come.
    fn settle_later(&self) {
        // Without a runtime nobody waits for the group either.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let writer = self.clone();
        runtime.spawn(async move {
            let mut connection = writer.0.connection.lock().await;
            connection.undo_abandoned().await;
            if writer.0.waiting.load(Ordering::SeqCst) == 0 {
                connection.commit().await;
            }
        });
    }
}

impl Connection {
    async fn execute(&mut self, text: &'static str) -> Result<()> {
        let held = self
            .held
            .as_deref_mut()
            .ok_or(Error::Database(sqlx::Error::PoolClosed))?;
        sqlx::raw_sql(text).execute(held).await?;
        Ok(())
    }

    /// Undoes what a turn did that was dropped, and nothing else. Where that cannot be told apart, the whole
    /// group is undone and told so.
    async fn undo_abandoned(&mut self) {
        if !std::mem::take(&mut self.abandoned) || self.held.is_none() {
            return;
        }
        let precisely =
            self.group.is_some() && self.execute("ROLLBACK TO turn; RELEASE turn").await.is_ok();
        if !precisely {
            self.roll_back().await;
            self.tell(&Err("it was rolled back with a change beside it".to_owned()));
        }
    }

    /// Rolls back whatever transaction there is.
    async fn roll_back(&mut self) {
        if let Err(error) = self.execute("ROLLBACK").await {
            debug!(%error, "nothing was rolled back");
        }
    }

    /// Makes the group durable and tells its members.
    async fn commit(&mut self) {
        if self.group.is_none() {
            return;
        }
        let committed = self.execute("COMMIT").await.map_err(|error| {
            warn!(%error, "cannot commit");
            error.to_string()
        });
        if committed.is_err() {
            self.roll_back().await;
        }
        self.tell(&committed);
    }

    fn tell(&mut self, outcome: &std::result::Result<(), String>) {
        let members = self.group.take().map(|group| group.members);
        for member in members.into_iter().flatten() {
            // Whoever does not wait any more has no use for it.
            let _ = member.send(outcome.clone());
        }
    }
}

impl Turn {
    fn guard(&mut self) -> Result<&mut Connection> {
        self.connection
            .as_deref_mut()
            .ok_or(Error::Database(sqlx::Error::PoolClosed))
    }

    /// The connection to execute statements on.
    ///
    /// # Errors
    /// [`Error::Database`] if the database was closed.
    pub(crate) fn connection(&mut self) -> Result<&mut SqliteConnection> {
        let held = self.guard()?.held.as_deref_mut();
        held.ok_or(Error::Database(sqlx::Error::PoolClosed))
    }

    /// Ends the turn and waits until what it did is on disk.
    ///
    /// # Errors
    /// [`Error::Database`] if it is not: nothing of it has happened then.
    pub(crate) async fn commit(mut self) -> Result<()> {
        let connection = self.guard()?;
        connection.execute("RELEASE turn").await?;
        connection.abandoned = false;
        let (member, committed) = oneshot::channel();
        let mut is_full = true;
        if let Some(group) = connection.group.as_mut() {
            group.members.push(member);
            is_full = group.members.len() >= TOGETHER || group.since.elapsed() >= PATIENCE;
        }
        let Some(mut connection) = self.connection.take() else {
            return Err(Error::Database(sqlx::Error::PoolClosed));
        };
        if is_full || self.writer.0.waiting.load(Ordering::SeqCst) == 0 {
            // Not in this task, which may be dropped: others depend on it.
            tokio::spawn(async move { connection.commit().await });
        } else {
            // Whoever waits takes over, or settles when it gives up.
            drop(connection);
        }
        match committed.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(reason)) => Err(Error::Database(sqlx::Error::Protocol(reason))),
            Err(_) => Err(Error::Database(sqlx::Error::PoolClosed)),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.connection.take().is_some() {
            self.writer.settle_later();
        }
    }
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

    use super::*;

    async fn writer(folder: &tempfile::TempDir) -> Writer {
        let options = SqliteConnectOptions::new()
            .filename(folder.path().join("test.db"))
            .create_if_missing(true)
            .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal);
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options)
            .await
            .unwrap();
        sqlx::raw_sql("CREATE TABLE t (n INTEGER PRIMARY KEY)")
            .execute(&pool)
            .await
            .unwrap();
        Writer::new(pool)
    }

    async fn insert(turn: &mut Turn, n: i64) -> std::result::Result<(), sqlx::Error> {
        sqlx::query("INSERT INTO t VALUES ($1)")
            .bind(n)
            .execute(turn.connection().unwrap())
            .await
            .map(drop)
    }

    /// What a new connection sees.
    async fn stored(folder: &tempfile::TempDir) -> Vec<i64> {
        let options = SqliteConnectOptions::new().filename(folder.path().join("test.db"));
        let pool = SqlitePool::connect_with(options).await.unwrap();
        let rows = sqlx::query_scalar("SELECT n FROM t ORDER BY n")
            .fetch_all(&pool)
            .await
            .unwrap();
        pool.close().await;
        rows
    }

    #[tokio::test]
    async fn what_is_acknowledged_is_stored_and_what_is_dropped_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(&folder).await;
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..200 {
            let writer = writer.clone();
            tasks.spawn(async move {
                let mut turn = writer.begin().await.unwrap();
                insert(&mut turn, n).await.unwrap();
                match n % 4 {
                    // Forgotten, failed, given up while it waits to be on disk.
                    0 => drop(turn),
                    1 => {
                        assert!(insert(&mut turn, n).await.is_err());
                        drop(turn);
                    }
                    _ => turn.commit().await.unwrap(),
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        let expected: Vec<i64> = (0..200).filter(|n| n % 4 > 1).collect();
        assert_eq!(stored(&folder).await, expected);
    }

    #[tokio::test]
    async fn nobody_waits_for_one_that_gave_up_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(&folder).await;
        let mut first = writer.begin().await.unwrap();
        insert(&mut first, 1).await.unwrap();
        // Somebody waits, so that the first leaves the group open for it, and then gives up.
        let mut second = Box::pin(writer.begin());
        assert!(futures::poll!(second.as_mut()).is_pending());
        let mut commit = Box::pin(first.commit());
        let held_by_first = Arc::strong_count(&writer.0.connection);
        while Arc::strong_count(&writer.0.connection) == held_by_first {
            assert!(futures::poll!(commit.as_mut()).is_pending());
            tokio::task::yield_now().await;
        }
        drop(second);
        tokio::time::timeout(TURN, commit).await.unwrap().unwrap();
        assert_eq!(stored(&folder).await, [1]);
    }

    #[tokio::test]
    async fn a_commit_that_nobody_waits_for_any_more_is_still_made_for_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(&folder).await;
        let mut turn = writer.begin().await.unwrap();
        insert(&mut turn, 1).await.unwrap();
        let mut commit = Box::pin(turn.commit());
        let other = tokio::spawn({
            let writer = writer.clone();
            async move {
                let mut turn = writer.begin().await?;
                insert(&mut turn, 2).await?;
                turn.commit().await
            }
        });
        // Begun, and given up at once.
        assert!(futures::poll!(commit.as_mut()).is_pending());
        drop(commit);
        other.await.unwrap().unwrap();
        assert!(stored(&folder).await.contains(&2));
    }

    #[tokio::test]
    async fn a_group_that_cannot_be_kept_is_refused_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(&folder).await;
        let mut first = writer.begin().await.unwrap();
        insert(&mut first, 1).await.unwrap();
        let mut second = Box::pin(writer.begin());
        assert!(futures::poll!(second.as_mut()).is_pending());
        let first = tokio::spawn(first.commit());
        let mut second = second.await.unwrap();
        // As after an error that makes SQLite roll everything back.
        sqlx::raw_sql("ROLLBACK")
            .execute(second.connection().unwrap())
            .await
            .unwrap();
        drop(second);
        assert!(first.await.unwrap().is_err());
        assert!(stored(&folder).await.is_empty());
        let mut next = writer.begin().await.unwrap();
        insert(&mut next, 3).await.unwrap();
        next.commit().await.unwrap();
        assert_eq!(stored(&folder).await, [3]);
    }
}
