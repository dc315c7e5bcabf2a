use async_trait::async_trait;
use ringdown_domain::{CallerHeader, Presented, RunId, Timestamp};

use super::Database;
use super::rows::{Count, corrupt, from_json, page, parsed_option, to_json};
use super::transitions::load;
use crate::sql::{Row, Session, sql};
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

/// Writes a ledger row inside a transaction; the same attempt again replaces what may have changed.
/// A call that names no organisation belongs to the owner of the number that was called.
pub(super) async fn insert(on: &mut Session, row: &NewAttempt) -> Result<()> {
    sql(concat!(
        "INSERT INTO attempts (kind, attempt_id, at, verdict, org_id, run_id, nearest, from_raw, \
         from_number, to_raw, to_number, source, sip_call_id, response, explanation, route, trunk, \
         from_header, caller_headers) \
         VALUES ($1, $2, $3, $4, \
         COALESCE($5, (SELECT org_id FROM phone_numbers WHERE number = $11)), $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) \
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
    .bind(row.at)
    .bind(&row.verdict)
    .bind(row.org.map(|org| org.0))
    .bind(row.run.map(|run| run.0))
    .bind(row.nearest)
    .bind(&row.from_raw)
    .bind(row.from.as_ref())
    .bind(&row.to_raw)
    .bind(row.to.as_ref())
    .bind(&row.source)
    .bind(&row.sip_call_id)
    .bind(row.response)
    .bind(&row.explanation)
    .bind(&row.route)
    .bind(&row.presented.trunk)
    .bind(row.presented.header.map_or("", CallerHeader::as_str))
    .bind(to_json("attempt", &row.presented.values)?)
    .run(on)
    .await?;
    Ok(())
}

#[async_trait]
impl Ledger for Database {
    async fn record_attempt(&self, attempt: NewAttempt) -> Result<()> {
        let mut tx = self.write().await?;
        insert(&mut tx, &attempt).await?;
        tx.commit().await
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
}
