//! The filters of the list of runs. All that are given have to hold; filters that no run can pass give
//! an empty list.

use std::time::Duration;

use ringdown_domain::run::Status;
use ringdown_domain::{AgentId, PersonalityId, ProjectId, ResultId, RunId, ScenarioId, Timestamp};
use ringdown_store::{AgentFilter, RunFilter};

use crate::State;
use crate::error::{Answer, Failure};
use crate::operations::{Kind, Operation};
use crate::pages::{Asked, WHOLE};

/// Items of one filter.
const MAX_ITEMS: usize = 5_000;

/// A day, less the smallest step of time.
const REST_OF_DAY: Duration = Duration::from_micros(24 * 60 * 60 * 1_000_000 - 1);

/// Declares every filter.
pub(super) fn declare(operation: &mut Operation) {
    const SAME: &str = "The same.";
    for (name, kind, about) in [
        ("id", Kind::Text, "Only this run."),
        (
            "id__in",
            Kind::Text,
            "Only these runs: ids separated by commas, or repeated.",
        ),
        (
            "id__contains",
            Kind::Integer,
            "Only with these digits in the id.",
        ),
        ("result_id", Kind::Id, "Only of this result."),
        ("result__id", Kind::Id, SAME),
        (
            "result__run_as_text",
            Kind::Flag,
            "True finds nothing: runs are calls.",
        ),
        ("agent_id", Kind::Id, "Only of this agent."),
        ("result__agent_id", Kind::Id, SAME),
        ("result__agent_id__in", Kind::Text, "Only of these agents."),
        (
            "assistant_id",
            Kind::Text,
            "Only of agents with this assistant_id.",
        ),
        ("project_id", Kind::Id, "Only of this project."),
        (
            "status",
            Kind::Text,
            "Only in one of these states, separated by commas.",
        ),
        ("status__in", Kind::Text, SAME),
        (
            "success",
            Kind::Flag,
            "Only passed, or only not passed ones.",
        ),
        (
            "success_rate",
            Kind::Number,
            "1 or 100 finds passed runs, 0 those that did not pass.",
        ),
        ("timestamp__gte", Kind::Time, "Only triggered at or after."),
        ("timestamp__lte", Kind::Time, "Only triggered at or before."),
        ("created_at_from", Kind::Time, "Only triggered at or after."),
        ("created_at_to", Kind::Time, "Only triggered at or before."),
        (
            "created_at_range",
            Kind::Text,
            "Two times or days with a comma between; either may be left out.",
        ),
        (
            "duration__gte",
            Kind::Number,
            "Only with a call of at least so many seconds.",
        ),
        (
            "duration__lte",
            Kind::Number,
            "Only with a call of at most so many seconds.",
        ),
        (
            "duration_range",
            Kind::Text,
            "Two lengths in seconds with a comma between; either may be left out.",
        ),
        ("call_id", Kind::Text, "Only of this call."),
        ("provider_call_id", Kind::Text, SAME),
        (
            "call_id__icontains",
            Kind::Text,
            "Only with this in the call's id, ignoring case.",
        ),
        ("provider_call_id__icontains", Kind::Text, SAME),
        ("scenario__id", Kind::Id, "Only of this evaluator."),
        ("scenario__id__in", Kind::Text, "Only of these evaluators."),
        ("scenarios", Kind::Text, "The same."),
        ("personality__id", Kind::Id, "Only with this personality."),
        (
            "personality__id__in",
            Kind::Text,
            "Only with these personalities.",
        ),
        ("personalities", Kind::Text, "The same."),
        (
            "tags",
            Kind::Text,
            "Only of evaluators with one of these tags, separated by commas.",
        ),
        (
            "metrics",
            Kind::Text,
            "Finds every run: all are measured with the same metrics.",
        ),
        (
            "search",
            Kind::Text,
            "Only with this in the name of the evaluator, result or agent, or in the number.",
        ),
        (
            "call_ended_reason",
            Kind::Text,
            "Only whose call ended for this reason.",
        ),
        (
            "call_ended_reason__in",
            Kind::Text,
            "Only whose call ended for one of these reasons.",
        ),
        (
            "call_ended_reason__icontains",
            Kind::Text,
            "Only with this in the reason, ignoring case.",
        ),
    ] {
        operation.query(name, kind, about);
    }
}

/// What may be among several values: anything, until something is named.
struct Among<T>(Option<Vec<T>>);

impl<T: PartialEq> Among<T> {
    fn anything() -> Self {
        Self(None)
    }

    /// Only what is in `named` as well.
    fn narrow(&mut self, named: Vec<T>) {
        if named.is_empty() {
            return;
        }
        self.0 = Some(match self.0.take() {
            Some(before) => before
                .into_iter()
                .filter(|one| named.contains(one))
                .collect(),
            None => named,
        });
    }

    /// The values, none for anything; `None` if there is nothing that could be meant.
    fn values(self) -> Option<Vec<T>> {
        match self.0 {
            None => Some(Vec::new()),
            Some(values) => Some(values).filter(|values| !values.is_empty()),
        }
    }

    /// The only value. More than one cannot be named by these filters.
    fn one(self) -> Option<Option<T>> {
        self.values().map(|values| values.into_iter().next())
    }
}

/// The items of a filter: repeated, separated by commas, or both.
fn items<'a>(asked: &'a Asked, name: &'a str) -> Answer<Vec<&'a str>> {
    let items: Vec<&str> = asked
        .values(name)
        .flat_map(|text| text.split(','))
        .map(str::trim)
        .collect();
    if items.len() > MAX_ITEMS {
        let message = format!("At most {MAX_ITEMS} items are allowed at once.");
        return Err(Failure::field(name, message));
    }
    Ok(items)
}

fn ids(asked: &Asked, name: &str) -> Answer<Vec<i64>> {
    let id = |text: &str| {
        let id: Option<i64> = text.parse().ok().filter(|id| *id > 0);
        id.ok_or_else(|| Failure::field(name, "Expected ids, for example 1,2,3."))
    };
    items(asked, name)?.into_iter().map(id).collect()
}

fn among_ids<T: PartialEq + From<i64>>(asked: &Asked, names: &[&str]) -> Answer<Among<T>> {
    let mut among = Among::anything();
    for name in names {
        among.narrow(ids(asked, name)?.into_iter().map(T::from).collect());
    }
    Ok(among)
}

fn texts(asked: &Asked, names: &[&str]) -> Answer<Among<String>> {
    let mut among = Among::anything();
    for name in names {
        among.narrow(items(asked, name)?.into_iter().map(str::to_owned).collect());
    }
    Ok(among)
}

/// One text, under whichever of its names.
fn text(asked: &Asked, names: &[&str]) -> Among<String> {
    let mut among = Among::anything();
    for name in names {
        among.narrow(asked.query(name).map(str::to_owned).into_iter().collect());
    }
    among
}

fn statuses(asked: &Asked) -> Answer<Among<Status>> {
    let mut among = Among::anything();
    for name in ["status", "status__in"] {
        let status = |text: &str| {
            let message = || Failure::field(name, format!("{text:?} is no status of a run."));
            Status::parse(text).ok_or_else(message)
        };
        let named: Answer<_> = items(asked, name)?.into_iter().map(status).collect();
        among.narrow(named?);
    }
    Ok(among)
}

fn flag(asked: &Asked, name: &str) -> Answer<Option<bool>> {
    match asked.query(name) {
        None => Ok(None),
        Some(text) if text.eq_ignore_ascii_case("true") || text == "1" => Ok(Some(true)),
        Some(text) if text.eq_ignore_ascii_case("false") || text == "0" => Ok(Some(false)),
        Some(_) => Err(Failure::field(name, "Expected true or false.")),
    }
}

fn number(name: &str, text: &str) -> Answer<f64> {
    let number: Option<f64> = text.trim().parse().ok();
    number
        .filter(|number| number.is_finite() && *number >= 0.0)
        .ok_or_else(|| Failure::field(name, "Expected a number from 0."))
}

fn length(name: &str, text: &str) -> Answer<Duration> {
    // Longer than any call; what is beyond finds the same.
    Ok(Duration::from_secs_f64(number(name, text)?.min(1.0e9)))
}

/// A time, or a day, of which the last moment is meant at the end of a range.
fn moment(name: &str, text: &str, end: bool) -> Answer<Timestamp> {
    // A plus that was not escaped arrives as a space.
    let text = text.trim().replace(' ', "+");
    let of = |at: jiff::Timestamp| Timestamp::from_micros(at.as_microsecond());
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(of(at));
    }
    let wrong = || {
        Failure::field(
            name,
            "Expected a time such as 2026-01-31T12:00:00Z, or a day.",
        )
    };
    let day: jiff::civil::Date = text.parse().map_err(|_| wrong())?;
    let start = day.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| wrong())?;
    let start = of(start.timestamp());
    Ok(if end { start.plus(REST_OF_DAY) } else { start })
}

/// The two sides of a range.
fn range<'a>(asked: &'a Asked, name: &str) -> Answer<(Option<&'a str>, Option<&'a str>)> {
    let Some(text) = asked.query(name) else {
        return Ok((None, None));
    };
    let (from, to) = text
        .split_once(',')
        .ok_or_else(|| Failure::field(name, "Expected two values with a comma between."))?;
    let side = |text: &'a str| Some(text.trim()).filter(|text| !text.is_empty());
    Ok((side(from), side(to)))
}

/// The latest of the starts and the earliest of the ends.
fn between<T: Ord + Copy>(
    asked: &Asked,
    starts: &[&str],
    ends: &[&str],
    both: &str,
    read: impl Fn(&str, &str, bool) -> Answer<T>,
) -> Answer<(Option<T>, Option<T>)> {
    let (first, last) = range(asked, both)?;
    let mut from = first.map(|text| read(both, text, false)).transpose()?;
    let mut to = last.map(|text| read(both, text, true)).transpose()?;
    for name in starts {
        if let Some(text) = asked.query(name) {
            from = from.max(Some(read(name, text, false)?));
        }
    }
    for name in ends {
        if let Some(text) = asked.query(name) {
            let end = read(name, text, true)?;
            to = Some(to.map_or(end, |to| to.min(end)));
        }
    }
    Ok((from, to))
}

/// Whether passed runs are meant; the outer `None` if no run can be.
fn success(asked: &Asked) -> Answer<Among<bool>> {
    let mut among = Among::anything();
    among.narrow(flag(asked, "success")?.into_iter().collect());
    if let Some(text) = asked.query("success_rate") {
        let rate = number("success_rate", text)?;
        let is = |other: f64| (rate - other).abs() < f64::EPSILON;
        if is(0.0) {
            among.narrow(vec![false]);
        } else if is(1.0) || is(100.0) {
            among.narrow(vec![true]);
        } else {
            // A run has no rate between.
            among = Among(Some(Vec::new()));
        }
    }
    Ok(among)
}

/// Agents that are known to their provider by this id.
async fn of_assistant(state: &State, asked: &Asked, id: &str) -> Answer<Vec<AgentId>> {
    let agents = state
        .store()
        .agents(asked.principal.scope, AgentFilter::default(), WHOLE)
        .await?;
    let has = |agent: &ringdown_store::Agent| {
        agent.extra.get("assistant_id").and_then(|id| id.as_str()) == Some(id)
    };
    Ok(agents
        .rows
        .iter()
        .filter(|agent| has(agent))
        .map(|agent| agent.id)
        .collect())
}

/// What is asked for; `None` if no run can be what is asked for.
pub(super) async fn read(state: &State, asked: &Asked) -> Answer<Option<RunFilter>> {
    let results = among_ids::<ResultId>(asked, &["result_id", "result__id"])?;
    let projects = among_ids::<ProjectId>(asked, &["project_id"])?;
    let mut agents = among_ids::<AgentId>(
        asked,
        &["agent_id", "result__agent_id", "result__agent_id__in"],
    )?;
    if let Some(id) = asked.query("assistant_id") {
        let found = of_assistant(state, asked, id).await?;
        if found.is_empty() {
            agents = Among(Some(Vec::new()));
        }
        agents.narrow(found);
    }
    let runs = among_ids::<RunId>(asked, &["id", "id__in"])?;
    let scenarios =
        among_ids::<ScenarioId>(asked, &["scenario__id", "scenario__id__in", "scenarios"])?;
    let personalities = among_ids::<PersonalityId>(
        asked,
        &["personality__id", "personality__id__in", "personalities"],
    )?;
    let reasons = texts(asked, &["call_ended_reason", "call_ended_reason__in"])?;
    let (created_from, created_to) = between(
        asked,
        &["timestamp__gte", "created_at_from"],
        &["timestamp__lte", "created_at_to"],
        "created_at_range",
        moment,
    )?;
    let (min_duration, max_duration) = between(
        asked,
        &["duration__gte"],
        &["duration__lte"],
        "duration_range",
        |name, text, _| length(name, text),
    )?;
    let id_contains = match asked.query("id__contains") {
        Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => Some(text.to_owned()),
        Some(_) => return Err(Failure::field("id__contains", "Expected digits.")),
        None => None,
    };
    let statuses = statuses(asked)?;
    let success = success(asked)?;
    let as_text = flag(asked, "result__run_as_text")?;
    let tags = texts(asked, &["tags"])?;
    let (call, provider_call) = ("call_id__icontains", "provider_call_id__icontains");
    let call_contains = match (asked.query(call), asked.query(provider_call)) {
        (Some(one), Some(other)) if one != other => {
            let message = format!("This is the same as {call}: send one of them.");
            return Err(Failure::field(provider_call, message));
        }
        (one, other) => one.or(other).map(str::to_owned),
    };
    let filter = || {
        Some(RunFilter {
            result: results.one()?,
            project: projects.one()?,
            agents: agents.values()?,
            statuses: statuses.values()?,
            ids: runs.values()?,
            id_contains,
            created_from,
            created_to,
            success: success.one()?,
            min_duration,
            max_duration,
            call: text(asked, &["call_id", "provider_call_id"]).one()?,
            call_contains,
            scenarios: scenarios.values()?,
            personalities: personalities.values()?,
            tags: tags.values()?,
            search: asked.query("search").map(str::to_owned),
            ended_reasons: reasons.values()?,
            ended_reason_contains: asked
                .query("call_ended_reason__icontains")
                .map(str::to_owned),
        })
    };
    Ok(filter().filter(|_| as_text != Some(true)))
}
