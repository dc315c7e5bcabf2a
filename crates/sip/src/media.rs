//! The audio of one call, as its user sees it: play, listen, stop, count.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::recording::{Recording, RecordingError};
use crate::{Codec, FRAME_SAMPLES, sdp};

/// Most playbacks waiting in one call.
const MAX_PLAYBACKS: usize = 256;
/// Most received frames waiting for their reader: 10 s.
const MAX_FRAMES: usize = 500;

/// Where a call is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordTo {
    /// The WAV file: stereo, 8 kHz, 16 bit; left is received, right is sent. Its folder is created.
    pub path: PathBuf,
}

/// How the audio of a call is handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaOptions {
    /// Record from the answer on.
    pub record: Option<RecordTo>,
    /// Send to where packets really come from instead of where the far end's SDP says: what works
    /// through NAT. Packets from a third address are then dropped.
    pub symmetric_rtp: bool,
    /// After so long without a packet (default 30 s) [`MediaStats::timed_out`] is set.
    pub media_timeout: Duration,
    /// Whether that also ends the call. Off by default: not every test client sends audio.
    pub end_on_media_timeout: bool,
}

impl Default for MediaOptions {
    fn default() -> Self {
        Self {
            record: None,
            symmetric_rtp: true,
            media_timeout: Duration::from_secs(30),
            end_on_media_timeout: false,
        }
    }
}

impl MediaOptions {
    /// These options with a recording at `path`.
    #[must_use]
    pub fn recording_to(mut self, path: impl Into<PathBuf>) -> Self {
        self.record = Some(RecordTo { path: path.into() });
        self
    }
}

/// 20 ms of received audio.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// 160 samples at 8 kHz; zeros while nothing is received.
    pub samples: [i16; FRAME_SAMPLES],
    /// Where the frame lies on the media time axis, which begins at the answer and is that of the recording too.
    pub at: Duration,
    /// The far end's stream had begun, and part of this frame was not received: lost, late, or not sent.
    pub concealed: bool,
}

/// What happened to the audio of a call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MediaStats {
    /// RTP packets sent.
    pub packets_sent: u64,
    /// Valid RTP packets received, duplicates not counted.
    pub packets_received: u64,
    /// Packets that never arrived, by sequence number (RFC 3550 appendix A.3).
    pub lost: u64,
    /// Packets that arrived too late to be played whole.
    pub late: u64,
    /// Packets received more than once.
    pub duplicated: u64,
    /// Datagrams that are not RTP.
    pub malformed: u64,
    /// RTP with a payload type that was not agreed, or from a third address.
    pub unexpected: u64,
    /// Telephone-event packets (RFC 4733).
    pub telephone_events: u64,
    /// Packets the system refused to send.
    pub send_errors: u64,
    /// Interarrival jitter in milliseconds (RFC 3550 section 6.4.1).
    pub jitter_ms: f64,
    /// The most a packet left after its time, in milliseconds: our own lag, not the far end's.
    pub max_send_lateness_ms: f64,
    /// When the first audio packet came, from the answer.
    pub first_rx: Option<Duration>,
    /// When the last audio packet came, from the answer.
    pub last_rx: Option<Duration>,
    /// Nothing was received for the media timeout, at least once.
    pub timed_out: bool,
    /// Received frames dropped because their reader was too slow.
    pub frames_dropped: u64,
    /// Why the recording ended early, if it did.
    pub recording_error: Option<RecordingError>,
}

/// Which way the audio of a call takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaPath {
    /// The codec both ways.
    pub codec: Codec,
    /// Where the far end's session description wants its packets.
    pub described: SocketAddr,
    /// Where its packets really come from; `None` before the first one, and without symmetric RTP.
    pub seen: Option<SocketAddr>,
}

/// How a playback ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaybackEnd {
    /// Every sample was sent.
    Completed,
    /// [`Playback::stop`] was called.
    Stopped,
    /// The call ended first.
    CallEnded,
    /// Refused: too many playbacks were waiting.
    QueueFull,
}

/// What became of a playback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaybackReport {
    /// How it ended.
    pub end: PlaybackEnd,
    /// Samples handed to the network, at 8 kHz.
    pub sent: usize,
    /// Samples it was asked to play.
    pub total: usize,
}

/// One sequence of samples on its way out. Dropping it does not stop it.
#[derive(Debug)]
pub struct Playback {
    shared: Arc<Shared>,
    state: Arc<PlayState>,
    end: watch::Receiver<Option<PlaybackEnd>>,
}

#[derive(Debug)]
struct PlayState {
    sent: AtomicUsize,
    total: usize,
}

#[derive(Debug)]
struct Queued {
    samples: Arc<[i16]>,
    state: Arc<PlayState>,
    end: watch::Sender<Option<PlaybackEnd>>,
}

/// The audio of a call. Cheap to clone; it stays readable after the call ended.
#[derive(Debug, Clone)]
pub struct Media {
    shared: Arc<Shared>,
    recording: Option<Recording>,
}

/// What the user's side and the media clock share.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    frame_ready: Notify,
    over: watch::Sender<bool>,
    timed_out: watch::Sender<bool>,
}

#[derive(Debug)]
pub(crate) struct State {
    playbacks: VecDeque<Queued>,
    frames: VecDeque<Frame>,
    pub(crate) stats: MediaStats,
    pub(crate) agreed: sdp::Agreed,
    /// The address RTP is really exchanged with, once known.
    pub(crate) latched: Option<SocketAddr>,
    pub(crate) stopping: bool,
    over: bool,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere must not end the audio; every field is valid at any moment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn frame_arrived(&self) {
        self.frame_ready.notify_waiters();
    }

    pub(crate) fn media_timed_out(&self) {
        self.timed_out.send_replace(true);
    }

    /// The clock lets go of the call: nothing is played or heard any more.
    pub(crate) fn finish(&self) {
        {
            let mut state = self.lock();
            state.over = true;
            for queued in state.playbacks.drain(..) {
                queued.end.send_replace(Some(PlaybackEnd::CallEnded));
            }
        }
        self.frame_ready.notify_waiters();
        self.over.send_replace(true);
    }
}

impl State {
    pub(crate) fn deliver(&mut self, frame: Frame) {
        if self.frames.len() == MAX_FRAMES {
            self.frames.pop_front();
            self.stats.frames_dropped += 1;
        }
        self.frames.push_back(frame);
    }

    /// Fills an outgoing frame from what is queued, one playback running into the next without a gap.
    pub(crate) fn fill(&mut self, frame: &mut [i16; FRAME_SAMPLES]) {
        let mut filled = 0;
        while let Some(queued) = self.playbacks.front()
            && let Some(room) = frame.get_mut(filled..).filter(|room| !room.is_empty())
        {
            let sent = queued.state.sent.load(Ordering::Relaxed);
            let left = queued.samples.get(sent..).unwrap_or_default();
            let count = left.len().min(room.len());
            for (out, sample) in room.iter_mut().zip(left) {
                *out = *sample;
            }
            filled += count;
            queued.state.sent.store(sent + count, Ordering::Relaxed);
            if count == left.len() {
                queued.end.send_replace(Some(PlaybackEnd::Completed));
                self.playbacks.pop_front();
            }
        }
    }
}

impl Media {
    pub(crate) fn new(agreed: sdp::Agreed, recording: Option<Recording>) -> Self {
        let state = State {
            playbacks: VecDeque::new(),
            frames: VecDeque::new(),
            stats: MediaStats::default(),
            agreed,
            latched: None,
            stopping: false,
            over: false,
        };
        let shared = Shared {
            state: Mutex::new(state),
            frame_ready: Notify::new(),
            over: watch::Sender::new(false),
            timed_out: watch::Sender::new(false),
        };
        Self {
            shared: Arc::new(shared),
            recording,
        }
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Queues samples (8 kHz, mono) behind what is already queued. Silence is sent when nothing is.
    pub fn play(&self, samples: impl Into<Arc<[i16]>>) -> Playback {
        let samples = samples.into();
        let play_state = Arc::new(PlayState {
            sent: AtomicUsize::new(0),
            total: samples.len(),
        });
        let (end, watching) = watch::channel(None);
        let mut state = self.shared.lock();
        if state.over || state.stopping {
            end.send_replace(Some(PlaybackEnd::CallEnded));
        } else if state.playbacks.len() == MAX_PLAYBACKS {
            end.send_replace(Some(PlaybackEnd::QueueFull));
        } else {
            state.playbacks.push_back(Queued {
                samples,
                state: Arc::clone(&play_state),
                end,
            });
        }
        drop(state);
        Playback {
            shared: Arc::clone(&self.shared),
            state: play_state,
            end: watching,
        }
    }

    /// Whether anything is queued or being sent.
    #[must_use]
    pub fn playing(&self) -> bool {
        !self.shared.lock().playbacks.is_empty()
    }

    /// The next 20 ms of received audio, silence included. `None` once the call is over and everything was
    /// read. A reader more than 10 s behind loses the oldest frames ([`MediaStats::frames_dropped`]); several
    /// readers share the frames between them. Cancel-safe.
    pub async fn next_frame(&self) -> Option<Frame> {
        loop {
            let ready = self.shared.frame_ready.notified();
            {
                let mut state = self.shared.lock();
                if let Some(frame) = state.frames.pop_front() {
                    return Some(frame);
                }
                if state.over {
                    return None;
                }
            }
            ready.await;
        }
    }

    /// The recording, if one was asked for.
    #[must_use]
    pub fn recording(&self) -> Option<&Recording> {
        self.recording.as_ref()
    }

    /// Which way the audio takes, as of now.
    #[must_use]
    pub fn path(&self) -> MediaPath {
        let state = self.shared.lock();
        MediaPath {
            codec: state.agreed.codec,
            described: state.agreed.remote,
            seen: state.latched,
        }
    }

    /// The counters as of now.
    #[must_use]
    pub fn stats(&self) -> MediaStats {
        let mut stats = self.shared.lock().stats.clone();
        stats.recording_error = self.recording.as_ref().and_then(Recording::error);
        stats
    }

    /// Takes over what a later offer/answer exchange agreed on.
    pub(crate) fn renegotiate(&self, agreed: sdp::Agreed) {
        let mut state = self.shared.lock();
        if state.agreed.remote != agreed.remote {
            state.latched = None;
        }
        state.agreed = agreed;
    }

    pub(crate) fn stop(&self) {
        self.shared.lock().stopping = true;
    }

    /// Waits until the clock let go of the call.
    pub(crate) async fn over(&self) {
        // The sender lives as long as `self`.
        let _ = self.shared.over.subscribe().wait_for(|over| *over).await;
    }

    /// Waits for the media timeout.
    pub(crate) async fn timed_out(&self) {
        let _ = self
            .shared
            .timed_out
            .subscribe()
            .wait_for(|timed_out| *timed_out)
            .await;
    }
}

impl Playback {
    /// Waits until every sample was sent, or it ended otherwise. Cancel-safe.
    pub async fn finished(&self) -> PlaybackReport {
        let mut end = self.end.clone();
        let end = match end.wait_for(Option::is_some).await {
            Ok(end) => end.unwrap_or(PlaybackEnd::CallEnded),
            Err(_) => PlaybackEnd::CallEnded,
        };
        self.report(end)
    }

    /// Stops at once; the current frame is the last. Returns how much was really sent. Does nothing to a
    /// playback that already ended.
    pub fn stop(&self) -> PlaybackReport {
        let mut state = self.shared.lock();
        let place = state
            .playbacks
            .iter()
            .position(|queued| Arc::ptr_eq(&queued.state, &self.state));
        if let Some(queued) = place.and_then(|place| state.playbacks.remove(place)) {
            queued.end.send_replace(Some(PlaybackEnd::Stopped));
        }
        drop(state);
        let end = self.end.borrow().unwrap_or(PlaybackEnd::Stopped);
        self.report(end)
    }

    /// Samples handed to the network so far.
    #[must_use]
    pub fn sent(&self) -> usize {
        self.state.sent.load(Ordering::Relaxed)
    }

    fn report(&self, end: PlaybackEnd) -> PlaybackReport {
        PlaybackReport {
            end,
            sent: self.sent(),
            total: self.state.total,
        }
    }
}
