//! What is said on one call, rendered before the call is answered.

use std::sync::Arc;

use futures::future::try_join_all;
use ringdown_proto::v1::CallScript;
use ringdown_voice::{Error, Synthesizer, VoiceOptions};

use crate::script::Prompt;

/// The prompts of one call.
#[derive(Debug)]
pub(crate) struct Prompts {
    first: Rendered,
    replies: Vec<Rendered>,
    closing: Rendered,
}

/// A text and its audio.
#[derive(Clone, Debug)]
pub(crate) struct Rendered {
    pub(crate) text: String,
    pub(crate) audio: Arc<[i16]>,
}

impl Prompts {
    /// Renders everything the script says, at once.
    pub(crate) async fn render(
        synthesizer: &dyn Synthesizer,
        script: &CallScript,
    ) -> Result<Self, Error> {
        let replies = script.replies.iter().map(|text| render(synthesizer, text));
        let (first, replies, closing) = futures::try_join!(
            render(synthesizer, &script.first_message),
            try_join_all(replies),
            render(synthesizer, &script.closing),
        )?;
        Ok(Self {
            first,
            replies,
            closing,
        })
    }

    /// The prompt; silence if there is none.
    pub(crate) fn get(&self, prompt: Prompt) -> Rendered {
        match prompt {
            Prompt::First => self.first.clone(),
            Prompt::Closing => self.closing.clone(),
            Prompt::Reply(index) => match self.replies.get(index) {
                Some(reply) => reply.clone(),
                None => Rendered::silent(String::new()),
            },
        }
    }
}

impl Rendered {
    fn silent(text: String) -> Self {
        Self {
            text,
            audio: Arc::from([]),
        }
    }

    /// The part of the text that `sent` samples of the audio cover: whole words, by length. A guess,
    /// because synthesizers do not tell where their words lie.
    pub(crate) fn said(&self, sent: usize) -> &str {
        let total = self.audio.len();
        if sent >= total {
            return &self.text;
        }
        // In 128 bits neither factor can make the product overflow.
        let share = (self.text.len() as u128) * (sent as u128) / (total.max(1) as u128);
        let reached = usize::try_from(share).unwrap_or(self.text.len());
        let mut end = 0;
        for (at, _) in self.text.match_indices(char::is_whitespace) {
            if at <= reached {
                end = at;
            }
        }
        self.text.get(..end).unwrap_or_default().trim_end()
    }
}

async fn render(synthesizer: &dyn Synthesizer, text: &str) -> Result<Rendered, Error> {
    if text.trim().is_empty() {
        return Ok(Rendered::silent(String::new()));
    }
    match synthesizer.synthesize(text, &VoiceOptions::default()).await {
        Ok(audio) => Ok(Rendered {
            text: text.to_owned(),
            audio,
        }),
        // "..." is a turn in which nothing is said.
        Err(Error::EmptyText) => Ok(Rendered::silent(String::new())),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_where_its_audio_was() {
        let prompt = Rendered {
            text: "one two three four".to_owned(),
            audio: vec![0; 1_800].into(),
        };
        assert_eq!(prompt.said(1_800), "one two three four");
        assert_eq!(prompt.said(900), "one two");
        assert_eq!(prompt.said(200), "");
        assert_eq!(prompt.said(0), "");
        let long_word = Rendered {
            text: "ääääääää".to_owned(),
            audio: vec![0; 100].into(),
        };
        assert_eq!(long_word.said(50), "");
    }
}
