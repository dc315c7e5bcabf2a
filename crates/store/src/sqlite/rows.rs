use std::time::Duration;

use ringdown_domain::run::{State, Status, Window};
use ringdown_domain::{CallId, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::{Error, Result, Run};

/// Columns of a run, with what is joined in.
pub(super) const RUN: &str = "r.*, o.slug AS team, b.name AS result_name";

/// Tables of [`RUN`].
pub(super) const RUN_FROM: &str =
    " FROM runs r JOIN organisations o ON o.id = r.org_id JOIN batches b ON b.id = r.result_id ";

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

pub(super) fn limit(what: &'static str, value: Option<i64>) -> Result<Option<u32>> {
    value.map(|value| unsigned(what, value)).transpose()
}

pub(super) fn status(text: &str) -> Result<Status> {
    Status::parse(text).ok_or_else(|| corrupt("run", format!("status {text:?} is not known")))
}

pub(super) fn window(row: &SqliteRow) -> Result<Option<Window>> {
    let opens: Option<i64> = row.try_get("opens_at")?;
    let closes: Option<i64> = row.try_get("closes_at")?;
    Ok(opens.zip(closes).map(|(opens, closes)| Window {
        opens_at: Timestamp::from_micros(opens),
        closes_at: Timestamp::from_micros(closes),
    }))
}

fn state(row: &SqliteRow) -> Result<State> {
    let missing = |field: &str| corrupt("run", format!("its state needs {field}"));
    let reason = || -> Result<String> {
        Ok(row
            .try_get::<Option<String>, _>("reason")?
            .unwrap_or_default())
    };
    let live = || -> Result<(CallId, Timestamp)> {
        let call: Option<String> = row.try_get("call_id")?;
        let deadline: Option<i64> = row.try_get("deadline_at")?;
        Ok((
            CallId(call.ok_or_else(|| missing("call_id"))?),
            Timestamp::from_micros(deadline.ok_or_else(|| missing("deadline_at"))?),
        ))
    };
    Ok(match status(row.try_get("status")?)? {
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
                .try_get::<Option<bool>, _>("success")?
                .ok_or_else(|| missing("success"))?,
        },
        Status::Failed => State::Failed { reason: reason()? },
        Status::Timeout => State::Timeout { reason: reason()? },
        Status::Cancelled => State::Cancelled { reason: reason()? },
    })
}

/// Reads a row of [`RUN`].
pub(super) fn run(row: &SqliteRow) -> Result<Run> {
    let text = |column: &str| -> Result<Option<String>> { Ok(row.try_get(column)?) };
    let id = |column: &str| -> Result<i64> { Ok(row.try_get(column)?) };
    let at = |column: &str| -> Result<Option<Timestamp>> {
        Ok(row
            .try_get::<Option<i64>, _>(column)?
            .map(Timestamp::from_micros))
    };
    let required_at =
        |column: &str| -> Result<Timestamp> { Ok(Timestamp::from_micros(row.try_get(column)?)) };
    Ok(Run {
        id: id("id")?.into(),
        org: id("org_id")?.into(),
        team: parsed("run", row.try_get("team")?)?,
        project: id("project_id")?.into(),
        result: id("result_id")?.into(),
        result_name: row.try_get("result_name")?,
        agent: id("agent_id")?.into(),
        agent_name: row.try_get("agent_name")?,
        scenario: id("scenario_id")?.into(),
        scenario_name: row.try_get("scenario_name")?,
        number: parsed("run", row.try_get("number")?)?,
        caller_ids: from_json("run", row.try_get("caller_ids")?)?,
        dial_route: text("dial_route")?,
        test_profile: text("test_profile")?
            .map(|json| from_json("run", &json))
            .transpose()?,
        script: from_json("run", row.try_get("script")?)?,
        seq: u64::try_from(id("seq")?).map_err(|error| corrupt("run", error))?,
        state: state(row)?,
        window: window(row)?,
        call: text("call_id")?.map(CallId),
        created_at: required_at("created_at")?,
        executed_at: at("executed_at")?,
        updated_at: required_at("updated_at")?,
        duration: row
            .try_get::<Option<i64>, _>("duration_ms")?
            .map(from_millis),
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
    })
}
