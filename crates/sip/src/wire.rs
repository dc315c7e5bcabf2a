//! The UDP socket between the network and the SIP stack.
//!
//! Three things the stack does not do happen here: what does not parse is counted and never reaches
//! it (and a parser panic is contained), callers that are being ignored stay ignored, and for every
//! INVITE it is known whether it left the machine.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rsipstack::platform::net::UdpSocket as StackSocket;
use rsipstack::sip::prelude::{HeadersExt, ToTypedHeader};
use rsipstack::sip::{Method, SipMessage};
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use tokio::sync::watch;

/// Receive and send buffer of the socket: the default loses calls under load.
const SOCKET_BUFFER: usize = 4 << 20;
/// How long an ignored caller stays ignored: longer than it retransmits (RFC 3261 timer B is 32 s) or rings.
const IGNORED_FOR: Duration = Duration::from_secs(180);
/// Most callers ignored at a time; beyond that the oldest are forgotten.
const MAX_IGNORED: usize = 16_384;

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) datagrams: AtomicU64,
    pub(crate) malformed: AtomicU64,
    pub(crate) panics: Arc<AtomicU64>,
    pub(crate) ignored: AtomicU64,
    pub(crate) invites: AtomicU64,
    pub(crate) overflowed: AtomicU64,
    pub(crate) unmatched: AtomicU64,
    pub(crate) dials: AtomicU64,
}

pub(crate) fn add_one(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Whether the INVITEs of one dial left the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Departure {
    Waiting,
    Sent,
    /// The system refused, and nothing has been sent.
    Failed(String),
    /// Given up: nothing was sent and nothing will be.
    Closed,
}

#[derive(Debug)]
pub(crate) struct Gate(watch::Sender<Departure>);

impl Gate {
    /// Makes sure nothing is sent from now on. Returns whether that came before the first INVITE.
    pub(crate) fn close_unsent(&self) -> bool {
        self.0.send_if_modified(|departure| {
            let unsent = *departure != Departure::Sent;
            if unsent {
                *departure = Departure::Closed;
            }
            unsent
        })
    }

    /// Waits until the system refused to send the INVITE.
    pub(crate) async fn failed(&self) -> String {
        let mut departure = self.0.subscribe();
        loop {
            // Not `wait_for`: what it borrows must not live across an await.
            if let Departure::Failed(reason) = &*departure.borrow_and_update() {
                return reason.clone();
            }
            if departure.changed().await.is_err() {
                // The sender lives as long as `self`, so this is not reached.
                return String::new();
            }
        }
    }
}

/// What the wire must remember between datagrams.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    gates: Mutex<HashMap<String, Arc<Gate>>>,
    ignored: Mutex<Ignored>,
}

#[derive(Debug, Default)]
struct Ignored {
    until: HashMap<(String, SocketAddr), Instant>,
    order: VecDeque<(String, SocketAddr)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every critical section leaves the maps valid at every step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Memory {
    pub(crate) fn open_gate(&self, call_id: &str) -> Arc<Gate> {
        let gate = Arc::new(Gate(watch::Sender::new(Departure::Waiting)));
        lock(&self.gates).insert(call_id.to_owned(), Arc::clone(&gate));
        gate
    }

    pub(crate) fn forget_gate(&self, call_id: &str) {
        lock(&self.gates).remove(call_id);
    }

    fn gate_of(&self, octets: &[u8]) -> Option<Arc<Gate>> {
        if !octets.starts_with(b"INVITE ") {
            return None;
        }
        let gates = lock(&self.gates);
        if gates.is_empty() {
            return None;
        }
        let text = std::str::from_utf8(octets).ok()?;
        let call_id = text
            .lines()
            .find_map(|line| line.strip_prefix("Call-ID:"))?;
        gates.get(call_id.trim()).cloned()
    }

    /// Drops everything this caller sends for this call from now on.
    pub(crate) fn ignore(&self, call_id: &str, source: SocketAddr) {
        let now = Instant::now();
        let mut ignored = lock(&self.ignored);
        while let Some(oldest) = ignored.order.front()
            && (ignored.order.len() >= MAX_IGNORED
                || ignored.until.get(oldest).is_none_or(|until| *until <= now))
        {
            if let Some(oldest) = ignored.order.pop_front() {
                ignored.until.remove(&oldest);
            }
        }
        let key = (call_id.to_owned(), source);
        if ignored
            .until
            .insert(key.clone(), now + IGNORED_FOR)
            .is_none()
        {
            ignored.order.push_back(key);
        }
    }

    fn ignores(&self, call_id: &str, source: SocketAddr) -> bool {
        let ignored = lock(&self.ignored);
        !ignored.until.is_empty()
            && ignored
                .until
                .get(&(call_id.to_owned(), source))
                .is_some_and(|until| *until > Instant::now())
    }
}

#[derive(Debug)]
pub(crate) struct Wire {
    socket: tokio::net::UdpSocket,
    counters: Arc<Counters>,
    memory: Arc<Memory>,
}

impl Wire {
    pub(crate) fn bind(
        addr: SocketAddr,
        counters: Arc<Counters>,
        memory: Arc<Memory>,
    ) -> io::Result<Self> {
        let domain = socket2::Domain::for_address(addr);
        let socket =
            socket2::Socket::new(domain, socket2::Type::DGRAM, Some(socket2::Protocol::UDP))?;
        // The system may grant less; smaller buffers lose retransmittable packets under load, nothing else.
        if let Err(error) = socket
            .set_recv_buffer_size(SOCKET_BUFFER)
            .and_then(|()| socket.set_send_buffer_size(SOCKET_BUFFER))
        {
            tracing::debug!(%error, "the SIP socket keeps its default buffers");
        }
        socket.set_nonblocking(true)?;
        socket.bind(&addr.into())?;
        let socket = tokio::net::UdpSocket::from_std(socket.into())?;
        Ok(Self {
            socket,
            counters,
            memory,
        })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Whether the stack may see this datagram.
    fn admits(&self, octets: &[u8], source: SocketAddr) -> bool {
        // Keep-alives (RFC 5626 section 4.4.1) are the stack's to answer.
        if octets.iter().all(u8::is_ascii_whitespace) {
            return true;
        }
        match catch_unwind(AssertUnwindSafe(|| inspect(octets))) {
            Ok(Some(call_id)) => {
                let ignored = self.memory.ignores(&call_id, source);
                if ignored {
                    add_one(&self.counters.ignored);
                }
                !ignored
            }
            Ok(None) => {
                let seen = self.counters.malformed.fetch_add(1, Ordering::Relaxed);
                // Once in a while: a scanner must not fill the log.
                if seen.is_multiple_of(1_000) {
                    tracing::warn!(%source, total = seen + 1, "dropped a datagram that is not SIP");
                }
                false
            }
            Err(_) => {
                add_one(&self.counters.panics);
                add_one(&self.counters.malformed);
                tracing::error!(%source, "the SIP parser failed on a datagram; dropped");
                false
            }
        }
    }
}

/// The Call-ID of a message that has everything the stack relies on, or `None`.
fn inspect(octets: &[u8]) -> Option<String> {
    let message = SipMessage::try_from(octets).ok()?;
    let call_id = match &message {
        SipMessage::Request(request) => {
            TransactionKey::from_request(request, TransactionRole::Server).ok()?;
            let method = check(request)?;
            // RFC 3261 section 8.1.1.5: the CSeq method must match the request's.
            if method != request.method {
                return None;
            }
            request.call_id_header().ok()?
        }
        SipMessage::Response(response) => {
            TransactionKey::from_response(response, TransactionRole::Client).ok()?;
            check(response)?;
            response.call_id_header().ok()?
        }
    };
    let call_id = call_id.value().trim();
    (!call_id.is_empty() && call_id.len() <= 512).then(|| call_id.to_owned())
}

fn check(message: &impl HeadersExt) -> Option<Method> {
    message.via_header().ok()?.clone().typed().ok()?;
    message.from_header().ok()?.clone().typed().ok()?.tag()?;
    message.to_header().ok()?.clone().typed().ok()?;
    let cseq = message.cseq_header().ok()?;
    cseq.seq().ok()?;
    cseq.method().ok()
}

#[async_trait::async_trait]
impl StackSocket for Wire {
    async fn recv_from(&self, buf: &mut [u8]) -> rsipstack::Result<(usize, SocketAddr)> {
        loop {
            match self.socket.recv_from(buf).await {
                Ok((length, source)) => {
                    add_one(&self.counters.datagrams);
                    let octets = buf.get(..length).unwrap_or_default();
                    if length > 0 && self.admits(octets, source) {
                        return Ok((length, source));
                    }
                }
                Err(error) => {
                    // An ICMP error about an earlier datagram. Waiting keeps a persistent one from spinning.
                    tracing::debug!(%error, "receive on the SIP socket");
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        }
    }

    async fn send_to(&self, buf: &[u8], addr: SocketAddr) -> rsipstack::Result<usize> {
        let Some(gate) = self.memory.gate_of(buf) else {
            return Ok(self.socket.send_to(buf, addr).await?);
        };
        // Marked before the attempt: a crash of this task in between must not look like "never sent".
        let mut before = Departure::Waiting;
        gate.0.send_if_modified(|departure| {
            before = departure.clone();
            if *departure != Departure::Closed {
                *departure = Departure::Sent;
            }
            false
        });
        if before == Departure::Closed {
            return Ok(buf.len());
        }
        match self.socket.send_to(buf, addr).await {
            Ok(sent) => Ok(sent),
            Err(error) => {
                // Nothing left in this attempt; if nothing did before either, that is still so.
                if before != Departure::Sent {
                    gate.0.send_if_modified(|departure| {
                        let waiting = *departure == Departure::Sent;
                        if waiting {
                            *departure = Departure::Failed(format!("send to {addr}: {error}"));
                        }
                        waiting
                    });
                }
                Err(error.into())
            }
        }
    }

    fn local_addr(&self) -> rsipstack::Result<SocketAddr> {
        Ok(self.socket.local_addr()?)
    }
}
