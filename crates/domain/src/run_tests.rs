use proptest::prelude::*;

use super::*;

fn call() -> impl Strategy<Value = CallId> {
    prop_oneof!["a", "b"].prop_map(CallId)
}

fn event() -> impl Strategy<Value = Event> {
    let text = || "[a-z]{0,8}";
    prop_oneof![
        (0u64..600).prop_map(|s| Event::Admitted {
            dial_window: Duration::from_secs(s)
        }),
        (call(), 0u64..4000).prop_map(|(call, s)| Event::Matched {
            call,
            max_duration: Duration::from_secs(s)
        }),
        text().prop_map(|reason| Event::WindowClosed { reason }),
        text().prop_map(|reason| Event::NotDialed { reason }),
        (call(), 0..EndedReason::ALL.len()).prop_map(|(call, i)| Event::CallEnded {
            call,
            ended: EndedReason::ALL[i]
        }),
        Just(Event::DeadlinePassed),
        (call(), text()).prop_map(|(call, reason)| Event::AgentLost { call, reason }),
        any::<bool>().prop_map(|success| Event::Scored { success }),
        text().prop_map(|reason| Event::Unscorable { reason }),
        text().prop_map(|reason| Event::Cancelled { reason }),
    ]
}

fn rank(status: Status) -> u8 {
    match status {
        Status::InQueue => 0,
        Status::Pending => 1,
        Status::InProgress => 2,
        Status::Evaluating => 3,
        _ => 4,
    }
}

proptest! {
    #[test]
    fn every_history_keeps_the_promises(
        history in proptest::collection::vec((event(), 0u64..400), 0..40)
    ) {
        let mut state = State::InQueue;
        let mut now = Timestamp::from_micros(0);
        for (event, wait) in history {
            now = now.plus(Duration::from_secs(wait));
            let matched = matches!(event, Event::Matched { .. });
            let window = match &state {
                State::Pending { window } => Some(*window),
                _ => None,
            };
            let Ok((next, effects)) = state.apply(event, now) else { continue };
            prop_assert!(!state.status().is_terminal(), "left a terminal state");
            prop_assert!(rank(next.status()) > rank(state.status()), "went backwards");
            if matched {
                prop_assert!(window.is_some_and(|w| w.contains(now)));
            }
            prop_assert_eq!(
                effects.contains(&Effect::SlotFreed),
                state.status().holds_slot() && !next.status().holds_slot()
            );
            prop_assert_eq!(
                next.deadline().is_some(),
                matches!(next.status(), Status::Pending | Status::InProgress | Status::Evaluating)
            );
            state = next;
        }
    }

    #[test]
    fn every_unfinished_run_can_be_ended(
        history in proptest::collection::vec((event(), 0u64..400), 0..20)
    ) {
        let mut state = State::InQueue;
        let mut now = Timestamp::from_micros(0);
        for (event, wait) in history {
            now = now.plus(Duration::from_secs(wait));
            if let Ok((next, _)) = state.apply(event, now) { state = next; }
        }
        if let Some(deadline) = state.deadline() {
            let event = match state.status() {
                Status::Pending => Event::WindowClosed { reason: String::new() },
                _ => Event::DeadlinePassed,
            };
            let (ended, _) = state.apply(event, deadline).unwrap();
            prop_assert!(ended.status().is_terminal());
        }
        prop_assert_eq!(
            state.apply(Event::Cancelled { reason: String::new() }, now).is_ok(),
            !state.status().is_terminal()
        );
    }
}

#[test]
fn a_live_call_is_hung_up_when_its_run_ends_before_it_did() {
    let state = State::InProgress {
        call: CallId("a".into()),
        deadline: Timestamp::from_micros(1),
    };
    let cancelled = Event::Cancelled {
        reason: "user".into(),
    };
    for event in [cancelled, Event::DeadlinePassed, lost("a")] {
        let (_, effects) = state.apply(event, Timestamp::from_micros(1)).unwrap();
        assert_eq!(
            effects,
            [Effect::SlotFreed, Effect::HangUp(CallId("a".into()))]
        );
    }
}

#[test]
fn statuses_read_back_and_remote_ones_are_understood() {
    for status in Status::ALL {
        assert_eq!(Status::parse(status.as_str()), Some(status));
    }
    assert_eq!(Status::parse("running"), Some(Status::InProgress));
    assert_eq!(Status::parse("scaling_up"), Some(Status::InQueue));
    assert_eq!(Status::parse("exploded"), None);
}

fn lost(call: &str) -> Event {
    Event::AgentLost {
        call: CallId(call.into()),
        reason: "testing-agent-1 was silent for 12 s".into(),
    }
}

#[test]
fn a_run_whose_testing_agent_is_lost_fails_says_so_and_frees_its_slot() {
    let (call, deadline) = (CallId("a".into()), Timestamp::from_micros(9));
    let live = State::InProgress {
        call: call.clone(),
        deadline,
    };
    let evaluating = State::Evaluating {
        call: call.clone(),
        deadline,
    };
    let now = Timestamp::from_micros(0);
    let expected = State::Failed {
        reason: "Testing agent-lost: testing-agent-1 was silent for 12 s".into(),
    };
    let hung_up = vec![Effect::SlotFreed, Effect::HangUp(call)];
    assert_eq!(live.apply(lost("a"), now), Ok((expected.clone(), hung_up)));
    assert_eq!(evaluating.apply(lost("a"), now), Ok((expected, vec![])));
}

#[test]
fn a_lost_testing_agent_ends_no_run_but_that_of_its_call() {
    let now = Timestamp::from_micros(0);
    let call = CallId("b".into());
    let window = Window {
        opens_at: now,
        closes_at: Timestamp::from_micros(9),
    };
    let others = [
        State::InQueue,
        State::Pending { window },
        State::InProgress {
            call: call.clone(),
            deadline: now,
        },
        State::Evaluating {
            call,
            deadline: now,
        },
        State::Completed { success: true },
    ];
    for state in others {
        assert!(state.apply(lost("a"), now).is_err(), "{state:?}");
    }
}
