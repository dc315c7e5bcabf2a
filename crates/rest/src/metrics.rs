//! The metrics that every run with a recording is scored by. They are the product's own: there is
//! nothing to create.

use axum::Json;
use axum::extract::State as Extract;
use ringdown_api as wire;
use ringdown_domain::{AgentId, ProjectId};

use super::State;
use super::operations::{Kind, Table};
use super::pages::Asked;
use crate::error::{Answer, Failure, found};

/// A metric: its code is that of the scores of a run.
struct Metric {
    id: i64,
    code: &'static str,
    name: &'static str,
    binary: bool,
    unit: &'static str,
    category: &'static str,
    about: &'static str,
}

/// All of them, in the order of a run's scores.
const METRICS: &[Metric] = &[
    Metric {
        id: 1,
        code: "duration",
        name: "Duration",
        binary: false,
        unit: "s",
        category: "Conversation Quality",
        about: "Length of the recording.",
    },
    Metric {
        id: 2,
        code: "answer_to_first_audio",
        name: "Answer to First Audio",
        binary: false,
        unit: "ms",
        category: "Conversation Quality",
        about: "Time from the answer to the first sound of the agent.",
    },
    Metric {
        id: 3,
        code: "agent_speaks_first",
        name: "Agent Speaks First",
        binary: true,
        unit: "",
        category: "Conversation Quality",
        about: "Whether the agent is heard before the testing agent.",
    },
    Metric {
        id: 4,
        code: "talk_ratio",
        name: "Talk Ratio",
        binary: false,
        unit: "ratio",
        category: "Conversation Quality",
        about: "Share of the recording in which the agent speaks, 0 to 1. 0.4 to 0.6 is typical.",
    },
    Metric {
        id: 5,
        code: "latency",
        name: "Latency",
        binary: false,
        unit: "ms",
        category: "Conversation Quality",
        about: "Mean time from the end of what the testing agent says to the agent's answer, with \
                percentiles. Under 2000 ms is good.",
    },
    Metric {
        id: 6,
        code: "infrastructure_issues",
        name: "Infrastructure Issues",
        binary: true,
        unit: "",
        category: "Conversation Quality",
        about: "Passes while the agent always answers within the limit.",
    },
    Metric {
        id: 7,
        code: "silence_detection",
        name: "Silence Detection",
        binary: true,
        unit: "",
        category: "Conversation Quality",
        about: "Passes while both sides are never silent for longer than the limit.",
    },
    Metric {
        id: 8,
        code: "longest_silence",
        name: "Longest Silence",
        binary: false,
        unit: "ms",
        category: "Conversation Quality",
        about: "Longest time in which neither side speaks.",
    },
    Metric {
        id: 9,
        code: "ai_interrupting_user",
        name: "AI Interrupting User",
        binary: false,
        unit: "count",
        category: "Speech Quality",
        about: "How often the agent starts to speak while the testing agent does.",
    },
    Metric {
        id: 10,
        code: "user_interrupting_ai",
        name: "User Interrupting AI",
        binary: false,
        unit: "count",
        category: "Speech Quality",
        about: "How often the testing agent starts to speak while the agent does.",
    },
    Metric {
        id: 11,
        code: "stop_time_after_interruption",
        name: "Stop Time after Interruption",
        binary: false,
        unit: "ms",
        category: "Speech Quality",
        about: "Mean time the agent speaks on after the testing agent cut in. Under 500 ms is good.",
    },
];

/// Whether a metric has this id.
pub(crate) fn exists(id: i64) -> bool {
    METRICS.iter().any(|metric| metric.id == id)
}

pub(crate) fn operations(table: &mut Table) {
    table.tag("Metrics", "What runs are scored by.");
    table
        .get("/test_framework/v1/metrics", list)
        .id("metrics-v1-list")
        .summary("List metrics")
        .about("Every agent of every project is scored by all of them.")
        .query("agent_id", Kind::Id, "Only of this agent.")
        .query("project_id", Kind::Id, "Only of this project.")
        .query(
            "assistant_id",
            Kind::Text,
            "Only of the agent with this id at the voice provider.",
        )
        .query(
            "agents",
            Kind::Text,
            "Only of these agents, separated by commas.",
        )
        .query("slug", Kind::Text, "Only with this short name.")
        .query(
            "filters",
            Kind::Text,
            "Accepted; metrics are not computed over past calls here.",
        )
        .query(
            "include_scores",
            Kind::Flag,
            "Accepted; scores are at the runs.",
        )
        .answers::<Vec<wire::MetricInfo>>(200);
    table
        .get("/test_framework/v1/predefined-metrics", predefined)
        .id("predefined-metrics-list")
        .summary("List the metrics that are part of the product")
        .answers::<Vec<wire::PredefinedMetric>>(200);
}

fn kind(metric: &Metric) -> String {
    if metric.binary { "binary" } else { "numeric" }.to_owned()
}

fn show(metric: &Metric) -> wire::MetricInfo {
    wire::MetricInfo {
        id: metric.id,
        slug: Some(metric.code.to_owned()),
        project: None,
        agents: Vec::new(),
        name: metric.name.to_owned(),
        description: metric.about.to_owned(),
        function_name: Some(metric.code.to_owned()),
        kind: "basic".to_owned(),
        eval_type: kind(metric),
        unit: metric.unit.to_owned(),
        audio_enabled: true,
        observability_enabled: false,
        simulation_enabled: true,
        sampling_enabled: false,
        display_order: metric.id,
        evaluation_trigger: "always".to_owned(),
        vocera_defined_metric_code: metric.code.to_owned(),
        metric_cost: 0.0,
        alert_type: "disabled".to_owned(),
        add_to_new_agents: Some(true),
    }
}

fn show_predefined(metric: &Metric) -> wire::PredefinedMetric {
    wire::PredefinedMetric {
        id: metric.id,
        name: metric.name.to_owned(),
        description: metric.about.to_owned(),
        code: metric.code.to_owned(),
        slug: Some(metric.code.to_owned()),
        kind: "basic".to_owned(),
        eval_type: kind(metric),
        audio_enabled: true,
        function_name: Some(metric.code.to_owned()),
        simulation_enabled: true,
        observability_enabled: false,
        cost: "0".to_owned(),
        evaluation_trigger: "always".to_owned(),
        category: Some(metric.category.to_owned()),
        sub_category: None,
        organization: None,
    }
}

/// Whether what the request names exists for its caller: nothing is measured for anything else.
async fn named(state: &State, asked: &Asked) -> Answer<bool> {
    let scope = asked.principal.scope;
    if let Some(id) = asked.query_id("project_id")?
        && found(state.store().project(scope, ProjectId(id)).await)?.is_none()
    {
        return Ok(false);
    }
    let mut agents: Vec<AgentId> = asked
        .query_id("agent_id")?
        .map(AgentId)
        .into_iter()
        .collect();
    for id in asked.query("agents").unwrap_or_default().split(',') {
        let id = id.trim().trim_matches(['[', ']']).trim();
        if id.is_empty() {
            continue;
        }
        let id: Option<i64> = id.parse().ok().filter(|id| *id > 0);
        agents.push(AgentId(id.ok_or_else(|| {
            Failure::field("agents", "Expected ids, separated by commas.")
        })?));
    }
    agents.sort_unstable();
    agents.dedup();
    if state.store().agents_by_id(scope, &agents).await?.len() < agents.len() {
        return Ok(false);
    }
    Ok(match asked.query("assistant_id") {
        Some(id) => state.store().agent_of_assistant(scope, id).await?.is_some(),
        None => true,
    })
}

async fn list(Extract(state): Extract<State>, asked: Asked) -> Answer<Json<Vec<wire::MetricInfo>>> {
    asked.flag("include_scores")?;
    let _ = asked.query("filters");
    let slug = asked.query("slug");
    if !named(&state, &asked).await? {
        return Ok(Json(Vec::new()));
    }
    let wanted = METRICS
        .iter()
        .filter(|metric| slug.is_none_or(|slug| metric.code == slug));
    Ok(Json(wanted.map(show).collect()))
}

async fn predefined(_: Asked) -> Json<Vec<wire::PredefinedMetric>> {
    Json(METRICS.iter().map(show_predefined).collect())
}
