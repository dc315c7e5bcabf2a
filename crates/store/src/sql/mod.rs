//! One text of SQL for two databases. A [`Sql`] is built once, and rendered for the database it is
//! executed on: placeholders and most statements are the same, what differs is written as a pair.

mod row;
mod session;
mod value;
mod writer;

use std::borrow::Cow;

pub(crate) use row::Row;
pub(crate) use session::Session;
pub(crate) use value::{Value, bind_all, storable};
pub(crate) use writer::Writer;

use crate::Result;

/// Which database a statement is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

#[derive(Debug)]
enum Part {
    Text(Cow<'static, str>),
    Either(Cow<'static, str>, Cow<'static, str>),
}

/// A statement and its arguments.
#[derive(Debug)]
pub(crate) struct Sql {
    parts: Vec<Part>,
    arguments: Vec<Value>,
}

/// A statement that is the same for both databases; its placeholders `$1` and on are filled by
/// [`Sql::bind`] in their order.
pub(crate) fn sql(text: &'static str) -> Sql {
    Sql {
        parts: vec![Part::Text(Cow::Borrowed(text))],
        arguments: Vec::new(),
    }
}

impl Sql {
    /// Fills the next placeholder of the text so far.
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.arguments.push(value.into());
        self
    }

    /// Adds text.
    pub(crate) fn push(&mut self, text: impl Into<Cow<'static, str>>) -> &mut Self {
        self.parts.push(Part::Text(text.into()));
        self
    }

    /// Adds text that differs between the databases.
    pub(crate) fn either(&mut self, sqlite: &'static str, postgres: &'static str) -> &mut Self {
        self.parts
            .push(Part::Either(sqlite.into(), postgres.into()));
        self
    }

    /// Adds a placeholder with its value.
    pub(crate) fn push_bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.arguments.push(value.into());
        let place = format!("${}", self.arguments.len());
        self.push(place)
    }

    /// Adds `column IN (ids)`, however many they are.
    pub(crate) fn one_of<T>(
        &mut self,
        column: &'static str,
        ids: impl IntoIterator<Item = T>,
    ) -> &mut Self
    where
        T: Into<serde_json::Value>,
    {
        let ids: Vec<serde_json::Value> = ids
            .into_iter()
            .map(|id| match id.into() {
                serde_json::Value::String(text) => storable(&text).into(),
                other => other,
            })
            .collect();
        if ids.is_empty() {
            // Of which type none of them is cannot be told.
            return self.push("1 = 0");
        }
        let numbers = ids.iter().all(serde_json::Value::is_number);
        self.arguments
            .push(serde_json::Value::Array(ids).to_string().into());
        let place = self.arguments.len();
        let cast = if numbers { "::bigint" } else { "" };
        self.push(column);
        self.parts.push(Part::Either(
            format!(" IN (SELECT value FROM json_each(${place}))").into(),
            // An array, because PostgreSQL joins with a set instead of searching an index for each.
            format!(" = ANY (ARRAY (SELECT e.value{cast} FROM jsonb_array_elements_text(${place}::jsonb) e (value)))").into(),
        ));
        self
    }

    /// Adds a table `name` with these rows, objects whose fields are its columns, which have the types of PostgreSQL.
    pub(crate) fn push_records(
        &mut self,
        name: &str,
        columns: &[(&str, &str)],
        rows: Vec<serde_json::Value>,
    ) -> &mut Self {
        self.arguments
            .push(serde_json::Value::Array(rows).to_string().into());
        let place = self.arguments.len();
        let taken: Vec<String> = columns
            .iter()
            .map(|(column, _)| format!("value ->> '{column}' AS {column}"))
            .collect();
        let typed: Vec<String> = columns
            .iter()
            .map(|(column, kind)| format!("{column} {kind}"))
            .collect();
        let (taken, typed) = (taken.join(", "), typed.join(", "));
        self.parts.push(Part::Either(
            format!("(SELECT {taken} FROM json_each(${place})) AS {name}").into(),
            format!("jsonb_to_recordset(${place}::jsonb) AS {name} ({typed})").into(),
        ));
        self
    }

    /// Adds whether a column that holds a JSON list of texts has this one among them.
    pub(crate) fn list_has(&mut self, column: &'static str, text: &str) -> &mut Self {
        self.arguments.push(text.into());
        let place = self.arguments.len();
        self.parts.push(Part::Either(
            format!("EXISTS (SELECT 1 FROM json_each({column}) WHERE value = ${place})").into(),
            format!("({column}::jsonb ? ${place})").into(),
        ));
        self
    }

    /// Adds whether a column that holds a JSON list of texts has one of these among them, however many they are:
    /// a condition for each would be too deep for SQLite.
    pub(crate) fn list_has_any(&mut self, column: &'static str, texts: &[String]) -> &mut Self {
        let texts: Vec<String> = texts.iter().map(|text| storable(text)).collect();
        let texts = serde_json::Value::from(texts).to_string();
        self.arguments.push(texts.into());
        let place = self.arguments.len();
        self.parts.push(Part::Either(
            format!(
                "EXISTS (SELECT 1 FROM json_each({column}) WHERE value IN \
                 (SELECT value FROM json_each(${place})))"
            )
            .into(),
            format!(
                "({column}::jsonb ?| ARRAY (SELECT e.value FROM \
                 jsonb_array_elements_text(${place}::jsonb) e (value)))"
            )
            .into(),
        ));
        self
    }

    /// Adds whether a text holds another one, ignoring case.
    pub(crate) fn text_has(&mut self, column: &'static str, text: &str) -> &mut Self {
        self.arguments.push(text.into());
        let place = self.arguments.len();
        self.parts.push(Part::Either(
            format!("instr(lower({column}), lower(${place})) > 0").into(),
            format!("strpos(lower({column}), lower(${place})) > 0").into(),
        ));
        self
    }

    /// Adds that the rows read are held against others until the end of the transaction. SQLite has
    /// one writer at a time and needs no such thing.
    pub(crate) fn locked(&mut self, tables: &'static str) -> &mut Self {
        self.parts.push(Part::Either(
            "".into(),
            format!(" FOR UPDATE OF {tables}").into(),
        ));
        self
    }

    fn rendered(&self, dialect: Dialect) -> String {
        let mut text = String::new();
        for part in &self.parts {
            text.push_str(match (part, dialect) {
                (Part::Text(text), _)
                | (Part::Either(text, _), Dialect::Sqlite)
                | (Part::Either(_, text), Dialect::Postgres) => text,
            });
        }
        text
    }

    /// All rows.
    pub(crate) async fn all(self, on: &mut Session) -> Result<Vec<Row>> {
        let text = self.rendered(on.dialect());
        on.fetch_all(text, self.arguments).await
    }

    /// The first row, if there is one.
    pub(crate) async fn optional(self, on: &mut Session) -> Result<Option<Row>> {
        let text = self.rendered(on.dialect());
        on.fetch_optional(text, self.arguments).await
    }

    /// The first row of a statement that always gives one.
    pub(crate) async fn one(self, on: &mut Session) -> Result<Row> {
        let row = self.optional(on).await?;
        Ok(row.ok_or(sqlx::Error::RowNotFound)?)
    }

    /// Executes the statement; how many rows it changed.
    pub(crate) async fn run(self, on: &mut Session) -> Result<u64> {
        let text = self.rendered(on.dialect());
        on.execute(text, self.arguments).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_rendered_for_each_database() {
        let mut statement = sql("SELECT * FROM t WHERE a = $1").bind(1i64);
        statement.push(" AND ").one_of("id", [4, 5]);
        statement.push(" AND ").list_has("tags", "x");
        statement.push(" AND b = ").push_bind("y").locked("t");
        assert_eq!(
            statement.rendered(Dialect::Sqlite),
            "SELECT * FROM t WHERE a = $1 AND id IN (SELECT value FROM json_each($2)) AND EXISTS \
             (SELECT 1 FROM json_each(tags) WHERE value = $3) AND b = $4"
        );
        assert_eq!(
            statement.rendered(Dialect::Postgres),
            "SELECT * FROM t WHERE a = $1 AND id = ANY (ARRAY (SELECT e.value::bigint FROM \
             jsonb_array_elements_text($2::jsonb) e (value))) AND (tags::jsonb ? $3) AND b = $4 \
             FOR UPDATE OF t"
        );
        let mut none = sql("SELECT 1 WHERE ");
        none.one_of("name", Vec::<String>::new());
        assert_eq!(none.rendered(Dialect::Postgres), "SELECT 1 WHERE 1 = 0");
    }
}
