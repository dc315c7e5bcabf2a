//! Many clients that poll, as the reference's sample script does.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::http::Client;
use crate::peer::Peer;
use crate::report::{Report, quantile, show};
use crate::world::World;

const CLIENTS: usize = 64;
const IDS: usize = 100;

/// Answers per second, and the sorted times they took.
async fn poll(
    address: std::net::SocketAddr,
    key: &str,
    paths: Vec<String>,
    seconds: u64,
) -> anyhow::Result<(f64, Vec<Duration>)> {
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut clients = JoinSet::new();
    for path in paths {
        let mut client = Client::connect(address, key).await?;
        clients.spawn(async move {
            let mut took = Vec::new();
            while Instant::now() < until {
                let answer = client.ask("GET", &path, None).await?;
                anyhow::ensure!(answer.status == 200, "{path}: {}", answer.status);
                took.push(answer.took);
            }
            anyhow::Ok(took)
        });
    }
    let mut all = Vec::new();
    while let Some(took) = clients.join_next().await {
        all.extend(took??);
    }
    all.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    let rate = all.len() as f64 / Duration::from_secs(seconds).as_secs_f64();
    Ok((rate, all))
}

pub(crate) async fn measure(
    world: &World,
    seconds: u64,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut client = world.client().await?;
    let ids = world.trigger(&mut client, CLIENTS * IDS).await?;
    let paths: Vec<String> = ids
        .chunks(IDS)
        .map(|ids| {
            let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
            format!("/test_framework/v1/runs/bulk/?run_ids={}", ids.join(","))
        })
        .collect();
    let Some(first) = paths.first() else {
        anyhow::bail!("no runs were accepted");
    };
    let body = client.ask("GET", first, None).await?.body;
    let size = body.len();
    let peer = Peer::start(body).await?;
    let (ceiling, of_peer) = poll(peer.address, &world.key, paths.clone(), seconds).await?;
    peer.stop();
    let (rate, took) = poll(world.address, &world.key, paths, seconds).await?;
    report.add(
        world.kind,
        format!(
            "{CLIENTS} clients poll runs/bulk with {IDS} ids each ({} KiB)",
            size / 1024
        ),
        format!(
            "{rate:.0} requests/s, p99 {}; the same bytes from memory by hyper: {ceiling:.0}/s, \
             p99 {}; ratio {:.2}",
            show(quantile(&took, 0.99)),
            show(quantile(&of_peer, 0.99)),
            rate / ceiling
        ),
        "at least 1,000/s, p99 under 100 ms",
    );
    Ok(())
}
