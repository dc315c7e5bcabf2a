//! Hearing and speaking for the testing agent and for scoring.
//!
//! The crate holds the traits and the offline defaults behind them:
//!
//! * [`Synthesizer`] turns text into 8 kHz mono audio: [`Flite`] (the Debian package `flite`), [`Tone`] (tone bursts that
//!   need no tool), and [`Cached`], which keeps what any of them rendered;
//! * [`SpeechDetector`] judges 20 ms frames as they arrive: [`Earshot`] (a small neural network behind an energy gate) and
//!   [`EnergyDetector`] (level only);
//! * [`Turns`] makes "somebody started" and "somebody finished" out of those judgements;
//! * [`segments`] does the same for a whole channel at once.
//!
//! Contract: audio is 8 kHz mono signed 16-bit everywhere. Levels are dBFS, where a full-scale square wave is 0. Nothing here
//! panics on any input, waits without a deadline, or keeps memory without a bound. Synthesis is slow (tens of milliseconds
//! for a sentence): render prompts before the call, through [`Cached`].
//!
//! Refused: other sample rates at the interface, text above [`MAX_TEXT_CHARS`], and voice names that could be read as a path.

mod cache;
mod detect;
mod disk;
mod energy;
mod error;
mod flite;
mod resample;
mod segments;
mod synthesis;
mod tone;
mod turns;

pub use cache::{CacheOptions, Cached};
pub use detect::{
    Decision, Earshot, EarshotOptions, EnergyDetector, FRAME, FRAME_SAMPLES, Frame, SpeechDetector,
};
pub use energy::{level_dbfs, normalise};
pub use error::Error;
pub use flite::{Flite, FliteOptions};
pub use resample::decimate_by_two;
pub use segments::{Segment, SegmentOptions, audible_threshold, segments};
pub use synthesis::{MAX_TEXT_CHARS, Synthesizer, VoiceOptions};
pub use tone::Tone;
pub use turns::{TurnEvent, TurnOptions, Turns};

/// Samples per second of all audio at the interface of this crate.
pub const SAMPLE_RATE: u32 = 8_000;
