//! The playout buffer: turns packets that arrive when they like into one frame every 20 ms.

use crate::FRAME_SAMPLES;
use crate::codec::Codec;

/// What is kept at most, in samples: one second.
const CAPACITY: u64 = 8_192;
/// How long the first packet waits before it is played, in samples: 40 ms.
const DELAY: u64 = 320;
/// A buffer that never ran lower than this beyond `DELAY` over a whole window is cut back, in samples.
const EXCESS: u64 = 320;
/// The window over which the lowest depth is taken, in frames: 2 s.
const WINDOW: u32 = 100;
/// So many late packets in a row mean the far clock drifted or jumped: start over.
const LATE_RUN: u32 = 5;
/// How many whole frames are filled by repeating the last one, fading, before silence.
const CONCEALED_FRAMES: u32 = 3;
/// Where extended time stamps begin, so that earlier packets do not underflow.
const ORIGIN: u64 = 1 << 40;

/// One frame on its way to the listener.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Played {
    pub(crate) samples: [i16; FRAME_SAMPLES],
    /// The stream had begun and part of this frame was not received.
    pub(crate) concealed: bool,
}

#[derive(Debug)]
pub(crate) struct Playout {
    ring: Vec<Option<i16>>,
    /// Extended time stamp of the next sample to play; `None` until the first packet.
    head: Option<u64>,
    /// Extended time stamp where the current stream began.
    origin: u64,
    /// One past the newest sample stored.
    newest: u64,
    late_run: u32,
    lowest_depth: u64,
    window: u32,
    last: [i16; FRAME_SAMPLES],
    missing_run: u32,
    decoded: Vec<i16>,
}

impl Playout {
    pub(crate) fn new() -> Self {
        Self {
            ring: vec![None; usize::try_from(CAPACITY).unwrap_or_default()],
            head: None,
            origin: ORIGIN,
            newest: ORIGIN,
            late_run: 0,
            lowest_depth: u64::MAX,
            window: 0,
            last: [0; FRAME_SAMPLES],
            missing_run: 0,
            decoded: Vec::new(),
        }
    }

    /// Takes the payload of a packet. Returns whether it came in time to be played whole.
    pub(crate) fn push(
        &mut self,
        codec: Codec,
        timestamp: u32,
        payload: &[u8],
        restart: bool,
    ) -> bool {
        // Longer than the buffer is nothing a G.711 sender does (1 s in a packet).
        let length = u64::try_from(payload.len()).unwrap_or(u64::MAX);
        if length == 0 || length > CAPACITY / 2 {
            return true;
        }
        let mut decoded = std::mem::take(&mut self.decoded);
        decoded.clear();
        codec.decode(payload, &mut decoded);
        let in_time = self.place(timestamp, &decoded, length, restart);
        self.decoded = decoded;
        in_time
    }

    fn place(&mut self, timestamp: u32, samples: &[i16], length: u64, restart: bool) -> bool {
        let head = match self.head {
            Some(head) if !restart => head,
            _ => self.start_at(self.extend(timestamp)),
        };
        let at = self.extend(timestamp);
        if at + length > head + CAPACITY {
            // A jump ahead beyond the buffer: the sender's clock restarted.
            self.start_at(at);
            self.store(at, samples);
            return true;
        }
        if at < head {
            self.late_run += 1;
            if self.late_run >= LATE_RUN {
                self.start_at(at);
            }
            self.store(at, samples);
            return false;
        }
        self.late_run = 0;
        self.store(at, samples);
        true
    }

    /// The time stamp nearest to the newest one that has these low 32 bits.
    fn extend(&self, timestamp: u32) -> u64 {
        let [.., a, b, c, d] = self.newest.to_be_bytes();
        let difference = timestamp.wrapping_sub(u32::from_be_bytes([a, b, c, d]));
        let difference = i32::from_be_bytes(difference.to_be_bytes());
        self.newest.saturating_add_signed(i64::from(difference))
    }

    fn start_at(&mut self, at: u64) -> u64 {
        // A hostile sender could walk the time stamp down to zero, half of 2^32 at a time.
        let at = if at < CAPACITY { at + ORIGIN } else { at };
        self.ring.fill(None);
        let head = at.saturating_sub(DELAY);
        self.head = Some(head);
        self.origin = at;
        self.newest = at;
        self.late_run = 0;
        self.lowest_depth = u64::MAX;
        self.window = 0;
        head
    }

    fn slot(&mut self, at: u64) -> Option<&mut Option<i16>> {
        self.ring.get_mut(usize::try_from(at % CAPACITY).ok()?)
    }

    fn store(&mut self, at: u64, samples: &[i16]) {
        let Some(head) = self.head else { return };
        for (at, sample) in (at..).zip(samples) {
            if at >= head
                && at < head + CAPACITY
                && let Some(slot) = self.slot(at)
            {
                *slot = Some(*sample);
                self.newest = self.newest.max(at + 1);
            }
        }
    }

    /// The next 20 ms.
    pub(crate) fn pop(&mut self) -> Played {
        let mut samples = [0; FRAME_SAMPLES];
        let Some(head) = self.head else {
            return Played {
                samples,
                concealed: false,
            };
        };
        let mut missing: u64 = 0;
        let fade = self.missing_run;
        let last = self.last;
        for ((at, out), previous) in (head..).zip(samples.iter_mut()).zip(last) {
            match self.slot(at).and_then(Option::take) {
                Some(sample) => *out = sample,
                None if at >= self.origin => {
                    missing += 1;
                    if fade < CONCEALED_FRAMES {
                        *out = previous >> (fade + 1);
                    }
                }
                None => {}
            }
        }
        let whole = u64::try_from(FRAME_SAMPLES).unwrap_or_default();
        if missing == whole {
            self.missing_run = self.missing_run.saturating_add(1);
        } else {
            self.missing_run = 0;
            self.last = samples;
        }
        self.head = Some(head + whole);
        self.trim();
        Played {
            samples,
            concealed: missing > 0,
        }
    }

    /// Cuts standing delay: what a burst left behind, or a far clock that runs fast.
    fn trim(&mut self) {
        let Some(head) = self.head else { return };
        self.lowest_depth = self.lowest_depth.min(self.newest.saturating_sub(head));
        self.window += 1;
        if self.window < WINDOW {
            return;
        }
        let excess = self.lowest_depth.saturating_sub(DELAY);
        if excess > EXCESS {
            for at in head..head + excess {
                if let Some(slot) = self.slot(at) {
                    *slot = None;
                }
            }
            self.head = Some(head + excess);
        }
        self.window = 0;
        self.lowest_depth = u64::MAX;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A payload of 20 ms whose samples are all the same, recognisable value.
    fn payload(level: i16) -> Vec<u8> {
        let mut out = Vec::new();
        Codec::Pcmu.encode(&[level; FRAME_SAMPLES], &mut out);
        out
    }

    fn is_level(played: &Played, level: i16) -> bool {
        played
            .samples
            .iter()
            .all(|s| (i32::from(*s) - i32::from(level)).abs() < 400)
    }

    #[test]
    fn packets_play_in_order_after_the_delay_whatever_the_order_they_came_in() {
        let mut playout = Playout::new();
        let start = u32::MAX - 100;
        let stamp = |n: u32| start.wrapping_add(n * 160);
        for (n, level) in [(0, 1_000), (2, 3_000), (1, 2_000)] {
            assert!(playout.push(Codec::Pcmu, stamp(n), &payload(level), n == 0));
        }
        for _ in 0..2 {
            let early = playout.pop();
            assert!(is_level(&early, 0) && !early.concealed);
        }
        for level in [1_000, 2_000, 3_000] {
            let played = playout.pop();
            assert!(is_level(&played, level), "{played:?}");
            assert!(!played.concealed);
        }
    }

    #[test]
    fn a_lost_packet_is_concealed_and_then_fades_to_silence() {
        let mut playout = Playout::new();
        playout.push(Codec::Pcmu, 0, &payload(8_000), true);
        playout.pop();
        playout.pop();
        assert!(is_level(&playout.pop(), 8_000));
        let first = playout.pop();
        assert!(first.concealed && is_level(&first, 4_000), "{first:?}");
        for _ in 0..3 {
            playout.pop();
        }
        let later = playout.pop();
        assert!(later.concealed && is_level(&later, 0));
    }

    #[test]
    fn late_packets_are_reported_and_a_run_of_them_starts_over() {
        let mut playout = Playout::new();
        playout.push(Codec::Pcmu, 0, &payload(1_000), true);
        for _ in 0..20 {
            playout.pop();
        }
        for n in 1..=4 {
            assert!(!playout.push(Codec::Pcmu, n * 160, &payload(5_000), false));
        }
        assert!(!playout.push(Codec::Pcmu, 5 * 160, &payload(5_000), false));
        assert!(playout.push(Codec::Pcmu, 6 * 160, &payload(5_000), false));
        playout.pop();
        playout.pop();
        assert!(is_level(&playout.pop(), 5_000));
    }

    #[test]
    fn a_burst_does_not_leave_delay_behind() {
        let mut playout = Playout::new();
        for n in 0..30 {
            playout.push(Codec::Pcmu, n * 160, &payload(1_000), n == 0);
        }
        for n in 30..400 {
            playout.push(Codec::Pcmu, n * 160, &payload(1_000), false);
            playout.pop();
        }
        let depth = playout.newest - playout.head.unwrap();
        assert!(depth <= DELAY + EXCESS + 160, "{depth}");
    }

    proptest! {
        #[test]
        fn any_packets_are_survived(packets in proptest::collection::vec((any::<u32>(), 0_usize..3_000, any::<bool>(), 0_u8..4), 0..120)) {
            let mut playout = Playout::new();
            for (timestamp, length, restart, pops) in packets {
                playout.push(Codec::Pcma, timestamp, &vec![0xd5; length], restart);
                for _ in 0..pops { playout.pop(); }
            }
        }
    }
}
