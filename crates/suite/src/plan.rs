//! What a server creates to run a suite: plain records, with the defaults applied.

use std::time::Duration;

use ringdown_domain::{AgentId, E164};
use serde_json::{Map, Value, json};

use crate::conditional::FIRST_MESSAGE;
use crate::conditional::{Actions, Trigger};
use crate::document::{Case, Document, InlineProfile, Kind, MetricRef, Personality, Profile, Tool};
use crate::request::{Channel, Mode, Request};

/// What the testing agent says first if nothing else is said.
const DEFAULT_FIRST_MESSAGE: &str = "Hello";

/// Which agent to test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentRef {
    /// The one with this id.
    Id(AgentId),
    /// The one that calls from this number. Several may: then the request has to name one by its id.
    CallingFrom(E164),
}

/// Everything that one request makes.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The agent to look up.
    pub agent: AgentRef,
    /// The result's name; `None`: the server makes one.
    pub name: Option<String>,
    /// How the runs are made.
    pub settings: RunSettings,
    /// The evaluators, in the order of the suite.
    pub evaluators: Vec<Evaluator>,
}

/// How the runs of a plan are made.
#[derive(Clone, Debug, PartialEq)]
pub struct RunSettings {
    /// How the agent is reached.
    pub channel: Channel,
    /// Settings of the connection, for LiveKit and Pipecat.
    pub connection: Option<Map<String, Value>>,
    /// The only number that calls are taken from; `None`: the agent's own.
    pub agent_number: Option<E164>,
    /// The number to call, for an agent that takes calls.
    pub outbound_phone_number: Option<E164>,
    /// Which numbers runs get.
    pub mode: Mode,
    /// How often the whole suite is run, on top of each evaluator's frequency.
    pub frequency: u32,
    /// How many calls run at once; `None`: the project's limit alone.
    pub concurrency_limit: Option<u32>,
    /// Results of a higher priority go first inside their project, -100 to 100.
    pub priority: i32,
    /// The mock tools to switch on; `None`: all of the agent's.
    pub mock_tool_names: Option<Vec<String>>,
}

/// An evaluator to create for the run.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluator {
    /// Identifies the case from one commit to the next.
    pub key: String,
    /// What people call it, at most 80 characters.
    pub name: String,
    /// How the testing agent knows what to say.
    pub kind: Kind,
    /// What it says.
    pub talk: Talk,
    /// What it says first; empty: the agent under test speaks first.
    pub first_message: String,
    /// What has to happen for the run to pass; empty: nothing is judged.
    pub expected_outcome_prompt: String,
    /// The language code; `None`: that of the personality.
    pub language: Option<String>,
    /// Labels.
    pub tags: Vec<String>,
    /// The longest call; `None`: the project's.
    pub max_duration: Option<Duration>,
    /// How often it is run, before [`RunSettings::frequency`].
    pub frequency: u32,
    /// The metrics to look up.
    pub metrics: Vec<MetricRef>,
    /// The personality to look up or make; `None`: the project's.
    pub personality: Option<Personality>,
    /// The test profile to look up or make.
    pub test_profile: Option<TestProfile>,
    /// What the testing agent can do besides talking.
    pub tools: Vec<Tool>,
    /// The number that the call goes to; `None`: one is chosen.
    pub phone_number: Option<E164>,
}

/// What the testing agent says.
#[derive(Clone, Debug, PartialEq)]
pub enum Talk {
    /// Whatever follows the instructions.
    Instructions(String),
    /// What the conditions say, turn by turn.
    Conditions(Actions),
}

/// A test profile to look up or make.
#[derive(Clone, Debug, PartialEq)]
pub enum TestProfile {
    /// The saved one with this id.
    Id(i64),
    /// The saved one with this name.
    Name(String),
    /// One for this run.
    Inline {
        /// What people call it.
        name: String,
        /// `main_agent_variables` and `testing_agent_variables`, as profiles are stored.
        information: Value,
    },
}

impl Request {
    /// The records to create, with the suite's defaults applied.
    pub fn plan(&self) -> Plan {
        let document = self.suite.document();
        let evaluators = document
            .scenarios
            .iter()
            .map(|case| evaluator(document, case))
            .collect();
        let limit = document.defaults.as_ref().and_then(|d| d.concurrency_limit);
        Plan {
            agent: self.agent.clone(),
            name: self
                .name
                .clone()
                .or_else(|| self.suite.name().map(str::to_owned)),
            settings: RunSettings {
                channel: self.channel,
                connection: self.connection.clone(),
                agent_number: self.agent_number.clone(),
                outbound_phone_number: self.outbound_phone_number.clone(),
                mode: self.mode,
                frequency: self.frequency,
                concurrency_limit: self.concurrency_limit.or(limit),
                priority: self.priority.unwrap_or_default(),
                mock_tool_names: self.mock_tool_names.clone(),
            },
            evaluators,
        }
    }
}

impl Plan {
    /// How many runs it makes, at most [`crate::MAX_RUNS`].
    pub fn runs(&self) -> u64 {
        let once: u64 = self
            .evaluators
            .iter()
            .map(|evaluator| u64::from(evaluator.frequency))
            .sum();
        once.saturating_mul(u64::from(self.settings.frequency))
    }
}

impl Evaluator {
    /// The fields of the API that a stored evaluator keeps beside its own columns and that need no
    /// look-up.
    pub fn extra(&self) -> Map<String, Value> {
        let mut extra = Map::new();
        extra.insert("scenario_type".to_owned(), self.kind.as_str().into());
        match &self.talk {
            Talk::Instructions(text) => {
                extra.insert("instructions".to_owned(), text.as_str().into());
            }
            Talk::Conditions(actions) => {
                let actions = serde_json::to_value(actions).unwrap_or_default();
                extra.insert("conditional_actions".to_owned(), actions);
            }
        }
        extra.insert(
            "expected_outcome_prompt".to_owned(),
            self.expected_outcome_prompt.as_str().into(),
        );
        if let Some(language) = &self.language {
            extra.insert("scenario_language".to_owned(), language.as_str().into());
        }
        if !self.tools.is_empty() {
            let tools = self.tools.iter().map(|tool| Value::from(tool.id()));
            extra.insert("tool_ids".to_owned(), tools.collect());
        }
        extra
    }
}

/// How often a case is run.
pub(crate) fn frequency(document: &Document, case: &Case) -> u32 {
    case.frequency
        .or_else(|| document.defaults.as_ref()?.frequency)
        .unwrap_or(1)
}

fn evaluator(document: &Document, case: &Case) -> Evaluator {
    let defaults = document.defaults.clone().unwrap_or_default();
    let kind = case.kind.unwrap_or_default();
    let personality = case.personality.clone().or(defaults.personality);
    let spoken = match &personality {
        Some(Personality::Inline(inline)) => inline.language.clone(),
        _ => None,
    };
    let language = case.language.clone().or(defaults.language).or(spoken);
    let (talk, first_message) = match &case.conditional_actions {
        Some(actions) => (Talk::Conditions(actions.clone()), opening(actions)),
        None => (
            Talk::Instructions(case.instructions.clone().unwrap_or_default()),
            case.first_message
                .clone()
                .unwrap_or_else(|| DEFAULT_FIRST_MESSAGE.to_owned()),
        ),
    };
    let seconds = case.max_duration.or(defaults.max_duration);
    let number = case.phone_number.clone().or(defaults.phone_number);
    Evaluator {
        key: case.key.clone().unwrap_or_else(|| case.name.clone()),
        name: case.name.clone(),
        kind,
        talk,
        first_message,
        expected_outcome_prompt: case.expected_outcome.clone().unwrap_or_default(),
        language: language.map(|language| language.0),
        tags: case.tags.clone().or(defaults.tags).unwrap_or_default(),
        max_duration: seconds.map(|seconds| Duration::from_secs(u64::from(seconds))),
        frequency: frequency(document, case),
        metrics: case
            .metrics
            .clone()
            .or(defaults.metrics)
            .unwrap_or_default(),
        personality,
        test_profile: case
            .test_profile
            .clone()
            .or(defaults.test_profile)
            .map(|profile| test_profile(profile, &case.name)),
        tools: case.tools.clone().unwrap_or_default(),
        phone_number: number.and_then(|number| number.parse().ok()),
    }
}

/// What the conditions say first.
fn opening(actions: &Actions) -> String {
    let first = actions.conditions.iter().find(
        |condition| matches!(&condition.condition, Trigger::When(text) if text == FIRST_MESSAGE),
    );
    first.map_or_else(String::new, |first| first.action.clone())
}

fn test_profile(profile: Profile, case: &str) -> TestProfile {
    match profile {
        Profile::Id(id) => TestProfile::Id(id),
        Profile::Name(name) => TestProfile::Name(name),
        Profile::Inline(InlineProfile {
            name,
            agent_variables,
            caller_variables,
        }) => {
            let mut information = Map::new();
            for (name, variables) in [
                ("main_agent_variables", agent_variables),
                ("testing_agent_variables", caller_variables),
            ] {
                if let Some(variables) = variables {
                    information.insert(name.to_owned(), json!(variables));
                }
            }
            TestProfile::Inline {
                name: name
                    .filter(|name| !name.trim().is_empty())
                    .unwrap_or_else(|| case.to_owned()),
                information: Value::Object(information),
            }
        }
    }
}
