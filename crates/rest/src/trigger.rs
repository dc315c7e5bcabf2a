use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::Json;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use ringdown_api as wire;
use ringdown_bus::now;
use ringdown_domain::{AgentId, E164, OrganisationId, ProjectId, ScenarioId, TestProfileId};
use ringdown_store::{
    Agent, NewBatch, NewRun, Page, ProfileSnapshot, Project, Run, Scenario, ScenarioFilter, Script,
    TagMatch,
};
use serde_json::{Value, json};

use super::State;
use super::body::{Fields, bytes};
use super::operations::{Body, Table};
use super::pages::{Asked, time};
use super::script::{script, size};
use crate::error::{Answer, Failure, found};

/// Runs one request may trigger.
const MAX_RUNS: usize = 10_000;

/// Bytes of all runs one request may trigger. Answers hold them all in memory.
const MAX_BYTES: usize = 128 * 1024 * 1024;

pub(crate) fn operations(table: &mut Table) {
    table
        .post("/test_framework/v1/scenarios/run_scenarios", run_scenarios)
        .id("scenarios-run-voice_2")
        .summary("Run evaluators")
        .takes(Body::of::<wire::RunScenarios>())
        .answers::<wire::TriggeredResult>(201);
}

/// What a request asks for, checked field by field.
struct Request {
    agent: Option<AgentId>,
    scenarios: Option<Vec<i64>>,
    tags: Option<Vec<String>>,
    folder_path: Option<String>,
    project: Option<ProjectId>,
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
    let concurrency_limit = fields
        .integer("concurrency_limit", 1, 1_000_000)
        .and_then(|limit| u32::try_from(limit).ok());
    let request = Request {
        agent: fields.id("agent_id").map(AgentId),
        scenarios: fields.ids("scenarios"),
        tags: fields.texts("tags", 100),
        folder_path: fields.text("folder_path", 255),
        project: fields.id("project_id").map(ProjectId),
        frequency: frequency.map_or(1, positive),
        name: fields.text("name", 255),
        outbound_phone_number: fields.number("outbound_phone_number"),
        personalities: personalities.len().max(1),
        different_numbers: mode.as_deref() == Some("different_numbers"),
        agent_number: fields.number("agent_number"),
        concurrency_limit,
        settings: json!({
            "frequency": frequency.unwrap_or(1),
            "concurrency_limit": concurrency_limit,
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

async fn select(
    state: &State,
    org: OrganisationId,
    request: &Request,
) -> Answer<Vec<Arc<Scenario>>> {
    let page = Page {
        number: 1,
        size: u32::try_from(MAX_RUNS).unwrap_or(u32::MAX),
    };
    let Some(ids) = &request.scenarios else {
        let field = if request.tags.is_some() {
            "tags"
        } else {
            "folder_path"
        };
        // Without this, no tag at all would select every evaluator.
        if request.tags.as_ref().is_some_and(Vec::is_empty) {
            return Err(Failure::field(field, "Name at least one tag."));
        }
        let filter = ScenarioFilter {
            agent: request.agent,
            project: request.project,
            ids: None,
            tags: request.tags.clone().unwrap_or_default(),
            tag_match: TagMatch::Any,
            folder_path: request.folder_path.clone(),
        };
        let matching = state.store().scenarios(org, filter, page).await?;
        if matching.rows.is_empty() {
            return Err(Failure::field(field, "No evaluator matches."));
        }
        if matching.count > u64::from(page.size) {
            let message = format!("More than {MAX_RUNS} evaluators match.");
            return Err(Failure::field(field, message));
        }
        return Ok(matching.rows.into_iter().map(Arc::new).collect());
    };
    if ids.is_empty() {
        return Err(Failure::field("scenarios", "Name at least one evaluator."));
    }
    let filter = ScenarioFilter {
        ids: Some(ids.iter().copied().map(ScenarioId).collect()),
        ..ScenarioFilter::default()
    };
    let named = state.store().scenarios(org, filter, page).await?.rows;
    // The order of the request is the order of the queue, and an id may be named twice.
    let by_id: HashMap<i64, Arc<Scenario>> = named
        .into_iter()
        .map(|scenario| (scenario.id.0, Arc::new(scenario)))
        .collect();
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
    scenarios: &[Arc<Scenario>],
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
    let agent = found(state.store().agent(org, id).await)?.ok_or_else(|| {
        Failure::field(
            "agent_id",
            format!("There is no agent {id} in your organisation."),
        )
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

async fn profiles(
    state: &State,
    org: OrganisationId,
    request: &Request,
    scenarios: &[Arc<Scenario>],
) -> Answer<HashMap<TestProfileId, ProfileSnapshot>> {
    let mut snapshots = HashMap::new();
    let wanted = request.test_profiles.iter().copied().chain(
        scenarios
            .iter()
            .filter_map(|scenario| scenario.test_profile),
    );
    for id in wanted {
        if snapshots.contains_key(&id) {
            continue;
        }
        let profile = found(state.store().test_profile(org, id).await)?.ok_or_else(|| {
            Failure::field(
                "test_profile_ids",
                format!("There is no test profile {id} in your organisation."),
            )
        })?;
        let snapshot = ProfileSnapshot {
            id: profile.id.0,
            name: profile.name,
            information: profile.information,
        };
        snapshots.insert(id, snapshot);
    }
    Ok(snapshots)
}

/// What all runs of one evaluator with one test profile have in common.
struct Template {
    scenario: Arc<Scenario>,
    profile: Option<ProfileSnapshot>,
    script: Script,
}

impl Request {
    /// How often each template is run.
    fn copies(&self) -> usize {
        self.frequency.saturating_mul(self.personalities)
    }
}

/// Every evaluator with every test profile, as long as the runs of all of them are few enough.
fn templates(
    request: &Request,
    agent: &Agent,
    project: &Project,
    scenarios: &[Arc<Scenario>],
    profiles: &HashMap<TestProfileId, ProfileSnapshot>,
) -> Answer<Vec<Template>> {
    let chosen: Vec<Option<TestProfileId>> = if request.test_profiles.is_empty() {
        vec![None]
    } else {
        request.test_profiles.iter().copied().map(Some).collect()
    };
    let runs = scenarios.len().saturating_mul(chosen.len());
    if runs.saturating_mul(request.copies()) > MAX_RUNS {
        let message = format!("The request asks for more than {MAX_RUNS} runs.");
        return Err(Failure::field("frequency", message));
    }
    let mut templates = Vec::with_capacity(runs);
    let mut total = 0;
    for scenario in scenarios {
        for chosen in &chosen {
            let profile = chosen.or(scenario.test_profile);
            let profile = profile.and_then(|id| profiles.get(&id)).cloned();
            let information = profile.as_ref().map(|profile| &profile.information);
            let script = script(agent, scenario, project, information)?;
            total += (size(&script) + profile.as_ref().map_or(0, bytes)) * request.copies();
            if total > MAX_BYTES {
                let message = "The texts and test profiles of so many runs are too large.";
                return Err(Failure::field("frequency", message));
            }
            templates.push(Template {
                scenario: Arc::clone(scenario),
                profile,
                script,
            });
        }
    }
    Ok(templates)
}

pub(crate) async fn run_scenarios(
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
    let templates = templates(&request, &agent, &project, &scenarios, &profiles)?;
    let mut numbers = Numbers::of(&state, org, &request).await?;
    let mut runs = Vec::with_capacity(templates.len() * request.copies());
    for _ in 0..request.frequency {
        for template in &templates {
            for _ in 0..request.personalities {
                runs.push(NewRun {
                    scenario: template.scenario.id,
                    scenario_name: template.scenario.name.clone(),
                    number: numbers.pick(&template.scenario)?,
                    caller_ids: caller_ids.clone(),
                    dial_route: agent.dial_route.clone(),
                    script: template.script.clone(),
                    test_profile: template.profile.clone(),
                });
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
