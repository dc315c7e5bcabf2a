//! A long batch in one request, and what it means for everybody else.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::report::{Report, median, quantile, show};
use crate::world::World;

const RUNS: usize = 10_000;
const ROUNDS: usize = 3;

/// Changes a test profile again and again until `stop`; how long each change took.
async fn change(world: &World, stop: &CancellationToken) -> anyhow::Result<Vec<Duration>> {
    let mut client = world.client().await?;
    let path = format!("/test_framework/v1/test-profiles/{}/", world.profile);
    let mut took = Vec::new();
    while !stop.is_cancelled() {
        let body = json!({"name": format!("Somebody {}", took.len())});
        let begun = Instant::now();
        client.ok("PATCH", &path, Some(&body)).await?;
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    Ok(took)
}

pub(crate) async fn measure(world: &World, report: &mut Report) -> anyhow::Result<()> {
    let mut client = world.client().await?;
    world.trigger(&mut client, 10).await?;
    let mut accepted = Vec::new();
    let mut slowest = Duration::ZERO;
    let mut others = Vec::new();
    for _ in 0..ROUNDS {
        let stop = CancellationToken::new();
        let begin = async {
            let begun = Instant::now();
            let runs = world.trigger(&mut client, RUNS).await;
            stop.cancel();
            runs.map(|runs| (runs.len(), begun.elapsed()))
        };
        let (triggered, changed) = tokio::join!(begin, change(world, &stop));
        let (runs, took) = triggered?;
        anyhow::ensure!(runs == RUNS, "{runs} runs were accepted");
        accepted.push(took);
        let changed = changed?;
        slowest = slowest.max(changed.last().copied().unwrap_or_default());
        others.push(quantile(&changed, 0.5));
    }
    report.add(
        world.kind,
        "10,000 runs accepted in one request, beside a client that writes all the time",
        show(median(accepted)),
        "under 3 s on SQLite",
    );
    report.add(
        world.kind,
        "slowest write of that client meanwhile (its median)",
        format!("{} ({})", show(slowest), show(median(others))),
        "under 100 ms",
    );
    Ok(())
}
