//! Calls that go wrong, and what is made of them.

use std::time::Duration;

use ringdown_domain::dial::{Outcome, Retry};
use ringdown_egress::Error;
use ringdown_provider::{Found, Provider};
use ringdown_testkit::carrier::{FakeCarrier, FakeEnding, FakeKind, FakeState, Fault};

use crate::support::{TO, now, order, place, provider, send, with_secrets};

/// What became of one request for a call, in a word.
async fn asks(provider: &dyn Provider, attempt: &str) -> &'static str {
    let order = order(attempt);
    let mut request = provider.request(&order).unwrap();
    request.timeout = Duration::from_secs(2);
    match send(request).await {
        Err(Error::NotSent(_)) => "not sent",
        Err(Error::Ambiguous(_)) => "lost",
        Ok(answer) => match provider.outcome(&order, &answer) {
            Outcome::Placed { .. } => "placed",
            Outcome::Ambiguous { .. } => "ambiguous",
            Outcome::NotPlaced { retry, .. } => match retry {
                Retry::Never => "never",
                Retry::Later => "later",
                Retry::After(_) => "after",
            },
        },
    }
}

fn has_failure(kind: FakeKind) -> bool {
    matches!(
        kind,
        FakeKind::Vapi | FakeKind::ElevenLabs | FakeKind::Bland | FakeKind::TriggerUrl
    )
}

/// All kinds at once, because some faults take the whole time that a request has.
#[tokio::test]
async fn every_fault_rings_as_often_as_it_says_and_is_told_as_what_it_is() {
    let kinds = FakeKind::ALL.into_iter().map(faults_of);
    let mut kinds: tokio::task::JoinSet<()> = kinds.collect();
    while let Some(kind) = kinds.join_next().await {
        kind.unwrap();
    }
}

async fn faults_of(kind: FakeKind) {
    let trigger = kind == FakeKind::TriggerUrl;
    // Whether the services' documents say what a 429 did.
    let undocumented = matches!(
        kind,
        FakeKind::Vapi | FakeKind::Bland | FakeKind::TriggerUrl
    );
    let limited = |told: &'static str| if undocumented { "ambiguous" } else { told };
    let mut rows = vec![
        (Fault::Accept, 1, "placed"),
        (Fault::Queue, 0, "placed"),
        (Fault::Delay(Duration::from_millis(50)), 1, "placed"),
        (Fault::DropBeforeAnswer, 1, "lost"),
        (Fault::DropUnread, 0, "lost"),
        (Fault::ErrorAfterPlacing(500), 1, "ambiguous"),
        (Fault::ErrorAfterPlacing(503), 1, "ambiguous"),
        (Fault::Refuse(400, "no such thing"), 0, "never"),
        (Fault::RateLimit { retry_after: None }, 0, limited("later")),
        (
            Fault::RateLimit {
                retry_after: Some(3),
            },
            0,
            limited("after"),
        ),
        (Fault::Forget, 1, "placed"),
        // A trigger URL need not say anything.
        (
            Fault::Garbage,
            1,
            if trigger { "placed" } else { "ambiguous" },
        ),
        (
            Fault::SuccessWithoutId,
            1,
            if trigger { "placed" } else { "ambiguous" },
        ),
        (Fault::HugeBody, 1, "ambiguous"),
        (Fault::SlowBody, 1, "ambiguous"),
    ];
    if has_failure(kind) {
        let told = if kind == FakeKind::Vapi {
            "ambiguous"
        } else {
            "never"
        };
        rows.push((Fault::MeansFailure, 0, told));
    }
    let fake = FakeCarrier::start(kind);
    let provider = provider(&fake);
    for (number, (fault, rings, told)) in rows.into_iter().enumerate() {
        let before = fake.rings(TO);
        fake.script([fault.clone()]);
        let came = asks(&*provider, &format!("attempt-{number}")).await;
        assert_eq!(came, told, "{kind:?} {fault:?}");
        assert_eq!(fake.rings(TO) - before, rings, "{kind:?} {fault:?}");
    }
    // The script is over.
    assert_eq!(asks(&*provider, "attempt-last").await, "placed", "{kind:?}");
    fake.by_default(Fault::Refuse(400, "no"));
    assert_eq!(asks(&*provider, "attempt-no").await, "never", "{kind:?}");
}

#[tokio::test]
async fn wrong_credentials_ring_nobody() {
    for kind in FakeKind::ALL {
        let fake = FakeCarrier::start(kind);
        let (fields, mut secrets) = fake.account();
        let last = match kind {
            // Another key is no key of the application.
            FakeKind::Vonage => {
                let pem = include_str!("../../../provider/src/testdata/rsa_pkcs8.pem");
                secrets[0].1 = pem.to_owned();
                None
            }
            FakeKind::LiveKit => secrets.last_mut(),
            _ => secrets.first_mut(),
        };
        if let Some((_, secret)) = last {
            secret.push('x');
        }
        let provider = with_secrets(kind, fields, secrets);
        assert_eq!(asks(&*provider, "attempt-1").await, "never", "{kind:?}");
        let order = order("attempt-1");
        let status = send(provider.request(&order).unwrap())
            .await
            .unwrap()
            .status;
        assert_eq!(status.as_u16(), 401, "{kind:?}");
        assert_eq!((fake.all_rings(), fake.calls().len()), (0, 0), "{kind:?}");
        assert_eq!((fake.creates(), fake.requests()), (2, 2), "{kind:?}");
    }
}

#[tokio::test]
async fn what_is_asked_again_with_its_key_rings_once_where_that_is_documented() {
    for kind in FakeKind::ALL {
        let fake = FakeCarrier::start(kind);
        fake.deduplicates(true);
        fake.script([Fault::DropBeforeAnswer, Fault::ErrorAfterPlacing(500)]);
        let provider = provider(&fake);
        assert_eq!(asks(&*provider, "attempt-1").await, "lost", "{kind:?}");
        assert_eq!(asks(&*provider, "attempt-1").await, "ambiguous", "{kind:?}");
        let id = place(&*provider, &order("attempt-1")).await;
        let by_key = [FakeKind::Telnyx, FakeKind::Retell, FakeKind::TriggerUrl];
        if by_key.contains(&kind) {
            assert_eq!((fake.rings(TO), fake.calls().len()), (1, 1), "{kind:?}");
            let call = &fake.calls()[0].id;
            assert_eq!(id.split('@').next(), Some(call.as_str()), "{kind:?}");
        } else {
            assert_eq!(fake.rings(TO), 3, "{kind:?}");
        }
    }
    let fake = FakeCarrier::start(FakeKind::TriggerUrl);
    let provider = provider(&fake);
    place(&*provider, &order("attempt-1")).await;
    place(&*provider, &order("attempt-1")).await;
    assert_eq!(fake.rings(TO), 2, "it was not told to deduplicate");
}

#[tokio::test]
async fn what_is_forgotten_is_not_found_until_it_is_remembered() {
    for kind in FakeKind::ALL {
        let fake = FakeCarrier::start(kind);
        fake.script([Fault::Forget]);
        let (provider, order, asked_at) = (provider(&fake), order("attempt-1"), now());
        let id = place(&*provider, &order).await;
        fake.answer(&fake.calls()[0].id);
        if kind == FakeKind::Plivo {
            fake.end(&fake.calls()[0].id, FakeEnding::Completed);
        }
        let Some(look_up) = provider.look_up(&order, asked_at) else {
            continue;
        };
        let answer = send(look_up).await.unwrap();
        assert_eq!(
            provider.found(&order, asked_at, &answer),
            Found::Nothing,
            "{kind:?}"
        );
        let status = send(provider.status(&id).unwrap()).await.unwrap();
        assert_eq!(provider.progress(&id, &status), None, "{kind:?}");
        fake.remember();
        let look_up = provider.look_up(&order, asked_at).unwrap();
        let answer = send(look_up).await.unwrap();
        let found = provider.found(&order, asked_at, &answer);
        assert!(matches!(found, Found::Call { .. }), "{kind:?}: {found:?}");
    }
}

#[tokio::test]
async fn documented_codes_are_told_in_the_services_own_shape() {
    let rows = [
        (FakeKind::Twilio, 429, "20429", "later"),
        (FakeKind::Twilio, 400, "10004", "later"),
        (FakeKind::Twilio, 400, "22005", "never"),
        (FakeKind::Twilio, 400, "21210", "never"),
        (FakeKind::Twilio, 429, "99999", "ambiguous"),
        (FakeKind::Twilio, 500, "20500", "ambiguous"),
        (FakeKind::SignalWire, 422, "21219", "never"),
        (FakeKind::Telnyx, 429, "90103", "later"),
        (FakeKind::Telnyx, 429, "10011", "later"),
        (FakeKind::Telnyx, 403, "D1", "later"),
        (FakeKind::Telnyx, 403, "D35", "never"),
        (
            FakeKind::Bandwidth,
            429,
            "Account concurrent call limit exceeded",
            "later",
        ),
        (FakeKind::Bandwidth, 429, "something else", "ambiguous"),
        (FakeKind::Vapi, 400, "Over Concurrency Limit", "later"),
        (FakeKind::Retell, 402, "no valid payment", "never"),
        (FakeKind::ElevenLabs, 429, "system_busy", "later"),
        (FakeKind::ElevenLabs, 429, "something_else", "ambiguous"),
        (FakeKind::ElevenLabs, 422, "agent_id", "never"),
        (FakeKind::LiveKit, 412, "trunk has no numbers", "never"),
        (FakeKind::LiveKit, 408, "request timed out", "ambiguous"),
    ];
    for (kind, status, code, told) in rows {
        let fake = FakeCarrier::start(kind);
        fake.script([Fault::Refuse(status, code)]);
        let provider = provider(&fake);
        assert_eq!(
            asks(&*provider, "attempt-1").await,
            told,
            "{kind:?} {status} {code}"
        );
        assert_eq!((fake.all_rings(), fake.calls().len()), (0, 0));
    }
}

#[tokio::test]
async fn a_busy_callee_in_the_shape_of_a_limit_is_not_asked_for_again() {
    for (sip, ending) in [
        (486, FakeEnding::Busy),
        (480, FakeEnding::NoAnswer),
        (603, FakeEnding::Rejected),
        (404, FakeEnding::InvalidNumber),
        (503, FakeEnding::Failed),
    ] {
        let fake = FakeCarrier::start(FakeKind::LiveKit);
        fake.script([Fault::Sip(sip)]);
        let provider = provider(&fake);
        assert_eq!(asks(&*provider, "attempt-1").await, "ambiguous", "{sip}");
        assert_eq!(
            (fake.rings(TO), fake.calls()[0].state),
            (1, FakeState::Ended(ending))
        );
    }
}

#[tokio::test]
#[should_panic(expected = "Twilio has nothing like")]
async fn a_fault_that_a_service_does_not_have_is_refused() {
    FakeCarrier::start(FakeKind::Twilio).script([Fault::MeansFailure]);
}
