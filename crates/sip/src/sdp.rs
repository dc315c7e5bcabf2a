//! Session descriptions (RFC 8866) and the offer/answer rules (RFC 3264) for one G.711 audio stream.
//!
//! Strict on purpose: what cannot be understood exactly is refused with a reason, because a guess
//! here becomes one-way audio later. Streams other than the first usable audio stream are refused
//! inside the answer (port 0), as RFC 3264 section 6 asks.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::codec::Codec;

/// Largest description that is read, in octets.
const MAX_OCTETS: usize = 16 * 1024;
/// Most media streams in one description.
const MAX_STREAMS: usize = 16;
/// Most payload types in one stream: all there are.
const MAX_FORMATS: usize = 128;
/// The payload type under which we offer telephone-event (RFC 4733).
const OUR_TELEPHONE_EVENT: u8 = 101;

/// Why a session description is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not a session description.
    #[error("the session description is malformed: {0}")]
    Malformed(String),
    /// There is no audio stream over plain RTP in it.
    #[error(
        "the session description holds no audio stream over RTP/AVP; switch off SRTP for this trunk"
    )]
    NoAudio,
    /// There is audio, but no codec we speak.
    #[error("no common codec; allow PCMU or PCMA on the other side")]
    NoCommonCodec,
    /// The stream has no address to send to.
    #[error("the audio stream names no usable IP address")]
    NoAddress,
}

/// Which way a stream flows, seen from the side that wrote the description (RFC 3264 section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Both ways.
    SendRecv,
    /// The writer only sends: we are on hold, or hear an announcement.
    SendOnly,
    /// The writer only listens.
    RecvOnly,
    /// Nothing flows.
    Inactive,
}

impl Direction {
    /// The answer to this direction when we want to send and receive (RFC 3264 section 6.1).
    #[must_use]
    pub fn answer(self) -> Self {
        match self {
            Self::SendRecv => Self::SendRecv,
            Self::SendOnly => Self::RecvOnly,
            Self::RecvOnly => Self::SendOnly,
            Self::Inactive => Self::Inactive,
        }
    }

    /// Whether the writer of the description wants to hear us.
    #[must_use]
    pub fn writer_listens(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    fn attribute(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    fn from_attribute(name: &str) -> Option<Self> {
        [
            Self::SendRecv,
            Self::SendOnly,
            Self::RecvOnly,
            Self::Inactive,
        ]
        .into_iter()
        .find(|direction| direction.attribute() == name)
    }
}

/// One `m=` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// `audio`, `video`, ...
    pub media: String,
    /// Port 0 means refused.
    pub port: u16,
    /// `RTP/AVP`, `RTP/SAVP`, ...
    pub protocol: String,
    /// The format list as written.
    pub formats: Vec<String>,
    /// Where the writer wants its packets, if an address was given.
    pub address: Option<IpAddr>,
    /// Which way it flows.
    pub direction: Direction,
    /// `a=rtpmap`: payload type, encoding name, clock rate in Hz.
    pub maps: Vec<(u8, String, u32)>,
}

/// A parsed session description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The streams in order.
    pub streams: Vec<Stream>,
}

/// What offer and answer agreed on for the audio stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// Where to send RTP.
    pub remote: SocketAddr,
    /// The codec both ways.
    pub codec: Codec,
    /// The payload type that carries it.
    pub payload_type: u8,
    /// The payload type of telephone-event (RFC 4733), if agreed.
    pub telephone_event: Option<u8>,
    /// Whether we may send. False while the far end holds the call.
    pub may_send: bool,
}

/// Our side of a session: what its descriptions say about us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// Where we want RTP.
    pub address: SocketAddr,
    /// A number that stays the same for the session (RFC 8866 section 5.2).
    pub session_id: u64,
    /// A number that grows with every description of the session.
    pub version: u64,
}

impl Description {
    /// Reads a description.
    ///
    /// # Errors
    /// [`Error::Malformed`] with the line that is wrong. Unknown line types and attributes are
    /// skipped, as RFC 8866 section 5 asks.
    pub fn parse(octets: &[u8]) -> Result<Self, Error> {
        if octets.len() > MAX_OCTETS {
            return Err(malformed("it is longer than 16 KiB"));
        }
        let text = std::str::from_utf8(octets).map_err(|_| malformed("it is not UTF-8"))?;
        let mut lines = text
            .split('\n')
            .map(|line| line.strip_suffix('\r').unwrap_or(line))
            .filter(|line| !line.is_empty());
        if lines.next() != Some("v=0") {
            return Err(malformed("it does not begin with v=0"));
        }
        let mut session_address = None;
        let mut session_direction = Direction::SendRecv;
        let mut streams: Vec<Stream> = Vec::new();
        for line in lines {
            let (kind, value) = line
                .split_once('=')
                .filter(|(kind, _)| kind.len() == 1)
                .ok_or_else(|| bad_line(line))?;
            match (kind, streams.last_mut()) {
                ("m", _) => {
                    if streams.len() == MAX_STREAMS {
                        return Err(malformed("it holds more than 16 streams"));
                    }
                    let mut stream = parse_media(value).ok_or_else(|| bad_line(line))?;
                    stream.address = session_address;
                    stream.direction = session_direction;
                    streams.push(stream);
                }
                ("c", None) => {
                    session_address = parse_connection(value).ok_or_else(|| bad_line(line))?;
                }
                ("c", Some(stream)) => {
                    stream.address = parse_connection(value).ok_or_else(|| bad_line(line))?;
                }
                ("a", stream) => {
                    if let Some(direction) = Direction::from_attribute(value.trim()) {
                        match stream {
                            Some(stream) => stream.direction = direction,
                            None => session_direction = direction,
                        }
                    } else if let (Some(map), Some(stream)) =
                        (value.strip_prefix("rtpmap:"), stream)
                    {
                        // A map for an encoding we do not know may have any shape; only ours matter.
                        if stream.maps.len() < MAX_FORMATS
                            && let Some(map) = parse_rtpmap(map)
                        {
                            stream.maps.push(map);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(Self { streams })
    }

    /// The first stream we could use, with its place in the list.
    fn audio(&self) -> Result<(usize, &Stream), Error> {
        self.streams
            .iter()
            .enumerate()
            .find(|(_, stream)| {
                stream.media == "audio" && stream.port != 0 && stream.protocol == "RTP/AVP"
            })
            .ok_or(Error::NoAudio)
    }
}

impl Stream {
    /// The meaning of a payload type in this stream.
    fn codec(&self, payload_type: u8) -> Option<Codec> {
        match self
            .maps
            .iter()
            .find(|(mapped, ..)| *mapped == payload_type)
        {
            Some((_, name, clock_rate)) => Codec::from_name(name, *clock_rate),
            None => Codec::from_static(payload_type),
        }
    }

    fn payload_types(&self) -> impl Iterator<Item = u8> {
        self.formats
            .iter()
            .filter_map(|format| format.parse().ok())
            .filter(|payload_type: &u8| *payload_type < 128)
    }

    fn agree(&self) -> Result<Agreed, Error> {
        let (payload_type, codec) = self
            .payload_types()
            .find_map(|payload_type| Some((payload_type, self.codec(payload_type)?)))
            .ok_or(Error::NoCommonCodec)?;
        let telephone_event = self.payload_types().find(|payload_type| {
            self.maps.iter().any(|(mapped, name, clock_rate)| {
                mapped == payload_type
                    && *clock_rate == 8_000
                    && name.eq_ignore_ascii_case("telephone-event")
            })
        });
        let address = self.address.ok_or(Error::NoAddress)?;
        // The unspecified address is the hold of RFC 2543: do not send.
        Ok(Agreed {
            remote: SocketAddr::new(address, self.port),
            codec,
            payload_type,
            telephone_event,
            may_send: self.direction.writer_listens() && !address.is_unspecified(),
        })
    }
}

impl Local {
    /// A session at `address`.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            // Below 2^53: some implementations keep it in a double.
            session_id: rand::random::<u64>() >> 12,
            version: 0,
        }
    }

    /// An offer of both laws and telephone-event.
    pub fn offer(&mut self) -> String {
        let mut sdp = self.head();
        let _ = write!(sdp, "m=audio {} RTP/AVP", self.address.port());
        for codec in Codec::OFFERED {
            let _ = write!(sdp, " {}", codec.payload_type());
        }
        let _ = write!(sdp, " {OUR_TELEPHONE_EVENT}\r\n");
        for codec in Codec::OFFERED {
            let _ = write!(
                sdp,
                "a=rtpmap:{} {}/8000\r\n",
                codec.payload_type(),
                codec.name()
            );
        }
        telephone_event(&mut sdp, OUR_TELEPHONE_EVENT);
        sdp.push_str("a=ptime:20\r\na=sendrecv\r\n");
        sdp
    }

    /// The answer to an offer, and what it agrees on.
    ///
    /// # Errors
    /// Every [`Error`]; the offer is then best refused with 488.
    pub fn answer(&mut self, offer: &Description) -> Result<(String, Agreed), Error> {
        let (place, audio) = offer.audio()?;
        let agreed = audio.agree()?;
        let mut sdp = self.head();
        for (at, stream) in offer.streams.iter().enumerate() {
            if at != place {
                let format = stream.formats.first().map_or("0", String::as_str);
                let _ = write!(sdp, "m={} 0 {} {format}\r\n", stream.media, stream.protocol);
                continue;
            }
            let _ = write!(
                sdp,
                "m=audio {} RTP/AVP {}",
                self.address.port(),
                agreed.payload_type
            );
            if let Some(event) = agreed.telephone_event {
                let _ = write!(sdp, " {event}");
            }
            let _ = write!(
                sdp,
                "\r\na=rtpmap:{} {}/8000\r\n",
                agreed.payload_type,
                agreed.codec.name()
            );
            if let Some(event) = agreed.telephone_event {
                telephone_event(&mut sdp, event);
            }
            let direction = audio.direction.answer().attribute();
            let _ = write!(sdp, "a=ptime:20\r\na={direction}\r\n");
        }
        Ok((sdp, agreed))
    }

    /// Reads the answer to our offer.
    ///
    /// # Errors
    /// Every [`Error`].
    pub fn accept(&self, answer: &Description) -> Result<Agreed, Error> {
        answer.audio()?.1.agree()
    }

    fn head(&mut self) -> String {
        self.version += 1;
        let ip = self.address.ip();
        let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
        format!(
            "v=0\r\no=- {} {} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n",
            self.session_id, self.version
        )
    }
}

fn telephone_event(sdp: &mut String, payload_type: u8) {
    let _ = write!(
        sdp,
        "a=rtpmap:{payload_type} telephone-event/8000\r\na=fmtp:{payload_type} 0-15\r\n"
    );
}

fn malformed(what: &str) -> Error {
    Error::Malformed(what.to_owned())
}

fn bad_line(line: &str) -> Error {
    let shown: String = line
        .chars()
        .take(60)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    Error::Malformed(format!("line \"{shown}\""))
}

/// `audio 49170 RTP/AVP 0 8` (RFC 8866 section 5.14).
fn parse_media(value: &str) -> Option<Stream> {
    let mut fields = value.split_ascii_whitespace();
    let media = token(fields.next()?)?;
    let port = fields.next()?;
    // `port/count` is hierarchical encoding; we never use more than the first port.
    let port = port
        .split_once('/')
        .map_or(port, |(port, _)| port)
        .parse()
        .ok()?;
    let protocol = fields.next()?;
    if !protocol.split('/').all(|part| token(part).is_some()) {
        return None;
    }
    let formats: Vec<String> = fields.map(str::to_owned).collect();
    let clean = formats.iter().all(|format| token(format).is_some());
    (!formats.is_empty() && formats.len() <= MAX_FORMATS && clean).then(|| Stream {
        media: media.to_owned(),
        port,
        protocol: protocol.to_owned(),
        formats,
        address: None,
        direction: Direction::SendRecv,
        maps: Vec::new(),
    })
}

/// A token of RFC 8866 section 9. What passes here is echoed in our answers.
fn token(text: &str) -> Option<&str> {
    let clean = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`{|}~".contains(c));
    (clean && !text.is_empty() && text.len() <= 64).then_some(text)
}

/// `IN IP4 192.0.2.1`, with an optional multicast suffix that we do not use. A host name is legal and yields no
/// address: we do not resolve names from strangers.
fn parse_connection(value: &str) -> Option<Option<IpAddr>> {
    let mut fields = value.split_ascii_whitespace();
    let (network, family, address) = (fields.next()?, fields.next()?, fields.next()?);
    if network != "IN" {
        return None;
    }
    let address = address.split('/').next().unwrap_or_default();
    let address = match family {
        "IP4" => address.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        "IP6" => address.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => return None,
    };
    Some(address.filter(|ip| !ip.is_multicast()))
}

/// `96 opus/48000/2`: payload type, encoding name, clock rate.
fn parse_rtpmap(value: &str) -> Option<(u8, String, u32)> {
    let (payload_type, rest) = value.trim().split_once(' ')?;
    let mut parts = rest.trim().split('/');
    let name = parts.next()?;
    let clock_rate = parts.next()?.parse().ok()?;
    Some((payload_type.parse().ok()?, name.to_owned(), clock_rate))
}

#[cfg(test)]
#[path = "sdp_tests.rs"]
mod tests;
