//! What the same requests cost with few and with many runs stored.

use std::time::Duration;

use crate::http::Client;
use crate::report::{Report, median, show};
use crate::world::World;

const SMALL: usize = 1_000;

/// The small end comes in batches of this size, so that the first page of every list is full at both ends
/// and the same work is compared.
const FEW: usize = 20;
const PORTION: usize = 10_000;
const ASKED: usize = 300;

/// First pages of every list that grows, and those beside them.
const LISTS: [&str; 10] = [
    "/test_framework/v1/runs/",
    "/test_framework/v1/results/",
    "/test_framework/v1/aiagents/",
    "/test_framework/v2/aiagents/",
    "/test_framework/v1/scenarios/",
    "/test_framework/v1/test-profiles/",
    "/test_framework/v1/phone-numbers/",
    "/schedules/v1/cron-jobs/",
    "/user/v1/projects/",
    "/ringdown/v1/attempts/",
];

async fn cost(client: &mut Client, path: &str) -> anyhow::Result<Duration> {
    let mut took = Vec::with_capacity(ASKED);
    for _ in 0..ASKED {
        let answer = client.ask("GET", path, None).await?;
        anyhow::ensure!(answer.status == 200, "{path}: {}", answer.status);
        took.push(answer.took);
    }
    Ok(median(took))
}

async fn costs(client: &mut Client, bulk: &str) -> anyhow::Result<Vec<(String, Duration)>> {
    let mut costs = vec![("runs/bulk of 200 ids".to_owned(), cost(client, bulk).await?)];
    for path in LISTS {
        costs.push((path.to_owned(), cost(client, path).await?));
    }
    Ok(costs)
}

fn bulk(ids: &[i64]) -> String {
    // Spread over what there is, newest and oldest.
    let step = (ids.len() / 200).max(1);
    let ids: Vec<String> = ids
        .iter()
        .step_by(step)
        .take(200)
        .map(ToString::to_string)
        .collect();
    format!("/test_framework/v1/runs/bulk/?run_ids={}", ids.join(","))
}

pub(crate) async fn measure(world: &World, runs: usize, report: &mut Report) -> anyhow::Result<()> {
    // A world of its own: what was measured before has left many runs in the other one.
    let small_world = World::start(world.kind).await?;
    let mut client = small_world.client().await?;
    let mut ids = Vec::with_capacity(runs);
    while ids.len() < SMALL {
        ids.extend(small_world.trigger(&mut client, FEW).await?);
    }
    small_world.settle().await?;
    let before = costs(&mut client, &bulk(&ids)).await?;
    while ids.len() < runs {
        let portion = PORTION.min(runs - ids.len());
        ids.extend(small_world.trigger(&mut client, portion).await?);
        if ids.len() % 100_000 < PORTION {
            eprintln!("{}: {} runs stored", world.kind, ids.len());
        }
    }
    small_world.settle().await?;
    let after = costs(&mut client, &bulk(&ids)).await?;
    for ((what, few), (_, many)) in before.into_iter().zip(after) {
        report.add(
            world.kind,
            format!("{what}: {SMALL} and {runs} runs stored"),
            format!(
                "{} and {}: {:.2} times",
                show(few),
                show(many),
                many.as_secs_f64() / few.as_secs_f64()
            ),
            "at most 1.5 times",
        );
    }
    small_world.stop().await
}
