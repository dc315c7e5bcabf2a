use std::time::Duration;

use ringdown_domain::run::{State, Status, Window};
use ringdown_domain::{AgentId, CallId, OrganisationId, ProjectId, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::sql::{Row, Session, Sql};
use crate::{Error, Listing, Page, Result, Run, Scope};

/// Columns of a run, with what is joined in.
pub(super) const RUN: &str = "r.*, o.slug AS team, b.name AS result_name, b.agent_name, b.caller_ids, \
    b.dial_route, t.scenario_name, t.personality_id, t.personality_name, t.test_profile, t.script";

/// Tables of [`RUN`]. A batch that is still being stored is nobody's business.
pub(super) const RUN_FROM: &str = " FROM runs r JOIN organisations o ON o.id = r.org_id \
    JOIN batches b ON b.id = r.result_id AND b.state <> 'staging' \
    JOIN run_templates t ON t.id = r.template_id ";

/// Rows that are counted exactly in a list that could be of any length.
pub(super) const COUNTED: i64 = 10_000;

/// How the rows of a list are counted.
pub(super) enum Count {
    /// One by one.
    Exactly,
    /// One by one, up to [`COUNTED`].
    AtMost,
    /// They are counted already.
    Known(u64),
}

/// Runs `select` for one page, and for the count over all pages.
///
/// `select` adds everything after the column list, up to but not including the order.
pub(super) async fn page<T>(
    on: &mut Session,
    columns: &'static str,
    order: &'static str,
    page: Page,
    count: Count,
    select: impl Fn(&mut Sql),
    read: impl Fn(&Row) -> Result<T>,
) -> Result<Listing<T>> {
    let count = match count {
        Count::Known(count) => count,
        Count::Exactly | Count::AtMost => {
            let mut counting = crate::sql::sql("SELECT count(*) FROM (SELECT 1");
            select(&mut counting);
            if matches!(count, Count::AtMost) {
                counting.push(" LIMIT ").push_bind(COUNTED);
            }
            counting.push(") counted");
            counting
                .one(on)
                .await?
                .first::<i64>()?
                .try_into()
                .unwrap_or(0)
        }
    };
    let mut query = crate::sql::sql("SELECT ");
    query.push(columns);
    select(&mut query);
    query.push(order);
    let skipped = i64::from(page.number.saturating_sub(1)) * i64::from(page.size);
    query.push(" LIMIT ").push_bind(i64::from(page.size));
    query.push(" OFFSET ").push_bind(skipped);
    let rows = query.all(on).await?;
    Ok(Listing {
        count,
        rows: rows.iter().map(read).collect::<Result<_>>()?,
    })
}

/// Adds that rows are inside a scope. `table` is the alias with its dot, or empty.
pub(super) fn within(query: &mut Sql, table: &str, scope: Scope) {
    query
        .push(format!("{table}org_id = "))
        .push_bind(scope.org.0);
    if let Some(project) = scope.project {
        query
            .push(format!(" AND {table}project_id = "))
            .push_bind(project.0);
    }
}

/// Adds that rows are inside a scope or shared by its whole organisation.
pub(super) fn within_or_shared(query: &mut Sql, table: &str, scope: Scope) {
    query
        .push(format!("{table}org_id = "))
        .push_bind(scope.org.0);
    if let Some(project) = scope.project {
        query.push(format!(
            " AND ({table}project_id IS NULL OR {table}project_id = "
        ));
        query.push_bind(project.0).push(")");
    }
}

/// Adds that a run is in one of these states. They are written out, so that the database knows how many
/// rows that are and may use the indexes of one state.
pub(super) fn in_state(query: &mut Sql, column: &'static str, statuses: &[Status]) {
    let texts: Vec<String> = statuses.iter().map(|s| format!("'{s}'")).collect();
    if texts.is_empty() {
        query.push("1 = 0");
    } else {
        query.push(format!("{column} IN ({})", texts.join(", ")));
    }
}

/// What is stored in a project has to be in one of its own organisation's.
pub(super) async fn own_project(
    on: &mut Session,
    org: OrganisationId,
    project: Option<ProjectId>,
) -> Result<()> {
    own(
        on,
        org,
        "project",
        "SELECT 1 FROM projects WHERE org_id = $1 AND id = $2",
        project.map(|id| id.0),
    )
    .await
}

/// What belongs to an agent has to belong to one of its own organisation's.
pub(super) async fn own_agent(
    on: &mut Session,
    org: OrganisationId,
    agent: Option<AgentId>,
) -> Result<()> {
    own(
        on,
        org,
        "agent",
        "SELECT 1 FROM agents WHERE org_id = $1 AND id = $2",
        agent.map(|id| id.0),
    )
    .await
}

async fn own(
    on: &mut Session,
    org: OrganisationId,
    what: &'static str,
    look_up: &'static str,
    id: Option<i64>,
) -> Result<()> {
    let Some(id) = id else {
        return Ok(());
    };
    let query = crate::sql::sql(look_up).bind(org.0).bind(id);
    match query.optional(on).await? {
        Some(_) => Ok(()),
        None => Err(not_found(what, id)),
    }
}

pub(super) fn not_found(what: &'static str, id: impl std::fmt::Display) -> Error {
    Error::NotFound {
        what,
        id: id.to_string(),
    }
}

/// `NotFound` unless the row asked for was there.
pub(super) fn changed(what: &'static str, id: i64, rows: u64) -> Result<()> {
    if rows == 0 {
        return Err(not_found(what, id));
    }
    Ok(())
}

/// A conflict, if the database says that something that has to be unique is not.
pub(super) fn taken(what: &'static str, why: impl FnOnce() -> String, error: Error) -> Error {
    let unique = match &error {
        Error::Database(error) => error
            .as_database_error()
            .is_some_and(sqlx::error::DatabaseError::is_unique_violation),
        _ => false,
    };
    if unique {
        Error::Conflict { what, why: why() }
    } else {
        error
    }
}

pub(super) fn corrupt(what: &'static str, why: impl std::fmt::Display) -> Error {
    let why = why.to_string();
    Error::Corrupt { what, why }
}

pub(super) fn from_json<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| corrupt(what, error))
}

pub(super) fn to_json<T: Serialize>(what: &'static str, value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| corrupt(what, error))
}

pub(super) fn parsed<T>(what: &'static str, text: &str) -> Result<T>
where
    T: std::str::FromStr,
    T::Err: ToString,
{
    text.parse()
        .map_err(|error: T::Err| corrupt(what, error.to_string()))
}

pub(super) fn parsed_option<T>(what: &'static str, text: Option<&str>) -> Result<Option<T>>
where
    T: std::str::FromStr,
    T::Err: ToString,
{
    text.map(|text| parsed(what, text)).transpose()
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn from_millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

pub(super) fn unsigned(what: &'static str, value: i64) -> Result<u32> {
    u32::try_from(value).map_err(|error| corrupt(what, error))
}

pub(super) fn count(what: &'static str, value: i64) -> Result<u64> {
    u64::try_from(value).map_err(|error| corrupt(what, error))
}

pub(super) fn limit(what: &'static str, value: Option<i64>) -> Result<Option<u32>> {
    value.map(|value| unsigned(what, value)).transpose()
}

pub(super) fn status(text: &str) -> Result<Status> {
    Status::parse(text).ok_or_else(|| corrupt("run", format!("status {text:?} is not known")))
}

pub(super) fn window(row: &Row) -> Result<Option<Window>> {
    let opens: Option<i64> = row.get("opens_at")?;
    let closes: Option<i64> = row.get("closes_at")?;
    Ok(opens.zip(closes).map(|(opens, closes)| Window {
        opens_at: Timestamp::from_micros(opens),
        closes_at: Timestamp::from_micros(closes),
    }))
}

fn state(row: &Row) -> Result<State> {
    let missing = |field: &str| corrupt("run", format!("its state needs {field}"));
    let reason =
        || -> Result<String> { Ok(row.get::<Option<String>>("reason")?.unwrap_or_default()) };
    let live = || -> Result<(CallId, Timestamp)> {
        let call: Option<String> = row.get("call_id")?;
        let deadline: Option<i64> = row.get("deadline_at")?;
        Ok((
            CallId(call.ok_or_else(|| missing("call_id"))?),
            Timestamp::from_micros(deadline.ok_or_else(|| missing("deadline_at"))?),
        ))
    };
    Ok(match status(row.get("status")?)? {
        Status::InQueue => State::InQueue,
        Status::Pending => State::Pending {
            window: window(row)?.ok_or_else(|| missing("a window"))?,
        },
        Status::InProgress => {
            let (call, deadline) = live()?;
            State::InProgress { call, deadline }
        }
        Status::Evaluating => {
            let (call, deadline) = live()?;
            State::Evaluating { call, deadline }
        }
        Status::Completed => State::Completed {
            success: row
                .get::<Option<bool>>("success")?
                .ok_or_else(|| missing("success"))?,
        },
        Status::Failed => State::Failed { reason: reason()? },
        Status::Timeout => State::Timeout { reason: reason()? },
        Status::Cancelled => State::Cancelled { reason: reason()? },
    })
}

/// Reads a row of [`RUN`].
pub(super) fn run(row: &Row) -> Result<Run> {
    let text = |column: &str| -> Result<Option<String>> { row.get(column) };
    let id = |column: &str| -> Result<i64> { row.get(column) };
    let at = |column: &str| -> Result<Option<Timestamp>> {
        Ok(row.get::<Option<i64>>(column)?.map(Timestamp::from_micros))
    };
    let required_at =
        |column: &str| -> Result<Timestamp> { Ok(Timestamp::from_micros(row.get(column)?)) };
    Ok(Run {
        id: id("id")?.into(),
        org: id("org_id")?.into(),
        team: parsed("run", row.get("team")?)?,
        project: id("project_id")?.into(),
        result: id("result_id")?.into(),
        result_name: row.get("result_name")?,
        agent: id("agent_id")?.into(),
        agent_name: row.get("agent_name")?,
        scenario: id("scenario_id")?.into(),
        scenario_name: row.get("scenario_name")?,
        personality: row.maybe_id("personality_id")?,
        personality_name: row.get("personality_name")?,
        number: parsed("run", row.get("number")?)?,
        caller_ids: from_json("run", row.get("caller_ids")?)?,
        dial_route: text("dial_route")?,
        test_profile: text("test_profile")?
            .map(|json| from_json("run", &json))
            .transpose()?,
        script: from_json("run", row.get("script")?)?,
        seq: count("run", id("seq")?)?,
        version: count("run", id("version")?)?,
        state: state(row)?,
        window: window(row)?,
        call: text("call_id")?.map(CallId),
        holder: parsed_option("run", text("holder")?.as_deref())?,
        created_at: required_at("created_at")?,
        executed_at: at("executed_at")?,
        updated_at: required_at("updated_at")?,
        duration: row.get::<Option<i64>>("duration_ms")?.map(from_millis),
        ended_reason: text("ended_reason")?
            .map(|text| {
                ringdown_domain::call::EndedReason::parse(&text)
                    .ok_or_else(|| corrupt("run", format!("ended_reason {text:?} is not known")))
            })
            .transpose()?,
        recording: text("recording")?,
        score: text("score")?
            .map(|json| from_json("run", &json))
            .transpose()?,
        notes: text("notes")?
            .map(|json| from_json("run", &json))
            .transpose()?
            .unwrap_or_default(),
    })
}
