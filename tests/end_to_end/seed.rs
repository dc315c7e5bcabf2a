//! The reference's own sample script against `ringdown up`.

use std::process::Stdio;

use tokio::process::Command;

use crate::support::{AGENT, Bench, Server, assert_scored, finished, project, venv, verdicts};

fn sample(server: &Server, bench: &Bench) -> Command {
    let scenarios: Vec<String> = bench.scenarios.iter().map(ToString::to_string).collect();
    let mut command = Command::new(venv("python"));
    command
        .arg(project("tests/end_to_end/sample_script.py"))
        .env("API_KEY", &server.ready.admin_key)
        .env(
            "BASE_URL",
            format!("{}/test_framework", server.ready.http_url),
        )
        .env("AGENT_ID", bench.agent.to_string())
        .env("SCENARIO_IDS", scenarios.join(","))
        .env("RINGDOWN", env!("CARGO_BIN_EXE_ringdown"))
        .env("PROXY", server.sip())
        .env("CALLER_ID", AGENT)
        .env("PYTHONUNBUFFERED", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[tokio::test]
async fn the_sample_script_runs_to_completion() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data with a space");
    let server = Server::up(&data, &["--parallel-calls", "2"]).await;
    let bench = Bench::build(&server.client, 3, None).await;

    let said = finished(sample(&server, &bench)).await;

    assert!(said.status.success(), "{}\n{}", said.out, said.err);
    for number in &bench.numbers {
        let called = format!("Initiating outbound call to {number}...");
        assert_eq!(said.out.matches(&called).count(), 1, "{}", said.out);
    }
    let done = said.out.matches("✅ Run completed successfully").count();
    assert_eq!(done, 3, "{}", said.out);
    let runs = server.client.runs_bulk(&[1, 2, 3]).await.unwrap();
    assert_eq!(runs.len(), 3);
    for run in &runs {
        assert_scored(run, &data);
        assert_eq!(verdicts(&server, run.id).await, ["matched"]);
    }
    server.stop().await;
}

#[tokio::test]
async fn the_sample_script_is_told_about_an_inbound_agent() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::up(folder.path(), &["--voice", "tone"]).await;
    let bench = Bench::build(&server.client, 1, None).await;
    let inbound = serde_json::json!({"inbound": true});
    server
        .client
        .update_agent(bench.agent, &inbound)
        .await
        .unwrap();

    let said = finished(sample(&server, &bench)).await;

    assert!(said.out.contains("Inbound to False"), "{}", said.out);
    assert!(server.client.run(1).await.is_err(), "nothing was triggered");
    server.stop().await;
}
