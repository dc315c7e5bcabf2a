//! Requests made up from both OpenAPI documents, the reference's and our own, against both databases:
//! whatever is asked, nothing answers with a server error, and what our own document promises is kept. The
//! seed is fixed, so the requests of one version of a document are the same every time.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use ringdown_testkit::postgres::Fresh;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::support::{Bench, Server, get, project, soak, venv};

/// Requests of each operation and random phase where no time is set: the same ones however slow the
/// machine is.
const EXAMPLES: &str = "8";

/// Longest a campaign may take beyond the time that is set.
const GRACE: Duration = Duration::from_secs(600);

/// What is checked of every answer.
const NO_SERVER_ERROR: &str = "not_a_server_error";
const AS_PROMISED: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

/// Asks what a campaign asks; how it ended, and what it said.
async fn campaign(
    url: &str,
    key: &str,
    document: &Path,
    (phases, checks): (&str, &str),
    folder: &Path,
) -> (ExitStatus, String) {
    let (bound, deadline) = match soak() {
        None => (["--max-examples".to_owned(), EXAMPLES.to_owned()], GRACE),
        Some(seconds) => (
            ["--max-time".to_owned(), seconds.to_string()],
            GRACE + Duration::from_secs(seconds),
        ),
    };
    let mut command = Command::new(venv("schemathesis"));
    command
        .arg("run")
        .arg(document)
        .args(["--url", url, "--checks", checks])
        .args(["--header", &format!("X-CEKURA-API-KEY: {key}")])
        .args(["--phases", phases])
        .args(bound)
        .args(["--seed", "20"])
        // What a run before this one found would change what this one asks.
        .args(["--generation-database", "none"])
        // With a second thread the order would be another one every time, and CPython 3.11 counts the
        // depth of recursion wrong when two threads parse at once ("recursion depth mismatch").
        .args(["--workers", "1"])
        .args(["--request-timeout", "30", "--warnings", "off", "--no-color"])
        // These would revoke the key they ask with.
        .args(["--exclude-operation-id", "user-api-key-destroy"])
        .args(["--exclude-operation-id", "ringdown-keys-destroy"])
        // A stream of events does not end before its runs do.
        .args(["--exclude-operation-id", "ringdown-results-events"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let output = tokio::time::timeout(deadline, command.output());
    let output = output.await.expect("the campaign ends").unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status, String::from_utf8_lossy(&said).into_owned())
}

/// How many requests a campaign says it made.
fn tested(said: &str) -> u64 {
    let (_, after) = said.split_once("Test cases:").unwrap_or_default();
    let count = after.split_whitespace().next().unwrap_or_default();
    count.parse().unwrap_or_default()
}

async fn finds_nothing(server: &Server, document: &Path, what: (&str, &str), folder: &Path) {
    let (url, key) = (&server.ready.http_url, &server.ready.admin_key);
    let (status, said) = campaign(url, key, document, what, folder).await;
    assert!(status.success(), "{said}");
    // A campaign that tested nothing would pass as well.
    assert!(tested(&said) >= 500, "{said}");
}

async fn campaigns(server: Server, folder: &Path) {
    // The systematic phase is the longest by far, so without a time that is set only our own document gets
    // it. The stateful one asks about what the requests before it made, so it finds what is there.
    let (systematic, random) = match soak() {
        None => ("coverage", "fuzzing,stateful"),
        Some(_) => ("coverage,fuzzing,stateful", "coverage,fuzzing,stateful"),
    };
    Bench::build(&server.client, 2, None).await;
    let ours = folder.join("ours.json");
    let document = get(
        &format!("{}/openapi.json", server.ready.http_url),
        &server.ready.admin_key,
    )
    .await;
    std::fs::write(&ours, document).unwrap();
    finds_nothing(&server, &ours, (systematic, AS_PROMISED), folder).await;
    let reference = project("crates/rest/tests/reference/openapi.json");
    finds_nothing(&server, &reference, (random, NO_SERVER_ERROR), folder).await;
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

/// Answers every request alike, one a connection, until it is dropped.
fn broken(listener: TcpListener) -> tokio::task::JoinHandle<()> {
    const ANSWER: &[u8] =
        b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\n\
        Content-Length: 15\r\nConnection: close\r\n\r\n{\"detail\": \"x\"}";
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // Whatever its length, one read is enough to have been asked.
            let mut asked = vec![0; 64 * 1024];
            if stream.read(&mut asked).await.is_ok() {
                let _ = stream.write_all(ANSWER).await;
            }
        }
    })
}

/// The campaigns above can fail: one against a server that only fails says so.
#[tokio::test(flavor = "multi_thread")]
async fn generated_requests_find_a_server_error() {
    let folder = tempfile::tempdir().unwrap();
    let document = folder.path().join("one.json");
    let operation = r#"{"openapi": "3.1.0", "info": {"title": "broken", "version": "1"}, "paths":
        {"/things/": {"get": {"responses": {"200": {"description": "things"}}}}}}"#;
    std::fs::write(&document, operation).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = broken(listener);
    let what = ("coverage,fuzzing", NO_SERVER_ERROR);
    let (status, said) = campaign(&url, "key", &document, what, folder.path()).await;
    server.abort();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("Server error"), "{said}");
}
