//! From what somebody wants tested to a batch that can be stored.
//!
//! A [`Request`] selects evaluators and says how they run. [`Engine::plan`] looks everything up within
//! the caller's scope, says at once what is wrong, and makes a [`NewBatch`]: one template per evaluator,
//! personality and test profile, and the runs in the order of the queue. Nothing is stored by it.
//!
//! The runs are evaluators times frequency times personalities times test profiles, where no
//! personality and no test profile count as one; at most [`MAX_RUNS`].

mod casting;
mod numbers;
mod refusal;
mod request;
mod script;
mod select;
mod template;

use std::collections::HashMap;
use std::sync::Arc;

use ringdown_bus::now;
use ringdown_domain::Timestamp;
use ringdown_store::{Agent, NewBatch, NewRun, NewTemplate, Project, Scope, Script};
use serde_json::Value;

pub use casting::{Pick, Voice, run_count};
pub use refusal::{Problem, Problems, Refusal};
pub use request::{Case, Mode, Request, Selection};

use crate::Engine;

/// Runs that one batch may have.
pub const MAX_RUNS: usize = 10_000;

/// Bytes of all runs' texts and test profiles. Answers and announcements hold them once per run.
const MAX_BYTES: usize = 128 * 1024 * 1024;

/// Characters of a batch's name.
const MAX_NAME: usize = 255;

const TOO_LARGE: &str = "The texts and test profiles of so many runs are too large.";

impl Engine {
    /// What a request would trigger.
    ///
    /// # Errors
    /// [`Refusal::Wrong`] with everything that is wrong, [`Refusal::Store`] if the database failed.
    pub async fn plan(&self, scope: Scope, request: &Request) -> Result<NewBatch, Refusal> {
        let store = self.store().as_ref();
        let mut problems = Problems::default();
        let selected = select::evaluators(store, scope, request, &mut problems).await?;
        let named = match (request.agent_id, &request.assistant_id) {
            (None, Some(id)) => select::agent_by_assistant(store, scope, id, &mut problems).await?,
            (named, _) => named,
        };
        let scenarios = selected.iter().map(|one| one.scenario.as_ref());
        let agent = select::agent(store, scope, named, scenarios, &mut problems).await?;
        let Some(agent) = agent else {
            problems.check()?;
            return Err(Refusal::of("agent_id", "Name the agent to test."));
        };
        let project = agent.project;
        let voices =
            casting::voices(store, scope, project, request, &selected, &mut problems).await?;
        let profiles =
            casting::profiles(store, scope, project, request, &selected, &mut problems).await?;
        problems.check()?;
        let runs: usize = selected
            .iter()
            .map(|one| usize::try_from(one.runs).unwrap_or(usize::MAX))
            .fold(0, usize::saturating_add);
        let frequency = usize::try_from(request.frequency).unwrap_or(usize::MAX);
        let (personalities, test_profiles) = (
            request.personality_ids.len(),
            request.test_profile_ids.len(),
        );
        if run_count(runs, frequency, personalities, test_profiles).is_none() {
            return Err(too_many());
        }
        let picks = casting::combine(request, &selected, &voices, &profiles);
        self.plan_picks(scope, request, &agent, picks).await
    }

    /// What a request would trigger with exactly these evaluators, personalities and test profiles,
    /// which need not be stored. The request's own selection is not looked at.
    ///
    /// # Errors
    /// As [`Engine::plan`].
    pub async fn plan_picks(
        &self,
        scope: Scope,
        request: &Request,
        agent: &Agent,
        picks: Vec<Pick>,
    ) -> Result<NewBatch, Refusal> {
        let store = self.store().as_ref();
        let project = store.project(scope, agent.project).await?;
        let queue = ordered(request, &picks)?;
        let mut problems = Problems::default();
        let caller_ids = numbers::caller_ids(agent, request, &mut problems);
        let numbers =
            numbers::of_picks(store, scope, agent, request, &picks, &mut problems).await?;
        let (templates, of_pick) = templates(agent, &project, request, &picks, &mut problems);
        problems.check()?;
        let runs = queue.into_iter().filter_map(|pick| {
            Some(NewRun {
                template: *of_pick.get(pick)?,
                number: numbers.get(pick)?.clone(),
            })
        });
        let named = request.name.clone().filter(|name| !name.trim().is_empty());
        let name = named.unwrap_or_else(|| format!("{} {}", agent.name, time(now())));
        Ok(NewBatch {
            org: agent.org,
            project: project.id,
            agent: agent.id,
            agent_name: agent.name.clone(),
            name: name.chars().take(MAX_NAME).collect(),
            concurrency_limit: request.concurrency_limit,
            priority: request.priority,
            settings: request.settings(),
            caller_ids,
            dial_route: crate::dialing::route(agent),
            gated: is_gated(&project),
            cron_job: None,
            idempotency: None,
            templates,
            runs: runs.collect(),
        })
    }
}

/// What makes two picks the same.
fn identity(pick: &Pick) -> (usize, Option<i64>, Option<i64>) {
    (
        Arc::as_ptr(&pick.scenario).addr(),
        pick.voice.as_ref().map(|voice| voice.id.0),
        pick.profile.as_ref().map(|profile| profile.id),
    )
}

/// Picks in the order of the queue.
fn ordered(request: &Request, picks: &[Pick]) -> Result<Vec<usize>, Refusal> {
    let runs: Vec<u32> = picks.iter().map(|pick| pick.runs).collect();
    let once: u64 = runs.iter().copied().map(u64::from).sum();
    let once = usize::try_from(once).unwrap_or(usize::MAX);
    let frequency = usize::try_from(request.frequency).unwrap_or(usize::MAX);
    run_count(once, frequency, 1, 1).ok_or_else(too_many)?;
    Ok(casting::queue(&runs, request.frequency))
}

fn too_many() -> Refusal {
    let message = format!("The request asks for no runs, or for more than {MAX_RUNS}.");
    Refusal::of("frequency", message)
}

/// The templates and which of them each pick has, as long as the texts of all runs are small enough. An
/// evaluator that is picked twice has one template.
fn templates(
    agent: &Agent,
    project: &Project,
    request: &Request,
    picks: &[Pick],
    problems: &mut Problems,
) -> (Vec<NewTemplate>, Vec<usize>) {
    let frequency = usize::try_from(request.frequency).unwrap_or(usize::MAX);
    let mut templates: Vec<NewTemplate> = Vec::new();
    let mut sizes: Vec<usize> = Vec::new();
    let mut known: HashMap<_, usize> = HashMap::new();
    let mut of_pick = Vec::with_capacity(picks.len());
    let mut total = 0_usize;
    for pick in picks {
        let index = match known.get(&identity(pick)) {
            Some(index) => *index,
            None => match script::script(agent, project, pick) {
                Ok(script) => {
                    let information = pick.profile.as_ref().map(|p| bytes(&p.information));
                    sizes.push(script::size(&script) + information.unwrap_or(0));
                    templates.push(template(pick, script));
                    known.insert(identity(pick), templates.len() - 1);
                    templates.len() - 1
                }
                Err(message) => {
                    problems.add("scenarios", message);
                    break;
                }
            },
        };
        let copies = usize::try_from(pick.runs).unwrap_or(usize::MAX);
        let each = sizes.get(index).copied().unwrap_or(0);
        let all = each.saturating_mul(copies).saturating_mul(frequency);
        total = total.saturating_add(all);
        if total > MAX_BYTES {
            problems.add("frequency", TOO_LARGE);
            break;
        }
        of_pick.push(index);
    }
    (templates, of_pick)
}

fn template(pick: &Pick, script: Script) -> NewTemplate {
    NewTemplate {
        scenario: pick.scenario.id,
        scenario_name: pick.scenario.name.clone(),
        personality: pick.voice.as_ref().map(|voice| voice.id),
        personality_name: pick
            .voice
            .as_ref()
            .map_or_else(String::new, |voice| voice.name.clone()),
        test_profile: pick.profile.as_deref().cloned(),
        script,
    }
}

/// Length of a value as JSON.
fn bytes(value: &Value) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX, |json| json.len())
}

/// Whether the project wants to be asked before its runs are dispatched.
fn is_gated(project: &Project) -> bool {
    let wanted = project
        .extra
        .get("notify_pre_run_webhook")
        .and_then(Value::as_bool)
        .unwrap_or(false);
    wanted
        && project
            .webhook_url
            .as_deref()
            .is_some_and(|url| !url.is_empty())
}

/// RFC 3339 in UTC.
fn time(at: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(at.as_micros())
        .map_or_else(|_| String::new(), |time| time.to_string())
}
