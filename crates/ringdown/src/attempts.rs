//! `ringdown attempts`: the ledger.

use std::time::Duration;

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
    let mut table = print::table(&[
        "At", "Kind", "Verdict", "Run", "From", "To", "Response", "Why",
    ]);
    for row in &page.results {
        let run = row.run_id.map_or_else(String::new, |id| {
            if row.nearest {
                format!("near {id}")
            } else {
                id.to_string()
            }
        });
        table.add_row([
            row.at.clone(),
            row.kind.clone(),
            row.verdict.clone(),
            run,
            row.from.clone().unwrap_or_else(|| row.from_raw.clone()),
            row.to.clone().unwrap_or_else(|| row.to_raw.clone()),
            row.response
                .map_or_else(|| "-".to_owned(), |s| s.to_string()),
            row.explanation.clone(),
        ]);
    }
    print::line(&table.to_string())?;
    let shown = u64::try_from(page.results.len()).unwrap_or(u64::MAX);
    if shown < page.count {
        eprintln!("{shown} of {} shown, newest first; see --limit", page.count);
    }
    Ok(Exit::Success)
}
