//! Which run a call belongs to. Pure: the store finds the candidates and claims the winner in one
//! transaction, this module decides.

use crate::attempt::Verdict;
use crate::run::{Status, Window};
use crate::{CallId, E164, NoNumber, Presented, RunId, Timestamp};

/// A call that arrived, as far as matching cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncomingCall {
    /// Our name for it. The same call asked about twice gets the same answer.
    pub call: CallId,
    /// The caller ID in E.164, or what the trunk sent instead.
    pub from: Result<E164, NoNumber>,
    /// The number that was called, in E.164, or what the trunk sent instead.
    pub to: Result<E164, String>,
    /// The run our own dialer says it dials for.
    pub hint: Option<RunId>,
    /// Where that caller ID is from, and what else was said about the caller. Only explains.
    pub presented: Presented,
}

/// A run on the number that was called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The run.
    pub run: RunId,
    /// Its state.
    pub status: Status,
    /// Its dial window, once it has had one.
    pub window: Option<Window>,
    /// The caller IDs its agent may call from.
    pub caller_ids: Vec<E164>,
    /// The call it was matched to, if any.
    pub call: Option<CallId>,
}

/// What was decided about a call, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The verdict for the ledger.
    pub verdict: Verdict,
    /// The matched run, or the nearest one, which the explanation is about.
    pub run: Option<RunId>,
    /// One sentence for a person.
    pub explanation: String,
}

impl Judgement {
    fn new(verdict: Verdict, run: Option<RunId>, explanation: String) -> Self {
        Self {
            verdict,
            run,
            explanation,
        }
    }
}

/// Judges `call` against the runs on the number it called.
///
/// `candidates` holds the unfinished runs on that number and the recently finished ones, oldest
/// pending first, then in the order they were created. `number_known` says whether anybody owns the
/// number. A match needs a pending run whose window is open and whose agent may call from `from`;
/// several fit: the hinted one, else the oldest.
pub fn judge(
    call: &IncomingCall,
    number_known: bool,
    candidates: &[Candidate],
    now: Timestamp,
) -> Judgement {
    if let Some(again) = candidates
        .iter()
        .find(|c| c.status == Status::InProgress && c.call.as_ref() == Some(&call.call))
    {
        let explanation = format!("already matched to run {}", again.run);
        return Judgement::new(Verdict::Matched, Some(again.run), explanation);
    }
    let to = match &call.to {
        Ok(to) if number_known => to,
        Ok(to) => {
            let explanation = format!("{to} is no number of this service");
            return Judgement::new(Verdict::UnknownNumber, None, explanation);
        }
        Err(raw) => {
            let explanation = format!("the called number {raw:?} is not E.164");
            return Judgement::new(Verdict::UnknownNumber, None, explanation);
        }
    };
    let waiting = |c: &&Candidate| {
        c.status == Status::Pending && c.window.is_some_and(|window| window.contains(now))
    };
    let from = match &call.from {
        Ok(from) => from,
        Err(missing) => {
            let nearest = candidates.iter().find(waiting);
            let hint = nearest.map(|run| overlooked(call, run)).unwrap_or_default();
            let explanation = format!("{missing}{hint}");
            return Judgement::new(
                Verdict::CallerIdMissing,
                nearest.map(|c| c.run),
                explanation,
            );
        }
    };
    let allowed = |c: &&Candidate| c.caller_ids.contains(from);
    let fits = |c: &&Candidate| waiting(c) && allowed(c);
    let hinted = |c: &&Candidate| Some(c.run) == call.hint;
    if let Some(winner) = candidates
        .iter()
        .find(|c| fits(c) && hinted(c))
        .or_else(|| candidates.iter().find(fits))
    {
        let explanation = format!("{from} called {to} while run {} was pending", winner.run);
        return Judgement::new(Verdict::Matched, Some(winner.run), explanation);
    }
    if let Some(nearest) = candidates.iter().find(waiting) {
        let expected = list(&nearest.caller_ids);
        let explanation = format!(
            "the call came from {from}, run {} expects its agent to call from {expected}{}",
            nearest.run,
            overlooked(call, nearest)
        );
        return Judgement::new(Verdict::CallerIdMismatch, Some(nearest.run), explanation);
    }
    explain_without_waiting_run(from, to, candidates, now)
}

fn explain_without_waiting_run(
    from: &E164,
    to: &E164,
    candidates: &[Candidate],
    now: Timestamp,
) -> Judgement {
    let ours = |c: &&Candidate| c.caller_ids.contains(from);
    if let Some(queued) = candidates
        .iter()
        .find(|c| c.status == Status::InQueue && ours(c))
    {
        let explanation = format!(
            "run {} is still in the queue: dial it once it is pending",
            queued.run
        );
        return Judgement::new(Verdict::TooEarly, Some(queued.run), explanation);
    }
    if let Some(live) = candidates
        .iter()
        .find(|c| c.status == Status::InProgress && ours(c))
    {
        let explanation = format!("run {} already has its call", live.run);
        return Judgement::new(Verdict::Duplicate, Some(live.run), explanation);
    }
    let closed = |c: &&Candidate| {
        c.status == Status::Timeout
            || (c.status == Status::Pending && c.window.is_some_and(|w| w.closes_at <= now))
    };
    if let Some(late) = candidates.iter().rev().find(|c| closed(c) && ours(c)) {
        let ago = late.window.map_or(0, |w| now.since(w.closes_at).as_secs());
        let explanation = format!(
            "the dial window of run {} closed {ago} s before the call arrived",
            late.run
        );
        return Judgement::new(Verdict::TooLate, Some(late.run), explanation);
    }
    let queued = candidates.iter().find(|c| c.status == Status::InQueue);
    if let Some(queued) = queued {
        let explanation = format!(
            "the call came from {from}, run {} is still in the queue and expects {}",
            queued.run,
            list(&queued.caller_ids)
        );
        return Judgement::new(Verdict::CallerIdMismatch, Some(queued.run), explanation);
    }
    let nearest = candidates.last().map(|c| c.run);
    let explanation = format!("{to} is known, but no run waits for a call from {from} on it");
    Judgement::new(Verdict::NoPendingRun, nearest, explanation)
}

/// That a header which does not count has the caller ID that `run` waits for.
fn overlooked(call: &IncomingCall, run: &Candidate) -> String {
    let presented = &call.presented;
    let Some(value) = presented.overlooked(&run.caller_ids) else {
        return String::new();
    };
    let trunk = match presented.trunk.as_str() {
        "" => "here".to_owned(),
        trunk => format!("on trunk {trunk}"),
    };
    let number = value.number.as_ref().map_or("", E164::as_str);
    format!(
        "; its header {} says {number}, but does not count {trunk}",
        value.header
    )
}

fn list(numbers: &[E164]) -> String {
    if numbers.is_empty() {
        return "no number (the agent's contact_number is empty)".to_owned();
    }
    let texts: Vec<&str> = numbers.iter().map(E164::as_str).collect();
    texts.join(" or ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::{CallerHeader, CallerValue, Numbering};

    const AGENT: &str = "+15551230001";
    const OTHER: &str = "+15551230002";

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(0).plus(Duration::from_secs(seconds))
    }

    fn incoming(from: &str) -> IncomingCall {
        IncomingCall {
            call: CallId("call".into()),
            from: Numbering::default().read(from),
            to: Ok("+15559990000".parse().unwrap()),
            hint: None,
            presented: Presented::default(),
        }
    }

    fn candidate(run: i64, status: Status, agent: &str) -> Candidate {
        Candidate {
            run: RunId(run),
            status,
            window: (status != Status::InQueue).then_some(Window {
                opens_at: at(0),
                closes_at: at(300),
            }),
            caller_ids: vec![agent.parse().unwrap()],
            call: None,
        }
    }

    fn verdict(from: &str, candidates: &[Candidate], now: u64) -> (Verdict, Option<i64>) {
        let judgement = judge(&incoming(from), true, candidates, at(now));
        (judgement.verdict, judgement.run.map(|run| run.0))
    }

    #[test]
    fn the_oldest_pending_run_wins_unless_another_is_named() {
        let runs = [
            candidate(1, Status::Pending, OTHER),
            candidate(2, Status::Pending, AGENT),
            candidate(3, Status::Pending, AGENT),
        ];
        assert_eq!(verdict(AGENT, &runs, 1), (Verdict::Matched, Some(2)));
        let mut call = incoming(AGENT);
        call.hint = Some(RunId(3));
        assert_eq!(judge(&call, true, &runs, at(1)).run, Some(RunId(3)));
        call.hint = Some(RunId(1));
        assert_eq!(judge(&call, true, &runs, at(1)).run, Some(RunId(2)));
    }

    #[test]
    fn every_refusal_says_why() {
        let pending = [candidate(1, Status::Pending, AGENT)];
        assert_eq!(
            verdict(OTHER, &pending, 1),
            (Verdict::CallerIdMismatch, Some(1))
        );
        assert_eq!(
            verdict("anonymous", &pending, 1),
            (Verdict::CallerIdMissing, Some(1))
        );
        assert_eq!(verdict(AGENT, &pending, 300), (Verdict::TooLate, Some(1)));
        let queued = [candidate(1, Status::InQueue, AGENT)];
        assert_eq!(verdict(AGENT, &queued, 1), (Verdict::TooEarly, Some(1)));
        let live = [candidate(1, Status::InProgress, AGENT)];
        assert_eq!(verdict(AGENT, &live, 1), (Verdict::Duplicate, Some(1)));
        assert_eq!(verdict(AGENT, &[], 1), (Verdict::NoPendingRun, None));
        let unknown = judge(&incoming(AGENT), false, &pending, at(1));
        assert_eq!(
            (unknown.verdict, unknown.run),
            (Verdict::UnknownNumber, None)
        );
        let mismatch = judge(&incoming(OTHER), true, &pending, at(1));
        assert!(mismatch.explanation.contains(OTHER) && mismatch.explanation.contains(AGENT));
    }

    #[test]
    fn a_header_that_does_not_count_explains_a_refusal_and_nothing_more() {
        let pending = [candidate(1, Status::Pending, AGENT)];
        for (from, verdict) in [
            (OTHER, Verdict::CallerIdMismatch),
            ("anonymous", Verdict::CallerIdMissing),
        ] {
            let mut call = incoming(from);
            call.presented = Presented {
                trunk: "berlin".to_owned(),
                header: Some(CallerHeader::From),
                values: vec![CallerValue {
                    header: CallerHeader::PAssertedIdentity,
                    value: format!("<sip:{AGENT}@host>"),
                    number: Some(AGENT.parse().unwrap()),
                }],
            };
            let judgement = judge(&call, true, &pending, at(1));
            assert_eq!(
                (judgement.verdict, judgement.run),
                (verdict, Some(RunId(1)))
            );
            let end = format!(
                "; its header p-asserted-identity says {AGENT}, but does not count on trunk berlin"
            );
            assert!(
                judgement.explanation.ends_with(&end),
                "{}",
                judgement.explanation
            );
        }
    }

    #[test]
    fn the_same_call_asked_twice_is_matched_twice() {
        let mut live = candidate(1, Status::InProgress, AGENT);
        live.call = Some(CallId("call".into()));
        assert_eq!(verdict(AGENT, &[live], 1), (Verdict::Matched, Some(1)));
    }

    proptest! {
        #[test]
        fn a_match_is_always_a_waiting_run_of_that_caller(
            runs in proptest::collection::vec((0..Status::ALL.len(), any::<bool>()), 0..8),
            now in 0u64..600,
            from_agent in any::<bool>(),
        ) {
            let runs: Vec<Candidate> = runs
                .iter()
                .zip(1i64..)
                .map(|((status, agent), run)| {
                    candidate(run, Status::ALL[*status], if *agent { AGENT } else { OTHER })
                })
                .collect();
            let from = if from_agent { AGENT } else { OTHER };
            let judgement = judge(&incoming(from), true, &runs, at(now));
            if judgement.verdict == Verdict::Matched {
                let run = runs.iter().find(|c| Some(c.run) == judgement.run).unwrap();
                prop_assert_eq!(run.status, Status::Pending);
                prop_assert!(run.window.unwrap().contains(at(now)));
                prop_assert_eq!(run.caller_ids[0].as_str(), from);
            } else {
                let waiting = runs.iter().any(|c| {
                    c.status == Status::Pending && now < 300 && c.caller_ids[0].as_str() == from
                });
                prop_assert!(!waiting, "a fitting run was passed over");
            }
        }
    }
}
