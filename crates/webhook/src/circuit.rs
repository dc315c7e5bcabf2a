//! Which targets may be called now. Pure: the clock is handed in.
//!
//! A lane is one project's events of one kind. Each has a share of what may be in flight, and one
//! whose target failed several times in a row rests for a while, so that a dead target takes no
//! places from the others. What holds a batch back never rests: it is tried a few times and no more.

use std::collections::BTreeMap;
use std::time::Duration;

use ringdown_domain::{ProjectId, Timestamp};
use ringdown_store::{WebhookEvent, WebhookKind};

/// Failures in a row after which a lane rests.
const PATIENCE: u32 = 5;

/// The first rest and the longest one; each is twice the last.
const FIRST_REST: Duration = Duration::from_secs(10);
const LONGEST_REST: Duration = Duration::from_secs(120);

/// Most lanes that are remembered to fail. Beyond them the one that rests least is forgotten.
const MOST_FAILING: usize = 1_000;

pub(crate) type Lane = (ProjectId, WebhookKind);

pub(crate) fn lane(event: &WebhookEvent) -> Lane {
    (event.project, event.kind)
}

#[derive(Debug, Default)]
struct State {
    in_flight: u32,
    failures: u32,
    rests_until: Option<Timestamp>,
}

/// Every lane that is in use or failing.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    lanes: BTreeMap<Lane, State>,
}

impl Lanes {
    /// Lanes that no event is to be taken from at `now`: those with more than `most` in flight, and
    /// those that rest.
    pub(crate) fn closed(&self, most: u32, now: Timestamp) -> Vec<Lane> {
        let closed = self.lanes.iter().filter(|(_, state)| {
            state.in_flight > most || state.rests_until.is_some_and(|until| until > now)
        });
        closed.map(|(lane, _)| *lane).collect()
    }

    /// When the first lane that rests at `now` may be used again.
    pub(crate) fn next_awake(&self, now: Timestamp) -> Option<Timestamp> {
        let rests = self.lanes.values().filter_map(|state| state.rests_until);
        rests.filter(|until| *until > now).min()
    }

    /// An event of the lane is being delivered.
    pub(crate) fn started(&mut self, lane: Lane) {
        self.lanes.entry(lane).or_default().in_flight += 1;
    }

    /// It is not any more. `alive` is whether the target answered like something that works; `None`
    /// if it was not asked.
    pub(crate) fn ended(&mut self, lane: Lane, alive: Option<bool>, now: Timestamp) {
        let state = self.lanes.entry(lane).or_default();
        state.in_flight = state.in_flight.saturating_sub(1);
        match alive {
            Some(true) => (state.failures, state.rests_until) = (0, None),
            Some(false) if lane.1 != WebhookKind::ResultPreTrigger => {
                state.failures = state.failures.saturating_add(1);
                if let Some(beyond) = state.failures.checked_sub(PATIENCE) {
                    let rest = FIRST_REST.saturating_mul(1 << beyond.min(10));
                    state.rests_until = Some(now.plus(rest.min(LONGEST_REST)));
                }
            }
            _ => {}
        }
        if state.in_flight == 0 && state.failures == 0 {
            self.lanes.remove(&lane);
        }
        self.forget_some();
    }

    fn forget_some(&mut self) {
        if self.lanes.len() <= MOST_FAILING {
            return;
        }
        let idle = self.lanes.iter().filter(|(_, state)| state.in_flight == 0);
        let least = idle.min_by_key(|(_, state)| state.rests_until);
        if let Some(lane) = least.map(|(lane, _)| *lane) {
            self.lanes.remove(&lane);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Timestamp = Timestamp::from_micros(0);

    fn told(project: i64) -> Lane {
        (ProjectId(project), WebhookKind::ResultCompleted)
    }

    fn fail(lanes: &mut Lanes, lane: Lane, times: u32, now: Timestamp) {
        for _ in 0..times {
            lanes.started(lane);
            lanes.ended(lane, Some(false), now);
        }
    }

    #[test]
    fn a_dead_target_rests_and_no_other() {
        let mut lanes = Lanes::default();
        fail(&mut lanes, told(1), PATIENCE - 1, START);
        assert!(lanes.closed(4, START).is_empty());
        fail(&mut lanes, told(1), 1, START);
        assert_eq!(lanes.closed(4, START), [told(1)]);
        let later = START.plus(FIRST_REST);
        assert_eq!(lanes.next_awake(START), Some(later));
        assert!(lanes.closed(4, later).is_empty());
        fail(&mut lanes, told(1), 1, later);
        assert_eq!(lanes.next_awake(later), Some(later.plus(FIRST_REST * 2)));
        lanes.started(told(1));
        lanes.ended(told(1), Some(true), later);
        assert!(lanes.closed(0, later).is_empty() && lanes.lanes.is_empty());
    }

    #[test]
    fn what_holds_a_batch_back_never_rests() {
        let mut lanes = Lanes::default();
        let holding = (ProjectId(1), WebhookKind::ResultPreTrigger);
        fail(&mut lanes, holding, 100, START);
        assert!(lanes.closed(0, START).is_empty());
    }

    proptest! {
        #[test]
        fn a_lane_has_its_share_and_what_is_remembered_is_bounded(
            steps in prop::collection::vec((0i64..3_000, any::<Option<bool>>()), 0..3_000),
        ) {
            let mut lanes = Lanes::default();
            for (project, alive) in steps {
                lanes.started(told(project));
                lanes.ended(told(project), alive, START);
            }
            prop_assert!(lanes.lanes.len() <= MOST_FAILING);
            prop_assert!(lanes.lanes.values().all(|state| state.in_flight == 0));
            for _ in 0..5 {
                lanes.started(told(9));
            }
            prop_assert!(lanes.closed(4, START.plus(LONGEST_REST)).contains(&told(9)));
        }
    }
}
