//! What a suite is made of: evaluators, and the personalities and test profiles written in it.

use std::sync::Arc;

use ringdown_api::{self as wire, FieldErrors};
use ringdown_domain::run::Status;
use ringdown_domain::{PersonalityId, ScenarioId, TestProfileId, Timestamp};
use ringdown_platform::plan::{Pick, Voice};
use ringdown_store::{
    Agent, NewBatch, NewPersonality, NewSuite, NewTestProfile, ProfileSnapshot, Scenario, Scope,
    SuiteEvaluator,
};
use ringdown_suite::{self as suite, Channel, InlinePersonality, MetricRef};
use serde_json::{Value, json};

use super::lookup::{Existing, agent};
use crate::State;
use crate::error::{Answer, Failure};

/// The field of an evaluator that holds its key in a suite.
pub(super) const KEY: &str = "suite_key";

/// The field of a personality that came from a suite. Others are never changed by one.
const FROM_SUITE: &str = "from_suite";

/// Fields of an evaluator that a suite decides.
const DECIDED: &[&str] = &[
    "conditional_actions",
    "expected_outcome_prompt",
    "instructions",
    "metrics",
    "personality",
    "scenario_language",
    "scenario_type",
    "tool_ids",
];

/// Who calls, or with what data: something that exists, or a part of the suite by index.
enum Choice<T> {
    None,
    Existing(Arc<T>),
    Part(usize),
}

struct Evaluator {
    key: String,
    scenario: Scenario,
    runs: u32,
    voice: Choice<Voice>,
    profile: Choice<ProfileSnapshot>,
}

/// A suite beside what exists.
pub(super) struct Parts {
    pub(super) agent: Agent,
    evaluators: Vec<Evaluator>,
    personalities: Vec<(Option<PersonalityId>, NewPersonality)>,
    profiles: Vec<(Option<TestProfileId>, NewTestProfile)>,
}

impl Parts {
    /// Looks everything up that a suite names.
    pub(super) async fn look_up(
        state: &State,
        scope: Scope,
        request: &suite::Request,
        plan: &suite::Plan,
    ) -> Answer<Self> {
        let mut errors = FieldErrors::default();
        if plan.settings.channel != Channel::Voice {
            errors.add("channel", "Only voice is tested here: leave channel out.");
        }
        let agent = agent(state, scope, &plan.agent, &mut errors).await?;
        let Some(agent) = agent else {
            return Err(Failure::Fields(errors));
        };
        let existing = Existing::of(state, scope, &agent).await?;
        let needs_number = plan.settings.outbound_phone_number.is_none()
            && plan.settings.mode == suite::Mode::SameNumber;
        if needs_number && existing.numbers.is_empty() {
            errors.add(
                "outbound_phone_number",
                "The agent's project has no phone number: add one with POST \
                 /ringdown/v1/phone-numbers/.",
            );
        }
        let mut parts = Self {
            agent,
            evaluators: Vec::with_capacity(plan.evaluators.len()),
            personalities: Vec::new(),
            profiles: Vec::new(),
        };
        let cases = &request.suite.document().scenarios;
        for (index, (evaluator, case)) in plan.evaluators.iter().zip(cases).enumerate() {
            let at = |name: &str, own: bool| match own {
                true => format!("scenarios[{index}].{name}"),
                false => format!("defaults.{name}"),
            };
            let voice = parts.voice(evaluator, &existing).unwrap_or_else(|why| {
                once(
                    &mut errors,
                    &at("personality", case.personality.is_some()),
                    why,
                );
                Choice::None
            });
            let profile = parts.profile(evaluator, &existing).unwrap_or_else(|why| {
                once(
                    &mut errors,
                    &at("test_profile", case.test_profile.is_some()),
                    why,
                );
                Choice::None
            });
            if let Some(number) = &evaluator.phone_number
                && !existing.numbers.contains_key(number)
            {
                let why = format!("{number} is no number that the agent's project may use.");
                once(
                    &mut errors,
                    &at("phone_number", case.phone_number.is_some()),
                    why,
                );
            }
            let scenario = parts.scenario(evaluator, &existing);
            if parts
                .evaluators
                .iter()
                .any(|other| scenario.id != ScenarioId(0) && other.scenario.id == scenario.id)
            {
                let why = format!(
                    "Another case is the same evaluator {}: give both a key.",
                    scenario.id
                );
                once(&mut errors, &at("name", true), why);
            }
            parts.evaluators.push(Evaluator {
                key: evaluator.key.clone(),
                scenario,
                runs: evaluator.frequency,
                voice,
                profile,
            });
        }
        if errors.is_empty() {
            Ok(parts)
        } else {
            Err(Failure::Fields(errors))
        }
    }

    fn voice(
        &mut self,
        evaluator: &suite::Evaluator,
        existing: &Existing,
    ) -> Result<Choice<Voice>, String> {
        let inline = match &evaluator.personality {
            None => return Ok(Choice::None),
            Some(suite::Personality::Id(id)) => {
                let voice = existing.voice_by_id(PersonalityId(*id));
                let voice = voice.ok_or_else(|| format!("There is no personality {id}."))?;
                return Ok(Choice::Existing(Arc::new(voice)));
            }
            Some(suite::Personality::Name(name)) => {
                return Ok(Choice::Existing(Arc::new(existing.voice_by_name(name)?)));
            }
            Some(suite::Personality::Inline(inline)) => inline,
        };
        let base = match inline.base {
            None => None,
            Some(id) => Some(
                existing
                    .voice_by_id(PersonalityId(id))
                    .ok_or_else(|| format!("There is no personality {id} to start from."))?,
            ),
        };
        let new = personality(&self.agent, inline, &evaluator.name, base.as_ref());
        let before = existing.personalities.iter().find(|one| {
            one.name == new.name && one.extra.get(FROM_SUITE) == Some(&Value::Bool(true))
        });
        let known = self
            .personalities
            .iter()
            .position(|(_, other)| other.name == new.name);
        if let Some(index) = known {
            let other = self.personalities.get(index).map(|(_, other)| other);
            let same = other.is_some_and(|o| o.extra == new.extra && o.language == new.language);
            return if same {
                Ok(Choice::Part(index))
            } else {
                Err(format!(
                    "Another personality here is called `{}` too.",
                    new.name
                ))
            };
        }
        self.personalities.push((before.map(|one| one.id), new));
        Ok(Choice::Part(self.personalities.len() - 1))
    }

    fn profile(
        &mut self,
        evaluator: &suite::Evaluator,
        existing: &Existing,
    ) -> Result<Choice<ProfileSnapshot>, String> {
        let (name, information) = match &evaluator.test_profile {
            None => return Ok(Choice::None),
            Some(suite::TestProfile::Id(id)) => {
                let profile = existing.profile_by_id(TestProfileId(*id));
                let profile = profile.ok_or_else(|| format!("There is no test profile {id}."))?;
                return Ok(Choice::Existing(Arc::new(profile)));
            }
            Some(suite::TestProfile::Name(name)) => {
                return Ok(Choice::Existing(Arc::new(existing.profile_by_name(name)?)));
            }
            Some(suite::TestProfile::Inline { name, information }) => (name, information),
        };
        let known = self.profiles.iter().position(|(_, p)| p.name == *name);
        if let Some(index) = known {
            let other = self.profiles.get(index).map(|(_, other)| other);
            return if other.is_some_and(|other| other.information == *information) {
                Ok(Choice::Part(index))
            } else {
                Err(format!("Another test profile here is called `{name}` too."))
            };
        }
        let before = existing
            .profiles
            .iter()
            .find(|one| one.agent == Some(self.agent.id) && one.name == *name);
        let new = NewTestProfile {
            org: self.agent.org,
            project: Some(self.agent.project),
            agent: Some(self.agent.id),
            name: name.clone(),
            information: information.clone(),
        };
        self.profiles.push((before.map(|one| one.id), new));
        Ok(Choice::Part(self.profiles.len() - 1))
    }

    /// The evaluator as it is to be stored, without what has no id yet.
    fn scenario(&self, evaluator: &suite::Evaluator, existing: &Existing) -> Scenario {
        let before = existing.evaluator(&evaluator.key, &evaluator.name);
        let mut extra = before.map_or_else(Default::default, |one| one.extra.clone());
        extra.retain(|name, _| !DECIDED.contains(&name.as_str()));
        extra.extend(evaluator.extra());
        extra.insert(KEY.to_owned(), evaluator.key.as_str().into());
        if !evaluator.metrics.is_empty() {
            let metrics = evaluator.metrics.iter().map(|metric| match metric {
                MetricRef::Id(id) => Value::from(*id),
                MetricRef::Slug(slug) => Value::from(slug.as_str()),
            });
            extra.insert("metrics".to_owned(), metrics.collect());
        }
        let named = evaluator.phone_number.as_ref();
        let named = named.and_then(|number| Some((number.clone(), *existing.numbers.get(number)?)));
        let own = before.and_then(|one| one.number.clone().zip(one.phone_number));
        let (number, phone_number) = named.or(own).unzip();
        let none = Timestamp::from_micros(0);
        Scenario {
            id: before.map_or(ScenarioId(0), |one| one.id),
            org: self.agent.org,
            project: self.agent.project,
            agent: self.agent.id,
            name: evaluator.name.clone(),
            phone_number,
            // An evaluator that is created is given one of these.
            number: number.or_else(|| existing.numbers.keys().next().cloned()),
            test_profile: None,
            tags: evaluator.tags.clone(),
            folder_path: before.and_then(|one| one.folder_path.clone()),
            first_message: evaluator.first_message.clone(),
            max_duration: evaluator.max_duration,
            extra,
            created_at: before.map_or(none, |one| one.created_at),
            updated_at: none,
        }
    }

    /// What runs.
    pub(super) fn picks(&self) -> Vec<Pick> {
        let picks = self.evaluators.iter().map(|evaluator| Pick {
            scenario: Arc::new(evaluator.scenario.clone()),
            voice: match &evaluator.voice {
                Choice::None => None,
                Choice::Existing(voice) => Some(Arc::clone(voice)),
                Choice::Part(index) => self.personalities.get(*index).map(|(id, new)| {
                    Arc::new(Voice {
                        id: id.unwrap_or(PersonalityId(0)),
                        name: new.name.clone(),
                        language: new.language.clone(),
                    })
                }),
            },
            profile: match &evaluator.profile {
                Choice::None => None,
                Choice::Existing(profile) => Some(Arc::clone(profile)),
                Choice::Part(index) => self.profiles.get(*index).map(|(id, new)| {
                    Arc::new(ProfileSnapshot {
                        id: id.map_or(0, |id| id.0),
                        name: new.name.clone(),
                        information: new.information.clone(),
                    })
                }),
            },
            runs: evaluator.runs,
        });
        picks.collect()
    }

    /// Stores everything, and knows the ids afterwards.
    pub(super) async fn store(&mut self, state: &State, now: Timestamp) -> Answer<()> {
        let evaluators = self.evaluators.iter().map(|evaluator| {
            let mut scenario = evaluator.scenario.clone();
            let mut part = SuiteEvaluator {
                scenario: scenario.clone(),
                personality: None,
                profile: None,
            };
            match &evaluator.voice {
                Choice::None => {}
                Choice::Existing(voice) => {
                    let id = voice.id.0.into();
                    scenario.extra.insert("personality".to_owned(), id);
                }
                Choice::Part(index) => part.personality = Some(*index),
            }
            match &evaluator.profile {
                Choice::None => {}
                Choice::Existing(one) => scenario.test_profile = Some(TestProfileId(one.id)),
                Choice::Part(index) => part.profile = Some(*index),
            }
            SuiteEvaluator { scenario, ..part }
        });
        let suite = NewSuite {
            personalities: self.personalities.clone(),
            profiles: self.profiles.clone(),
            evaluators: evaluators.collect(),
        };
        let stored = state.store().put_suite(suite, now).await?;
        for ((id, _), stored) in self.personalities.iter_mut().zip(stored.personalities) {
            *id = Some(stored);
        }
        for ((id, _), stored) in self.profiles.iter_mut().zip(stored.profiles) {
            *id = Some(stored);
        }
        for (evaluator, stored) in self.evaluators.iter_mut().zip(stored.evaluators) {
            evaluator.scenario = stored;
        }
        Ok(())
    }

    /// What would happen.
    pub(super) fn shown(&self, batch: &NewBatch) -> wire::PlannedSuite {
        let times = batch.settings.get("frequency").and_then(Value::as_i64);
        let scenarios = self.evaluators.iter().map(|evaluator| {
            let id = Some(evaluator.scenario.id.0).filter(|id| *id != 0);
            wire::PlannedPart {
                key: Some(evaluator.key.clone()),
                runs: Some(i64::from(evaluator.runs).saturating_mul(times.unwrap_or(1))),
                ..part(id, &evaluator.scenario.name)
            }
        });
        let personalities = self.personalities.iter();
        let profiles = self.profiles.iter();
        wire::PlannedSuite {
            dry_run: true,
            agent: self.agent.id.0,
            name: batch.name.clone(),
            status: Status::Pending.into(),
            run_as_text: false,
            runs: Vec::new(),
            total_runs_count: i64::try_from(batch.runs.len()).unwrap_or(i64::MAX),
            scenarios: scenarios.collect(),
            personalities: personalities
                .map(|(id, new)| part(id.map(|id| id.0), &new.name))
                .collect(),
            test_profiles: profiles
                .map(|(id, new)| part(id.map(|id| id.0), &new.name))
                .collect(),
        }
    }
}

fn part(id: Option<i64>, name: &str) -> wire::PlannedPart {
    let action = if id.is_some() { "update" } else { "create" };
    wire::PlannedPart {
        id,
        name: name.to_owned(),
        action: action.to_owned(),
        ..wire::PlannedPart::default()
    }
}

/// A personality that is written in a suite; `case` names it if nothing else does.
fn personality(
    agent: &Agent,
    inline: &InlinePersonality,
    case: &str,
    base: Option<&Voice>,
) -> NewPersonality {
    let mut extra = match serde_json::to_value(inline) {
        Ok(Value::Object(extra)) => extra,
        _ => serde_json::Map::new(),
    };
    for name in ["name", "language"] {
        extra.remove(name);
    }
    extra.insert(FROM_SUITE.to_owned(), json!(true));
    let own = inline.language.as_ref().map(|language| language.0.as_str());
    let language = own.or(base.map(|base| base.language.as_str()));
    let named = inline
        .name
        .as_deref()
        .filter(|name| !name.trim().is_empty());
    NewPersonality {
        org: agent.org,
        project: agent.project,
        name: named.unwrap_or(case).to_owned(),
        language: language.unwrap_or("en").to_owned(),
        extra,
    }
}

/// Says something at a place, unless it was said there already: a default is wrong for every case.
fn once(errors: &mut FieldErrors, path: &str, why: String) {
    let said = errors.0.get(path).is_some_and(|all| all.contains(&why));
    if !said {
        errors.add(path, why);
    }
}
