//! Where a channel is active.

use crate::timeline::Span;
use ringdown_voice::{Segment, SegmentOptions, level_dbfs, segments};

/// A channel with less speech than this holds other signals (tones, music): all of its sound counts.
const MIN_SPEECH_MS: u64 = 200;
/// Sound without speech counts from this level: background noise that an agent mixes in is quieter.
const LOUD_DBFS: f32 = -30.0;
/// Sound this short beside speech belongs to it: breath, stops, and what the detector of speech missed at the edges.
const BESIDE_SPEECH_MS: u64 = 250;
const SAMPLES_PER_MS: usize = 8;

/// The active stretches of a channel, in order, apart from each other.
///
/// Sound is found by level, exact to 10 ms, and speech by the network, which is right in noise but less exact. Sound that holds
/// speech counts whole, except for long and quiet parts beside the speech, which are background.
pub(crate) fn find(samples: &[i16]) -> Vec<Span> {
    let audible: Vec<Span> = segments(samples, &SegmentOptions::audible())
        .into_iter()
        .map(Span::from)
        .collect();
    if audible.is_empty() {
        return audible;
    }
    let speech: Vec<Span> = segments(samples, &SegmentOptions::speech())
        .into_iter()
        .map(Span::from)
        .collect();
    if speech.iter().map(Span::length_ms).sum::<u64>() < MIN_SPEECH_MS {
        return audible;
    }
    let loud = |span: &Span| {
        let at = |ms: u64| {
            usize::try_from(ms)
                .unwrap_or(usize::MAX)
                .saturating_mul(SAMPLES_PER_MS)
                .min(samples.len())
        };
        let part = samples
            .get(at(span.start_ms)..at(span.end_ms))
            .unwrap_or_default();
        level_dbfs(part) >= LOUD_DBFS
    };
    let mut found = speech.clone();
    let mut next = 0;
    for sound in &audible {
        // Both lists are in order: speech that ends before this sound ends before every later one.
        while speech
            .get(next)
            .is_some_and(|speech| speech.end_ms <= sound.start_ms)
        {
            next += 1;
        }
        let inside = speech
            .iter()
            .skip(next)
            .take_while(|speech| speech.start_ms < sound.end_ms);
        let mut at = sound.start_ms;
        let mut holds_speech = false;
        let mut keep = |from: u64, to: u64, beside: bool| {
            let part = Span {
                start_ms: from,
                end_ms: to,
            };
            if from < to && ((beside && part.length_ms() <= BESIDE_SPEECH_MS) || loud(&part)) {
                found.push(part);
            }
        };
        for speech in inside {
            keep(at, speech.start_ms, true);
            at = at.max(speech.end_ms);
            holds_speech = true;
        }
        keep(at, sound.end_ms, holds_speech);
    }
    join(found)
}

/// Puts spans in order and joins those that touch.
fn join(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by_key(|span| span.start_ms);
    let mut joined: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match joined.last_mut() {
            Some(last) if span.start_ms <= last.end_ms => {
                last.end_ms = last.end_ms.max(span.end_ms);
            }
            _ => joined.push(span),
        }
    }
    joined
}

impl From<Segment> for Span {
    fn from(segment: Segment) -> Self {
        let ms = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            start_ms: ms(segment.start),
            end_ms: ms(segment.end),
        }
    }
}
