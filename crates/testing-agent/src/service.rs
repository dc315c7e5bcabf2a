//! The service: takes calls, and lets go of them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;
use ringdown_bus::{Bus, Lease};
use ringdown_domain::HolderId;
use ringdown_domain::attempt::Verdict;
use ringdown_sip::{Endpoint, EndpointOptions, Incoming, IncomingCall};
use ringdown_voice::Synthesizer;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, info, warn};

use crate::call::{self, Slot};
use crate::ledger::{self, Ledger};
use crate::live::{Endings, Live};
use crate::metrics::{Metrics, Outcome};
use crate::recording::Workspace;
use crate::seldom::Seldom;
use crate::{Error, Options, RecordingSink, Trunk};

const USER_AGENT: &str = concat!("ringdown/", env!("CARGO_PKG_VERSION"));
/// Calls that may wait to be looked at; more are told 503 by the endpoint.
const BACKLOG: usize = 1_024;
/// Ended calls that may still be storing their recording and publishing, beyond as many as there
/// may be live calls.
const TAIL: usize = 256;
/// What calls that were hung up get to publish their end.
const SETTLE: Duration = Duration::from_secs(15);
/// What tasks get to notice that all is over.
const LAST_MOMENT: Duration = Duration::from_secs(2);

/// What every call needs.
pub(crate) struct Context {
    pub(crate) options: Options,
    pub(crate) bus: Bus,
    /// Who the calls are held by.
    pub(crate) holder: HolderId,
    pub(crate) synthesizer: Arc<dyn Synthesizer>,
    pub(crate) recordings: Arc<dyn RecordingSink>,
    pub(crate) workspace: Workspace,
    pub(crate) live: Arc<Live>,
    pub(crate) ledger: Ledger,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) platform_absent: Seldom,
    pub(crate) publishers: TaskTracker,
    /// Hang up every call.
    pub(crate) hang_up: CancellationToken,
    /// Stop publishing.
    pub(crate) give_up: CancellationToken,
    calls: TaskTracker,
    slots: Arc<Semaphore>,
    untrusted: Seldom,
    draining: CancellationToken,
}

/// The testing agent.
#[derive(Debug)]
pub struct Service;

/// A running testing agent. Dropped, it hangs up and stops without finishing what it had to report;
/// [`Handle::drain`] is the polite way.
pub struct Handle {
    context: Arc<Context>,
    endpoint: Endpoint,
    lease: Option<Lease>,
    loops: TaskTracker,
    stop: CancellationToken,
}

impl Service {
    /// Starts to take calls. `synthesizer` should cache what it renders: every call renders its
    /// prompts before it is answered. Recordings that a crash left behind are set aside.
    ///
    /// # Errors
    /// [`Error`]; nothing is left running.
    pub async fn start(
        options: Options,
        bus: Bus,
        synthesizer: Arc<dyn Synthesizer>,
        recordings: Arc<dyn RecordingSink>,
        registry: &Registry,
    ) -> Result<Handle, Error> {
        options.check()?;
        let metrics = Arc::new(Metrics::new(registry)?);
        let folder = options.folder.clone();
        let workspace = tokio::task::spawn_blocking(move || Workspace::open(&folder))
            .await
            .unwrap_or_else(|panic| Err(std::io::Error::other(panic)))
            .map_err(|source| Error::Folder {
                path: options.folder.clone(),
                source,
            })?;
        let endings = Endings::follow(&bus).await?;
        let (endpoint, incoming) = Endpoint::bind(EndpointOptions {
            listen: options.listen,
            user_agent: USER_AGENT.to_owned(),
            advertised_ip: options.advertised_ip,
            incoming_backlog: BACKLOG,
        })
        .await?;
        let lease = bus.lease("testing-agent", options.leases)?;
        let (ledger, entries) = Ledger::new(Arc::clone(&metrics));
        let context = Arc::new(Context {
            slots: Arc::new(Semaphore::new(
                options.max_calls.min(Semaphore::MAX_PERMITS),
            )),
            options,
            bus,
            holder: lease.holder().clone(),
            synthesizer,
            recordings,
            workspace,
            live: Arc::default(),
            ledger,
            metrics: Arc::clone(&metrics),
            platform_absent: Seldom::default(),
            publishers: TaskTracker::new(),
            hang_up: CancellationToken::new(),
            give_up: CancellationToken::new(),
            calls: TaskTracker::new(),
            untrusted: Seldom::default(),
            draining: CancellationToken::new(),
        });
        let handle = Handle {
            context: Arc::clone(&context),
            endpoint,
            lease: Some(lease),
            loops: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        let live = Arc::clone(&context.live);
        handle.run(async move { endings.pass_on(&live).await });
        handle.run(ledger::write(context.bus.clone(), entries, metrics));
        handle.run(accept(context, incoming));
        info!(listen = %handle.local_addr(), "the testing agent takes calls");
        Ok(handle)
    }
}

impl Handle {
    fn run(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.loops.spawn(async move {
            stop.run_until_cancelled(work).await;
        });
    }

    /// Where it listens for SIP, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.endpoint.local_addr()
    }

    /// Calls being set up or talked on.
    pub fn live_calls(&self) -> usize {
        let context = &self.context;
        let free = context.slots.available_permits();
        context.options.max_calls.saturating_sub(free)
    }

    /// Whether calls can be taken; `false` if the SIP stack has failed.
    pub fn is_healthy(&self) -> bool {
        !self.endpoint.stats().stack_failed
    }

    /// Takes no more calls (503, "draining"), lets the live ones finish for at most `patience`, then
    /// hangs up, and waits until everything is reported, at most 15 s more.
    pub async fn drain(mut self, patience: Duration) {
        let context = &self.context;
        context.draining.cancel();
        context.calls.close();
        context.publishers.close();
        let done = async {
            context.calls.wait().await;
            context.publishers.wait().await;
        };
        tokio::pin!(done);
        if tokio::time::timeout(patience, &mut done).await.is_err() {
            info!(
                live_calls = self.live_calls(),
                "hanging up the calls that are still live"
            );
            context.hang_up.cancel();
            if tokio::time::timeout(SETTLE, &mut done).await.is_err() {
                warn!("calls were still reporting their end when the testing agent had to stop");
                context.give_up.cancel();
                if tokio::time::timeout(LAST_MOMENT, &mut done).await.is_err() {
                    warn!("calls did not end in time");
                }
            }
        }
        // What was not published by now never will be.
        if let Some(lease) = self.lease.take() {
            lease.leave().await;
        }
        self.endpoint.shutdown(LAST_MOMENT).await;
        self.stop.cancel();
        self.loops.close();
        self.loops.wait().await;
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.cancel();
        self.context.hang_up.cancel();
        self.context.give_up.cancel();
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle")
            .field("local_addr", &self.local_addr())
            .field("live_calls", &self.live_calls())
            .finish_non_exhaustive()
    }
}

async fn accept(context: Arc<Context>, mut incoming: Incoming) {
    while let Some(call) = incoming.next().await {
        admit(&context, call).await;
    }
    if !context.draining.is_cancelled() {
        warn!("the SIP endpoint hands over no more calls");
    }
}

/// Decides what needs no platform. Never waits, so that no call waits for another.
async fn admit(context: &Arc<Context>, call: IncomingCall) {
    let source = call.source();
    let mut trunks = context.options.trunks.iter();
    let Some(trunk) = trunks.find(|trunk| trunk.contains(source.ip())) else {
        let verdict = Verdict::UntrustedSource;
        context.metrics.arrived(Outcome::Verdict(verdict));
        if context.ledger.may_report_untrusted() {
            let entry = call::request(context, &call, &Trunk::trusted(Vec::new()));
            context.ledger.report(call::decided(entry, verdict));
        }
        if let Some(times) = context.untrusted.due() {
            warn!(%source, times, "ignored calls from outside the trusted networks");
        }
        return call.ignore();
    };
    let request = call::request(context, &call, trunk);
    // Held while deciding, so that a drain that begins now waits for this call too.
    let _deciding = context.calls.token();
    if context.draining.is_cancelled() {
        context.metrics.arrived(Outcome::Draining);
        let entry = call::decided(request, Verdict::AtCapacity);
        context.ledger.report(entry);
        return call::refuse(call, 503, "draining").await;
    }
    let room = context.calls.len() <= context.options.max_calls.saturating_add(TAIL);
    let permit = Arc::clone(&context.slots).try_acquire_owned();
    let (true, Ok(permit)) = (room, permit) else {
        context
            .metrics
            .arrived(Outcome::Verdict(Verdict::AtCapacity));
        let entry = call::decided(request, Verdict::AtCapacity);
        context.ledger.report(entry);
        return call::refuse(call, 486, "the testing agent is at capacity").await;
    };
    context.metrics.live.inc();
    let slot = Slot {
        _permit: permit,
        live: context.metrics.live.clone(),
    };
    let span = tracing::info_span!(
        "call",
        call_id = tracing::field::Empty,
        run_id = tracing::field::Empty,
        team = tracing::field::Empty,
    );
    let serving = call::serve(Arc::clone(context), call, request, slot);
    context.calls.spawn(Box::pin(serving).instrument(span));
}
