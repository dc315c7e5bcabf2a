use std::collections::BTreeMap;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};
use ringdown_domain::run::Status;

use super::{Report, RunReport};
use crate::Error;

/// Renders the dialect that CI systems share: `testsuites/testsuite/testcase` with `failure` for a
/// run that did not pass, `error` for one without a usable conversation, `skipped` for a cancelled
/// or unfinished one.
pub(super) fn render(report: &Report) -> Result<String, Error> {
    let failed = |reason: String| Error::Render {
        format: "JUnit",
        reason,
    };
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    write(&mut writer, report).map_err(|error| failed(error.to_string()))?;
    String::from_utf8(writer.into_inner()).map_err(|error| failed(error.to_string()))
}

fn write(writer: &mut Writer<Vec<u8>>, report: &Report) -> std::io::Result<()> {
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let mut suites: BTreeMap<(&str, i64), Vec<&RunReport>> = BTreeMap::new();
    for run in &report.runs {
        suites
            .entry((&run.team, run.result_id))
            .or_default()
            .push(run);
    }
    let count = |runs: &[&RunReport], kind| runs.iter().filter(|r| Kind::of(r) == kind).count();
    writer
        .create_element("testsuites")
        .with_attribute(("name", report.title.as_str()))
        .with_attribute(("tests", report.runs.len().to_string().as_str()))
        .write_inner_content(|writer| {
            for ((team, result), runs) in &suites {
                let name = format!("{team} result {result}");
                writer
                    .create_element("testsuite")
                    .with_attribute(("name", name.as_str()))
                    .with_attribute(("tests", runs.len().to_string().as_str()))
                    .with_attribute(("failures", count(runs, Kind::Failure).to_string().as_str()))
                    .with_attribute(("errors", count(runs, Kind::Error).to_string().as_str()))
                    .with_attribute(("skipped", count(runs, Kind::Skipped).to_string().as_str()))
                    .with_attribute(("timestamp", report.generated_at.as_str()))
                    .write_inner_content(|writer| {
                        runs.iter().try_for_each(|run| write_case(writer, run))
                    })?;
            }
            Ok(())
        })?;
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Pass,
    Failure,
    Error,
    Skipped,
}

impl Kind {
    fn of(run: &RunReport) -> Self {
        match run.known_status() {
            Some(Status::Completed) if run.success == Some(true) => Self::Pass,
            Some(Status::Completed) => Self::Failure,
            Some(Status::Failed | Status::Timeout) => Self::Error,
            _ => Self::Skipped,
        }
    }
}

fn write_case(writer: &mut Writer<Vec<u8>>, run: &RunReport) -> std::io::Result<()> {
    let name = format!("run {}: {}", run.run_id, run.scenario);
    let milliseconds = run.duration_ms.unwrap_or(0).max(0);
    let time = format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000);
    writer
        .create_element("testcase")
        .with_attribute(("classname", run.agent.as_str()))
        .with_attribute(("name", name.as_str()))
        .with_attribute(("time", time.as_str()))
        .write_inner_content(|writer| {
            let element = match Kind::of(run) {
                Kind::Pass => None,
                Kind::Failure => Some("failure"),
                Kind::Error => Some("error"),
                Kind::Skipped => Some("skipped"),
            };
            if let Some(element) = element {
                writer
                    .create_element(element)
                    .with_attribute(("type", run.status.as_str()))
                    .with_attribute(("message", run.message.as_str()))
                    .write_empty()?;
            }
            let out = details(run);
            if !out.is_empty() {
                writer
                    .create_element("system-out")
                    .write_text_content(BytesText::new(&out))?;
            }
            Ok(())
        })?;
    Ok(())
}

fn details(run: &RunReport) -> String {
    let mut lines = vec![format!("number {}", run.number)];
    if !run.ended_reason.is_empty() {
        lines.push(format!("call ended: {}", run.ended_reason));
    }
    lines.extend(run.recording.iter().map(|path| format!("recording {path}")));
    lines.extend(
        run.metrics
            .iter()
            .map(|metric| format!("{}: {}", metric.name, metric.explanation)),
    );
    lines.extend(run.attempts.iter().map(|attempt| {
        format!(
            "{} {}: {}",
            attempt.at, attempt.verdict, attempt.explanation
        )
    }));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use quick_xml::Reader;
    use quick_xml::events::Event;

    #[test]
    fn the_report_is_well_formed_and_counts_what_failed() {
        let text = super::super::tests::report().junit().unwrap();
        let mut reader = Reader::from_str(&text);
        let mut cases = 0;
        loop {
            match reader.read_event().unwrap() {
                Event::Start(element) if element.name().as_ref() == "testcase" => cases += 1,
                Event::Eof => break,
                _ => {}
            }
        }
        assert_eq!(cases, 5);
        assert!(
            text.contains(r#"failures="1" errors="1" skipped="2""#),
            "{text}"
        );
        assert!(text.contains("Books &amp; pays") && text.contains(r#"time="2.500""#));
    }
}
