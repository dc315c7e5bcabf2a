//! Many runs, several dialer processes, one of which is always being killed: no number rings twice, and none that could
//! be dialed is left out.
//!
//! Runs take turns at two providers. One tells calls apart by the key of the attempt, so that whatever a killed dialer
//! left can be placed by its heir. The other says nothing of a call whose answer was lost.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ringdown_bus::{Bus, From, NatsServer, Options, ServerOptions, Stream, find_nats_server, now};
use ringdown_domain::dial::Stage;
use ringdown_domain::{AGENT_ROUTE, Team};
use ringdown_proto::v1::dial_fact::Step;
use ringdown_proto::v1::envelope::Fact;
use ringdown_proto::v1::{AccountReply, RunStatus, RunTransition, SealedSecret};
use ringdown_testkit::carrier::{FakeCarrier, FakeKind};
use ringdown_vault::{Keyring, Secret};
use rustix::process::Signal;
use tokio::task::JoinHandle;

use crate::support::{Server, ringdown, soak, soon};

const ORG: i64 = 5;
const CALLER: &str = "+15550100002";
const DIALERS: usize = 4;

/// Runs of CI, and of a soak.
const RUNS: i64 = 600;
const SOAK_RUNS: i64 = 10_000;

/// Between two kills.
const KILL: Duration = Duration::from_millis(700);

/// The providers, and as many agents: agent 1 calls through the first.
const KINDS: [FakeKind; 2] = [FakeKind::Retell, FakeKind::TriggerUrl];

/// Which of them a run is dialed through.
fn turn(run: i64) -> usize {
    usize::try_from(run).unwrap() % KINDS.len()
}

fn number(run: i64) -> String {
    format!("+1555{run:07}")
}

fn account(fake: &FakeCarrier, keys: &Keyring) -> AccountReply {
    let (mut settings, secrets) = fake.account();
    settings["from_number"] = CALLER.into();
    let secrets = secrets.into_iter().map(|(name, secret)| SealedSecret {
        sealed: keys.seal_stored(ORG, name, &Secret::new(secret)).unwrap(),
        name: name.to_owned(),
        credential: name.to_owned(),
        settings: false,
    });
    AccountReply {
        provider: fake.kind().provider().to_owned(),
        settings_json: settings.to_string(),
        organisation_id: ORG,
        secrets: secrets.collect(),
        calls_per_second: 5_000.0,
        concurrent_calls: 100_000,
        ..AccountReply::default()
    }
}

struct World {
    bus: Bus,
    server: NatsServer,
    key: Secret,
    folder: PathBuf,
    answering: JoinHandle<()>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.answering.abort();
    }
}

impl World {
    /// A bus, and a platform that knows an account at each provider.
    async fn start(folder: &Path, fakes: &[FakeCarrier]) -> Self {
        let server = NatsServer::start(ServerOptions {
            program: find_nats_server().unwrap(),
            folder: folder.join("bus"),
        })
        .await
        .unwrap();
        let bus = Bus::connect(&Options {
            url: server.url().to_owned(),
            name: "platform".to_owned(),
            replicas: 1,
        })
        .await
        .unwrap();
        let key = ringdown_vault::new_key().unwrap();
        let keys = Keyring::parse(key.expose()).unwrap();
        let replies: Vec<AccountReply> = fakes.iter().map(|fake| account(fake, &keys)).collect();
        let mut questions = bus.accounts().await.unwrap();
        let answering = tokio::spawn(async move {
            while let Some(question) = questions.next().await {
                let reply = &replies[turn(question.request.run_id)];
                question.reply(reply).await.unwrap();
            }
        });
        Self {
            bus,
            server,
            key,
            folder: folder.to_owned(),
            answering,
        }
    }

    async fn dialer(&self, name: usize) -> Server {
        let url = self.server.url();
        let arguments = [
            "serve",
            "dialer",
            "--nats-url",
            url,
            "--health-listen",
            "127.0.0.1:0",
        ];
        let mut command = ringdown(&arguments);
        command.env("RINGDOWN_SECRETS_KEYS", self.key.expose());
        command.env("RINGDOWN_EGRESS_ALLOW", "127.0.0.0/8");
        let folder = self.folder.join(format!("dialer {name}"));
        Server::announced(&folder, &arguments, command).await
    }

    async fn pending(&self, run: i64) {
        let team: Team = "team".parse().unwrap();
        let opens_at = now();
        let transition = RunTransition {
            run_id: run,
            seq: 2,
            status: RunStatus::Pending.into(),
            number: number(run),
            caller_ids: vec![CALLER.to_owned()],
            opens_at_us: opens_at.as_micros(),
            closes_at_us: opens_at.plus(Duration::from_secs(300)).as_micros(),
            dial_route: AGENT_ROUTE.to_owned(),
            agent_id: i64::try_from(turn(run)).unwrap() + 1,
            ..RunTransition::default()
        };
        let envelope = self.bus.envelope(&team, Fact::Run(transition));
        self.bus
            .publish(&envelope, &format!("{run}:2"))
            .await
            .unwrap();
    }
}

/// Reads until every run's dialing has an outcome.
async fn outcomes(bus: Bus, runs: i64) -> BTreeMap<i64, Step> {
    let mut facts = bus
        .observe(Stream::Dials, "rd.v1.dial.>", From::Beginning)
        .await
        .unwrap();
    let mut outcomes = BTreeMap::new();
    while outcomes.len() < usize::try_from(runs).unwrap() {
        let Some(Fact::Dial(fact)) = facts.next().await.unwrap().unwrap().envelope.fact else {
            continue;
        };
        let last = fact
            .stage()
            .is_some_and(|stage| stage.is_final() && stage != Stage::Followed);
        if let Some(step) = fact.step.filter(|_| last) {
            let before = outcomes.insert(fact.run_id, step);
            assert!(
                before.is_none(),
                "two outcomes of run {}: {before:?}",
                fact.run_id
            );
        }
    }
    outcomes
}

async fn page(url: &str) -> String {
    let policy = ringdown_egress::Policy::allowing(&["127.0.0.0/8"]).unwrap();
    let client = ringdown_egress::Client::new(policy);
    let request = ringdown_egress::Request::new(ringdown_egress::Method::GET, url);
    let answer = client.send(request).await.unwrap();
    assert_eq!(answer.status, 200, "{url}");
    String::from_utf8(answer.body.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn dialers_that_are_killed_all_the_time_dial_every_number_once() {
    let runs = if soak().is_some() { SOAK_RUNS } else { RUNS };
    let folder = tempfile::tempdir().unwrap();
    let fakes = KINDS.map(FakeCarrier::start);
    let world = World::start(folder.path(), &fakes).await;
    let mut dialers = Vec::new();
    for name in 0..DIALERS {
        dialers.push(world.dialer(name).await);
    }
    let reading = tokio::spawn(outcomes(world.bus.clone(), runs));
    let publishing = async {
        for run in 1..=runs {
            world.pending(run).await;
            if run % 20 == 0 {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        }
    };
    let mut kills = 0;
    let killing = async {
        while !reading.is_finished() {
            tokio::time::sleep(KILL).await;
            let victim = kills % DIALERS;
            let dead = dialers.remove(victim);
            dead.signal(Signal::KILL);
            dead.ended().await;
            dialers.insert(victim, world.dialer(victim).await);
            kills += 1;
        }
    };
    let all = tokio::time::timeout(Duration::from_secs(600), async {
        tokio::join!(publishing, killing);
    });
    all.await.expect("every run has an outcome within 600 s");
    let outcomes = soon("the outcomes", reading).await.unwrap();

    let (mut placed, mut unknown) = (0, 0);
    for (run, step) in &outcomes {
        let fake = &fakes[turn(*run)];
        let rings = fake.rings(&number(*run));
        match step {
            Step::Placed(_) => {
                assert_eq!(rings, 1, "run {run}: {step:?}");
                placed += 1;
            }
            // Its dialer was killed between the request and its answer, and nobody can know.
            Step::Settled(settled) if fake.kind() == FakeKind::TriggerUrl => {
                assert!(rings <= 1, "run {run} rang {rings} times: {step:?}");
                assert_eq!(settled.outcome, "unknown", "run {run}: {step:?}");
                unknown += 1;
            }
            other => panic!("run {run} was not dialed although it could be: {other:?}"),
        }
    }
    println!("{runs} runs, {kills} kills: {placed} placed, {unknown} of which nothing is known");
    assert!(kills > 2, "{kills}");
    assert!(unknown * 8 < placed, "{unknown} of {runs} are unknown");
    for dialer in dialers {
        // What dialers are scaled by.
        let pages = &dialer.ready.health_url;
        assert!(page(&format!("{pages}/readyz")).await.contains("ready"));
        let metrics = page(&format!("{pages}/metrics")).await;
        assert!(metrics.contains("ringdown_dialer_backlog 0"), "{metrics}");
        dialer.stop().await;
    }
}
