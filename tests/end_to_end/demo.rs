//! `ringdown demo`, as somebody who has just built it runs it.

use serde_json::Value;

use crate::support::{finished, ringdown};

#[tokio::test]
async fn the_demo_shows_what_it_is_meant_to_show() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("demo output");
    let shown = output.display().to_string();

    let said = finished(ringdown(&["demo", "--output", &shown, "--format", "json"])).await;

    assert_eq!(said.status.code(), Some(0), "{}", said.err);
    let story: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(story["unexpected"], Value::Array(Vec::new()));
    let runs = story["report"]["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 10);
    for run in runs.iter().filter(|run| run["status"] == "completed") {
        let recording = run["recording"].as_str().unwrap();
        assert!(output.join(recording).is_file(), "{recording}");
    }
    for file in ["html", "junit", "json"] {
        let path = story["files"][file].as_str().unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains("Calls from another number"), "{path}");
    }
}
