//! A bus, dialers on it, commands to dial with, and what was published about it all.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use prometheus::Registry;
use ringdown_bus::{
    Bus, Delivery, From, NatsServer, Observer, ServerOptions, Stream, WorkersOptions,
    find_nats_server, now, subject,
};
use ringdown_carrier::{Carrier, Dialed, Order, RouteSpec, Routes};
use ringdown_dialer::{Dialer, Options};
use ringdown_domain::dial::{Outcome, Stage};
use ringdown_domain::run::Status;
use ringdown_domain::{RunId, Team};
use ringdown_proto::v1::dial_fact::{Claimed, Intended, Step};
use ringdown_proto::v1::envelope::Fact;
use ringdown_proto::v1::{DialFact, Envelope, RunStatus, RunTransition};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

/// Long enough for a loaded machine; nothing waits for it when all goes well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A run that nobody dials.
const MARKER: i64 = i64::MAX;

/// A dialer that is silent for this long is taken for gone.
const ACK_WAIT: Duration = Duration::from_secs(1);

/// The route that transitions name unless a test says otherwise.
pub(crate) const ROUTE: &str = "main";

/// Appends the run to the file `dialed` beside the script.
pub(crate) const NOTE: &str = r#"printf '%s\n' "$RINGDOWN_RUN_ID" >>"$(dirname "$0")/dialed""#;

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("nothing happened for 30 s")
}

pub(crate) fn team() -> Team {
    "team".parse().unwrap()
}

pub(crate) struct World {
    pub(crate) bus: Bus,
    pub(crate) server: NatsServer,
    folder: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("ringdown dialer ")
            .tempdir()
            .unwrap();
        let server = NatsServer::start(ServerOptions {
            program: find_nats_server().unwrap(),
            folder: folder.path().join("bus"),
        })
        .await
        .unwrap();
        let bus = connect(server.url(), "platform").await;
        Self {
            bus,
            server,
            folder,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The runs that commands noted with [`NOTE`], in the order of their dials.
    pub(crate) fn dialed(&self) -> Vec<i64> {
        match std::fs::read_to_string(self.path("dialed")) {
            Ok(text) => text.lines().map(|line| line.parse().unwrap()).collect(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => panic!("{error}"),
        }
    }

    /// A route that runs a shell script.
    pub(crate) fn script(&self, name: &str, body: &str) -> RouteSpec {
        let path = self.path(name);
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        exec(&path)
    }

    /// A dialer with a connection of its own, under this name, that dials by `routes`.
    pub(crate) async fn dialer(&self, name: &str, routes: Routes) -> Dialer {
        self.dialer_with(name, options(routes)).await
    }

    pub(crate) async fn dialer_with(&self, name: &str, options: Options) -> Dialer {
        self.dialer_at(self.server.url(), name, options).await
    }

    /// A dialer that reaches the bus at another address.
    pub(crate) async fn dialer_at(&self, url: &str, name: &str, options: Options) -> Dialer {
        let bus = connect(url, name).await;
        Dialer::start(&bus, options, &Registry::new())
            .await
            .unwrap()
    }

    /// Publishes a transition of `run` into `pending`; returns it as published.
    pub(crate) async fn pending(&self, run: i64) -> Envelope {
        self.pending_with(run, |_| ()).await
    }

    pub(crate) async fn pending_with(
        &self,
        run: i64,
        change: impl FnOnce(&mut RunTransition),
    ) -> Envelope {
        let envelope = transition(&self.bus, run, Status::Pending, change);
        self.publish(&envelope).await;
        envelope
    }

    /// The same, not published.
    pub(crate) fn pending_envelope(&self, run: i64) -> Envelope {
        transition(&self.bus, run, Status::Pending, |_| ())
    }

    pub(crate) async fn cancelled(&self, run: i64) {
        self.entered(run, Status::Cancelled).await;
    }

    pub(crate) async fn entered(&self, run: i64, status: Status) {
        let envelope = transition(&self.bus, run, status, |_| ());
        self.publish(&envelope).await;
    }

    async fn publish(&self, envelope: &Envelope) {
        let id = envelope.event_id.clone();
        assert!(!self.bus.publish(envelope, &id).await.unwrap().duplicate);
    }

    /// Takes the next pending transition as a dialer would. Dropped, it is like a dialer that died:
    /// the others get it again after a second.
    pub(crate) async fn take(&self) -> Delivery {
        let mut workers = self
            .bus
            .workers(WorkersOptions {
                stream: Stream::Runs,
                durable: "dialers".to_owned(),
                filter: subject::runs_entering(Status::Pending),
                ack_wait: ACK_WAIT,
                max_in_flight: 10_000,
                batch: 1,
            })
            .await
            .unwrap();
        within(workers.next()).await
    }

    /// Publishes what a dialer would have published about the attempt on `pending`.
    pub(crate) async fn foreign(&self, pending: &Envelope, step: Step) {
        let Some(Fact::Run(transition)) = &pending.fact else {
            panic!("not a transition: {pending:?}")
        };
        let fact = self.bus.envelope(
            &team(),
            Fact::Dial(DialFact {
                run_id: transition.run_id,
                attempt_id: attempt_on(pending),
                route: ROUTE.to_owned(),
                step: Some(step),
                ..DialFact::default()
            }),
        );
        let id = fact.event_id.clone();
        self.bus.publish(&fact, &id).await.unwrap();
    }

    /// Takes the next pending transition, and writes what a dialer does that dies right before it dials.
    pub(crate) async fn about_to_dial(&self) -> Envelope {
        let taken = self.take().await.envelope.clone();
        let worker = "gone".to_owned();
        self.foreign(&taken, Step::Claimed(Claimed { worker }))
            .await;
        self.foreign(&taken, Step::Intended(Intended { fence: false }))
            .await;
        taken
    }

    pub(crate) async fn facts(&self) -> Facts {
        self.facts_from(&self.bus).await
    }

    /// The facts as read through another connection.
    pub(crate) async fn facts_from(&self, bus: &Bus) -> Facts {
        let observer = bus
            .observe(Stream::Dials, Stream::Dials.subjects(), From::Beginning)
            .await
            .unwrap();
        Facts {
            observer,
            seen: Vec::new(),
        }
    }
}

/// The name of the attempt on a transition.
pub(crate) fn attempt_on(pending: &Envelope) -> String {
    format!("{}-{}", pending.event_id, pending.at_us)
}

pub(crate) async fn connect(url: &str, name: &str) -> Bus {
    let options = ringdown_bus::Options {
        url: url.to_owned(),
        name: name.to_owned(),
        replicas: 1,
    };
    Bus::connect(&options).await.unwrap()
}

pub(crate) fn options(routes: Routes) -> Options {
    Options {
        team: None,
        concurrency: 8,
        ack_wait: ACK_WAIT,
        min_ring: Duration::from_millis(500),
        routes,
        accounts: None,
    }
}

/// A transition with a window that has just opened.
pub(crate) fn transition(
    bus: &Bus,
    run: i64,
    status: Status,
    change: impl FnOnce(&mut RunTransition),
) -> Envelope {
    let opens_at = now();
    let mut transition = RunTransition {
        run_id: run,
        seq: 2,
        status: RunStatus::from(status).into(),
        number: "+15550100001".to_owned(),
        caller_ids: vec!["+15550100002".to_owned()],
        opens_at_us: opens_at.as_micros(),
        closes_at_us: opens_at.plus(Duration::from_secs(300)).as_micros(),
        dial_route: ROUTE.to_owned(),
        ..RunTransition::default()
    };
    change(&mut transition);
    bus.envelope(&team(), Fact::Run(transition))
}

/// A route that runs the program at `path`.
pub(crate) fn exec(path: &Path) -> RouteSpec {
    RouteSpec::Exec {
        command: vec![path.to_str().unwrap().to_owned()],
    }
}

pub(crate) async fn routes(specs: impl IntoIterator<Item = (&str, RouteSpec)>) -> Routes {
    let specs: BTreeMap<String, RouteSpec> = specs
        .into_iter()
        .map(|(name, spec)| (name.to_owned(), spec))
        .collect();
    Routes::build(&specs, None, &|_| None).await.unwrap()
}

/// The facts about dialing, as they come.
pub(crate) struct Facts {
    observer: Observer,
    seen: Vec<(String, DialFact)>,
}

impl Facts {
    /// Reads on until dialing `run` has an outcome, and returns that.
    pub(crate) async fn outcome(&mut self, run: i64) -> Step {
        let is_final = |fact: &DialFact| fact.stage().is_some_and(Stage::is_final);
        self.until(|fact| fact.run_id == run && is_final(fact))
            .await
    }

    /// Reads on until something like this is said of `run`.
    pub(crate) async fn until_step(&mut self, run: i64, wanted: impl Fn(&Step) -> bool) -> Step {
        self.until(|fact| fact.run_id == run && fact.step.as_ref().is_some_and(&wanted))
            .await
    }

    /// Reads on until `run` is at `stage`.
    pub(crate) async fn stage(&mut self, run: i64, stage: Stage) -> Step {
        self.until(|fact| fact.run_id == run && fact.stage() == Some(stage))
            .await
    }

    async fn until(&mut self, wanted: impl Fn(&DialFact) -> bool) -> Step {
        loop {
            if let Some((_, found)) = self.seen.iter().find(|(_, fact)| wanted(fact)) {
                return found.step.clone().unwrap();
            }
            let observed = within(self.observer.next()).await.unwrap().unwrap();
            let producer = observed.envelope.producer;
            match observed.envelope.fact {
                Some(Fact::Dial(fact)) => self.seen.push((producer, fact)),
                other => panic!("not about dialing: {other:?}"),
            }
        }
    }

    /// Reads everything published so far.
    pub(crate) async fn everything(&mut self, world: &World) {
        let marker = transition(&world.bus, MARKER, Status::Pending, |_| ());
        world
            .foreign(&marker, Step::Claimed(Claimed::default()))
            .await;
        self.stage(MARKER, Stage::Claimed).await;
    }

    /// What was read about a run so far, but for claims: those are made by whoever has to wait, on a busy machine too.
    pub(crate) fn stages(&self, run: i64) -> Vec<Stage> {
        self.unclaimed(run)
            .map(|(_, fact)| fact.stage().unwrap())
            .collect()
    }

    /// Whether somebody was read to have it and wait.
    pub(crate) fn has_claimed(&self, run: i64) -> bool {
        self.of(run)
            .any(|(_, fact)| fact.stage() == Some(Stage::Claimed))
    }

    /// Who published it.
    pub(crate) fn producers(&self, run: i64) -> Vec<&str> {
        self.unclaimed(run).map(|(name, _)| name.as_str()).collect()
    }

    /// The attempts it belongs to.
    pub(crate) fn attempts(&self, run: i64) -> Vec<&str> {
        let mut attempts: Vec<&str> = self
            .of(run)
            .map(|(_, fact)| fact.attempt_id.as_str())
            .collect();
        attempts.dedup();
        attempts
    }

    fn unclaimed(&self, run: i64) -> impl Iterator<Item = &(String, DialFact)> {
        let is_claim = |fact: &DialFact| fact.stage() == Some(Stage::Claimed);
        self.of(run).filter(move |(_, fact)| !is_claim(fact))
    }

    fn of(&self, run: i64) -> impl Iterator<Item = &(String, DialFact)> {
        self.seen.iter().filter(move |(_, fact)| fact.run_id == run)
    }
}

/// A carrier that says when it dials, and places the call once it is let.
pub(crate) struct Gated {
    dialing: mpsc::UnboundedSender<RunId>,
    gate: Arc<Semaphore>,
}

/// The test's end of a [`Gated`] carrier.
pub(crate) struct Gate {
    dialing: mpsc::UnboundedReceiver<RunId>,
    gate: Arc<Semaphore>,
}

pub(crate) fn gated() -> (Routes, Gate) {
    let (sender, dialing) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let carrier = Gated {
        dialing: sender,
        gate: Arc::clone(&gate),
    };
    let mut routes = Routes::default();
    routes.insert(ROUTE, Arc::new(carrier));
    (routes, Gate { dialing, gate })
}

impl Gate {
    /// Waits for the next dial.
    pub(crate) async fn dialing(&mut self) -> i64 {
        within(self.dialing.recv()).await.unwrap().0
    }

    /// Lets `calls` dials go on.
    pub(crate) fn open(&self, calls: usize) {
        self.gate.add_permits(calls);
    }

    /// Dials that were not waited for.
    pub(crate) fn unseen(&mut self) -> usize {
        std::iter::from_fn(|| self.dialing.try_recv().ok()).count()
    }
}

#[async_trait]
impl Carrier for Gated {
    fn describe(&self) -> String {
        "gated".to_owned()
    }

    async fn dial(&self, order: &Order, stop: &CancellationToken) -> Dialed {
        self.dialing.send(order.run).unwrap();
        let outcome = match stop.run_until_cancelled(self.gate.acquire()).await {
            Some(permit) => {
                permit.unwrap().forget();
                Outcome::Placed {
                    provider_id: order.attempt_id.clone(),
                }
            }
            None => Outcome::Ambiguous {
                reason: "called off".to_owned(),
            },
        };
        Dialed {
            outcome,
            rest: None,
        }
    }
}
