//! Measurements from who was active when.

use crate::{
    Options, Percentiles, Scorecard,
    percentiles::mean,
    timeline::{Span, merge, turns},
};

pub(crate) fn measure(
    agent: &[Span],
    testing_agent: &[Span],
    duration_ms: u64,
    options: &Options,
) -> Scorecard {
    let agent_turns = turns(agent, testing_agent, options.turn_pause_ms);
    let testing_turns = turns(testing_agent, agent, options.turn_pause_ms);

    let first_agent_ms = agent.first().map(|span| span.start_ms);
    let first_testing_ms = testing_agent.first().map(|span| span.start_ms);
    let agent_speaks_first = match (first_agent_ms, first_testing_ms) {
        (None, None) => None,
        (None, Some(_)) => Some(false),
        (Some(_), None) => Some(true),
        (Some(agent), Some(testing)) => Some(agent < testing),
    };

    let spoken: u64 = agent.iter().map(Span::length_ms).sum();
    let latencies_ms = latencies(&agent_turns, &testing_turns);
    let values: Vec<f64> = latencies_ms.iter().map(|&ms| ms as f64).collect();
    let by_testing_agent = interruptions(&testing_turns, &agent_turns, options.min_overlap_ms);
    let stop_times: Vec<u64> = by_testing_agent
        .iter()
        .filter_map(|&at| stop_time(agent, at))
        .collect();

    Scorecard {
        duration_ms,
        first_agent_audio_ms: first_agent_ms,
        first_testing_agent_audio_ms: first_testing_ms,
        agent_speaks_first,
        talk_ratio: if duration_ms == 0 {
            0.0
        } else {
            (spoken as f64 / duration_ms as f64).clamp(0.0, 1.0)
        },
        latency_mean_ms: mean(&latencies_ms),
        latency_percentiles_ms: Percentiles::of(&values),
        latencies_ms,
        longest_silence_ms: longest_silence(agent, testing_agent, duration_ms),
        silence_limit_ms: options.silence_ms,
        longest_wait_ms: longest_wait(&agent_turns, &testing_turns, duration_ms),
        answer_timeout_ms: options.answer_timeout_ms,
        agent_interruptions: count(&interruptions(
            &agent_turns,
            &testing_turns,
            options.min_overlap_ms,
        )),
        testing_agent_interruptions: count(&by_testing_agent),
        stop_time_mean_ms: mean(&stop_times),
        turns: merge(&agent_turns, &testing_turns),
    }
}

fn count<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}

/// The times in which the agent is not speaking: before, between and after its turns.
fn waits(agent_turns: &[Span], duration_ms: u64) -> impl Iterator<Item = Span> {
    let starts = std::iter::once(0).chain(agent_turns.iter().map(|turn| turn.end_ms));
    let ends = agent_turns
        .iter()
        .map(|turn| turn.start_ms)
        .chain(std::iter::once(duration_ms));
    starts
        .zip(ends)
        .map(|(start_ms, end_ms)| Span { start_ms, end_ms })
}

/// For each agent turn that answers the testing agent, the silence before it.
fn latencies(agent_turns: &[Span], testing_turns: &[Span]) -> Vec<u64> {
    let before_each = waits(agent_turns, u64::MAX).take(agent_turns.len());
    let mut found = Vec::new();
    for wait in before_each {
        // The first testing-agent turn that is not over when the agent starts.
        let open = testing_turns.partition_point(|turn| turn.end_ms <= wait.end_ms);
        let interrupts = testing_turns
            .get(open)
            .is_some_and(|turn| turn.start_ms < wait.end_ms);
        let answered = open.checked_sub(1).and_then(|last| testing_turns.get(last));
        if let Some(answered) = answered.filter(|turn| !interrupts && turn.end_ms > wait.start_ms) {
            found.push(wait.end_ms - answered.end_ms);
        }
    }
    found
}

/// The longest time that the testing agent had finished and both sides were silent before the agent spoke again or the recording
/// ended. The testing agent's prompts ("are you there?") do not start the count again, but their length is not counted.
fn longest_wait(agent_turns: &[Span], testing_turns: &[Span], duration_ms: u64) -> Option<u64> {
    let waited = |wait: Span| {
        let first = testing_turns.partition_point(|turn| turn.end_ms <= wait.start_ms);
        let finished = testing_turns
            .get(first)
            .filter(|turn| turn.end_ms <= wait.end_ms)?;
        let prompts: u64 = testing_turns
            .iter()
            .skip(first + 1)
            .take_while(|turn| turn.start_ms < wait.end_ms)
            .map(|turn| turn.end_ms.min(wait.end_ms).saturating_sub(turn.start_ms))
            .sum();
        Some((wait.end_ms - finished.end_ms).saturating_sub(prompts))
    };
    waits(agent_turns, duration_ms).filter_map(waited).max()
}

/// Starts of turns of `own` while a turn of `other` was going on, with at least `min_overlap_ms` of both speaking.
fn interruptions(own: &[Span], other: &[Span], min_overlap_ms: u64) -> Vec<u64> {
    own.iter()
        .filter(|turn| {
            let running = other.partition_point(|other| other.end_ms <= turn.start_ms);
            other.get(running).is_some_and(|other| {
                other.start_ms < turn.start_ms
                    && other.end_ms.min(turn.end_ms).saturating_sub(turn.start_ms) >= min_overlap_ms
            })
        })
        .map(|turn| turn.start_ms)
        .collect()
}

/// How long the stretch of `spans` that is active at `at` goes on.
fn stop_time(spans: &[Span], at: u64) -> Option<u64> {
    let running = spans.partition_point(|span| span.end_ms <= at);
    spans
        .get(running)
        .filter(|span| span.start_ms <= at)
        .map(|span| span.end_ms - at)
}

/// The longest time in which neither side is active, the beginning and the end of the recording included.
fn longest_silence(agent: &[Span], testing_agent: &[Span], duration_ms: u64) -> u64 {
    let mut all: Vec<Span> = agent.iter().chain(testing_agent).copied().collect();
    all.sort_by_key(|span| span.start_ms);
    let mut end = 0;
    let mut longest = 0;
    for span in all {
        longest = longest.max(span.start_ms.saturating_sub(end));
        end = end.max(span.end_ms);
    }
    longest.max(duration_ms.saturating_sub(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Speaker, Turn};
    use proptest::prelude::*;

    fn spans(list: &[(u64, u64)]) -> Vec<Span> {
        list.iter()
            .map(|&(start_ms, end_ms)| Span { start_ms, end_ms })
            .collect()
    }

    fn card(agent: &[(u64, u64)], testing: &[(u64, u64)], duration_ms: u64) -> Scorecard {
        measure(
            &spans(agent),
            &spans(testing),
            duration_ms,
            &Options::default(),
        )
    }

    #[test]
    fn a_plain_conversation() {
        let card = card(
            &[(3_000, 5_000), (8_000, 9_000), (9_500, 10_000)],
            &[(500, 2_000), (6_000, 7_200)],
            11_000,
        );
        assert_eq!(card.latencies_ms, [1_000, 800]);
        assert_eq!(card.latency_mean_ms, Some(900.0));
        assert_eq!(card.agent_speaks_first, Some(false));
        assert_eq!(card.first_agent_audio_ms, Some(3_000));
        assert!((card.talk_ratio - 3_500.0 / 11_000.0).abs() < 1e-9);
        assert_eq!(
            (card.agent_interruptions, card.testing_agent_interruptions),
            (0, 0)
        );
        assert_eq!(
            (card.longest_silence_ms, card.longest_wait_ms),
            (1_000, Some(1_000))
        );
        assert_eq!(
            card.turns.len(),
            4,
            "the short pause does not split the last turn"
        );
        assert_eq!(
            card.turns[0],
            Turn {
                speaker: Speaker::TestingAgent,
                start_ms: 500,
                end_ms: 2_000
            }
        );
    }

    #[test]
    fn speaking_on_and_speaking_first_are_no_handoffs() {
        let card = card(
            &[(500, 1_000), (3_000, 4_000), (6_000, 7_000)],
            &[(8_000, 9_000)],
            10_000,
        );
        assert!(card.latencies_ms.is_empty());
        assert_eq!(card.latency_mean_ms, None);
        assert_eq!(card.agent_speaks_first, Some(true));
    }

    #[test]
    fn interruptions_both_ways_with_stop_time() {
        // The testing agent cuts in at 2,000, the agent stops at 2,400 and answers at 4,500; the agent cuts in at 7,000.
        let card = card(
            &[(0, 2_400), (4_500, 5_500), (7_000, 9_000)],
            &[(2_000, 4_000), (6_000, 8_000)],
            10_000,
        );
        assert_eq!(
            (card.testing_agent_interruptions, card.agent_interruptions),
            (1, 1)
        );
        assert_eq!(card.stop_time_mean_ms, Some(400.0));
        assert_eq!(card.latencies_ms, [500]);
    }

    #[test]
    fn a_quick_answer_after_an_interruption_is_a_handoff() {
        let card = card(&[(0, 2_400), (2_900, 4_000)], &[(2_000, 2_600)], 5_000);
        assert_eq!(card.latencies_ms, [300]);
    }

    #[test]
    fn a_short_overlap_is_no_interruption() {
        let card = card(&[(1_900, 4_000)], &[(500, 2_000)], 5_000);
        assert_eq!((card.agent_interruptions, card.latencies_ms.len()), (0, 0));
    }

    #[test]
    fn waiting_adds_up_over_prompts_and_the_end_counts() {
        // Prompts at 8,000 and 15,000: silent from 2,000 on except for the prompts.
        let late = card(
            &[(20_000, 21_000)],
            &[(1_000, 2_000), (8_000, 9_000), (15_000, 16_000)],
            22_000,
        );
        assert_eq!(late.longest_wait_ms, Some(16_000));
        assert_eq!(late.latencies_ms, [4_000]);
        assert!(!late.success().passed);
        assert_eq!(
            card(&[(1_000, 2_000)], &[(3_000, 4_000)], 15_000).longest_wait_ms,
            Some(11_000)
        );
        assert_eq!(card(&[(1_000, 2_000)], &[], 15_000).longest_wait_ms, None);
    }

    /// Random activity: pauses and lengths in turn.
    fn activity() -> impl Strategy<Value = Vec<Span>> {
        prop::collection::vec((1_u64..6_000, 60_u64..5_000), 0..12).prop_map(|parts| {
            let mut at = 0;
            let span = |(pause, length)| {
                let start_ms = at + pause;
                at = start_ms + length;
                Span {
                    start_ms,
                    end_ms: at,
                }
            };
            parts.into_iter().map(span).collect()
        })
    }

    proptest! {
        #[test]
        fn bounds_hold_and_silence_at_the_end_changes_little(agent in activity(), testing in activity(), more in 0_u64..60_000) {
            let end = agent.iter().chain(&testing).map(|span| span.end_ms).max().unwrap_or(0) + 100;
            let options = Options::default();
            let card = measure(&agent, &testing, end, &options);
            prop_assert!((0.0..=1.0).contains(&card.talk_ratio));
            prop_assert!(card.longest_silence_ms <= end);
            prop_assert!(card.longest_wait_ms.unwrap_or(0) <= end);
            prop_assert!(card.latencies_ms.iter().all(|&latency| latency <= end));
            prop_assert!(card.latencies_ms.len() + usize::try_from(card.agent_interruptions).unwrap() <= agent.len());
            prop_assert!(card.turns.is_sorted_by_key(|turn| turn.start_ms));
            prop_assert!(card.turns.iter().all(|turn| turn.start_ms < turn.end_ms && turn.end_ms <= end));
            prop_assert_eq!(card.latency_mean_ms.is_some(), !card.latencies_ms.is_empty());
            let verdict = card.success();
            prop_assert_eq!(verdict.passed, verdict.reasons.is_empty());
            prop_assert!(!agent.is_empty() || !verdict.passed);
            for metric in card.metrics() {
                prop_assert!(metric.value.is_none_or(f64::is_finite) && !metric.explanation.is_empty());
            }

            let longer = measure(&agent, &testing, end + more, &options);
            prop_assert_eq!(&longer.latencies_ms, &card.latencies_ms);
            prop_assert_eq!(&longer.turns, &card.turns);
            prop_assert_eq!(longer.stop_time_mean_ms, card.stop_time_mean_ms);
            prop_assert!(longer.longest_silence_ms >= card.longest_silence_ms && longer.talk_ratio <= card.talk_ratio);
        }

        #[test]
        fn moving_the_whole_call_moves_nothing_else(agent in activity(), testing in activity(), by in 0_u64..5_000) {
            let shift = |spans: &[Span]| {
                let moved = |span: &Span| Span { start_ms: span.start_ms + by, end_ms: span.end_ms + by };
                spans.iter().map(moved).collect::<Vec<_>>()
            };
            let options = Options::default();
            let here = measure(&agent, &testing, 200_000, &options);
            let there = measure(&shift(&agent), &shift(&testing), 200_000 + by, &options);
            prop_assert_eq!(here.latencies_ms, there.latencies_ms);
            prop_assert_eq!(here.agent_interruptions, there.agent_interruptions);
            prop_assert_eq!(here.longest_wait_ms, there.longest_wait_ms);
        }
    }
}
