use ringdown_domain::{OrganisationId, RunId, Timestamp};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite as Driver, SqliteConnection};

use super::Sqlite;
use super::catalogue::page;
use super::rows::{corrupt, parsed_option};
use super::runs::load;
use crate::{Attempt, AttemptFilter, AttemptKind, Listing, NewAttempt, Page, Result};

/// Evidence looked at for one run; the newest.
const MAX_EVIDENCE: i64 = 100;

fn attempt(row: &SqliteRow) -> Result<Attempt> {
    let kind: String = row.try_get("kind")?;
    let response: Option<i64> = row.try_get("response")?;
    Ok(Attempt {
        id: row.try_get("id")?,
        row: NewAttempt {
            attempt_id: row.try_get("attempt_id")?,
            kind: AttemptKind::parse(&kind)
                .ok_or_else(|| corrupt("attempt", format!("kind {kind:?} is not known")))?,
            at: Timestamp::from_micros(row.try_get("at")?),
            verdict: row.try_get("verdict")?,
            org: row.try_get::<Option<i64>, _>("org_id")?.map(Into::into),
            run: row.try_get::<Option<i64>, _>("run_id")?.map(Into::into),
            nearest: row.try_get("nearest")?,
            from_raw: row.try_get("from_raw")?,
            from: parsed_option("attempt", row.try_get("from_number")?)?,
            to_raw: row.try_get("to_raw")?,
            to: parsed_option("attempt", row.try_get("to_number")?)?,
            source: row.try_get("source")?,
            sip_call_id: row.try_get("sip_call_id")?,
            response: response.and_then(|status| u16::try_from(status).ok()),
            explanation: row.try_get("explanation")?,
            route: row.try_get("route")?,
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

/// Writes a ledger row inside a transaction; the same attempt again replaces what may have changed.
/// A call that names no organisation belongs to the owner of the number that was called.
pub(super) async fn insert(db: &mut SqliteConnection, row: &NewAttempt) -> Result<()> {
    sqlx::query(concat!(
        "INSERT INTO attempts (kind, attempt_id, at, verdict, org_id, run_id, nearest, from_raw, \
         from_number, to_raw, to_number, source, sip_call_id, response, explanation, route) \
         VALUES ($1, $2, $3, $4, \
         COALESCE($5, (SELECT org_id FROM phone_numbers WHERE number = $11)), $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) \
         ON CONFLICT (kind, attempt_id) DO UPDATE SET verdict = excluded.verdict, \
         run_id = excluded.run_id, nearest = excluded.nearest, response = excluded.response, \
         sip_call_id = excluded.sip_call_id, explanation = excluded.explanation \
         WHERE attempts.kind = 'invite' OR ",
        stage!("excluded.verdict"),
        " > ",
        stage!("attempts.verdict"),
    ))
    .bind(row.kind.as_str())
    .bind(&row.attempt_id)
    .bind(row.at.as_micros())
    .bind(&row.verdict)
    .bind(row.org.map(|org| org.0))
    .bind(row.run.map(|run| run.0))
    .bind(row.nearest)
    .bind(&row.from_raw)
    .bind(row.from.as_ref().map(ToString::to_string))
    .bind(&row.to_raw)
    .bind(row.to.as_ref().map(ToString::to_string))
    .bind(&row.source)
    .bind(&row.sip_call_id)
    .bind(row.response.map(i64::from))
    .bind(&row.explanation)
    .bind(&row.route)
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn record(db: &Sqlite, row: NewAttempt) -> Result<()> {
    let mut tx = db.write().await?;
    insert(&mut tx, &row).await?;
    tx.commit().await?;
    Ok(())
}

pub(super) async fn list(
    db: &Sqlite,
    org: OrganisationId,
    filter: AttemptFilter,
    wanted: Page,
) -> Result<Listing<Attempt>> {
    let select = |query: &mut QueryBuilder<Driver>| {
        query.push(" FROM attempts WHERE org_id = ");
        query.push_bind(org.0);
        if let Some(run) = filter.run {
            query.push(" AND run_id = ").push_bind(run.0);
        }
        if let Some(kind) = filter.kind {
            query.push(" AND kind = ").push_bind(kind.as_str());
        }
        if let Some(verdict) = &filter.verdict {
            query.push(" AND verdict = ").push_bind(verdict.clone());
        }
        if filter.refused {
            query.push(" AND kind = 'invite' AND verdict <> 'matched'");
        }
        Ok(())
    };
    page(
        &db.readers,
        "*",
        " ORDER BY id DESC",
        wanted,
        select,
        attempt,
    )
    .await
}

pub(super) async fn evidence(db: &Sqlite, id: RunId) -> Result<Vec<Attempt>> {
    let mut connection = db.readers.acquire().await?;
    let run = load(&mut connection, id).await?;
    let since = run.window.map_or(run.created_at, |window| window.opens_at);
    let rows = sqlx::query(
        // The plus keeps the search off the index of all the organisation's attempts.
        "SELECT a.* FROM attempts a WHERE a.id IN (\
         SELECT id FROM (SELECT id FROM attempts WHERE run_id = $2 AND +org_id = $1 \
         AND verdict <> 'matched' ORDER BY id DESC LIMIT $5) \
         UNION ALL SELECT id FROM (SELECT id FROM attempts WHERE run_id IS NULL AND at >= $3 \
         AND to_number = $4 AND +org_id = $1 AND verdict <> 'matched' ORDER BY at DESC LIMIT $5)) \
         ORDER BY a.id DESC LIMIT $5",
    )
    .bind(run.org.0)
    .bind(id.0)
    .bind(since.as_micros())
    .bind(run.number.as_str())
    .bind(MAX_EVIDENCE)
    .fetch_all(&mut *connection)
    .await?;
    rows.iter().rev().map(attempt).collect()
}
