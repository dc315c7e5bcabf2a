//! Calls that are answered and talked on.

use ringdown_voice::{Tone, VoiceOptions};

use crate::support::{
    AGENT_HZ, Setup, converse, hear_speech, loudest, read_wav, script, soon, tone,
};

fn hertz(text: &str) -> f64 {
    Tone::frequency(text, &VoiceOptions::default())
        .unwrap()
        .into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_conversation_is_held_reported_and_recorded() {
    let mut world = Setup::default().start().await;
    let call = world.dial().await.unwrap();
    soon("the end of the conversation", converse(&call)).await;
    let (names, ended, recorded) = world.report().await;
    assert_eq!(
        names,
        [
            "answered", "turn", "turn", "turn", "turn", "turn", "ended", "recorded"
        ]
    );
    assert_eq!(ended.reason, "Testing agent-ended-call");
    assert!((3_000..15_000).contains(&ended.duration_ms), "{ended:?}");
    let media = ended.media.unwrap();
    assert!(
        media.packets_sent > 100 && media.packets_received > 100,
        "{media:?}"
    );
    assert_eq!(recorded.media, ended.media);
    let path = ended.path.unwrap();
    let caller = world.request().await.source;
    assert!(path.contact.contains(&caller), "{}", path.contact);
    assert_eq!((path.codec, path.source), ("PCMU".to_owned(), caller));
    assert_eq!(path.media_seen, path.media_described);
    assert!(
        path.media_seen.starts_with("127.0.0.1:"),
        "{}",
        path.media_seen
    );

    let said: Vec<(&str, &str)> = recorded
        .turns
        .iter()
        .map(|turn| (turn.speaker.as_str(), turn.text.as_str()))
        .collect();
    assert_eq!(
        said,
        [
            ("Testing Agent", "Hello there"),
            ("Main Agent", ""),
            ("Testing Agent", "My order is late"),
            ("Main Agent", ""),
            ("Testing Agent", "Goodbye"),
        ]
    );
    for pair in recorded.turns.windows(2) {
        assert!(pair[0].start_ms < pair[0].end_ms, "{pair:?}");
        assert!(
            pair[0].end_ms < pair[1].start_ms,
            "they talked over each other: {pair:?}"
        );
        if pair[0].speaker == "Main Agent" {
            let pause = pair[1].start_ms - pair[0].end_ms;
            assert!((700..1_500).contains(&pause), "{pair:?}");
        }
    }

    assert!(
        recorded.recording.starts_with("recordings/team-1/7/"),
        "{}",
        recorded.recording
    );
    let (agent, testing_agent) = read_wav(&world.artefact(&recorded.recording));
    assert!(loudest(&agent, AGENT_HZ) > 6_000.0);
    assert!(
        loudest(&agent, hertz("Hello there")) < 1_000.0,
        "the channels are mixed"
    );
    for text in ["Hello there", "My order is late", "Goodbye"] {
        assert!(loudest(&testing_agent, hertz(text)) > 3_000.0, "{text}");
    }
    assert!(world.recordings_left().is_empty());
    assert_eq!(
        world.counted("ringdown_testing_agent_calls_total", "matched"),
        1.0
    );
    assert_eq!(world.counted("ringdown_testing_agent_live_calls", ""), 0.0);
    assert_eq!(
        world.counted("ringdown_testing_agent_lost_facts_total", ""),
        0.0
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_first_message_the_agent_speaks_first() {
    let mut script = script();
    script.first_message.clear();
    script.replies.clear();
    script.closing.clear();
    let mut world = Setup::matching(script).start().await;
    let call = world.dial().await.unwrap();
    let _ = call.media().play(tone(AGENT_HZ, 0.6));
    soon("the end of the call", call.ended()).await;
    let (names, ended, recorded) = world.report().await;
    assert_eq!(names, ["answered", "turn", "ended", "recorded"]);
    assert_eq!(ended.reason, "Testing agent-ended-call");
    assert_eq!(recorded.turns[0].speaker, "Main Agent");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_hangs_up_cuts_what_was_being_said() {
    let mut script = script();
    script.first_message = "one two three four five six seven eight nine ten".to_owned();
    let mut world = Setup::matching(script.clone()).start().await;
    let call = world.dial().await.unwrap();
    hear_speech(&call).await;
    call.hang_up().await;
    let (_, ended, recorded) = world.report().await;
    assert_eq!(ended.reason, "Main agent-ended-call");
    let [turn] = recorded.turns.as_slice() else {
        panic!("expected one turn: {:?}", recorded.turns)
    };
    assert!(turn.text.len() < script.first_message.len() / 2, "{turn:?}");
    assert!(script.first_message.starts_with(&turn.text));
    assert!(turn.end_ms <= ended.duration_ms + 40);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mutual_silence_and_overlong_calls_are_ended() {
    for (silence_timeout_ms, max_duration_ms, reason) in [
        (1_000, 60_000, "Main agent-silence-timed-out"),
        (60_000, 1_500, "exceeded-max-duration"),
    ] {
        let mut script = script();
        script.silence_timeout_ms = silence_timeout_ms;
        script.max_duration_ms = max_duration_ms;
        let mut world = Setup::matching(script).start().await;
        let call = world.dial().await.unwrap();
        soon("the end of the call", call.ended()).await;
        let (_, ended, recorded) = world.report().await;
        assert_eq!(ended.reason, reason);
        assert!((1_000..4_000).contains(&ended.duration_ms), "{ended:?}");
        assert!(!recorded.recording.is_empty());
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_calls_at_once_are_all_held_and_reported() {
    const CALLS: usize = 40;
    let mut script = script();
    script.replies.clear();
    let mut world = Setup::matching(script).start().await;
    let calls = (0..CALLS).map(|_| async {
        let call = world.dial().await.unwrap();
        soon("the end of the conversation", converse(&call)).await;
    });
    futures::future::join_all(calls).await;
    let mut recorded = 0;
    while recorded < CALLS {
        let (_, fact) = world.fact().await;
        if let Some(ringdown_proto::v1::call_fact::Step::Recorded(done)) = fact.step {
            assert_eq!(done.ended_reason, "Testing agent-ended-call");
            assert!(world.artefact(&done.recording).is_file());
            recorded += 1;
        }
    }
    world.stop().await;
}
