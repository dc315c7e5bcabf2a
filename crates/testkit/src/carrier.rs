//! Fakes of services that place calls: HTTP on loopback, the services' own shapes, and books of what rang.
//!
//! Contract: a fake answers as the service's documents say, keeps its own books of which number rang how often, and
//! does what it is told with the next requests that place calls ([`Fault`]). It refuses wrong credentials by itself,
//! and signs what it reports as the service does.
//!
//! Refuses: audio, TLS, pacing of its own.

mod account;
mod adapter;
mod bandwidth;
mod bland;
mod books;
mod elevenlabs;
mod fault;
mod keys;
mod laml;
mod livekit;
mod plivo;
mod report;
mod retell;
mod server;
mod sign;
mod synthflow;
mod telnyx;
mod trigger_url;
mod vapi;
mod vonage;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use books::{FakeCall, FakeEnding, FakeState};
pub use fault::Fault;
pub use keys::Keys;

use adapter::Adapter;
use books::Books;

/// Longest that [`FakeCarrier::until`] waits.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which service a fake stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FakeKind {
    /// Twilio, Calls API.
    Twilio,
    /// SignalWire, Compatibility API.
    SignalWire,
    /// Telnyx, Call Control.
    Telnyx,
    /// Plivo, Call API.
    Plivo,
    /// Vonage, Voice API.
    Vonage,
    /// Bandwidth, Voice API.
    Bandwidth,
    /// Vapi, calls.
    Vapi,
    /// Retell, phone calls.
    Retell,
    /// ElevenLabs, outbound calls.
    ElevenLabs,
    /// Bland, Send call.
    Bland,
    /// LiveKit, SIP and Room services.
    LiveKit,
    /// Synthflow, calls.
    Synthflow,
    /// A trigger URL of the user's own.
    TriggerUrl,
}

impl FakeKind {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Twilio,
        Self::SignalWire,
        Self::Telnyx,
        Self::Plivo,
        Self::Vonage,
        Self::Bandwidth,
        Self::Vapi,
        Self::Retell,
        Self::ElevenLabs,
        Self::Bland,
        Self::LiveKit,
        Self::Synthflow,
        Self::TriggerUrl,
    ];

    /// What the product's settings call it.
    pub fn provider(self) -> &'static str {
        match self {
            Self::Twilio => "twilio",
            Self::SignalWire => "signalwire",
            Self::Telnyx => "telnyx",
            Self::Plivo => "plivo",
            Self::Vonage => "vonage",
            Self::Bandwidth => "bandwidth",
            Self::Vapi => "vapi",
            Self::Retell => "retell",
            Self::ElevenLabs => "elevenlabs",
            Self::Bland => "bland",
            Self::LiveKit => "livekit",
            Self::Synthflow => "synthflow",
            Self::TriggerUrl => "trigger_url",
        }
    }

    fn adapter(self) -> &'static dyn Adapter {
        match self {
            Self::Twilio => &laml::TWILIO,
            Self::SignalWire => &laml::SIGNALWIRE,
            Self::Telnyx => &telnyx::Telnyx,
            Self::Plivo => &plivo::Plivo,
            Self::Vonage => &vonage::Vonage,
            Self::Bandwidth => &bandwidth::Bandwidth,
            Self::Vapi => &vapi::Vapi,
            Self::Retell => &retell::Retell,
            Self::ElevenLabs => &elevenlabs::ElevenLabs,
            Self::Bland => &bland::Bland,
            Self::LiveKit => &livekit::LiveKit,
            Self::Synthflow => &synthflow::Synthflow,
            Self::TriggerUrl => &trigger_url::TriggerUrl,
        }
    }
}

/// What the fake and its server share.
struct Shared {
    kind: FakeKind,
    adapter: &'static dyn Adapter,
    keys: Keys,
    books: Mutex<Books>,
    changed: watch::Sender<()>,
}

impl Shared {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    /// Does something with the books, and tells who waits for them.
    fn change<T>(&self, change: impl FnOnce(&mut Books) -> T) -> T {
        let changed = change(&mut self.books());
        self.changed.send_replace(());
        changed
    }
}

/// A service that places calls, on a port of its own. Ends when it is dropped.
pub struct FakeCarrier {
    shared: Arc<Shared>,
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Drop for FakeCarrier {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl FakeCarrier {
    /// Starts one with [`Keys::of`] this kind.
    ///
    /// # Panics
    /// Outside a tokio runtime, or if there is no free port.
    pub fn start(kind: FakeKind) -> Self {
        Self::start_with(kind, Keys::of(kind))
    }

    /// Starts one that takes these credentials only.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub fn start_with(kind: FakeKind, keys: Keys) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let shared = Arc::new(Shared {
            kind,
            adapter: kind.adapter(),
            keys,
            books: Mutex::new(Books::new()),
            changed: watch::Sender::new(()),
        });
        let server = tokio::spawn(server::serve(listener, shared.clone()));
        Self {
            shared,
            address,
            server,
        }
    }

    /// Which service it stands for.
    pub fn kind(&self) -> FakeKind {
        self.shared.kind
    }

    /// Where it is, as `http://127.0.0.1:port`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it takes and signs with.
    pub fn keys(&self) -> &Keys {
        &self.shared.keys
    }

    /// What the next requests that place calls meet, one each; those after them meet the default again.
    ///
    /// # Panics
    /// If a fault is one that this service does not have.
    pub fn script(&self, faults: impl IntoIterator<Item = Fault>) {
        let faults: Vec<Fault> = faults.into_iter().collect();
        for fault in &faults {
            self.check(fault);
        }
        self.shared.change(|books| books.script.extend(faults));
    }

    /// What all requests that place calls meet when the script is over; [`Fault::Accept`] in the beginning.
    ///
    /// # Panics
    /// If the fault is one that this service does not have.
    pub fn by_default(&self, fault: Fault) {
        self.check(&fault);
        self.shared.change(|books| books.default = fault);
    }

    fn check(&self, fault: &Fault) {
        let kind = self.shared.kind;
        let has = match fault {
            Fault::MeansFailure => self.shared.adapter.failure(&FakeCall::none()).is_some(),
            Fault::Sip(_) => kind == FakeKind::LiveKit,
            _ => true,
        };
        assert!(has, "{kind:?} has nothing like {fault:?}");
    }

    /// Whether a trigger URL makes one call only for one `Idempotency-Key`. Not in the beginning; other services
    /// do what their documents say.
    pub fn deduplicates(&self, deduplicates: bool) {
        self.shared
            .change(|books| books.deduplicates = deduplicates);
    }

    /// How often a number (E.164) rang.
    pub fn rings(&self, number: &str) -> u32 {
        self.shared.books().rings.get(number).copied().unwrap_or(0)
    }

    /// How often all numbers rang.
    pub fn all_rings(&self) -> u32 {
        self.shared.books().rings.values().sum()
    }

    /// Every call that was accepted, oldest first.
    pub fn calls(&self) -> Vec<FakeCall> {
        self.shared.books().calls.clone()
    }

    /// One call.
    ///
    /// # Panics
    /// If there is none of this name.
    pub fn call(&self, id: &str) -> FakeCall {
        self.shared.books().call(id).clone()
    }

    /// How many requests were read, of any kind.
    pub fn requests(&self) -> u64 {
        self.shared.books().requests
    }

    /// How many requests to place a call were read, refused ones among them.
    pub fn creates(&self) -> u64 {
        self.shared.books().creates
    }

    /// Calls that were called off by a request, in that order.
    pub fn cancelled(&self) -> Vec<String> {
        self.shared.books().cancelled.clone()
    }

    /// What was granted before calls were asked for, as JSON, in that order: LiveKit's dispatches of agents.
    pub fn prepared(&self) -> Vec<serde_json::Value> {
        self.shared.books().prepared.clone()
    }

    /// Dials what [`Fault::Queue`] left waiting.
    pub fn release(&self) {
        self.shared.change(Books::release);
    }

    /// Look-ups and status know again what [`Fault::Forget`] hid.
    pub fn remember(&self) {
        self.shared.change(|books| {
            for call in &mut books.calls {
                call.forgotten = false;
            }
        });
    }

    /// The callee answers.
    ///
    /// # Panics
    /// If there is no call of this name.
    pub fn answer(&self, id: &str) {
        self.shared
            .change(|books| books.call_mut(id).go(FakeState::Answered));
    }

    /// A call ends. One that is [`FakeEnding::Completed`] was answered before.
    ///
    /// # Panics
    /// If there is no call of this name.
    pub fn end(&self, id: &str, ending: FakeEnding) {
        self.shared.change(|books| {
            let call = books.call_mut(id);
            if ending == FakeEnding::Completed && call.state == FakeState::Ringing {
                call.go(FakeState::Answered);
            }
            call.go(FakeState::Ended(ending));
        });
    }

    /// Waits until something is so.
    ///
    /// # Panics
    /// After a minute.
    pub async fn until(&self, mut so: impl FnMut(&Self) -> bool) {
        let mut changed = self.shared.changed.subscribe();
        let wait = async {
            while !so(self) {
                changed.changed().await.unwrap();
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        let books = self.calls();
        waited.unwrap_or_else(|_| panic!("it did not become so within {PATIENCE:?}: {books:#?}"));
    }
}
