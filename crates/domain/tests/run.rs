//! The run state machine under a clock that jumps, messages that come twice and processes that die between
//! two steps.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::time::Duration;

use proptest::prelude::*;
use ringdown_domain::call::EndedReason;
use ringdown_domain::invariant::{Invariant, Violation, of_run};
use ringdown_domain::run::{Effect, Event, MAX_DIAL_WINDOW, State, Window};
use ringdown_domain::{CallId, Timestamp};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + seconds * 1_000_000)
}

fn event() -> impl Strategy<Value = Event> {
    let call = || prop_oneof!["a", "b"].prop_map(CallId);
    let reason = || "[a-z]{1,8}";
    prop_oneof![
        3 => (0u64..900).prop_map(|s| Event::Admitted { dial_window: Duration::from_secs(s) }),
        3 => (call(), 0u64..4_000).prop_map(|(call, s)| Event::Matched {
            call,
            max_duration: Duration::from_secs(s),
        }),
        1 => reason().prop_map(|reason| Event::WindowClosed { reason }),
        1 => reason().prop_map(|reason| Event::NotDialed { reason }),
        3 => (call(), 0..EndedReason::ALL.len()).prop_map(|(call, i)| Event::CallEnded {
            call,
            ended: EndedReason::ALL[i],
        }),
        1 => Just(Event::DeadlinePassed),
        2 => any::<bool>().prop_map(|success| Event::Scored { success }),
        1 => reason().prop_map(|reason| Event::Unscorable { reason }),
        1 => reason().prop_map(|reason| Event::Cancelled { reason }),
    ]
}

/// What the database has of a run.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    state: State,
    window: Option<Window>,
    executed_at: Option<Timestamp>,
    seq: u64,
}

impl Row {
    /// The row after an event, which is written whole or not at all.
    fn after(&self, event: Event, now: Timestamp) -> Option<(Self, Vec<Effect>)> {
        let (state, effects) = self.state.apply(event, now).ok()?;
        let mut row = Self {
            state,
            seq: self.seq + 1,
            ..self.clone()
        };
        match &row.state {
            State::Pending { window } => row.window = Some(*window),
            State::InProgress { .. } => row.executed_at = Some(now),
            _ => {}
        }
        Some((row, effects))
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_invariants_hold(
        history in proptest::collection::vec(
            // The clock goes on, stands still or is set back; the writer may die; the message may come twice.
            (event(), -2_000i64..2_000, 0u8..5, any::<bool>()),
            0..60,
        )
    ) {
        let mut row = Row { state: State::InQueue, window: None, executed_at: None, seq: 1 };
        let (mut now, mut taken, mut freed) = (0, 0, 0);
        for (event, jump, luck, twice) in history {
            now += jump;
            let before = row.clone();
            let Some((after, effects)) = row.after(event.clone(), at(now)) else {
                continue;
            };
            if luck == 0 {
                // It died before it committed: the row is as it was, and the event comes again.
                prop_assert_eq!(row.after(event, at(now)), Some((after, effects)));
                continue;
            }
            row = after;
            prop_assert_eq!(of_run(&row.state, row.window, row.executed_at, row.seq, row.seq), None);
            prop_assert_eq!(row.seq, before.seq + 1);
            let (held, holds) = (before.state.status().holds_slot(), row.state.status().holds_slot());
            taken += u32::from(!held && holds);
            let frees = effects.iter().filter(|effect| **effect == Effect::SlotFreed).count();
            prop_assert_eq!(frees, usize::from(held && !holds));
            freed += u32::from(held && !holds);
            if let State::Pending { window } = &row.state {
                prop_assert!(window.closes_at.since(window.opens_at) <= MAX_DIAL_WINDOW);
            }
            if twice {
                // Nothing fits twice, so nothing that is told twice is done twice.
                prop_assert!(row.after(event, at(now)).is_none());
            }
        }
        prop_assert_eq!(taken, freed + u32::from(row.state.status().holds_slot()));
        prop_assert!(taken <= 1, "a slot is taken once");
        // Whatever is left is ended by a user, and then for good.
        let cancelled = Event::Cancelled { reason: "by a user".to_owned() };
        if let Some((ended, _)) = row.after(cancelled.clone(), at(now)) {
            row = ended;
        }
        prop_assert!(row.state.status().is_terminal());
        prop_assert!(row.after(cancelled, at(now)).is_none());
    }
}

#[test]
fn a_violation_is_seen() {
    let window = Window {
        opens_at: at(0),
        closes_at: at(10),
    };
    let call = State::InProgress {
        call: CallId("a".to_owned()),
        deadline: at(20),
    };
    let found = |state: &State, window, at, seq, version| {
        of_run(state, window, at, seq, version).map(|Violation { invariant, .. }| invariant)
    };
    assert_eq!(found(&call, Some(window), Some(at(9)), 3, 3), None);
    let late = found(&call, Some(window), Some(at(10)), 3, 3);
    assert_eq!(late, Some(Invariant::I2));
    assert_eq!(found(&call, None, None, 3, 3), Some(Invariant::I2));
    let silent = State::Failed {
        reason: " ".to_owned(),
    };
    assert_eq!(found(&silent, None, None, 3, 3), Some(Invariant::I4));
    let scored = State::Completed { success: true };
    assert_eq!(found(&scored, None, None, 1, 3), Some(Invariant::I3));
    assert_eq!(found(&scored, None, None, 4, 3), Some(Invariant::I3));
    let inverted = State::Pending {
        window: Window {
            opens_at: at(1),
            closes_at: at(0),
        },
    };
    assert_eq!(found(&inverted, None, None, 2, 2), Some(Invariant::I5));
}
