//! The document's types. Their comments and bounds become the schema.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::conditional::Actions;

/// Languages of evaluators and personalities; `multi` is several in one call.
pub const LANGUAGES: &[&str] = &[
    "af", "ar", "bg", "bn", "cs", "da", "de", "el", "en", "es", "et", "fi", "fr", "gu", "he", "hi",
    "hu", "id", "it", "ja", "kn", "ko", "ml", "mr", "ms", "multi", "nl", "no", "pa", "pl", "pt",
    "ro", "ru", "sk", "sv", "ta", "te", "th", "tl", "tr", "uk", "vi", "zh",
];

/// Largest id: the largest whole number that every JSON reader keeps exactly.
const MAX_ID: i64 = 9_007_199_254_740_991;

/// A suite of tests for a voice agent, kept with the agent's code. It says what to test; the request
/// that runs it says which agent to test and how to reach it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Ringdown test suite")]
pub struct Document {
    /// Where an editor finds this schema. Nothing else looks at it.
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2000))]
    pub schema: Option<String>,
    /// The version of the format. A later format gets another number, and this one stays readable.
    pub version: Version,
    /// The suite itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suite: Option<Head>,
    /// Values for every case that does not set its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<Defaults>,
    /// The cases.
    #[schemars(length(min = 1, max = 200))]
    pub scenarios: Vec<Case>,
}

/// A version of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Version {
    /// The first.
    #[serde(rename = "1")]
    V1,
}

/// What a suite is called.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Names the result of a run, unless the request does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub name: Option<String>,
    /// For readers of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10_000))]
    pub description: Option<String>,
}

/// Values for every case that does not set its own. A list of a case replaces the one here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// How many calls run at once; left out: as many as the project allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub concurrency_limit: Option<u32>,
    /// How often each case is run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub frequency: Option<u32>,
    /// The language of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// The longest call in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 3600))]
    pub max_duration: Option<u32>,
    /// Metrics that judge the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub metrics: Option<Vec<MetricRef>>,
    /// Who calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub personality: Option<Personality>,
    /// The number of ours that the call goes to, E.164.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub phone_number: Option<String>,
    /// Labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 64)))]
    pub tags: Option<Vec<String>>,
    /// The data of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_profile: Option<Profile>,
}

/// One test: a call with a purpose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What people call it.
    #[schemars(length(min = 1, max = 80))]
    pub name: String,
    /// Identifies the case from one commit to the next; the name, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub key: Option<String>,
    /// How the testing agent knows what to say; `instruction`, if left out.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// What the testing agent is to do. Needed unless the type is `conditional_actions`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10_000))]
    pub instructions: Option<String>,
    /// What the testing agent says turn by turn. Needed if the type is `conditional_actions`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditional_actions: Option<Actions>,
    /// What has to happen for the call to pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10_000))]
    pub expected_outcome: Option<String>,
    /// What the testing agent says first; `Hello`, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2000))]
    pub first_message: Option<String>,
    /// Metrics that judge the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub metrics: Option<Vec<MetricRef>>,
    /// Who calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub personality: Option<Personality>,
    /// The data of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_profile: Option<Profile>,
    /// Labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 64)))]
    pub tags: Option<Vec<String>>,
    /// What the testing agent can do besides talking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub tools: Option<Vec<Tool>>,
    /// The language of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// How often the case is run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub frequency: Option<u32>,
    /// The longest call in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 3600))]
    pub max_duration: Option<u32>,
    /// The number of ours that the call goes to, E.164.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub phone_number: Option<String>,
}

/// How the testing agent knows what to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It follows instructions.
    #[default]
    Instruction,
    /// It follows conditions turn by turn.
    ConditionalActions,
    /// It follows instructions that were taken from a real call, and adapts.
    RealWorldSmart,
    /// It follows instructions that were taken from a real call, to the letter.
    RealWorldFixed,
}

impl Kind {
    /// The name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Instruction => "instruction",
            Self::ConditionalActions => "conditional_actions",
            Self::RealWorldSmart => "real_world_smart",
            Self::RealWorldFixed => "real_world_fixed",
        }
    }
}

/// What the testing agent can do besides talking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tool {
    /// Put the call on hold.
    CallHold,
    /// Send key presses.
    Dtmf,
    /// Hang up.
    EndCall,
    /// Hang up, but only when it is transferred.
    EndCallOnlyOnTransfer,
    /// Hear key presses.
    ReceiveDtmf,
    /// Send a text message.
    SendSms,
}

impl Tool {
    /// The id in the API.
    pub const fn id(self) -> &'static str {
        match self {
            Self::CallHold => "TOOL_CALL_HOLD",
            Self::Dtmf => "TOOL_DTMF",
            Self::EndCall => "TOOL_END_CALL",
            Self::EndCallOnlyOnTransfer => "TOOL_END_CALL_ONLY_ON_TRANSFER",
            Self::ReceiveDtmf => "TOOL_RECEIVE_DTMF",
            Self::SendSms => "TOOL_SEND_SMS",
        }
    }
}

/// A language code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("enum" = LANGUAGES))]
pub struct Language(pub String);

/// A metric that exists, by id, or by its short name, which keeps the file usable in other projects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum MetricRef {
    /// Its id.
    Id(#[schemars(range(min = 1, max = MAX_ID))] i64),
    /// Its short name: small letters, digits and underscores.
    Slug(#[schemars(length(min = 1, max = 255))] String),
}

/// Who calls: a saved personality by id or name, or one for this run only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Personality {
    /// The id of a saved one.
    Id(#[schemars(range(min = 1, max = MAX_ID))] i64),
    /// The name of a saved one.
    Name(#[schemars(length(min = 1, max = 255))] String),
    /// One for this run only.
    Inline(InlinePersonality),
}

/// A personality for this run only. With `base` it changes a saved one; without it, `prompt`,
/// `language`, `voice_model`, `voice_id` and `background_noise` are needed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InlinePersonality {
    /// The id of the saved personality to start from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_ID))]
    pub base: Option<i64>,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub name: Option<String>,
    /// How the caller behaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 10_000))]
    pub prompt: Option<String>,
    /// The language spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// The speech model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub voice_model: Option<String>,
    /// The voice, which brings its accent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub voice_id: Option<String>,
    /// Who makes the voice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub provider: Option<String>,
    /// How fast it speaks; 1 is its normal pace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.8, max = 1.2))]
    pub speed: Option<f64>,
    /// `off`, the name of a sound, or the URL of a recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2000))]
    pub background_noise: Option<String>,
    /// Whether the caller may hang up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_call_enabled: Option<bool>,
}

/// The data of a call: a saved test profile by id or name, or one for this run only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Profile {
    /// The id of a saved one.
    Id(#[schemars(range(min = 1, max = MAX_ID))] i64),
    /// The name of a saved one.
    Name(#[schemars(length(min = 1, max = 255))] String),
    /// One for this run only.
    Inline(InlineProfile),
}

/// Variables for the two sides of a call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InlineProfile {
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub name: Option<String>,
    /// Variables that the agent under test is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_variables: Option<Map<String, Value>>,
    /// Variables that only the testing agent knows. Texts use them as `{{test_profile.name}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller_variables: Option<Map<String, Value>>,
}
