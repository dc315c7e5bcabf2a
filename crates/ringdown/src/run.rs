//! `ringdown run`: scheduler, poller, dialer and observer against any service that speaks the API.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use prometheus::Registry;
use ringdown_api::{ResultDetail, Run as WireRun};
use ringdown_bus::{Bus, From, NatsServer, ServerOptions, find_nats_server};
use ringdown_carrier::Routes;
use ringdown_client::Client;
use ringdown_dialer::Dialer;
use ringdown_domain::{E164, Team};
use ringdown_observer::report::{MetricReport, Report, RunReport, TurnReport};
use ringdown_observer::{Observer, RunKey};
use ringdown_poller::Poller;
use ringdown_scheduler::{Error as PlanError, Plan, Triggered, trigger};
use tokio::sync::broadcast::error::RecvError;

use crate::attempts;
use crate::cli::{Format, Run};
use crate::dialer::{route_specs, secret};
use crate::exit::{Exit, Failure, Outcome};
use crate::print;
use crate::progress::{Progress, dial_trouble};
use crate::queue::Waits;
use crate::up::Signals;

const ROUTE: &str = "run";

/// The bus of one invocation: the user's, or a child in a folder that goes away with it.
struct OwnBus {
    bus: Bus,
    nats: Option<(NatsServer, tempfile::TempDir)>,
}

impl OwnBus {
    async fn open(url: Option<String>) -> Result<Self, Failure> {
        let (nats, url) = match url {
            Some(url) => (None, url),
            None => {
                let folder = tempfile::Builder::new()
                    .prefix("ringdown-run-")
                    .tempdir()
                    .map_err(Failure::unavailable)?;
                let server = NatsServer::start(ServerOptions {
                    program: find_nats_server().map_err(Failure::unavailable)?,
                    folder: folder.path().to_owned(),
                })
                .await
                .map_err(Failure::unavailable)?;
                let url = server.url().to_owned();
                (Some((server, folder)), url)
            }
        };
        let bus = Bus::connect(&ringdown_bus::Options {
            url,
            name: format!("ringdown-run-{}", std::process::id()),
            replicas: 1,
        })
        .await
        .map_err(Failure::unavailable)?;
        Ok(Self { bus, nats })
    }

    async fn close(self) {
        if let Err(error) = self.bus.close().await {
            tracing::warn!(%error, "the bus was not closed cleanly");
        }
        if let Some((server, _folder)) = self.nats {
            server.stop().await;
        }
    }
}

pub(crate) async fn run(run: Run, format: Format) -> Outcome {
    let client = attempts::client(&run.upstream)?;
    let mut specs = BTreeMap::new();
    specs.extend(run.dial.clone().map(|spec| (ROUTE.to_owned(), spec)));
    let specs = route_specs(specs.iter())?;
    if let Some(from) = &run.from {
        from.parse::<E164>()
            .map_err(|error| Failure::usage(format!("--from {from}: {error}")))?;
    }
    for path in run.junit.iter().chain(&run.html) {
        can_be_written(path)?;
    }
    // From here on a signal must not leave runs behind that nobody watches.
    let mut signals = Signals::listen()?;
    let nats_url = run.nats_url.clone().filter(|url| !url.is_empty());
    let own = OwnBus::open(nats_url).await?;
    let outcome = with_bus(&run, &client, &own.bus, &specs, format, &mut signals).await;
    own.close().await;
    outcome
}

async fn with_bus(
    run: &Run,
    client: &Client,
    bus: &Bus,
    specs: &BTreeMap<String, ringdown_carrier::RouteSpec>,
    format: Format,
    signals: &mut Signals,
) -> Outcome {
    let id = ringdown_bus::new_event_id();
    let tail: String = id.chars().rev().take(12).collect();
    let team: Team = format!("run-{tail}").parse().map_err(Failure::internal)?;
    let registry = Registry::new();
    let routes = Routes::build(specs, None, &secret)
        .await
        .map_err(Failure::unavailable)?;
    let options = ringdown_dialer::Options {
        team: Some(team.clone()),
        concurrency: run.dial_concurrency.into(),
        ack_wait: Duration::from_secs(10),
        min_ring: Duration::from_secs(2),
        routes,
        accounts: None,
    };
    let dialer = Dialer::start(bus, options, &registry)
        .await
        .map_err(Failure::unavailable)?;
    let poller = Poller::start(bus, team.clone(), client.clone())
        .await
        .map_err(Failure::unavailable)?;
    let options = ringdown_observer::Options {
        team: Some(team.clone()),
        from: From::Beginning,
        capacity: 100_000,
    };
    let observer = Observer::start(bus, options, &registry)
        .await
        .map_err(Failure::unavailable)?;
    let plan = Plan {
        team: team.clone(),
        agent: run.agent_id,
        scenarios: run.scenarios.clone(),
        frequency: run.frequency,
        concurrency_limit: run.concurrency_limit,
        priority: run.priority,
        name: run.name.clone(),
        dial_route: run
            .dial
            .as_ref()
            .map_or_else(String::new, |_| ROUTE.to_owned()),
        from: run.from.clone(),
    };
    let followed = match trigger_unless_given_up(client, bus, &plan, signals).await {
        Ok(Some(triggered)) => {
            let ended = follow(run, client, &poller, &observer, &triggered, &team, signals).await;
            ended.map(|ended| Some((triggered, ended)))
        }
        Ok(None) => Ok(None),
        Err(failure) => Err(failure),
    };
    // Calls of runs that are given up are not waited for.
    let patience = match &followed {
        Ok(Some((_, Ended::All))) => Duration::from_secs(5),
        _ => Duration::ZERO,
    };
    let finished = async {
        poller.stop().await;
        dialer.drain(patience).await;
        match followed? {
            Some((triggered, ended)) => {
                finish(run, client, &observer, &team, &triggered, ended, format).await
            }
            None => Ok(Exit::Interrupted),
        }
    };
    tokio::select! {
        outcome = finished => outcome,
        () = signals.next() => {
            eprintln!("interrupted before the end: runs and calls may go on");
            Ok(Exit::Interrupted)
        }
    }
}

/// Ends what has not ended, and reports.
async fn finish(
    run: &Run,
    client: &Client,
    observer: &Observer,
    team: &Team,
    triggered: &Triggered,
    ended: Ended,
    format: Format,
) -> Outcome {
    let id = triggered.result.id;
    let mut answered = ended != Ended::Unanswered;
    if !matches!(ended, Ended::All | Ended::Unanswered) {
        eprintln!("ending what is left of result {id}");
        if let Err(error) = client.end_calls(id).await {
            eprintln!("failed to {error}; runs of result {id} may go on");
            answered = false;
        }
    }
    let unknown = ResultDetail {
        id,
        ..ResultDetail::default()
    };
    let result = if answered {
        match client.result(id).await {
            Ok(result) => result,
            Err(error) => {
                eprintln!("failed to {error}; this is what was seen before");
                answered = false;
                unknown
            }
        }
    } else {
        unknown
    };
    let report = report(observer, team, triggered, &result);
    show(run, &report, &result, format)?;
    Ok(match ended {
        _ if !answered => Exit::Unavailable,
        Ended::Interrupted => Exit::Interrupted,
        Ended::All if report.totals().passed == report.runs.len() => Exit::Success,
        _ => Exit::NotPassed,
    })
}

/// Triggers the plan. A signal does not cut the request off, since its runs could not be ended then:
/// the answer is waited for, and a second signal gives it up. `None` if nothing is known to run.
async fn trigger_unless_given_up(
    client: &Client,
    bus: &Bus,
    plan: &Plan,
    signals: &mut Signals,
) -> Result<Option<Triggered>, Failure> {
    let mut triggering = std::pin::pin!(trigger(client, bus, plan));
    tokio::select! {
        triggered = &mut triggering => return triggered.map(Some).map_err(plan_failure),
        () = signals.next() => {}
    }
    eprintln!("waiting for the answer to the trigger, to end its runs; interrupt again to give up");
    tokio::select! {
        triggered = triggering => {
            let triggered = triggered.map_err(plan_failure)?;
            let ended = client.end_calls(triggered.result.id).await;
            ended.map_err(attempts::failure)?;
        }
        () = signals.next() => {
            eprintln!("runs may have been triggered: look at the service's latest result");
        }
    }
    Ok(None)
}

fn plan_failure(error: PlanError) -> Failure {
    let refused = match &error {
        PlanError::Inbound(_) | PlanError::NoSuchAgent(_) => true,
        PlanError::Service(error) => error.status().is_some(),
        _ => false,
    };
    if refused {
        Failure::refused(error)
    } else {
        Failure::unavailable(error)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    All,
    TimedOut,
    Interrupted,
    /// The service does not answer any more.
    Unanswered,
}

/// Shows every transition until all runs have ended.
async fn follow(
    run: &Run,
    client: &Client,
    poller: &Poller,
    observer: &Observer,
    triggered: &Triggered,
    team: &Team,
    signals: &mut Signals,
) -> Result<Ended, Failure> {
    let mut changes = observer.changes();
    let mut progress = Progress::new(triggered.result.runs.len());
    let deadline = tokio::time::sleep(Duration::from_secs(run.timeout));
    let mut deadline = std::pin::pin!(deadline);
    let mut look = tokio::time::interval(Duration::from_secs(1));
    let waits = Waits::new(client.clone());
    loop {
        for (key, view) in observer.snapshot() {
            if key.team == *team {
                let label = format!("Run ID: {}", key.run);
                progress.show(key, &view, &label);
            }
        }
        if progress.all_ended() {
            return Ok(Ended::All);
        }
        waits.ask_about(progress.first_queued());
        progress.waiting(waits.told());
        tokio::select! {
            // Whatever changed, and however much was missed, the snapshot has it.
            change = changes.recv() => if matches!(change, Err(RecvError::Closed)) {
                return Ok(Ended::Interrupted);
            },
            () = &mut deadline => {
                progress.say(&format!("gave up after {} s", run.timeout));
                return Ok(Ended::TimedOut);
            }
            _ = look.tick() => if poller.unanswered_for().as_secs() >= run.unanswered {
                progress.say(&format!("the service has not answered for {} s", run.unanswered));
                return Ok(Ended::Unanswered);
            },
            () = signals.next() => return Ok(Ended::Interrupted),
        }
    }
}

/// What the bus saw of each run, completed by what the service knows.
fn report(
    observer: &Observer,
    team: &Team,
    triggered: &Triggered,
    result: &ResultDetail,
) -> Report {
    let runs = triggered.result.runs.iter().map(|run| {
        let key = RunKey {
            team: team.clone(),
            run: run.id.into(),
        };
        let view = observer.run(&key).unwrap_or_default();
        let mut report = RunReport::from_view(&key, &view);
        report.team = "upstream".to_owned();
        report.result_id = triggered.result.id;
        report.run_id = run.id;
        if let Some(known) = result.runs.get(&run.id.to_string()) {
            complete(&mut report, known);
        }
        if report.success.is_none()
            && let Some(trouble) = dial_trouble(&view)
        {
            let told = std::mem::replace(&mut report.message, trouble);
            if !told.is_empty() {
                report.message.push_str(&format!(" ({told})"));
            }
        }
        report
    });
    Report {
        title: format!("{}: result {}", triggered.agent_name, triggered.result.id),
        generated_at: jiff::Timestamp::now().to_string(),
        limits: Vec::new(),
        runs: runs.collect(),
        stray_calls: Vec::new(),
    }
}

fn complete(report: &mut RunReport, run: &WireRun) {
    report.status = run.status.to_string();
    report.success = run.success;
    report.scenario.clone_from(&run.scenario_name);
    report.agent.clone_from(&run.agent_name);
    report.message.clone_from(&run.error_message);
    report.recording.clone_from(&run.voice_recording_url);
    let text = |value: Option<&serde_json::Value>| match value {
        Some(serde_json::Value::String(text)) => text.clone(),
        _ => String::new(),
    };
    report.ended_reason = text(run.metadata.get("ended_reason"));
    if let Some(serde_json::Value::Array(reasons)) = run.metadata.get("not_passed_because") {
        let reasons: Vec<&str> = reasons.iter().filter_map(|r| r.as_str()).collect();
        if report.message.is_empty() {
            report.message = reasons.join("; ");
        }
    }
    let milliseconds = |seconds: Option<f64>| {
        let duration = Duration::try_from_secs_f64(seconds?).ok()?;
        i64::try_from(duration.as_millis()).ok()
    };
    let duration = run
        .metadata
        .get("duration_seconds")
        .and_then(serde_json::Value::as_f64);
    report.duration_ms = milliseconds(duration);
    for metric in run
        .evaluation
        .iter()
        .flat_map(|evaluation| &evaluation.metrics)
    {
        report.metrics.push(MetricReport {
            code: metric.function_name.clone(),
            name: metric.name.clone(),
            value: metric.score.as_f64(),
            unit: String::new(),
            passed: metric.passed,
            explanation: match &metric.explanation {
                serde_json::Value::Array(texts) => {
                    let texts: Vec<&str> = texts.iter().filter_map(|t| t.as_str()).collect();
                    texts.join(" ")
                }
                other => text(Some(other)),
            },
        });
    }
    for turn in &run.transcript_object {
        report.turns.push(TurnReport {
            speaker: turn.role.clone(),
            start_ms: milliseconds(turn.start_time).unwrap_or(0),
            end_ms: milliseconds(turn.end_time).unwrap_or(0),
            text: turn.content.clone(),
        });
    }
}

/// Finds out before anything is triggered what would fail when all is over.
fn can_be_written(path: &Path) -> Result<(), Failure> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if !folder.is_dir() || path.is_dir() {
        return Err(Failure::usage(format!(
            "no report can be written to {}: name a file in a folder that exists",
            path.display()
        )));
    }
    Ok(())
}

fn show(run: &Run, report: &Report, result: &ResultDetail, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        print::json(report)?;
    } else {
        print::line(&print::runs(report))?;
        let totals = report.totals();
        print::line(&format!(
            "result {}: {} of {} runs passed ({} %)",
            result.id,
            totals.passed,
            report.runs.len(),
            result.success_rate
        ))?;
    }
    let write = |path: &Path, text: String| {
        std::fs::write(path, text).map_err(|error| {
            let error = anyhow::Error::new(error);
            Failure::unavailable(error.context(format!("failed to write {}", path.display())))
        })
    };
    if let Some(path) = &run.junit {
        write(path, report.junit().map_err(Failure::internal)?)?;
    }
    if let Some(path) = &run.html {
        write(path, report.html())?;
    }
    Ok(())
}
