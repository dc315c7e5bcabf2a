//! Accounts at providers, against fakes of them.

use ringdown_carrier::{Carrier as _, Hosted, Making};
use ringdown_domain::dial::Retry;
use ringdown_egress::{Client, Policy};
use ringdown_testkit::carrier::{FakeCarrier, FakeKind, Fault};
use ringdown_vault::Secret;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::{not_placed, order, placed};

/// An account at this fake with these settings over its own, and with its own secret or this one.
fn hosted(fake: &FakeCarrier, more: Value, secret: Option<&str>) -> Hosted {
    let (Value::Object(mut settings), secrets) = fake.account() else {
        unreachable!()
    };
    let Value::Object(more) = more else {
        unreachable!()
    };
    settings.extend(more);
    let api_secret = secret.map(str::to_owned);
    let secret = |(name, mut secret): (&str, String)| {
        if let ("livekit_api_secret", Some(other)) = (name, &api_secret) {
            secret.clone_from(other);
        }
        (name.to_owned(), Secret::new(secret))
    };
    let making = Making {
        provider: "livekit".to_owned(),
        settings,
        secrets: secrets.into_iter().map(secret).collect(),
        lenient: false,
        calls_per_second: None,
        concurrent_calls: None,
        callback: None,
    };
    let client = Client::new(Policy::allowing(&["127.0.0.0/8"]).unwrap());
    Hosted::new(making, client).unwrap()
}

/// The rooms into which agents were dispatched.
fn rooms(fake: &FakeCarrier) -> Vec<Value> {
    let dispatches = fake.prepared();
    let room = |dispatch: &Value| dispatch["room"].clone();
    dispatches.iter().map(room).collect()
}

#[tokio::test]
async fn an_agent_with_a_name_is_in_the_room_once_however_often_a_call_is_tried() {
    let fake = FakeCarrier::start(FakeKind::LiveKit);
    let stop = CancellationToken::new();
    let named = hosted(&fake, json!({"agent_name": "booker"}), None);
    fake.script([Fault::RateLimit { retry_after: None }]);
    let refused = named.dial(&order(), &stop).await;
    assert_eq!(not_placed(&refused).1, Retry::Later);
    let dialed = named.dial(&order(), &stop).await;
    let (_, room) = placed(&dialed).split_once('@').unwrap();
    let rooms = rooms(&fake);
    assert_eq!(rooms.len(), 2);
    let in_it = rooms.iter().filter(|other| *other == room).count();
    assert_eq!(in_it, 1, "{rooms:?}");
    assert_eq!(fake.prepared()[1]["agent_name"], "booker");
    assert_eq!((fake.all_rings(), fake.creates()), (1, 2));
}

#[tokio::test]
async fn nobody_is_dialed_without_the_agent() {
    let fake = FakeCarrier::start(FakeKind::LiveKit);
    let stop = CancellationToken::new();
    let refused = hosted(
        &fake,
        json!({"agent_name": "booker"}),
        Some("another-secret"),
    );
    let refused = refused.dial(&order(), &stop).await;
    let (reason, retry) = not_placed(&refused);
    assert_eq!(retry, Retry::Never, "{reason}");
    assert!(reason.contains("check agent_name"), "{reason}");
    assert_eq!((fake.requests(), fake.creates()), (1, 0));
    let away = hosted(&fake, json!({"agent_name": "booker"}), None);
    drop(fake);
    tokio::task::yield_now().await;
    let lost = away.dial(&order(), &stop).await;
    assert_eq!(not_placed(&lost).1, Retry::Later);
}

#[tokio::test]
async fn nothing_is_dispatched_without_a_name() {
    let fake = FakeCarrier::start(FakeKind::LiveKit);
    let automatic = hosted(&fake, json!({}), None);
    let dialed = automatic.dial(&order(), &CancellationToken::new()).await;
    assert!(placed(&dialed).ends_with("@ringdown-attempt-7"));
    assert_eq!((fake.requests(), fake.creates()), (1, 1));
}
