//! What the same requests cost with few and with many runs stored.

use std::time::Duration;

use crate::http::Client;
use crate::report::{Report, median, show};
use crate::world::{Kind, World};

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

/// The medians of what a request takes in two worlds that are asked in turn, so that whatever else the machine
/// does meets both.
async fn costs(
    [few, many]: [&mut Client; 2],
    paths: [&str; 2],
) -> anyhow::Result<(Duration, Duration)> {
    let mut took = [Vec::with_capacity(ASKED), Vec::with_capacity(ASKED)];
    for _ in 0..ASKED {
        let [of_few, of_many] = &mut took;
        for (client, path, took) in [
            (&mut *few, paths[0], of_few),
            (&mut *many, paths[1], of_many),
        ] {
            let answer = client.ask("GET", path, None).await?;
            anyhow::ensure!(answer.status == 200, "{path}: {}", answer.status);
            took.push(answer.took);
        }
    }
    let [few, many] = took;
    Ok((median(few), median(many)))
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

/// A world with this many runs, in portions of this size, and a request for 200 of them.
async fn filled(kind: Kind, runs: usize, portion: usize) -> anyhow::Result<(World, String)> {
    let world = World::start(kind).await?;
    let mut client = world.client().await?;
    let mut ids = Vec::with_capacity(runs);
    while ids.len() < runs {
        let portion = portion.min(runs - ids.len());
        ids.extend(world.trigger(&mut client, portion).await?);
        if runs > SMALL && ids.len() % 100_000 < portion {
            eprintln!("{kind}: {} runs stored", ids.len());
        }
    }
    world.settle().await?;
    let bulk = bulk(&ids);
    Ok((world, bulk))
}

pub(crate) async fn measure(kind: Kind, runs: usize, report: &mut Report) -> anyhow::Result<()> {
    let (small, few_ids) = filled(kind, SMALL, FEW).await?;
    let (large, many_ids) = filled(kind, runs, PORTION).await?;
    let (mut of_few, mut of_many) = (small.client().await?, large.client().await?);
    let bulk = (
        "runs/bulk of 200 ids",
        [few_ids.as_str(), many_ids.as_str()],
    );
    for (what, paths) in [bulk]
        .into_iter()
        .chain(LISTS.map(|path| (path, [path, path])))
    {
        let (few, many) = costs([&mut of_few, &mut of_many], paths).await?;
        report.add(
            kind,
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
    small.stop().await?;
    large.stop().await
}
