//! Who calls and with what data: personalities and test profiles, and their combinations.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use ringdown_domain::personality::{LAST_BUILTIN, builtin_by_id};
use ringdown_domain::{PersonalityId, ProjectId, TestProfileId};
use ringdown_store::{Error as StoreError, ProfileSnapshot, Scenario, Scope, Store};

use super::refusal::{Problems, found};
use super::select::Selected;
use super::{MAX_RUNS, Request};

/// What is said of personalities that are unknown or another project's.
const INVALID_PERSONALITIES: &str = "Invalid personalities provided.";

/// A personality, as far as runs know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voice {
    /// Its id.
    pub id: PersonalityId,
    /// Its name.
    pub name: String,
    /// The language it speaks, a code such as `en`.
    pub language: String,
}

/// An evaluator with the personality and the test profile it runs with.
#[derive(Clone, Debug)]
pub struct Pick {
    /// The evaluator.
    pub scenario: Arc<Scenario>,
    /// Its personality.
    pub voice: Option<Arc<Voice>>,
    /// Its test profile.
    pub profile: Option<Arc<ProfileSnapshot>>,
    /// How often it runs, before [`Request::frequency`].
    pub runs: u32,
}

/// Runs that a request makes; `None` if they are too many or none.
pub fn run_count(
    scenarios: usize,
    frequency: usize,
    personalities: usize,
    profiles: usize,
) -> Option<usize> {
    let count = scenarios
        .checked_mul(frequency)?
        .checked_mul(personalities.max(1))?
        .checked_mul(profiles.max(1))?;
    (1..=MAX_RUNS).contains(&count).then_some(count)
}

/// The id of an evaluator's own personality.
fn own_personality(scenario: &Scenario) -> Option<PersonalityId> {
    let id = scenario.extra.get("personality")?.as_i64()?;
    Some(PersonalityId(id))
}

/// Personalities by id: those named by the request have to exist, evaluators may have lost theirs.
pub(super) async fn voices(
    store: &dyn Store,
    scope: Scope,
    project: ProjectId,
    request: &Request,
    selected: &[Selected],
    problems: &mut Problems,
) -> Result<HashMap<PersonalityId, Arc<Voice>>, StoreError> {
    let named = request.personality_ids.iter().copied();
    let named: BTreeSet<PersonalityId> = named
        .chain(selected.iter().filter_map(|one| one.personality))
        .collect();
    let own = selected
        .iter()
        .filter_map(|one| own_personality(&one.scenario));
    let wanted: BTreeSet<PersonalityId> = named.iter().copied().chain(own).collect();
    let mut voices = HashMap::new();
    for builtin in wanted.iter().filter_map(|id| builtin_by_id(*id)) {
        let voice = Voice {
            id: builtin.id,
            name: builtin.name.to_owned(),
            language: builtin.language.to_owned(),
        };
        voices.insert(builtin.id, Arc::new(voice));
    }
    if wanted.iter().any(|id| *id > LAST_BUILTIN) {
        for made in store.personalities(scope, Some(project)).await? {
            if wanted.contains(&made.id) {
                let voice = Voice {
                    id: made.id,
                    name: made.name,
                    language: made.language,
                };
                voices.insert(made.id, Arc::new(voice));
            }
        }
    }
    if named.iter().any(|id| !voices.contains_key(id)) {
        problems.add("personality_ids", INVALID_PERSONALITIES);
    }
    Ok(voices)
}

/// Test profiles by id: those of the request and those of the evaluators.
pub(super) async fn profiles(
    store: &dyn Store,
    scope: Scope,
    project: ProjectId,
    request: &Request,
    selected: &[Selected],
    problems: &mut Problems,
) -> Result<HashMap<TestProfileId, Arc<ProfileSnapshot>>, StoreError> {
    let of_evaluators = selected
        .iter()
        .filter_map(|one| one.test_profile.or(one.scenario.test_profile));
    let wanted: BTreeSet<TestProfileId> = if request.test_profile_ids.is_empty() {
        of_evaluators.collect()
    } else {
        request.test_profile_ids.iter().copied().collect()
    };
    let mut profiles = HashMap::new();
    for id in wanted {
        let profile = found(store.test_profile(scope, id).await)?;
        let profile = profile.filter(|one| one.project.is_none_or(|own| own == project));
        let Some(profile) = profile else {
            let message = format!("There is no test profile {id} in the agent's project.");
            problems.add("test_profile_ids", message);
            continue;
        };
        let snapshot = ProfileSnapshot {
            id: profile.id.0,
            name: profile.name,
            information: profile.information,
        };
        profiles.insert(id, Arc::new(snapshot));
    }
    Ok(profiles)
}

/// Every evaluator with every test profile and every personality, in the order of the queue.
pub(super) fn combine(
    request: &Request,
    selected: &[Selected],
    voices: &HashMap<PersonalityId, Arc<Voice>>,
    profiles: &HashMap<TestProfileId, Arc<ProfileSnapshot>>,
) -> Vec<Pick> {
    let mut picks = Vec::new();
    for one in selected {
        let scenario = &one.scenario;
        let own_profile = one.test_profile.or(scenario.test_profile);
        let own_voice = one.personality.or_else(|| own_personality(scenario));
        for profile in chosen(&request.test_profile_ids, own_profile) {
            for voice in chosen(&request.personality_ids, own_voice) {
                picks.push(Pick {
                    scenario: Arc::clone(scenario),
                    voice: voice.and_then(|id| voices.get(&id)).cloned(),
                    profile: profile.and_then(|id| profiles.get(&id)).cloned(),
                    runs: one.runs,
                });
            }
        }
    }
    picks
}

/// What the request names, or the evaluator's own if it names nothing.
fn chosen<T: Copy>(named: &[T], own: Option<T>) -> Vec<Option<T>> {
    if named.is_empty() {
        vec![own]
    } else {
        named.iter().copied().map(Some).collect()
    }
}

/// The order of the queue: indexes of `runs`, each as often as it says. What runs more often than the
/// others comes again once all have had their turn.
pub(super) fn queue(runs: &[u32], frequency: u32) -> Vec<usize> {
    let mut round = Vec::new();
    for turn in 0..runs.iter().copied().max().unwrap_or(0) {
        let left = runs.iter().enumerate().filter(|(_, runs)| **runs > turn);
        round.extend(left.map(|(index, _)| index));
    }
    let times = usize::try_from(frequency).unwrap_or(usize::MAX);
    round.repeat(times)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_number_of_runs_is_the_product_or_refused(
            scenarios in 0_usize..20_000,
            frequency in 0_usize..20_000,
            personalities in 0_usize..200,
            profiles in 0_usize..200,
        ) {
            let product = scenarios as u128 * frequency as u128
                * personalities.max(1) as u128 * profiles.max(1) as u128;
            let expected = (1..=MAX_RUNS as u128).contains(&product).then_some(product as usize);
            prop_assert_eq!(run_count(scenarios, frequency, personalities, profiles), expected);
            prop_assert_eq!(run_count(usize::MAX, frequency.max(2), personalities, profiles), None);
        }

        #[test]
        fn the_queue_holds_everything_as_often_as_asked_and_takes_turns(
            runs in prop::collection::vec(1_u32..6, 1..8),
            frequency in 1_u32..5,
        ) {
            let queue = queue(&runs, frequency);
            let once: u32 = runs.iter().sum();
            prop_assert_eq!(queue.len(), (once * frequency) as usize);
            for (index, wanted) in runs.iter().enumerate() {
                let times = queue.iter().filter(|one| **one == index).count();
                prop_assert_eq!(times, (wanted * frequency) as usize);
            }
            // The first turn of each round has everything once, in the order of the request.
            for round in queue.chunks(once as usize) {
                let first: Vec<usize> = (0..runs.len()).collect();
                prop_assert_eq!(&round[..runs.len()], &first[..]);
                // Nobody is two turns ahead of somebody who still waits.
                for (at, index) in round.iter().enumerate() {
                    let had = |one: usize| round[..at].iter().filter(|i| **i == one).count();
                    for (other, wanted) in runs.iter().enumerate() {
                        let waits = had(other) < *wanted as usize;
                        prop_assert!(!waits || had(*index) <= had(other) || *index == other);
                    }
                }
            }
        }
    }
}
