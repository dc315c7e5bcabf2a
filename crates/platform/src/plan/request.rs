use ringdown_domain::{AgentId, E164, PersonalityId, ProjectId, ScenarioId, TestProfileId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What somebody wants tested, whoever it is: a request of the API, a suite or a schedule.
/// Serialises under the names of the API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The agent under test; `None`: the one that all evaluators share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// The agent under test by its provider's id of it; `agent_id` wins if both are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assistant_id: Option<String>,
    /// What runs.
    #[serde(flatten)]
    pub selection: Selection,
    /// Only evaluators of this project, where tags or a folder select.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// How often everything is run, at least 1.
    pub frequency: u32,
    /// The batch's name; `None`: the agent's name and the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The number that every run is made on; `None`: each evaluator's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbound_phone_number: Option<E164>,
    /// Personalities instead of the evaluators' own. Each multiplies the runs.
    #[serde(default)]
    pub personality_ids: Vec<PersonalityId>,
    /// Test profiles instead of the evaluators' own. Each multiplies the runs.
    #[serde(default)]
    pub test_profile_ids: Vec<TestProfileId>,
    /// Which numbers runs get.
    #[serde(default)]
    pub mode: Mode,
    /// The caller ID to expect instead of the agent's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_number: Option<E164>,
    /// How many calls of the batch run at once.
    #[serde(default)]
    pub concurrency_limit: Option<u32>,
    /// Batches of a higher priority go first inside their project, -100 to 100.
    #[serde(default)]
    pub priority: i32,
    /// Mock tools to switch on; kept with the batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mock_tool_names: Option<Vec<String>>,
}

/// What runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// These evaluators, in this order. One that is named twice runs twice.
    Scenarios(Vec<ScenarioId>),
    /// Evaluators with one of these tags.
    Tags(Vec<String>),
    /// Evaluators in this folder or below it.
    FolderPath(String),
    /// Exactly these, as a batch before had them.
    Cases(Vec<Case>),
}

/// An evaluator as a batch runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// The evaluator.
    pub scenario: ScenarioId,
    /// The personality; `None`: the evaluator's own.
    pub personality: Option<PersonalityId>,
    /// The test profile; `None`: the evaluator's own.
    pub test_profile: Option<TestProfileId>,
    /// How often it runs, before [`Request::frequency`].
    pub runs: u32,
}

/// Which numbers runs get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The evaluator's own.
    #[default]
    SameNumber,
    /// One each that no unfinished run uses.
    DifferentNumbers,
}

impl Mode {
    /// The mode with this name, if there is one.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "same_number" => Some(Self::SameNumber),
            "different_numbers" => Some(Self::DifferentNumbers),
            _ => None,
        }
    }
}

impl Request {
    /// A request for this selection, once, and nothing else.
    pub fn of(selection: Selection) -> Self {
        Self {
            agent_id: None,
            assistant_id: None,
            selection,
            project_id: None,
            frequency: 1,
            name: None,
            outbound_phone_number: None,
            personality_ids: Vec::new(),
            test_profile_ids: Vec::new(),
            mode: Mode::default(),
            agent_number: None,
            concurrency_limit: None,
            priority: 0,
            mock_tool_names: None,
        }
    }

    /// What is kept with the batch. The evaluators are not: the batch has them.
    pub(super) fn settings(&self) -> Value {
        let mut settings = match serde_json::to_value(self) {
            Ok(Value::Object(settings)) => settings,
            _ => Map::new(),
        };
        for name in ["scenarios", "cases", "name", "agent_id", "assistant_id"] {
            settings.remove(name);
        }
        Value::Object(settings)
    }

    /// A request that runs `cases` with the settings of a batch before.
    pub fn again(settings: &Value, agent: AgentId, cases: Vec<Case>) -> Self {
        let read = |name: &str| settings.get(name).cloned().unwrap_or_default();
        let request = Self::of(Selection::Cases(cases));
        Self {
            agent_id: Some(agent),
            outbound_phone_number: parsed(read("outbound_phone_number")),
            mode: parsed(read("mode")).unwrap_or_default(),
            agent_number: parsed(read("agent_number")),
            concurrency_limit: parsed(read("concurrency_limit")),
            priority: parsed(read("priority")).unwrap_or_default(),
            mock_tool_names: parsed(read("mock_tool_names")),
            ..request
        }
    }
}

/// What a setting says; what cannot be read, from a version before, counts as absent.
fn parsed<T: serde::de::DeserializeOwned>(value: Value) -> Option<T> {
    serde_json::from_value(value).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn requests_are_written_with_the_names_of_the_api_and_read_back() {
        let mut request = Request::of(Selection::Tags(vec!["night".to_owned()]));
        request.personality_ids = vec![PersonalityId(3)];
        request.concurrency_limit = Some(5);
        request.priority = -7;
        request.agent_number = "+15551230001".parse().ok();
        let written = serde_json::to_value(&request).unwrap();
        assert_eq!(written["tags"], json!(["night"]));
        assert_eq!(written["mode"], "same_number");
        let read: Request = serde_json::from_value(written).unwrap();
        assert_eq!(read, request);
        let settings = request.settings();
        let again = Request::again(&settings, AgentId(1), vec![]);
        assert_eq!((again.concurrency_limit, again.priority), (Some(5), -7));
        assert_eq!(again.agent_number, request.agent_number);
        let bare = Request::again(&Value::Null, AgentId(1), vec![]);
        assert_eq!(bare.mode, Mode::SameNumber);
        let named = Request::of(Selection::Scenarios(vec![ScenarioId(1)]));
        assert!(named.settings().get("scenarios").is_none());
    }
}
