//! What streams and ledger say of runs, from the first one on, and whether it may be so.

use std::collections::{BTreeMap, BTreeSet};

use ringdown_api::own::Attempt;
use ringdown_bus::Stream;
use ringdown_client::{AttemptQuery, Client};
use ringdown_domain::dial::Stage;
use ringdown_domain::run::Status;
use ringdown_proto::v1::call_fact::Step as CallStep;
use ringdown_proto::v1::dial_fact::Step as DialStep;
use ringdown_proto::v1::envelope::Fact;
use ringdown_proto::v1::{CallFact, DialFact, RunTransition};

use crate::support::Facts;

/// What happened until the last run had been scored.
pub(crate) struct History {
    transitions: Vec<(RunTransition, Status)>,
    dials: Vec<DialFact>,
    calls: Vec<CallFact>,
    attempts: Vec<Attempt>,
}

impl History {
    /// Reads everything up to the end of `last`, a run that completed after all others had ended.
    pub(crate) async fn read(nats_url: &str, client: &Client, last: i64) -> Self {
        let mut facts = Facts::open(nats_url, Stream::Runs).await;
        let mut transitions = Vec::new();
        loop {
            let (fact, status) = facts.transition().await;
            let end = fact.run_id == last && status.is_terminal();
            transitions.push((fact, status));
            if end {
                break;
            }
        }
        let mut facts = Facts::open(nats_url, Stream::Dials).await;
        let mut dials = Vec::new();
        loop {
            let Some(Fact::Dial(fact)) = facts.next().await.envelope.fact else {
                continue;
            };
            let end = fact.run_id == last && fact.stage().is_some_and(Stage::is_final);
            dials.push(fact);
            if end {
                break;
            }
        }
        let mut facts = Facts::open(nats_url, Stream::Calls).await;
        let mut calls = Vec::new();
        loop {
            let Some(Fact::Call(fact)) = facts.next().await.envelope.fact else {
                continue;
            };
            let end = fact.run_id == last && matches!(fact.step, Some(CallStep::Recorded(_)));
            calls.push(fact);
            if end {
                break;
            }
        }
        Self {
            transitions,
            dials,
            calls,
            attempts: ledger(client).await,
        }
    }

    /// Whether every transition of `runs`, and of no other run, is there once, in its place, and no more runs
    /// than `limit` hold a slot at any time. What is wrong, one sentence each.
    pub(crate) fn transitions(&self, runs: &[i64], limit: usize) -> Vec<String> {
        let mut found = Vec::new();
        let mut seen: BTreeMap<i64, (u64, Status)> = BTreeMap::new();
        let mut slots = BTreeSet::new();
        let mut most = 0;
        for (fact, status) in &self.transitions {
            let (run, seq) = (fact.run_id, fact.seq);
            let before = seen.insert(run, (seq, *status));
            let expected = before.map_or(1, |(seq, _)| seq + 1);
            if seq != expected {
                found.push(format!("run {run}: {status} is {seq}, not {expected}"));
            }
            if let Some((_, ended)) = before.filter(|(_, status)| status.is_terminal()) {
                found.push(format!("run {run}: {status} after {ended}"));
            }
            if status.is_terminal() && *status != Status::Completed && fact.error_message.is_empty()
            {
                found.push(format!("run {run}: {status} without a reason"));
            }
            if status.holds_slot() {
                slots.insert(run);
            } else {
                slots.remove(&run);
            }
            most = most.max(slots.len());
            if slots.len() > limit {
                found.push(format!("{} slots with {status} of {run}", slots.len()));
            }
        }
        let unfinished = seen.iter().filter(|(_, (_, status))| !status.is_terminal());
        found.extend(unfinished.map(|(run, (_, status))| format!("run {run} stays {status}")));
        let (told, expected): (BTreeSet<i64>, BTreeSet<i64>) =
            (seen.into_keys().collect(), runs.iter().copied().collect());
        let differ = told.symmetric_difference(&expected);
        found.extend(differ.map(|run| format!("run {run} was not told, or not triggered")));
        println!(
            "{} transitions of {} runs, at most {most} slots of {limit}",
            self.transitions.len(),
            told.len()
        );
        found
    }

    /// Whether no run was dialed twice. What is wrong, one sentence each.
    pub(crate) fn dialed_once(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut intended: BTreeMap<i64, (usize, usize)> = BTreeMap::new();
        for fact in &self.dials {
            if let Some(DialStep::Intended(step)) = &fact.step {
                let (dials, fences) = intended.entry(fact.run_id).or_default();
                *(if step.fence { fences } else { dials }) += 1;
            }
        }
        let wrong = intended
            .iter()
            .filter(|(_, (dials, fences))| dials + fences > 1);
        found.extend(wrong.map(|(run, (dials, fences))| {
            format!("run {run}: {dials} intentions to dial and {fences} fences")
        }));
        // The platform's ledger of what arrived, and the testing agent's own facts. A call that was refused
        // because no platform answered may be tried again. One that is sent once more, because the testing agent
        // died before it answered, is still the same call.
        let mut arrived: BTreeMap<i64, BTreeSet<&str>> = BTreeMap::new();
        let mut calls = BTreeSet::new();
        let ledger = self.attempts.iter();
        for row in ledger.filter(|row| row.kind == "invite" && row.verdict != "at_capacity") {
            calls.insert(row.sip_call_id.as_str());
            if let Some(run) = row.run_id.filter(|_| !row.nearest) {
                arrived.entry(run).or_default().insert(&row.sip_call_id);
            }
        }
        for fact in &self.calls {
            let calls = arrived.entry(fact.run_id).or_default();
            calls.insert(&fact.sip_call_id);
        }
        let twice = arrived.iter().filter(|(_, calls)| calls.len() > 1);
        found.extend(twice.map(|(run, calls)| format!("run {run}: calls {calls:?}")));
        let fenced = |row: &&i64| intended.get(*row).is_some_and(|(_, fences)| *fences > 0);
        let called = arrived.keys().filter(fenced);
        found.extend(called.map(|run| format!("run {run}: fenced off and called")));
        // Nobody knows whose run a call was for that none was matched with; but there are not more calls than
        // intentions.
        let dialed = intended.values().filter(|(dials, _)| *dials > 0).count();
        if calls.len() > dialed {
            found.push(format!("{} calls for {dialed} runs", calls.len()));
        }
        println!(
            "{dialed} runs with an intention, {} with a fence, {} calls, {} attempts in the ledger",
            intended.values().filter(|(_, fences)| *fences > 0).count(),
            calls.len(),
            self.attempts.len()
        );
        found
    }

    /// How long the call of `run` lasted, in milliseconds, and why it ended.
    pub(crate) fn call(&self, run: i64) -> (i64, &str) {
        let ended = self.calls.iter().find_map(|fact| match &fact.step {
            Some(CallStep::Ended(step)) if fact.run_id == run => Some(step),
            _ => None,
        });
        let ended = ended.unwrap();
        (ended.duration_ms, &ended.reason)
    }
}

/// Every row of the attempt ledger.
async fn ledger(client: &Client) -> Vec<Attempt> {
    let mut rows = Vec::new();
    for page in 1.. {
        let query = AttemptQuery {
            page,
            page_size: 500,
            ..AttemptQuery::default()
        };
        let page = client.attempts(&query).await.unwrap();
        let more = page.next.is_some();
        rows.extend(page.results);
        if !more {
            break;
        }
    }
    rows
}
