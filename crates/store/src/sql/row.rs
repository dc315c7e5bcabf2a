use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Postgres, Row as _, Sqlite, Type};

use crate::Result;

/// A row of either database.
#[derive(Debug)]
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// What a column can be read as.
pub(crate) trait Column<'r>:
    Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>
{
}

impl<'r, T> Column<'r> for T where
    T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>
{
}

impl Row {
    /// The column of this name.
    pub(crate) fn get<'r, T: Column<'r>>(&'r self, column: &str) -> Result<T> {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(column)?,
            Self::Postgres(row) => row.try_get(column)?,
        })
    }

    /// The first column.
    pub(crate) fn first<'r, T: Column<'r>>(&'r self) -> Result<T> {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(0)?,
            Self::Postgres(row) => row.try_get(0)?,
        })
    }

    /// The column, which holds an id.
    pub(crate) fn id<T: From<i64>>(&self, column: &str) -> Result<T> {
        Ok(T::from(self.get(column)?))
    }

    /// The column, which may hold an id.
    pub(crate) fn maybe_id<T: From<i64>>(&self, column: &str) -> Result<Option<T>> {
        Ok(self.get::<Option<i64>>(column)?.map(T::from))
    }
}
