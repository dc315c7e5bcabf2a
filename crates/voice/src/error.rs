use std::{io, path::PathBuf, sync::Arc, time::Duration};

/// Why speech could not be made. The messages complete "failed to ...: ".
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A program this engine needs is not installed.
    #[error("find the program `{tool}`; install it with `{install}`")]
    MissingTool {
        /// Name or path that was tried.
        tool: String,
        /// Command that installs it on Debian and Ubuntu.
        install: &'static str,
    },
    /// The engine does not offer this voice.
    #[error("use the voice `{voice}`: {engine} offers {available}")]
    UnknownVoice {
        /// Engine that was asked.
        engine: &'static str,
        /// Voice that was asked for.
        voice: String,
        /// Voices it has, separated by spaces.
        available: String,
    },
    /// An option is outside its range.
    #[error("use {option} = {value}: it must be {range}")]
    Option {
        /// Name of the field.
        option: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        range: &'static str,
    },
    /// The text holds nothing that can be spoken.
    #[error("speak an empty text; give the prompt at least one word")]
    EmptyText,
    /// The text is longer than one prompt may be.
    #[error("speak {chars} characters at once; split the prompt into parts of at most {limit}")]
    TextTooLong {
        /// Length of the text in characters.
        chars: usize,
        /// Longest text allowed.
        limit: usize,
    },
    /// The engine ran and produced nothing usable.
    #[error("speak with {engine}: {detail}")]
    Engine {
        /// Engine that failed.
        engine: &'static str,
        /// What it said or did.
        detail: String,
    },
    /// The engine did not finish in time and was killed.
    #[error("speak with {engine} within {} ms; the machine may be overloaded", .after.as_millis())]
    Deadline {
        /// Engine that was killed.
        engine: &'static str,
        /// How long it was given.
        after: Duration,
    },
    /// Too many prompts are waiting to be rendered.
    #[error("get a turn to speak with {engine} within {} ms; render fewer distinct prompts at once", .after.as_millis())]
    Busy {
        /// Engine that is busy.
        engine: &'static str,
        /// How long the request waited.
        after: Duration,
    },
    /// A file or process operation failed.
    #[error("{action} {}: {source}", .path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// File, folder or program concerned.
        path: PathBuf,
        /// The operating system's answer.
        source: Arc<io::Error>,
    },
}

impl Error {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io {
            action,
            path: path.into(),
            source: Arc::new(source),
        }
    }
}
