//! `make bench`: how fast the platform is, measured over real sockets on this machine.
//!
//! Contract: every number is measured in this run. Speeds are given beside a named peer that answers the
//! same bytes to the same client without doing anything for them, and as growth between a small and a
//! large amount of data, because absolute numbers say more of the machine than of the product.
//!
//! Refuses: to be a test. It fails only if something cannot be measured.
#![allow(
    clippy::indexing_slicing,
    reason = "an answer without a field is null, which is noticed where it is used"
)]

mod accept;
mod callers;
mod dial;
mod flow;
mod growth;
mod http;
mod peer;
mod polling;
mod report;
mod service;
mod world;

use std::fmt;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};

use report::Report;
use world::{Kind, World};

/// Measures the platform.
#[derive(Debug, Parser)]
struct Options {
    /// Runs stored for the large end of the growth measurements.
    #[arg(long, default_value_t = 1_000_000)]
    runs: usize,
    /// Seconds that clients poll.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Runs that wait in the queue while transitions are measured.
    #[arg(long, default_value_t = 100_000)]
    queued: usize,
    /// What to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Part::Rest, Part::Flow, Part::Dial])]
    parts: Vec<Part>,
    /// Databases to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Kind::Sqlite, Kind::Postgres])]
    databases: Vec<Kind>,
    /// Write the results as JSON here.
    #[arg(long)]
    json: Option<std::path::PathBuf>,
}

/// A part of the measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The REST server.
    Rest,
    /// Transitions, from the queue to the bus.
    Flow,
    /// Dials, from the bus to a provider; without a database.
    Dial,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rest => "rest",
            Self::Flow => "flow",
            Self::Dial => "dial",
        })
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let mut report = Report::default();
    if options.parts.contains(&Part::Dial) {
        dial::measure(options.seconds, &mut report).await?;
    }
    for kind in &options.databases {
        eprintln!("{kind}: starting");
        if options.parts.contains(&Part::Flow) {
            flow::measure(*kind, options.queued, options.seconds, &mut report).await?;
        }
        if !options.parts.contains(&Part::Rest) {
            continue;
        }
        let world = World::start(*kind)
            .await
            .with_context(|| format!("failed to start a platform on {kind}"))?;
        accept::measure(&world, &mut report).await?;
        polling::measure(&world, options.seconds, &mut report).await?;
        world.stop().await?;
        growth::measure(*kind, options.runs, &mut report).await?;
    }
    report.print();
    if let Some(path) = &options.json {
        std::fs::write(path, serde_json::to_vec_pretty(&report)?)?;
    }
    Ok(())
}
