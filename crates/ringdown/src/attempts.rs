//! `ringdown attempts`: the ledger.

use std::time::Duration;

use ringdown_api::own::Attempt;
use ringdown_client::{ApiKey, AttemptQuery, Client, Error, Kind, Options};

use crate::cli::{Attempts, Format, Upstream};
use crate::exit::{Exit, Failure, Outcome};
use crate::print;

/// How long a command tries to reach its service: somebody waits for it.
const PATIENCE: Duration = Duration::from_secs(15);

/// A client of the service that a command names.
pub(crate) fn client(upstream: &Upstream) -> Result<Client, Failure> {
    Client::new(
        &upstream.url,
        &ApiKey::new(upstream.api_key.clone()),
        Options {
            read_deadline: PATIENCE,
            ..Options::default()
        },
    )
    .map_err(|error| Failure::usage(error.to_string()))
}

/// The exit code of a failed request.
pub(crate) fn failure(error: Error) -> Failure {
    match error.kind {
        Kind::Rejected { .. } => Failure::refused(error),
        _ => Failure::unavailable(error),
    }
}

pub(crate) async fn attempts(attempts: &Attempts, format: Format) -> Outcome {
    let client = client(&attempts.upstream)?;
    let query = AttemptQuery {
        run: attempts.run,
        kind: attempts.kind.clone(),
        verdict: attempts.verdict.clone(),
        refused: attempts.refused,
        page: 1,
        page_size: attempts.limit,
    };
    let page = client.attempts(&query).await.map_err(failure)?;
    if format == Format::Json {
        print::json(&page)?;
        return Ok(Exit::Success);
    }
    if page.results.is_empty() {
        eprintln!("the ledger has no such attempt");
        return Ok(Exit::Success);
    }
    print::line(&listing(&page.results))?;
    let shown = u64::try_from(page.results.len()).unwrap_or(u64::MAX);
    if shown < page.count {
        eprintln!("{shown} of {} shown, newest first; see --limit", page.count);
    }
    Ok(Exit::Success)
}

/// A table, or paragraphs where a table would break words and numbers apart.
fn listing(rows: &[Attempt]) -> String {
    let mut table = print::table(&[
        "At", "Kind", "Verdict", "Run", "From", "To", "Response", "Why",
    ]);
    if table.width().is_some_and(|width| width < print::WIDE) {
        let rows: Vec<String> = rows.iter().map(|row| cells(row).paragraph()).collect();
        return rows.join("\n");
    }
    for row in rows {
        table.add_row(cells(row).0);
    }
    table.to_string()
}

/// What is shown of one attempt.
struct Cells([String; 8]);

fn cells(row: &Attempt) -> Cells {
    let run = row.run_id.map_or_else(String::new, |id| {
        if row.nearest {
            format!("near {id}")
        } else {
            id.to_string()
        }
    });
    let response = row.response.map(|status| status.to_string());
    Cells([
        to_milliseconds(&row.at),
        row.kind.clone(),
        row.verdict.clone(),
        run,
        row.from.clone().unwrap_or_else(|| row.from_raw.clone()),
        row.to.clone().unwrap_or_else(|| row.to_raw.clone()),
        response.unwrap_or_else(|| "-".to_owned()),
        row.explanation.clone(),
    ])
}

impl Cells {
    fn paragraph(&self) -> String {
        let Self([at, kind, verdict, run, from, to, response, why]) = self;
        let run = if run.is_empty() { "-" } else { run };
        format!(
            "{at}  {kind}  {verdict}\n  {from} to {to}, run {run}, response {response}\n  {why}"
        )
    }
}

/// A timestamp as short as it may be and still be told from its neighbours.
fn to_milliseconds(at: &str) -> String {
    at.parse::<jiff::Timestamp>()
        .map_or_else(|_| at.to_owned(), |at| format!("{at:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_line_up() {
        assert_eq!(
            to_milliseconds("2026-11-24T03:30:25.99912Z"),
            "2026-11-24T03:30:25.999Z"
        );
        assert_eq!(to_milliseconds("yesterday"), "yesterday");
    }
}
