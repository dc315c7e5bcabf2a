use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Postgres, Sqlite, Transaction};

use super::writer::Turn;
use super::{Dialect, Row, Value, bind_all};
use crate::Result;

/// A connection in use, inside a transaction or only reading.
pub(crate) enum Session {
    SqliteWrite(Turn),
    /// Reads as of one moment.
    SqliteSnapshot(Transaction<'static, Sqlite>),
    SqliteRead(PoolConnection<Sqlite>),
    PostgresWrite(Transaction<'static, Postgres>),
    PostgresRead(PoolConnection<Postgres>),
}

/// Runs `$method` of the query on whatever connection the session has. Every text comes from [`super::Sql`],
/// which is built from literals and binds all values, so it is safe.
macro_rules! on {
    ($session:expr, $text:expr, $arguments:expr, $method:ident) => {{
        let text = AssertSqlSafe($text);
        match $session {
            Session::SqliteWrite(turn) => Answer::Sqlite(
                bind_all!(sqlx::query(text), $arguments)
                    .$method(turn.connection()?)
                    .await?,
            ),
            Session::SqliteSnapshot(tx) => Answer::Sqlite(
                bind_all!(sqlx::query(text), $arguments)
                    .$method(&mut **tx)
                    .await?,
            ),
            Session::SqliteRead(connection) => Answer::Sqlite(
                bind_all!(sqlx::query(text), $arguments)
                    .$method(&mut **connection)
                    .await?,
            ),
            Session::PostgresWrite(tx) => Answer::Postgres(
                bind_all!(sqlx::query(text), $arguments)
                    .$method(&mut **tx)
                    .await?,
            ),
            Session::PostgresRead(connection) => Answer::Postgres(
                bind_all!(sqlx::query(text), $arguments)
                    .$method(&mut **connection)
                    .await?,
            ),
        }
    }};
}

/// What either driver answered.
enum Answer<S, P> {
    Sqlite(S),
    Postgres(P),
}

impl Session {
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Self::SqliteWrite(_) | Self::SqliteSnapshot(_) | Self::SqliteRead(_) => Dialect::Sqlite,
            Self::PostgresWrite(_) | Self::PostgresRead(_) => Dialect::Postgres,
        }
    }

    pub(super) async fn fetch_all(
        &mut self,
        text: String,
        arguments: Vec<Value>,
    ) -> Result<Vec<Row>> {
        Ok(match on!(self, text, arguments, fetch_all) {
            Answer::Sqlite(rows) => rows.into_iter().map(Row::Sqlite).collect(),
            Answer::Postgres(rows) => rows.into_iter().map(Row::Postgres).collect(),
        })
    }

    pub(super) async fn fetch_optional(
        &mut self,
        text: String,
        arguments: Vec<Value>,
    ) -> Result<Option<Row>> {
        Ok(match on!(self, text, arguments, fetch_optional) {
            Answer::Sqlite(row) => row.map(Row::Sqlite),
            Answer::Postgres(row) => row.map(Row::Postgres),
        })
    }

    pub(super) async fn execute(&mut self, text: String, arguments: Vec<Value>) -> Result<u64> {
        Ok(match on!(self, text, arguments, execute) {
            Answer::Sqlite(done) => done.rows_affected(),
            Answer::Postgres(done) => done.rows_affected(),
        })
    }

    /// Ends a transaction that is a part of a change nobody sees yet, so that it is not audited yet.
    pub(crate) async fn commit_part(self) -> Result<()> {
        match self {
            Self::SqliteWrite(turn) => turn.commit().await?,
            Self::SqliteSnapshot(tx) => tx.commit().await?,
            Self::PostgresWrite(tx) => tx.commit().await?,
            Self::SqliteRead(_) | Self::PostgresRead(_) => {}
        }
        Ok(())
    }

    /// Ends the transaction; what it wrote is on disk afterwards.
    pub(crate) async fn commit(mut self) -> Result<()> {
        crate::audit::record(&mut self).await?;
        self.commit_part().await
    }
}
