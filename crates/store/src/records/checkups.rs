use std::time::Duration;

use ringdown_domain::{AgentId, E164, ProjectId, ScenarioId};

/// What a batch of an agent would find if it were triggered now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkup {
    /// Evaluators of the agent.
    pub evaluators: u64,
    /// Those of them that have a number.
    pub with_number: u64,
    /// The oldest evaluator that has a number.
    pub first: Option<ScenarioId>,
    /// The longest call that an evaluator allows of itself.
    pub longest: Option<Duration>,
    /// Numbers that the agent's project may use.
    pub numbers: u64,
    /// Those of them that no unfinished run uses.
    pub free_numbers: u64,
    /// Caller IDs of the agent that are numbers of its own organisation.
    pub called_caller_ids: Vec<E164>,
    /// Runs of the organisation that hold a slot.
    pub held_in_organisation: u32,
    /// Runs of the agent's project that hold a slot.
    pub held_in_project: u32,
    /// Agents whose calls cannot be told from this one's, by id, at most 10 rows.
    pub rivals: Vec<Rival>,
}

/// Another agent with a caller ID of this one's and an evaluator on a number of this one's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rival {
    /// The agent.
    pub agent: AgentId,
    /// Its name.
    pub name: String,
    /// Its project.
    pub project: ProjectId,
    /// The number that both are to call.
    pub number: E164,
}
