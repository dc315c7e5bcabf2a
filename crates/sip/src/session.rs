//! The media clock: one thread that moves the audio of every call of an endpoint each 20 ms.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::jitter::Playout;
use crate::media::{Frame, MediaOptions, Shared, State};
use crate::recording::Feed;
use crate::rtp::{self, Arrival, Datagram, Packet, Reception, Sender};
use crate::{Error, FRAME_DURATION, FRAME_SAMPLES};

/// Datagrams read per call and tick at most: what a flood cannot exceed.
const MAX_DATAGRAMS: usize = 64;
/// Frames gathered before they go to the writer: 500 ms.
const FRAMES_PER_CHUNK: usize = 25;
/// After so many frames of silence another source may take the stream over: 2 s.
const RELATCH_FRAMES: u64 = 100;
/// A clock further behind than this does not catch up any more.
const MAX_BEHIND: Duration = Duration::from_secs(5);
/// A frame as the RTP time stamp counts it.
const FRAME_STAMP: u32 = 160;

/// The audio of one call, owned by the clock.
pub(crate) struct Session {
    socket: UdpSocket,
    shared: Arc<Shared>,
    feed: Option<Feed>,
    chunk: Vec<i16>,
    symmetric: bool,
    timeout_frames: u64,
    playout: Playout,
    reception: Reception,
    sender: Sender,
    /// Frames since the answer.
    tick: u64,
    last_rx: Option<u64>,
}

/// Buffers the clock lends to every session in turn.
struct Scratch {
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
}

/// The handle of the clock thread. The thread ends with its last handle and its last call.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    sessions: mpsc::Sender<Box<Session>>,
    panics: Arc<AtomicU64>,
}

impl Clock {
    pub(crate) fn start(panics: Arc<AtomicU64>) -> Result<Self, Error> {
        let (sessions, inbox) = mpsc::channel();
        let counter = Arc::clone(&panics);
        std::thread::Builder::new()
            .name("ringdown-media".to_owned())
            .spawn(move || run(&inbox, &counter))
            .map_err(|source| Error::Thread {
                name: "ringdown-media",
                source,
            })?;
        Ok(Self { sessions, panics })
    }

    pub(crate) fn add(&self, session: Session) {
        if let Err(mpsc::SendError(session)) = self.sessions.send(Box::new(session)) {
            self.panics.fetch_add(1, Ordering::Relaxed);
            tracing::error!("the media clock is gone; the call has no audio");
            session.shared.finish();
        }
    }
}

fn run(inbox: &mpsc::Receiver<Box<Session>>, panics: &AtomicU64) {
    let mut sessions: Vec<Box<Session>> = Vec::new();
    let mut scratch = Scratch {
        incoming: vec![0; 2_048],
        outgoing: Vec::with_capacity(256),
    };
    let mut next = Instant::now();
    loop {
        if sessions.is_empty() {
            match inbox.recv() {
                Ok(session) => sessions.push(session),
                Err(mpsc::RecvError) => return,
            }
            next = Instant::now() + FRAME_DURATION;
        }
        sessions.extend(inbox.try_iter());
        let wait = next.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            std::thread::sleep(wait);
        }
        sessions.retain_mut(|session| {
            let ticked = catch_unwind(AssertUnwindSafe(|| session.tick(next, &mut scratch)));
            let keep = ticked.unwrap_or_else(|_| {
                panics.fetch_add(1, Ordering::Relaxed);
                tracing::error!("the audio of a call failed and was given up; this is a defect, please report it");
                false
            });
            if !keep {
                session.shared.finish();
            }
            keep
        });
        next += FRAME_DURATION;
        // Behind by a little, the missed ticks follow at once, so that the time axis stays true. After a
        // suspended machine that would only be a flood.
        let now = Instant::now();
        if now.saturating_duration_since(next) > MAX_BEHIND {
            next = now;
        }
    }
}

impl Session {
    pub(crate) fn new(
        socket: UdpSocket,
        shared: Arc<Shared>,
        feed: Option<Feed>,
        options: &MediaOptions,
    ) -> Self {
        // Early media and whatever else came before the answer would only be delay now.
        let mut stale = [0; 1];
        for _ in 0..4_096 {
            if socket.recv_from(&mut stale).is_err() {
                break;
            }
        }
        let timeout = options.media_timeout.as_millis() / FRAME_DURATION.as_millis();
        Self {
            socket,
            shared,
            feed,
            chunk: Vec::new(),
            symmetric: options.symmetric_rtp,
            timeout_frames: u64::try_from(timeout).unwrap_or(u64::MAX).max(1),
            playout: Playout::new(),
            reception: Reception::default(),
            sender: Sender::new(),
            tick: 0,
            last_rx: None,
        }
    }

    /// Moves the call on by 20 ms. Returns whether it goes on.
    fn tick(&mut self, due: Instant, scratch: &mut Scratch) -> bool {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        if state.stopping {
            drop(state);
            self.flush();
            // Closes the file.
            self.feed = None;
            return false;
        }
        self.receive(&mut state, &mut scratch.incoming);
        let heard = self.playout.pop();
        let mut said = [0; FRAME_SAMPLES];
        self.send(&mut state, due, &mut said, &mut scratch.outgoing);
        let timed_out = self.watch_silence(&mut state);
        state.stats.lost = self.reception.lost();
        state.stats.duplicated = self.reception.duplicated;
        state.stats.jitter_ms = self.reception.jitter_ms();
        let at = self.now();
        state.deliver(Frame {
            samples: heard.samples,
            at,
            concealed: heard.concealed,
        });
        drop(state);
        shared.frame_arrived();
        if timed_out {
            shared.media_timed_out();
        }
        if self.feed.is_some() {
            self.chunk.extend(
                heard
                    .samples
                    .iter()
                    .zip(&said)
                    .flat_map(|(left, right)| [*left, *right]),
            );
            if self.chunk.len() >= FRAMES_PER_CHUNK * FRAME_SAMPLES * 2 {
                self.flush();
            }
        }
        self.tick += 1;
        true
    }

    /// The media time of the current tick.
    fn now(&self) -> Duration {
        Duration::from_millis(self.tick.saturating_mul(20))
    }

    fn flush(&mut self) {
        if let Some(feed) = &self.feed {
            feed.push(std::mem::take(&mut self.chunk));
        }
    }

    fn receive(&mut self, state: &mut State, buffer: &mut [u8]) {
        for _ in 0..MAX_DATAGRAMS {
            match self.socket.recv_from(buffer) {
                Ok((length, from)) => {
                    let datagram = rtp::parse(buffer.get(..length).unwrap_or_default());
                    self.on_datagram(state, &datagram, from);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // An ICMP error about an earlier packet; the next read is unaffected.
                Err(_) => {}
            }
        }
    }

    fn on_datagram(&mut self, state: &mut State, datagram: &Datagram<'_>, from: SocketAddr) {
        let packet = match datagram {
            Datagram::Rtp(packet) => packet,
            Datagram::Rtcp => return,
            Datagram::Malformed => {
                state.stats.malformed += 1;
                return;
            }
        };
        let is_audio = packet.payload_type == state.agreed.payload_type;
        let is_event = Some(packet.payload_type) == state.agreed.telephone_event;
        // RFC 3389 comfort noise says "silence"; it keeps the sequence going and carries no samples.
        let is_noise = packet.payload_type == 13;
        if !(is_audio || is_event || is_noise) || !self.welcome(state, from) {
            state.stats.unexpected += 1;
            return;
        }
        let [.., a, b, c, d] = self.tick.wrapping_mul(u64::from(FRAME_STAMP)).to_be_bytes();
        let arrival = self
            .reception
            .on_packet(packet, u32::from_be_bytes([a, b, c, d]));
        if arrival == Arrival::Duplicate {
            return;
        }
        state.stats.packets_received += 1;
        state.stats.telephone_events += u64::from(is_event);
        self.last_rx = Some(self.tick);
        let now = self.now();
        state.stats.first_rx.get_or_insert(now);
        state.stats.last_rx = Some(now);
        if is_audio {
            self.play(state, packet, arrival == Arrival::Restart);
        }
    }

    fn play(&mut self, state: &mut State, packet: &Packet<'_>, restart: bool) {
        let in_time = self.playout.push(
            state.agreed.codec,
            packet.timestamp,
            packet.payload,
            restart,
        );
        state.stats.late += u64::from(!in_time);
    }

    /// Whether a packet from this address belongs to the call; with symmetric RTP the first one decides.
    fn welcome(&self, state: &mut State, from: SocketAddr) -> bool {
        if !self.symmetric || state.latched == Some(from) {
            return true;
        }
        let quiet = self
            .last_rx
            .is_none_or(|last| self.tick.saturating_sub(last) > RELATCH_FRAMES);
        if state.latched.is_none() || quiet {
            state.latched = Some(from);
            return true;
        }
        false
    }

    fn send(
        &mut self,
        state: &mut State,
        due: Instant,
        said: &mut [i16; FRAME_SAMPLES],
        packet: &mut Vec<u8>,
    ) {
        if !state.agreed.may_send {
            self.sender.skip(FRAME_STAMP);
            return;
        }
        state.fill(said);
        packet.clear();
        self.sender
            .header(state.agreed.payload_type, FRAME_STAMP, packet);
        state.agreed.codec.encode(said, packet);
        let to = state
            .latched
            .filter(|_| self.symmetric)
            .unwrap_or(state.agreed.remote);
        match self.socket.send_to(packet, to) {
            Ok(_) => state.stats.packets_sent += 1,
            Err(_) => state.stats.send_errors += 1,
        }
        let lateness = due.elapsed().as_secs_f64() * 1_000.0;
        state.stats.max_send_lateness_ms = state.stats.max_send_lateness_ms.max(lateness);
    }

    /// Returns whether the far end has just been silent for the media timeout. Hold is not silence.
    fn watch_silence(&mut self, state: &mut State) -> bool {
        if !state.agreed.may_send {
            self.last_rx = Some(self.tick);
        }
        let silent = self.tick - self.last_rx.unwrap_or_default();
        let fires = silent == self.timeout_frames;
        state.stats.timed_out |= fires;
        fires
    }
}
