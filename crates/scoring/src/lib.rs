//! Judges finished calls by their recordings.
//!
//! [`score`] takes a stereo WAV (8 kHz, left the agent under test, right the testing agent), finds who spoke when, and gives a
//! [`Scorecard`]: measurements, the metrics of the API made from them, and a verdict. That part is pure: no clock, no I/O.
//! [`Scorer`] is the role around it: it takes `recorded` facts from the bus, reads the recording from the artefact store and
//! publishes the score.
//!
//! Definitions:
//!
//! * A channel is *active* where it holds speech, or other sound loud enough to be meant for the ear (test tones, music).
//! * A *turn* is activity of one side with pauses shorter than [`Options::turn_pause_ms`], unless the other side starts or stops
//!   in the pause.
//! * *Latency* is the time from the end of a testing-agent turn to the start of the agent turn that answers it. Only handoffs
//!   from testing agent to agent count: not the first words of a call, not speaking on, not starting while the testing agent
//!   speaks.
//! * *Percentiles* interpolate linearly between the two nearest ranks: for `n` sorted values the p-th is at position
//!   `p / 100 * (n - 1)`.
//!
//! Scoring is processor work, about 0.3 % of the recording's length: call it from a blocking thread, not from a task.

mod activity;
mod measure;
mod percentiles;
mod recording;
mod scorecard;
mod service;
mod timeline;

pub use percentiles::Percentiles;
pub use recording::{Error, Recording};
pub use scorecard::{Kind, Metric, Scorecard, Verdict};
pub use service::{Scorer, ScorerOptions};
pub use timeline::{Speaker, Turn};

/// Limits that the judgement uses. All in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Mutual silence longer than this fails silence detection (the reference's `silence_duration`).
    pub silence_ms: u64,
    /// Waiting longer than this for the agent fails infrastructure issues (the reference's `infra_issues_timeout`).
    pub answer_timeout_ms: u64,
    /// Pauses shorter than this do not end a turn.
    pub turn_pause_ms: u64,
    /// Both sides speaking for less than this is no interruption.
    pub min_overlap_ms: u64,
}

impl Default for Options {
    /// The reference's 10 s and 10 s; turns end after 1 s; interruptions overlap by 200 ms.
    fn default() -> Self {
        Self {
            silence_ms: 10_000,
            answer_timeout_ms: 10_000,
            turn_pause_ms: 1_000,
            min_overlap_ms: 200,
        }
    }
}

/// Scores a recording given as the bytes of a WAV file.
///
/// # Errors
/// When the bytes are no complete recording; see [`Error`].
pub fn score(wav: &[u8], options: &Options) -> Result<Scorecard, Error> {
    Ok(score_recording(&Recording::parse(wav)?, options))
}

/// Scores a recording that was read before.
#[must_use]
pub fn score_recording(recording: &Recording, options: &Options) -> Scorecard {
    let agent = activity::find(recording.agent());
    let testing_agent = activity::find(recording.testing_agent());
    measure::measure(&agent, &testing_agent, recording.duration_ms(), options)
}
