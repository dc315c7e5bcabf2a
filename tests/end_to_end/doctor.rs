//! `ringdown doctor`, against a server with a testing agent beside it.

use serde_json::{Value, json};

use crate::support::{AGENT, Bench, Server, attempts, finished, ringdown};

const ROUTE: [&str; 2] = ["--dial-route", "own=sip:local?seconds=30"];

/// The exit code and the report of the command.
async fn doctor(server: &Server, agent: i64, more: &[&str]) -> (Option<i32>, Value) {
    let agent = agent.to_string();
    let mut command = ringdown(&["doctor", "--agent-id", &agent, "--format", "json"]);
    command.args(["--upstream", &server.ready.http_url]);
    command.args(["--api-key", &server.ready.admin_key]);
    command.args(more);
    let said = finished(command).await;
    let report = serde_json::from_str(&said.out);
    let report = report.unwrap_or_else(|error| panic!("{error}: {}{}", said.out, said.err));
    (said.status.code(), report)
}

/// The finding with this code.
fn finding<'a>(report: &'a Value, code: &str) -> &'a Value {
    let findings = report["findings"].as_array().unwrap();
    let found = findings.iter().find(|finding| finding["code"] == code);
    found.unwrap_or_else(|| panic!("{code}: {report:#}"))
}

#[tokio::test]
async fn a_right_agent_passes_with_a_real_call_and_the_call_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::up(folder.path(), &ROUTE).await;
    let bench = Bench::build(&server.client, 1, Some("own")).await;

    let (code, report) = doctor(&server, bench.agent, &["--call"]).await;

    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(report["errors"], 0);
    for code in [
        "agent_outbound",
        "caller_id_present",
        "evaluators_ready",
        "numbers_free",
        "limit_sufficient",
        "duration_estimate",
        "dial_window_sane",
        "route_known",
        "sip_reachable",
        "call_matched",
        "call_codec",
        "call_direct",
        "call_two_way_audio",
        "call_run_completed",
    ] {
        assert_eq!(finding(&report, code)["severity"], "ok", "{report:#}");
    }
    // The server listens on loopback, where no trunk calls.
    assert_eq!(report["warnings"], 1, "{report:#}");
    assert_eq!(
        finding(&report, "sip_address_private")["severity"],
        "warning"
    );
    let told = finding(&report, "call_matched")["found"].to_string();
    assert!(
        told.contains(AGENT) && told.contains(&bench.numbers[0]),
        "{told}"
    );
    let run = report["run_id"].as_i64().unwrap();
    let rows = attempts(&server, run).await;
    assert!(
        rows.iter().any(|row| row["verdict"] == "matched"),
        "{rows:?}"
    );
    let call = &server.client.run(run).await.unwrap().metadata["call"];
    assert_eq!(call["codec"], "PCMU");
    assert!(call["packets_received"].as_u64().unwrap() > 100, "{call}");
    assert_eq!(call["media_seen"], call["media_described"]);
    server.stop().await;
}

#[tokio::test]
async fn a_wrong_agent_fails_and_is_not_called() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::up(folder.path(), &["--voice", "tone"]).await;
    let bench = Bench::build(&server.client, 1, Some("own")).await;
    let inbound = json!({"inbound": true, "contact_number": ""});
    let changed = server.client.update_agent(bench.agent, &inbound).await;
    changed.unwrap();
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().to_string();

    let asked = ["--call", "--runs", "5", "--parallel", "2", "--sip", &silent];
    let (code, report) = doctor(&server, bench.agent, &asked).await;

    assert_eq!(code, Some(1), "{report:#}");
    for code in [
        "agent_inbound",
        "caller_id_missing",
        "route_unknown",
        "sip_silent",
    ] {
        let found = finding(&report, code);
        assert_eq!(found["severity"], "error", "{report:#}");
        assert_ne!(found["advice"], "", "{report:#}");
    }
    for code in ["numbers_short", "sip_address_private", "call_skipped"] {
        assert_eq!(finding(&report, code)["severity"], "warning", "{report:#}");
    }
    assert_eq!(
        (&report["errors"], &report["run_id"]),
        (&json!(4), &Value::Null)
    );
    assert!(server.client.run(1).await.is_err(), "nothing was triggered");

    let (code, report) = doctor(&server, bench.agent + 1, &[]).await;
    assert_eq!(code, Some(1), "{report:#}");
    assert_eq!(finding(&report, "agent_unknown")["severity"], "error");
    server.stop().await;
}

#[tokio::test]
async fn a_call_that_nobody_makes_is_missed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::up(folder.path(), &["--voice", "tone"]).await;
    let bench = Bench::build(&server.client, 1, None).await;
    // Nobody calls: the run's window closes, and the report says that nothing came.
    crate::support::set_window(&server.client, 2).await;

    let (code, report) = doctor(&server, bench.agent, &["--call"]).await;

    assert_eq!(code, Some(1), "{report:#}");
    let found = finding(&report, "call_not_arrived");
    assert!(
        found["found"].as_str().unwrap().contains("no dialer tried"),
        "{report:#}"
    );
    assert_eq!(finding(&report, "dial_window_short")["severity"], "warning");
    server.stop().await;
}

#[tokio::test]
async fn people_get_the_findings_as_text() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::up(folder.path(), &["--voice", "tone"]).await;
    let bench = Bench::build(&server.client, 1, None).await;
    let agent = bench.agent.to_string();
    let mut command = ringdown(&["doctor", "--agent-id", &agent]);
    command.args(["--upstream", &server.ready.http_url]);
    command.env("RINGDOWN_API_KEY", &server.ready.admin_key);

    let said = finished(command).await;

    assert!(said.status.success(), "{}", said.err);
    assert!(said.out.contains("caller_id_present"), "{}", said.out);
    assert!(said.out.contains(AGENT), "{}", said.out);
    assert!(said.err.contains("0 errors"), "{}", said.err);
    server.stop().await;
}
