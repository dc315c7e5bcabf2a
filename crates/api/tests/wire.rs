//! What goes over the wire reads back, and a careless peer is understood.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use ringdown_api::{Agent, Run, RunScenarios, RunStatus, TriggeredResult};
use ringdown_domain::run::Status;

#[test]
fn a_run_needs_only_an_id_and_a_status() {
    let run: Run = serde_json::from_str(r#"{"id": 7, "status": "pending"}"#).unwrap();
    assert_eq!(run.status, RunStatus::Known(Status::Pending));
    let nulls = r#"{"id":7,"status":"exploded","scenario_name":null,"evaluation":null,
        "transcript_object":null,"metadata":null,"error_message":null,"duration":"00:03","new":1}"#;
    let run: Run = serde_json::from_str(nulls).unwrap();
    assert_eq!(run.status, RunStatus::Other("exploded".into()));
    assert_eq!(run.status.known(), None);
}

#[test]
fn every_reference_status_is_understood() {
    for text in [
        "running",
        "completed",
        "failed",
        "pending",
        "in_progress",
        "evaluating",
        "in_queue",
        "timeout",
        "cancelled",
        "scaling_up",
    ] {
        let status: RunStatus = serde_json::from_value(text.into()).unwrap();
        assert!(status.known().is_some(), "{text}");
        assert_eq!(serde_json::to_value(&status).unwrap(), text);
    }
}

#[test]
fn the_sample_scripts_request_is_understood() {
    let text = r#"{"scenarios": [1514, 1515], "freq": 2, "agent_id": 26}"#;
    let request: RunScenarios = serde_json::from_str(text).unwrap();
    assert_eq!(request.freq, Some(2));
    assert_eq!(request.frequency, None);
    let again: serde_json::Value = serde_json::to_value(&request).unwrap();
    assert_eq!(
        again,
        serde_json::from_str::<serde_json::Value>(text).unwrap()
    );
}

#[test]
fn fields_we_do_not_act_on_survive() {
    let text = r#"{"id":1,"agent_name":"A","description":"D","inbound":false,"contact_number":"+15551230000",
        "project":2,"outbound_numbers":[],"created_at":"","updated_at":"","llm_model":"gpt-4o"}"#;
    let agent: Agent = serde_json::from_str(text).unwrap();
    assert_eq!(agent.other["llm_model"], "gpt-4o");
    let again: serde_json::Value = serde_json::to_value(&agent).unwrap();
    assert_eq!(
        again,
        serde_json::from_str::<serde_json::Value>(text).unwrap()
    );
}

#[test]
fn texts_that_are_not_there_are_empty_and_whole_seconds_are_whole() {
    let text = r#"{"id":1,"status":"pending","outbound_dial_window_seconds":300.0,
        "voice_recording_url":""}"#;
    let mut run: ringdown_api::Run = serde_json::from_str(text).unwrap();
    assert_eq!(run.voice_recording_url, None);
    let written = serde_json::to_value(&run).unwrap();
    assert_eq!(written["voice_recording_url"], "");
    assert_eq!(written["outbound_dial_window_seconds"].as_i64(), Some(300));
    run.outbound_dial_window_seconds = Some(0.5);
    run.voice_recording_url = Some("http://host/1".to_owned());
    let written = serde_json::to_value(&run).unwrap();
    assert_eq!(written["outbound_dial_window_seconds"], 0.5);
    assert_eq!(written["voice_recording_url"], "http://host/1");
}

#[test]
fn a_triggered_result_names_the_number_both_ways() {
    let text = r#"{"id":1,"runs":[{"id":2,"number":"+15551230000","status":"pending"}]}"#;
    let result: TriggeredResult = serde_json::from_str(text).unwrap();
    assert_eq!(result.runs[0].number.as_deref(), Some("+15551230000"));
    let written = serde_json::to_value(&result).unwrap();
    assert!(written["runs"][0].get("outbound_number").is_some());
}
