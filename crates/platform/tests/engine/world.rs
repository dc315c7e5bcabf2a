//! A running engine with a real `nats-server` and a real database, and one team to test with.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ringdown_bus::{
    Bus, From, LeaseTimes, NatsServer, Observer, Options, ServerOptions, Stream, find_nats_server,
    now,
};
use ringdown_domain::call::EndedReason;
use ringdown_domain::run::Status;
use ringdown_domain::{E164, RunId, TestProfileId};
use ringdown_platform::{Engine, Error, Options as EngineOptions};
use ringdown_proto::v1::envelope::Fact;
use ringdown_proto::v1::{
    CallFact, DialFact, Envelope, MatchReply, MatchRequest, RunTransition, ScoreFact, call_fact,
    dial_fact,
};
use ringdown_store::{
    Agent, Artefacts, Attempt, AttemptFilter, Batch, BatchFilter, Database, Extra, NewAgent,
    NewBatch, NewOrganisation, NewPhoneNumber, NewRun, NewScenario, NewTemplate, NewTestProfile,
    Organisation, Page, Project, Run, Scenario, Script, Store,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub const CALLER: &str = "+15551230001";
pub const NUMBER: &str = "+15559990001";

pub struct World {
    pub engine: Engine,
    pub bus: Bus,
    pub db: Arc<dyn Store>,
    pub org: Organisation,
    pub project: Project,
    pub agent: Agent,
    pub server: NatsServer,
    pub artefacts: Artefacts,
    pub leases: LeaseTimes,
    store: Database,
    stop: CancellationToken,
    running: JoinHandle<Result<(), Error>>,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

pub fn number(text: &str) -> E164 {
    text.parse().unwrap()
}

pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(30), future).await {
        Ok(value) => value,
        Err(_) => panic!("did not happen within 30 s: {what}"),
    }
}

pub async fn connect(server: &NatsServer) -> Bus {
    let options = Options {
        url: server.url().to_owned(),
        name: "test".to_owned(),
        replicas: 1,
    };
    Bus::connect(&options).await.unwrap()
}

fn start(
    db: &Arc<dyn Store>,
    bus: &Bus,
    artefacts: &Artefacts,
    leases: LeaseTimes,
) -> (Engine, CancellationToken, JoinHandle<Result<(), Error>>) {
    let options = EngineOptions {
        artefacts: Some(artefacts.clone()),
        leases,
        ..EngineOptions::default()
    };
    let engine = Engine::with_options(Arc::clone(db), bus.clone(), options);
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let (engine, stop) = (engine.clone(), stop.clone());
        async move { engine.run(stop).await }
    });
    (engine, stop, running)
}

impl World {
    pub async fn start() -> Self {
        Self::start_with(LeaseTimes::default()).await
    }

    pub async fn start_with(leases: LeaseTimes) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("ringdown platform ")
            .tempdir()
            .unwrap();
        let server = NatsServer::start(ServerOptions {
            program: find_nats_server().unwrap(),
            folder: folder.path().join("bus"),
        })
        .await
        .unwrap();
        let bus = connect(&server).await;
        let file = folder.path().join("ringdown.db");
        let store = Database::sqlite(&file).await.unwrap();
        let db: Arc<dyn Store> = Arc::new(store.clone());
        let new = NewOrganisation {
            team: "team".parse().unwrap(),
            name: "team".to_owned(),
            parallel_limit: None,
            key_sha256: [7; 32],
            operator: false,
        };
        let (org, project) = db.create_organisation(new, now()).await.unwrap();
        let new = NewAgent {
            org: org.id,
            project: project.id,
            name: "agent".to_owned(),
            inbound: false,
            contact_number: Some(number(CALLER)),
            outbound_numbers: vec![],
            dial_route: None,
            extra: Extra::new(),
            secrets: vec![],
        };
        let agent = db.create_agent(new, now()).await.unwrap();
        let new = NewPhoneNumber {
            scope: org.id.into(),
            number: number(NUMBER),
            name: None,
            provider: "own".to_owned(),
            provider_id: None,
            sms_enabled: false,
            secrets: vec![],
        };
        db.add_phone_number(new, now()).await.unwrap();
        let artefacts = Artefacts::in_folder(&folder.path().join("artefacts")).unwrap();
        let (engine, stop, running) = start(&db, &bus, &artefacts, leases);
        Self {
            engine,
            bus,
            db,
            org,
            project,
            agent,
            server,
            artefacts,
            leases,
            store,
            stop,
            running,
            file,
            _folder: folder,
        }
    }

    /// Stops the engine and closes the database, does `meanwhile` to it, and starts a new engine.
    pub async fn restart(&mut self, meanwhile: impl AsyncFnOnce(&dyn Store)) {
        self.stop_engine().await;
        self.store.close().await;
        self.store = Database::sqlite(&self.file).await.unwrap();
        self.db = Arc::new(self.store.clone());
        meanwhile(self.db.as_ref()).await;
        (self.engine, self.stop, self.running) = self.second_engine();
    }

    async fn stop_engine(&mut self) {
        self.stop.cancel();
        within("the engine stops", &mut self.running)
            .await
            .unwrap()
            .unwrap();
    }

    pub async fn close(mut self) {
        self.stop_engine().await;
        self.store.close().await;
        self.server.stop().await;
    }

    pub async fn limit(&self, limit: u32) {
        let limit = Some(limit);
        self.db
            .set_organisation_limit(self.org.id, limit)
            .await
            .unwrap();
        self.engine.limits_changed(self.org.id);
    }

    pub fn new_batch(&self, runs: usize) -> NewBatch {
        let template = NewTemplate {
            scenario: 1.into(),
            scenario_name: "evaluator".to_owned(),
            personality: None,
            personality_name: String::new(),
            test_profile: None,
            script: Script {
                first_message: "hello".to_owned(),
                replies: vec!["yes".to_owned()],
                closing: "bye".to_owned(),
                max_duration_ms: 60_000,
                silence_timeout_ms: 10_000,
                language: "en".to_owned(),
                instructions: String::new(),
                expected_outcome: String::new(),
            },
        };
        let run = NewRun {
            template: 0,
            number: Some(number(NUMBER)),
        };
        NewBatch {
            org: self.org.id,
            project: self.project.id,
            agent: self.agent.id,
            agent_name: self.agent.name.clone(),
            name: "batch".to_owned(),
            concurrency_limit: None,
            priority: 0,
            settings: serde_json::Value::Null,
            caller_ids: vec![number(CALLER)],
            dial_route: Some("route".to_owned()),
            gated: false,
            cron_job: None,
            idempotency: None,
            templates: vec![template],
            runs: vec![run; runs],
        }
    }

    pub async fn trigger(&self, runs: usize) -> (Batch, Vec<Run>) {
        let triggered = self.engine.trigger(self.new_batch(runs));
        let triggered = within("a batch is accepted", triggered).await.unwrap();
        let ids: Vec<RunId> = triggered.runs.iter().map(|run| run.id).collect();
        let runs = self.db.runs_by_id(self.org.id.into(), &ids).await.unwrap();
        (triggered.batch, runs)
    }

    pub async fn scenario(&self, name: &str, extra: serde_json::Value) -> Scenario {
        let serde_json::Value::Object(extra) = extra else {
            panic!("not an object: {extra}");
        };
        let new = NewScenario {
            org: self.org.id,
            project: self.project.id,
            agent: self.agent.id,
            name: name.to_owned(),
            phone_number: None,
            test_profile: None,
            tags: vec!["night".to_owned()],
            folder_path: Some("Sales.Outbound".to_owned()),
            first_message: "I am {{test_profile.name}}".to_owned(),
            max_duration: None,
            extra,
        };
        self.db.create_scenario(new, now()).await.unwrap()
    }

    pub async fn profile(&self, name: &str) -> TestProfileId {
        let new = NewTestProfile {
            org: self.org.id,
            project: Some(self.project.id),
            agent: None,
            name: name.to_owned(),
            information: serde_json::json!({"testing_agent_variables": {"name": name}}),
        };
        self.db.create_test_profile(new, now()).await.unwrap().id
    }

    pub async fn batches(&self) -> Vec<Batch> {
        let page = Page {
            number: 1,
            size: 500,
        };
        let filter = BatchFilter::default();
        let listed = self.db.batches(self.org.id.into(), filter, page).await;
        listed.unwrap().rows
    }

    /// Another engine on the same database, until the token is cancelled.
    pub fn second_engine(&self) -> (Engine, CancellationToken, JoinHandle<Result<(), Error>>) {
        start(&self.db, &self.bus, &self.artefacts, self.leases)
    }

    /// Dial windows of runs admitted from now on.
    pub async fn dial_window(&self, window: Duration) {
        let mut project = self.project.clone();
        project.dial_window = window;
        self.db
            .update_project(&project, vec![], now())
            .await
            .unwrap();
    }

    pub async fn run(&self, id: RunId) -> Run {
        self.db.run(self.org.id.into(), id).await.unwrap()
    }

    pub async fn attempts(&self) -> Vec<Attempt> {
        let page = Page {
            number: 1,
            size: 500,
        };
        let filter = AttemptFilter::default();
        let listed = self.db.attempts(self.org.id.into(), filter, page).await;
        listed.unwrap().rows
    }

    /// Waits until the ledger satisfies `enough`; nothing on the bus says that a row was written.
    pub async fn ledger(&self, what: &str, enough: impl Fn(&[Attempt]) -> bool) -> Vec<Attempt> {
        within(what, async {
            loop {
                let rows = self.attempts().await;
                if enough(&rows) {
                    return rows;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
    }

    /// Asks, as the testing agent does, which run a call belongs to.
    pub async fn arrives(&self, call: &str, from: &str, to: &str) -> MatchReply {
        self.ask(&request(call, from, to)).await
    }

    pub async fn ask(&self, request: &MatchRequest) -> MatchReply {
        let deadline = Duration::from_secs(20);
        self.bus.match_call(request, deadline).await.unwrap()
    }

    pub async fn publish(&self, fact: Fact, id: &str) {
        self.publish_as("team", fact, id).await;
    }

    pub async fn publish_as(&self, team: &str, fact: Fact, id: &str) {
        let envelope = self.bus.envelope(&team.parse().unwrap(), fact);
        self.bus.publish(&envelope, id).await.unwrap();
    }

    /// Every transition from the first on.
    pub async fn transitions(&self) -> Transitions {
        let subject = ringdown_bus::subject::runs_of(&self.org.team);
        let observer = self
            .bus
            .observe(Stream::Runs, &subject, From::Beginning)
            .await
            .unwrap();
        Transitions {
            observer,
            seen: Vec::new(),
        }
    }
}

pub struct Transitions {
    observer: Observer,
    pub seen: Vec<RunTransition>,
}

impl Transitions {
    async fn next(&mut self) -> RunTransition {
        let Envelope { fact, .. } = self.observer.next().await.unwrap().unwrap().envelope;
        match fact {
            Some(Fact::Run(transition)) => transition,
            other => panic!("not a transition: {other:?}"),
        }
    }

    /// Waits for a run to enter a state, and remembers all that was seen on the way.
    pub async fn until(&mut self, run: RunId, status: Status) -> RunTransition {
        let fits = |t: &RunTransition| t.run() == run && t.known_status() == Some(status);
        if let Some(seen) = self.seen.iter().find(|t| fits(t)) {
            return seen.clone();
        }
        let what = format!("run {run} is {status}");
        within(&what, async {
            loop {
                let next = self.next().await;
                self.seen.push(next.clone());
                if fits(&next) {
                    return next;
                }
            }
        })
        .await
    }

    /// The states of one run so far. Fails on a gap or a repetition in its history.
    pub fn of(&self, run: RunId) -> Vec<Status> {
        let of_run = self.seen.iter().filter(|t| t.run() == run);
        let (seqs, statuses): (Vec<u64>, Vec<Status>) =
            of_run.map(|t| (t.seq, t.known_status().unwrap())).unzip();
        let expected: Vec<u64> = (1..).take(seqs.len()).collect();
        assert_eq!(seqs, expected, "run {run}");
        statuses
    }
}

pub fn request(call: &str, from: &str, to: &str) -> MatchRequest {
    MatchRequest {
        call_id: call.to_owned(),
        sip_call_id: format!("{call}@host"),
        from_raw: from.to_owned(),
        to_raw: to.to_owned(),
        source: "192.0.2.1:5060".to_owned(),
        ..MatchRequest::default()
    }
}

fn call_fact(run: RunId, call: &str, step: call_fact::Step) -> Fact {
    Fact::Call(CallFact {
        run_id: run.0,
        call_id: call.to_owned(),
        sip_call_id: String::new(),
        step: Some(step),
    })
}

pub fn ended(run: RunId, call: &str, reason: EndedReason) -> Fact {
    let step = call_fact::Ended {
        reason: reason.to_string(),
        duration_ms: 12_345,
        media: None,
        path: Some(ringdown_proto::v1::CallPath {
            codec: "PCMU".to_owned(),
            source: "192.0.2.1:5060".to_owned(),
            ..Default::default()
        }),
    };
    call_fact(run, call, call_fact::Step::Ended(step))
}

pub fn recorded(run: RunId, call: &str, key: &str, missing: &str) -> Fact {
    let step = call_fact::Recorded {
        recording: key.to_owned(),
        missing_reason: missing.to_owned(),
        ..call_fact::Recorded::default()
    };
    call_fact(run, call, call_fact::Step::Recorded(step))
}

pub fn scored(run: RunId, call: &str, success: bool) -> Fact {
    Fact::Score(ScoreFact {
        run_id: run.0,
        call_id: call.to_owned(),
        success,
        reasons: vec!["because".to_owned()],
        ..ScoreFact::default()
    })
}

pub fn unscorable(run: RunId, call: &str, why: &str) -> Fact {
    Fact::Score(ScoreFact {
        run_id: run.0,
        call_id: call.to_owned(),
        unscorable_reason: why.to_owned(),
        ..ScoreFact::default()
    })
}

pub fn dial(run: RunId, attempt: &str, step: dial_fact::Step) -> Fact {
    Fact::Dial(DialFact {
        run_id: run.0,
        attempt_id: attempt.to_owned(),
        route: "route".to_owned(),
        from: CALLER.to_owned(),
        to: NUMBER.to_owned(),
        closes_at_us: 0,
        step: Some(step),
    })
}
