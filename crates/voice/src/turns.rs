use crate::FRAME;
use std::time::Duration;

/// Settings of [`Turns`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnOptions {
    /// Speech needed before a start is reported; shorter sounds are ignored.
    pub min_speech: Duration,
    /// Longest pause inside that first stretch.
    pub max_onset_gap: Duration,
    /// Silence after which the turn is over.
    pub end_silence: Duration,
    /// Length of the frames pushed.
    pub frame: Duration,
}

impl Default for TurnOptions {
    /// 100 ms of speech, 100 ms of pause in it, 700 ms to the end of the turn, frames of 20 ms.
    fn default() -> Self {
        Self {
            min_speech: Duration::from_millis(100),
            max_onset_gap: Duration::from_millis(100),
            end_silence: Duration::from_millis(700),
            frame: FRAME,
        }
    }
}

/// Something a listener notices. `at` is when it happened in the stream, which is earlier than when it was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnEvent {
    /// Somebody began to speak: decided after `min_speech`.
    SpeechStarted {
        /// Start of the first frame of speech.
        at: Duration,
    },
    /// Somebody finished: decided after `end_silence`.
    SpeechEnded {
        /// End of the last frame of speech.
        at: Duration,
    },
}

#[derive(Debug, Clone, Copy)]
enum State {
    Silent,
    /// Speech, too little so far.
    Onset {
        start: Duration,
        spoken: Duration,
        end: Duration,
    },
    Speaking {
        end: Duration,
    },
}

/// Turn taking: frame judgements in, starts and ends of speech out. Pure; the caller supplies the time.
///
/// Events alternate, a start first, and their times never go back.
#[derive(Debug, Clone)]
pub struct Turns {
    options: TurnOptions,
    state: State,
    /// End of the newest frame.
    now: Duration,
}

impl Turns {
    /// Listens from the beginning of a stream.
    #[must_use]
    pub fn new(options: TurnOptions) -> Self {
        Self {
            options,
            state: State::Silent,
            now: Duration::ZERO,
        }
    }

    /// Takes the judgement of the frame that starts at `at`. Frames that were lost count as silence; one that starts before the
    /// end of its predecessor is moved to that end.
    pub fn push(&mut self, at: Duration, speech: bool) -> Option<TurnEvent> {
        let at = at.max(self.now);
        self.now = at.saturating_add(self.options.frame);
        let now = self.now;
        match &mut self.state {
            State::Speaking { end }
                if speech && at.saturating_sub(*end) < self.options.end_silence =>
            {
                *end = now;
                None
            }
            State::Speaking { end } => {
                let ended = TurnEvent::SpeechEnded { at: *end };
                let over = now.saturating_sub(*end) >= self.options.end_silence;
                if speech {
                    // Only after a long hole in the stream.
                    self.begin(at);
                    Some(ended)
                } else if over {
                    self.state = State::Silent;
                    Some(ended)
                } else {
                    None
                }
            }
            State::Onset { spoken, end, .. }
                if speech && at.saturating_sub(*end) <= self.options.max_onset_gap =>
            {
                *spoken = spoken.saturating_add(self.options.frame);
                *end = now;
                self.confirm()
            }
            State::Onset { end, .. }
                if !speech && now.saturating_sub(*end) <= self.options.max_onset_gap =>
            {
                self.confirm()
            }
            State::Onset { .. } | State::Silent if speech => {
                self.begin(at);
                self.confirm()
            }
            State::Onset { .. } | State::Silent => {
                self.state = State::Silent;
                None
            }
        }
    }

    /// The stream is over: ends a turn that is still open.
    pub fn finish(&mut self) -> Option<TurnEvent> {
        match std::mem::replace(&mut self.state, State::Silent) {
            State::Speaking { end } => Some(TurnEvent::SpeechEnded { at: end }),
            State::Silent | State::Onset { .. } => None,
        }
    }

    /// Whether a start was reported and no end yet.
    #[must_use]
    pub fn speaking(&self) -> bool {
        matches!(self.state, State::Speaking { .. })
    }

    fn begin(&mut self, at: Duration) {
        self.state = State::Onset {
            start: at,
            spoken: self.options.frame,
            end: self.now,
        };
    }

    fn confirm(&mut self) -> Option<TurnEvent> {
        match self.state {
            State::Onset { start, spoken, end } if spoken >= self.options.min_speech => {
                self.state = State::Speaking { end };
                Some(TurnEvent::SpeechStarted { at: start })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Events of `(speech, frames)` stretches, with the time each was decided.
    fn listen(options: TurnOptions, stretches: &[(bool, u64)]) -> Vec<(u64, TurnEvent)> {
        let mut turns = Turns::new(options);
        let mut events = Vec::new();
        let mut at = 0;
        for &(speech, frames) in stretches {
            for _ in 0..frames {
                let event = turns.push(ms(at), speech);
                at += 20;
                events.extend(event.map(|event| (at, event)));
            }
        }
        events.extend(turns.finish().map(|event| (at, event)));
        events
    }

    #[test]
    fn times_point_at_the_sound_not_at_the_decision() {
        let events = listen(
            TurnOptions::default(),
            &[(false, 50), (true, 30), (false, 100)],
        );
        assert_eq!(
            events,
            [
                (1_100, TurnEvent::SpeechStarted { at: ms(1_000) }),
                (2_300, TurnEvent::SpeechEnded { at: ms(1_600) })
            ]
        );
    }

    #[test]
    fn clicks_are_ignored_and_pauses_do_not_end_a_turn() {
        assert!(
            listen(
                TurnOptions::default(),
                &[(true, 4), (false, 20), (true, 2), (false, 50)]
            )
            .is_empty()
        );
        let events = listen(
            TurnOptions::default(),
            &[(true, 10), (false, 34), (true, 10), (false, 35)],
        );
        assert_eq!(events.len(), 2);
        assert_eq!(events[1].1, TurnEvent::SpeechEnded { at: ms(1_080) });
        let stuttered = listen(
            TurnOptions::default(),
            &[(true, 2), (false, 4), (true, 3), (false, 50)],
        );
        assert_eq!(stuttered[0].1, TurnEvent::SpeechStarted { at: ms(0) });
    }

    #[test]
    fn the_end_of_the_stream_ends_the_turn() {
        let events = listen(TurnOptions::default(), &[(true, 20), (false, 5)]);
        assert_eq!(
            events.last().unwrap().1,
            TurnEvent::SpeechEnded { at: ms(400) }
        );
    }

    #[test]
    fn a_hole_in_the_stream_ends_the_turn() {
        let mut turns = Turns::new(TurnOptions::default());
        let mut events: Vec<_> = (0..10)
            .filter_map(|n| turns.push(ms(n * 20), true))
            .collect();
        events.extend((0..10).filter_map(|n| turns.push(ms(60_000 + n * 20), true)));
        assert_eq!(
            events,
            [
                TurnEvent::SpeechStarted { at: ms(0) },
                TurnEvent::SpeechEnded { at: ms(200) },
                TurnEvent::SpeechStarted { at: ms(60_000) }
            ]
        );
    }

    proptest! {
        #[test]
        fn events_alternate_and_never_go_back(
            frames in prop::collection::vec((any::<bool>(), 0_u64..2_000), 0..300),
            min_speech in 0_u64..300, gap in 0_u64..300, silence in 0_u64..1_000,
        ) {
            let options = TurnOptions {
                min_speech: ms(min_speech), max_onset_gap: ms(gap), end_silence: ms(silence), ..TurnOptions::default()
            };
            let mut turns = Turns::new(options);
            let (mut last, mut speaking) = (Duration::ZERO, false);
            let mut check = |event: TurnEvent| {
                let (started, at) = match event {
                    TurnEvent::SpeechStarted { at } => (true, at),
                    TurnEvent::SpeechEnded { at } => (false, at),
                };
                prop_assert!(started != speaking && at >= last, "{:?}", event);
                (last, speaking) = (at, started);
                Ok(())
            };
            for (speech, at) in frames {
                if let Some(event) = turns.push(ms(at), speech) {
                    check(event)?;
                }
            }
            if let Some(event) = turns.finish() {
                check(event)?;
            }
            prop_assert!(!speaking && !turns.speaking());
            prop_assert!(turns.push(Duration::MAX, true).is_none() || min_speech <= 20);
            turns.push(Duration::MAX, true);
        }
    }
}
