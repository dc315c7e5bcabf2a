//! Every process of a deployment is killed while it works, and the bus goes away: no run is lost, told twice
//! or dialed twice.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use ringdown_api::Run;
use ringdown_bus::{From, Stream};
use ringdown_client::Client;
use ringdown_domain::dial::Stage;
use ringdown_domain::run::Status;
use ringdown_proto::v1::call_fact::Step;
use ringdown_proto::v1::envelope::Fact;
use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use crate::deployment::{Deployment, Part, Setup};
use crate::history::History;
use crate::support::{Bench, Facts, set_window, soak, soon};

/// Names the seed of a test that is to be repeated.
const SEED: &str = "RINGDOWN_TEST_SEED";

/// Chooses victims and moments (`SplitMix64`).
struct Random(u64);

impl Random {
    fn seeded() -> Self {
        let seed = match std::env::var(SEED) {
            Ok(seed) => seed.parse().expect("a seed is a number"),
            Err(_) => {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                u64::try_from(now.unwrap().as_micros()).unwrap()
            }
        };
        println!("{SEED}={seed}");
        Self(seed)
    }

    /// A number below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    async fn pause(&mut self, from_ms: u64, to_ms: u64) {
        let ms = from_ms + self.below(to_ms - from_ms);
        sleep(Duration::from_millis(ms)).await;
    }

    /// Takes a victim from what is left of all parts, so that each has its turn. The testing agent comes last:
    /// until it is missed its runs hold their slots, and kills meanwhile would find nobody at work.
    fn victim(&mut self, left: &mut Vec<Part>, all: &[Part]) -> Part {
        if left.is_empty() {
            let others = all.iter().filter(|part| **part != Part::TestingAgent);
            left.extend(others);
            left.insert(0, Part::TestingAgent);
        }
        let others = u64::try_from(left.len()).unwrap() - 1;
        let index = if others == 0 {
            0
        } else {
            1 + self.below(others)
        };
        left.swap_remove(usize::try_from(index).unwrap())
    }
}

/// Waits until a dialer has claimed a run, if one does soon: what comes next takes milliseconds, and random
/// moments would miss it.
async fn claimed(nats_url: &str) {
    let mut facts = Facts::open_from(nats_url, Stream::Dials, From::Now).await;
    let claimed = async {
        while !matches!(
            facts.next().await.envelope.fact,
            Some(Fact::Dial(fact)) if fact.stage() == Some(Stage::Claimed)
        ) {}
    };
    // Without one this is a moment as good as any.
    let _ = tokio::time::timeout(Duration::from_secs(2), claimed).await;
}

/// How much is done to a deployment.
struct Measure {
    evaluators: usize,
    frequency: i64,
    limit: usize,
    /// `None`: until all runs have ended.
    kills: Option<usize>,
    /// Longest the runs may take.
    patience: Duration,
}

impl Measure {
    fn new() -> Self {
        match soak() {
            None => Self {
                evaluators: 8,
                frequency: 5,
                limit: 8,
                kills: Some(10),
                patience: Duration::from_secs(80),
            },
            Some(seconds) => Self {
                evaluators: 25,
                frequency: 20,
                limit: 25,
                kills: None,
                patience: Duration::from_secs(1200 + seconds),
            },
        }
    }
}

/// Seconds that a run may be dialed: longer than it takes to notice that a dialer is gone.
const WINDOW: u64 = 20;

async fn unfinished(client: &Client, runs: &[i64]) -> usize {
    let runs = client.runs_bulk(runs).await.unwrap();
    let open = runs.iter().filter(|run| !ended(run));
    open.count()
}

fn ended(run: &Run) -> bool {
    run.status.known().is_some_and(Status::is_terminal)
}

/// Waits until runs have ended; whether they did in time.
async fn all_ended(client: &Client, runs: &[i64], deadline: Instant) -> bool {
    while unfinished(client, runs).await > 0 {
        if Instant::now() > deadline {
            return false;
        }
        sleep(Duration::from_millis(500)).await;
    }
    true
}

/// Whether a run ended for a reason that it says. What is wrong, in a sentence.
fn wrong_end(run: &Run) -> Option<String> {
    let (id, status, why) = (run.id, &run.status, &run.error_message);
    let metrics = run.evaluation.as_ref().map_or(0, |it| it.metrics.len());
    let right = match status.known() {
        Some(Status::Completed) => metrics > 0 && run.success.is_some(),
        Some(Status::Failed | Status::Timeout | Status::Cancelled) => !why.is_empty(),
        _ => false,
    };
    (!right).then(|| format!("run {id} is {status} with {metrics} metrics: {why:?}"))
}

/// Kills processes while runs go on, until it is enough. Returns how often each was killed.
async fn strike(
    deployment: &mut Deployment,
    random: &mut Random,
    runs: &[i64],
    (measure, deadline): (&Measure, Instant),
) -> BTreeMap<String, usize> {
    let (all, mut left) = (deployment.parts(), Vec::new());
    let mut kills = BTreeMap::new();
    for number in 1.. {
        random.pause(200, 1500).await;
        let open = unfinished(deployment.client(), runs).await;
        let enough = measure.kills.map_or(open == 0, |kills| number > kills);
        if enough || Instant::now() > deadline {
            break;
        }
        let victim = random.victim(&mut left, &all);
        println!("{number}: {victim}, {open} runs unfinished");
        *kills.entry(victim.to_string()).or_default() += 1;
        if random.below(2) == 0 {
            claimed(deployment.nats_url()).await;
            random.pause(0, 10).await;
        }
        deployment.kill(victim).await;
        random.pause(50, 1500).await;
        deployment.start_again(victim).await;
    }
    kills
}

async fn processes_killed(postgres: bool) {
    let (mut random, measure) = (Random::seeded(), Measure::new());
    let setup = Setup {
        postgres,
        limit: measure.limit,
        call: 2,
    };
    let mut deployment = Deployment::start(&setup).await;
    set_window(deployment.client(), WINDOW).await;
    let bench = Bench::build(deployment.client(), measure.evaluators, Some("own")).await;
    let begun = Instant::now();
    let deadline = begun + measure.patience;
    let triggered = bench.trigger(deployment.client(), measure.frequency).await;
    let mut runs: Vec<i64> = triggered.runs.iter().map(|run| run.id).collect();

    let kills = strike(&mut deployment, &mut random, &runs, (&measure, deadline)).await;
    println!("{} s, killed: {kills:?}", begun.elapsed().as_secs());
    let client = deployment.client().clone();
    if !all_ended(&client, &runs, deadline).await {
        let open = unfinished(&client, &runs).await;
        let found = vec![format!("{open} runs did not end")];
        return deployment.stop(found).await;
    }
    println!("{} s: all runs ended", begun.elapsed().as_secs());
    let mut found = Vec::new();
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    for run in client.runs_bulk(&runs).await.unwrap() {
        let run = client.run(run.id).await.unwrap();
        found.extend(wrong_end(&run));
        let why = run.error_message.split([':', ',']).next();
        let end = format!("{} {}", run.status, why.unwrap_or_default());
        *ends.entry(end).or_default() += 1;
    }
    println!("{ends:#?}");
    // What is left works: without a kill every run completes.
    let last = Bench {
        scenarios: bench.scenarios[..1].to_vec(),
        ..bench
    };
    let last = last.trigger(&client, 1).await.runs[0].id;
    runs.push(last);
    all_ended(&client, &[last], Instant::now() + Duration::from_secs(60)).await;
    let run = client.run(last).await.unwrap();
    if run.status.as_str() == "completed" {
        deployment.outbox_drained().await;
        let history = History::read(deployment.nats_url(), &client, last).await;
        found.extend(history.transitions(&runs, measure.limit));
        found.extend(history.dialed_once());
    } else {
        found.push(format!("run {last}: {} {}", run.status, run.error_message));
    }
    deployment.stop(found).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_processes_lose_and_repeat_nothing_on_postgres() {
    processes_killed(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_processes_lose_and_repeat_nothing_on_sqlite() {
    processes_killed(false).await;
}

/// What becomes of the bus.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gone {
    /// Connections are refused.
    Killed,
    /// Connections stay and nothing answers.
    Hanging,
}

/// Waits until the calls of runs were answered.
async fn answered(nats_url: &str, runs: &[i64]) {
    let mut facts = Facts::open(nats_url, Stream::Calls).await;
    let mut waiting = runs.to_vec();
    while !waiting.is_empty() {
        if let Some(Fact::Call(call)) = facts.next().await.envelope.fact
            && matches!(call.step, Some(Step::Answered(_)))
        {
            waiting.retain(|run| *run != call.run_id);
        }
    }
}

async fn bus_away(gone: Gone) {
    let away = Duration::from_secs(if soak().is_some() { 60 } else { 15 });
    let setup = Setup {
        postgres: false,
        limit: 4,
        call: 3,
    };
    let mut deployment = Deployment::start(&setup).await;
    // What gets a slot meanwhile is dialed afterwards.
    set_window(deployment.client(), away.as_secs() + 45).await;
    let client = deployment.client().clone();
    let mut bench = Bench::build(&client, 2, Some("own")).await;
    let triggered = bench.trigger(&client, 1).await;
    let mut runs: Vec<i64> = triggered.runs.iter().map(|run| run.id).collect();
    let live = runs.clone();
    answered(deployment.nats_url(), &live).await;

    match gone {
        Gone::Killed => deployment.kill(Part::Nats).await,
        Gone::Hanging => deployment.signal_nats(Signal::STOP),
    }
    let back = Instant::now() + away;
    bench.scenarios.truncate(1);
    let mut slowest = Duration::ZERO;
    while Instant::now() < back {
        let asked = Instant::now();
        let triggered = soon("a trigger", bench.trigger(&client, 1)).await;
        slowest = slowest.max(asked.elapsed());
        runs.extend(triggered.runs.iter().map(|run| run.id));
        sleep(away / 10).await;
    }
    let meanwhile = unfinished(&client, &live).await;
    match gone {
        Gone::Killed => deployment.start_again(Part::Nats).await,
        Gone::Hanging => deployment.signal_nats(Signal::CONT),
    }
    println!("{} triggers, the slowest took {slowest:?}", runs.len() - 2);
    let returned = Instant::now();
    let mut found = Vec::new();
    if slowest > Duration::from_secs(5) {
        found.push(format!("a trigger took {slowest:?}"));
    }
    if meanwhile != live.len() {
        found.push("a call was taken for lost while the bus was away".to_owned());
    }
    let deadline = Instant::now() + Duration::from_secs(90);
    if !all_ended(&client, &runs, deadline).await {
        found.push("not all runs ended".to_owned());
        return deployment.stop(found).await;
    }
    println!("all ended {:?} after its return", returned.elapsed());
    let mut completed = true;
    for run in &runs {
        let run = client.run(*run).await.unwrap();
        found.extend(wrong_end(&run));
        if run.status.as_str() != "completed" {
            completed = false;
            let (id, status, why) = (run.id, &run.status, &run.error_message);
            found.push(format!("run {id}: {status} {why}"));
        }
    }
    if completed {
        deployment.outbox_drained().await;
        // The last to end is not always the last one triggered: one more is.
        let last = bench.trigger(&client, 1).await.runs[0].id;
        runs.push(last);
        all_ended(&client, &[last], Instant::now() + Duration::from_secs(60)).await;
        let history = History::read(deployment.nats_url(), &client, last).await;
        found.extend(history.transitions(&runs, setup.limit));
        found.extend(history.dialed_once());
        for run in live {
            let (ms, why) = history.call(run);
            println!("the call of run {run} lasted {ms} ms: {why}");
            // Its caller stays for three seconds and hangs up, whatever the bus does.
            if !(2500..4500).contains(&ms) {
                found.push(format!("the call of run {run} took {ms} ms: {why}"));
            }
        }
    }
    deployment.stop(found).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_bus_stalls_publishing_and_nothing_else() {
    bus_away(Gone::Killed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_bus_stalls_publishing_and_nothing_else() {
    bus_away(Gone::Hanging).await;
}
