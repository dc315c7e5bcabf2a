//! Synthetic calls with known timing, as WAV bytes through the whole of scoring.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "test helpers outside #[test] functions"
)]

use proptest::prelude::*;
use ringdown_scoring::{Options, Scorecard, Speaker, score};
use ringdown_voice::{Flite, SegmentOptions, Synthesizer, VoiceOptions, segments};
use std::io::Cursor;

fn silence(ms: usize) -> Vec<i16> {
    vec![0; ms * 8]
}

fn tone(hz: f32, ms: usize) -> Vec<i16> {
    (0..ms * 8)
        .map(|n| (4_600.0 * (std::f32::consts::TAU * hz * n as f32 / 8_000.0).sin()) as i16)
        .collect()
}

fn noise(dbfs: f32, samples: usize) -> Vec<i16> {
    let amplitude = 32_768.0 * 10_f32.powf(dbfs / 20.0) * 3_f32.sqrt();
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (amplitude * ((state >> 8) as f32 / 8_388_608.0 - 1.0)) as i16
    };
    (0..samples).map(|_| next()).collect()
}

/// A call under construction: audio is laid on either channel at any time.
#[derive(Default)]
struct Call {
    agent: Vec<i16>,
    testing: Vec<i16>,
}

impl Call {
    fn lay(&mut self, speaker: Speaker, at_ms: usize, audio: &[i16]) {
        let channel = match speaker {
            Speaker::Agent => &mut self.agent,
            Speaker::TestingAgent => &mut self.testing,
        };
        channel.resize(channel.len().max(at_ms * 8 + audio.len()), 0);
        for (to, from) in channel.iter_mut().skip(at_ms * 8).zip(audio) {
            *to = to.saturating_add(*from);
        }
    }

    fn wav(&self, total_ms: usize) -> Vec<u8> {
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: 8_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
        for n in 0..total_ms * 8 {
            writer
                .write_sample(self.agent.get(n).copied().unwrap_or_default())
                .unwrap();
            writer
                .write_sample(self.testing.get(n).copied().unwrap_or_default())
                .unwrap();
        }
        writer.finalize().unwrap();
        bytes.into_inner()
    }

    fn score(&self, total_ms: usize) -> Scorecard {
        score(&self.wav(total_ms), &Options::default()).unwrap()
    }
}

fn near(measured: u64, known: usize, within: u64) -> bool {
    measured.abs_diff(known as u64) <= within
}

/// A sentence of flite, cut to what is audible.
async fn sentence(text: &str) -> Vec<i16> {
    let audio = Flite::default()
        .synthesize(text, &VoiceOptions::default())
        .await
        .unwrap();
    let sound = segments(&audio, &SegmentOptions::audible());
    let at = |time: std::time::Duration| time.as_micros() as usize / 125;
    audio[at(sound[0].start)..at(sound.last().unwrap().end)].to_vec()
}

#[test]
fn silent_recordings_are_not_successful_and_say_why() {
    let card = Call::default().score(4_000);
    let verdict = card.success();
    assert!(!verdict.passed);
    assert_eq!(
        verdict.reasons,
        [
            "The agent made no sound in a recording of 4.0 s; check that it sends audio to this call."
        ]
    );
    assert_eq!(
        (
            card.talk_ratio,
            card.agent_speaks_first,
            card.infrastructure_ok()
        ),
        (0.0, None, None)
    );
}

#[test]
fn an_agent_that_never_answers_fails_infrastructure_and_silence() {
    let mut call = Call::default();
    call.lay(Speaker::Agent, 0, &tone(440.0, 1_000));
    call.lay(Speaker::TestingAgent, 2_000, &tone(700.0, 1_000));
    let card = call.score(13_500);
    assert_eq!(card.infrastructure_ok(), Some(false));
    assert!(
        !card.silence_ok() && card.success().reasons.len() == 2,
        "{:?}",
        card.success()
    );
    assert_eq!(
        call.score(12_500).infrastructure_ok(),
        Some(true),
        "less than 10 s have passed"
    );
}

#[test]
fn a_scorecard_survives_json() {
    let mut call = Call::default();
    call.lay(Speaker::TestingAgent, 500, &tone(440.0, 1_000));
    call.lay(Speaker::Agent, 2_300, &tone(700.0, 1_000));
    let card = call.score(5_000);
    let json = serde_json::to_string(&card).unwrap();
    assert!(json.contains("\"Main Agent\""));
    assert_eq!(serde_json::from_str::<Scorecard>(&json).unwrap(), card);
    let latency = card
        .metrics()
        .into_iter()
        .find(|metric| metric.code == "latency")
        .unwrap();
    assert!(near(latency.value.unwrap() as u64, 800, 20) && latency.percentiles.len() == 6);
}

#[tokio::test]
async fn a_spoken_conversation_is_measured_within_40_ms() {
    let hello = sentence("Hello, thank you for calling. How can I help you?").await;
    let ask = sentence("I would like to move my appointment to Thursday.").await;
    let answer = sentence("Of course. Thursday at ten is free. Shall I book it?").await;
    let yes = sentence("Yes, please.").await;
    let bye = sentence("It is booked. Goodbye!").await;
    let gaps = [640, 1_130, 475, 1_990];
    for (background, tolerance) in [(-120.0, 40), (-50.0, 80), (-38.0, 150), (-33.0, 200)] {
        let mut call = Call::default();
        let mut at = 900;
        let mut known = Vec::new();
        let script = [
            (Speaker::Agent, &hello),
            (Speaker::TestingAgent, &ask),
            (Speaker::Agent, &answer),
            (Speaker::TestingAgent, &yes),
            (Speaker::Agent, &bye),
        ];
        for (n, (speaker, audio)) in script.into_iter().enumerate() {
            call.lay(speaker, at, audio);
            if speaker == Speaker::Agent && n > 0 {
                known.push(gaps[n - 1]);
            }
            at += audio.len() / 8 + gaps.get(n).copied().unwrap_or_default();
        }
        let total = at + 700;
        // The agent mixes background noise into its channel.
        call.lay(Speaker::Agent, 0, &noise(background, total * 8));
        let card = call.score(total);
        assert_eq!(
            card.latencies_ms.len(),
            known.len(),
            "{background} dBFS: {:?}",
            card.turns
        );
        for (&measured, &known) in card.latencies_ms.iter().zip(&known) {
            assert!(
                near(measured, known, tolerance),
                "{background} dBFS: {measured} ms, not {known}; {:?}",
                card.turns
            );
        }
        assert!(
            near(card.first_agent_audio_ms.unwrap(), 900, tolerance),
            "{background} dBFS: {:?}",
            card.first_agent_audio_ms
        );
        assert_eq!(card.agent_speaks_first, Some(true));
        let spoken = (hello.len() + answer.len() + bye.len()) as f64 / 8.0 / total as f64;
        assert!(
            (card.talk_ratio - spoken).abs() < 0.1,
            "{background} dBFS: {} is not {spoken}",
            card.talk_ratio
        );
        assert_eq!(
            (card.agent_interruptions, card.testing_agent_interruptions),
            (0, 0),
            "{background} dBFS"
        );
        assert!(card.success().passed, "{:?}", card.success());
    }
}

#[tokio::test]
async fn barge_in_is_counted_and_timed() {
    let long = sentence(
        "Our opening hours are Monday to Friday from nine in the morning to five in the afternoon.",
    )
    .await;
    let stop = sentence("Sorry, I need something else.").await;
    let mut call = Call::default();
    call.lay(Speaker::Agent, 500, &long[..2_400 * 8]);
    call.lay(Speaker::TestingAgent, 2_500, &stop);
    call.lay(
        Speaker::Agent,
        2_500 + stop.len() / 8 + 900,
        &tone(440.0, 1_500),
    );
    let card = call.score(9_000);
    assert_eq!(
        (card.testing_agent_interruptions, card.agent_interruptions),
        (1, 0),
        "{:?}",
        card.turns
    );
    assert!(
        near(card.stop_time_mean_ms.unwrap() as u64, 400, 60),
        "{:?}",
        card.stop_time_mean_ms
    );
    assert!(
        near(card.latencies_ms[0], 900, 60),
        "{:?}",
        card.latencies_ms
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Tones with gaps of 60 to 4,000 ms between the sides.
    #[test]
    fn known_gaps_are_measured_within_40_ms(
        turns in prop::collection::vec((60_usize..4_000, 200_usize..2_000, 60_usize..4_000, 200_usize..2_000), 1..5),
        tail in 0_usize..3_000,
        hz in 300.0_f32..3_000.0,
    ) {
        let mut call = Call::default();
        let mut at = 0;
        let mut known = Vec::new();
        for (pause, asked, gap, answered) in turns {
            at += pause;
            call.lay(Speaker::TestingAgent, at, &tone(700.0, asked));
            at += asked + gap;
            call.lay(Speaker::Agent, at, &tone(hz, answered));
            at += answered;
            known.push(gap);
        }
        let card = call.score(at + 10);
        prop_assert_eq!(card.latencies_ms.len(), known.len());
        for (&measured, &known) in card.latencies_ms.iter().zip(&known) {
            prop_assert!(near(measured, known, 40), "{} ms, not {}", measured, known);
        }
        prop_assert_eq!((card.agent_interruptions, card.testing_agent_interruptions), (0, 0));
        prop_assert!(card.success().passed);
        let longer = call.score(at + 10 + tail);
        prop_assert_eq!(longer.latencies_ms, card.latencies_ms);
    }

    /// Noise, silence and clipped sound in any order on both sides.
    #[test]
    fn any_audio_gives_a_sane_card(parts in prop::collection::vec((any::<bool>(), 0_u8..4, 1_usize..900), 0..12)) {
        let mut call = Call::default();
        let mut at = 0;
        for (agent, kind, ms) in parts {
            let speaker = if agent { Speaker::Agent } else { Speaker::TestingAgent };
            call.lay(speaker, at, &match kind {
                0 => silence(ms),
                1 => noise(-20.0, ms * 8),
                2 => vec![i16::MIN; ms * 8],
                _ => tone(1_000.0, ms),
            });
            at += ms / 2;
        }
        let card = call.score(at + 500);
        prop_assert!((0.0..=1.0).contains(&card.talk_ratio));
        prop_assert!(card.turns.iter().all(|turn| turn.start_ms < turn.end_ms && turn.end_ms <= card.duration_ms));
        prop_assert!(card.longest_silence_ms <= card.duration_ms);
    }
}
