//! What the demo is meant to show, checked against what happened.

use std::path::Path;

use ringdown_domain::run::Status;
use ringdown_observer::report::{Report, RunReport};

use super::troubles::{OTHER_CALLER, OTHER_NUMBER, Trouble};
use super::world::{Part, World};

/// Everything that differs from what was meant to happen, one sentence each.
pub(super) fn check(
    world: &World,
    parts: &[Part],
    report: &Report,
    artefacts: &Path,
) -> Vec<String> {
    let mut problems = Vec::new();
    for (part, run) in parts.iter().zip(&report.runs) {
        let about = format!("{} #{} ({})", run.team, run.run_id, part.evaluator);
        let of_run = check_run(part, run, artefacts);
        problems.extend(
            of_run
                .into_iter()
                .map(|problem| format!("{about}: {problem}")),
        );
    }
    for team in &world.teams {
        let most = most_at_once(report, team.slug);
        if most > team.limit {
            problems.push(format!(
                "{}: {most} runs were being called at once, the limit is {}",
                team.slug, team.limit
            ));
        }
        if most < team.limit {
            problems.push(format!(
                "{}: never more than {most} runs were being called, so the limit of {} was not tried",
                team.slug, team.limit
            ));
        }
    }
    problems
}

fn check_run(part: &Part, run: &RunReport, artefacts: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    let mut expect = |holds: bool, problem: String| {
        if !holds {
            problems.push(problem);
        }
    };
    let called = !matches!(
        part.trouble,
        Some(Trouble::CallerIdMismatch | Trouble::WrongNumber)
    );
    let (status, success) = if called {
        (Status::Completed, Some(true))
    } else {
        (Status::Timeout, None)
    };
    expect(
        run.status == status.as_str() && run.success == success,
        format!(
            "ended as {} with success {:?}, expected {status} with {success:?}: {}",
            run.status, run.success, run.message
        ),
    );
    let mut verdicts: Vec<&str> = run.attempts.iter().map(|a| a.verdict.as_str()).collect();
    verdicts.sort_unstable();
    let expected: &[&str] = match part.trouble {
        None => &["matched"],
        Some(Trouble::CallerIdMismatch) => &["caller_id_mismatch"],
        Some(Trouble::TooEarly) => &["matched", "too_early"],
        Some(Trouble::WrongNumber) => &["unknown_number"],
    };
    expect(
        verdicts == expected,
        format!("the ledger says {verdicts:?}, expected {expected:?}"),
    );
    let evidence: &[&str] = match part.trouble {
        Some(Trouble::CallerIdMismatch) => &[OTHER_CALLER, part.contact_number],
        Some(Trouble::WrongNumber) => &[OTHER_NUMBER, part.number.as_str()],
        Some(Trouble::TooEarly) | None => &[],
    };
    for number in evidence {
        expect(
            run.message.contains(number),
            format!("its message does not name {number}: {:?}", run.message),
        );
    }
    if called {
        let length = run
            .recording
            .as_deref()
            .and_then(|recording| recording.strip_prefix("data/artefacts/"))
            .and_then(|key| hound::WavReader::open(artefacts.join(key)).ok())
            .map(|wav| (wav.spec().channels, wav.duration() / wav.spec().sample_rate));
        expect(
            matches!(length, Some((2, seconds)) if seconds >= 3),
            format!("its recording is no stereo WAV of some seconds: {length:?}"),
        );
        expect(!run.metrics.is_empty(), "it has no scores".to_owned());
    }
    problems
}

/// The most runs of a team that held a slot at one moment.
fn most_at_once(report: &Report, team: &str) -> u32 {
    let mut steps: Vec<(i64, i32)> = Vec::new();
    for run in report.runs.iter().filter(|run| run.team == team) {
        let at = |status: Status| {
            let mut entered = run.entered.iter();
            entered
                .find(|entered| entered.status == status.as_str())
                .map(|entered| entered.at_us)
        };
        let Some(taken) = at(Status::Pending) else {
            continue;
        };
        let ends = [
            Status::Evaluating,
            Status::Completed,
            Status::Failed,
            Status::Timeout,
            Status::Cancelled,
        ];
        let freed = ends.into_iter().filter_map(at).min();
        steps.push((taken, 1));
        steps.push((freed.unwrap_or(i64::MAX), -1));
    }
    // A slot that is freed and taken in the same microsecond was freed first.
    steps.sort_unstable();
    let (mut now, mut most) = (0i32, 0i32);
    for (_, step) in steps {
        now += step;
        most = most.max(now);
    }
    most.unsigned_abs()
}

/// The troubled runs and how each was explained, for people.
pub(super) fn explained(parts: &[Part], report: &Report) -> String {
    let mut text = "What went wrong on purpose, and how it was explained:\n".to_owned();
    for (part, run) in parts.iter().zip(&report.runs) {
        let Some(trouble) = part.trouble else {
            continue;
        };
        text.push_str(&format!(
            "  run {}, {}: {}\n",
            run.run_id,
            trouble.describe(),
            run.status
        ));
        for attempt in run.attempts.iter().filter(|a| a.verdict != "matched") {
            let response = attempt
                .response
                .map_or_else(|| "nothing".to_owned(), |status| status.to_string());
            text.push_str(&format!(
                "    {} -> {}, answered with {response}: {}\n",
                attempt.from, attempt.to, attempt.explanation
            ));
        }
        if !run.message.is_empty() {
            text.push_str(&format!("    the run says: {}\n", run.message));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use ringdown_observer::RunKey;
    use ringdown_observer::report::{AttemptReport, Entered};

    use super::*;

    fn part(trouble: Trouble) -> Part {
        Part {
            key: RunKey {
                team: "team".parse().unwrap(),
                run: 1.into(),
            },
            evaluator: "Evaluator",
            number: "+14155550211".to_owned(),
            contact_number: "+14155550201",
            by_itself: true,
            trouble: Some(trouble),
        }
    }

    fn mismatch() -> RunReport {
        RunReport {
            status: "timeout".to_owned(),
            message: format!("1 call arrived from {OTHER_CALLER}, expected +14155550201"),
            attempts: vec![AttemptReport {
                at: String::new(),
                verdict: "caller_id_mismatch".to_owned(),
                from: OTHER_CALLER.to_owned(),
                to: "+14155550211".to_owned(),
                response: Some(403),
                explanation: String::new(),
            }],
            ..RunReport::default()
        }
    }

    #[test]
    fn what_differs_is_noticed() {
        let part = part(Trouble::CallerIdMismatch);
        let problems = |run: &RunReport| check_run(&part, run, Path::new("/none"));
        assert_eq!(problems(&mismatch()), Vec::<String>::new());
        let changes: [fn(&mut RunReport); 4] = [
            |run| "completed".clone_into(&mut run.status),
            |run| run.message.clear(),
            |run| run.attempts.clear(),
            |run| "matched".clone_into(&mut run.attempts[0].verdict),
        ];
        for change in changes {
            let mut run = mismatch();
            change(&mut run);
            assert!(!problems(&run).is_empty(), "{run:?}");
        }
    }

    #[test]
    fn a_completed_run_needs_a_recording_and_scores() {
        let part = part(Trouble::TooEarly);
        let run = RunReport {
            status: "completed".to_owned(),
            success: Some(true),
            recording: Some("data/artefacts/none.wav".to_owned()),
            ..RunReport::default()
        };
        let problems = check_run(&part, &run, Path::new("/none")).join("; ");
        for word in ["ledger", "recording", "scores"] {
            assert!(problems.contains(word), "{word}: {problems}");
        }
    }

    #[test]
    fn slots_that_overlap_are_counted() {
        let run = |from: i64, until: i64| RunReport {
            team: "team".to_owned(),
            entered: vec![
                Entered {
                    status: "pending".to_owned(),
                    at_us: from,
                },
                Entered {
                    status: "timeout".to_owned(),
                    at_us: until,
                },
            ],
            ..RunReport::default()
        };
        let report = Report {
            runs: vec![run(0, 10), run(5, 20), run(10, 30), run(30, 40)],
            ..Report::default()
        };
        assert_eq!(most_at_once(&report, "team"), 2);
        assert_eq!(most_at_once(&report, "other"), 0);
    }
}
