use crate::Error;
use async_trait::async_trait;
use std::sync::Arc;

/// Longest text of one prompt, in characters. About two minutes of speech.
pub const MAX_TEXT_CHARS: usize = 2_000;

/// How a prompt is spoken.
#[derive(Debug, Clone, PartialEq)]
pub struct VoiceOptions {
    /// Name of the voice within its engine; `None` takes the engine's default. Letters, digits, `_` and `-`, at most 64.
    pub voice: Option<String>,
    /// Speed relative to the voice's own, 0.5 (slow) to 2.0 (fast).
    pub speed: f32,
}

impl Default for VoiceOptions {
    fn default() -> Self {
        Self {
            voice: None,
            speed: 1.0,
        }
    }
}

impl VoiceOptions {
    /// Checks every field against its range.
    ///
    /// # Errors
    /// [`Error::Option`] with the first field that is outside.
    pub fn validate(&self) -> Result<(), Error> {
        if !(0.5..=2.0).contains(&self.speed) {
            return Err(Error::Option {
                option: "speed",
                value: self.speed.to_string(),
                range: "between 0.5 and 2.0",
            });
        }
        let Some(voice) = &self.voice else {
            return Ok(());
        };
        // Engines may take a path or an address as a voice; a name from the network must never be one.
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if voice.is_empty()
            || voice.len() > 64
            || voice.starts_with('-')
            || !voice.chars().all(allowed)
        {
            return Err(Error::Option {
                option: "voice",
                value: voice.chars().take(64).collect(),
                range: "1 to 64 letters, digits, `_` or `-`",
            });
        }
        Ok(())
    }
}

/// Text-to-speech.
#[async_trait]
pub trait Synthesizer: Send + Sync + std::fmt::Debug {
    /// Engine and version: everything besides text and options that changes the audio. Part of the cache key.
    ///
    /// # Errors
    /// When the engine is not there to be asked.
    async fn identity(&self) -> Result<String, Error>;

    /// Speaks `text`: 8 kHz mono, active speech at about -20 dBFS.
    ///
    /// # Errors
    /// When text or options are refused or the engine fails; see [`Error`].
    async fn synthesize(&self, text: &str, voice: &VoiceOptions) -> Result<Arc<[i16]>, Error>;

    /// Speaks one short word, uncached, to find out whether the engine works now. For health checks.
    ///
    /// # Errors
    /// What keeps it from working.
    async fn probe(&self) -> Result<(), Error>;
}

/// The text as engines get it: control characters become spaces, runs of white space one space.
pub(crate) fn prepare(text: &str) -> Result<String, Error> {
    let chars = text.chars().count();
    if chars > MAX_TEXT_CHARS {
        return Err(Error::TextTooLong {
            chars,
            limit: MAX_TEXT_CHARS,
        });
    }
    let text = text.replace(|c: char| c.is_control(), " ");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if !text.chars().any(char::is_alphanumeric) {
        return Err(Error::EmptyText);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_bounded_and_cleaned() {
        assert_eq!(prepare(" Hello\0\n\tthere ").unwrap(), "Hello there");
        assert!(matches!(prepare(" \u{7} ... "), Err(Error::EmptyText)));
        assert!(prepare(&"a".repeat(MAX_TEXT_CHARS)).is_ok());
        assert!(matches!(
            prepare(&"a".repeat(MAX_TEXT_CHARS + 1)),
            Err(Error::TextTooLong { chars: 2_001, .. })
        ));
    }

    #[test]
    fn voices_are_names_not_paths() {
        let voice = |name: &str| VoiceOptions {
            voice: Some(name.into()),
            ..VoiceOptions::default()
        };
        assert!(voice("slt").validate().is_ok());
        for name in [
            "",
            "-lv",
            "/etc/passwd",
            "http://example.com/a.flitevox",
            "a b",
            "voice.flitevox",
        ] {
            assert!(voice(name).validate().is_err(), "{name}");
        }
        for speed in [0.0, 0.49, 2.01, f32::NAN, f32::INFINITY] {
            let options = VoiceOptions {
                speed,
                ..VoiceOptions::default()
            };
            assert!(options.validate().is_err(), "{speed}");
        }
    }
}
