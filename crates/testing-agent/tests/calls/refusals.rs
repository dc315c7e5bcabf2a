//! Calls that are not answered.

use std::sync::Arc;
use std::time::Duration;

use ringdown_domain::attempt::Verdict;
use ringdown_domain::{CallerHeader, Numbering};
use ringdown_proto::v1::MatchReply;
use ringdown_sip::DialError;
use ringdown_testing_agent::{Network, Trunk};

use crate::support::{Setup, converse, matched, script, soon};

fn refusal(verdict: Verdict, sip_status: u32) -> MatchReply {
    MatchReply {
        verdict: verdict.to_string(),
        explanation: format!("because of \"{verdict}\""),
        sip_status,
        ..MatchReply::default()
    }
}

fn assert_refused(dialed: Result<ringdown_sip::Call, DialError>, expected: u16, reason: &str) {
    match dialed {
        Err(DialError::Refused {
            status,
            reason_header,
            ..
        }) => {
            let header = reason_header.expect("no Reason header");
            assert_eq!(status, expected, "{header}");
            assert!(header.contains(&format!("cause={expected}")), "{header}");
            assert!(header.contains(reason), "{header} lacks {reason:?}");
        }
        other => panic!("expected a refusal with {expected}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_verdict_is_refused_with_its_status_and_reason() {
    let refusals: Vec<Verdict> = Verdict::ALL
        .into_iter()
        .filter(|verdict| verdict.sip_status().is_some())
        .collect();
    let mut answers = refusals.clone().into_iter();
    let world = Setup::answering(move |_| {
        let verdict = answers.next().unwrap();
        Some(refusal(verdict, verdict.sip_status().unwrap().into()))
    })
    .start()
    .await;
    for verdict in &refusals {
        let dialed = world.dial().await;
        assert_refused(dialed, verdict.sip_status().unwrap(), verdict.as_str());
        let counted = world.counted("ringdown_testing_agent_calls_total", verdict.as_str());
        assert_eq!(counted, 1.0, "{verdict}");
    }
    assert_eq!(world.counted("ringdown_testing_agent_live_calls", ""), 0.0);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_is_told_what_arrived_and_an_odd_status_becomes_the_verdicts() {
    let mut world = Setup::answering(|_| Some(refusal(Verdict::UnknownNumber, 200)))
        .start()
        .await;
    let mut request = world.dial_request();
    request.headers = vec![
        ("X-Run-Id".to_owned(), "42".to_owned()),
        (
            "P-Asserted-Identity".to_owned(),
            "<sip:+15559999@example.invalid>".to_owned(),
        ),
    ];
    assert_refused(world.dial_with(request).await, 404, "unknown_number");
    let asked = world.request().await;
    assert_eq!(asked.from_raw, "+15559999");
    assert_eq!(asked.to_raw, "+15550199");
    assert_eq!(asked.hinted_run, 42);
    assert!(asked.source.starts_with("127.0.0.1:"));
    assert!(!asked.call_id.is_empty() && !asked.sip_call_id.is_empty());
    assert!(asked.received_at_us > 0 && asked.decided_verdict.is_empty());

    let mut request = world.dial_request();
    request.headers = vec![("X-Run-Id".to_owned(), "-1 or so".to_owned())];
    assert_refused(world.dial_with(request).await, 404, "unknown_number");
    let asked = world.request().await;
    assert_eq!(
        (asked.hinted_run, asked.from_raw.as_str()),
        (0, "+15550100")
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_headers_of_a_trunk_count_and_its_numbers_are_read_as_it_writes_them() {
    let setup = Setup {
        adjust: |options| {
            let mut asserting = Trunk::new("london", vec![Network::LOOPBACK_V4]);
            asserting.caller_id = vec![CallerHeader::PAssertedIdentity];
            asserting.numbering = Numbering::national("44", "0", 9..=10).unwrap();
            // The first one that has the address is the call's.
            options.trunks.insert(0, asserting);
        },
        ..Setup::answering(|_| Some(refusal(Verdict::CallerIdMissing, 403)))
    };
    let mut world = setup.start().await;
    let mut request = world.dial_request();
    request.to = "02079460199".to_owned();
    request.headers = vec![
        ("X-Run-Id".to_owned(), "42".to_owned()),
        (
            "P-Asserted-Identity".to_owned(),
            "\"A, B\" <sip:anonymous@anonymous.invalid>, <tel:020-7946-0100;ext=7>".to_owned(),
        ),
    ];
    assert_refused(world.dial_with(request.clone()).await, 403, "missing");
    let asked = world.request().await;
    assert_eq!((asked.trunk.as_str(), asked.hinted_run), ("london", 0));
    assert_eq!(asked.from_header, "p-asserted-identity");
    assert_eq!(asked.from_raw, "020-7946-0100");
    assert_eq!(asked.from.as_deref(), Some("+442079460100"));
    assert_eq!(asked.to.as_deref(), Some("+442079460199"));
    let callers: Vec<(&str, &str)> = asked
        .callers
        .iter()
        .map(|caller| (caller.header.as_str(), caller.number.as_str()))
        .collect();
    assert_eq!(
        callers,
        [
            ("from", "+15550100"),
            ("p-asserted-identity", "+442079460100")
        ]
    );
    assert!(
        asked.callers[1]
            .value
            .starts_with("\"A, B\" <sip:anonymous")
    );

    // A number in a header that does not count is no caller ID.
    request.headers = vec![(
        "Remote-Party-ID".to_owned(),
        "<sip:+442079460100@host>;party=calling;screen=yes".to_owned(),
    )];
    assert_refused(world.dial_with(request).await, 403, "missing");
    let asked = world.request().await;
    assert_eq!(
        (asked.from_raw.as_str(), asked.from.as_deref()),
        ("", Some(""))
    );
    assert_eq!(asked.from_header, "");
    assert_eq!(asked.callers.len(), 2);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_refusal_lets_the_caller_hear_nothing() {
    let world = Setup::answering(|_| Some(refusal(Verdict::CallerIdMismatch, 0)))
        .start()
        .await;
    world.hears_nothing().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_platform_calls_are_refused() {
    let world = Setup {
        platform: None,
        ..Setup::default()
    }
    .start()
    .await;
    assert_refused(world.dial().await, 503, "the platform did not answer");
    let counted = world.counted("ringdown_testing_agent_calls_total", "platform_absent");
    assert_eq!(counted, 1.0);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_asked_for_again_under_the_same_name() {
    let mut first = true;
    let mut world = Setup::answering(move |_| {
        let lost = std::mem::replace(&mut first, false);
        (!lost).then(|| refusal(Verdict::TooEarly, 480))
    })
    .start()
    .await;
    assert_refused(world.dial().await, 480, "too_early");
    let (first, second) = (world.request().await, world.request().await);
    assert_eq!(first, second);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_beyond_the_capacity_is_refused_and_reported() {
    let setup = Setup {
        adjust: |options| options.max_calls = 1,
        ..Setup::default()
    };
    let mut world = setup.start().await;
    let first = world.dial().await.unwrap();
    assert_eq!(world.request().await.decided_verdict, "");
    assert_refused(world.dial().await, 486, "at capacity");
    assert_eq!(world.request().await.decided_verdict, "at_capacity");
    first.hang_up().await;
    world.report().await;
    // The place is free again as soon as the end is reported.
    let second = world.dial().await.unwrap();
    second.hang_up().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_untrusted_source_hears_nothing_and_a_flood_of_it_is_reported_seldom() {
    let setup = Setup {
        adjust: |options| {
            options.trunks = vec![Trunk::trusted(vec!["203.0.113.0/24".parse().unwrap()])];
        },
        ..Setup::default()
    };
    let mut world = setup.start().await;
    let flood = (0..40).map(|_| world.hears_nothing());
    futures::future::join_all(flood).await;
    let asked = world.request().await;
    assert_eq!(asked.decided_verdict, "untrusted_source");
    assert_eq!(asked.to_raw, "+15550199");
    let counted = world.counted("ringdown_testing_agent_calls_total", "untrusted_source");
    assert_eq!(counted, 40.0);
    let unreported = world.counted("ringdown_testing_agent_unreported_refusals_total", "");
    assert!((20.0..=36.0).contains(&unreported), "{unreported}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_agent_takes_no_calls_lets_live_ones_finish_and_hangs_up_at_the_deadline() {
    let mut world = Setup::default().start().await;
    let call = world.dial().await.unwrap();
    let request = world.dial_request();
    assert_eq!(world.agent.as_ref().unwrap().live_calls(), 1);
    let drain = tokio::spawn(world.agent.take().unwrap().drain(Duration::from_secs(2)));
    // The order to drain and the next call travel separately.
    let refused = async {
        loop {
            match world.dial_with(request.clone()).await {
                Ok(call) => drop(call),
                refused => return refused,
            }
        }
    };
    assert_refused(soon("a refusal", refused).await, 503, "draining");
    assert!(!drain.is_finished(), "the live call was not waited for");
    soon("the end of the call", call.ended()).await;
    let mut reasons = Vec::new();
    loop {
        let (names, ended, recorded) = world.report().await;
        assert!(recorded.missing_reason.is_empty(), "{recorded:?}");
        assert!(world.artefact(&recorded.recording).is_file());
        assert_eq!(&names[names.len() - 2..], ["ended", "recorded"]);
        reasons.push(ended.reason);
        if reasons
            .iter()
            .any(|reason| reason == "Testing agent-drained")
        {
            break;
        }
    }
    soon("the drain", drain).await.unwrap();
    assert_eq!(world.recordings_left(), Vec::<std::path::PathBuf>::new());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_with_enough_time_lets_the_conversation_end_by_itself() {
    let mut world = Setup::answering(|_| Some(matched(script()))).start().await;
    let call = Arc::new(world.dial().await.unwrap());
    let agent = world.agent.take().unwrap();
    let (_, ()) = tokio::join!(converse(&call), agent.drain(Duration::from_secs(30)));
    let (_, ended, _) = world.report().await;
    assert_eq!(ended.reason, "Testing agent-ended-call");
    world.stop().await;
}
