//! Requests made up from both OpenAPI documents, the reference's and our own, against both databases:
//! whatever is asked, nothing answers with a server error, and what our own document promises is kept.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use ringdown_testkit::postgres::Fresh;
use tokio::process::Command;

use crate::support::{Bench, Server, get, project};

/// Longest one campaign may take: its own budget and time to end.
const DEADLINE: Duration = Duration::from_secs(1800);

/// Seconds of generated requests in one campaign; `RINGDOWN_SOAK` sets more.
fn budget() -> u64 {
    let set = std::env::var("RINGDOWN_SOAK").ok();
    set.and_then(|seconds| seconds.parse().ok()).unwrap_or(20)
}

fn schemathesis() -> PathBuf {
    let program = project(".tools/venv/bin/schemathesis");
    assert!(
        program.exists(),
        "{} is missing: run `make tools-test`",
        program.display()
    );
    program
}

/// What is checked of every answer.
const NO_SERVER_ERROR: &str = "not_a_server_error";
const AS_PROMISED: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

async fn campaign(server: &Server, document: &Path, checks: &str, folder: &Path) {
    let seconds = budget().to_string();
    let mut command = Command::new(schemathesis());
    command
        .arg("run")
        .arg(document)
        .args(["--url", &server.ready.http_url, "--checks", checks])
        .args([
            "--header",
            &format!("X-CEKURA-API-KEY: {}", server.ready.admin_key),
        ])
        .args([
            "--phases",
            "examples,coverage,fuzzing",
            "--max-time",
            &seconds,
        ])
        .args([
            "--seed",
            "20",
            "--workers",
            "2",
            "--request-timeout",
            "30",
            "--warnings",
            "off",
        ])
        // It would revoke the key it asks with.
        .args(["--exclude-operation-id", "user-api-key-destroy"])
        .args(["--exclude-operation-id", "ringdown-keys-destroy"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let output = tokio::time::timeout(DEADLINE, command.output());
    let output = output.await.expect("the campaign ends").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // A campaign that tested nothing would pass as well.
    let tested = said.contains("Test cases:") && !said.contains("Test cases:\n  0");
    assert!(tested, "{said}");
}

async fn campaigns(server: Server, folder: &Path) {
    Bench::build(&server.client, 2, None).await;
    let ours = folder.join("ours.json");
    let document = get(
        &format!("{}/openapi.json", server.ready.http_url),
        &server.ready.admin_key,
    )
    .await;
    std::fs::write(&ours, document).unwrap();
    campaign(&server, &ours, AS_PROMISED, folder).await;
    let reference = project("crates/rest/tests/reference/openapi.json");
    campaign(&server, &reference, NO_SERVER_ERROR, folder).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_requests_get_no_server_error_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::up(&folder.path().join("data"), &[]).await;
    campaigns(server, folder.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_requests_get_no_server_error_on_postgres() {
    let folder = tempfile::tempdir().unwrap();
    let fresh = Fresh::create().await;
    let data = folder.path().join("data");
    let server = Server::up(&data, &["--database-url", fresh.url()]).await;
    campaigns(server, folder.path()).await;
    fresh.drop_database().await;
}
