use std::collections::HashSet;

use async_trait::async_trait;
use ringdown_domain::dial::Ending;
use ringdown_domain::{CallerHeader, OrganisationId, Presented, RunId, Timestamp};
use serde_json::{Value, json};

use super::Database;
use super::grouped::Task;
use super::rows::{Count, corrupt, from_json, page, parsed_option, to_json};
use super::transitions::load;
use crate::sql::{Row, Session, sql, storable};
use crate::{
    Attempt, AttemptFilter, AttemptKind, Ledger, Listing, NewAttempt, Page, Result, Scope,
};

/// Evidence looked at for one run; the newest.
const MAX_EVIDENCE: i64 = 100;

fn attempt(row: &Row) -> Result<Attempt> {
    let kind: String = row.get("kind")?;
    let response: Option<i64> = row.get("response")?;
    let header: String = row.get("from_header")?;
    Ok(Attempt {
        id: row.get("id")?,
        row: NewAttempt {
            attempt_id: row.get("attempt_id")?,
            kind: AttemptKind::parse(&kind)
                .ok_or_else(|| corrupt("attempt", format!("kind {kind:?} is not known")))?,
            at: Timestamp::from_micros(row.get("at")?),
            verdict: row.get("verdict")?,
            org: row.maybe_id("org_id")?,
            run: row.maybe_id("run_id")?,
            nearest: row.get("nearest")?,
            from_raw: row.get("from_raw")?,
            from: parsed_option("attempt", row.get("from_number")?)?,
            to_raw: row.get("to_raw")?,
            to: parsed_option("attempt", row.get("to_number")?)?,
            source: row.get("source")?,
            sip_call_id: row.get("sip_call_id")?,
            response: response.and_then(|status| u16::try_from(status).ok()),
            ending: row
                .get::<Option<String>>("ending")?
                .and_then(|ending| Ending::parse(&ending)),
            explanation: row.get("explanation")?,
            route: row.get("route")?,
            presented: Presented {
                trunk: row.get("trunk")?,
                header: CallerHeader::parse(&header),
                values: from_json("attempt", row.get("caller_headers")?)?,
            },
        },
    })
}

/// How far a dial has come, from its verdict in the column `$1`: what is known for certain ranks above
/// what is not, and a fact that comes late never turns a row back.
macro_rules! stage {
    ($verdict:literal) => {
        concat!(
            "CASE ",
            $verdict,
            " WHEN 'claimed' THEN 0 WHEN 'intended' THEN 1 \
             WHEN 'ambiguous' THEN 2 WHEN 'settled' THEN 2 ELSE 3 END"
        )
    };
}

/// The columns of a ledger row.
const COLUMNS: &[(&str, &str)] = &[
    ("kind", "text"),
    ("attempt_id", "text"),
    ("at", "bigint"),
    ("verdict", "text"),
    ("org_id", "bigint"),
    ("run_id", "bigint"),
    ("nearest", "boolean"),
    ("from_raw", "text"),
    ("from_number", "text"),
    ("to_raw", "text"),
    ("to_number", "text"),
    ("source", "text"),
    ("sip_call_id", "text"),
    ("response", "bigint"),
    ("ending", "text"),
    ("explanation", "text"),
    ("route", "text"),
    ("trunk", "text"),
    ("from_header", "text"),
    ("caller_headers", "text"),
];

fn record(row: &NewAttempt) -> Result<Value> {
    Ok(json!({
        "kind": row.kind.as_str(),
        "attempt_id": storable(&row.attempt_id),
        "at": row.at,
        "verdict": storable(&row.verdict),
        "org_id": row.org.map(|org| org.0),
        "run_id": row.run.map(|run| run.0),
        "nearest": row.nearest,
        "from_raw": storable(&row.from_raw),
        "from_number": row.from,
        "to_raw": storable(&row.to_raw),
        "to_number": row.to,
        "source": storable(&row.source),
        "sip_call_id": storable(&row.sip_call_id),
        "response": row.response,
        "ending": row.ending.map(Ending::as_str),
        "explanation": storable(&row.explanation),
        "route": storable(&row.route),
        "trunk": storable(&row.presented.trunk),
        "from_header": row.presented.header.map_or("", CallerHeader::as_str),
        "caller_headers": to_json("attempt", &row.presented.values)?,
    }))
}

/// Writes a ledger row; see [`insert_all`].
pub(super) async fn insert(on: &mut Session, row: &NewAttempt) -> Result<()> {
    insert_all(on, std::slice::from_ref(row)).await
}

/// Writes ledger rows inside a transaction; the same attempt again replaces what may have changed.
/// A call that names no organisation belongs to the owner of the number that was called.
pub(super) async fn insert_all(on: &mut Session, rows: &[NewAttempt]) -> Result<()> {
    let mut rest: Vec<&NewAttempt> = rows.iter().collect();
    while !rest.is_empty() {
        // One statement writes a row once.
        let mut seen = HashSet::new();
        let (first, again): (Vec<_>, Vec<_>) = rest
            .into_iter()
            .partition(|row| seen.insert((row.kind.as_str(), &row.attempt_id)));
        let records = first
            .into_iter()
            .map(record)
            .collect::<Result<Vec<Value>>>()?;
        write(on, records).await?;
        rest = again;
    }
    Ok(())
}

async fn write(on: &mut Session, records: Vec<Value>) -> Result<()> {
    let columns: Vec<&str> = COLUMNS.iter().map(|(column, _)| *column).collect();
    let columns = columns.join(", ");
    let taken = columns.replacen(
        "org_id",
        "COALESCE(j.org_id, (SELECT p.org_id FROM phone_numbers p WHERE p.number = j.to_number))",
        1,
    );
    let mut insert = sql("INSERT INTO attempts (");
    insert
        .push(columns)
        .push(") SELECT ")
        .push(taken)
        .push(" FROM ")
        .push_records("j", COLUMNS, records)
        // Without a condition SQLite takes what follows for one of a join.
        .push(concat!(
            " WHERE true ON CONFLICT (kind, attempt_id) DO UPDATE SET verdict = excluded.verdict, \
             run_id = excluded.run_id, nearest = excluded.nearest, response = excluded.response, \
             ending = coalesce(excluded.ending, attempts.ending), \
             sip_call_id = excluded.sip_call_id, explanation = excluded.explanation \
             WHERE attempts.kind = 'invite' \
             OR (excluded.ending IS NOT NULL AND attempts.ending IS NULL) OR ",
            stage!("excluded.verdict"),
            " > ",
            stage!("attempts.verdict"),
        ));
    insert.run(on).await?;
    Ok(())
}

impl Task for NewAttempt {
    type Outcome = ();

    async fn together(on: &mut Session, rows: Vec<Self>) -> Result<Vec<Result<()>>> {
        insert_all(on, &rows).await?;
        Ok(rows.iter().map(|_| Ok(())).collect())
    }
}

#[async_trait]
impl Ledger for Database {
    async fn record_attempt(&self, attempt: NewAttempt) -> Result<()> {
        self.attempts.take(attempt).await
    }

    async fn attempts(
        &self,
        scope: Scope,
        filter: AttemptFilter,
        wanted: Page,
    ) -> Result<Listing<Attempt>> {
        page(
            &mut self.read().await?,
            "a.*",
            " ORDER BY a.id DESC",
            wanted,
            Count::AtMost,
            |query| {
                query.push(" FROM attempts a WHERE a.org_id = ");
                query.push_bind(scope.org.0);
                if let Some(project) = scope.project {
                    // A call that concerned no run may be any project's, so a project does not see it.
                    query.push(
                        " AND EXISTS (SELECT 1 FROM runs r WHERE r.id = a.run_id AND r.project_id = ",
                    );
                    query.push_bind(project.0).push(")");
                }
                if let Some(run) = filter.run {
                    query.push(" AND a.run_id = ").push_bind(run.0);
                }
                if let Some(kind) = filter.kind {
                    query.push(" AND a.kind = ").push_bind(kind.as_str());
                }
                if let Some(verdict) = &filter.verdict {
                    query.push(" AND a.verdict = ").push_bind(verdict);
                }
                if filter.refused {
                    query.push(" AND a.kind = 'invite' AND a.verdict <> 'matched'");
                }
            },
            attempt,
        )
        .await
    }

    async fn evidence(&self, id: RunId) -> Result<Vec<Attempt>> {
        let mut on = self.read().await?;
        let run = load(&mut on, id).await?;
        let since = run.window.map_or(run.created_at, |window| window.opens_at);
        // The plus keeps SQLite's search off the index of all the organisation's attempts.
        let mut query = sql("SELECT a.* FROM attempts a WHERE a.id IN (\
             SELECT id FROM (SELECT id FROM attempts WHERE run_id = $2 AND ")
        .bind(run.org.0)
        .bind(id.0)
        .bind(since)
        .bind(&run.number)
        .bind(MAX_EVIDENCE);
        query.either("+", "").push(
            "org_id = $1 AND verdict <> 'matched' ORDER BY id DESC LIMIT $5) b \
             UNION ALL SELECT id FROM (SELECT id FROM attempts WHERE run_id IS NULL AND at >= $3 \
             AND to_number = $4 AND ",
        );
        query.either("+", "").push(
            "org_id = $1 AND verdict <> 'matched' ORDER BY at DESC LIMIT $5) c) \
             ORDER BY a.id DESC LIMIT $5",
        );
        let rows = query.all(&mut on).await?;
        rows.iter().rev().map(attempt).collect()
    }

    async fn dial_of_provider(
        &self,
        org: OrganisationId,
        provider_id: &str,
    ) -> Result<Option<Attempt>> {
        let row = sql(
            "SELECT * FROM attempts WHERE kind = 'dial' AND sip_call_id = $2 AND org_id = $1 \
             ORDER BY id DESC LIMIT 1",
        )
        .bind(org.0)
        .bind(provider_id)
        .optional(&mut self.read().await?)
        .await?;
        row.as_ref().map(attempt).transpose()
    }
}
