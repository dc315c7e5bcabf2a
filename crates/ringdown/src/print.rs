//! Output. Data goes to standard output, talk to standard error.

use std::io::Write as _;

use comfy_table::{Cell, Color, ColumnConstraint, ContentArrangement, Table, presets};
use ringdown_observer::report::Report;
use serde::Serialize;

use crate::cli::Format;
use crate::config;
use crate::exit::Failure;

/// Writes bytes to standard output. A reader that has gone away is no failure.
pub(crate) fn raw(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::internal(error))
        }
        _ => Ok(()),
    }
}

/// One line.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    raw(format!("{text}\n").as_bytes())
}

/// One JSON document on one line.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(Failure::internal)?;
    line(&text)
}

/// Terminals narrower than this get paragraphs instead of tables of many columns, which would break
/// words and numbers apart.
pub(crate) const WIDE: u16 = 130;

/// A table as wide as the terminal allows.
pub(crate) fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_BORDERS_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(headings);
    table
}

/// Every setting.
pub(crate) fn config(format: Format) -> Result<(), Failure> {
    let settings = config::documented();
    if format == Format::Json {
        let rows: Vec<_> = settings
            .iter()
            .map(|(key, env, doc)| serde_json::json!({"key": key, "env": env, "doc": doc}))
            .collect();
        return json(&rows);
    }
    let mut table = table(&["Setting", "Environment", "Meaning"]);
    if table.width().is_some_and(|width| width < WIDE) {
        let rows: Vec<String> = settings
            .iter()
            .map(|(key, env, doc)| format!("{key}  {env}\n    {doc}"))
            .collect();
        return line(&rows.join("\n"));
    }
    for (key, env, doc) in settings {
        table.add_row([key, env, doc.to_owned()]);
    }
    line(&table.to_string())
}

/// The runs of a report as a table.
pub(crate) fn runs(report: &Report) -> String {
    let mut table = table(&[
        "Run",
        "Evaluator",
        "Number",
        "Status",
        "Passed",
        "Call",
        "Why",
    ]);
    for run in &report.runs {
        let (passed, colour) = match run.success {
            Some(true) => ("yes", Color::Green),
            Some(false) => ("no", Color::Red),
            None => ("-", Color::Yellow),
        };
        let call = run.duration_ms.map_or_else(
            || "-".to_owned(),
            |ms| format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        );
        let why = if run.message.is_empty() {
            &run.ended_reason
        } else {
            &run.message
        };
        table.add_row([
            Cell::new(run.run_id),
            Cell::new(&run.scenario),
            Cell::new(&run.number),
            Cell::new(&run.status),
            Cell::new(passed).fg(colour),
            Cell::new(call),
            Cell::new(why),
        ]);
    }
    // Numbers and states stay whole; evaluator and reason share what is left.
    for column in [0, 2, 3, 4, 5] {
        if let Some(column) = table.column_mut(column) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    if table.width().is_none_or(|width| width >= WIDE) {
        return table.to_string();
    }
    // The reasons need whole lines.
    if let Some(column) = table.column_mut(6) {
        column.set_constraint(ColumnConstraint::Hidden);
    }
    let mut text = table.to_string();
    for run in report.runs.iter().filter(|run| !run.message.is_empty()) {
        text.push_str(&format!("\nrun {}: {}", run.run_id, run.message));
    }
    text
}
