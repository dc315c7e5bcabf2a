use std::collections::{BTreeMap, VecDeque};

use ringdown_domain::run::{Status, Window};
use ringdown_domain::{RunId, Team, Timestamp, dial};
use ringdown_proto::v1::{
    CallFact, DialFact, Envelope, RunTransition, ScoreFact, call_fact, dial_fact, envelope::Fact,
};

/// A run, wherever it runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunKey {
    /// Its team.
    pub team: Team,
    /// Its id there.
    pub run: RunId,
}

/// What is known of one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunView {
    /// Its batch.
    pub result: i64,
    /// The agent under test.
    pub agent_name: String,
    /// The evaluator.
    pub scenario_name: String,
    /// The number to call.
    pub number: String,
    /// Its state; `None` until a transition was seen.
    pub status: Option<Status>,
    /// Highest transition seen.
    pub seq: u64,
    /// When it entered each state that was seen.
    pub entered: Vec<(Status, Timestamp)>,
    /// Its dial window.
    pub window: Option<Window>,
    /// Why it ended without a score.
    pub error_message: String,
    /// Whether it passed.
    pub success: Option<bool>,
    /// Its dialing.
    pub dial: Option<DialView>,
    /// Its call.
    pub call: CallView,
    /// Its score.
    pub score: Option<ScoreFact>,
}

impl RunView {
    /// When it entered `status`, if that was seen.
    pub fn entered_at(&self, status: Status) -> Option<Timestamp> {
        self.entered
            .iter()
            .find(|(entered, _)| *entered == status)
            .map(|(_, at)| *at)
    }
}

/// How far the dialing of a run has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialView {
    /// The furthest stage seen.
    pub stage: dial::Stage,
    /// The route.
    pub route: String,
    /// Provider id or reason.
    pub detail: String,
    /// When the stage was reached.
    pub at: Timestamp,
}

/// What is known of a run's call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallView {
    /// When it was answered.
    pub answered_at: Option<Timestamp>,
    /// How it ended.
    pub ended_reason: String,
    /// Its length in milliseconds, once it has ended.
    pub duration_ms: Option<i64>,
    /// Key of its recording.
    pub recording: String,
    /// Who said what so far: speaker, text, start and end in milliseconds from the answer.
    pub turns: Vec<call_fact::Turn>,
}

/// The state of every run that was seen, at most `capacity` finished ones.
#[derive(Debug)]
pub struct Live {
    runs: BTreeMap<RunKey, RunView>,
    finished: VecDeque<RunKey>,
    capacity: usize,
}

impl Live {
    /// Keeps at most `capacity` finished runs; unfinished ones are always kept, their number is
    /// bounded by the limits they run under.
    pub fn new(capacity: usize) -> Self {
        Self {
            runs: BTreeMap::new(),
            finished: VecDeque::new(),
            capacity,
        }
    }

    /// Every run, by team and id.
    pub fn runs(&self) -> impl Iterator<Item = (&RunKey, &RunView)> {
        self.runs.iter()
    }

    /// One run.
    pub fn run(&self, key: &RunKey) -> Option<&RunView> {
        self.runs.get(key)
    }

    /// Number of runs in `status`.
    pub fn count(&self, status: Status) -> usize {
        self.runs
            .values()
            .filter(|view| view.status == Some(status))
            .count()
    }

    /// Takes a fact in. Returns the run it was about if it told something new.
    pub fn apply(&mut self, envelope: &Envelope) -> Option<RunKey> {
        let team: Team = envelope.team.parse().ok()?;
        let at = envelope.at();
        let fact = envelope.fact.as_ref()?;
        let run = match fact {
            Fact::Run(fact) => fact.run_id,
            Fact::Dial(fact) => fact.run_id,
            Fact::Call(fact) => fact.run_id,
            Fact::Score(fact) => fact.run_id,
            Fact::Plan(_) => return None,
        };
        let key = RunKey {
            team,
            run: RunId(run),
        };
        let view = self.runs.entry(key.clone()).or_default();
        let before_terminal = view.status.is_some_and(Status::is_terminal);
        let new = match fact {
            Fact::Run(fact) => apply_transition(view, fact, at),
            Fact::Dial(fact) => apply_dial(view, fact, at),
            Fact::Call(fact) => apply_call(view, fact, at),
            Fact::Score(fact) => apply_score(view, fact),
            Fact::Plan(_) => false,
        };
        if !before_terminal && view.status.is_some_and(Status::is_terminal) {
            self.finished.push_back(key.clone());
            if self.finished.len() > self.capacity
                && let Some(oldest) = self.finished.pop_front()
            {
                self.runs.remove(&oldest);
            }
        }
        new.then_some(key)
    }
}

fn apply_transition(view: &mut RunView, fact: &RunTransition, at: Timestamp) -> bool {
    let Some(status) = fact.known_status() else {
        return false;
    };
    if view.entered_at(status).is_some() {
        return false;
    }
    view.entered.push((status, at));
    if fact.seq <= view.seq && view.status.is_some() {
        return true;
    }
    view.seq = fact.seq;
    view.status = Some(status);
    view.result = fact.result_id;
    view.agent_name.clone_from(&fact.agent_name);
    view.scenario_name.clone_from(&fact.scenario_name);
    view.number.clone_from(&fact.number);
    view.error_message.clone_from(&fact.error_message);
    view.window = fact.window().or(view.window);
    view.success = fact.success;
    true
}

fn apply_dial(view: &mut RunView, fact: &DialFact, at: Timestamp) -> bool {
    let Some(stage) = fact.stage() else {
        return false;
    };
    if view
        .dial
        .as_ref()
        .is_some_and(|dial| stage_rank(dial.stage) >= stage_rank(stage))
    {
        return false;
    }
    let detail = match fact.step.as_ref() {
        Some(dial_fact::Step::Placed(step)) => step.provider_id.clone(),
        Some(dial_fact::Step::NotPlaced(step)) => step.reason.clone(),
        Some(dial_fact::Step::Ambiguous(step)) => step.reason.clone(),
        Some(dial_fact::Step::Settled(step)) => step.reason.clone(),
        Some(dial_fact::Step::Followed(step)) if step.state != "ended" => return false,
        Some(dial_fact::Step::Followed(step)) if step.ending == "completed" => String::new(),
        Some(dial_fact::Step::Followed(step)) => format!("{} ({})", step.ending, step.said),
        _ => String::new(),
    };
    view.dial = Some(DialView {
        stage,
        route: fact.route.clone(),
        detail,
        at,
    });
    true
}

fn stage_rank(stage: dial::Stage) -> u8 {
    match stage {
        dial::Stage::Claimed => 0,
        dial::Stage::Intended => 1,
        dial::Stage::Followed => 3,
        _ => 2,
    }
}

fn apply_call(view: &mut RunView, fact: &CallFact, at: Timestamp) -> bool {
    let call = &mut view.call;
    match fact.step.as_ref() {
        Some(call_fact::Step::Answered(_)) => {
            let new = call.answered_at.is_none();
            call.answered_at = Some(at);
            new
        }
        Some(call_fact::Step::Turn(turn)) => {
            let seen = call
                .turns
                .iter()
                .any(|known| known.start_ms == turn.start_ms && known.speaker == turn.speaker);
            if !seen {
                call.turns.push(turn.clone());
            }
            !seen
        }
        Some(call_fact::Step::Ended(ended)) => {
            let new = call.duration_ms.is_none();
            call.ended_reason.clone_from(&ended.reason);
            call.duration_ms = Some(ended.duration_ms);
            new
        }
        Some(call_fact::Step::Recorded(recorded)) => {
            let new = call.recording != recorded.recording;
            call.recording.clone_from(&recorded.recording);
            new
        }
        None => false,
    }
}

fn apply_score(view: &mut RunView, fact: &ScoreFact) -> bool {
    let new = view.score.is_none();
    view.score = Some(fact.clone());
    new
}

#[cfg(test)]
mod tests {
    use ringdown_proto::v1::RunStatus;

    use super::*;

    fn transition(run: i64, seq: u64, status: Status) -> Envelope {
        Envelope {
            team: "team".into(),
            at_us: i64::try_from(seq).unwrap(),
            fact: Some(Fact::Run(RunTransition {
                run_id: run,
                seq,
                status: RunStatus::from(status).into(),
                ..RunTransition::default()
            })),
            ..Envelope::default()
        }
    }

    fn key(run: i64) -> RunKey {
        RunKey {
            team: "team".parse().unwrap(),
            run: RunId(run),
        }
    }

    #[test]
    fn facts_may_come_twice_and_late() {
        let mut live = Live::new(10);
        assert!(live.apply(&transition(1, 2, Status::Pending)).is_some());
        assert!(live.apply(&transition(1, 2, Status::Pending)).is_none());
        live.apply(&transition(1, 1, Status::InQueue));
        let view = live.run(&key(1)).unwrap();
        assert_eq!(view.status, Some(Status::Pending));
        assert_eq!(view.entered.len(), 2);
        assert_eq!(live.count(Status::Pending), 1);
    }

    #[test]
    fn finished_runs_are_bounded_and_live_ones_are_kept() {
        let mut live = Live::new(2);
        live.apply(&transition(100, 1, Status::Pending));
        for run in 0..10 {
            live.apply(&transition(run, 1, Status::Completed));
        }
        assert_eq!(live.count(Status::Completed), 2);
        assert!(live.run(&key(100)).is_some());
        assert!(live.run(&key(9)).is_some() && live.run(&key(0)).is_none());
    }

    #[test]
    fn a_final_dial_fact_is_not_undone_by_an_earlier_one() {
        let mut live = Live::new(2);
        let fact = |step| Envelope {
            team: "team".into(),
            fact: Some(Fact::Dial(DialFact {
                run_id: 1,
                step: Some(step),
                ..DialFact::default()
            })),
            ..Envelope::default()
        };
        let placed = dial_fact::Step::Placed(dial_fact::Placed {
            provider_id: "p".into(),
            took_ms: 1,
        });
        live.apply(&fact(placed));
        let claimed = dial_fact::Step::Claimed(dial_fact::Claimed::default());
        assert!(live.apply(&fact(claimed)).is_none());
        let dial = live.run(&key(1)).unwrap().dial.clone().unwrap();
        assert_eq!(
            (dial.stage, dial.detail.as_str()),
            (dial::Stage::Placed, "p")
        );
    }
}
