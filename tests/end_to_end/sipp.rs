//! SIPp's stock caller as the agent under test.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::support::{AGENT, Bench, Said, Server, assert_scored, attempts, finished, set_window};
use ringdown_domain::run::Status;

/// Milliseconds that the caller stays on the line.
const HOLD_MS: &str = "4000";

/// SIPp's own `uac` scenario with `caller` as the user it calls from.
async fn call(folder: &Path, server: &Server, caller: &str, number: &str) -> Said {
    let mut dump = command(folder);
    dump.args(["-sd", "uac"]);
    let stock = finished(dump).await.out;
    let scenario = stock.replace("sip:sipp@", &format!("sip:{caller}@"));
    assert_ne!(scenario, stock, "sipp printed no uac scenario");
    std::fs::write(folder.join("uac.xml"), scenario).unwrap();
    let mut call = command(folder);
    call.args([server.sip(), "-sf", "uac.xml", "-s", number, "-m", "1"])
        .args(["-d", HOLD_MS, "-i", "127.0.0.1", "-nostdin"])
        .args(["-timeout", "60s", "-timeout_error"])
        .args(["-trace_msg", "-message_file", "messages.log"]);
    finished(call).await
}

fn command(folder: &Path) -> Command {
    let probe = std::process::Command::new("sipp").arg("-v").output();
    assert!(
        probe.is_ok(),
        "sipp is missing: apt-get install sip-tester, or run `make tools-test`"
    );
    let mut command = Command::new("sipp");
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[tokio::test]
async fn a_stock_caller_is_matched_answered_and_scored() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::up(&data, &[]).await;
    let bench = Bench::build(&server.client, 1, None).await;
    let mut facts = server.transitions().await;
    let run = bench.trigger(&server.client, 1).await.runs[0].id;
    facts.until(run, Status::Pending).await;

    let said = call(folder.path(), &server, AGENT, &bench.numbers[0]).await;

    assert!(said.status.success(), "{}\n{}", said.out, said.err);
    let (_, status) = facts.ended(run).await;
    assert_eq!(status, Status::Completed);
    let rows = attempts(&server, run).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0]["verdict"], "matched");
    assert_eq!(rows[0]["response"], 200);
    let run = server.client.run(run).await.unwrap();
    assert_scored(&run, &data);
    // Stock SIPp sends no audio: that is no conversation, and the score has to say so.
    assert_eq!(run.success, Some(false));
    server.stop().await;
}

#[tokio::test]
async fn a_stock_caller_with_another_caller_id_is_refused_and_explained() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::up(&folder.path().join("data"), &["--voice", "tone"]).await;
    set_window(&server.client, 5).await;
    let bench = Bench::build(&server.client, 1, None).await;
    let mut facts = server.transitions().await;
    let run = bench.trigger(&server.client, 1).await.runs[0].id;
    facts.until(run, Status::Pending).await;
    let other = "+15556660999";

    let said = call(folder.path(), &server, other, &bench.numbers[0]).await;

    assert!(!said.status.success(), "the call must not get through");
    let messages = std::fs::read_to_string(folder.path().join("messages.log")).unwrap();
    assert!(messages.contains("SIP/2.0 403"), "{messages}");
    let reason = messages
        .lines()
        .find(|line| line.starts_with("Reason:"))
        .unwrap_or_else(|| panic!("no Reason header: {messages}"));
    assert!(reason.contains(other) && reason.contains(AGENT), "{reason}");
    let (fact, status) = facts.ended(run).await;
    assert_eq!(status, Status::Timeout);
    let wire = server.client.run(run).await.unwrap();
    assert_eq!(wire.status.as_str(), "timeout");
    assert_eq!(wire.error_message, fact.error_message);
    for number in [other, AGENT] {
        assert!(
            wire.error_message.contains(number),
            "{}",
            wire.error_message
        );
    }
    let rows = attempts(&server, run).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0]["verdict"], "caller_id_mismatch");
    assert_eq!(rows[0]["response"], 403);
    server.stop().await;
}
