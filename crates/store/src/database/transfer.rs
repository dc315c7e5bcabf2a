//! All rows of a database, as JSON that either kind of database can take in: for backups, and for moving
//! from SQLite to PostgreSQL.

use super::{Database, Pools};
use crate::sql::{Session, sql};
use crate::{Error, Result};

/// The version of the schema that rows belong to. A backup is restored by a program with the same one.
pub const SCHEMA: u32 = 8;

/// Rows of one portion.
const PORTION: i64 = 1000;

/// A table, and the column its rows are walked by; without one they are few.
struct Table {
    name: &'static str,
    key: Option<&'static str>,
}

const fn table(name: &'static str, key: Option<&'static str>) -> Table {
    Table { name, key }
}

/// Every table, each after those it refers to.
const TABLES: [Table; 25] = [
    table("organisations", Some("id")),
    table("projects", Some("id")),
    table("api_keys", Some("id")),
    table("audit_log", Some("id")),
    table("secrets", None),
    table("agents", Some("id")),
    table("carriers", Some("id")),
    table("phone_numbers", Some("id")),
    table("test_profiles", Some("id")),
    table("scenarios", Some("id")),
    table("personalities", Some("id")),
    table("folders", Some("id")),
    table("cron_jobs", Some("id")),
    table("batches", Some("id")),
    table("batch_counts", Some("result_id")),
    table("totals", None),
    table("run_templates", Some("id")),
    table("runs", Some("id")),
    table("attempts", Some("id")),
    table("outbox", Some("id")),
    table("idempotency", None),
    table("share_links", None),
    table("webhook_events", Some("id")),
    table("webhook_tries", Some("id")),
    table("artefacts_to_delete", None),
];

/// Some rows of one table.
#[derive(Clone, Debug)]
pub struct Rows {
    /// The table.
    pub table: &'static str,
    /// One JSON object a row.
    pub rows: Vec<String>,
}

/// Reads every row as of one moment, while the database is in use.
pub struct Export {
    session: Session,
    table: usize,
    after: i64,
    columns: Vec<(String, String)>,
}

impl Database {
    /// Begins to read everything, as of now.
    ///
    /// # Errors
    /// [`Error::Database`] if the database cannot be reached.
    pub async fn export(&self) -> Result<Export> {
        let session = match &self.pools {
            Pools::Sqlite { readers, .. } => Session::SqliteSnapshot(readers.begin().await?),
            Pools::Postgres(pool) => Session::PostgresWrite(
                pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                    .await?,
            ),
        };
        Ok(Export {
            session,
            table: 0,
            after: i64::MIN,
            columns: Vec::new(),
        })
    }

    /// Begins to fill this database, which has to be empty. Nothing is there before [`Import::finish`].
    ///
    /// # Errors
    /// [`Error::Conflict`] if it is not empty.
    pub async fn import(&self) -> Result<Import> {
        let mut session = self.write().await?;
        let filled = sql("SELECT 1 FROM organisations LIMIT 1")
            .optional(&mut session)
            .await?;
        if filled.is_some() {
            return Err(Error::Conflict {
                what: "backup",
                why: "the database is not empty: restore into a new one".to_owned(),
            });
        }
        Ok(Import { session })
    }
}

/// Name and declared type of each column of a SQLite table.
async fn columns(session: &mut Session, table: &str) -> Result<Vec<(String, String)>> {
    let rows = sql("SELECT name, type FROM pragma_table_info($1)")
        .bind(table)
        .all(session)
        .await?;
    rows.iter()
        .map(|row| Ok((row.get("name")?, row.get("type")?)))
        .collect()
}

impl Export {
    /// The next portion of rows; `None` after the last.
    ///
    /// # Errors
    /// [`Error::Database`] if the database failed: what was read so far is not a whole backup.
    pub async fn next(&mut self) -> Result<Option<Rows>> {
        while let Some(Table { name, key }) = TABLES.get(self.table) {
            let mut query = sql("SELECT ");
            match &self.session {
                Session::SqliteWrite(_) | Session::SqliteSnapshot(_) | Session::SqliteRead(_) => {
                    if self.columns.is_empty() {
                        self.columns = columns(&mut self.session, name).await?;
                    }
                    let fields = self
                        .columns
                        .iter()
                        .map(|(column, kind)| match kind.as_str() {
                            "BLOB" => format!("'{column}', '\\x' || lower(hex({column}))"),
                            _ => format!("'{column}', {column}"),
                        });
                    let fields: Vec<String> = fields.collect();
                    query.push(format!("json_object({})", fields.join(", ")));
                }
                Session::PostgresWrite(_) | Session::PostgresRead(_) => {
                    query.push("row_to_json(t)::text");
                }
            }
            query.push(format!(" AS row, {} AS position", key.unwrap_or("0")));
            query.push(format!(" FROM {name} t"));
            if let Some(key) = key {
                query.push(format!(" WHERE {key} > ")).push_bind(self.after);
                query
                    .push(format!(" ORDER BY {key} LIMIT "))
                    .push_bind(PORTION);
            }
            let rows = query.all(&mut self.session).await?;
            let full = key.is_some() && i64::try_from(rows.len()).is_ok_and(|n| n >= PORTION);
            match rows.last() {
                Some(last) if full => self.after = last.get("position")?,
                _ => {
                    self.table += 1;
                    self.after = i64::MIN;
                    self.columns.clear();
                }
            }
            if !rows.is_empty() {
                let rows = rows.iter().map(|row| row.get("row"));
                return Ok(Some(Rows {
                    table: name,
                    rows: rows.collect::<Result<_>>()?,
                }));
            }
        }
        Ok(None)
    }
}

/// Fills an empty database in one transaction.
pub struct Import {
    session: Session,
}

impl Import {
    /// Stores rows of one table; tables come in the order of their export.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if there is no such table, [`Error::Database`] if the rows do not fit it.
    pub async fn store(&mut self, table: &str, rows: &[String]) -> Result<()> {
        let known = TABLES.iter().find(|known| known.name == table);
        let Some(Table { name, .. }) = known else {
            return Err(Error::Corrupt {
                what: "backup",
                why: format!("it has rows of {table:?}, and there is no such table"),
            });
        };
        let list = format!("[{}]", rows.join(","));
        let mut insert = match self.session {
            Session::SqliteWrite(_) | Session::SqliteSnapshot(_) | Session::SqliteRead(_) => {
                let columns = columns(&mut self.session, name).await?;
                let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
                let values = columns.iter().map(|(column, kind)| match kind.as_str() {
                    "BLOB" => format!("unhex(substr(value ->> '{column}', 3))"),
                    _ => format!("value ->> '{column}'"),
                });
                let values: Vec<String> = values.collect();
                let mut insert = sql("INSERT INTO ");
                insert.push(format!(
                    "{name} ({}) SELECT {} FROM json_each(",
                    names.join(", "),
                    values.join(", ")
                ));
                insert
            }
            Session::PostgresWrite(_) | Session::PostgresRead(_) => {
                let mut insert = sql("INSERT INTO ");
                insert.push(format!(
                    "{name} SELECT * FROM jsonb_populate_recordset(NULL::{name}, "
                ));
                insert
            }
        };
        insert.push_bind(list).either(")", "::jsonb)");
        insert.run(&mut self.session).await?;
        Ok(())
    }

    /// Makes everything that was stored visible at once.
    ///
    /// # Errors
    /// [`Error::Database`] if the database failed: it is still empty then.
    pub async fn finish(mut self) -> Result<()> {
        if matches!(self.session, Session::PostgresWrite(_)) {
            for Table { name, key } in TABLES {
                if key != Some("id") {
                    continue;
                }
                // The next id comes after those that were restored, and never before its own start.
                let mut next = sql("SELECT setval(pg_get_serial_sequence(");
                next.push_bind(name);
                next.push(format!(
                    ", 'id'), greatest((SELECT max(id) + 1 FROM {name}), \
                     nextval(pg_get_serial_sequence("
                ));
                next.push_bind(name).push(", 'id'))), false)");
                next.all(&mut self.session).await?;
            }
        }
        self.session.commit().await
    }
}
