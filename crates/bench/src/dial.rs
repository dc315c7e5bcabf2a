//! From a run that became `pending` on the bus to the request that makes the agent call, at a provider on loopback.

use std::collections::HashSet;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus::Registry;
use ringdown_bus::{Bus, Message, NatsServer, Options, ServerOptions, find_nats_server, now};
use ringdown_carrier::Routes;
use ringdown_dialer::{Access, Dialer};
use ringdown_domain::{AGENT_ROUTE, Team};
use ringdown_egress::{Client, Policy};
use ringdown_proto::v1::envelope::Fact;
use ringdown_proto::v1::{AccountReply, RunStatus, RunTransition};
use ringdown_vault::Keyring;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::callers::locked;
use crate::http;
use crate::report::{Report, beside_the_seed};
use crate::service::{Seen, Service};
use crate::world::CALLER;

/// How often runs are published: as the platform's relay does, all that became pending since the last time.
const WAVE: Duration = Duration::from_millis(10);

/// How long it takes a call to reach its run.
const UP_AFTER: Duration = Duration::from_millis(100);

/// Dials that each dialer may have in flight while dialers are compared: what bounds them is how long their provider
/// takes.
const FEW: usize = 20;

/// How long the provider takes then.
const SLOW: Duration = Duration::from_millis(200);

/// Runs for each dialer then.
const RUNS_EACH: usize = 800;

/// Seconds of the same load before its time is taken.
const WARM_UP: u64 = 2;

/// Dials that a dialer may have in flight by default.
const CONCURRENCY: usize = 1000;

/// Runs of the seed's script, and how often one becomes pending.
const SCRIPTED: Range<i64> = 1_000_000..1_000_100;
const SCRIPT_EVERY: Duration = Duration::from_millis(50);

/// How often the script polls.
const POLL: Duration = Duration::from_secs(3);

/// Longest wait for anything to be dialed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A bus, a platform that knows one account, its provider, and dialers.
struct World {
    bus: Bus,
    team: Team,
    service: Service,
    dialers: Vec<Dialer>,
    server: NatsServer,
    answering: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

async fn connect(url: &str, name: &str) -> anyhow::Result<Bus> {
    Ok(Bus::connect(&Options {
        url: url.to_owned(),
        name: name.to_owned(),
        replicas: 1,
    })
    .await?)
}

impl World {
    /// Dialers with connections of their own.
    async fn start(
        dialers: usize,
        concurrency: usize,
        answers_after: Duration,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("ringdown bench ")
            .tempdir()?;
        let server = NatsServer::start(ServerOptions {
            program: find_nats_server()?,
            folder: folder.path().join("bus"),
        })
        .await?;
        let bus = connect(server.url(), "platform").await?;
        let service = Service::start(answers_after).await?;
        let reply = AccountReply {
            provider: "trigger_url".to_owned(),
            settings_json: json!({"trigger_url": format!("http://{}/", service.address)})
                .to_string(),
            calls_per_second: 10_000.0,
            ..AccountReply::default()
        };
        let mut questions = bus.accounts().await?;
        let answering = tokio::spawn(async move {
            while let Some(question) = questions.next().await {
                if let Err(error) = question.reply(&reply).await {
                    eprintln!("an account could not be told: {error}");
                }
            }
        });
        let key = ringdown_vault::new_key()?;
        let access = Access {
            keys: Arc::new(Keyring::parse(key.expose())?),
            client: Client::new(Policy::allowing(&["127.0.0.0/8"])?),
        };
        let options = ringdown_dialer::Options {
            team: None,
            concurrency,
            ack_wait: Duration::from_secs(15),
            min_ring: Duration::from_secs(10),
            routes: Routes::default(),
            accounts: Some(access),
        };
        let mut started = Vec::with_capacity(dialers);
        for number in 0..dialers {
            let bus = connect(server.url(), &format!("dialer-{number}")).await?;
            started.push(Dialer::start(&bus, options.clone(), &Registry::new()).await?);
        }
        Ok(Self {
            bus,
            team: "bench".parse().map_err(anyhow::Error::msg)?,
            service,
            dialers: started,
            server,
            answering,
            _folder: folder,
        })
    }

    fn transition(&self, run: i64, seq: u64, status: RunStatus) -> Message {
        let opens_at = now();
        let transition = RunTransition {
            run_id: run,
            seq,
            status: status.into(),
            number: "+15550100001".to_owned(),
            caller_ids: vec![CALLER.to_owned()],
            opens_at_us: opens_at.as_micros(),
            closes_at_us: opens_at.plus(Duration::from_secs(300)).as_micros(),
            dial_route: AGENT_ROUTE.to_owned(),
            agent_id: 1,
            ..RunTransition::default()
        };
        Message {
            envelope: self.bus.envelope(&self.team, Fact::Run(transition)),
            id: format!("{run}:{seq}"),
        }
    }

    /// Lets every call reach its run soon after it was asked for, until it is dropped.
    async fn answer_calls(&self) -> anyhow::Result<()> {
        let mut up = HashSet::new();
        let mut ticks = tokio::time::interval(UP_AFTER);
        loop {
            ticks.tick().await;
            let asked: Vec<i64> = locked(&self.service.seen.asked)
                .keys()
                .copied()
                .filter(|run| !SCRIPTED.contains(run) && !up.contains(run))
                .collect();
            let facts: Vec<Message> = asked
                .iter()
                .map(|run| self.transition(*run, 3, RunStatus::InProgress))
                .collect();
            self.bus.publish_all(&facts).await?;
            up.extend(asked);
        }
    }

    /// Publishes runs that became pending at once. They count from just before they are sent.
    async fn publish(&self, runs: RangeInclusive<i64>) -> anyhow::Result<()> {
        let facts: Vec<Message> = runs
            .clone()
            .map(|run| self.transition(run, 2, RunStatus::Pending))
            .collect();
        let at = Instant::now();
        locked(&self.service.seen.pending).extend(runs.map(|run| (run, at)));
        Ok(self.bus.publish_all(&facts).await?)
    }

    /// Publishes so many runs each second, for so many seconds, from this one on. Returns how many.
    async fn at_a_rate(&self, first: i64, per_second: u64, seconds: u64) -> anyhow::Result<i64> {
        let all = i64::try_from(per_second * seconds)?;
        let mut ticks = tokio::time::interval(WAVE);
        let begun = Instant::now();
        let mut done = 0;
        while done < all {
            ticks.tick().await;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_precision_loss,
                reason = "far below 2^53"
            )]
            let due = (begun.elapsed().as_secs_f64() * per_second as f64) as i64;
            let due = due.min(all);
            if due > done {
                self.publish(first + done..=first + due - 1).await?;
                done = due;
            }
        }
        Ok(all)
    }

    async fn stop(self) {
        // What the dialers follow is of no interest any more.
        let drained = self
            .dialers
            .into_iter()
            .map(|dialer| dialer.drain(Duration::ZERO));
        for drained in drained {
            drained.await;
        }
        self.answering.abort();
        self.service.stop();
        self.server.stop().await;
    }
}

/// The loop of the seed's script: it polls every three seconds, and calls what is pending then. The platform that it is
/// given answers from memory.
async fn script(service: &Service) -> anyhow::Result<()> {
    let mut client = http::Client::connect(service.address, "").await?;
    let mut left: Vec<i64> = SCRIPTED.collect();
    while !left.is_empty() {
        let ids: Vec<String> = left.iter().map(ToString::to_string).collect();
        let path = format!("/?run_ids={}", ids.join(","));
        let runs = client.ok("GET", &path, None).await?;
        for run in runs.as_array().into_iter().flatten() {
            let Some(id) = run["id"].as_i64().filter(|_| run["status"] == "pending") else {
                continue;
            };
            left.retain(|run| *run != id);
            let body = json!({"run_id": id});
            client.ok("POST", "/", Some(&body)).await?;
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// Lets the script's runs become pending, one after the other.
async fn let_the_script_dial(seen: &Seen) {
    for run in SCRIPTED {
        locked(&seen.pending).insert(run, Instant::now());
        tokio::time::sleep(SCRIPT_EVERY).await;
    }
}

/// One dialer at this rate, and the script beside it.
async fn latency(
    per_second: u64,
    seconds: u64,
    wanted: &str,
    report: &mut Report,
) -> anyhow::Result<()> {
    let world = World::start(1, CONCURRENCY, Duration::ZERO).await?;
    let seen = Arc::clone(&world.service.seen);
    let dialed = async {
        let before = world.at_a_rate(1, per_second, WARM_UP).await?;
        let first = before + 1;
        let runs = world.at_a_rate(first, per_second, seconds).await?;
        anyhow::Ok(first..first + runs)
    };
    let dialed = async {
        let (runs, (), scripted) =
            tokio::join!(dialed, let_the_script_dial(&seen), script(&world.service));
        let (runs, ()) = (runs?, scripted?);
        let all = usize::try_from(runs.end - 1)? + SCRIPTED.count();
        seen.until(all, PATIENCE).await?;
        anyhow::Ok(runs)
    };
    let runs = tokio::select! {
        runs = dialed => runs?,
        failed = world.answer_calls() => return failed,
    };
    let took = seen.took(runs)?;
    let scripted = seen.took(SCRIPTED)?;
    world.stop().await;
    report.add(
        "-",
        format!("`pending` published to the request on the wire, {per_second} dials/s"),
        beside_the_seed(&took, "dials", &scripted),
        wanted,
    );
    Ok(())
}

/// Dials each second of so many dialers, with few dials in flight each and a slow provider.
async fn throughput(dialers: usize) -> anyhow::Result<f64> {
    let world = World::start(dialers, FEW, SLOW).await?;
    let runs = RUNS_EACH * dialers;
    let begun = Instant::now();
    world.publish(1..=i64::try_from(runs)?).await?;
    world.service.seen.until(runs, PATIENCE).await?;
    let took = begun.elapsed();
    world.stop().await;
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    let rate = runs as f64 / took.as_secs_f64();
    Ok(rate)
}

pub(crate) async fn measure(seconds: u64, report: &mut Report) -> anyhow::Result<()> {
    latency(100, seconds, "p99 under 10 ms", report).await?;
    latency(1000, seconds, "p99 under 25 ms", report).await?;
    let one = throughput(1).await?;
    let four = throughput(4).await?;
    report.add(
        "-",
        format!(
            "1 and 4 dialers, {FEW} dials in flight each, a provider that takes {} ms",
            SLOW.as_millis()
        ),
        format!("{one:.0} and {four:.0} dials/s: {:.2} times", four / one),
        "at least 3 times",
    );
    Ok(())
}
