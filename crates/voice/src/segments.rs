//! Who speaks when, in a whole channel.

use crate::{
    Earshot, EarshotOptions, FRAME, FRAME_SAMPLES, Frame, SpeechDetector, TurnEvent, TurnOptions,
    Turns, level_dbfs,
};
use std::time::Duration;

/// Frames of the audible flavour are shorter than those of a network: edges within 10 ms.
const BLOCK: Duration = Duration::from_millis(10);
const BLOCK_SAMPLES: usize = FRAME_SAMPLES / 2;
/// How far the edges of detected speech move at most to where the sound begins and ends.
const REACH: Duration = Duration::from_millis(120);

/// A stretch of sound, from the beginning of the channel; `start < end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Onset.
    pub start: Duration,
    /// Offset.
    pub end: Duration,
}

impl Segment {
    /// `end - start`.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.end.saturating_sub(self.start)
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Flavour {
    Speech(EarshotOptions),
    Audible,
}

/// What [`segments`] looks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SegmentOptions {
    flavour: Flavour,
    /// Shortest segment reported.
    pub min_length: Duration,
    /// Longest pause inside a segment.
    pub max_pause: Duration,
}

impl SegmentOptions {
    /// Human or synthetic speech, by [`Earshot`]: at least 100 ms, pauses up to 300 ms.
    #[must_use]
    pub fn speech() -> Self {
        Self {
            flavour: Flavour::Speech(EarshotOptions::default()),
            min_length: Duration::from_millis(100),
            max_pause: Duration::from_millis(300),
        }
    }

    /// Anything that can be heard, test tones and music too: above [`audible_threshold`], at least 60 ms, pauses up to 300 ms.
    #[must_use]
    pub fn audible() -> Self {
        Self {
            flavour: Flavour::Audible,
            min_length: Duration::from_millis(60),
            max_pause: Duration::from_millis(300),
        }
    }
}

/// Finds the segments of `samples` in order, without overlap.
///
/// Speech edges are moved by up to 120 ms to where the sound itself begins and ends, since the network needs a few frames to make
/// up its mind.
#[must_use]
pub fn segments(samples: &[i16], options: &SegmentOptions) -> Vec<Segment> {
    match options.flavour {
        Flavour::Audible => {
            let threshold = audible_threshold(samples);
            let blocks = samples
                .chunks(BLOCK_SAMPLES)
                .map(|block| level_dbfs(block) >= threshold);
            collect(blocks, options, BLOCK, length(samples))
        }
        Flavour::Speech(earshot) => {
            let mut detector = Earshot::new(earshot);
            let frames = samples.chunks(FRAME_SAMPLES).map(|chunk| {
                let mut frame: Frame = [0; FRAME_SAMPLES];
                for (to, from) in frame.iter_mut().zip(chunk) {
                    *to = *from;
                }
                detector.push(&frame).speech
            });
            let speech = collect(frames, options, FRAME, length(samples));
            let audible = segments(
                samples,
                &SegmentOptions {
                    max_pause: Duration::from_millis(60),
                    ..SegmentOptions::audible()
                },
            );
            settle(speech, &audible, options.max_pause)
        }
    }
}

/// Level from which sound counts as audible in this channel, in dBFS: 10 dB above the level that a tenth of the channel stays
/// below, but at least -45 and at most -35. A line with steady noise up to -45 dBFS so counts as silent.
#[must_use]
pub fn audible_threshold(samples: &[i16]) -> f32 {
    let mut levels: Vec<f32> = samples.chunks(BLOCK_SAMPLES).map(level_dbfs).collect();
    let tenth = levels.len() / 10;
    if tenth >= levels.len() {
        return -45.0;
    }
    let (_, floor, _) = levels.select_nth_unstable_by(tenth, f32::total_cmp);
    (*floor + 10.0).clamp(-45.0, -35.0)
}

fn length(samples: &[i16]) -> Duration {
    let samples = u64::try_from(samples.len()).unwrap_or(u64::MAX);
    Duration::from_micros(samples.saturating_mul(1_000_000 / u64::from(crate::SAMPLE_RATE)))
}

fn collect(
    frames: impl Iterator<Item = bool>,
    options: &SegmentOptions,
    frame: Duration,
    limit: Duration,
) -> Vec<Segment> {
    let mut turns = Turns::new(TurnOptions {
        min_speech: options.min_length,
        max_onset_gap: options.max_pause.min(Duration::from_millis(100)),
        end_silence: options.max_pause.max(frame),
        frame,
    });
    let mut at = Duration::ZERO;
    let mut found = Vec::new();
    let mut start = None;
    let mut note = |event| match event {
        Some(TurnEvent::SpeechStarted { at }) => start = Some(at),
        Some(TurnEvent::SpeechEnded { at }) => {
            // The last frame may be padded past the end of the channel.
            let end = at.min(limit);
            found.extend(
                start
                    .take()
                    .filter(|start| *start < end)
                    .map(|start| Segment { start, end }),
            );
        }
        None => {}
    };
    for speech in frames {
        note(turns.push(at, speech));
        at = at.saturating_add(frame);
    }
    note(turns.finish());
    found
}

/// Moves the edges of `speech` to those of the audible stretches they lie in, by at most [`REACH`].
fn settle(speech: Vec<Segment>, audible: &[Segment], max_pause: Duration) -> Vec<Segment> {
    let mut settled: Vec<Segment> = Vec::with_capacity(speech.len());
    for Segment { start, end } in speech {
        let mut sounds = audible
            .iter()
            .filter(|sound| sound.start < end && start < sound.end);
        let first = sounds.next();
        let last = sounds.next_back().or(first);
        let near = |edge: Duration, to: Duration| {
            to.clamp(edge.saturating_sub(REACH), edge.saturating_add(REACH))
        };
        let moved = Segment {
            start: first.map_or(start, |sound| near(start, sound.start)),
            end: last.map_or(end, |sound| near(end, sound.end)),
        };
        match settled.last_mut() {
            Some(last) if moved.start.saturating_sub(last.end) < max_pause => {
                last.end = last.end.max(moved.end);
            }
            _ if moved.start < moved.end => settled.push(moved),
            _ => {}
        }
    }
    settled
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Flite, Synthesizer, VoiceOptions, energy::to_i16, normalise};
    use proptest::prelude::*;

    const RATE: usize = 8_000;

    fn tone(dbfs: f32, samples: usize) -> Vec<i16> {
        let amplitude = 32_768.0 * 10_f32.powf(dbfs / 20.0) * std::f32::consts::SQRT_2;
        (0..samples)
            .map(|n| to_i16(amplitude * (std::f32::consts::TAU * 440.0 * n as f32 / 8_000.0).sin()))
            .collect()
    }

    /// White noise from a fixed linear congruential generator.
    fn noise(dbfs: f32, samples: usize) -> Vec<i16> {
        let amplitude = 32_768.0 * 10_f32.powf(dbfs / 20.0) * 3_f32.sqrt();
        let mut state = 1_u32;
        (0..samples)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                to_i16(amplitude * ((state >> 8) as f32 / 8_388_608.0 - 1.0))
            })
            .collect()
    }

    fn mix(a: &[i16], b: &[i16]) -> Vec<i16> {
        a.iter()
            .zip(b)
            .map(|(&a, &b)| a.saturating_add(b))
            .collect()
    }

    /// Rendered once: the tests of this file need the same sentences.
    async fn sentence(text: &str) -> Vec<i16> {
        let audio = Flite::default()
            .synthesize(text, &VoiceOptions::default())
            .await
            .expect("flite speaks");
        // flite begins and ends with silence: cut to what is audible, so that the edges are known.
        let sound = segments(&audio, &SegmentOptions::audible());
        let at = |time: Duration| usize::try_from(time.as_micros()).unwrap() / 125;
        audio[at(sound[0].start)..at(sound.last().unwrap().end)].to_vec()
    }

    fn close(a: Duration, b_samples: usize, within_ms: i64) -> bool {
        let a = i64::try_from(a.as_millis()).unwrap();
        let b = i64::try_from(b_samples / 8).unwrap();
        (a - b).abs() <= within_ms
    }

    #[test]
    fn silence_and_low_noise_hold_nothing() {
        for quiet in [
            vec![0; 10 * RATE],
            noise(-60.0, 10 * RATE),
            noise(-50.0, 10 * RATE),
            vec![8; 1_000],
            vec![],
            vec![5; 7],
        ] {
            assert_eq!(
                segments(&quiet, &SegmentOptions::audible()),
                [],
                "{} samples",
                quiet.len()
            );
            assert_eq!(
                segments(&quiet, &SegmentOptions::speech()),
                [],
                "{} samples",
                quiet.len()
            );
        }
        for loud in [noise(-40.0, 10 * RATE), noise(-30.0, 10 * RATE)] {
            assert_eq!(segments(&loud, &SegmentOptions::speech()), []);
        }
    }

    #[test]
    fn tones_are_audible_and_their_edges_exact() {
        for dbfs in [-40.0, -20.0, -6.0] {
            let mut samples = vec![0; RATE];
            samples.extend(tone(dbfs, 4_000));
            samples.extend(vec![0; RATE]);
            let found = segments(&samples, &SegmentOptions::audible());
            assert_eq!(found.len(), 1, "{dbfs}");
            assert!(
                close(found[0].start, RATE, 10) && close(found[0].end, RATE + 4_000, 10),
                "{found:?}"
            );
        }
        let all = tone(-20.0, 5 * RATE);
        assert_eq!(
            segments(&all, &SegmentOptions::audible()),
            [Segment {
                start: Duration::ZERO,
                end: Duration::from_secs(5)
            }]
        );
    }

    #[tokio::test]
    async fn sentences_between_silences_are_found_within_150_ms() {
        for text in [
            "Hello, this is Ringdown. How can I help you today?",
            "I would like to move my appointment to Thursday.",
            "Yes.",
            "Six thousand four hundred and twelve is the number.",
            "Please call me back, fast!",
        ] {
            let speech = sentence(text).await;
            for (background, name) in [
                (0.0, "clean"),
                (-50.0, "noise at -50 dBFS"),
                (-42.0, "noise at -42 dBFS"),
            ] {
                let mut samples = vec![0; 2 * RATE + 333];
                samples.extend(&speech);
                samples.extend(vec![0; 2 * RATE]);
                if background < 0.0 {
                    samples = mix(&samples, &noise(background, samples.len()));
                }
                let found = segments(&samples, &SegmentOptions::speech());
                let (Some(first), Some(last)) = (found.first(), found.last()) else {
                    panic!("{text} ({name}): nothing found");
                };
                let (start, end) = (2 * RATE + 333, 2 * RATE + 333 + speech.len());
                assert!(
                    close(first.start, start, 150),
                    "{text} ({name}): starts at {first:?}, not {} ms",
                    start / 8
                );
                assert!(
                    close(last.end, end, 150),
                    "{text} ({name}): ends at {last:?}, not {} ms",
                    end / 8
                );
                if background == 0.0 {
                    assert!(
                        close(first.start, start, 60) && close(last.end, end, 60),
                        "{text}: {found:?} for {} to {}",
                        start / 8,
                        end / 8
                    );
                }
            }
        }
    }

    #[tokio::test]
    async fn a_live_listener_hears_the_same_turn() {
        let speech = sentence("Hello, I am calling about my order.").await;
        let mut samples = vec![0; RATE];
        samples.extend(&speech);
        samples.extend(vec![0; 2 * RATE]);
        let mut detector = Earshot::default();
        let mut turns = Turns::new(TurnOptions::default());
        let mut events = Vec::new();
        let mut at = Duration::ZERO;
        for frame in samples.chunks_exact(FRAME_SAMPLES) {
            events.extend(turns.push(at, detector.push(frame.try_into().unwrap()).speech));
            at += FRAME;
        }
        let [
            TurnEvent::SpeechStarted { at: start },
            TurnEvent::SpeechEnded { at: end },
        ] = events[..]
        else {
            panic!("{events:?}");
        };
        assert!(
            close(start, RATE, 150) && close(end, RATE + speech.len(), 150),
            "{start:?} {end:?}"
        );
    }

    #[tokio::test]
    async fn quiet_speech_is_still_speech() {
        let mut speech = sentence("I would like to move my appointment to Thursday.").await;
        normalise(&mut speech, -36.0);
        let mut samples = vec![0; RATE];
        samples.extend(&speech);
        samples.extend(vec![0; RATE]);
        let found = segments(&samples, &SegmentOptions::speech());
        assert!(!found.is_empty());
        assert!(
            close(found[0].start, RATE, 150)
                && close(found.last().unwrap().end, RATE + speech.len(), 150),
            "{found:?}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn segments_are_ordered_and_inside(
            parts in prop::collection::vec((0_u8..4, 1_usize..3_000), 0..12),
        ) {
            let mut samples = Vec::new();
            for (kind, length) in parts {
                samples.extend(match kind {
                    0 => vec![0; length],
                    1 => tone(-20.0, length),
                    2 => noise(-25.0, length),
                    _ => vec![i16::MIN; length],
                });
            }
            for options in [SegmentOptions::audible(), SegmentOptions::speech()] {
                let mut last = Duration::ZERO;
                for segment in segments(&samples, &options) {
                    prop_assert!(segment.start >= last && segment.start < segment.end && segment.end <= length(&samples));
                    last = segment.end;
                }
            }
        }
    }
}
