//! Who holds a call, and what is found of those who are lost.

use ringdown_domain::HolderId;
use ringdown_domain::call::EndedReason;
use ringdown_domain::run::{Event, Status};
use ringdown_store::Run;

use super::{Db, Team, arrival, at, ended, team, transition};

fn holder(name: &str) -> HolderId {
    name.parse().unwrap()
}

/// A run whose call `name` is held by `holder`.
async fn held(team: &Team, name: &str, by: Option<&str>) -> Run {
    let pending = team.pending(at(0)).await;
    let (from, to) = (team.caller(), team.number.number.clone());
    let (mut call, mut arrival) = arrival(name, from.as_str(), to.as_str());
    call.hint = Some(pending.id);
    arrival.holder = by.map(holder);
    let matched = team.db.match_call(call, arrival, at(1)).await.unwrap();
    let run = matched.run.unwrap();
    assert_eq!(run.id, pending.id);
    run
}

/// Holders of every organisation are known for as long as they have something to report.
pub async fn runs_are_found_by_who_holds_their_call(db: Db) {
    let (ours, theirs) = (team(&db, "ours").await, team(&db, "theirs").await);
    let first = held(&ours, "1", Some("a")).await;
    let second = held(&theirs, "2", Some("a")).await;
    let third = held(&ours, "3", Some("b")).await;
    let nobodys = held(&ours, "4", None).await;
    assert_eq!(first.holder, Some(holder("a")));
    assert_eq!(ours.run(third.id).await.holder, Some(holder("b")));
    assert_eq!(ours.run(nobodys.id).await.holder, None);

    let mut holders = db.holders().await.unwrap();
    holders.sort();
    assert_eq!(holders, [holder("a"), holder("b")]);
    let of = async |name, after, limit| {
        let runs = db.held_by(&holder(name), after, limit).await.unwrap();
        runs.iter().map(|run| run.id).collect::<Vec<_>>()
    };
    assert_eq!(of("a", None, 10).await, [first.id, second.id]);
    assert_eq!(of("a", None, 1).await, [first.id]);
    assert_eq!(of("a", Some(first.id), 10).await, [second.id]);
    assert_eq!(of("c", None, 10).await, []);

    // Evaluating, a run still waits for the recording.
    let over = ended("3", EndedReason::MainAgentEnded);
    transition(&db, third.id, over, at(2)).await.unwrap();
    assert_eq!(of("b", None, 10).await, [third.id]);
    let scored = Event::Scored { success: true };
    transition(&db, third.id, scored, at(3)).await.unwrap();
    assert_eq!(db.holders().await.unwrap(), [holder("a")]);
    assert_eq!(ours.run(third.id).await.holder, Some(holder("b")));
}

/// Two platforms find the same lost testing agent: its run ends once.
pub async fn a_lost_testing_agent_ends_its_run_once(db: Db) {
    let team = team(&db, "team").await;
    let run = held(&team, "call", Some("a")).await;
    let lost = || Event::AgentLost {
        call: run.call.clone().unwrap(),
        reason: "silent".to_owned(),
    };
    let (one, other) = tokio::join!(
        transition(&db, run.id, lost(), at(2)),
        transition(&db, run.id, lost(), at(2))
    );
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    let run = team.run(run.id).await;
    assert_eq!(run.status(), Status::Failed);
    assert_eq!(run.error_message(), Some("Testing agent-lost: silent"));
    assert!(db.holders().await.unwrap().is_empty());
}
