//! SIPp's stock caller as the agent under test.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::support::{
    AGENT, Bench, Said, Server, assert_scored, attempts, finished, set_reject, set_window,
};
use ringdown_domain::run::Status;
use serde_json::json;

/// Milliseconds that the caller stays on the line.
const HOLD_MS: &str = "4000";

/// SIPp's own `uac` scenario with `caller` as the user it calls from.
async fn call(folder: &Path, server: &Server, caller: &str, number: &str) -> Said {
    call_with(folder, server, caller, "", number, "60s").await
}

/// The same with one more header, given up after `patience`. What was sent and heard is in `messages.log`.
async fn call_with(
    folder: &Path,
    server: &Server,
    caller: &str,
    header: &str,
    number: &str,
    patience: &str,
) -> Said {
    let mut dump = command(folder);
    dump.args(["-sd", "uac"]);
    let stock = finished(dump).await.out;
    let scenario = stock.replace("sip:sipp@", &format!("sip:{caller}@"));
    assert_ne!(scenario, stock, "sipp printed no uac scenario");
    // Of all its requests only the INVITE has a body.
    let body = "Content-Type: application/sdp";
    assert_eq!(scenario.matches(body).count(), 1);
    let scenario = match header {
        "" => scenario,
        header => scenario.replace(body, &format!("{header}\n      {body}")),
    };
    std::fs::write(folder.join("uac.xml"), scenario).unwrap();
    let mut call = command(folder);
    call.args([server.sip(), "-sf", "uac.xml", "-s", number, "-m", "1"])
        .args(["-d", HOLD_MS, "-i", "127.0.0.1", "-nostdin"])
        .args(["-timeout", patience, "-timeout_error"])
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

/// A trunk that asserts numbers as they are dialed in its country, and lets customers write `From`.
const TRUNK: &str = r#"
[[sip.trunk]]
name = "boston"
networks = ["127.0.0.0/8"]
caller_id = ["p-asserted-identity"]
default_country = "1"
national_prefix = "1"
national_digits = 10
"#;

#[tokio::test]
async fn a_trunks_asserted_national_number_is_the_caller_id_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("ringdown.toml");
    std::fs::write(&config, TRUNK).unwrap();
    let data = folder.path().join("data");
    let config = config.display().to_string();
    let server = Server::up(&data, &["--config", &config, "--voice", "tone"]).await;
    let bench = Bench::build(&server.client, 1, None).await;
    let mut facts = server.transitions().await;
    let run = bench.trigger(&server.client, 1).await.runs[0].id;
    facts.until(run, Status::Pending).await;
    let number = bench.numbers[0].trim_start_matches("+1");
    let national = AGENT.trim_start_matches("+1");
    let said = async |from: &str, header: &str, patience: &str| {
        let said = call_with(folder.path(), &server, from, header, number, patience).await;
        let messages = folder.path().join("messages.log");
        let heard = std::fs::read_to_string(&messages).unwrap();
        std::fs::remove_file(&messages).unwrap();
        (said, heard)
    };

    let withheld = "P-Asserted-Identity: \"Anonymous\" <sip:anonymous@anonymous.invalid>";
    let (call, heard) = said("anonymous", withheld, "60s").await;
    assert!(
        !call.status.success() && heard.contains("SIP/2.0 403"),
        "{heard}"
    );
    assert!(heard.contains("the caller ID is withheld"), "{heard}");

    // The right number in a header that does not count is explained, and refused.
    let (call, heard) = said(AGENT, "X-Run-Id: 1", "60s").await;
    assert!(
        !call.status.success() && heard.contains("SIP/2.0 403"),
        "{heard}"
    );
    assert!(
        heard.contains(&format!(
            "its header from says {AGENT}, but does not count on trunk boston"
        )),
        "{heard}"
    );

    set_reject(&server.client, "silent").await;
    let other = "P-Asserted-Identity: <tel:555-666-0999>";
    let (call, heard) = said(AGENT, other, "3s").await;
    assert!(
        !call.status.success() && !heard.contains("SIP/2.0 4"),
        "{heard}"
    );
    assert!(!heard.contains("SIP/2.0 1"), "{heard}");

    let asserted = format!("P-Asserted-Identity: \"A, B\" <sip:{national}@192.0.2.7;user=phone>");
    let (call, _) = said("anonymous", &asserted, "60s").await;
    assert!(call.status.success(), "{}\n{}", call.out, call.err);
    let (_, status) = facts.ended(run).await;
    assert_eq!(status, Status::Completed);

    let rows = attempts(&server, run).await;
    let summary: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                &row["verdict"],
                &row["from"],
                &row["from_header"],
                &row["response"],
            )
        })
        .collect();
    let asserted = &json!("p-asserted-identity");
    assert_eq!(
        summary,
        [
            (
                &json!("caller_id_missing"),
                &json!(null),
                asserted,
                &json!(403)
            ),
            (
                &json!("caller_id_missing"),
                &json!(null),
                &json!(null),
                &json!(403)
            ),
            (
                &json!("caller_id_mismatch"),
                &json!("+15556660999"),
                asserted,
                &json!(null)
            ),
            (&json!("matched"), &json!(AGENT), asserted, &json!(200)),
        ]
    );
    for row in &rows {
        assert_eq!(
            (&row["trunk"], &row["to"]),
            (&json!("boston"), &json!(bench.numbers[0]))
        );
    }
    assert_eq!(rows[3]["from_raw"], national);
    let headers = rows[3]["caller_headers"].as_array().unwrap();
    let numbers: Vec<_> = headers
        .iter()
        .map(|h| (&h["header"], &h["number"]))
        .collect();
    assert_eq!(
        numbers,
        [(&json!("from"), &json!(null)), (asserted, &json!(AGENT))]
    );
    assert!(
        headers[1]["value"]
            .as_str()
            .unwrap()
            .starts_with("\"A, B\" <sip:")
    );
    let shown = server.client.run(run).await.unwrap();
    let newest_first: Vec<_> = rows.iter().rev().cloned().collect();
    assert_eq!(shown.metadata["attempts"], json!(newest_first));
    server.stop().await;
}
