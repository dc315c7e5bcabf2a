use crate::{Error, SAMPLE_RATE, Synthesizer, VoiceOptions, energy::to_i16, synthesis::prepare};
use async_trait::async_trait;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

const BURST_MS: f32 = 200.0;
const PAUSE_MS: f32 = 60.0;
const RAMP_SAMPLES: f32 = 40.0;
/// Amplitude of a sine at -20 dBFS.
const AMPLITUDE: f32 = 4_634.0;

/// Speaks one tone burst (200 ms, then 60 ms of silence) per word, all of one prompt at one frequency that depends on text and
/// voice only. For load runs and for tests that identify a prompt by its tone: it needs no tool and almost no time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tone;

impl Tone {
    /// Frequency in Hz that `text` is spoken at: a multiple of 50 between 400 and 1,500.
    ///
    /// # Errors
    /// As [`Synthesizer::synthesize`].
    pub fn frequency(text: &str, voice: &VoiceOptions) -> Result<u16, Error> {
        voice.validate()?;
        let text = prepare(text)?;
        let mut hash = Sha256::new();
        hash.update(voice.voice.as_deref().unwrap_or_default());
        hash.update([0]);
        hash.update(text);
        let first = hash.finalize().first().copied().unwrap_or_default();
        Ok(400 + 50 * u16::from(first % 23))
    }
}

#[async_trait]
impl Synthesizer for Tone {
    async fn identity(&self) -> Result<String, Error> {
        Ok("tone r1".to_owned())
    }

    async fn synthesize(&self, text: &str, voice: &VoiceOptions) -> Result<Arc<[i16]>, Error> {
        let hz = f32::from(Self::frequency(text, voice)?);
        let words = prepare(text)?.split(' ').count();
        let samples_per_ms = SAMPLE_RATE as f32 / 1_000.0 / voice.speed;
        let burst = BURST_MS * samples_per_ms;
        let ramp = |n: f32| (n.min(burst - n) / RAMP_SAMPLES).clamp(0.0, 1.0);
        let word: Vec<i16> = (0..)
            .map(|n: u16| f32::from(n))
            .take_while(|&n| n < burst + PAUSE_MS * samples_per_ms)
            .map(|n| {
                let phase = (std::f32::consts::TAU * hz * n / SAMPLE_RATE as f32).sin();
                to_i16(AMPLITUDE * ramp(n) * phase)
            })
            .collect();
        Ok(word.repeat(words).into())
    }

    async fn probe(&self) -> Result<(), Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SegmentOptions, level_dbfs, segments};

    #[tokio::test]
    async fn words_become_bursts_of_a_fixed_tone() {
        let voice = VoiceOptions::default();
        let audio = Tone.synthesize("one two three", &voice).await.unwrap();
        assert_eq!(
            audio,
            Tone.synthesize(" one  two three", &voice).await.unwrap()
        );
        assert_eq!(audio.len(), 3 * 2_080);
        assert!((level_dbfs(&audio[..1_600]) + 20.0).abs() < 0.5);
        assert_eq!(segments(&audio, &SegmentOptions::audible()).len(), 1);
        let hz = Tone::frequency("one two three", &voice).unwrap();
        assert!((400..=1_500).contains(&hz));
        let crossings = audio[..1_600]
            .windows(2)
            .filter(|pair| pair[0] < 0 && pair[1] >= 0)
            .count();
        assert!((crossings as f32 - f32::from(hz) * 0.2).abs() <= 2.0);
    }

    #[tokio::test]
    async fn refuses_what_the_real_engine_refuses() {
        assert!(matches!(
            Tone.synthesize(" ", &VoiceOptions::default()).await,
            Err(Error::EmptyText)
        ));
        let fast = VoiceOptions {
            speed: 9.0,
            ..VoiceOptions::default()
        };
        assert!(matches!(
            Tone.synthesize("a", &fast).await,
            Err(Error::Option {
                option: "speed",
                ..
            })
        ));
    }
}
