//! Calls that go well: placed, looked up, asked about, called off.

use ringdown_domain::dial::Ending;
use ringdown_provider::{Found, Progress, Provider};
use ringdown_testkit::carrier::{FakeCarrier, FakeEnding, FakeKind, FakeState, Fault};

use crate::support::{FROM, TO, now, order, place, provider, send};

/// A call's name as the fake's books have it: those of some providers have a second part.
fn in_books(id: &str) -> &str {
    id.split('@').next().unwrap()
}

async fn progress(provider: &dyn Provider, id: &str) -> Option<Progress> {
    let answer = send(provider.status(id)?).await.unwrap();
    provider.progress(id, &answer)
}

#[tokio::test]
async fn every_kind_places_a_call_that_rings_once_and_is_found_again() {
    for kind in FakeKind::ALL {
        let fake = FakeCarrier::start(kind);
        let (provider, order, asked_at) = (provider(&fake), order("attempt-1"), now());
        let id = place(&*provider, &order).await;
        assert_eq!((fake.rings(TO), fake.all_rings()), (1, 1), "{kind:?}");
        assert_eq!((fake.requests(), fake.creates()), (1, 1), "{kind:?}");
        let call = fake.call(in_books(&id));
        assert_eq!(call.to, TO, "{kind:?}");
        let by_name = [FakeKind::Vapi, FakeKind::ElevenLabs];
        if !by_name.contains(&kind) {
            assert_eq!(call.from, FROM, "{kind:?}");
        }
        assert_eq!(call.state, FakeState::Ringing);
        if kind == FakeKind::Plivo {
            // Records are of ended calls.
            fake.end(&call.id, FakeEnding::Busy);
        }
        let Some(look_up) = provider.look_up(&order, asked_at) else {
            assert_eq!(kind, FakeKind::TriggerUrl);
            continue;
        };
        let answer = send(look_up).await.unwrap();
        let found = provider.found(&order, asked_at, &answer);
        let Found::Call { provider_id } = &found else {
            panic!("{kind:?}: {found:?} in {:?}", answer.body);
        };
        if kind != FakeKind::Plivo {
            assert_eq!(*provider_id, id, "{kind:?}");
        }
        assert_eq!((fake.rings(TO), fake.creates()), (1, 1), "{kind:?}");
    }
}

#[tokio::test]
async fn a_look_up_does_not_find_other_calls() {
    for kind in FakeKind::ALL {
        let fake = FakeCarrier::start(kind);
        let (provider, asked_at) = (provider(&fake), now());
        let (asked, mut other) = (order("attempt-1"), order("attempt-2"));
        other.to = "+14155550199".parse().unwrap();
        place(&*provider, &other).await;
        for call in fake.calls() {
            fake.end(&call.id, FakeEnding::Completed);
        }
        if let Some(look_up) = provider.look_up(&asked, asked_at) {
            let answer = send(look_up).await.unwrap();
            let found = provider.found(&asked, asked_at, &answer);
            assert_eq!(found, Found::Nothing, "{kind:?}: {:?}", answer.body);
        }
    }
}

#[tokio::test]
async fn a_call_stands_as_the_fake_was_told() {
    for kind in FakeKind::ALL {
        let fake = FakeCarrier::start(kind);
        let provider = provider(&fake);
        let ringing = match kind {
            // No status, or only records of ended calls.
            FakeKind::TriggerUrl | FakeKind::Plivo => None,
            FakeKind::Retell | FakeKind::ElevenLabs => Some(Progress::Queued),
            _ => Some(Progress::Ringing),
        };
        let answered = ringing.is_some().then_some(Progress::Answered);
        let id = place(&*provider, &order("attempt-1")).await;
        assert_eq!(progress(&*provider, &id).await, ringing, "{kind:?}");
        fake.answer(in_books(&id));
        assert_eq!(progress(&*provider, &id).await, answered, "{kind:?}");
        for (ending, read) in [
            (FakeEnding::Completed, Ending::Completed),
            (FakeEnding::Busy, Ending::Busy),
            (FakeEnding::NoAnswer, Ending::NoAnswer),
            (FakeEnding::Rejected, Ending::Rejected),
            (FakeEnding::Failed, Ending::Failed),
            (FakeEnding::Cancelled, Ending::Cancelled),
        ] {
            let expected = match (kind, ending) {
                // No status at all; whoever left is not in the room.
                (FakeKind::TriggerUrl | FakeKind::LiveKit, _) => None,
                // Twilio's resource has no SIP response, so whoever declines is busy.
                (FakeKind::Twilio, FakeEnding::Rejected) => Some(Ending::Busy),
                // No words of their own for it.
                (FakeKind::Bland | FakeKind::ElevenLabs, FakeEnding::Rejected)
                | (FakeKind::ElevenLabs | FakeKind::Retell, FakeEnding::Cancelled) => {
                    Some(Ending::Failed)
                }
                _ => Some(read),
            };
            let fake = FakeCarrier::start(kind);
            let provider = self::provider(&fake);
            let id = place(&*provider, &order("attempt-1")).await;
            fake.end(in_books(&id), ending);
            let ended = match progress(&*provider, &id).await {
                Some(Progress::Ended { ending, .. }) => Some(ending),
                None => None,
                other => panic!("{kind:?}: {other:?}"),
            };
            assert_eq!(ended, expected, "{kind:?} {ending:?}");
        }
    }
}

#[tokio::test]
async fn a_call_that_waits_is_called_off_before_it_rings() {
    for kind in FakeKind::ALL {
        let fake = FakeCarrier::start(kind);
        fake.script([Fault::Queue, Fault::Queue]);
        let provider = provider(&fake);
        let (first, second) = (order("attempt-1"), order("attempt-2"));
        let id = place(&*provider, &first).await;
        place(&*provider, &second).await;
        assert_eq!(fake.all_rings(), 0, "{kind:?}");
        let cancel = provider.cancel(&id);
        let expected = match cancel {
            Some(cancel) => {
                let answer = send(cancel).await.unwrap();
                assert!(answer.status.is_success(), "{kind:?}: {answer:?}");
                let ended = FakeState::Ended(FakeEnding::Cancelled);
                assert_eq!(fake.call(in_books(&id)).state, ended, "{kind:?}");
                assert_eq!(fake.cancelled(), [in_books(&id)], "{kind:?}");
                // Once more is too late.
                let again = send(provider.cancel(&id).unwrap()).await.unwrap();
                assert!(again.status.is_client_error(), "{kind:?}: {again:?}");
                1
            }
            None => 2,
        };
        fake.release();
        fake.release();
        assert_eq!(fake.all_rings(), expected, "{kind:?}");
    }
}

#[tokio::test]
async fn plivo_tells_of_the_call_that_was_asked_for_and_of_no_other() {
    let fake = FakeCarrier::start(FakeKind::Plivo);
    let provider = provider(&fake);
    let mut elsewhere = order("attempt-2");
    elsewhere.from = Some("+14155550101".parse().unwrap());
    let ours = place(&*provider, &order("attempt-1")).await;
    let other = place(&*provider, &elsewhere).await;
    fake.end(in_books(&other), FakeEnding::Busy);
    assert_eq!(progress(&*provider, &ours).await, None);
    fake.end(in_books(&ours), FakeEnding::NoAnswer);
    let told = progress(&*provider, &ours).await;
    assert!(
        matches!(
            told,
            Some(Progress::Ended {
                ending: Ending::NoAnswer,
                ..
            })
        ),
        "{told:?}"
    );
    // A second call between the two numbers leaves a doubt.
    let twin = place(&*provider, &order("attempt-3")).await;
    fake.end(in_books(&twin), FakeEnding::Completed);
    assert_eq!(progress(&*provider, &ours).await, None);
    // What was answered is no request any more.
    let up = place(&*provider, &elsewhere).await;
    fake.answer(in_books(&up));
    let refused = send(provider.cancel(&up).unwrap()).await.unwrap();
    assert_eq!(refused.status.as_u16(), 404);
    assert!(fake.cancelled().is_empty());
}

#[tokio::test]
async fn telnyx_hangs_up_what_rings_and_what_was_answered() {
    let fake = FakeCarrier::start(FakeKind::Telnyx);
    let provider = provider(&fake);
    for (attempt, answered, ending) in [
        ("attempt-1", false, FakeEnding::Cancelled),
        ("attempt-2", true, FakeEnding::Completed),
    ] {
        let (order, asked_at) = (order(attempt), now());
        let id = place(&*provider, &order).await;
        if answered {
            fake.answer(in_books(&id));
        }
        // What is looked up can be hung up as well.
        let look_up = send(provider.look_up(&order, asked_at).unwrap()).await;
        let found = provider.found(&order, asked_at, &look_up.unwrap());
        let provider_id = id.clone();
        assert_eq!(found, Found::Call { provider_id });
        let hangup = send(provider.cancel(&id).unwrap()).await.unwrap();
        assert!(hangup.status.is_success(), "{hangup:?}");
        assert_eq!(fake.call(in_books(&id)).state, FakeState::Ended(ending));
    }
}

#[tokio::test]
async fn elevenlabs_tells_of_a_call_that_has_the_carriers_name_only() {
    let fake = FakeCarrier::start(FakeKind::ElevenLabs);
    let provider = provider(&fake);
    let id = place(&*provider, &order("attempt-1")).await;
    place(&*provider, &order("attempt-2")).await;
    let nameless = "CA1@attempt-1";
    assert_eq!(progress(&*provider, nameless).await, Some(Progress::Queued));
    fake.answer(&id);
    let told = progress(&*provider, nameless).await;
    assert_eq!(told, Some(Progress::Answered));
    assert_eq!(progress(&*provider, "CA1@attempt-3").await, None);
}

#[tokio::test]
async fn who_waits_for_the_books_is_woken() {
    let fake = FakeCarrier::start(FakeKind::Twilio);
    let (provider, order) = (provider(&fake), order("attempt-1"));
    let rang = fake.until(|fake| fake.rings(TO) == 1);
    tokio::join!(rang, place(&*provider, &order));
}

#[tokio::test]
async fn a_fake_is_gone_when_it_is_dropped() {
    let fake = FakeCarrier::start(FakeKind::Bland);
    let (provider, order) = (provider(&fake), order("attempt-1"));
    drop(fake);
    tokio::task::yield_now().await;
    let sent = send(provider.request(&order).unwrap()).await;
    assert!(
        matches!(sent, Err(ringdown_egress::Error::NotSent(_))),
        "{sent:?}"
    );
}
