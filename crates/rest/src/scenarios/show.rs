//! How an evaluator is shown, with what is looked up beside it.

use std::collections::HashMap;

use ringdown_api as wire;
use ringdown_domain::{AgentId, TestProfileId};
use ringdown_store::{Scenario, Scope, TestProfile};
use serde_json::Value;

use crate::State;
use crate::error::Answer;
use crate::kept::text;
use crate::pages::time;
use crate::personalities::{self, NORMAL};

/// The reference's three shapes of an evaluator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Alone (`SchemaScenario`).
    Alone,
    /// In a list (`ScenarioList`), or as the answer to PUT (`Scenario`): without its metrics, whose
    /// type is another one there.
    Brief,
}

/// The personality of an evaluator.
pub(crate) fn personality(scenario: &Scenario) -> i64 {
    let named = scenario.extra.get("personality").and_then(Value::as_i64);
    named.unwrap_or(NORMAL)
}

/// What is shown beside evaluators: looked up for a whole page at once.
pub(super) struct Beside {
    agents: HashMap<AgentId, String>,
    profiles: HashMap<TestProfileId, TestProfile>,
    personalities: HashMap<i64, String>,
}

impl Beside {
    pub(super) async fn load(state: &State, scope: Scope, scenarios: &[Scenario]) -> Answer<Self> {
        let mut agents: Vec<AgentId> = scenarios.iter().map(|one| one.agent).collect();
        agents.sort_unstable();
        agents.dedup();
        let agents = state.store().agents_by_id(scope, &agents).await?;
        let mut profiles: Vec<TestProfileId> = scenarios
            .iter()
            .filter_map(|one| one.test_profile)
            .collect();
        profiles.sort_unstable();
        profiles.dedup();
        let profiles = state.store().test_profiles_by_id(scope, &profiles).await?;
        let personalities = scenarios.iter().map(personality);
        Ok(Self {
            agents: agents.into_iter().map(|one| (one.id, one.name)).collect(),
            profiles: profiles.into_iter().map(|one| (one.id, one)).collect(),
            personalities: personalities::names(state, scope, personalities).await?,
        })
    }

    pub(super) fn show(&self, scenario: Scenario, shape: Shape) -> wire::Scenario {
        let personality = personality(&scenario);
        let profile = scenario.test_profile.and_then(|id| self.profiles.get(&id));
        let mut other = scenario.extra;
        other.remove("personality");
        let instructions = text(&mut other, "instructions");
        let expected_outcome_prompt = text(&mut other, "expected_outcome_prompt");
        let scenario_type = text(&mut other, "scenario_type");
        match shape {
            Shape::Brief => {
                other.remove("metrics");
            }
            Shape::Alone => {
                other
                    .entry("metrics")
                    .or_insert_with(|| Value::Array(Vec::new()));
            }
        }
        let number = scenario.number.as_ref().map(ToString::to_string);
        wire::Scenario {
            id: scenario.id.0,
            name: scenario.name,
            agent: Some(scenario.agent.0),
            agent_name: self
                .agents
                .get(&scenario.agent)
                .cloned()
                .unwrap_or_default(),
            project: Some(scenario.project.0),
            personality: Some(personality),
            personality_name: self
                .personalities
                .get(&personality)
                .cloned()
                .unwrap_or_default(),
            outbound_phone_number_data: scenario.phone_number.zip(number.clone()).map(
                |(id, number)| wire::PhoneNumberBrief {
                    id: id.0,
                    phone_number_id: number.clone(),
                    number,
                },
            ),
            phone_number: number,
            first_message: scenario.first_message,
            instructions,
            expected_outcome_prompt,
            scenario_type: if scenario_type.is_empty() {
                "instruction".to_owned()
            } else {
                scenario_type
            },
            tags: scenario.tags,
            folder_path: scenario.folder_path,
            max_duration: scenario
                .max_duration
                .and_then(|duration| i64::try_from(duration.as_secs()).ok()),
            test_profile: scenario.test_profile.map(|id| id.0),
            test_profile_data: profile.map(|profile| wire::TestProfileData {
                id: profile.id.0,
                name: profile.name.clone(),
                information: profile.information.clone(),
            }),
            created_at: time(scenario.created_at),
            updated_at: time(scenario.updated_at),
            other,
        }
    }
}

/// Shows one evaluator.
pub(super) async fn show(
    state: &State,
    scope: Scope,
    scenario: Scenario,
    shape: Shape,
) -> Answer<wire::Scenario> {
    let beside = Beside::load(state, scope, std::slice::from_ref(&scenario)).await?;
    Ok(beside.show(scenario, shape))
}
