use std::collections::{BTreeMap, HashMap};

use axum::Json;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use ringdown_api as wire;
use ringdown_bus::now;
use ringdown_domain::{AgentId, E164, OrganisationId, ScenarioId, TestProfileId};
use ringdown_store::{
    Agent, NewBatch, NewRun, Page, ProfileSnapshot, Project, Run, Scenario, ScenarioFilter, Script,
    TagMatch,
};
use serde_json::{Value, json};

use super::State;
use super::body::Fields;
use super::error::{Answer, Failure};
use super::pages::{Asked, time};
use super::template;

/// Runs one request may trigger.
const MAX_RUNS: usize = 10_000;

const CLOSING: &str = "Thank you, goodbye.";

/// What a request asks for, checked field by field.
struct Request {
    agent: Option<AgentId>,
    scenarios: Option<Vec<i64>>,
    tags: Option<Vec<String>>,
    folder_path: Option<String>,
    frequency: usize,
    name: Option<String>,
    outbound_phone_number: Option<E164>,
    personalities: usize,
    test_profiles: Vec<TestProfileId>,
    different_numbers: bool,
    agent_number: Option<E164>,
    concurrency_limit: Option<u32>,
    settings: Value,
}

fn read(fields: &mut Fields) -> Answer<Request> {
    let positive = |value: i64| usize::try_from(value).unwrap_or(usize::MAX);
    let freq = fields.integer("freq", 1, 10_000);
    let frequency = fields.integer("frequency", 1, 10_000).or(freq);
    let one_profile = fields.id("test_profile_id");
    let mut test_profiles = fields.ids("test_profile_ids").unwrap_or_default();
    test_profiles.extend(one_profile);
    let personalities = fields.ids("personality_ids").unwrap_or_default();
    let mode = fields.text("mode", 32);
    if let Some(mode) = mode.as_deref()
        && !["same_number", "different_numbers"].contains(&mode)
    {
        fields.wrong("mode", "Expected same_number or different_numbers.");
    }
    let request = Request {
        agent: fields.id("agent_id").map(AgentId),
        scenarios: fields.ids("scenarios"),
        tags: fields.texts("tags", 100),
        folder_path: fields.text("folder_path", 255),
        frequency: frequency.map_or(1, positive),
        name: fields.text("name", 255),
        outbound_phone_number: fields.number("outbound_phone_number"),
        personalities: personalities.len().max(1),
        different_numbers: mode.as_deref() == Some("different_numbers"),
        agent_number: fields.number("agent_number"),
        concurrency_limit: fields
            .integer("concurrency_limit", 1, 1_000_000)
            .and_then(|limit| u32::try_from(limit).ok()),
        settings: json!({
            "frequency": frequency.unwrap_or(1),
            "personality_ids": personalities,
            "test_profile_ids": test_profiles,
            "mode": mode.as_deref().unwrap_or("same_number"),
        }),
        test_profiles: test_profiles.into_iter().map(TestProfileId).collect(),
    };
    let selections = usize::from(request.scenarios.is_some())
        + usize::from(request.tags.is_some())
        + usize::from(request.folder_path.is_some());
    fields.check()?;
    if selections != 1 {
        return Err(Failure::field(
            "scenarios",
            "Select what to run with exactly one of scenarios, tags and folder_path.",
        ));
    }
    Ok(request)
}

async fn select(state: &State, org: OrganisationId, request: &Request) -> Answer<Vec<Scenario>> {
    let filter = ScenarioFilter {
        agent: request
            .scenarios
            .is_none()
            .then_some(request.agent)
            .flatten(),
        ids: request
            .scenarios
            .as_ref()
            .map(|ids| ids.iter().copied().map(ScenarioId).collect()),
        tags: request.tags.clone().unwrap_or_default(),
        tag_match: TagMatch::Any,
        folder_path: request.folder_path.clone(),
        ..ScenarioFilter::default()
    };
    let page = Page {
        number: 1,
        size: u32::try_from(MAX_RUNS).unwrap_or(u32::MAX),
    };
    let found = state.store().scenarios(org, filter, page).await?.rows;
    let Some(ids) = &request.scenarios else {
        if found.is_empty() {
            let field = if request.tags.is_some() {
                "tags"
            } else {
                "folder_path"
            };
            return Err(Failure::field(field, "No evaluator matches."));
        }
        return Ok(found);
    };
    if ids.is_empty() {
        return Err(Failure::field("scenarios", "Name at least one evaluator."));
    }
    // The order of the request is the order of the queue, and an id may be named twice.
    let mut by_id: HashMap<i64, Scenario> = HashMap::new();
    for scenario in found {
        by_id.insert(scenario.id.0, scenario);
    }
    let unknown: Vec<String> = ids
        .iter()
        .filter(|id| !by_id.contains_key(id))
        .map(ToString::to_string)
        .collect();
    if !unknown.is_empty() {
        let message = format!(
            "Your organisation has no evaluator with id {}.",
            unknown.join(", ")
        );
        return Err(Failure::field("scenarios", message));
    }
    Ok(ids.iter().filter_map(|id| by_id.get(id).cloned()).collect())
}

/// The agent under test: the one named, or the one all evaluators share.
async fn agent(
    state: &State,
    org: OrganisationId,
    request: &Request,
    scenarios: &[Scenario],
) -> Answer<Agent> {
    let id = match request.agent {
        Some(id) => id,
        None => {
            let mut agents: Vec<AgentId> = scenarios.iter().map(|s| s.agent).collect();
            agents.dedup();
            match agents.as_slice() {
                [id] => *id,
                _ => {
                    return Err(Failure::field(
                        "agent_id",
                        "The evaluators belong to different agents: name the one to test.",
                    ));
                }
            }
        }
    };
    let agent = state
        .store()
        .agent(org, id)
        .await
        .map_err(|error| match error {
            ringdown_store::Error::NotFound { .. } => Failure::field(
                "agent_id",
                format!("There is no agent {id} in your organisation."),
            ),
            other => other.into(),
        })?;
    if agent.inbound {
        return Err(Failure::field(
            "agent_id",
            format!("Agent {id} takes calls: set its inbound to false to test outbound calls."),
        ));
    }
    Ok(agent)
}

fn caller_ids(agent: &Agent, request: &Request) -> Answer<Vec<E164>> {
    if let Some(number) = &request.agent_number {
        return Ok(vec![number.clone()]);
    }
    if !agent.outbound_numbers.is_empty() {
        return Ok(agent.outbound_numbers.clone());
    }
    match &agent.contact_number {
        Some(number) => Ok(vec![number.clone()]),
        None => Err(Failure::field(
            "contact_number",
            format!(
                "Agent {} has no contact_number, so no call from it could be recognised: \
                 set it to the E.164 number it calls from.",
                agent.id
            ),
        )),
    }
}

/// Chooses each run's number.
struct Numbers {
    fixed: Option<E164>,
    rotation: Vec<E164>,
    next: usize,
}

impl Numbers {
    async fn of(state: &State, org: OrganisationId, request: &Request) -> Answer<Self> {
        let page = Page {
            number: 1,
            size: 100_000,
        };
        let mut rotation = Vec::new();
        if request.different_numbers || request.outbound_phone_number.is_some() {
            let owned = state.store().phone_numbers(org, page).await?.rows;
            rotation.extend(owned.into_iter().map(|number| number.number));
        }
        if let Some(number) = &request.outbound_phone_number
            && !rotation.contains(number)
        {
            return Err(Failure::field(
                "outbound_phone_number",
                format!("{number} is no number of your organisation."),
            ));
        }
        if request.different_numbers {
            let mut used = BTreeMap::new();
            for number in &rotation {
                let pending = state.store().pending_on(org, number).await?;
                used.insert(number.clone(), pending);
            }
            rotation.sort_by_key(|number| used.get(number).copied());
        } else {
            rotation.clear();
        }
        Ok(Self {
            fixed: request.outbound_phone_number.clone(),
            rotation,
            next: 0,
        })
    }

    fn pick(&mut self, scenario: &Scenario) -> Answer<E164> {
        if let Some(number) = &self.fixed {
            return Ok(number.clone());
        }
        if !self.rotation.is_empty() {
            let number = self.rotation.get(self.next % self.rotation.len()).cloned();
            self.next += 1;
            if let Some(number) = number {
                return Ok(number);
            }
        }
        scenario.number.clone().ok_or_else(|| {
            Failure::field(
                "scenarios",
                format!(
                    "Evaluator {} has no phone number: add one with \
                     POST /ringdown/v1/phone-numbers/.",
                    scenario.id
                ),
            )
        })
    }
}

fn script(
    agent: &Agent,
    scenario: &Scenario,
    project: &Project,
    profile: Option<&Value>,
) -> Script {
    let extra = |name: &str| match scenario.extra.get(name) {
        Some(Value::String(text)) => template::fill(text, profile),
        _ => String::new(),
    };
    let agent_first = agent
        .extra
        .get("agent_gives_first_message")
        .and_then(Value::as_bool)
        .unwrap_or(false);
    let (opening, replies) = conditional_actions(scenario, profile);
    let first_message = match (agent_first, opening) {
        (true, _) => String::new(),
        (false, Some(opening)) => opening,
        (false, None) => template::fill(&scenario.first_message, profile),
    };
    let longest = scenario.max_duration.unwrap_or(project.max_call_duration);
    let millis =
        |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let language = extra("scenario_language");
    Script {
        first_message,
        replies,
        closing: CLOSING.to_owned(),
        max_duration_ms: millis(longest),
        silence_timeout_ms: millis(project.silence_timeout),
        language: if language.is_empty() {
            "en".to_owned()
        } else {
            language
        },
        instructions: extra("instructions"),
        expected_outcome: extra("expected_outcome_prompt"),
    }
}

/// The fixed messages of structured actions: what is said first, and what after each agent turn.
/// Tags are left out; conditions on what the agent says are not judged.
fn conditional_actions(
    scenario: &Scenario,
    profile: Option<&Value>,
) -> (Option<String>, Vec<String>) {
    let conditions = scenario
        .extra
        .get("conditional_actions")
        .and_then(|actions| actions.get("conditions"))
        .and_then(Value::as_array);
    let mut opening = None;
    let mut replies = Vec::new();
    for condition in conditions.into_iter().flatten() {
        let fixed = condition.get("fixed_message").and_then(Value::as_bool);
        let action = condition
            .get("action")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let said = without_tags(&template::fill(action, profile));
        if condition.get("condition").and_then(Value::as_str) == Some("FIRST_MESSAGE") {
            opening = Some(said);
        } else if fixed == Some(true) && !said.is_empty() {
            replies.push(said);
        }
    }
    (opening, replies)
}

fn without_tags(text: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in text.chars() {
        match c {
            '<' => inside = true,
            '>' if inside => inside = false,
            c if !inside => out.push(c),
            _ => {}
        }
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

async fn profiles(
    state: &State,
    org: OrganisationId,
    request: &Request,
    scenarios: &[Scenario],
) -> Answer<HashMap<TestProfileId, ProfileSnapshot>> {
    let mut found = HashMap::new();
    let wanted = request.test_profiles.iter().copied().chain(
        scenarios
            .iter()
            .filter_map(|scenario| scenario.test_profile),
    );
    for id in wanted {
        if found.contains_key(&id) {
            continue;
        }
        let profile = state
            .store()
            .test_profile(org, id)
            .await
            .map_err(|error| match error {
                ringdown_store::Error::NotFound { .. } => Failure::field(
                    "test_profile_ids",
                    format!("There is no test profile {id} in your organisation."),
                ),
                other => other.into(),
            })?;
        let snapshot = ProfileSnapshot {
            id: profile.id.0,
            name: profile.name,
            information: profile.information,
        };
        found.insert(id, snapshot);
    }
    Ok(found)
}

pub(super) async fn run_scenarios(
    Extract(state): Extract<State>,
    asked: Asked,
    mut fields: Fields,
) -> Answer<(StatusCode, Json<wire::TriggeredResult>)> {
    if state.health.is_draining() {
        return Err(Failure::detail(
            StatusCode::SERVICE_UNAVAILABLE,
            "The service is shutting down and takes no new runs.",
        ));
    }
    let org = asked.principal.org;
    let request = read(&mut fields)?;
    let scenarios = select(&state, org, &request).await?;
    let agent = agent(&state, org, &request, &scenarios).await?;
    let caller_ids = caller_ids(&agent, &request)?;
    let project = state.store().project(org, agent.project).await?;
    let profiles = profiles(&state, org, &request, &scenarios).await?;
    let variants = request.test_profiles.len().max(1);
    let count = [request.frequency, request.personalities, variants]
        .into_iter()
        .try_fold(scenarios.len(), usize::checked_mul)
        .filter(|count| *count <= MAX_RUNS);
    if count.is_none() {
        let message = format!("The request asks for more than {MAX_RUNS} runs.");
        return Err(Failure::field("frequency", message));
    }
    let mut numbers = Numbers::of(&state, org, &request).await?;
    let mut runs = Vec::new();
    for _ in 0..request.frequency {
        for scenario in &scenarios {
            for variant in 0..variants {
                for _ in 0..request.personalities {
                    let chosen = request.test_profiles.get(variant).copied();
                    let profile = chosen.or(scenario.test_profile);
                    let profile = profile.and_then(|id| profiles.get(&id)).cloned();
                    let information = profile.as_ref().map(|profile| &profile.information);
                    runs.push(NewRun {
                        scenario: scenario.id,
                        scenario_name: scenario.name.clone(),
                        number: numbers.pick(scenario)?,
                        caller_ids: caller_ids.clone(),
                        dial_route: agent.dial_route.clone(),
                        script: script(&agent, scenario, &project, information),
                        test_profile: profile,
                    });
                }
            }
        }
    }
    let name = request
        .name
        .unwrap_or_else(|| format!("{} {}", agent.name, time(now())));
    let batch = NewBatch {
        org,
        project: project.id,
        agent: agent.id,
        agent_name: agent.name.clone(),
        name: name.chars().take(255).collect(),
        concurrency_limit: request.concurrency_limit,
        settings: request.settings,
        runs,
    };
    let (batch, runs) = state.engine.trigger(batch).await?;
    let shown = wire::TriggeredResult {
        id: batch.id.0,
        name: batch.name,
        agent: Some(batch.agent.0),
        status: ringdown_domain::run::Status::Pending.into(),
        success_rate: 0.0,
        run_as_text: false,
        runs: runs.iter().map(show).collect(),
        created_at: time(batch.created_at),
    };
    Ok((StatusCode::CREATED, Json(shown)))
}

fn show(run: &Run) -> wire::TriggeredRun {
    wire::TriggeredRun {
        id: run.id.0,
        status: run.status().into(),
        scenario: Some(run.scenario.0),
        scenario_name: run.scenario_name.clone(),
        number: Some(run.number.to_string()),
        outbound_number: Some(run.number.to_string()),
        inbound_number: None,
        test_profile_data: run
            .test_profile
            .as_ref()
            .map(|profile| wire::TestProfileData {
                id: profile.id,
                name: profile.name.clone(),
                information: profile.information.clone(),
            }),
        outbound_dial_window_opens_at: run.window.map(|window| time(window.opens_at)),
        outbound_dial_window_seconds: run
            .window
            .map(|window| window.closes_at.since(window.opens_at).as_secs_f64()),
        outbound_dial_window_closes_at: run.window.map(|window| time(window.closes_at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_not_spoken() {
        assert_eq!(without_tags("Great, thanks! <endcall />"), "Great, thanks!");
        assert_eq!(
            without_tags("<silence time=\"2s\"/>Well  then"),
            "Well then"
        );
        assert_eq!(without_tags("2 > 1"), "2 > 1");
    }
}
