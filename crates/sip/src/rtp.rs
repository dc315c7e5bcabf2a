//! RTP packets (RFC 3550 section 5.1) and what a receiver can say about their arrival (section 6.4, appendix A).

/// RTP version 2 in the top two bits, no padding, no extension, no contributing sources.
const FIRST_OCTET: u8 = 0x80;
/// A jump in sequence numbers larger than this is a restart, not loss (RFC 3550 appendix A.1).
const MAX_DROPOUT: u16 = 3_000;
/// How far back a sequence number may be and still count as reordered.
const WINDOW: u64 = 64;

/// A packet as received, borrowing the datagram.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Packet<'a> {
    pub(crate) payload_type: u8,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
    pub(crate) payload: &'a [u8],
}

/// What arrived on an RTP port.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Datagram<'a> {
    Rtp(Packet<'a>),
    /// Multiplexed RTCP (RFC 5761 section 4): counted by no one yet, and never audio.
    Rtcp,
    Malformed,
}

/// Reads a datagram. Anything that contradicts its own lengths is malformed.
pub(crate) fn parse(octets: &[u8]) -> Datagram<'_> {
    match second_octet(octets) {
        Some(200..=207) => Datagram::Rtcp,
        Some(_) => parse_rtp(octets).map_or(Datagram::Malformed, Datagram::Rtp),
        None => Datagram::Malformed,
    }
}

/// The second octet of a version 2 packet.
fn second_octet(octets: &[u8]) -> Option<u8> {
    match octets {
        [first, second, ..] if first >> 6 == 2 => Some(*second),
        _ => None,
    }
}

fn parse_rtp(octets: &[u8]) -> Option<Packet<'_>> {
    let (header, rest) = octets.split_first_chunk::<12>()?;
    let [first, second, s0, s1, t0, t1, t2, t3, r0, r1, r2, r3] = *header;
    let sources = usize::from(first & 0x0f) * 4;
    let mut payload = rest.get(sources..)?;
    if first & 0x10 != 0 {
        let (extension, after) = payload.split_first_chunk::<4>()?;
        let [_, _, high, low] = *extension;
        payload = after.get(usize::from(u16::from_be_bytes([high, low])) * 4..)?;
    }
    if first & 0x20 != 0 {
        let padding = usize::from(*payload.last()?);
        if padding == 0 {
            return None;
        }
        payload = payload.get(..payload.len().checked_sub(padding)?)?;
    }
    Some(Packet {
        payload_type: second & 0x7f,
        sequence: u16::from_be_bytes([s0, s1]),
        timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
        ssrc: u32::from_be_bytes([r0, r1, r2, r3]),
        payload,
    })
}

/// The sending side's state: random starting points (RFC 3550 section 5.1).
#[derive(Debug)]
pub(crate) struct Sender {
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
    /// The next packet begins a talk spurt (RFC 3551 section 4.1).
    mark: bool,
}

impl Sender {
    pub(crate) fn new() -> Self {
        Self {
            sequence: rand::random(),
            timestamp: rand::random(),
            ssrc: rand::random(),
            mark: true,
        }
    }

    /// Writes the header of the next packet, carrying `samples` samples, and moves on.
    pub(crate) fn header(&mut self, payload_type: u8, samples: u32, out: &mut Vec<u8>) {
        let marker = if self.mark { 0x80 } else { 0 };
        self.mark = false;
        out.extend_from_slice(&[FIRST_OCTET, (payload_type & 0x7f) | marker]);
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&self.ssrc.to_be_bytes());
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(samples);
    }

    /// Time passes without a packet (hold): the time stamp follows it, the sequence does not.
    pub(crate) fn skip(&mut self, samples: u32) {
        self.timestamp = self.timestamp.wrapping_add(samples);
        self.mark = true;
    }
}

/// How a packet relates to those before it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// A new stream begins, or the old one restarted: forget what was buffered.
    Restart,
    New,
    Duplicate,
}

/// Reception statistics of one remote source (RFC 3550 appendix A.1, A.3, A.8).
#[derive(Debug, Default)]
pub(crate) struct Reception {
    source: Option<Source>,
    /// Totals of sources that ended.
    lost_before: u64,
    pub(crate) duplicated: u64,
    /// Smoothed interarrival jitter, in samples.
    jitter: f64,
    last_transit: Option<i64>,
}

#[derive(Debug)]
struct Source {
    ssrc: u32,
    base: u64,
    highest: u64,
    received: u64,
    /// Bit n: `highest - n` was received.
    seen: u64,
}

impl Reception {
    /// Accounts for a packet that arrived `now` samples after the call was answered.
    pub(crate) fn on_packet(&mut self, packet: &Packet<'_>, now: u32) -> Arrival {
        let arrival = self.place(packet);
        if arrival != Arrival::Duplicate {
            self.update_jitter(packet.timestamp, now, arrival == Arrival::Restart);
        }
        arrival
    }

    fn place(&mut self, packet: &Packet<'_>) -> Arrival {
        let Some(source) = self
            .source
            .as_mut()
            .filter(|source| source.ssrc == packet.ssrc)
        else {
            return self.restart(packet);
        };
        let [.., high, low] = source.highest.to_be_bytes();
        let ahead = packet
            .sequence
            .wrapping_sub(u16::from_be_bytes([high, low]));
        if ahead == 0 {
            self.duplicated += 1;
            return Arrival::Duplicate;
        }
        if ahead < MAX_DROPOUT {
            let ahead = u64::from(ahead);
            source.highest += ahead;
            source.seen = source
                .seen
                .checked_shl(u32::try_from(ahead).unwrap_or(u32::MAX))
                .unwrap_or(0)
                | 1;
            source.received += 1;
            return Arrival::New;
        }
        let behind = u64::from(ahead.wrapping_neg());
        if behind >= WINDOW {
            return self.restart(packet);
        }
        let bit = 1_u64 << behind;
        if source.seen & bit != 0 || source.highest - behind < source.base {
            self.duplicated += 1;
            return Arrival::Duplicate;
        }
        source.seen |= bit;
        source.received += 1;
        Arrival::New
    }

    fn restart(&mut self, packet: &Packet<'_>) -> Arrival {
        self.lost_before = self.lost();
        // One cycle up, so that a packet sent just before the first one does not underflow.
        let first = u64::from(packet.sequence) + (1 << 16);
        self.source = Some(Source {
            ssrc: packet.ssrc,
            base: first,
            highest: first,
            received: 1,
            seen: 1,
        });
        Arrival::Restart
    }

    /// RFC 3550 section 6.4.1: J += (|D| - J) / 16.
    fn update_jitter(&mut self, timestamp: u32, now: u32, restart: bool) {
        let transit = i64::from(now) - i64::from(timestamp);
        if let (Some(last), false) = (self.last_transit, restart) {
            // Both clocks wrap at 2^32; take the difference the short way round.
            let [_, _, _, _, a, b, c, d] = (transit - last).to_be_bytes();
            let difference = i32::from_be_bytes([a, b, c, d]);
            self.jitter += (f64::from(difference).abs() - self.jitter) / 16.0;
        }
        self.last_transit = Some(transit);
    }

    /// Packets that were sent and did not arrive, as far as sequence numbers tell.
    pub(crate) fn lost(&self) -> u64 {
        let current = self.source.as_ref().map_or(0, |source| {
            (source.highest - source.base + 1).saturating_sub(source.received)
        });
        self.lost_before + current
    }

    /// Smoothed interarrival jitter in milliseconds.
    pub(crate) fn jitter_ms(&self) -> f64 {
        self.jitter / 8.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(sequence: u16, timestamp: u32) -> Packet<'static> {
        Packet {
            payload_type: 0,
            sequence,
            timestamp,
            ssrc: 7,
            payload: &[],
        }
    }

    #[test]
    fn a_sent_packet_is_read_back() {
        let mut sender = Sender::new();
        let mut octets = Vec::new();
        sender.header(8, 160, &mut octets);
        octets.extend_from_slice(&[1, 2, 3]);
        let Datagram::Rtp(first) = parse(&octets) else {
            panic!("not RTP")
        };
        assert_eq!((first.payload_type, first.payload), (8, &[1_u8, 2, 3][..]));
        let mut next = Vec::new();
        sender.header(8, 160, &mut next);
        let Datagram::Rtp(second) = parse(&next) else {
            panic!("not RTP")
        };
        assert_eq!(second.sequence, first.sequence.wrapping_add(1));
        assert_eq!(second.timestamp, first.timestamp.wrapping_add(160));
        assert_eq!(second.ssrc, first.ssrc);
        assert_ne!(octets[1] & 0x80, 0, "the first packet is marked");
        assert_eq!(next[1] & 0x80, 0);
    }

    #[test]
    fn contributing_sources_extension_and_padding_are_skipped() {
        let mut octets = vec![0x80 | 0x20 | 0x10 | 0x02, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        octets.extend_from_slice(&[9; 8]);
        octets.extend_from_slice(&[0xbe, 0xde, 0, 1, 5, 5, 5, 5]);
        octets.extend_from_slice(&[42, 43, 0, 2]);
        let Datagram::Rtp(read) = parse(&octets) else {
            panic!("not RTP")
        };
        assert_eq!(read.payload, &[42, 43]);
        octets.pop();
        octets.push(200);
        assert_eq!(
            parse(&octets),
            Datagram::Malformed,
            "more padding than payload"
        );
        assert_eq!(parse(&[0x80, 200, 0, 0]), Datagram::Rtcp);
        assert_eq!(parse(&[]), Datagram::Malformed);
        assert_eq!(parse(&[0x40; 20]), Datagram::Malformed);
    }

    #[test]
    fn loss_reordering_duplicates_and_wrap_are_told_apart() {
        let mut reception = Reception::default();
        assert_eq!(reception.on_packet(&packet(65_533, 0), 0), Arrival::Restart);
        for sequence in [65_534, 0, 65_535, 2] {
            assert_eq!(
                reception.on_packet(&packet(sequence, 0), 0),
                Arrival::New,
                "{sequence}"
            );
        }
        assert_eq!(reception.lost(), 1);
        assert_eq!(reception.on_packet(&packet(0, 0), 0), Arrival::Duplicate);
        assert_eq!(reception.on_packet(&packet(2, 0), 0), Arrival::Duplicate);
        assert_eq!(
            reception.on_packet(&packet(65_500, 0), 0),
            Arrival::Duplicate,
            "before the first"
        );
        assert_eq!(reception.on_packet(&packet(1, 0), 0), Arrival::New);
        assert_eq!(reception.lost(), 0);
        assert_eq!(reception.duplicated, 3);
        assert_eq!(reception.on_packet(&packet(30_000, 0), 0), Arrival::Restart);
        assert_eq!(reception.lost(), 0, "a restart is not loss");
    }

    #[test]
    fn jitter_follows_rfc_3550() {
        let mut reception = Reception::default();
        // Alternately 0 and 10 ms late: |D| is 80 samples every time, so J tends to 80 samples, 10 ms.
        for n in 0..400_u16 {
            let late = if n % 2 == 0 { 0 } else { 80 };
            reception.on_packet(&packet(n, u32::from(n) * 160), u32::from(n) * 160 + late);
        }
        assert!(
            (reception.jitter_ms() - 10.0).abs() < 0.1,
            "{}",
            reception.jitter_ms()
        );
    }

    proptest! {
        #[test]
        fn any_datagram_is_survived(octets in proptest::collection::vec(any::<u8>(), 0..200), first in any::<u8>()) {
            let _ = parse(&octets);
            let mut forced = octets;
            if let Some(octet) = forced.first_mut() { *octet = 0x80 | (first & 0x3f); }
            if let Datagram::Rtp(read) = parse(&forced) {
                prop_assert!(read.payload.len() + 12 <= forced.len());
            }
        }

        #[test]
        fn any_order_of_packets_is_survived(packets in proptest::collection::vec((any::<u16>(), any::<u32>(), 0_u32..3, any::<u32>()), 0..200)) {
            let mut reception = Reception::default();
            for (sequence, timestamp, ssrc, now) in packets {
                reception.on_packet(&Packet { payload_type: 0, sequence, timestamp, ssrc, payload: &[] }, now);
            }
            prop_assert!(reception.jitter_ms().is_finite());
            let _ = reception.lost();
        }
    }
}
