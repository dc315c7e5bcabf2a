use std::time::Duration;

use comfy_table::{Table, presets};
use serde::Serialize;

/// What was measured.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    database: String,
    what: String,
    measured: String,
    wanted: String,
}

impl Report {
    pub(crate) fn add(
        &mut self,
        database: impl std::fmt::Display,
        what: impl Into<String>,
        measured: impl Into<String>,
        wanted: impl Into<String>,
    ) {
        let row = Row {
            database: database.to_string(),
            what: what.into(),
            measured: measured.into(),
            wanted: wanted.into(),
        };
        eprintln!(
            "{}: {}: {} (wanted: {})",
            row.database, row.what, row.measured, row.wanted
        );
        self.rows.push(row);
    }

    /// Prints a table that Markdown understands.
    pub(crate) fn print(&self) {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        table.set_header(["database", "what", "measured", "wanted"]);
        for row in &self.rows {
            table.add_row([&row.database, &row.what, &row.measured, &row.wanted]);
        }
        println!("{table}");
    }
}

/// A duration for people.
pub(crate) fn show(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1000.0;
    if ms < 10.0 {
        format!("{ms:.2} ms")
    } else {
        format!("{ms:.0} ms")
    }
}

/// The value below which this share of the sorted samples lies.
pub(crate) fn quantile(sorted: &[Duration], share: f64) -> Duration {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index of a list that fits memory"
    )]
    let index = ((sorted.len().saturating_sub(1)) as f64 * share).round() as usize;
    sorted.get(index).copied().unwrap_or_default()
}

/// The middle one.
pub(crate) fn median(mut samples: Vec<Duration>) -> Duration {
    samples.sort_unstable();
    quantile(&samples, 0.5)
}

/// Sorted times of so many of something, with those of the seed's polling loop beside them.
pub(crate) fn beside_the_seed(took: &[Duration], what: &str, polled: &[Duration]) -> String {
    format!(
        "p50 {}, p99 {} ({} {what}); the seed's polling loop beside it: p50 {}, p99 {}",
        show(quantile(took, 0.5)),
        show(quantile(took, 0.99)),
        took.len(),
        show(quantile(polled, 0.5)),
        show(quantile(polled, 0.99)),
    )
}
