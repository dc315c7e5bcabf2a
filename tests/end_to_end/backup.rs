//! A backup holds everything, and moves it between the two kinds of database.

use std::path::Path;

use ringdown_testkit::postgres::Fresh;
use serde_json::Value;

use crate::support::{Bench, Server, finished, ringdown};

const LISTS: [&str; 7] = [
    "test_framework/v1/aiagents/",
    "test_framework/v1/scenarios/",
    "test_framework/v1/phone-numbers/",
    "test_framework/v1/test-profiles/",
    "test_framework/v1/runs/",
    "test_framework/v1/results/",
    "ringdown/v1/attempts/",
];

/// Everything the API lists, asked for with this key. Links name the server, which is another each time.
async fn everything(server: &Server, key: &str) -> Vec<Value> {
    let base = &server.ready.http_url;
    let mut lists = Vec::new();
    for list in LISTS {
        let text = crate::support::get(&format!("{base}/{list}"), key).await;
        lists.push(serde_json::from_str(&text.replace(base, "")).unwrap());
    }
    lists
}

async fn command(arguments: &[&str]) -> String {
    let said = finished(ringdown(arguments)).await;
    assert!(said.status.success(), "{arguments:?}: {}", said.err);
    said.out
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_restored_into_either_kind_of_database() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (first, second, third) = (at("first"), at("second one"), at("third"));
    let server = Server::up(&first, &["--parallel-calls", "2"]).await;
    let bench = Bench::build(&server.client, 3, None).await;
    bench.trigger(&server.client, 1).await;
    let key = server.ready.admin_key.clone();
    let before = everything(&server, &key).await;
    std::fs::create_dir_all(first.join("artefacts/recordings")).unwrap();
    std::fs::write(first.join("artefacts/recordings/a call.wav"), b"RIFF").unwrap();

    // While it runs.
    let file = text(&at("a backup.tar.gz"));
    let said = command(&["backup", &file, "--data-dir", &text(&first)]).await;
    assert!(said.contains("1 artefacts"), "{said}");
    let again = finished(ringdown(&["backup", &file, "--data-dir", &text(&first)])).await;
    assert_eq!(again.status.code(), Some(3), "{}", again.err);
    server.stop().await;

    let fresh = Fresh::create().await;
    let postgres = ["--data-dir", &text(&second), "--database-url", fresh.url()];
    let restore = |file: &str, place: &[&str]| {
        let mut arguments = vec!["restore".to_owned(), file.to_owned()];
        arguments.extend(place.iter().map(|one| (*one).to_owned()));
        arguments
    };
    let arguments = restore(&file, &postgres);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    command(&arguments).await;
    let twice = finished(ringdown(&arguments)).await;
    assert!(
        !twice.status.success() && twice.err.contains("not empty"),
        "{}",
        twice.err
    );
    let server = Server::up(
        &second,
        &["--parallel-calls", "2", "--database-url", fresh.url()],
    )
    .await;
    assert_eq!(everything(&server, &key).await, before);
    // What is new comes after what was restored.
    bench.trigger(&server.client, 1).await;
    let before = everything(&server, &key).await;
    server.stop().await;

    let file = text(&at("second.tar.gz"));
    let mut arguments = vec!["backup", &file];
    arguments.extend(postgres);
    command(&arguments).await;
    fresh.drop_database().await;
    command(&["restore", &file, "--data-dir", &text(&third)]).await;
    let server = Server::up(&third, &[]).await;
    assert_eq!(everything(&server, &key).await, before);
    server.stop().await;
    let kept = std::fs::read(third.join("artefacts/recordings/a call.wav")).unwrap();
    assert_eq!(kept, b"RIFF");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_backup_is_refused_and_stores_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("no.tar.gz");
    std::fs::write(&file, b"not a backup").unwrap();
    let data = text(&folder.path().join("data"));
    let said = finished(ringdown(&["restore", &text(&file), "--data-dir", &data])).await;
    assert!(!said.status.success());
    assert!(said.err.contains("no.tar.gz"), "{}", said.err);
    let said = finished(ringdown(&[
        "restore",
        "/nowhere.tar.gz",
        "--data-dir",
        &data,
    ]))
    .await;
    assert_eq!(said.status.code(), Some(2), "{}", said.err);
}
