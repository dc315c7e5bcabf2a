//! What a body says about a job.

use std::time::Duration;

use ringdown_bus::now;
use ringdown_cron::Schedule;
use ringdown_domain::{AgentId, TestProfileId};
use ringdown_store::{NewCronJob, Scope};
use serde_json::{Map, Value};

use super::show::{evaluators, ids};
use super::{MODES, NOTIFY};
use crate::State;
use crate::agents::project_or_first;
use crate::body::Fields;
use crate::error::{Answer, found};
use crate::operations::Kind;
use crate::personalities;

/// Least time between two runs of a job.
const LEAST_SPACING: Duration = Duration::from_secs(60);

/// Evaluators a job names.
const MOST_SCENARIOS: usize = 1000;

/// Fields only the server writes.
const READ_ONLY: &[&str] = &[
    "id",
    "project",
    "scenario_ids",
    "scenarios_data",
    "created_by",
    "created_via",
    "created_at",
    "updated_at",
    "next_run_at",
    "last_run_at",
    "last_outcome",
];

/// Reads the schedule; `None` if it is wrong, which is noted.
fn schedule(fields: &mut Fields, job: &mut NewCronJob, whole: bool) -> Option<Schedule> {
    if whole || fields.has("crontab_expression") {
        job.expression = fields
            .required_text("crontab_expression", ringdown_cron::MAX_EXPRESSION)
            .unwrap_or_default();
    }
    if whole || fields.has("timezone") {
        let zone = fields.text("timezone", 100).filter(|zone| !zone.is_empty());
        job.timezone = zone.unwrap_or_else(|| "UTC".to_owned());
    }
    if job.expression.is_empty() {
        return None;
    }
    match Schedule::parse(&job.expression, &job.timezone) {
        Ok(schedule) => {
            if let Err(error) = schedule.check_spacing(LEAST_SPACING) {
                fields.wrong("crontab_expression", format!("{error}."));
            }
            schedule.expression().clone_into(&mut job.expression);
            schedule.timezone().clone_into(&mut job.timezone);
            Some(schedule)
        }
        Err(error) => {
            let field = match error {
                ringdown_cron::Invalid::TimeZone(_) => "timezone",
                _ => "crontab_expression",
            };
            fields.wrong(field, format!("{error}."));
            None
        }
    }
}

/// Takes what is triggered.
async fn selection(
    state: &State,
    scope: Scope,
    fields: &mut Fields,
    job: &mut NewCronJob,
) -> Answer<()> {
    for name in ["scenarios", "tags"] {
        if !fields.has(name) {
            continue;
        }
        let chosen = match name {
            "scenarios" => fields.ids(name).map(Value::from),
            _ => fields.texts(name, 100).map(Value::from),
        };
        match chosen.filter(|chosen| chosen.as_array().is_some_and(|list| !list.is_empty())) {
            Some(chosen) => job.extra.insert(name.to_owned(), chosen),
            None => job.extra.remove(name),
        };
    }
    let (named, tagged) = (ids(&job.extra, "scenarios"), job.extra.contains_key("tags"));
    if named.is_empty() != tagged {
        let message = "Select what to run with exactly one of scenarios and tags.";
        fields.wrong("scenarios", message);
        return Ok(());
    }
    if tagged {
        if job.agent.is_none() {
            fields.wrong("agent", "Name the agent whose evaluators have these tags.");
        }
        return Ok(());
    }
    if named.len() > MOST_SCENARIOS {
        let message = format!("At most {MOST_SCENARIOS} evaluators are allowed.");
        fields.wrong("scenarios", message);
        return Ok(());
    }
    let known = evaluators(state, scope, named.clone()).await?;
    let unknown: Vec<String> = named
        .iter()
        .filter(|id| !known.contains_key(id))
        .map(ToString::to_string)
        .collect();
    if !unknown.is_empty() {
        let message = format!("There is no such evaluator: {}.", unknown.join(", "));
        fields.wrong("scenarios", message);
        return Ok(());
    }
    let mut agents: Vec<AgentId> = known.values().map(|one| one.agent).collect();
    agents.sort_unstable();
    agents.dedup();
    match (job.agent, agents.as_slice()) {
        (None, [only]) => job.agent = Some(*only),
        (None, _) => fields.wrong(
            "agent",
            "The evaluators belong to different agents: name the one to test.",
        ),
        (Some(_), _) => {}
    }
    Ok(())
}

/// Takes the references that only have to exist.
async fn references(
    state: &State,
    scope: Scope,
    fields: &mut Fields,
    job: &mut NewCronJob,
) -> Answer<()> {
    if let Some(id) = fields.id("agent") {
        if found(state.store().agent(scope, AgentId(id)).await)?.is_none() {
            let message = format!("There is no agent {id} in your organisation.");
            fields.wrong("agent", message);
        }
        job.agent = Some(AgentId(id));
    }
    let one = fields.has("personality").then(|| fields.id("personality"));
    let many = fields
        .has("personalities")
        .then(|| fields.ids("personalities"));
    let named = match (one, many) {
        (_, Some(Some(many))) if !many.is_empty() => Some(("personalities", many)),
        (Some(one), _) => Some(("personality", one.into_iter().collect())),
        (None, Some(_)) => Some(("personalities", Vec::new())),
        (None, None) => None,
    };
    if let Some((name, named)) = named {
        personalities::check(state, scope, fields, name, &named).await?;
        job.extra.insert("personalities".to_owned(), named.into());
    }
    if fields.has("test_profile_ids") {
        let wanted = fields.ids("test_profile_ids").unwrap_or_default();
        let ids: Vec<TestProfileId> = wanted.iter().copied().map(TestProfileId).collect();
        let known = state.store().test_profiles_by_id(scope, &ids).await?;
        let unknown = ids
            .iter()
            .find(|id| !known.iter().any(|one| one.id == **id));
        if let Some(id) = unknown {
            let message = format!("There is no test profile {id} in your organisation.");
            fields.wrong("test_profile_ids", message);
        }
        job.extra
            .insert("test_profile_ids".to_owned(), wanted.into());
    }
    Ok(())
}

/// Changes a job as a body says. `whole`: what the body leaves out is as if the job were new.
pub(super) async fn apply(
    state: &State,
    scope: Scope,
    job: &mut NewCronJob,
    mut fields: Fields,
    whole: bool,
) -> Answer<()> {
    let before = job.clone();
    if whole {
        job.extra.clear();
        job.agent = None;
    }
    if whole || fields.has("name") {
        let name = fields
            .text("name", 255)
            .filter(|name| !name.trim().is_empty());
        job.name = name.unwrap_or_else(|| "Scheduled runs".to_owned());
    }
    let schedule = schedule(&mut fields, job, whole);
    references(state, scope, &mut fields, job).await?;
    selection(state, scope, &mut fields, job).await?;
    if whole || fields.has("is_active") {
        job.is_active = fields.boolean("is_active").unwrap_or(true);
    }
    if fields.boolean("run_as_text") == Some(true) {
        fields.wrong("run_as_text", "Runs are calls here: leave this out.");
    }
    let mut new = Map::new();
    for (name, kind) in [
        ("frequency", Kind::Range(1, 100)),
        ("concurrency_limit", Kind::Range(1, 1_000_000)),
        ("priority", Kind::Range(-100, 100)),
        ("execution_mode", Kind::OneOf(MODES)),
        ("notify_on", Kind::OneOf(NOTIFY)),
    ] {
        if fields.has(name) {
            match fields.value(name, kind) {
                Some(value) => new.insert(name.to_owned(), value),
                None => job.extra.remove(name),
            };
        }
    }
    if new.get("execution_mode").and_then(Value::as_str) == Some("text") {
        fields.wrong("execution_mode", "Runs are calls here: text is not served.");
    }
    new.append(&mut fields.rest(READ_ONLY));
    fields.keep(&mut job.extra, new);
    fields.check()?;
    let moved = job.expression != before.expression
        || job.timezone != before.timezone
        || job.is_active != before.is_active;
    if moved {
        let next = schedule.and_then(|schedule| schedule.next_after(now()));
        job.next_run_at = next.filter(|_| job.is_active);
    }
    job.project = match job.agent {
        Some(agent) => state.store().agent(scope, agent).await?.project,
        None => project_or_first(state, scope, None).await?,
    };
    Ok(())
}
