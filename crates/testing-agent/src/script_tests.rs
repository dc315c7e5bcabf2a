use proptest::prelude::*;

use super::*;

const QUIET: Event = Event::Tick { hearing: false };

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn plan() -> Plan {
    Plan {
        speaks_first: true,
        replies: 2,
        closing: true,
        max_duration: ms(60_000),
        silence_timeout: ms(8_000),
    }
}

fn script(plan: Plan) -> Script {
    Script::new(plan, Timing::default())
}

/// Ticks from `from` to `to` and collects what happens, with its time.
fn tick(script: &mut Script, from: u64, to: u64) -> Vec<(u64, Action)> {
    (from..=to)
        .step_by(20)
        .flat_map(|at| {
            let actions = script.on(ms(at), QUIET);
            actions.into_iter().map(move |action| (at, action))
        })
        .collect()
}

/// The agent talks from `start` to `end`.
fn agent_talks(script: &mut Script, start: u64, end: u64) {
    assert_eq!(
        script.on(ms(start), Event::SpeechStarted { start: ms(start) }),
        []
    );
    assert_eq!(script.on(ms(end), Event::SpeechEnded { end: ms(end) }), []);
}

#[test]
fn a_whole_conversation() {
    let mut script = script(plan());
    assert_eq!(
        tick(&mut script, 0, 1_000),
        [(300, Action::Say(Prompt::First))]
    );
    assert_eq!(script.on(ms(1_500), Event::PromptFinished), []);
    let mut at = 2_000;
    for expected in [Prompt::Reply(0), Prompt::Reply(1), Prompt::Closing] {
        agent_talks(&mut script, at, at + 1_000);
        let (start, end) = (ms(at), ms(at + 1_000));
        assert_eq!(
            tick(&mut script, at + 1_020, at + 1_900),
            [
                (at + 1_700, Action::AgentTurn { start, end }),
                (at + 1_700, Action::Say(expected))
            ]
        );
        at += 2_000;
        assert_eq!(script.on(ms(at), Event::PromptFinished), []);
    }
    assert_eq!(
        tick(&mut script, at, at + 1_000),
        [(at + 200, Action::HangUp(EndedReason::TestingAgentEnded))]
    );
}

#[test]
fn without_a_first_message_the_agent_speaks_first_and_without_a_closing_the_call_ends_in_silence() {
    let mut script = script(Plan {
        speaks_first: false,
        replies: 1,
        closing: false,
        ..plan()
    });
    assert_eq!(tick(&mut script, 0, 3_000), []);
    agent_talks(&mut script, 3_000, 4_000);
    let said = tick(&mut script, 4_000, 4_800);
    assert_eq!(said[1], (4_700, Action::Say(Prompt::Reply(0))));
    script.on(ms(5_000), Event::PromptFinished);
    agent_talks(&mut script, 5_500, 6_000);
    let ended = tick(&mut script, 6_000, 7_000);
    assert_eq!(
        ended[1],
        (6_700, Action::HangUp(EndedReason::TestingAgentEnded))
    );
}

#[test]
fn a_pause_shorter_than_the_reply_delay_is_part_of_the_turn() {
    let mut script = script(Plan {
        speaks_first: false,
        ..plan()
    });
    agent_talks(&mut script, 1_000, 2_000);
    assert_eq!(tick(&mut script, 2_000, 2_600), []);
    agent_talks(&mut script, 2_620, 3_000);
    let said = tick(&mut script, 3_000, 4_000);
    let (start, end) = (ms(1_000), ms(3_000));
    assert_eq!(said[0], (3_700, Action::AgentTurn { start, end }));
}

#[test]
fn it_waits_for_an_agent_that_talks_but_not_for_ever() {
    let mut script = script(plan());
    script.on(ms(100), Event::SpeechStarted { start: ms(100) });
    let said = tick(&mut script, 120, 40_000);
    assert_eq!(said, [(30_300, Action::Say(Prompt::First))]);
}

#[test]
fn it_does_not_start_on_top_of_a_sound_that_may_become_speech() {
    let mut script = script(plan());
    for at in (0..1_000).step_by(20) {
        assert_eq!(script.on(ms(at), Event::Tick { hearing: true }), []);
    }
    assert_eq!(script.on(ms(1_000), QUIET), [Action::Say(Prompt::First)]);
}

#[test]
fn speech_that_ended_while_we_talked_is_reported_but_is_no_answer() {
    let mut script = script(plan());
    tick(&mut script, 0, 400);
    agent_talks(&mut script, 500, 900);
    let (start, end) = (ms(500), ms(900));
    assert_eq!(
        tick(&mut script, 900, 2_000),
        [(1_600, Action::AgentTurn { start, end })]
    );
    script.on(ms(2_000), Event::PromptFinished);
    assert_eq!(tick(&mut script, 2_000, 4_000), []);
}

#[test]
fn mutual_silence_ends_the_call() {
    let mut script = script(plan());
    tick(&mut script, 0, 400);
    script.on(ms(1_000), Event::PromptFinished);
    assert_eq!(
        tick(&mut script, 1_000, 20_000),
        [(9_000, Action::HangUp(EndedReason::SilenceTimedOut))]
    );
}

#[test]
fn the_maximum_duration_ends_even_a_lively_call() {
    let mut script = script(plan());
    tick(&mut script, 0, 400);
    script.on(ms(59_000), Event::SpeechStarted { start: ms(59_000) });
    let ended = tick(&mut script, 59_000, 61_000);
    assert_eq!(
        ended,
        [(60_000, Action::HangUp(EndedReason::ExceededMaxDuration))]
    );
    assert_eq!(
        script.finish(ms(60_020)),
        Some(Action::AgentTurn {
            start: ms(59_000),
            end: ms(60_020)
        })
    );
}

#[test]
fn orders_from_outside_end_the_call_at_once() {
    for (event, reason) in [
        (Event::Cancelled, EndedReason::CancelledByUser),
        (Event::Lost, EndedReason::TestingAgentLost),
        (Event::Drained, EndedReason::TestingAgentDrained),
    ] {
        let mut script = script(plan());
        assert_eq!(script.on(ms(5), event), [Action::HangUp(reason)]);
        assert_eq!(script.on(ms(10_000), QUIET), []);
    }
}

fn any_event() -> impl Strategy<Value = (u64, u8, u64)> {
    (0u64..900, 0u8..20, 0u64..400)
}

proptest! {
    /// Whatever the network and the detector do: prompts come once and in order, one at a time, not
    /// over a talking agent unless it was waited for; turns are ordered; one end, and nothing after it.
    #[test]
    fn the_rules_hold_for_any_events(
        speaks_first: bool,
        replies in 0usize..4,
        closing: bool,
        events in prop::collection::vec(any_event(), 0..300),
    ) {
        let plan = Plan { speaks_first, replies, closing, ..plan() };
        let timing = Timing { max_wait: ms(3_000), ..Timing::default() };
        let mut script = Script::new(plan, timing);
        let mut at = 0;
        let mut last_prompt = None;
        let mut speaking = false;
        let mut talking = false;
        let mut hearing = false;
        let mut turn_start: Option<Duration> = None;
        let mut our_end = Duration::ZERO;
        let mut last_turn_end = Duration::ZERO;
        let mut ended = None;
        for (step, kind, back) in events {
            at += step;
            let now = ms(at);
            let event = match kind {
                0..=3 => Event::SpeechStarted { start: ms(at.saturating_sub(back)) },
                4..=7 => Event::SpeechEnded { end: ms(at.saturating_sub(back)) },
                8..=11 => Event::PromptFinished,
                12 if back < 10 => Event::Cancelled,
                _ => Event::Tick { hearing: kind == 13 },
            };
            match event {
                Event::SpeechStarted { start } => {
                    talking = true;
                    turn_start = turn_start.or(Some(start));
                }
                Event::SpeechEnded { .. } => talking = false,
                Event::Tick { hearing: now } => hearing = now,
                Event::PromptFinished if speaking => {
                    speaking = false;
                    our_end = now;
                }
                _ => {}
            }
            for action in script.on(now, event) {
                prop_assert_eq!(ended, None, "something happened after the end");
                match action {
                    Action::Say(prompt) => {
                        prop_assert!(!speaking, "two prompts at once");
                        prop_assert!(last_prompt < Some(prompt), "prompts out of order");
                        let waited_since = match prompt {
                            Prompt::First => timing.first_delay,
                            _ => turn_start.unwrap_or_default().max(our_end),
                        };
                        prop_assert!(
                            !(talking || hearing) || now >= waited_since + timing.max_wait,
                            "talked over the agent at {:?}, waiting since {:?}", now, waited_since
                        );
                        last_prompt = Some(prompt);
                        speaking = true;
                    }
                    Action::AgentTurn { start, end } => {
                        prop_assert!(start <= end && end <= now);
                        prop_assert!(start >= last_turn_end, "turns overlap");
                        last_turn_end = end;
                        turn_start = match event {
                            Event::SpeechStarted { start } => Some(start),
                            _ => None,
                        };
                    }
                    Action::HangUp(reason) => {
                        prop_assert!(reason != EndedReason::TestingAgentEnded || !speaking);
                        ended = Some(reason);
                    }
                }
            }
        }
        if ended.is_none() {
            let actions = script.on(ms(at).max(plan.max_duration), QUIET);
            prop_assert_eq!(actions.last(), Some(&Action::HangUp(EndedReason::ExceededMaxDuration)));
        }
        if let Some(Action::AgentTurn { start, end }) = script.finish(ms(at)) {
            prop_assert!(start <= end && start >= last_turn_end);
        }
    }
}
