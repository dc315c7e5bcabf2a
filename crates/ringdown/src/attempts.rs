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
        "At", "Kind", "Verdict", "Run", "From", "Via", "To", "Response", "Why",
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
struct Cells([String; 9]);

fn cells(row: &Attempt) -> Cells {
    let run = row.run_id.map_or_else(String::new, |id| {
        if row.nearest {
            format!("near {id}")
        } else {
            id.to_string()
        }
    });
    let response = row.response.map(|status| status.to_string());
    // Trunk and header of a caller ID, as far as there are any.
    let via = [Some(row.trunk.as_str()), row.from_header.as_deref()];
    let via: Vec<&str> = via
        .into_iter()
        .flatten()
        .filter(|text| !text.is_empty())
        .collect();
    Cells([
        to_milliseconds(&row.at),
        row.kind.clone(),
        row.verdict.clone(),
        run,
        row.from.clone().unwrap_or_else(|| row.from_raw.clone()),
        via.join(" "),
        row.to.clone().unwrap_or_else(|| row.to_raw.clone()),
        response.unwrap_or_else(|| "-".to_owned()),
        row.explanation.clone(),
    ])
}

impl Cells {
    fn paragraph(&self) -> String {
        let Self([at, kind, verdict, run, from, via, to, response, why]) = self;
        let shown = |text: &String| match text.as_str() {
            "" => "-".to_owned(),
            text => text.to_owned(),
        };
        let (from, run) = (shown(from), shown(run));
        let via = match via.as_str() {
            "" => String::new(),
            via => format!(" ({via})"),
        };
        format!(
            "{at}  {kind}  {verdict}\n  {from}{via} to {to}, run {run}, response {response}\n  {why}"
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
    fn the_trunk_and_the_header_of_a_caller_are_shown() {
        let row: Attempt = serde_json::from_value(serde_json::json!({
            "id": 1, "kind": "invite", "attempt_id": "a", "at": "2026-11-24T03:30:25Z",
            "verdict": "caller_id_missing", "explanation": "why", "run_id": null, "nearest": false,
            "from_raw": "", "from": null, "to_raw": "", "to": "+15559990001", "source": "",
            "sip_call_id": "", "response": 403, "route": ""
        }))
        .unwrap();
        let paragraph = cells(&row).paragraph();
        assert!(
            paragraph.contains("\n  - to +15559990001, run -"),
            "{paragraph}"
        );
        let row = Attempt {
            trunk: "london".to_owned(),
            from_header: Some("from".to_owned()),
            from_raw: "anonymous".to_owned(),
            ..row
        };
        let paragraph = cells(&row).paragraph();
        assert!(
            paragraph.contains("anonymous (london from) to"),
            "{paragraph}"
        );
    }

    #[test]
    fn times_line_up() {
        assert_eq!(
            to_milliseconds("2026-11-24T03:30:25.99912Z"),
            "2026-11-24T03:30:25.999Z"
        );
        assert_eq!(to_milliseconds("yesterday"), "yesterday");
    }
}
