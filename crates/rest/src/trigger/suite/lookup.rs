//! What a suite names: agents, evaluators, numbers, personalities and test profiles that exist.

use std::collections::HashMap;

use ringdown_api::FieldErrors;
use ringdown_domain::personality::{BUILTIN, builtin_by_id};
use ringdown_domain::{E164, PersonalityId, PhoneNumberId, TestProfileId};
use ringdown_platform::plan::Voice;
use ringdown_store::{
    Agent, AgentFilter, Page, Personality, ProfileSnapshot, Scenario, ScenarioFilter, Scope,
    TestProfile, TestProfileFilter,
};
use ringdown_suite::AgentRef;

use crate::State;
use crate::error::{Answer, found};
use crate::pages::WHOLE;

/// Numbers that are looked through.
const NUMBERS: Page = Page {
    number: 1,
    size: 100_000,
};

/// The agent under test. Says at `errors` why there is none.
pub(super) async fn agent(
    state: &State,
    scope: Scope,
    wanted: &AgentRef,
    errors: &mut FieldErrors,
) -> Answer<Option<Agent>> {
    match wanted {
        AgentRef::Id(id) => {
            let agent = found(state.store().agent(scope, *id).await)?;
            if agent.is_none() {
                let message = format!("There is no agent {id} in your organisation.");
                errors.add("agent_id", message);
            }
            Ok(agent)
        }
        AgentRef::CallingFrom(number) => {
            let filter = AgentFilter::default();
            let agents = state.store().agents(scope, filter, WHOLE).await?.rows;
            let calls = |agent: &Agent| {
                agent.outbound_numbers.contains(number)
                    || agent.contact_number.as_ref() == Some(number)
            };
            let mut callers = agents.into_iter().filter(calls);
            match (callers.next(), callers.next()) {
                (Some(agent), None) => return Ok(Some(agent)),
                (Some(_), Some(_)) => errors.add(
                    "agent_number",
                    "Several agents call from this number: name one by agent_id.",
                ),
                (None, _) => {
                    errors.add("agent_number", "No agent of yours calls from this number.");
                }
            }
            Ok(None)
        }
    }
}

/// What the agent's project has.
pub(super) struct Existing {
    /// The agent's evaluators.
    pub(super) evaluators: Vec<Scenario>,
    pub(super) numbers: HashMap<E164, PhoneNumberId>,
    pub(super) personalities: Vec<Personality>,
    pub(super) profiles: Vec<TestProfile>,
}

impl Existing {
    pub(super) async fn of(state: &State, scope: Scope, agent: &Agent) -> Answer<Self> {
        let store = state.store();
        let filter = ScenarioFilter {
            agent: Some(agent.id),
            ..ScenarioFilter::default()
        };
        let evaluators = store.scenarios(scope, filter, WHOLE).await?.rows;
        let numbers = store.phone_numbers(scope, NUMBERS).await?.rows;
        let usable = numbers
            .into_iter()
            .filter(|number| number.project.is_none_or(|own| own == agent.project));
        let filter = TestProfileFilter::default();
        let mut profiles = store.test_profiles(scope, filter, WHOLE).await?.rows;
        profiles.retain(|profile| profile.project.is_none_or(|own| own == agent.project));
        let personalities = store.personalities(scope, Some(agent.project)).await?;
        Ok(Self {
            evaluators,
            numbers: usable.map(|one| (one.number, one.id)).collect(),
            personalities,
            profiles,
        })
    }

    /// The evaluator with this key, or else one with this name and no key.
    pub(super) fn evaluator(&self, key: &str, name: &str) -> Option<&Scenario> {
        let keyed = |one: &Scenario| one.extra.get(super::parts::KEY).cloned();
        let mut all = self.evaluators.iter();
        all.find(|one| keyed(one).as_ref().and_then(|k| k.as_str()) == Some(key))
            .or_else(|| {
                let mut all = self.evaluators.iter();
                all.find(|one| keyed(one).is_none() && one.name == name)
            })
    }

    pub(super) fn voice_by_id(&self, id: PersonalityId) -> Option<Voice> {
        let made = self.personalities.iter().find(|one| one.id == id);
        builtin_by_id(id)
            .map(|one| voice(one.id, one.name, one.language))
            .or_else(|| made.map(|one| voice(one.id, &one.name, &one.language)))
    }

    /// The personality with this name, one that the project made first; or why there is none.
    pub(super) fn voice_by_name(&self, name: &str) -> Result<Voice, String> {
        let mut made = self.personalities.iter().filter(|one| one.name == name);
        match (made.next(), made.next()) {
            (Some(_), Some(_)) => Err(format!(
                "Several personalities are called `{name}`: name one by its id."
            )),
            (Some(one), None) => Ok(voice(one.id, &one.name, &one.language)),
            (None, _) => BUILTIN
                .iter()
                .find(|one| one.name == name)
                .map(|one| voice(one.id, one.name, one.language))
                .ok_or_else(|| format!("No personality is called `{name}`.")),
        }
    }

    pub(super) fn profile_by_id(&self, id: TestProfileId) -> Option<ProfileSnapshot> {
        let profile = self.profiles.iter().find(|one| one.id == id)?;
        Some(snapshot(profile))
    }

    /// The test profile with this name; or why there is none.
    pub(super) fn profile_by_name(&self, name: &str) -> Result<ProfileSnapshot, String> {
        let mut named = self.profiles.iter().filter(|one| one.name == name);
        match (named.next(), named.next()) {
            (Some(_), Some(_)) => Err(format!(
                "Several test profiles are called `{name}`: name one by its id."
            )),
            (Some(one), None) => Ok(snapshot(one)),
            (None, _) => Err(format!("No test profile is called `{name}`.")),
        }
    }
}

fn voice(id: PersonalityId, name: &str, language: &str) -> Voice {
    Voice {
        id,
        name: name.to_owned(),
        language: language.to_owned(),
    }
}

fn snapshot(profile: &TestProfile) -> ProfileSnapshot {
    ProfileSnapshot {
        id: profile.id.0,
        name: profile.name.clone(),
        information: profile.information.clone(),
    }
}
