//! Small SVG drawings for the HTML report.

use std::fmt::Write as _;

use super::{Report, RunReport, TurnReport};

const WIDTH: i64 = 860;

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
    let step = [500, 1000, 2000, 5000, 10_000, 30_000, 60_000]
        .into_iter()
        .find(|step| end / step <= 12)
        .unwrap_or(300_000);
    let mut tick = 0;
    while tick <= end {
        let _ = write!(
            svg,
            "<line class='grid' x1='{0}' x2='{0}' y1='6' y2='58'/><text class='tick' x='{0}' y='70'>{1}.{2} s</text>",
            x(tick),
            tick / 1000,
            tick % 1000 / 100
        );
        tick += step;
    }
    svg.push_str("</svg>");
    svg
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
