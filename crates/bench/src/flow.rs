//! Runs on their way from the queue to their end, through the engine and the bus, with a long queue behind.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ringdown_domain::call::EndedReason;
use ringdown_domain::run::Event;
use ringdown_domain::{CallId, RunId};
use ringdown_store::{RunPatch, Transitions as _};
use tokio_util::sync::CancellationToken;

use crate::callers::{Callers, locked};
use crate::report::{Report, beside_the_seed, median, quantile, show};
use crate::world::{Kind, World};

/// Runs of one request.
const PORTION: usize = 10_000;

/// Slots while transitions are counted.
const SLOTS: u32 = 256;

/// Slots, and calls that end each second, while the time is taken from a freed slot to the next run. Each run goes
/// through four states, so that this is 200 transitions/s.
const FEW_SLOTS: u32 = 100;
const ENDED_PER_SECOND: u32 = 50;

/// Seconds of the same load before its time is taken: by then each connection of PostgreSQL has met every statement.
const WARM_UP: u64 = 2;

/// Runs whose whole way is timed with few and with many others queued.
const WAYS: usize = 200;

/// How often the seed's script polls.
const POLL: Duration = Duration::from_secs(3);

async fn fill(world: &mut World, runs: usize) -> anyhow::Result<Vec<i64>> {
    let mut client = world.client().await?;
    let mut ids = Vec::with_capacity(runs);
    while ids.len() < runs {
        let portion = PORTION.min(runs - ids.len());
        ids.extend(world.trigger_spread(&mut client, portion).await?);
    }
    Ok(ids)
}

/// Transitions stored and heard on the bus per second, with every slot always taken.
async fn sustained(kind: Kind, queued: usize, seconds: u64) -> anyhow::Result<f64> {
    let mut world = World::start(kind).await?;
    world.limit(0).await?;
    fill(&mut world, queued).await?;
    world.run_engine();
    let callers = Callers::start(&world.bus, &world.team, true).await?;
    // What was accepted is published first.
    world.published().await?;
    world.settle().await?;
    world.limit(SLOTS).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = callers.seen.transitions.load(Ordering::Relaxed);
    let begun = Instant::now();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let counted = callers.seen.transitions.load(Ordering::Relaxed) - before;
    let took = begun.elapsed();
    callers.check()?;
    for (what, samples) in [
        ("a call was matched", &callers.seen.matched),
        ("its end was stored by the bus", &callers.seen.reported),
        ("and its run evaluated", &callers.seen.applied),
    ] {
        let mut samples = std::mem::take(&mut *locked(samples));
        samples.sort_unstable();
        eprintln!(
            "{kind}: {what} after {} (p99 {})",
            show(quantile(&samples, 0.5)),
            show(quantile(&samples, 0.99))
        );
    }
    drop(callers);
    world.stop().await?;
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    let rate = counted as f64 / took.as_secs_f64();
    Ok(rate)
}

/// Asks for the runs that are next, as the seed's script does. Returns how long after its slot was freed each was
/// seen to be pending or later.
async fn polled(
    world: &World,
    callers: &Callers,
    ids: Vec<i64>,
    stop: &CancellationToken,
) -> anyhow::Result<Vec<Duration>> {
    let mut client = world.client().await?;
    let mut unseen = std::collections::BTreeSet::from_iter(ids);
    let mut took = Vec::new();
    while !stop.is_cancelled() {
        let asked: Vec<String> = unseen.iter().take(200).map(ToString::to_string).collect();
        let path = format!("/test_framework/v1/runs/bulk/?run_ids={}", asked.join(","));
        let answer = client.ok("GET", &path, None).await?;
        let seen_at = Instant::now();
        let given: std::collections::HashMap<i64, Instant> =
            locked(&callers.seen.given).iter().copied().collect();
        for run in answer.as_array().into_iter().flatten() {
            let Some(id) = run["id"].as_i64().filter(|_| run["status"] != "in_queue") else {
                continue;
            };
            unseen.remove(&id);
            took.extend(given.get(&id).map(|at| seen_at.duration_since(*at)));
        }
        stop.run_until_cancelled(tokio::time::sleep(POLL)).await;
    }
    took.sort_unstable();
    Ok(took)
}

async fn refill(
    kind: Kind,
    queued: usize,
    seconds: u64,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut world = World::start(kind).await?;
    world.limit(0).await?;
    let ids = fill(&mut world, queued).await?;
    world.run_engine();
    let callers = Callers::start(&world.bus, &world.team, false).await?;
    world.published().await?;
    world.settle().await?;
    world.limit(FEW_SLOTS).await?;
    let all_up = async {
        while locked(&callers.seen.up).len() < usize::try_from(FEW_SLOTS)? {
            callers.seen.changed.notified().await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(60), all_up).await??;
    let stop = CancellationToken::new();
    let next: Vec<i64> = ids.into_iter().skip(usize::try_from(FEW_SLOTS)?).collect();
    let ending = async {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / ENDED_PER_SECOND);
        for (seconds, counts) in [(WARM_UP, false), (seconds, true)] {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(seconds) {
                ticks.tick().await;
                anyhow::ensure!(callers.hang_up_one().await?, "no call is up");
            }
            if !counts {
                locked(&callers.seen.refilled).clear();
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.cancel();
        anyhow::Ok(())
    };
    let (ended, polled) = tokio::join!(ending, polled(&world, &callers, next, &stop));
    ended?;
    callers.check()?;
    let polled = polled?;
    let mut took = std::mem::take(&mut *locked(&callers.seen.refilled));
    took.sort_unstable();
    drop(callers);
    world.stop().await?;
    report.add(
        kind,
        format!("slot freed to `pending` on the bus, 200 transitions/s, {queued} runs queued"),
        beside_the_seed(&took, "slots", &polled),
        "p99 under 20 ms",
    );
    Ok(())
}

/// What one transition takes in the store, with this many runs queued.
async fn ways(kind: Kind, queued: usize) -> anyhow::Result<Duration> {
    let mut world = World::start(kind).await?;
    world.limit(0).await?;
    let mut left = fill(&mut world, queued).await?.len();
    world.settle().await?;
    world.limit(1).await?;
    let store = world.store().clone();
    let mut took = Vec::with_capacity(WAYS);
    for way in 0..WAYS {
        if left < 2 {
            // Who triggers admits at once what has room.
            world.limit(0).await?;
            left += fill(&mut world, queued).await?.len();
            world.limit(1).await?;
        }
        let begun = Instant::now();
        let now = ringdown_bus::now;
        let admitted = store.admit(world.org, now()).await?;
        let Some(RunId(id)) = admitted.runs.first().map(|run| run.id) else {
            anyhow::bail!("nothing was admitted");
        };
        let call = CallId(format!("way-{way}"));
        let events = [
            Event::Matched {
                call: call.clone(),
                max_duration: Duration::from_secs(60),
            },
            Event::CallEnded {
                call,
                ended: EndedReason::MainAgentEnded,
            },
            Event::Scored { success: true },
        ];
        for event in events {
            let patch = RunPatch::default();
            store.transition(RunId(id), event, patch, now()).await?;
        }
        took.push(begun.elapsed() / 4);
        left -= 1;
    }
    world.stop().await?;
    Ok(median(took))
}

pub(crate) async fn measure(
    kind: Kind,
    queued: usize,
    seconds: u64,
    report: &mut Report,
) -> anyhow::Result<()> {
    let few = ways(kind, 10).await?;
    let many = ways(kind, queued).await?;
    report.add(
        kind,
        format!("one transition in the store: 10 and {queued} runs queued"),
        format!(
            "{} and {}: {:.2} times",
            show(few),
            show(many),
            many.as_secs_f64() / few.as_secs_f64()
        ),
        "at most 1.3 times",
    );
    refill(kind, queued, seconds, report).await?;
    let rate = sustained(kind, queued, seconds).await?;
    report.add(
        kind,
        format!("transitions stored and heard on the bus, {SLOTS} slots, {queued} runs queued"),
        format!("{rate:.0} transitions/s"),
        match kind {
            Kind::Sqlite => "at least 1,000/s",
            Kind::Postgres => "at least 2,000/s",
        },
    );
    Ok(())
}
