//! Runs that are dialed with what their agent's settings name, at a fake of the provider.

use ringdown_domain::run::Status;
use ringdown_testkit::carrier::{FakeCall, FakeCarrier, FakeEnding, FakeKind, Fault};
use serde_json::{Value, json};

use crate::support::{Bench, Server, ask, attempts, finished, ringdown, set_window, soon};

async fn server(folder: &std::path::Path) -> Server {
    let arguments = [
        "up",
        "--http-listen",
        "127.0.0.1:0",
        "--sip-listen",
        "127.0.0.1:0",
    ];
    let mut command = ringdown(&arguments);
    command.env("RINGDOWN_EGRESS_ALLOW", "127.0.0.0/8");
    command.env("RINGDOWN_HTTP_PUBLIC_URL", "https://ringdown.example");
    Server::announced(folder, &arguments, command).await
}

/// Gives an agent its provider, as a client of the compatible API does.
async fn set_provider(server: &Server, agent: i64, provider: Value) {
    let url = format!(
        "{}/test_framework/v2/aiagents/{agent}/",
        server.ready.http_url
    );
    let body = json!({"provider": provider});
    let (status, answer) = ask("PATCH", &url, &server.ready.admin_key, &body).await;
    assert_eq!(status, 200, "{answer}");
}

async fn first_call(fake: &FakeCarrier) -> FakeCall {
    soon("the call", fake.until(|fake| !fake.calls().is_empty())).await;
    fake.calls()[0].clone()
}

async fn dial_of(server: &Server, run: i64) -> Option<Value> {
    let rows = attempts(server, run).await;
    rows.into_iter().find(|row| row["kind"] == "dial")
}

/// Waits until the ledger says so of the run's dial.
async fn told(server: &Server, run: i64, so: impl Fn(&Value) -> bool) -> Value {
    soon("a row of the ledger", async {
        loop {
            if let Some(row) = dial_of(server, run).await.filter(&so) {
                return row;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    })
    .await
}

#[tokio::test]
async fn an_agents_own_provider_calls_for_it_and_its_word_is_in_the_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path()).await;
    set_window(&server.client, 20).await;
    let fake = FakeCarrier::start(FakeKind::Retell);
    let bench = Bench::build(&server.client, 1, None).await;
    let (settings, secrets) = fake.account();
    set_provider(
        &server,
        bench.agent,
        json!({
            "type": "retell",
            "agent_id": settings["agent_id"],
            "auto_dial_outbound": true,
            "credentials": {
                "api_key": secrets[0].1,
                "config": {"base_url": settings["base_url"]},
            },
        }),
    )
    .await;
    let mut transitions = server.transitions().await;
    let run = bench.trigger(&server.client, 1).await.runs[0].id;

    let call = first_call(&fake).await;
    assert_eq!(fake.rings(&bench.numbers[0]), 1);
    assert!(
        call.asked.to_string().contains(&run.to_string()),
        "{call:?}"
    );
    fake.end(&call.id, FakeEnding::Busy);

    let row = told(&server, run, |row| !row["ending"].is_null()).await;
    assert_eq!(row["verdict"], "placed", "{row}");
    assert_eq!(row["ending"], "busy", "{row}");
    assert_eq!(row["sip_call_id"], call.id, "{row}");
    assert_eq!(row["route"], "agent", "{row}");
    let (last, status) = transitions.ended(run).await;
    assert_eq!(status, Status::Timeout);
    let why = &last.error_message;
    assert!(
        why.contains("the dialer placed a call") && why.contains("busy"),
        "{why}"
    );
    assert_eq!(fake.all_rings(), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_trigger_url_gets_the_run_its_key_and_its_secret() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path()).await;
    let fake = FakeCarrier::start(FakeKind::TriggerUrl);
    let bench = Bench::build(&server.client, 1, None).await;
    let (settings, secrets) = fake.account();
    set_provider(
        &server,
        bench.agent,
        json!({
            "type": "custom",
            "auto_dial_outbound": true,
            "credentials": {"config": {
                "trigger_url": settings["trigger_url"],
                "trigger_secret": secrets[0].1,
            }},
        }),
    )
    .await;
    let run = bench.trigger(&server.client, 1).await.runs[0].id;
    let call = first_call(&fake).await;
    assert_eq!(call.to, bench.numbers[0]);
    assert_eq!(call.asked["run_id"], run, "{call:?}");
    assert!(call.key.is_some(), "no Idempotency-Key: {call:?}");
    let row = told(&server, run, |row| row["verdict"] == "placed").await;
    assert_eq!(row["run_id"], run);
    server.stop().await;
}

/// What the provider refuses for good ends the run at once, in the provider's words.
#[tokio::test]
async fn a_wrong_key_ends_the_run_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path()).await;
    let fake = FakeCarrier::start(FakeKind::Vapi);
    fake.by_default(Fault::Accept);
    let bench = Bench::build(&server.client, 1, None).await;
    let (settings, _) = fake.account();
    set_provider(
        &server,
        bench.agent,
        json!({
            "type": "vapi",
            "agent_id": settings["assistant_id"],
            "auto_dial_outbound": true,
            "credentials": {
                "api_key": "not-the-right-key",
                "config": {
                    "base_url": settings["base_url"],
                    "phone_number_id": settings["phone_number_id"],
                },
            },
        }),
    )
    .await;
    let mut transitions = server.transitions().await;
    let run = bench.trigger(&server.client, 1).await.runs[0].id;
    let (last, status) = transitions.ended(run).await;
    assert_eq!(status, Status::Failed);
    let why = &last.error_message;
    assert!(
        why.contains("vapi_api_key") || why.contains("API key"),
        "{why}"
    );
    assert!(!why.contains("not-the-right-key"), "{why}");
    assert_eq!(fake.all_rings(), 0);
    server.stop().await;
}

/// A carrier of the organisation, whose provider reports by signed callbacks: told twice and in disorder, and believed
/// from nobody else.
#[tokio::test]
async fn a_carrier_is_dialed_with_and_only_its_own_word_is_believed() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path()).await;
    set_window(&server.client, 30).await;
    let fake = FakeCarrier::start(FakeKind::Twilio);
    fake.delivers_to(
        server
            .ready
            .http_url
            .strip_prefix("http://")
            .unwrap()
            .parse()
            .unwrap(),
    );
    let (settings, secrets) = fake.account();
    let secrets: serde_json::Map<String, Value> = secrets
        .into_iter()
        .map(|(name, secret)| (name.to_owned(), secret.into()))
        .collect();
    let url = format!("{}/ringdown/v1/carriers/", server.ready.http_url);
    let body = json!({
        "name": "main", "provider": "twilio", "settings": settings, "secrets": secrets,
        "calls_per_second": 50,
    });
    let (status, answer) = ask("POST", &url, &server.ready.admin_key, &body).await;
    assert_eq!(status, 201, "{answer}");
    let bench = Bench::build(&server.client, 1, Some("carrier:main")).await;
    let run = bench.trigger(&server.client, 1).await.runs[0].id;
    let call = first_call(&fake).await;
    let callback = call.callback.clone().unwrap();
    assert!(
        callback.starts_with("https://ringdown.example/ringdown/v1/callbacks/carriers/"),
        "{callback}"
    );

    fake.end(&call.id, FakeEnding::Rejected);
    let mut forged = fake.keys().clone();
    forged.secret = "somebody else's".to_owned();
    forged.signing = "somebody else's".to_owned();
    for status in fake.report_forged(&call.id, &forged).await {
        assert_eq!(status, 403);
    }
    assert_eq!(told(&server, run, |_| true).await["ending"], Value::Null);
    for status in fake.report_in_disorder(&call.id).await {
        assert_eq!(status, 204);
    }
    for status in fake.report_twice(&call.id).await {
        assert_eq!(status, 204);
    }
    let row = told(&server, run, |row| !row["ending"].is_null()).await;
    assert_eq!(row["route"], "carrier:main", "{row}");
    assert_eq!(row["sip_call_id"], call.id, "{row}");
    assert!(row["response"].is_number(), "{row}");
    assert_eq!(fake.all_rings(), 1);
    server.stop().await;
}

/// `ringdown run --dial` with a provider, whatever the agent's settings say.
#[tokio::test]
async fn a_run_from_the_command_line_is_dialed_through_a_provider() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path()).await;
    set_window(&server.client, 10).await;
    let fake = FakeCarrier::start(FakeKind::Retell);
    let bench = Bench::build(&server.client, 1, None).await;
    let (agent, scenario) = (bench.agent.to_string(), bench.scenarios[0].to_string());
    let dial = format!(
        "retell:agent_id=thing-of-tests&from_number={}&base_url={}",
        crate::support::AGENT.replace('+', "%2B"),
        fake.base_url()
    );
    let mut command = ringdown(&["run", "--agent-id", &agent, "--scenario", &scenario]);
    command.args(["--upstream", &server.ready.http_url]);
    command.args(["--api-key", &server.ready.admin_key, "--dial", &dial]);
    command.env("RETELL_API_KEY", fake.keys().secret.as_str());
    let said = finished(command).await;
    assert_eq!(said.status.code(), Some(1), "{}{}", said.out, said.err);
    assert_eq!(fake.rings(&bench.numbers[0]), 1, "{}{}", said.out, said.err);
    assert!(!said.err.contains(&fake.keys().secret), "{}", said.err);
    server.stop().await;
}
