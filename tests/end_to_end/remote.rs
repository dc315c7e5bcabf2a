//! `ringdown run` against `ringdown up` as if it were somebody else's service.

use ringdown_domain::run::Status;
use serde_json::{Value, json};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use crate::support::{
    AGENT, Bench, Server, assert_scored, finished, ringdown, script, set_window, soon, verdicts,
};

/// The arguments that name the service and what to run.
fn target(server: &Server, bench: &Bench) -> Vec<String> {
    let mut arguments = vec![
        "run".to_owned(),
        "--upstream".to_owned(),
        server.ready.http_url.clone(),
        "--api-key".to_owned(),
        server.ready.admin_key.clone(),
        "--agent-id".to_owned(),
        bench.agent.to_string(),
    ];
    for scenario in &bench.scenarios {
        arguments.extend(["--scenario".to_owned(), scenario.to_string()]);
    }
    arguments
}

#[tokio::test]
async fn a_remote_service_is_tested_through_poller_bus_and_dialer() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::up(&data, &["--parallel-calls", "2"]).await;
    let bench = Bench::build(&server.client, 3, None).await;
    let call = folder.path().join("call me.sh");
    let body = format!(
        "exec '{}' dial --proxy {} --from \"$RINGDOWN_FROM\" --to \"$RINGDOWN_NUMBER\" --seconds 30",
        env!("CARGO_BIN_EXE_ringdown"),
        server.sip()
    );
    script(&call, &body);
    let (junit, html) = (folder.path().join("j.xml"), folder.path().join("r.html"));
    let dial = format!("exec:'{}'", call.display());
    let mut arguments = target(&server, &bench);
    for (flag, value) in [
        ("--dial", dial),
        ("--junit", junit.display().to_string()),
        ("--html", html.display().to_string()),
        ("--format", "json".to_owned()),
    ] {
        arguments.extend([flag.to_owned(), value]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();

    let said = finished(ringdown(&arguments)).await;

    assert_eq!(said.status.code(), Some(0), "{}\n{}", said.out, said.err);
    let report: Value = serde_json::from_str(&said.out).unwrap();
    let runs = report["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 3);
    for run in runs {
        assert_eq!(run["status"], "completed", "{run}");
        assert_eq!(run["success"], true, "{run}");
        assert!(!run["metrics"].as_array().unwrap().is_empty(), "{run}");
        let id = run["run_id"].as_i64().unwrap();
        for message in [
            "⏳ Run is waiting to be executed",
            "✅ Run completed successfully",
        ] {
            let line = format!("{message} - Run ID: {id}, Phone: +1555666");
            assert_eq!(said.err.matches(&line).count(), 1, "{line}: {}", said.err);
        }
        assert_scored(&server.client.run(id).await.unwrap(), &data);
        assert_eq!(verdicts(&server, id).await, ["matched"]);
    }
    let junit = std::fs::read_to_string(junit).unwrap();
    assert!(
        junit.contains("tests=\"3\"") && junit.contains("failures=\"0\""),
        "{junit}"
    );
    assert!(
        std::fs::read_to_string(html)
            .unwrap()
            .contains("Evaluator 2")
    );
    server.stop().await;
}

#[tokio::test]
async fn a_run_that_nobody_calls_ends_the_command_with_a_code_and_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::up(folder.path(), &["--voice", "tone"]).await;
    set_window(&server.client, 3).await;
    let bench = Bench::build(&server.client, 1, None).await;
    let arguments = target(&server, &bench);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();

    let said = finished(ringdown(&arguments)).await;

    assert_eq!(said.status.code(), Some(1), "{}\n{}", said.out, said.err);
    assert!(said.out.contains("timeout"), "{}", said.out);
    let why = format!("no call from {AGENT} arrived on {}", bench.numbers[0]);
    assert!(said.err.contains(&why), "{}", said.err);
    server.stop().await;
}

#[tokio::test]
async fn a_plan_that_cannot_work_triggers_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::up(folder.path(), &["--voice", "tone"]).await;
    let bench = Bench::build(&server.client, 1, None).await;
    let inbound = json!({"inbound": true});
    server
        .client
        .update_agent(bench.agent, &inbound)
        .await
        .unwrap();
    let arguments = target(&server, &bench);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();

    let refused = finished(ringdown(&arguments)).await;
    let mut stranger = arguments.clone();
    stranger[4] = "somebody-else";
    let unknown_key = finished(ringdown(&stranger)).await;
    let mut nowhere = arguments.clone();
    nowhere[2] = "http://127.0.0.1:1";
    let unreachable = finished(ringdown(&nowhere)).await;

    assert_eq!(refused.status.code(), Some(4), "{}", refused.err);
    assert!(
        refused.err.contains("set its inbound to false"),
        "{}",
        refused.err
    );
    assert_eq!(unknown_key.status.code(), Some(4), "{}", unknown_key.err);
    assert!(
        !unknown_key.err.contains("somebody-else"),
        "a key is never shown"
    );
    assert_eq!(unreachable.status.code(), Some(3), "{}", unreachable.err);
    assert!(server.client.run(1).await.is_err(), "nothing was triggered");
    server.stop().await;
}

#[tokio::test]
async fn a_service_that_disappears_ends_the_command_with_what_was_seen() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::up(folder.path(), &["--voice", "tone"]).await;
    let bench = Bench::build(&server.client, 1, None).await;
    let mut arguments = target(&server, &bench);
    arguments.extend(["--unanswered".to_owned(), "2".to_owned()]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut child = ringdown(&arguments).spawn().unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut told = String::new();
    while !told.contains("waiting to be executed") {
        let read = soon("progress", err.read_line(&mut told)).await.unwrap();
        assert!(read > 0, "{told}");
    }

    server.signal(rustix::process::Signal::KILL);
    server.ended().await;

    let mut rest = String::new();
    let (output, _) = tokio::join!(
        soon("the end", child.wait_with_output()),
        err.read_to_string(&mut rest)
    );
    let output = output.unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{out}\n{rest}");
    assert!(rest.contains("has not answered for 2 s"), "{rest}");
    assert!(out.contains(&bench.numbers[0]), "{out}");
}

#[tokio::test]
async fn an_interrupted_command_ends_its_runs() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::up(folder.path(), &["--voice", "tone"]).await;
    let bench = Bench::build(&server.client, 1, None).await;
    let mut facts = server.transitions().await;
    let arguments = target(&server, &bench);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let child = ringdown(&arguments).spawn().unwrap();
    facts.until(1, Status::Pending).await;

    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();

    let output = soon("the end", child.wait_with_output()).await.unwrap();
    assert_eq!(output.status.code(), Some(130));
    let (_, status) = facts.ended(1).await;
    assert_eq!(status, Status::Cancelled);
    server.stop().await;
}
