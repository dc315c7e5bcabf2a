//! Which evaluators run, and which agent they test.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use ringdown_domain::{AgentId, PersonalityId, ScenarioId, TestProfileId};
use ringdown_store::{
    Agent, AgentFilter, Error as StoreError, Page, Scenario, ScenarioFilter, Scope, Store, TagMatch,
};

use super::refusal::{Problems, found};
use super::{MAX_RUNS, Request, Selection};

/// All of a list, as long as it is no longer than a batch may be.
const WHOLE: Page = Page {
    number: 1,
    size: 10_000,
};

/// Ids that a message names.
const NAMED: usize = 10;

/// An evaluator that was found.
pub(super) struct Selected {
    pub(super) scenario: Arc<Scenario>,
    pub(super) personality: Option<PersonalityId>,
    pub(super) test_profile: Option<TestProfileId>,
    pub(super) runs: u32,
}

impl From<Arc<Scenario>> for Selected {
    fn from(scenario: Arc<Scenario>) -> Self {
        Self {
            scenario,
            personality: None,
            test_profile: None,
            runs: 1,
        }
    }
}

/// The evaluators of a request, in the order of the queue.
pub(super) async fn evaluators(
    store: &dyn Store,
    scope: Scope,
    request: &Request,
    problems: &mut Problems,
) -> Result<Vec<Selected>, StoreError> {
    match &request.selection {
        Selection::Scenarios(ids) => {
            let by_id = by_id(store, scope, ids, problems).await?;
            let chosen = ids.iter().filter_map(|id| by_id.get(id));
            Ok(chosen.cloned().map(Selected::from).collect())
        }
        Selection::Cases(cases) => {
            let ids: Vec<ScenarioId> = cases.iter().map(|case| case.scenario).collect();
            let by_id = by_id(store, scope, &ids, problems).await?;
            let chosen = cases.iter().filter_map(|case| {
                Some(Selected {
                    scenario: Arc::clone(by_id.get(&case.scenario)?),
                    personality: case.personality,
                    test_profile: case.test_profile,
                    runs: case.runs,
                })
            });
            Ok(chosen.collect())
        }
        Selection::Tags(tags) => {
            // Without this, no tag at all would select every evaluator.
            if tags.is_empty() {
                problems.add("tags", "Name at least one tag.");
                return Ok(Vec::new());
            }
            matching(store, scope, request, "tags", problems).await
        }
        Selection::FolderPath(_) => matching(store, scope, request, "folder_path", problems).await,
    }
}

async fn by_id(
    store: &dyn Store,
    scope: Scope,
    ids: &[ScenarioId],
    problems: &mut Problems,
) -> Result<HashMap<ScenarioId, Arc<Scenario>>, StoreError> {
    let wanted: BTreeSet<ScenarioId> = ids.iter().copied().collect();
    if wanted.is_empty() {
        problems.add("scenarios", "Name at least one evaluator.");
        return Ok(HashMap::new());
    }
    if wanted.len() > MAX_RUNS {
        let message = format!("At most {MAX_RUNS} evaluators run at once.");
        problems.add("scenarios", message);
        return Ok(HashMap::new());
    }
    let filter = ScenarioFilter {
        ids: Some(wanted.iter().copied().collect()),
        ..ScenarioFilter::default()
    };
    let rows = store.scenarios(scope, filter, WHOLE).await?.rows;
    let by_id: HashMap<ScenarioId, Arc<Scenario>> = rows
        .into_iter()
        .map(|scenario| (scenario.id, Arc::new(scenario)))
        .collect();
    let unknown: Vec<&ScenarioId> = wanted.iter().filter(|id| !by_id.contains_key(id)).collect();
    if !unknown.is_empty() {
        let message = format!(
            "Your organisation has no evaluator with id {}.",
            list(&unknown)
        );
        problems.add("scenarios", message);
    }
    Ok(by_id)
}

async fn matching(
    store: &dyn Store,
    scope: Scope,
    request: &Request,
    field: &'static str,
    problems: &mut Problems,
) -> Result<Vec<Selected>, StoreError> {
    let (tags, folder_path) = match &request.selection {
        Selection::Tags(tags) => (tags.clone(), None),
        Selection::FolderPath(path) => (Vec::new(), Some(path.clone())),
        Selection::Scenarios(_) | Selection::Cases(_) => (Vec::new(), None),
    };
    let filter = ScenarioFilter {
        agent: request.agent_id,
        project: request.project_id,
        ids: None,
        tags,
        tag_match: TagMatch::Any,
        folder_path,
    };
    let matching = store.scenarios(scope, filter, WHOLE).await?;
    if matching.rows.is_empty() {
        problems.add(field, "No evaluator matches.");
    }
    if matching.count > u64::from(WHOLE.size) {
        problems.add(field, format!("More than {MAX_RUNS} evaluators match."));
    }
    let rows = matching.rows.into_iter().map(Arc::new);
    Ok(rows.map(Selected::from).collect())
}

/// The agent with this id of its provider's.
pub(super) async fn agent_by_assistant(
    store: &dyn Store,
    scope: Scope,
    assistant: &str,
    problems: &mut Problems,
) -> Result<Option<AgentId>, StoreError> {
    let agents = store.agents(scope, AgentFilter::default(), WHOLE).await?;
    let mut named = agents.rows.iter().filter(|agent| {
        agent.extra.get("assistant_id").and_then(|id| id.as_str()) == Some(assistant)
    });
    let first = named.next();
    if first.is_none() {
        problems.add("assistant_id", "No agent of yours has this assistant_id.");
    } else if named.next().is_some() {
        let message = "Several agents have this assistant_id: name one by agent_id.";
        problems.add("assistant_id", message);
    }
    Ok(first.map(|agent| agent.id))
}

/// The agent under test: the one named, or the one all evaluators share.
pub(super) async fn agent(
    store: &dyn Store,
    scope: Scope,
    named: Option<AgentId>,
    scenarios: impl Iterator<Item = &Scenario> + Clone,
    problems: &mut Problems,
) -> Result<Option<Agent>, StoreError> {
    let id = match named {
        Some(id) => id,
        None => {
            let agents: BTreeSet<AgentId> = scenarios.clone().map(|s| s.agent).collect();
            let mut agents = agents.into_iter();
            match (agents.next(), agents.next()) {
                (Some(id), None) => id,
                // That nothing was selected has been said.
                (None, _) => return Ok(None),
                (Some(_), Some(_)) => {
                    let message =
                        "The evaluators belong to different agents: name the one to test.";
                    problems.add("agent_id", message);
                    return Ok(None);
                }
            }
        }
    };
    let Some(agent) = found(store.agent(scope, id).await)? else {
        let message = format!("There is no agent {id} in your organisation.");
        problems.add("agent_id", message);
        return Ok(None);
    };
    if agent.inbound {
        let message =
            format!("Agent {id} takes calls: set its inbound to false to test outbound calls.");
        problems.add("agent_id", message);
    }
    let elsewhere: Vec<ScenarioId> = scenarios
        .filter(|scenario| scenario.project != agent.project)
        .map(|scenario| scenario.id)
        .collect();
    if !elsewhere.is_empty() {
        let elsewhere: Vec<&ScenarioId> = elsewhere.iter().collect();
        let message = format!(
            "Evaluator {} belongs to another project than agent {id}.",
            list(&elsewhere)
        );
        problems.add("scenarios", message);
    }
    Ok(Some(agent))
}

/// `1, 2, 3`, and how many more there are.
fn list<T: ToString>(items: &[&T]) -> String {
    let named: Vec<String> = items.iter().take(NAMED).map(|i| i.to_string()).collect();
    match items.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}
