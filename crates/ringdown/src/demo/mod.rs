//! `ringdown demo`: a small world, real calls on loopback, and what became of them.
//!
//! Two teams test three agents at once. One agent is called through our own SIP user agent, one by a
//! command, and one calls by itself and gets it wrong in the ways that real agents do. Nothing is
//! simulated but the agents: the platform, the bus, the calls, the recordings and the scores are what
//! `ringdown up` runs.

mod agents;
mod expectations;
mod output;
mod troubles;
mod world;

use std::sync::Arc;
use std::time::Duration;

use ringdown_client::{ApiKey, AttemptQuery, Client, Options};
use ringdown_observer::report::{AttemptReport, Report, RunReport, TeamLimit};
use ringdown_observer::{Observer, RunKey};
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;

use crate::attempts::failure;
use crate::cli::{Demo, Format};
use crate::config::Config;
use crate::exit::{Exit, Failure, Outcome};
use crate::print;
use crate::progress::Progress;
use crate::roles::{self, Role, Running};
use crate::up::Signals;

use output::Output;
use world::{Part, World};

/// Longest the runs may take. They need about 45 s.
const PATIENCE: Duration = Duration::from_secs(110);

pub(crate) async fn demo(demo: &Demo, format: Format) -> Outcome {
    let mut signals = Signals::listen()?;
    let output = Output::prepare(&demo.output)?;
    eprintln!("Speaking the agents' lines with flite ...");
    let voices = agents::speak(&output).await?;
    let config = Config {
        data_dir: output.data(),
        http_listen: ([127, 0, 0, 1], 0).into(),
        sip_listen: ([127, 0, 0, 1], 0).into(),
        parallel_calls: None,
        routes: voices.routes(&output),
        drain: Duration::from_secs(5),
        ..Config::default()
    };
    eprintln!("Starting the platform, the bus, the testing agent, a dialer and a scorer ...");
    let running = tokio::select! {
        started = Box::pin(roles::start(&config, &Role::ALL)) => started?,
        () = signals.next() => return Ok(Exit::Interrupted),
    };
    let outcome = tokio::select! {
        outcome = Box::pin(tell(&running, &output, &voices, format)) => outcome,
        () = signals.next() => Ok(Exit::Interrupted),
    };
    running.drain().await;
    outcome
}

/// Runs the world and reports it.
async fn tell(
    running: &Running,
    output: &Output,
    voices: &agents::Voices,
    format: Format,
) -> Outcome {
    let missing = |what: &str| Failure::internal(anyhow::anyhow!("the demo has no {what}"));
    let http = running.http.ok_or_else(|| missing("REST API"))?;
    let sip = running.sip.ok_or_else(|| missing("SIP endpoint"))?;
    let admin = running
        .admin_key
        .clone()
        .ok_or_else(|| missing("admin key"))?;
    let observer = running
        .observer
        .as_ref()
        .ok_or_else(|| missing("observer"))?;
    voices.write_call_script(output, sip)?;
    let connect = |key: String| {
        Client::new(
            &format!("http://{http}"),
            &ApiKey::new(key),
            Options::default(),
        )
        .map_err(failure)
    };
    eprintln!(
        "REST API at http://{http}, SIP at {sip}, bus at {}",
        without_credentials(&running.nats_url)
    );
    let world = World::build(&connect(admin)?, connect).await?;
    eprintln!("{}", world.describe());
    let parts = world.trigger().await?;
    let agent = troubles::Agent {
        observer,
        proxy: sip,
        says: Arc::clone(&voices.reminder),
    };
    let (ended, called) = tokio::join!(follow(observer, &parts), agent.call_all(&parts));
    called?;
    let ended = ended?;
    let report = report(observer, &world, &parts).await?;
    let unexpected = expectations::check(&world, &parts, &report, &output.data().join("artefacts"));
    let files = output.write(&report)?;
    if format == Format::Json {
        print::json(&json!({
            "report": report,
            "unexpected": unexpected,
            "files": files,
        }))?;
    } else {
        print::line(&print::runs(&report))?;
        print::line(&expectations::explained(&parts, &report))?;
        print::line(&files.describe())?;
    }
    for problem in &unexpected {
        eprintln!("unexpected: {problem}");
    }
    if unexpected.is_empty() && ended {
        eprintln!(
            "All {} runs ended as they were meant to, the {} troubled ones with their reason.",
            parts.len(),
            parts.iter().filter(|part| part.trouble.is_some()).count()
        );
        Ok(Exit::Success)
    } else {
        Ok(Exit::NotPassed)
    }
}

fn without_credentials(url: &str) -> String {
    url.rsplit_once('@')
        .map_or_else(|| url.to_owned(), |(_, host)| format!("nats://{host}"))
}

/// Shows every transition. True once all runs have ended, false if they did not in time.
async fn follow(observer: &Observer, parts: &[Part]) -> Result<bool, Failure> {
    let mut changes = observer.changes();
    let mut progress = Progress::new(parts.len());
    let deadline = tokio::time::sleep(PATIENCE);
    let mut deadline = std::pin::pin!(deadline);
    loop {
        for part in parts {
            if let Some(view) = observer.run(&part.key) {
                let label = format!("{} #{}: {}", part.key.team, part.key.run, part.evaluator);
                progress.show(part.key.clone(), &view, &label);
            }
        }
        if progress.all_ended() {
            return Ok(true);
        }
        tokio::select! {
            change = changes.recv() => if matches!(change, Err(RecvError::Closed)) {
                return Err(Failure::internal(anyhow::anyhow!("the observer ended")));
            },
            () = &mut deadline => {
                progress.say(&format!("gave up after {} s", PATIENCE.as_secs()));
                return Ok(false);
            }
        }
    }
}

/// What the bus saw of each run, with the ledger's rows.
async fn report(observer: &Observer, world: &World, parts: &[Part]) -> Result<Report, Failure> {
    let mut report = Report {
        title: "Ringdown demo".to_owned(),
        generated_at: jiff::Timestamp::now().to_string(),
        limits: Vec::new(),
        runs: Vec::new(),
        stray_calls: Vec::new(),
    };
    for part in parts {
        let view = observer.run(&part.key).unwrap_or_default();
        let mut run = RunReport::from_view(&part.key, &view);
        run.recording = run.recording.map(|key| format!("data/artefacts/{key}"));
        report.runs.push(run);
    }
    for team in &world.teams {
        report.limits.push(TeamLimit {
            team: team.slug.to_owned(),
            limit: team.limit,
        });
        let query = AttemptQuery {
            kind: Some("invite".to_owned()),
            page: 1,
            page_size: 500,
            ..AttemptQuery::default()
        };
        let ledger = team.client.attempts(&query).await.map_err(failure)?;
        for row in ledger.results.into_iter().rev() {
            let of = row.run_id.map(|run| RunKey {
                team: team.name.clone(),
                run: run.into(),
            });
            let row = AttemptReport {
                at: row.at,
                verdict: row.verdict,
                from: row.from.unwrap_or(row.from_raw),
                to: row.to.unwrap_or(row.to_raw),
                response: row.response,
                explanation: row.explanation,
            };
            let mut runs = report.runs.iter_mut();
            let run = of.and_then(|key| {
                runs.find(|run| run.team == key.team.as_str() && run.run_id == key.run.0)
            });
            match run {
                Some(run) => run.attempts.push(row),
                None => report.stray_calls.push(row),
            }
        }
    }
    Ok(report)
}
