//! What is played is heard, recorded, and can be stopped.

use std::time::Duration;

use ringdown_sip::{EndedBy, MediaOptions, PlaybackEnd, RecordingError};

use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tone_is_heard_and_recorded_on_the_right_channels() {
    let folder = tempfile::tempdir().unwrap();
    let (caller, _) = endpoint().await;
    let (callee, mut incoming) = endpoint().await;
    let caller_wav = folder.path().join("a folder").join("caller.wav");
    let callee_wav = folder.path().join("callee.wav");
    let (ours, theirs) = connect(
        &caller,
        &callee,
        &mut incoming,
        MediaOptions::default().recording_to(&caller_wav),
        MediaOptions::default().recording_to(&callee_wav),
    )
    .await;
    assert_eq!(ours.id(), theirs.id());

    let playback = ours.media().play(tone(440.0, 0.5));
    assert!(ours.media().playing());
    let (frame, _) = hear(theirs.media(), 440.0).await;
    assert!(frame.at < Duration::from_secs(5), "{:?}", frame.at);
    let report = soon("the end of the playback", playback.finished()).await;
    assert_eq!(
        (report.end, report.sent, report.total),
        (PlaybackEnd::Completed, 4_000, 4_000)
    );
    // Let what is on its way arrive: frames are the clock.
    for _ in 0..10 {
        theirs.media().next_frame().await.unwrap();
    }

    let ended = soon("our end", ours.hang_up()).await;
    assert_eq!(ended.by, EndedBy::Local);
    let remote = soon("their end", theirs.ended()).await;
    assert_eq!(remote.by, EndedBy::Remote);
    assert_eq!(theirs.ended().await, remote, "ended() can be awaited again");
    for side in [&ended, &remote] {
        assert!(side.media.packets_received > 20, "{side:?}");
        assert_eq!(
            (side.media.malformed, side.media.unexpected, side.media.lost),
            (0, 0, 0),
            "{side:?}"
        );
        assert!(side.media.first_rx.is_some());
    }

    let at_caller = read_wav(&caller_wav);
    assert!(loudest(&at_caller.right, 440.0) > 7_000.0);
    assert!(loudest(&at_caller.left, 440.0) < 100.0);
    let at_callee = read_wav(&callee_wav);
    assert!(loudest(&at_callee.left, 440.0) > 7_000.0);
    assert!(loudest(&at_callee.right, 440.0) < 100.0);
    let summary = theirs
        .media()
        .recording()
        .unwrap()
        .finished()
        .await
        .unwrap();
    assert_eq!(summary.path, callee_wav);
    assert_eq!(
        summary.duration.as_millis(),
        at_callee.left.len() as u128 / 8
    );
    let drift = summary.duration.abs_diff(remote.duration);
    assert!(
        drift < Duration::from_millis(60),
        "recorded {:?} of {:?}",
        summary.duration,
        remote.duration
    );
    // Both sides started within a few milliseconds of each other, so network and jitter buffer are all that
    // lies between what one recorded as sent and the other as received.
    let sent = onset(&at_caller.right, 440.0).unwrap();
    let heard = onset(&at_callee.left, 440.0).unwrap();
    assert!(
        heard.saturating_sub(sent) <= 160 * 8,
        "sent at {sent}, heard at {heard}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_playback_can_be_stopped_and_says_how_far_it_got() {
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
    let long = ours.media().play(tone(440.0, 30.0));
    let next = ours.media().play(tone(1_000.0, 0.2));
    hear(theirs.media(), 440.0).await;
    let report = long.stop();
    assert_eq!(report.end, PlaybackEnd::Stopped);
    assert!(report.sent >= 160 && report.sent < 80_000, "{report:?}");
    assert_eq!(long.finished().await, report, "stopping is final");
    hear(theirs.media(), 1_000.0).await;
    assert_eq!(
        soon("the next one", next.finished()).await.end,
        PlaybackEnd::Completed
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_that_fails_does_not_end_the_call() {
    let folder = tempfile::tempdir().unwrap();
    let file_in_the_way = folder.path().join("file");
    std::fs::write(&file_in_the_way, b"x").unwrap();
    let (caller, _) = endpoint().await;
    let (callee, mut incoming) = endpoint().await;
    let options = MediaOptions::default().recording_to(file_in_the_way.join("call.wav"));
    let (ours, theirs) = connect(
        &caller,
        &callee,
        &mut incoming,
        options,
        MediaOptions::default(),
    )
    .await;
    ours.media().play(tone(440.0, 1.0));
    hear(theirs.media(), 440.0).await;
    let ended = soon("the end", ours.hang_up()).await;
    assert_eq!(ended.by, EndedBy::Local);
    assert!(
        matches!(
            ended.media.recording_error,
            Some(RecordingError::Create { .. })
        ),
        "{ended:?}"
    );
}
