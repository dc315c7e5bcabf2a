use ringdown_domain::{PersonalityId, TestProfileId};

use crate::{NewPersonality, NewTestProfile, Scenario};

/// What a suite of tests is made of. What has an id is replaced, the rest is created.
#[derive(Clone, Debug, Default)]
pub struct NewSuite {
    /// Its personalities.
    pub personalities: Vec<(Option<PersonalityId>, NewPersonality)>,
    /// Its test profiles.
    pub profiles: Vec<(Option<TestProfileId>, NewTestProfile)>,
    /// Its evaluators.
    pub evaluators: Vec<SuiteEvaluator>,
}

/// An evaluator of a suite.
#[derive(Clone, Debug)]
pub struct SuiteEvaluator {
    /// The evaluator. It is created if its id is zero; its number, joined in, is not looked at.
    pub scenario: Scenario,
    /// The suite's personality that becomes its own, by index: the field `personality`.
    pub personality: Option<usize>,
    /// The suite's test profile that becomes its own, by index.
    pub profile: Option<usize>,
}

/// The parts of a suite as they were stored, in the order they were given.
#[derive(Clone, Debug, Default)]
pub struct StoredSuite {
    /// Its personalities.
    pub personalities: Vec<PersonalityId>,
    /// Its test profiles.
    pub profiles: Vec<TestProfileId>,
    /// Its evaluators.
    pub evaluators: Vec<Scenario>,
}
