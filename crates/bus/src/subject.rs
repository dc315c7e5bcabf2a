//! Every subject of the product. Lower case, broad to narrow, versioned.

use ringdown_domain::run::Status;
use ringdown_domain::{HolderId, RunId, Team, dial};
use ringdown_proto::v1::{Envelope, envelope::Fact, plan_fact};

/// Where the testing agent asks which run a call belongs to (request and reply, queue group).
pub const MATCH: &str = "rd.v1.match";

/// Where a dialer asks for the account that a run is dialed with.
pub const ACCOUNT: &str = "rd.v1.account";

/// Counters of shared rates.
pub(crate) const PACES: &str = "rd.v1.pace.>";

/// Books of what is shared in numbers.
pub(crate) const HOLDS: &str = "rd.v1.hold.*";

/// The counter of one group of moments of a shared rate.
pub(crate) fn pace(name: &str, group: i64) -> String {
    format!("rd.v1.pace.{name}.{group}")
}

/// The book of something that is shared in numbers.
pub(crate) fn hold(name: &str) -> String {
    format!("rd.v1.hold.{name}")
}

/// Any text as one token of a subject.
pub(crate) fn token(text: &str) -> String {
    use std::fmt::Write as _;
    let mut token = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_token_byte(byte) && byte != b'-' {
            token.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(token, "-{byte:02x}");
        }
    }
    token
}

/// Heartbeats of every instance.
pub const HEARTBEATS: &str = "rd.v1.beat.*";

/// Heartbeats of one instance.
pub fn heartbeats_of(holder: &HolderId) -> String {
    format!("rd.v1.beat.{holder}")
}

/// Transitions of one run into one state.
pub fn run(team: &Team, run: RunId, status: Status) -> String {
    format!("rd.v1.run.{team}.{run}.{status}")
}

/// Transitions of every run into `status`.
pub fn runs_entering(status: Status) -> String {
    format!("rd.v1.run.*.*.{status}")
}

/// Transitions of one team's runs into `status`.
pub fn team_runs_entering(team: &Team, status: Status) -> String {
    format!("rd.v1.run.{team}.*.{status}")
}

/// Every fact about one team's plans.
pub fn plans_of(team: &Team) -> String {
    format!("rd.v1.plan.{team}.>")
}

/// Transitions of every run of one team.
pub fn runs_of(team: &Team) -> String {
    format!("rd.v1.run.{team}.>")
}

/// One step of dialing a run.
pub fn dial(team: &Team, run: RunId, stage: dial::Stage) -> String {
    format!("rd.v1.dial.{team}.{run}.{stage}")
}

/// Every step of dialing one run.
pub fn dials_of(team: &Team, run: RunId) -> String {
    format!("rd.v1.dial.{team}.{run}.>")
}

/// One fact about every call, for example `ended`.
pub fn calls(step: &str) -> String {
    format!("rd.v1.call.*.*.{step}")
}

/// One fact about the call of one run, for example `ended`.
pub fn call(team: &Team, run: RunId, step: &str) -> String {
    format!("rd.v1.call.{team}.{run}.{step}")
}

/// The subject of a fact; `None` if this build does not know the fact or it names no valid team.
pub fn of(envelope: &Envelope) -> Option<String> {
    let team: Team = envelope.team.parse().ok()?;
    Some(match envelope.fact.as_ref()? {
        Fact::Run(fact) => run(&team, fact.run(), fact.known_status()?),
        Fact::Dial(fact) => dial(&team, RunId(fact.run_id), fact.stage()?),
        Fact::Call(fact) => call(&team, RunId(fact.run_id), fact.step_name()?),
        Fact::Score(fact) => format!("rd.v1.score.{team}.{}", fact.run_id),
        Fact::Plan(fact) => {
            let step = match fact.step.as_ref()? {
                plan_fact::Step::Triggered(_) => "triggered",
                plan_fact::Step::Finished(_) => "finished",
                plan_fact::Step::Abandoned(_) => "abandoned",
            };
            if fact.plan_id.is_empty() || !fact.plan_id.bytes().all(is_token_byte) {
                return None;
            }
            format!("rd.v1.plan.{team}.{}.{step}", fact.plan_id)
        }
    })
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

#[cfg(test)]
mod tests {
    use ringdown_proto::v1::{PlanFact, RunStatus, RunTransition};

    use super::*;

    fn envelope(fact: Fact) -> Envelope {
        Envelope {
            team: "team-1".into(),
            fact: Some(fact),
            ..Envelope::default()
        }
    }

    #[test]
    fn facts_have_the_subjects_of_the_design() {
        let transition = RunTransition {
            run_id: 7,
            status: RunStatus::Pending.into(),
            ..RunTransition::default()
        };
        assert_eq!(
            of(&envelope(Fact::Run(transition))).unwrap(),
            "rd.v1.run.team-1.7.pending"
        );
        assert_eq!(
            dial(&"t".parse().unwrap(), RunId(3), dial::Stage::Claimed),
            "rd.v1.dial.t.3.claimed"
        );
    }

    #[test]
    fn any_name_is_one_token_and_different_names_are_different() {
        let names = ["", "a.b", "a-b", "a b", "*", ">", "a-2eb", "é"];
        let tokens: std::collections::BTreeSet<String> = names.map(token).into();
        assert_eq!(tokens.len(), names.len());
        assert!(tokens.iter().all(|token| token.bytes().all(is_token_byte)));
    }

    #[test]
    fn a_plan_id_cannot_widen_a_subject() {
        for id in ["", "a.b", "*", ">", "a b"] {
            let plan = PlanFact {
                plan_id: id.into(),
                step: Some(plan_fact::Step::Finished(plan_fact::Finished {})),
                ..PlanFact::default()
            };
            assert_eq!(of(&envelope(Fact::Plan(plan))), None, "{id:?}");
        }
    }
}
