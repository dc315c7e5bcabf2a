//! Says why a run got no call, from the ledger.

use std::collections::BTreeMap;

use ringdown_domain::E164;
use ringdown_domain::attempt::Verdict;
use ringdown_domain::dial::{Ending, Stage};
use ringdown_store::{Attempt, AttemptKind, Run};

/// Kinds of refused calls that are told apart in one message; the ledger has all of them.
const MAX_SENTENCES: usize = 5;

/// The `error_message` of a run whose window closed: the refused calls grouped by what was wrong
/// with them, most telling first, then what the dialer did.
pub(super) fn explain(run: &Run, attempts: &[Attempt]) -> String {
    let mut groups: BTreeMap<(u8, String), u32> = BTreeMap::new();
    for attempt in attempts
        .iter()
        .filter(|a| a.row.kind == AttemptKind::Invite)
    {
        let sentence = refused(run, attempt);
        if let Some((rank, sentence)) = sentence {
            *groups.entry((rank, sentence)).or_default() += 1;
        }
    }
    let mut sentences: Vec<String> = groups
        .into_iter()
        .map(|((_, sentence), count)| {
            if count == 1 {
                format!("1 call {sentence}")
            } else {
                format!("{count} calls {sentence}")
            }
        })
        .collect();
    let answered = sentences.len();
    if answered > MAX_SENTENCES {
        sentences.truncate(MAX_SENTENCES);
        let more = answered - MAX_SENTENCES;
        sentences.push(format!(
            "and {more} more kinds of calls, see the attempt ledger"
        ));
    }
    sentences.extend(dialed(attempts));
    if answered == 0 {
        let from = callers(run);
        sentences.insert(
            0,
            format!(
                "no call from {from} arrived on {} while the dial window was open",
                run.number
            ),
        );
    }
    sentences.join("; ")
}

fn callers(run: &Run) -> String {
    let texts: Vec<&str> = run
        .caller_ids
        .iter()
        .map(ringdown_domain::E164::as_str)
        .collect();
    texts.join(" or ")
}

fn refused(run: &Run, attempt: &Attempt) -> Option<(u8, String)> {
    let row = &attempt.row;
    let from = row.from.as_ref().map_or_else(
        || format!("{:?}", row.from_raw),
        |number| number.as_str().to_owned(),
    );
    let to = row
        .to
        .as_ref()
        .map_or_else(|| row.to_raw.clone(), |number| number.as_str().to_owned());
    Some(match attempt.verdict()? {
        Verdict::Matched => return None,
        Verdict::CallerIdMismatch => (
            0,
            format!(
                "arrived from {from}, the agent's contact_number is {}",
                callers(run)
            ),
        ),
        Verdict::CallerIdMissing => (
            1,
            format!(
                "arrived without a usable caller ID, the agent's contact_number is {}",
                callers(run)
            ),
        ),
        Verdict::UnknownNumber | Verdict::NoPendingRun => (
            2,
            format!("arrived from {from} on {to} instead of {}", run.number),
        ),
        Verdict::TooEarly => (3, "arrived before the run was pending".to_owned()),
        Verdict::TooLate => (4, "arrived after the dial window had closed".to_owned()),
        Verdict::Duplicate => (5, "arrived while another call was up".to_owned()),
        Verdict::AtCapacity => (6, "was refused for want of capacity".to_owned()),
        Verdict::UntrustedSource => (
            7,
            format!("came from {}, which is no trusted trunk", row.source),
        ),
    })
}

/// What the run's own dialer reported, if anything but success.
fn dialed(attempts: &[Attempt]) -> Option<String> {
    let dial = attempts
        .iter()
        .rev()
        .find(|attempt| attempt.row.kind == AttemptKind::Dial)?;
    let why = &dial.row.explanation;
    Some(match Stage::parse(&dial.row.verdict)? {
        Stage::Placed | Stage::Followed => placed(dial, attempts),
        Stage::NotPlaced => format!("the dialer could not place the call: {why}"),
        Stage::Ambiguous | Stage::Settled => {
            format!("it is unknown whether the dialer placed a call: {why}")
        }
        Stage::Claimed => {
            format!("a dialer took the run ({why}) and did not say that it dialed")
        }
        Stage::Intended => "a dialer had begun to dial and did not say what came of it".to_owned(),
    })
}

/// A call that was placed and did not reach its run. The provider hears a refusal as a busy line or the like: where a call
/// was refused here, both are the same event.
fn placed(dial: &Attempt, attempts: &[Attempt]) -> String {
    let why = &dial.row.explanation;
    let unheard = matches!(
        dial.row.ending,
        Some(Ending::Busy | Ending::NoAnswer | Ending::Rejected | Ending::Failed)
    );
    let refused = attempts
        .iter()
        .find(|attempt| attempt.verdict() == Some(Verdict::CallerIdMismatch));
    match (unheard, refused) {
        (true, Some(refused)) => {
            let from = refused
                .row
                .from
                .as_ref()
                .map_or(refused.row.from_raw.as_str(), E164::as_str);
            format!(
                "that is the call the dialer placed ({why}): it came from {from}, a caller ID that the agent is not known \
                 by, and was refused for that; the number was not busy"
            )
        }
        _ => format!("the dialer placed a call ({why}), but it did not arrive here"),
    }
}

#[cfg(test)]
mod tests {
    use ringdown_domain::run::State;
    use ringdown_domain::{RunId, Timestamp};
    use ringdown_store::{NewAttempt, Script};

    use super::*;

    fn number(last: u32) -> E164 {
        format!("+1555123{last:04}").parse().unwrap()
    }

    fn run() -> Run {
        let at = Timestamp::from_micros(0);
        Run {
            id: RunId(7),
            org: 1.into(),
            team: "team".parse().unwrap(),
            project: 1.into(),
            result: 1.into(),
            result_name: String::new(),
            agent: 1.into(),
            agent_name: String::new(),
            scenario: 1.into(),
            scenario_name: String::new(),
            personality: None,
            personality_name: String::new(),
            number: number(1),
            caller_ids: vec![number(2)],
            dial_route: None,
            test_profile: None,
            script: Script {
                first_message: String::new(),
                replies: vec![],
                closing: String::new(),
                max_duration_ms: 1,
                silence_timeout_ms: 1,
                language: String::new(),
                instructions: String::new(),
                expected_outcome: String::new(),
            },
            seq: 1,
            version: 1,
            state: State::InQueue,
            window: None,
            call: None,
            holder: None,
            created_at: at,
            executed_at: None,
            updated_at: at,
            duration: None,
            ended_reason: None,
            recording: None,
            score: None,
            notes: ringdown_store::Extra::new(),
        }
    }

    fn attempt(kind: AttemptKind, verdict: &str, from: u32, to: u32) -> Attempt {
        Attempt {
            id: 1,
            row: NewAttempt {
                attempt_id: String::new(),
                kind,
                at: Timestamp::from_micros(0),
                verdict: verdict.to_owned(),
                org: None,
                run: None,
                nearest: true,
                from_raw: String::new(),
                from: Some(number(from)),
                to_raw: String::new(),
                to: Some(number(to)),
                source: "192.0.2.1:5060".to_owned(),
                sip_call_id: String::new(),
                response: None,
                ending: None,
                explanation: "the carrier refused".to_owned(),
                route: String::new(),
                presented: ringdown_domain::Presented::default(),
            },
        }
    }

    #[test]
    fn a_busy_line_and_a_refused_call_are_one_finding() {
        let mut dial = attempt(AttemptKind::Dial, "placed", 2, 1);
        dial.row.ending = Some(Ending::Busy);
        dial.row.explanation = "placed as CA1; the provider says: busy, SIP 486".to_owned();
        let refused = attempt(AttemptKind::Invite, "caller_id_mismatch", 9, 1);
        let both = explain(&run(), &[refused, dial.clone()]);
        assert!(
            both.contains("that is the call the dialer placed"),
            "{both}"
        );
        assert!(both.contains("the number was not busy"), "{both}");
        let alone = explain(&run(), &[dial]);
        assert!(alone.contains("but it did not arrive here"), "{alone}");
        assert!(alone.contains("busy, SIP 486"), "{alone}");
    }

    #[test]
    fn calls_with_the_same_fault_are_counted_together() {
        let calls = [
            attempt(AttemptKind::Invite, "too_early", 2, 1),
            attempt(AttemptKind::Invite, "caller_id_mismatch", 9, 1),
            attempt(AttemptKind::Invite, "caller_id_mismatch", 9, 1),
        ];
        assert_eq!(
            explain(&run(), &calls),
            "2 calls arrived from +15551230009, the agent's contact_number is +15551230002; \
             1 call arrived before the run was pending"
        );
    }

    #[test]
    fn many_kinds_of_calls_are_summed_up() {
        let calls: Vec<_> = (10..1_000)
            .map(|from| attempt(AttemptKind::Invite, "caller_id_mismatch", from, 1))
            .collect();
        let text = explain(&run(), &calls);
        assert!(text.len() < 1_000, "{text}");
        assert!(text.ends_with("and 985 more kinds of calls, see the attempt ledger"));
    }

    #[test]
    fn no_call_and_a_failed_dial_are_told_apart() {
        let nothing = explain(&run(), &[]);
        assert!(nothing.starts_with("no call from +15551230002 arrived on +15551230001"));
        let dial = [attempt(AttemptKind::Dial, "not_placed", 2, 1)];
        assert!(explain(&run(), &dial).ends_with("could not place the call: the carrier refused"));
    }

    #[test]
    fn every_refusal_has_a_sentence() {
        for verdict in Verdict::ALL.into_iter().filter(|v| *v != Verdict::Matched) {
            let text = explain(
                &run(),
                &[attempt(AttemptKind::Invite, verdict.as_str(), 3, 4)],
            );
            assert!(text.starts_with("1 call "), "{verdict}: {text}");
        }
    }
}
