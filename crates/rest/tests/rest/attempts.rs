//! The attempt ledger, and a run's part of it.

use std::time::Duration;

use ringdown_bus::now;
use ringdown_proto::v1::{CallerValue, MatchRequest};
use ringdown_store::{AttemptKind, Ledger as _, NewAttempt};
use serde_json::{Value, json};

use crate::world::{CALLER, OWN, V1, World};

const NUMBER: &str = "+15559990001";

/// A call from a trunk that asserts another number than the caller says it has.
fn presented(from: &str) -> MatchRequest {
    let value = |header: &str, number: &str| CallerValue {
        header: header.to_owned(),
        value: format!("<sip:{number}@trunk.example>"),
        number: number.to_owned(),
    };
    MatchRequest {
        call_id: format!("call-{from}"),
        from_raw: from.trim_start_matches('+').to_owned(),
        to_raw: NUMBER.to_owned(),
        trunk: "berlin".to_owned(),
        from_header: "from".to_owned(),
        callers: vec![value("from", from), value("p-asserted-identity", CALLER)],
        from: Some(from.to_owned()),
        to: Some(NUMBER.to_owned()),
        ..MatchRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_shown_alone_has_its_attempts_and_many_have_none() {
    let world = World::start().await;
    world.engine_is_up().await;
    let us = &world.us;
    let made = us.catalogue(NUMBER).await;
    let run = us.trigger(&made, 1).await.ids[0];
    let other = "+4930123456";
    let asked = presented(other);
    let bus = world.engine.bus();
    let reply = bus
        .match_call(&asked, Duration::from_secs(20))
        .await
        .unwrap();
    assert_eq!(reply.verdict, "caller_id_mismatch");
    assert!(
        reply.explanation.ends_with(
            "its header p-asserted-identity says +15551230001, but does not count on trunk berlin"
        ),
        "{}",
        reply.explanation
    );

    let path = format!("{V1}/runs/{run}/");
    let alone = us.get(&path).await;
    let attempts = &alone["metadata"]["attempts"];
    let ledger = us.get(&format!("{OWN}/attempts/?run_id={run}")).await;
    assert_eq!(*attempts, ledger["results"], "the same as in the ledger");
    let row = &attempts[0];
    assert_eq!(row["trunk"], "berlin");
    assert_eq!(row["from_header"], "from");
    assert_eq!(
        (&row["from"], &row["from_raw"]),
        (&json!(other), &json!("4930123456"))
    );
    assert_eq!(
        row["caller_headers"],
        json!([
            {"header": "from", "value": "<sip:+4930123456@trunk.example>", "number": other},
            {"header": "p-asserted-identity", "value": "<sip:+15551230001@trunk.example>", "number": CALLER},
        ])
    );

    // What answers with one run shows it alone; what answers with many does not.
    let noted = us.patch(&path, json!({"feedback": "hm"})).await;
    assert_eq!(noted["metadata"]["attempts"], *attempts);
    let many = us.get(&format!("{V1}/runs/bulk/?run_ids={run}")).await;
    let listed = us.get(&format!("{V1}/runs/")).await;
    for metadata in [&many[0]["metadata"], &listed["results"][0]["metadata"]] {
        assert!(
            metadata.is_object() && metadata["attempts"].is_null(),
            "{metadata}"
        );
    }

    // The newest 50, however many there are.
    for dial in 0..60 {
        world
            .store
            .record_attempt(dialed(run, dial, &world))
            .await
            .unwrap();
    }
    let alone = us.get(&path).await;
    let names: Vec<&Value> = alone["metadata"]["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["attempt_id"])
        .collect();
    let expected: Vec<Value> = (10..60).rev().map(|n| json!(format!("dial-{n}"))).collect();
    assert_eq!(names, expected.iter().collect::<Vec<_>>());
    assert_eq!(
        alone["metadata"]["attempts"][0]["caller_headers"],
        json!([])
    );
    world.close().await;
}

fn dialed(run: i64, number: u32, world: &World) -> NewAttempt {
    NewAttempt {
        attempt_id: format!("dial-{number}"),
        kind: AttemptKind::Dial,
        at: now(),
        verdict: "not_placed".to_owned(),
        org: Some(world.org.id),
        run: Some(run.into()),
        nearest: false,
        from_raw: CALLER.to_owned(),
        from: None,
        to_raw: NUMBER.to_owned(),
        to: None,
        source: String::new(),
        sip_call_id: String::new(),
        response: None,
        ending: None,
        explanation: "busy".to_owned(),
        route: "route".to_owned(),
        presented: ringdown_domain::Presented::default(),
    }
}
