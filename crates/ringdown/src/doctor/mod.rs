//! `ringdown doctor`: whether a batch of an agent could work, before anything is spent on it.

mod call;
mod judge;
mod reach;

use std::net::SocketAddr;

use clap::Args;
use comfy_table::{Cell, Color, ColumnConstraint};
use ringdown_api::own::{Diagnosis, Finding, Severity};
use ringdown_client::{Client, Error};
use serde::Serialize;

use crate::attempts::{client, failure};
use crate::cli::{Format, Upstream};
use crate::exit::{Exit, Failure, Outcome};
use crate::print;

/// `ringdown doctor`
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    upstream: Upstream,
    /// The agent.
    #[arg(long)]
    agent_id: i64,
    /// Runs that are planned.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: u32,
    /// Calls at once that are planned. Default: as many as the limits allow.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    parallel: Option<u32>,
    /// Where calls go. Default: what the platform says.
    #[arg(long, value_name = "IP:PORT")]
    sip: Option<SocketAddr>,
    /// Make one real test call: trigger one run of one evaluator and report what arrived.
    #[arg(long)]
    call: bool,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Report {
    agent_id: i64,
    runs: u32,
    parallel: Option<u32>,
    /// The run of the test call, if there was one.
    run_id: Option<i64>,
    errors: usize,
    warnings: usize,
    findings: Vec<Finding>,
}

pub(crate) async fn doctor(doctor: &Doctor, format: Format) -> Outcome {
    let client = client(&doctor.upstream)?;
    let (mut findings, mut run_id) = (Vec::new(), None);
    match diagnosis(&client, doctor).await? {
        None => findings.push(Finding::error(
            "agent_unknown",
            format!("There is no agent {} for this API key.", doctor.agent_id),
            "List your agents with `ringdown agents list`, or use the key of their organisation.",
        )),
        Some(diagnosis) => {
            findings.extend_from_slice(&diagnosis.findings);
            findings.extend(reach::look(doctor.sip, diagnosis.sip_uri.as_deref()).await?);
            if doctor.call {
                match test_call(&client, &diagnosis, &findings).await? {
                    Some((run, found)) => {
                        run_id = run;
                        findings.extend(found);
                    }
                    None => return Ok(Exit::Interrupted),
                }
            }
        }
    }
    let count = |severity| findings.iter().filter(|f| f.severity == severity).count();
    let report = Report {
        agent_id: doctor.agent_id,
        runs: doctor.runs,
        parallel: doctor.parallel,
        run_id,
        errors: count(Severity::Error),
        warnings: count(Severity::Warning),
        findings,
    };
    show(&report, format)?;
    Ok(match report.errors {
        0 => Exit::Success,
        _ => Exit::NotPassed,
    })
}

/// What the platform says; `None` if it has no such agent.
async fn diagnosis(client: &Client, doctor: &Doctor) -> Result<Option<Diagnosis>, Failure> {
    let agent = doctor.agent_id;
    let unknown = |error: &Error| error.status() == Some(404);
    match client.doctor(agent, doctor.runs, doctor.parallel).await {
        Ok(diagnosis) => Ok(Some(diagnosis)),
        Err(error) if unknown(&error) => match client.agent(agent).await {
            Err(error) if unknown(&error) => Ok(None),
            Err(error) => Err(failure(error)),
            Ok(_) => Err(Failure::refused(anyhow::anyhow!(
                "this service has agent {agent} and cannot examine it: it is not a Ringdown platform, or an older one"
            ))),
        },
        Err(error) => Err(failure(error)),
    }
}

/// The run and the findings of a test call, if one is worth trying; `None` if it was interrupted.
async fn test_call(
    client: &Client,
    diagnosis: &Diagnosis,
    before: &[Finding],
) -> Result<Option<(Option<i64>, Vec<Finding>)>, Failure> {
    if before.iter().any(|f| f.severity == Severity::Error) {
        let skipped = Finding::warning(
            "call_skipped",
            "No test call was made, because there are errors.",
            "Mend them and ask again.",
        );
        return Ok(Some((None, vec![skipped])));
    }
    let Some(evaluator) = diagnosis.evaluator_id else {
        let skipped = Finding::warning(
            "call_skipped",
            "No test call was made, because no evaluator of the agent has a number.",
            "Give one a number and ask again.",
        );
        return Ok(Some((None, vec![skipped])));
    };
    Ok(match call::make(client, diagnosis, evaluator).await? {
        call::Made::NotTriggered(why) => {
            let refused = Finding::error(
                "call_not_triggered",
                format!("The test run was not triggered: {why}."),
                "Do what it says and ask again.",
            );
            Some((None, vec![refused]))
        }
        call::Made::Interrupted => None,
        call::Made::Over { run, attempts } => {
            let found = judge::judge(&run, &attempts);
            Some((Some(run.id), found))
        }
    })
}

fn show(report: &Report, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        return print::json(report);
    }
    print::line(&table(&report.findings))?;
    let counted = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        many => format!("{many} {what}s"),
    };
    let errors = counted(report.errors, "error");
    eprintln!("{errors}, {}", counted(report.warnings, "warning"));
    Ok(())
}

/// A table, or paragraphs where a table would break words apart.
fn table(findings: &[Finding]) -> String {
    let mut table = print::table(&["", "Check", "Found", "To do"]);
    if table.width().is_some_and(|width| width < print::WIDE) {
        let rows: Vec<String> = findings.iter().map(paragraph).collect();
        return rows.join("\n");
    }
    for finding in findings {
        let colour = match finding.severity {
            Severity::Ok => Color::Green,
            Severity::Warning => Color::Yellow,
            Severity::Error => Color::Red,
        };
        table.add_row([
            Cell::new(finding.severity.as_str()).fg(colour),
            Cell::new(&finding.code),
            Cell::new(&finding.found),
            Cell::new(&finding.advice),
        ]);
    }
    for column in [0, 1] {
        if let Some(column) = table.column_mut(column) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table.to_string()
}

fn paragraph(finding: &Finding) -> String {
    let Finding {
        code,
        severity,
        found,
        advice,
    } = finding;
    let severity = severity.as_str();
    if advice.is_empty() {
        format!("{severity:<7}  {code}\n  {found}")
    } else {
        format!("{severity:<7}  {code}\n  {found}\n  -> {advice}")
    }
}
