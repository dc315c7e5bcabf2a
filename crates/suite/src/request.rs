use ringdown_domain::{AgentId, E164};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::plan::AgentRef;
use crate::problem::{Problems, brief};
use crate::{Suite, schema, shape};

/// Runs that one request may make.
pub const MAX_RUNS: u64 = 10_000;

/// Bytes of a request as JSON, apart from the suite.
const MAX_AROUND: usize = 64 * 1024;

/// Bytes of a suite that is sent as text, with its spaces.
const MAX_TEXT: usize = 4 * crate::MAX_BYTES;

/// Settings of other run requests that mean nothing here; empty, they are ignored.
const PLACEHOLDERS: &[&str] = &[
    "folder_path",
    "personality_ids",
    "scenarios",
    "tags",
    "test_profile_ids",
];

/// The request to run a suite, as it is sent.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Upload {
    /// The suite: an object, or the same as text.
    #[serde(rename = "spec")]
    #[schemars(extend("type" = ["object", "string"]))]
    _spec: Value,
    /// The agent to test.
    #[serde(default)]
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64))]
    agent_id: Option<i64>,
    /// What the result is called; the suite's name, if left out.
    #[serde(default)]
    #[schemars(length(max = 255))]
    name: Option<String>,
    /// How the agent is reached; `voice`, if left out.
    #[serde(default)]
    channel: Option<Channel>,
    /// Settings of the LiveKit connection.
    #[serde(default)]
    livekit_data: Option<Map<String, Value>>,
    /// Settings of the Pipecat connection.
    #[serde(default)]
    pipecat_data: Option<Map<String, Value>>,
    /// The number the agent calls from in this run, E.164.
    #[serde(default)]
    #[schemars(length(max = 32))]
    agent_number: Option<String>,
    /// The number to call, E.164, for an agent that takes calls.
    #[serde(default)]
    #[schemars(length(max = 32))]
    outbound_phone_number: Option<String>,
    /// Whether all runs have one number or each its own.
    #[serde(default)]
    mode: Option<Mode>,
    /// How often the whole suite is run.
    #[serde(default)]
    #[schemars(range(min = 1, max = 10_000))]
    frequency: Option<u32>,
    /// How many calls run at once.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_000_000))]
    concurrency_limit: Option<u32>,
    /// Results of a higher priority go first inside their project; 0 unless it is said.
    #[serde(default)]
    #[schemars(range(min = -100, max = 100))]
    priority: Option<i32>,
    /// The mock tools to switch on; left out: all of the agent's.
    #[serde(default)]
    #[schemars(length(max = 100), inner(length(min = 1, max = 255)))]
    mock_tool_names: Option<Vec<String>>,
}

/// How the agent under test is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// By telephone.
    #[default]
    Voice,
    /// By text messages.
    Text,
    /// Through ElevenLabs.
    #[serde(rename = "elevenlabs")]
    ElevenLabs,
    /// Through LiveKit.
    #[serde(rename = "livekit_v2")]
    LiveKit,
    /// Through Pipecat.
    #[serde(rename = "pipecat_v2")]
    Pipecat,
}

/// Which numbers runs get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// One number for all.
    #[default]
    SameNumber,
    /// A number for each, as far as there are.
    DifferentNumbers,
}

/// A checked request to run a suite.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The suite.
    pub suite: Suite,
    /// The agent to test.
    pub agent: AgentRef,
    /// What the result is called, if the request says so.
    pub name: Option<String>,
    /// How the agent is reached.
    pub channel: Channel,
    /// Settings of the connection, for LiveKit and Pipecat.
    pub connection: Option<Map<String, Value>>,
    /// The number the agent calls from in this run.
    pub agent_number: Option<E164>,
    /// The number to call, for an agent that takes calls.
    pub outbound_phone_number: Option<E164>,
    /// Which numbers runs get.
    pub mode: Mode,
    /// How often the whole suite is run.
    pub frequency: u32,
    /// How many calls run at once, if the request says so.
    pub concurrency_limit: Option<u32>,
    /// Which results go first, if the request says so.
    pub priority: Option<i32>,
    /// The mock tools to switch on; `None`: all of the agent's.
    pub mock_tool_names: Option<Vec<String>>,
}

impl Request {
    /// Checks the body of a request. A form's parts are to be made one object first, with the file as
    /// `spec` and numbers as numbers.
    ///
    /// # Errors
    ///
    /// Every problem at once: those of the suite by their place in it, those of the request by its
    /// field.
    pub fn parse(body: &Value) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let request = Self::read(body, &mut problems);
        problems.or(request)
    }

    fn read(body: &Value, problems: &mut Problems) -> Option<Self> {
        let upload: Option<Upload> =
            shape::read(schema::upload(), &around(body), MAX_AROUND, problems);
        // What is wrong with the suite is said even if something is wrong around it.
        let suite = suite(body.get("spec"), problems);
        let upload = upload?;
        let connection = connection(&upload, problems);
        let agent_number = number("agent_number", upload.agent_number.as_deref(), problems);
        let outbound_phone_number = number(
            "outbound_phone_number",
            upload.outbound_phone_number.as_deref(),
            problems,
        );
        let agent = match (upload.agent_id, &agent_number) {
            (Some(id), _) => Some(AgentRef::Id(AgentId(id))),
            (None, Some(number)) => Some(AgentRef::CallingFrom(number.clone())),
            (None, None) => {
                if upload.agent_number.is_none() {
                    problems.add(
                        "agent_id",
                        "Name the agent to test by its id, or by the number it calls from as \
                         agent_number.",
                    );
                }
                None
            }
        };
        let suite = suite?;
        let frequency = upload.frequency.unwrap_or(1);
        let runs = suite.runs().saturating_mul(u64::from(frequency));
        if runs > MAX_RUNS {
            let message =
                format!("That would be {runs} runs: at most {MAX_RUNS} are made at once.");
            problems.add("frequency", message);
        }
        if upload.mode == Some(Mode::DifferentNumbers) && has_numbers(&suite) {
            problems.add(
                "mode",
                "The suite names phone numbers itself: leave mode out, or take them out.",
            );
        }
        Some(Self {
            suite,
            agent: agent?,
            name: upload.name.filter(|name| !name.trim().is_empty()),
            channel: upload.channel.unwrap_or_default(),
            connection,
            agent_number,
            outbound_phone_number,
            mode: upload.mode.unwrap_or_default(),
            frequency,
            concurrency_limit: upload.concurrency_limit,
            priority: upload.priority,
            mock_tool_names: upload.mock_tool_names,
        })
    }
}

fn has_numbers(suite: &Suite) -> bool {
    let document = suite.document();
    let defaults = document.defaults.as_ref();
    defaults.is_some_and(|defaults| defaults.phone_number.is_some())
        || document
            .scenarios
            .iter()
            .any(|case| case.phone_number.is_some())
}

/// The body without what is in the suite, and without fields that are empty and would mean nothing.
fn around(body: &Value) -> Value {
    let Value::Object(map) = body else {
        return body.clone();
    };
    let means_nothing = |name: &str, value: &Value| {
        let empty = match value {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            Value::String(text) => text.is_empty(),
            _ => false,
        };
        empty && PLACEHOLDERS.contains(&name)
    };
    map.iter()
        .filter(|(name, value)| !means_nothing(name, value))
        .map(|(name, value)| match value {
            Value::Object(_) if name == "spec" => (name.clone(), Value::Object(Map::new())),
            Value::String(_) if name == "spec" => (name.clone(), Value::String(String::new())),
            _ => (name.clone(), value.clone()),
        })
        .collect()
}

fn suite(spec: Option<&Value>, problems: &mut Problems) -> Option<Suite> {
    match spec? {
        Value::String(text) if text.len() > MAX_TEXT => {
            let message = format!("The suite is longer than {MAX_TEXT} bytes: divide it.");
            problems.add("spec", message);
            None
        }
        Value::String(text) => match serde_json::from_str(text) {
            Ok(spec) => Suite::read(&spec, problems),
            Err(error) => {
                problems.add("spec", format!("The suite is not JSON: {error}."));
                None
            }
        },
        spec @ Value::Object(_) => Suite::read(spec, problems),
        // Said already.
        _ => None,
    }
}

/// The settings of the channel's connection.
fn connection(upload: &Upload, problems: &mut Problems) -> Option<Map<String, Value>> {
    let channel = upload.channel.unwrap_or_default();
    for (name, data, wanted, called) in [
        (
            "livekit_data",
            &upload.livekit_data,
            Channel::LiveKit,
            "livekit_v2",
        ),
        (
            "pipecat_data",
            &upload.pipecat_data,
            Channel::Pipecat,
            "pipecat_v2",
        ),
    ] {
        if data.is_some() && channel != wanted {
            let message = format!("This is only for the channel {called}: take it out.");
            problems.add(name, message);
        }
    }
    match channel {
        Channel::LiveKit => upload.livekit_data.clone(),
        Channel::Pipecat => upload.pipecat_data.clone(),
        Channel::Voice | Channel::Text | Channel::ElevenLabs => None,
    }
}

fn number(name: &str, text: Option<&str>, problems: &mut Problems) -> Option<E164> {
    let text = text?;
    let number = text.parse().ok();
    if number.is_none() {
        let message = format!(
            "`{}` is no number in E.164 form: write a plus sign and 7 to 15 digits, such as \
             +14155550123.",
            brief(text)
        );
        problems.add(name, message);
    }
    number
}
