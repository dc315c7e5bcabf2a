//! Where the reference's document is wrong about its own answers, or contradicts itself.
//!
//! Computed fields are the usual case: the document's generator calls each of them a text that is
//! always there, unless told otherwise.

/// Places in the reference's document, and the schema that stands there instead.
pub struct Exception {
    /// What is wrong there, and how that is known.
    pub why: &'static str,
    /// JSON pointers below `/components/schemas/` or `/paths/`. One that leads nowhere fails the tests.
    pub at: &'static [&'static str],
    /// The schema that holds there.
    pub instead: &'static str,
}

const fn exception(
    why: &'static str,
    instead: &'static str,
    at: &'static [&'static str],
) -> Exception {
    Exception { why, at, instead }
}

pub const EXCEPTIONS: &[Exception] = &[
    exception(
        "counts: the example of results-v1-retrieve has integers, and no text could be counted with",
        r#"{"type": "integer"}"#,
        &[
            "/components/schemas/Result/properties/total_runs_count",
            "/components/schemas/Result/properties/completed_runs_count",
            "/components/schemas/Result/properties/success_runs_count",
            "/components/schemas/Result/properties/failed_runs_count",
            "/components/schemas/ResultDetailV2/properties/total_runs_count",
            "/components/schemas/ResultDetailV2/properties/completed_runs_count",
            "/components/schemas/ResultDetailV2/properties/success_runs_count",
            "/components/schemas/ResultDetailV2/properties/failed_runs_count",
            "/components/schemas/ResultDetailV2/properties/connected_runs",
            "/components/schemas/ResultDetailV2/properties/not_connected_runs",
        ],
    ),
    exception(
        "evaluators of a result: its example has a list of objects",
        r#"{"type": "array", "items": {
            "type": "object",
            "required": ["id", "name"],
            "properties": {"id": {"type": "integer"}, "name": {"type": "string"}}
        }}"#,
        &["/components/schemas/ResultDetailV2/properties/scenarios"],
    ),
    exception(
        "length of the dial window: the answer to a trigger has a number, or null before the window",
        r#"{"type": ["integer", "null"]}"#,
        &[
            "/components/schemas/Run/properties/outbound_dial_window_seconds",
            "/components/schemas/RunList/properties/outbound_dial_window_seconds",
        ],
    ),
    exception(
        "ends of the dial window: the answer to a trigger has times, or null before the window",
        r#"{"type": ["string", "null"], "format": "date-time"}"#,
        &[
            "/components/schemas/Run/properties/outbound_dial_window_opens_at",
            "/components/schemas/Run/properties/outbound_dial_window_closes_at",
            "/components/schemas/RunList/properties/outbound_dial_window_opens_at",
            "/components/schemas/RunList/properties/outbound_dial_window_closes_at",
        ],
    ),
    exception(
        "number of an inbound agent: the answer to a trigger has null for outbound runs",
        r#"{"type": ["string", "null"]}"#,
        &[
            "/components/schemas/Run/properties/inbound_number",
            "/components/schemas/RunList/properties/inbound_number",
        ],
    ),
    exception(
        "verdict of a run: there is none before the run is scored, and false would be a verdict",
        r#"{"type": ["boolean", "null"]}"#,
        &[
            "/components/schemas/Run/properties/success",
            "/components/schemas/RunList/properties/success",
        ],
    ),
    exception(
        "verdict of a run in a word: the same",
        r#"{"enum": ["success", "failure", "reviewed_success", "reviewed_failure", null]}"#,
        &[
            "/components/schemas/Run/properties/evaluation_status",
            "/components/schemas/RunList/properties/evaluation_status",
        ],
    ),
    exception(
        "verdict on the expected outcome: a text in one schema, an object in the other and in the \
         example of results-v1-retrieve; there is none before the run is scored",
        r#"{"type": ["object", "null"]}"#,
        &[
            "/components/schemas/Run/properties/expected_outcome",
            "/components/schemas/RunList/properties/expected_outcome",
        ],
    ),
    exception(
        "state of a triggered run: runs beyond the limit wait in_queue, which reads know",
        r##"{"$ref": "#/components/schemas/Run/properties/status"}"##,
        &[
            "/paths/~1test_framework~1v1~1scenarios~1run_scenarios~1/post/responses/201/content\
             /application~1json/schema/properties/runs/items/properties/status",
        ],
    ),
    exception(
        "test profile of an evaluator: the id beside it may be null, and then so is this",
        r##"{"anyOf": [{"$ref": "#/components/schemas/AIAgentTestProfile"}, {"type": "null"}]}"##,
        &[
            "/components/schemas/SchemaScenario/properties/test_profile_data",
            "/components/schemas/Scenario/properties/test_profile_data",
            "/components/schemas/ScenarioList/properties/test_profile_data",
        ],
    ),
    exception(
        "personality of an evaluator: ScenarioList says that it may be null",
        r#"{"type": ["integer", "null"]}"#,
        &[
            "/components/schemas/SchemaScenario/properties/personality",
            "/components/schemas/Scenario/properties/personality",
        ],
    ),
    exception(
        "what a provider or a chat wants: one of several schemas without anything that tells them \
         apart, so that most values are several of them at once",
        r#"{"type": "object"}"#,
        &[
            "/components/schemas/ProviderCredentialsConfig",
            "/components/schemas/ChatAgentConfig",
        ],
    ),
    exception(
        "tags of all evaluators: the document's generator shows one evaluator, with a personality",
        r#"{
            "type": "object",
            "required": ["tags"],
            "properties": {"tags": {"type": "array", "items": {"type": "string"}}}
        }"#,
        &[
            "/paths/~1test_framework~1v1~1scenarios~1tags~1/get/responses/200/content\
             /application~1json/schema",
            "/paths/~1test_framework~1v1~1scenarios~1add_tags~1/post/responses/200/content\
             /application~1json/schema",
        ],
    ),
    exception(
        "counted outcomes and failures: the generator calls every computed field a text",
        r#"{"type": "integer"}"#,
        &[
            "/components/schemas/Result/properties/met_expected_outcome_count",
            "/components/schemas/Result/properties/total_expected_outcome_count",
            "/components/schemas/ResultDetailV2/properties/met_expected_outcome_count",
            "/components/schemas/ResultDetailV2/properties/total_expected_outcome_count",
            "/components/schemas/ResultDetailV2/properties/failed_infrastructure_runs",
            "/components/schemas/ResultDetailV2/properties/failed_workflow_runs",
            "/components/schemas/ResultDetailV2/properties/successful_calls",
        ],
    ),
    exception(
        "whether a job triggered a result: webhooks have true or false",
        r#"{"type": "boolean"}"#,
        &[
            "/components/schemas/Result/properties/is_cronjob",
            "/components/schemas/ResultDetailV2/properties/is_cronjob",
        ],
    ),
    exception(
        "lists of metrics and categories: computed fields that are called texts",
        r#"{"type": "array"}"#,
        &[
            "/components/schemas/ResultDetailV2/properties/metrics",
            "/components/schemas/ResultDetailV2/properties/performance_metrics",
            "/components/schemas/ResultDetailV2/properties/critical_categories",
            "/components/schemas/RunList/properties/metrics",
            "/components/schemas/RunList/properties/critical_categories",
        ],
    ),
    exception(
        "figures by tag and by latency: computed fields that are called texts",
        r#"{"type": "object"}"#,
        &[
            "/components/schemas/ResultDetailV2/properties/runs_by_tags",
            "/components/schemas/ResultDetailV2/properties/latency_data",
        ],
    ),
    exception(
        "schema of a suite: the document's generator shows an evaluator",
        r#"{"type": "object"}"#,
        &[
            "/paths/~1test_framework~1v1~1scenarios~1json_schema~1/get/responses/200/content\
             /application~1json/schema",
        ],
    ),
    exception(
        "target of a project's webhooks: a project may have none, and then the text is empty",
        r#"{"type": "string"}"#,
        &["/components/schemas/Project/properties/webhook_url"],
    ),
];
