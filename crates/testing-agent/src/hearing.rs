//! Hearing the agent: from frames of audio to starts and ends of speech.

use std::time::Duration;

use ringdown_sip::Frame;
use ringdown_voice::{Earshot, EnergyDetector, SpeechDetector, TurnEvent, TurnOptions, Turns};

use crate::options::Detector;
use crate::script::Event;

/// Silence that makes a pause. Shorter than the script's reply delay, which decides whether the
/// pause ends the agent's turn.
const PAUSE: Duration = Duration::from_millis(300);

/// The ear of one call.
pub(crate) struct Hearing {
    detector: Box<dyn SpeechDetector>,
    turns: Turns,
}

impl Hearing {
    pub(crate) fn new(detector: Detector) -> Self {
        let detector: Box<dyn SpeechDetector> = match detector {
            Detector::Level => Box::new(EnergyDetector::default()),
            Detector::Speech => Box::new(Earshot::default()),
        };
        Self {
            detector,
            turns: Turns::new(TurnOptions {
                end_silence: PAUSE,
                ..TurnOptions::default()
            }),
        }
    }

    /// Takes the next frame. Returns what began or ended with it, and whether the frame itself
    /// holds speech.
    pub(crate) fn hear(&mut self, frame: &Frame) -> (Option<Event>, bool) {
        let speech = self.detector.push(&frame.samples).speech;
        let event = self.turns.push(frame.at, speech).map(|event| match event {
            TurnEvent::SpeechStarted { at } => Event::SpeechStarted { start: at },
            TurnEvent::SpeechEnded { at } => Event::SpeechEnded { end: at },
        });
        (event, speech)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_heard_with_its_edges() {
        let mut hearing = Hearing::new(Detector::Level);
        let mut events = Vec::new();
        for number in 0..100u64 {
            let amplitude = if (10..60).contains(&number) { 8_000 } else { 0 };
            let mut samples = [amplitude; 160];
            for sample in samples.iter_mut().step_by(2) {
                *sample = -amplitude;
            }
            let at = Duration::from_millis(number * 20);
            let (event, _) = hearing.hear(&Frame {
                samples,
                at,
                concealed: false,
            });
            events.extend(event);
        }
        assert_eq!(
            events,
            [
                Event::SpeechStarted {
                    start: Duration::from_millis(200)
                },
                Event::SpeechEnded {
                    end: Duration::from_millis(1_200)
                },
            ]
        );
    }
}
