use std::fmt::Write as _;

use super::{AttemptReport, Report, RunReport, chart};

const STYLE: &str = "
:root{color-scheme:light dark;--fg:#1b1f24;--bg:#fff;--soft:#667;--line:#dde1e6;--ok:#1a7f4b;--bad:#b3261e;--warn:#9a6700;--a:#2f6fde;--b:#c2571a}
@media(prefers-color-scheme:dark){:root{--fg:#e6e8eb;--bg:#14171b;--soft:#98a0aa;--line:#2c323a;--ok:#4cc38a;--bad:#ff8a80;--warn:#e3b341;--a:#7aa7ff;--b:#ff9a5c}}
*{box-sizing:border-box}body{margin:0 auto;max-width:1100px;padding:2rem 1.2rem;font:15px/1.5 system-ui,sans-serif;color:var(--fg);background:var(--bg)}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .6rem}.soft{color:var(--soft)}
.cards{display:flex;flex-wrap:wrap;gap:.8rem;margin:1.2rem 0}.card{border:1px solid var(--line);border-radius:8px;padding:.6rem 1rem;min-width:7rem}.card b{display:block;font-size:1.5rem}
.ok{color:var(--ok)}.bad{color:var(--bad)}.warn{color:var(--warn)}
details{border:1px solid var(--line);border-radius:8px;margin:.5rem 0;padding:.5rem .8rem}
summary{cursor:pointer;display:grid;grid-template-columns:4.5rem 7rem 8rem 1fr 9rem;gap:.6rem}
table{border-collapse:collapse;width:100%;margin:.6rem 0}td,th{text-align:left;padding:.25rem .6rem .25rem 0;border-bottom:1px solid var(--line);vertical-align:top}
svg{width:100%;height:auto;margin:.4rem 0;font:11px system-ui,sans-serif}svg text{fill:var(--fg)}.tick{fill:var(--soft)!important}.end{text-anchor:end}
svg text.ok{fill:var(--ok)}svg text.bad{fill:var(--bad)}svg text.warn{fill:var(--warn)}svg text.soft{fill:var(--soft)}
.queued{fill:var(--line);background:var(--line)}.open{fill:#e0a526;background:#e0a526}.up{fill:var(--a);background:var(--a)}.scored{fill:#7c5cc4;background:#7c5cc4}.refused{fill:var(--bad)}
.key{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin:0 .35em 0 .8em}.why{margin:.1rem 0 0;color:var(--soft);grid-column:2/-1}
.ta{fill:var(--a)}.ma{fill:var(--b)}.grid{stroke:var(--line)}.held{fill:none;stroke:var(--a);stroke-width:2}.limit{stroke:var(--bad);stroke-dasharray:5 4}
figure{margin:0}figcaption{color:var(--soft)}audio{width:100%}code{font-size:.92em}
";

/// `text` with what HTML gives a meaning replaced.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Percent-encodes what a relative link may not hold (RFC 3986 section 3.3).
fn link(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte);
        if plain {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

pub(super) fn render(report: &Report) -> String {
    let totals = report.totals();
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{0}</title><style>{STYLE}</style></head><body>\
         <h1>{0}</h1><div class=\"soft\">{1}</div><div class=\"cards\">",
        escape(&report.title),
        escape(&report.generated_at)
    );
    for (count, class, name) in [
        (report.runs.len(), "", "runs"),
        (totals.passed, "ok", "passed"),
        (totals.not_passed, "bad", "not passed"),
        (totals.broken, "warn", "no conversation"),
        (totals.cancelled, "soft", "cancelled"),
        (totals.unfinished, "soft", "unfinished"),
    ] {
        if count > 0 || class.is_empty() {
            let _ = write!(
                page,
                "<div class=\"card\"><b class=\"{class}\">{count}</b>{name}</div>"
            );
        }
    }
    page.push_str("</div>");
    page.push_str(&chart::timeline(report));
    page.push_str(&chart::slots(report));
    page.push_str("<h2>Runs</h2>");
    for run in &report.runs {
        render_run(&mut page, run);
    }
    if !report.stray_calls.is_empty() {
        page.push_str("<h2>Calls that belong to no run</h2>");
        render_attempts(&mut page, &report.stray_calls);
    }
    page.push_str("</body></html>\n");
    page
}

/// How a run ended in one word, and the class that colours it.
pub(super) fn verdict(run: &RunReport) -> (&'static str, &str) {
    match (run.status.as_str(), run.success) {
        ("completed", Some(true)) => ("ok", "passed"),
        ("completed", _) => ("bad", "not passed"),
        ("failed" | "timeout", _) => ("warn", run.status.as_str()),
        (status, _) => ("soft", status),
    }
}

fn render_run(page: &mut String, run: &RunReport) {
    let (class, verdict) = verdict(run);
    let duration = run.duration_ms.map_or_else(String::new, |ms| {
        format!("{}.{} s", ms / 1000, ms % 1000 / 100)
    });
    let why = if run.message.is_empty() {
        String::new()
    } else {
        format!("<p class=\"why\">{}</p>", escape(&run.message))
    };
    let _ = write!(
        page,
        "<details id=\"run-{0}-{1}\"><summary><span>#{1}</span><b class=\"{class}\">{2}</b>\
         <span class=\"soft\">{0}</span><span>{3} <span class=\"soft\">{4}</span></span>\
         <span class=\"soft\">{duration}</span>{why}</summary>",
        escape(&run.team),
        run.run_id,
        escape(verdict),
        escape(&run.scenario),
        escape(&run.agent),
    );
    page.push_str(&chart::turns(&run.turns, run.duration_ms.unwrap_or(0)));
    if let Some(recording) = &run.recording {
        let _ = write!(
            page,
            "<audio controls preload=\"none\" src=\"{0}\"></audio><div><a href=\"{0}\"><code>{1}</code></a></div>",
            link(recording),
            escape(recording)
        );
    }
    let mut facts = vec![("Number", run.number.clone())];
    facts.push(("Call ended", run.ended_reason.clone()));
    facts.push(("Dialed", run.dial.clone()));
    page.push_str("<table>");
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = write!(page, "<tr><th>{name}</th><td>{}</td></tr>", escape(value));
    }
    for metric in &run.metrics {
        let class = match metric.passed {
            Some(true) => "ok",
            Some(false) => "bad",
            None => "",
        };
        let _ = write!(
            page,
            "<tr><th>{}</th><td class=\"{class}\">{}</td></tr>",
            escape(&metric.name),
            escape(&metric.explanation)
        );
    }
    page.push_str("</table>");
    if run.turns.iter().any(|turn| !turn.text.is_empty()) {
        page.push_str("<table>");
        for turn in &run.turns {
            let _ = write!(
                page,
                "<tr><td class=\"soft\">{}.{} s</td><td>{}</td><td>{}</td></tr>",
                turn.start_ms / 1000,
                turn.start_ms % 1000 / 100,
                escape(&turn.speaker),
                escape(&turn.text)
            );
        }
        page.push_str("</table>");
    }
    render_attempts(page, &run.attempts);
    page.push_str("</details>");
}

fn render_attempts(page: &mut String, attempts: &[AttemptReport]) {
    if attempts.is_empty() {
        return;
    }
    page.push_str(
        "<table><tr><th>Call at</th><th>Verdict</th><th>From</th><th>To</th><th>Response</th><th>Why</th></tr>",
    );
    for attempt in attempts {
        let _ = write!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&attempt.at),
            escape(&attempt.verdict),
            escape(&attempt.from),
            escape(&attempt.to),
            attempt
                .response
                .map_or_else(|| "none".to_owned(), |status| status.to_string()),
            escape(&attempt.explanation)
        );
    }
    page.push_str("</table>");
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_in_a_report_becomes_markup() {
        let page = super::super::tests::report().html();
        assert!(!page.contains("<script") && page.contains("Agent &lt;1&gt;"));
        assert!(page.contains("recordings/a%20b.wav"));
        assert!(page.contains("slots held, limit 2"));
    }
}
