//! The parallel-call limit, seen from the bus.

use std::collections::BTreeMap;

use ringdown_domain::run::Status;

use crate::support::{Bench, Server, assert_scored, verdicts};

#[tokio::test]
async fn six_runs_at_limit_two_never_hold_more_than_two_slots() {
    let folder = tempfile::tempdir().unwrap();
    let routes = [
        "--parallel-calls",
        "2",
        "--dial-route",
        "own=sip:local?seconds=30",
    ];
    let server = Server::up(folder.path(), &routes).await;
    let bench = Bench::build(&server.client, 3, Some("own")).await;
    let mut facts = server.transitions().await;

    let triggered = bench.trigger(&server.client, 2).await;

    assert_eq!(triggered.runs.len(), 6);
    for run in &triggered.runs {
        assert!(run.outbound_number.is_some(), "every number comes up front");
    }
    let mut states: BTreeMap<i64, Status> = BTreeMap::new();
    let mut most = 0;
    while states.len() < 6 || !states.values().all(|status| status.is_terminal()) {
        let (fact, status) = facts.transition().await;
        states.insert(fact.run_id, status);
        let held = states
            .values()
            .filter(|status| matches!(status, Status::Pending | Status::InProgress))
            .count();
        assert!(held <= 2, "{held} runs hold a slot: {states:?}");
        most = most.max(held);
    }
    assert_eq!(most, 2, "the limit was used");
    for run in &triggered.runs {
        let wire = server.client.run(run.id).await.unwrap();
        assert_scored(&wire, folder.path());
        assert_eq!(verdicts(&server, run.id).await, ["matched"]);
    }
    server.stop().await;
}
