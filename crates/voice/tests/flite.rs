//! The real flite program. A machine without it gets the command that installs it as the failure.

#![expect(clippy::unwrap_used, reason = "test helpers outside #[test] functions")]

use ringdown_voice::{
    CacheOptions, Cached, Error, Flite, FliteOptions, SAMPLE_RATE, Synthesizer, VoiceOptions,
    level_dbfs,
};
use std::{
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    time::{Duration, Instant},
};

fn voice(name: &str) -> VoiceOptions {
    VoiceOptions {
        voice: Some(name.into()),
        ..VoiceOptions::default()
    }
}

/// A program in a folder of its own that behaves as `script` says.
fn program(script: &str) -> (tempfile::TempDir, FliteOptions) {
    let folder = tempfile::Builder::new()
        .prefix("with a space ")
        .tempdir()
        .unwrap();
    let path = folder.path().join("flite");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let options = FliteOptions {
        program: path,
        deadline: Duration::from_millis(500),
        ..FliteOptions::default()
    };
    (folder, options)
}

#[tokio::test]
async fn speaks_at_the_right_rate_and_level() {
    let flite = Flite::default();
    flite.probe().await.unwrap();
    let text = "Hello, this is Ringdown. How can I help you today?";
    let audio = flite
        .synthesize(text, &VoiceOptions::default())
        .await
        .unwrap();
    let seconds = audio.len() as f32 / SAMPLE_RATE as f32;
    assert!((2.0..6.0).contains(&seconds), "{seconds} s");
    let level = level_dbfs(&audio);
    assert!((-23.0..-18.0).contains(&level), "{level} dBFS");
    assert_eq!(
        audio,
        flite.synthesize(text, &voice("slt")).await.unwrap(),
        "slt is the default and rendering is repeatable"
    );

    let slow = VoiceOptions {
        speed: 0.5,
        ..VoiceOptions::default()
    };
    let slow = flite.synthesize(text, &slow).await.unwrap().len() as f32 / audio.len() as f32;
    assert!((1.7..2.3).contains(&slow), "{slow} times as long");
    assert!(
        flite.identity().await.unwrap().starts_with("flite-"),
        "{:?}",
        flite.identity().await
    );
}

#[tokio::test]
async fn speaks_eight_kilohertz_voices_and_refuses_unknown_ones() {
    let flite = Flite::default();
    assert!(
        !flite
            .synthesize("hello", &voice("kal"))
            .await
            .unwrap()
            .is_empty()
    );
    let error = flite
        .synthesize("hello", &voice("nosuch"))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::UnknownVoice { available, .. } if available.contains("slt")),
        "{error}"
    );
}

#[tokio::test]
async fn text_is_never_taken_for_an_option_or_a_command() {
    let flite = Flite::default();
    let marker = std::env::temp_dir().join(format!("ringdown-voice-{}", std::process::id()));
    for text in [
        "--help".to_owned(),
        "-o stolen.wav".to_owned(),
        format!("$(touch {0}) `touch {0}`; touch {0}", marker.display()),
        "\u{1F600} caf\u{e9} \u{4f60}\u{597d} 100% \"quoted\" \\ <b>bold</b>".to_owned(),
    ] {
        assert!(
            !flite
                .synthesize(&text, &VoiceOptions::default())
                .await
                .unwrap()
                .is_empty(),
            "{text}"
        );
    }
    assert!(!marker.exists());
}

#[tokio::test]
async fn a_missing_program_is_named_with_its_cure() {
    let flite = Flite::new(FliteOptions {
        program: PathBuf::from("/nonexistent/flite"),
        ..FliteOptions::default()
    });
    let message = flite.probe().await.unwrap_err().to_string();
    assert!(
        message.contains("/nonexistent/flite") && message.contains("apt-get install flite"),
        "{message}"
    );
}

#[tokio::test]
async fn a_hanging_program_is_killed_at_the_deadline() {
    let (folder, options) = program("echo $$ > \"$(dirname \"$0\")/pid\"; exec sleep 600");
    let began = Instant::now();
    let error = Flite::new(options).probe().await.unwrap_err();
    assert!(matches!(error, Error::Deadline { .. }), "{error}");
    assert!(began.elapsed() < Duration::from_secs(10));
    let pid = std::fs::read_to_string(folder.path().join("pid")).unwrap();
    assert!(
        !std::path::Path::new("/proc").join(pid.trim()).exists(),
        "the process is gone"
    );
}

#[tokio::test]
async fn a_program_that_makes_nonsense_is_an_error() {
    let list =
        "case \"$1\" in --version) echo 'version: fake-1';; -lv) echo 'Voices available: slt';; *)";
    for (script, says) in [
        ("exit 1".to_owned(), "lists no voices"),
        (
            format!("{list} echo out of memory; exit 1;; esac"),
            "out of memory",
        ),
        (
            format!("{list} for last; do :; done; echo RIFF > \"$last\";; esac"),
            "no usable WAV",
        ),
        (
            format!("{list} for last; do :; done; : > \"$last\";; esac"),
            "no usable WAV",
        ),
    ] {
        let (_folder, options) = program(&script);
        let options = FliteOptions {
            deadline: Duration::from_secs(20),
            ..options
        };
        let message = Flite::new(options).probe().await.unwrap_err().to_string();
        assert!(message.contains(says), "{script}: {message}");
    }
}

#[tokio::test]
async fn prompts_survive_on_disk() {
    let folder = tempfile::Builder::new()
        .prefix("with a space ")
        .tempdir()
        .unwrap();
    let options = CacheOptions {
        folder: Some(folder.path().to_owned()),
        ..CacheOptions::default()
    };
    let voice = VoiceOptions::default();
    let text = "This prompt is kept.";
    let first = Cached::new(Flite::default(), options.clone())
        .synthesize(text, &voice)
        .await
        .unwrap();
    let files: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(files.len(), 1, "{files:?}");
    assert_eq!(
        Cached::new(Flite::default(), options)
            .synthesize(text, &voice)
            .await
            .unwrap(),
        first
    );
}
