//! Ringdown's SIP user agent: places and answers calls, carries their audio, records them.
//!
//! Purpose: one [`Endpoint`] is a SIP user agent (RFC 3261, UAC and UAS) on one UDP socket, with
//! offer/answer (RFC 3264), G.711 over RTP (RFC 3550, 3551), a jitter buffer, and stereo
//! recording. Audio is 8 kHz mono, 16 bit, in frames of 160 samples (20 ms), on both sides of the API.
//!
//! Contract: no thread and no timer per call. One media clock thread per endpoint moves the audio of
//! all calls every 20 ms; one writer thread per endpoint writes the recordings. Every queue is
//! bounded: what does not fit is dropped and counted, never waited for. Every error says whether
//! anything left the machine ([`DialError::was_sent`]). Nothing received from the network panics.
//!
//! Refuses: to decide whether a call is welcome (the caller of [`Incoming::next`] does), to know
//! about runs, the bus or the store, to speak TLS, SRTP or wideband codecs, to transfer calls
//! (REFER is declined).

mod call;
mod caller;
mod codec;
mod dial;
mod dialog;
mod endpoint;
mod error;
mod header;
mod incoming;
mod jitter;
mod media;
mod probe;
mod recording;
mod rtp;
pub mod sdp;
mod session;
mod wire;

pub use call::{Call, Ended, EndedBy};
pub use caller::{CallerAddress, CallerField};
pub use codec::Codec;
pub use dial::{Credentials, DialRequest};
pub use endpoint::{Endpoint, EndpointOptions, EndpointStats};
pub use error::{DialError, Error};
pub use incoming::{Incoming, IncomingCall, Rejection};
pub use media::{
    Frame, Media, MediaOptions, MediaPath, MediaStats, Playback, PlaybackEnd, PlaybackReport,
    RecordTo,
};
pub use probe::{ProbeError, Probed};
pub use recording::{Recording, RecordingError, RecordingSummary};

/// Samples per second on both sides of the API and in recordings.
pub const SAMPLE_RATE: u32 = 8_000;
/// Samples in one frame of 20 ms.
pub const FRAME_SAMPLES: usize = 160;
/// How much time one frame covers.
pub const FRAME_DURATION: std::time::Duration = std::time::Duration::from_millis(20);
