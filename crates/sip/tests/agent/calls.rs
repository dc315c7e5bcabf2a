//! Two of our own endpoints call each other.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use ringdown_domain::CallerHeader;
use ringdown_sip::{DialError, EndedBy, Error, MediaOptions, PlaybackEnd, Rejection};

use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_callee_hangs_up_and_what_it_knew_was_right() {
    let (caller, _) = endpoint().await;
    let (callee, mut incoming) = endpoint().await;
    let (ours, theirs) = tokio::join!(caller.dial(request(callee.local_addr())), async {
        let call = incoming.next().await.unwrap();
        assert_eq!(call.from_user(), Some("+15550100"));
        assert_eq!(call.to_user(), Some("+15550199"));
        assert_eq!(call.callers().len(), 1);
        assert_eq!(call.callers()[0].header, CallerHeader::From);
        assert_eq!(call.callers()[0].addresses[0].user, "+15550100");
        assert_eq!(call.header("x-run-id"), Some("run-1"));
        assert_eq!(call.header("X-Absent"), None);
        assert_eq!(call.source(), caller.local_addr());
        assert!(
            call.from_uri().starts_with("sip:+15550100@127.0.0.1:"),
            "{}",
            call.from_uri()
        );
        call.ring().await.unwrap();
        call.answer(MediaOptions::default()).await.unwrap()
    });
    let ours = ours.unwrap();
    assert!(ours.answered_at().elapsed() < PATIENCE);
    let read = async {
        for _ in 0..5 {
            assert_eq!(ours.media().next_frame().await.unwrap().samples.len(), 160);
        }
    };
    soon("five frames", read).await;
    assert_eq!(callee.stats().live_calls, 1);
    drop(theirs);
    let ended = soon("the end", ours.ended()).await;
    assert_eq!(ended.by, EndedBy::Remote);
    let drained = async { while ours.media().next_frame().await.is_some() {} };
    soon("the last frame", drained).await;
    let after = ours.media().play(tone(440.0, 0.1));
    assert_eq!(after.finished().await.end, PlaybackEnd::CallEnded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_reaches_the_caller_with_its_reason() {
    let (caller, _) = endpoint().await;
    let (callee, mut incoming) = endpoint().await;
    let (outcome, ()) = tokio::join!(caller.dial(request(callee.local_addr())), async {
        let call = incoming.next().await.unwrap();
        let rejection = Rejection {
            status: 403,
            reason_text: "caller \"+1555\" is unknown\r\nX-Evil: 1".to_owned(),
        };
        call.reject(rejection).await.unwrap();
    });
    let error = outcome.unwrap_err();
    assert!(error.was_sent());
    let DialError::Refused {
        status,
        reason_phrase,
        reason_header,
    } = error
    else {
        panic!("{error:?}");
    };
    assert_eq!((status, reason_phrase.as_str()), (403, "Forbidden"));
    assert_eq!(
        reason_header.as_deref(),
        Some("SIP;cause=403;text=\"caller \\\"+1555\\\" is unknown  X-Evil: 1\"")
    );

    // A decision that is never made is a refusal too.
    let (outcome, ()) = tokio::join!(caller.dial(request(callee.local_addr())), async {
        drop(incoming.next().await.unwrap());
    });
    assert!(
        matches!(outcome, Err(DialError::Refused { status: 480, .. })),
        "{outcome:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ringing_too_long_cancels_and_the_callee_learns_it() {
    let (caller, _) = endpoint().await;
    let (callee, mut incoming) = endpoint().await;
    let mut request = request(callee.local_addr());
    request.ring_timeout = Duration::from_millis(600);
    let (outcome, call) = tokio::join!(caller.dial(request), async {
        let call = incoming.next().await.unwrap();
        call.ring().await.unwrap();
        soon("the CANCEL", call.cancelled()).await;
        call
    });
    assert!(matches!(outcome, Err(DialError::NoAnswer)), "{outcome:?}");
    assert!(matches!(call.ring().await, Err(Error::Cancelled)));
    assert!(matches!(
        call.answer(MediaOptions::default()).await,
        Err(Error::Cancelled)
    ));
    assert_eq!(callee.stats().live_calls, 0);
}

/// CANCEL and 200 cross on the wire again and again; both sides must agree every time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_crosses_the_cancel_leaves_no_call_behind() {
    let (caller, _) = endpoint().await;
    let (callee, mut incoming) = endpoint().await;
    let (mut connected, mut given_up) = (0, 0);
    for round in 0..24_u64 {
        let mut request = request(callee.local_addr());
        request.ring_timeout = Duration::from_millis(200);
        let (dialed, answered) = tokio::join!(caller.dial(request), async {
            let call = incoming.next().await.unwrap();
            call.ring().await.unwrap();
            tokio::time::sleep(Duration::from_micros(197_000 + round * 250)).await;
            call.answer(MediaOptions::default()).await
        });
        match dialed {
            Ok(ours) => {
                connected += 1;
                soon("our end", ours.hang_up()).await;
                soon("their end", answered.unwrap().ended()).await;
            }
            Err(DialError::NoAnswer) => {
                given_up += 1;
                match answered {
                    Ok(theirs) => {
                        assert_eq!(soon("their end", theirs.ended()).await.by, EndedBy::Remote);
                    }
                    Err(error) => assert!(matches!(error, Error::Cancelled), "{error:?}"),
                }
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    println!("{connected} connected, {given_up} given up");
    assert_eq!(connected + given_up, 24);
    assert_eq!(
        (caller.stats().live_calls, callee.stats().live_calls),
        (0, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ignored_caller_hears_nothing_at_all() {
    let (caller, _) = endpoint().await;
    let (callee, mut incoming) = endpoint().await;
    let mut quick = request(callee.local_addr());
    quick.ring_timeout = Duration::from_millis(1_800);
    let (outcome, ()) = tokio::join!(caller.dial(quick), async {
        incoming.next().await.unwrap().ignore();
    });
    assert!(matches!(outcome, Err(DialError::NoResponse)), "{outcome:?}");
    let stats = callee.stats();
    assert_eq!(stats.invites, 1, "retransmissions are not new calls");
    assert!(stats.ignored_datagrams >= 1, "{stats:?}");

    // Ignored only after 100 had to be sent: the caller gives up by itself.
    let mut slow = request(callee.local_addr());
    slow.ring_timeout = Duration::from_millis(800);
    let (outcome, ()) = tokio::join!(caller.dial(slow), async {
        let call = incoming.next().await.unwrap();
        tokio::time::sleep(Duration::from_millis(400)).await;
        call.ignore();
    });
    assert!(matches!(outcome, Err(DialError::NoAnswer)), "{outcome:?}");
    forgets_every_dialog(&caller).await;
    forgets_every_dialog(&callee).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_known_whether_anything_was_sent() {
    let (caller, _) = endpoint().await;
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut unheard = request(silent.local_addr().unwrap());
    unheard.ring_timeout = Duration::from_millis(300);
    let error = caller.dial(unheard).await.unwrap_err();
    assert!(matches!(error, DialError::NoResponse), "{error:?}");
    assert!(error.was_sent());

    for break_it in [
        (|r| r.proxy = "[::1]:5060".parse().unwrap()) as fn(&mut ringdown_sip::DialRequest),
        |r| r.proxy.set_port(0),
        |r| r.from = "a@b".to_owned(),
        |r| r.to = String::new(),
        |r| r.headers = vec![("X-Run-Id".to_owned(), "a\r\nVia: b".to_owned())],
    ] {
        let mut broken = request(silent.local_addr().unwrap());
        break_it(&mut broken);
        let started = Instant::now();
        let error = caller.dial(broken).await.unwrap_err();
        assert!(matches!(error, DialError::NotSent { .. }), "{error:?}");
        assert!(!error.was_sent());
        assert!(
            started.elapsed() < Duration::from_secs(2),
            "failing to send is known at once"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_calls_at_once_each_with_its_own_tone() {
    let (caller, _) = endpoint().await;
    let (callee, mut incoming) = endpoint().await;
    let answering = tokio::spawn(async move {
        let mut calls = Vec::new();
        for _ in 0..50 {
            let call = incoming.next().await.unwrap();
            calls.push(tokio::spawn(async move {
                let index: f64 = call.header("X-Run-Id").unwrap().parse().unwrap();
                let call = call.answer(MediaOptions::default()).await.unwrap();
                hear(call.media(), 400.0 + 50.0 * index).await;
                let ended = soon("the end", call.ended()).await;
                assert_eq!(ended.by, EndedBy::Remote);
                ended
            }));
        }
        futures::future::join_all(calls).await
    });
    let dials = (0..50).map(|index| {
        let caller = caller.clone();
        let mut request = request(callee.local_addr());
        request.headers = vec![("X-Run-Id".to_owned(), index.to_string())];
        tokio::spawn(async move {
            let call = caller.dial(request).await.unwrap();
            let playback = call
                .media()
                .play(tone(400.0 + 50.0 * f64::from(index), 1.0));
            assert_eq!(
                soon("the playback", playback.finished()).await.end,
                PlaybackEnd::Completed
            );
            soon("the end", call.hang_up()).await
        })
    });
    let ours = futures::future::join_all(dials).await;
    let theirs = answering.await.unwrap();
    let mut lateness: f64 = 0.0;
    for ended in ours.into_iter().chain(theirs) {
        let media = ended.unwrap().media;
        assert_eq!(
            (media.lost, media.malformed, media.unexpected),
            (0, 0, 0),
            "{media:?}"
        );
        lateness = lateness.max(media.max_send_lateness_ms);
    }
    println!("worst send lateness over 100 streams: {lateness:.1} ms");
    assert_eq!(callee.stats().contained_panics, 0);
    forgets_every_dialog(&caller).await;
    forgets_every_dialog(&callee).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_backlog_is_told_503_and_a_shutdown_ends_everything() {
    let (caller, _) = endpoint().await;
    let (callee, mut incoming) = endpoint_with_backlog(1).await;
    let (ours, theirs) = connect(
        &caller,
        &callee,
        &mut incoming,
        MediaOptions::default(),
        MediaOptions::default(),
    )
    .await;
    // Of two calls for one place in the queue either may come first, and the other is refused.
    let mut dials = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let caller = caller.clone();
        let request = request(callee.local_addr());
        dials.spawn(async move { caller.dial(request).await });
    }
    let outcome = soon("the overflow", dials.join_next())
        .await
        .unwrap()
        .unwrap();
    assert!(
        matches!(outcome, Err(DialError::Refused { status: 503, .. })),
        "{outcome:?}"
    );
    assert_eq!(callee.stats().invites_overflowed, 1);

    soon("the shutdown", callee.shutdown(Duration::from_secs(10))).await;
    assert_eq!(theirs.ended().await.by, EndedBy::Local);
    assert_eq!(soon("our end", ours.ended()).await.by, EndedBy::Remote);
    let outcome = soon("the waiting call", dials.join_next())
        .await
        .unwrap()
        .unwrap();
    assert!(
        matches!(outcome, Err(DialError::Refused { status: 503, .. })),
        "{outcome:?}"
    );
    assert!(matches!(
        callee.dial(request(caller.local_addr())).await,
        Err(DialError::NotSent { .. })
    ));
    let rest = async { while incoming.next().await.is_some() {} };
    soon("the end of the incoming calls", rest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn giving_a_dial_up_cancels_it() {
    let (caller, _) = endpoint().await;
    let (callee, mut incoming) = endpoint().await;
    let dialing = {
        let caller = caller.clone();
        let request = request(callee.local_addr());
        tokio::spawn(async move { caller.dial(request).await.map(|_| ()) })
    };
    let call = soon("the call", incoming.next()).await.unwrap();
    call.ring().await.unwrap();
    // The 180 must have been seen before giving up can mean CANCEL at once; either way it ends in one.
    tokio::time::sleep(Duration::from_millis(50)).await;
    dialing.abort();
    soon("the CANCEL", call.cancelled()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_last_endpoint_hangs_up() {
    let (caller, _) = endpoint().await;
    let (callee, mut incoming) = endpoint().await;
    let (ours, theirs) = connect(
        &caller,
        &callee,
        &mut incoming,
        MediaOptions::default(),
        MediaOptions::default(),
    )
    .await;
    drop(callee);
    assert_eq!(soon("its end", theirs.ended()).await.by, EndedBy::Local);
    assert_eq!(soon("our end", ours.ended()).await.by, EndedBy::Remote);
    assert!(
        soon("the end of the calls", incoming.next())
            .await
            .is_none()
    );
}

/// Every future can be moved between the threads of a runtime.
#[tokio::test]
async fn the_api_can_be_used_from_any_task() {
    fn is_send<T: Send>(future: T) -> T {
        future
    }
    let (caller, _) = endpoint().await;
    let (callee, mut incoming) = endpoint().await;
    let dialing = caller.dial(request(callee.local_addr()));
    let (ours, theirs) = tokio::join!(is_send(dialing), async {
        let call = is_send(incoming.next()).await.unwrap();
        is_send(call.ring()).await.unwrap();
        is_send(call.answer(MediaOptions::default())).await.unwrap()
    });
    let ours = ours.unwrap();
    is_send(ours.media().next_frame()).await.unwrap();
    let playback = ours.media().play(tone(440.0, 0.02));
    is_send(playback.finished()).await;
    is_send(ours.hang_up()).await;
    is_send(theirs.ended()).await;
    is_send(callee.shutdown(Duration::from_secs(1))).await;
}
