//! The user agent: one UDP socket, one media clock, one recorder.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use rsipstack::EndpointBuilder;
use rsipstack::dialog::dialog_layer::DialogLayer;
use rsipstack::dialog::invite_dialog::InviteDialog;
use rsipstack::sip::prelude::HeadersExt;
use rsipstack::sip::{Header, HostWithPort, Method, Scheme, StatusCode, Uri};
use rsipstack::transaction::endpoint::EndpointOption;
use rsipstack::transaction::transaction::Transaction;
use rsipstack::transaction::{Endpoint as Stack, TransactionReceiver};
use rsipstack::transport::TransportLayer;
use rsipstack::transport::udp::UdpConnection;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::call::Call;
use crate::dial::DialRequest;
use crate::dialog::ALLOW;
use crate::incoming::{self, Incoming, IncomingCall};
use crate::media::{Media, MediaOptions};
use crate::recording::Recorder;
use crate::session::{Clock, Session};
use crate::wire::{Counters, Memory, Wire, add_one};
use crate::{DialError, Error, dial, sdp};

/// How long a proceeding INVITE of ours may ring (RFC 3261 timer C); the ring timeout ends it sooner.
pub(crate) const MAX_RING: Duration = Duration::from_secs(600);
/// A request may overtake the registration of the dialog it belongs to by a moment: so often and so far apart it
/// is looked up again.
const LOOKUPS: u32 = 5;
const LOOKUP_PAUSE: Duration = Duration::from_millis(20);
/// How long refusals may take to leave when the endpoint stops.
const REFUSAL_GRACE: Duration = Duration::from_millis(100);

/// How an endpoint is set up.
#[derive(Debug, Clone)]
pub struct EndpointOptions {
    /// Where to listen for SIP over UDP. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// The address others reach this machine at, if it is not the one listened on: behind 1:1 NAT.
    pub advertised_ip: Option<IpAddr>,
    /// Calls that may wait for [`Incoming::next`]; what comes on top is told 503.
    pub incoming_backlog: usize,
}

/// What an endpoint has seen since it was bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EndpointStats {
    /// Datagrams received on the SIP socket.
    pub datagrams: u64,
    /// Datagrams dropped because they are not SIP, or not enough of it.
    pub malformed_datagrams: u64,
    /// Datagrams dropped because their call is being ignored.
    pub ignored_datagrams: u64,
    /// New calls that came in.
    pub invites: u64,
    /// New calls refused with 503 because too many were waiting, or the endpoint was shutting down.
    pub invites_overflowed: u64,
    /// Requests for calls that do not exist here.
    pub unmatched_requests: u64,
    /// Calls placed.
    pub dials: u64,
    /// Answered calls that have not ended yet.
    pub live_calls: usize,
    /// SIP dialogs held: live calls, calls being set up or refused. Grows without bound only if there is a leak.
    pub dialogs: usize,
    /// Panics that were contained. Anything but 0 is a defect.
    pub contained_panics: u64,
    /// The SIP stack stopped by itself; the endpoint is of no use any more.
    pub stack_failed: bool,
}

/// A SIP user agent. Cheap to clone; keep a clone as long as calls live. With its last clone it stops
/// listening and hangs up, without waiting for an answer to its BYEs; [`Endpoint::shutdown`] is the
/// polite way.
#[derive(Clone)]
pub struct Endpoint {
    inner: Arc<Inner>,
    _stop: Arc<StopOnDrop>,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("local_addr", &self.inner.local)
            .finish_non_exhaustive()
    }
}

struct StopOnDrop(Arc<Inner>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.hang_up_all.cancel();
        self.0.stop.cancel();
    }
}

/// The tasks of live calls, counted.
#[derive(Debug, Clone)]
pub(crate) struct Live(TaskTracker);

impl Live {
    /// Counts a call until the token is dropped.
    pub(crate) fn enter(&self) -> TaskTrackerToken {
        self.0.token()
    }

    pub(crate) fn spawn_task(self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(task);
    }
}

pub(crate) struct Inner {
    pub(crate) layer: Arc<DialogLayer>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) live: Live,
    /// Incoming calls without a decision.
    pub(crate) undecided: TaskTracker,
    /// Ends every live call and refuses every undecided one.
    pub(crate) hang_up_all: CancellationToken,
    /// Ends the endpoint itself.
    pub(crate) stop: CancellationToken,
    local: SocketAddr,
    advertised: SocketAddr,
    draining: AtomicBool,
    stack_failed: AtomicBool,
    clock: Clock,
    recorder: Recorder,
}

impl Endpoint {
    /// Opens the SIP socket and starts to listen.
    ///
    /// # Errors
    /// [`Error::Bind`] or [`Error::Thread`].
    pub async fn bind(options: EndpointOptions) -> Result<(Self, Incoming), Error> {
        let counters = Arc::new(Counters::default());
        let memory = Arc::new(Memory::default());
        let bind_error = |source| Error::Bind {
            addr: options.listen,
            source,
        };
        let wire = Wire::bind(options.listen, Arc::clone(&counters), Arc::clone(&memory))
            .map_err(bind_error)?;
        let local = wire.local_addr().map_err(bind_error)?;
        let stop = CancellationToken::new();
        let external = options
            .advertised_ip
            .map(|ip| SocketAddr::new(ip, local.port()));
        let connection =
            UdpConnection::from_socket(Arc::new(wire), external, Some(stop.child_token()))
                .await
                .map_err(stack)?;
        let advertised = connection.get_addr().get_socketaddr().map_err(stack)?;
        let transport = TransportLayer::new(stop.clone());
        transport.add_transport(connection.into());
        let mut builder = EndpointBuilder::new();
        builder
            .with_user_agent(&options.user_agent)
            .with_cancel_token(stop.clone())
            .with_transport_layer(transport)
            .with_option(EndpointOption {
                timerc: MAX_RING,
                callid_suffix: Some(advertised.ip().to_string()),
                ..EndpointOption::default()
            });
        let endpoint = builder.build();
        let requests = endpoint.incoming_transactions().map_err(stack)?;
        let inner = Arc::new(Inner {
            layer: Arc::new(DialogLayer::new(Arc::clone(&endpoint.inner))),
            clock: Clock::start(Arc::clone(&counters.panics))?,
            recorder: Recorder::start()?,
            counters,
            memory,
            live: Live(TaskTracker::new()),
            undecided: TaskTracker::new(),
            hang_up_all: CancellationToken::new(),
            stop: stop.clone(),
            local,
            advertised,
            draining: AtomicBool::new(false),
            stack_failed: AtomicBool::new(false),
        });
        let (calls, waiting) = mpsc::channel(options.incoming_backlog.max(1));
        tokio::spawn(serve(endpoint, Arc::clone(&inner)));
        tokio::spawn(dispatch(requests, Arc::clone(&inner), calls));
        let incoming = Incoming::new(waiting);
        let stop = StopOnDrop(Arc::clone(&inner));
        Ok((
            Self {
                inner,
                _stop: Arc::new(stop),
            },
            incoming,
        ))
    }

    /// The address listened on, with the real port.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.inner.local
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// Places a call and waits until it is answered or has finally failed. Dropping the future gives the call up:
    /// it is cancelled, or hung up if the answer comes first.
    ///
    /// # Errors
    /// [`DialError`]; [`DialError::was_sent`] tells whether another attempt would be safe.
    pub async fn dial(&self, request: DialRequest) -> Result<Call, DialError> {
        Box::pin(dial::dial(Arc::clone(&self.inner), request)).await
    }

    /// Refuses new calls with 503, hangs up the live ones, waits for their ends until the deadline, and stops.
    pub async fn shutdown(&self, deadline: Duration) {
        self.inner.draining.store(true, Ordering::Relaxed);
        self.inner.hang_up_all.cancel();
        self.inner.live.0.close();
        self.inner.undecided.close();
        let refused = !self.inner.undecided.is_empty();
        let ended = async {
            self.inner.undecided.wait().await;
            self.inner.live.0.wait().await;
            if refused {
                // A refusal is on its way out when it counts as decided.
                tokio::time::sleep(REFUSAL_GRACE).await;
            }
        };
        if tokio::time::timeout(deadline, ended).await.is_err() {
            tracing::warn!(
                calls = self.inner.live.0.len(),
                "calls were still ending at the shutdown deadline"
            );
        }
        self.inner.stop.cancel();
    }

    /// The counters as of now.
    #[must_use]
    pub fn stats(&self) -> EndpointStats {
        let inner = &self.inner;
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        EndpointStats {
            datagrams: read(&inner.counters.datagrams),
            malformed_datagrams: read(&inner.counters.malformed),
            ignored_datagrams: read(&inner.counters.ignored),
            invites: read(&inner.counters.invites),
            invites_overflowed: read(&inner.counters.overflowed),
            unmatched_requests: read(&inner.counters.unmatched),
            dials: read(&inner.counters.dials),
            live_calls: inner.live.0.len(),
            dialogs: inner.layer.len(),
            contained_panics: read(&inner.counters.panics),
            stack_failed: inner.stack_failed.load(Ordering::Relaxed),
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape map_err wants")]
fn stack(error: rsipstack::Error) -> Error {
    Error::Stack(error.to_string())
}

/// Runs the stack, and notices if it ends by itself.
async fn serve(endpoint: Stack, inner: Arc<Inner>) {
    let outcome = std::panic::AssertUnwindSafe(endpoint.serve())
        .catch_unwind()
        .await;
    if outcome.is_err() {
        add_one(&inner.counters.panics);
    }
    if !inner.stop.is_cancelled() {
        inner.stack_failed.store(true, Ordering::Relaxed);
        inner.hang_up_all.cancel();
        tracing::error!("the SIP stack stopped; restart this process");
        inner.stop.cancel();
    }
}

/// Hands every new transaction to a task of its own; never waits for one.
async fn dispatch(
    mut requests: TransactionReceiver,
    inner: Arc<Inner>,
    calls: mpsc::Sender<IncomingCall>,
) {
    loop {
        let transaction = tokio::select! {
            () = inner.stop.cancelled() => return,
            transaction = requests.recv() => transaction,
        };
        let Some(transaction) = transaction else {
            return;
        };
        let inner = Arc::clone(&inner);
        let calls = calls.clone();
        tokio::spawn(async move {
            let panics = Arc::clone(&inner.counters.panics);
            let handled = std::panic::AssertUnwindSafe(handle(transaction, inner, calls));
            if handled.catch_unwind().await.is_err() {
                add_one(&panics);
                tracing::error!(
                    "handling a SIP request failed; this is a defect, please report it"
                );
            }
        });
    }
}

async fn handle(
    mut transaction: Transaction,
    inner: Arc<Inner>,
    calls: mpsc::Sender<IncomingCall>,
) {
    let request = &transaction.original;
    let method = request.method;
    let in_dialog = request
        .to_header()
        .is_ok_and(|to| to.tag().is_ok_and(|tag| tag.is_some()));
    if method == Method::Invite && !in_dialog {
        add_one(&inner.counters.invites);
        if inner.draining.load(Ordering::Relaxed) {
            return inner.overflow(&mut transaction).await;
        }
        return Box::pin(incoming::serve(transaction, inner, calls)).await;
    }
    if in_dialog {
        for _ in 0..LOOKUPS {
            if let Some(mut dialog) = inner.layer.match_dialog(&transaction) {
                if let Err(error) = Box::pin(dialog.handle(&mut transaction)).await {
                    tracing::debug!(%error, %method, "a request inside a dialog");
                }
                return;
            }
            tokio::time::sleep(LOOKUP_PAUSE).await;
        }
    }
    let allow = vec![Header::Allow(ALLOW.into())];
    let replied = match method {
        Method::Ack => return,
        Method::Options if !in_dialog => transaction.reply_with(StatusCode::OK, allow, None).await,
        Method::Bye | Method::Cancel | Method::Info | Method::Update => {
            add_one(&inner.counters.unmatched);
            transaction
                .reply(StatusCode::CallTransactionDoesNotExist)
                .await
        }
        _ if in_dialog => {
            add_one(&inner.counters.unmatched);
            transaction
                .reply(StatusCode::CallTransactionDoesNotExist)
                .await
        }
        _ => {
            add_one(&inner.counters.unmatched);
            transaction
                .reply_with(StatusCode::MethodNotAllowed, allow, None)
                .await
        }
    };
    if let Err(error) = replied {
        tracing::debug!(%error, %method, "reply");
    }
}

impl Inner {
    /// There is no room for this call now.
    pub(crate) async fn overflow(&self, transaction: &mut Transaction) {
        add_one(&self.counters.overflowed);
        let retry = vec![Header::RetryAfter("1".into())];
        if let Err(error) = transaction
            .reply_with(StatusCode::ServiceUnavailable, retry, None)
            .await
        {
            tracing::debug!(%error, "refuse a call for lack of room");
        }
    }

    /// Ends an answered dialog that never became a call.
    pub(crate) fn hang_up(&self, dialog: InviteDialog, why: &'static str) {
        let layer = Arc::clone(&self.layer);
        self.live.clone().spawn_task(async move {
            if let Err(error) = dialog.bye().await {
                tracing::debug!(%error, why, "hang up");
            }
            layer.remove_dialog(&dialog.id());
        });
    }

    /// Our own URI.
    pub(crate) fn contact(&self, user: Option<&str>) -> Uri {
        self.uri(user, self.advertised)
    }

    pub(crate) fn uri(&self, user: Option<&str>, host: SocketAddr) -> Uri {
        Uri {
            scheme: Some(Scheme::Sip),
            auth: user.map(|user| rsipstack::sip::Auth {
                user: user.to_owned(),
                password: None,
            }),
            host_with_port: HostWithPort::from(host),
            ..Uri::default()
        }
    }

    /// Opens the RTP socket of a call and describes it.
    pub(crate) fn open_media(&self) -> Result<(UdpSocket, sdp::Local), Error> {
        let addr = SocketAddr::new(self.local.ip(), 0);
        let open = || {
            let socket = UdpSocket::bind(addr)?;
            socket.set_nonblocking(true)?;
            let port = socket.local_addr()?.port();
            Ok((socket, port))
        };
        let (socket, port) = open().map_err(|source| Error::MediaPort { addr, source })?;
        Ok((
            socket,
            sdp::Local::new(SocketAddr::new(self.advertised.ip(), port)),
        ))
    }

    /// Hands a call to the media clock.
    pub(crate) fn start_media(
        &self,
        socket: UdpSocket,
        agreed: sdp::Agreed,
        options: &MediaOptions,
    ) -> Media {
        let (recording, feed) = options
            .record
            .as_ref()
            .map(|to| self.recorder.open(to.path.clone()))
            .unzip();
        let media = Media::new(agreed, recording);
        self.clock
            .add(Session::new(socket, media.shared(), feed, options));
        media
    }
}
