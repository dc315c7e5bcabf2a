//! Compares answers with the names and types that clients of the reference service read.

use serde_json::Value;

/// What a field has to hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Int,
    Num,
    Bool,
    Text,
    /// RFC 3339.
    Time,
    /// `MM:SS`.
    Minutes,
    /// E.164.
    Number,
    List,
    Object,
    Null,
    OrNull(&'static Kind),
}

use Kind::{Bool, Int, List, Minutes, Null, Num, Number, Object, OrNull, Text, Time};

fn holds(kind: Kind, value: &Value) -> bool {
    let text = |check: fn(&str) -> bool| value.as_str().is_some_and(check);
    match kind {
        Int => value.is_i64(),
        Num => value.is_number(),
        Bool => value.is_boolean(),
        Text => value.is_string(),
        Time => text(|text| text.parse::<jiff::Timestamp>().is_ok()),
        Minutes => text(|text| {
            let parts = text.split_once(':');
            parts.is_some_and(|(m, s)| m.parse::<u32>().is_ok() && s.len() == 2)
        }),
        Number => text(|text| text.parse::<ringdown_domain::E164>().is_ok()),
        List => value.is_array(),
        Object => value.is_object(),
        Null => value.is_null(),
        OrNull(kind) => value.is_null() || holds(*kind, value),
    }
}

/// Every field has to be there and to hold what it should.
#[track_caller]
pub fn check(value: &Value, fields: &[(&str, Kind)]) {
    for (name, kind) in fields {
        let found = value.get(name);
        let found = found.unwrap_or_else(|| panic!("{name} is missing: {value}"));
        assert!(holds(*kind, found), "{name} is no {kind:?}: {found}");
    }
}

pub const PAGE: &[(&str, Kind)] = &[
    ("count", Int),
    ("next", OrNull(&Text)),
    ("previous", OrNull(&Text)),
    ("results", List),
];

pub const AGENT: &[(&str, Kind)] = &[
    ("id", Int),
    ("project", Int),
    ("agent_name", Text),
    ("inbound", Bool),
    ("contact_number", Text),
    ("outbound_numbers", List),
    ("created_at", Time),
    ("updated_at", Time),
];

pub const SCENARIO: &[(&str, Kind)] = &[
    ("id", Int),
    ("name", Text),
    ("agent", Int),
    ("agent_name", Text),
    ("personality", OrNull(&Int)),
    ("personality_name", Text),
    ("phone_number", Number),
    ("first_message", Text),
    ("instructions", Text),
    ("expected_outcome_prompt", Text),
    ("scenario_type", Text),
    ("tags", List),
    ("folder_path", OrNull(&Text)),
    ("max_duration", OrNull(&Int)),
    ("test_profile", OrNull(&Int)),
    ("test_profile_data", OrNull(&Object)),
    ("created_at", Time),
    ("updated_at", Time),
];

pub const PHONE_NUMBER: &[(&str, Kind)] = &[
    ("id", Int),
    ("number", Number),
    ("phone_number_id", Text),
    ("scenario_id", Text),
    ("scenario_name", Text),
    ("name", OrNull(&Text)),
    ("provider", OrNull(&Text)),
    ("organization", OrNull(&Int)),
    ("created_at", Time),
    ("updated_at", Time),
];

pub const TEST_PROFILE: &[(&str, Kind)] = &[
    ("id", Int),
    ("project", OrNull(&Int)),
    ("agent", OrNull(&Int)),
    ("agent_name", OrNull(&Text)),
    ("name", Text),
    ("information", Object),
    ("created_at", Time),
    ("updated_at", Time),
];

/// What the answer to a trigger says of the result.
pub const TRIGGERED: &[(&str, Kind)] = &[
    ("id", Int),
    ("agent", Int),
    ("status", Text),
    ("success_rate", Num),
    ("run_as_text", Bool),
    ("runs", List),
    ("created_at", Time),
];

/// And of each run.
pub const TRIGGERED_RUN: &[(&str, Kind)] = &[
    ("id", Int),
    ("status", Text),
    ("scenario", Int),
    ("scenario_name", Text),
    ("number", Number),
    ("outbound_number", Number),
    ("inbound_number", Null),
    ("test_profile_data", OrNull(&Object)),
    ("outbound_dial_window_opens_at", OrNull(&Time)),
    ("outbound_dial_window_seconds", OrNull(&Num)),
    ("outbound_dial_window_closes_at", OrNull(&Time)),
];

pub const RUN: &[(&str, Kind)] = &[
    ("id", Int),
    ("scenario", Int),
    ("scenario_name", Text),
    ("agent", Int),
    ("agent_name", Text),
    ("result_id", Int),
    ("result_name", Text),
    ("expected_outcome_prompt", Text),
    ("transcript", Text),
    ("transcript_object", List),
    ("duration", Minutes),
    ("voice_recording_url", OrNull(&Text)),
    ("status", Text),
    ("evaluation_status", OrNull(&Text)),
    ("evaluation", OrNull(&Object)),
    ("success", OrNull(&Bool)),
    ("metadata", Object),
    ("timestamp", Time),
    ("executed_at", OrNull(&Time)),
    ("outbound_number", Number),
    ("inbound_number", Null),
    ("agent_number", OrNull(&Text)),
    ("error_message", Text),
    ("run_as_text", Bool),
    ("test_profile_data", OrNull(&Object)),
    ("outbound_dial_window_opens_at", OrNull(&Time)),
    ("outbound_dial_window_seconds", OrNull(&Num)),
    ("outbound_dial_window_closes_at", OrNull(&Time)),
];

/// A run in a list.
pub const RUN_SUMMARY: &[(&str, Kind)] = &[
    ("id", Int),
    ("provider_call_id", Text),
    ("scenario", Int),
    ("scenario_name", Text),
    ("personality", OrNull(&Int)),
    ("personality_name", Text),
    ("result_id", Int),
    ("agent", Int),
    ("agent_name", Text),
    ("duration", Minutes),
    ("status", Text),
    ("evaluation_status", OrNull(&Text)),
    ("success", OrNull(&Bool)),
    ("timestamp", Time),
    ("executed_at", OrNull(&Time)),
    ("metadata", Object),
    ("metrics", List),
    ("outbound_number", Number),
    ("error_message", Text),
    ("run_as_text", Bool),
    ("test_profile_name", Text),
    ("agent_number", OrNull(&Text)),
    ("outbound_dial_window_opens_at", OrNull(&Time)),
    ("outbound_dial_window_seconds", OrNull(&Num)),
    ("outbound_dial_window_closes_at", OrNull(&Time)),
];

pub const RESULT: &[(&str, Kind)] = &[
    ("id", Int),
    ("name", Text),
    ("agent", Int),
    ("agent_name", Text),
    ("status", Text),
    ("success_rate", Num),
    ("total_runs_count", Int),
    ("completed_runs_count", Int),
    ("success_runs_count", Int),
    ("failed_runs_count", Int),
    ("met_expected_outcome_count", Int),
    ("total_expected_outcome_count", Int),
    ("is_cronjob", Bool),
    ("created_at", Time),
    ("updated_at", Time),
];

/// What only one result alone shows.
pub const RESULT_DETAIL: &[(&str, Kind)] = &[
    ("run_as_text", Bool),
    ("runs", Object),
    ("total_duration", Minutes),
    ("connected_runs", Int),
    ("not_connected_runs", Int),
    ("failed_infrastructure_runs", Int),
    ("failed_workflow_runs", Int),
    ("successful_calls", Int),
    ("overall_evaluation", Object),
    ("metrics", List),
    ("performance_metrics", List),
    ("runs_by_tags", Object),
    ("latency_data", Object),
    ("failed_reasons", List),
    ("scenarios", List),
    ("run_settings", Object),
];
