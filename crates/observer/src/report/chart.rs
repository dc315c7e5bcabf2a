//! Small SVG drawings for the HTML report.

use std::fmt::Write as _;

use ringdown_domain::run::Status;

use super::{Report, RunReport, TurnReport};

const WIDTH: i64 = 860;

/// Rows a timeline may have before it is too tall to be looked at.
const MAX_ROWS: usize = 60;

/// Who spoke when, one lane each. Empty if nobody spoke.
pub(super) fn turns(turns: &[TurnReport], duration_ms: i64) -> String {
    let end = turns
        .iter()
        .map(|turn| turn.end_ms)
        .max()
        .unwrap_or(0)
        .max(duration_ms);
    if turns.is_empty() || end <= 0 {
        return String::new();
    }
    let x = |ms: i64| 110 + ms.clamp(0, end) * (WIDTH - 120) / end;
    let mut svg = format!(
        "<svg viewBox='0 0 {WIDTH} 74' role='img' aria-label='Who spoke when'>\
         <text x='0' y='22'>Testing agent</text><text x='0' y='48'>Main agent</text>"
    );
    ticks(&mut svg, end, 58, x);
    for turn in turns {
        let testing = turn.speaker.starts_with("Testing");
        let (class, y) = if testing { ("ta", 10) } else { ("ma", 36) };
        let width = (x(turn.end_ms) - x(turn.start_ms)).max(2);
        let _ = write!(
            svg,
            "<rect class='{class}' x='{}' y='{y}' width='{width}' height='16' rx='3'><title>{} ms to {} ms</title></rect>",
            x(turn.start_ms),
            turn.start_ms,
            turn.end_ms
        );
    }
    svg.push_str("</svg>");
    svg
}

/// Grid lines from the top to `bottom`, with seconds under them.
fn ticks(svg: &mut String, end_ms: i64, bottom: i64, x: impl Fn(i64) -> i64) {
    let step = [500, 1000, 2000, 5000, 10_000, 30_000, 60_000]
        .into_iter()
        .find(|step| end_ms / step <= 12)
        .unwrap_or((end_ms / 12).max(1));
    let mut tick = 0;
    while tick <= end_ms {
        let _ = write!(
            svg,
            "<line class='grid' x1='{0}' x2='{0}' y1='6' y2='{bottom}'/>\
             <text class='tick' x='{0}' y='{1}'>{2}.{3} s</text>",
            x(tick),
            bottom + 12,
            tick / 1000,
            tick % 1000 / 100
        );
        tick += step;
    }
}

/// What every run was doing when, one row each, with the calls that were refused.
pub(super) fn timeline(report: &Report) -> String {
    let rows: Vec<&RunReport> = report
        .runs
        .iter()
        .filter(|run| !run.entered.is_empty())
        .collect();
    let moments = rows.iter().flat_map(|run| &run.entered).map(|e| e.at_us);
    let (Some(first), Some(last)) = (moments.clone().min(), moments.max()) else {
        return String::new();
    };
    if rows.len() > MAX_ROWS || last <= first {
        return String::new();
    }
    let x = |at: i64| 190 + (at - first).clamp(0, last - first) * (WIDTH - 280) / (last - first);
    let count = i64::try_from(rows.len()).unwrap_or(0);
    let bottom = count * 22 + 8;
    let mut svg = format!(
        "<figure><figcaption><span class='key queued'></span>in queue <span class='key open'></span>may be called \
         <span class='key up'></span>in a call <span class='key scored'></span>being scored \
         <b class='bad'>&#9650;</b> call refused</figcaption>\
         <svg viewBox='0 0 {WIDTH} {}' role='img' aria-label='What every run was doing when'>",
        bottom + 18
    );
    ticks(&mut svg, (last - first) / 1000, bottom, |ms| {
        x(first + ms * 1000)
    });
    for (index, run) in rows.iter().enumerate() {
        let y = i64::try_from(index).unwrap_or(0) * 22 + 10;
        row(&mut svg, run, y, last, x);
    }
    svg.push_str("</svg></figure>");
    svg
}

fn row(svg: &mut String, run: &RunReport, y: i64, last: i64, x: impl Fn(i64) -> i64) {
    let (class, verdict) = super::html::verdict(run);
    let _ = write!(
        svg,
        "<text x='0' y='{}'>#{} {}</text>",
        y + 11,
        run.run_id,
        super::html::escape(&run.scenario)
    );
    let mut states: Vec<_> = run.entered.iter().collect();
    states.sort_by_key(|entered| entered.at_us);
    let mut end = last;
    for (index, entered) in states.iter().enumerate() {
        let shade = match Status::parse(&entered.status) {
            Some(Status::InQueue) => "queued",
            Some(Status::Pending) => "open",
            Some(Status::InProgress) => "up",
            Some(Status::Evaluating) => "scored",
            _ => {
                end = entered.at_us;
                continue;
            }
        };
        let until = states.get(index + 1).map_or(last, |next| next.at_us);
        let (from, to) = (x(entered.at_us), x(until));
        let _ = write!(
            svg,
            "<rect class='{shade}' x='{from}' y='{y}' width='{}' height='14' rx='2'><title>{} for {} ms</title></rect>",
            (to - from).max(2),
            super::html::escape(&entered.status),
            (until - entered.at_us) / 1000
        );
    }
    for attempt in run.attempts.iter().filter(|a| a.verdict != "matched") {
        let Ok(at) = attempt.at.parse::<jiff::Timestamp>() else {
            continue;
        };
        let at = x(at.as_microsecond());
        let _ = write!(
            svg,
            "<path class='refused' d='M{} {} l6 -11 l6 11 z'><title>{}</title></path>",
            at - 6,
            y + 13,
            super::html::escape(&attempt.explanation)
        );
    }
    let _ = write!(
        svg,
        "<text class='{class}' x='{}' y='{}'>{}</text>",
        x(end) + 6,
        y + 11,
        super::html::escape(verdict)
    );
}

/// Runs of a team that hold a slot over time, as steps of (microsecond, count).
fn held(runs: &[&RunReport]) -> Vec<(i64, i64)> {
    let mut changes: Vec<(i64, i64)> = Vec::new();
    for run in runs {
        let at = |wanted: &str| {
            run.entered
                .iter()
                .find(|e| e.status == wanted)
                .map(|e| e.at_us)
        };
        let Some(from) = at("pending") else { continue };
        let until = ["evaluating", "completed", "failed", "timeout", "cancelled"]
            .into_iter()
            .filter_map(at)
            .min();
        changes.push((from, 1));
        changes.extend(until.map(|until| (until, -1)));
    }
    changes.sort_unstable();
    let mut count = 0;
    changes
        .into_iter()
        .map(|(at, change)| {
            count += change;
            (at, count)
        })
        .collect()
}

/// Slots held over time against the limit, one row per limited team.
pub(super) fn slots(report: &Report) -> String {
    let mut svg = String::new();
    for limit in &report.limits {
        let runs: Vec<&RunReport> = report
            .runs
            .iter()
            .filter(|run| run.team == limit.team)
            .collect();
        let steps = held(&runs);
        let (Some((first, _)), Some((last, _))) = (steps.first(), steps.last()) else {
            continue;
        };
        let span = (last - first).max(1);
        let x = |at: i64| 40 + (at - first) * (WIDTH - 60) / span;
        let top = i64::from(limit.limit)
            .max(steps.iter().map(|(_, n)| *n).max().unwrap_or(0))
            .max(1);
        let y = |n: i64| 100 - n * 80 / top;
        let mut path = format!("M{} {}", x(*first), y(0));
        for (at, count) in &steps {
            let _ = write!(path, " H{} V{}", x(*at), y(*count));
        }
        let (team, limit, right) = (super::html::escape(&limit.team), limit.limit, WIDTH - 20);
        let line = y(i64::from(limit));
        let (seconds, tenths) = (span / 1_000_000, span % 1_000_000 / 100_000);
        let _ = write!(
            svg,
            "<figure><figcaption>{team}: slots held, limit {limit}</figcaption>\
             <svg viewBox='0 0 {WIDTH} 124' role='img' aria-label='Slots held over time'>\
             <path class='held' d='{path}'/>\
             <line class='limit' x1='40' x2='{right}' y1='{line}' y2='{line}'/>\
             <text x='4' y='{}'>{limit}</text><text x='4' y='104'>0</text>\
             <text class='tick' x='40' y='120'>0 s</text>\
             <text class='tick end' x='{right}' y='120'>{seconds}.{tenths} s</text>\
             </svg></figure>",
            line + 4
        );
    }
    svg
}
