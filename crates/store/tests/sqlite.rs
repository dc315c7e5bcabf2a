//! The conformance suite on SQLite, and what only a file on disk can show.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

mod conformance;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use ringdown_domain::run::Status;
use ringdown_store::{Announcement, Database};

use conformance::checks::every_check;
use conformance::{Db, at, cancelled, team, transition, whole_outbox};

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::Builder::new()
        .prefix("ringdown store ")
        .tempdir()
        .unwrap();
    let file = folder.path().join("data folder").join("ringdown.db");
    (folder, file)
}

async fn open(file: &Path) -> (Database, Db) {
    let store = Database::sqlite(file).await.unwrap();
    let db: Db = Arc::new(store.clone());
    (store, db)
}

macro_rules! conforms {
    ($($module:ident::$check:ident,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $check() {
            let (_folder, file) = folder();
            let (store, db) = open(&file).await;
            conformance::$module::$check(db).await;
            store.close().await;
        }
    )*};
}

every_check!(conforms);

/// Dropped without closing, then opened again: nothing is missing and work goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_reopened_database_has_everything() {
    let (_folder, file) = folder();
    let (store, db) = open(&file).await;
    let team = team(&db, "team").await;
    let (_, runs) = team.trigger(3, at(0)).await;
    db.admit(team.org.id, at(1)).await.unwrap();
    team.call("call", at(2)).await;
    let ids: Vec<_> = runs.iter().map(|run| run.id).collect();
    let before = db.runs_by_id(team.scope(), &ids).await.unwrap();
    let outbox = whole_outbox(&db).await.len();
    let (org, key) = (team.scope(), team.key);
    drop((team, db, store));

    let (store, db) = open(&file).await;
    assert_eq!(db.runs_by_id(org, &ids).await.unwrap(), before);
    assert_eq!(whole_outbox(&db).await.len(), outbox);
    assert_eq!(
        db.authenticate(key, at(3)).await.unwrap().unwrap().scope,
        org
    );
    let next = transition(&db, ids[0], cancelled(), at(3)).await.unwrap();
    assert_eq!((next.run.seq, next.run.status()), (4, Status::Cancelled));
    store.close().await;
}

const CHILD: &str = "RINGDOWN_TEST_STORE_CHILD";
const ACCEPTED: &str = "accepted run ";

/// A process is killed with SIGKILL while it accepts runs: each one it had acknowledged is there,
/// with its outbox row, and nothing is half-written. The test starts itself as that process.
#[tokio::test(flavor = "multi_thread")]
async fn no_accepted_run_is_lost_by_sigkill() {
    if let Some(file) = std::env::var_os(CHILD) {
        return accept_until_killed(Path::new(&file)).await;
    }
    let (_folder, file) = folder();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "no_accepted_run_is_lost_by_sigkill",
            "--nocapture",
        ])
        .env(CHILD, &file)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut accepted = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        // The test harness writes on the same line.
        if let Some((_, id)) = line.unwrap().split_once(ACCEPTED) {
            accepted.push(id.trim().parse::<i64>().unwrap());
        }
        if accepted.len() == 40 {
            // SIGKILL; it goes on writing until then. What it said after this is read as well.
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(accepted.len() >= 40, "the child only said {accepted:?}");

    let (store, db) = open(&file).await;
    let org = db.organisation_by_slug("child").await.unwrap().unwrap().id;
    let ids: Vec<_> = accepted.iter().map(|id| (*id).into()).collect();
    let found = db.runs_by_id(org.into(), &ids).await.unwrap();
    assert_eq!(found.len(), accepted.len());
    let rows = whole_outbox(&db).await;
    for run in &found {
        let seqs: Vec<_> = rows
            .iter()
            .filter_map(|row| match &row.event {
                Announcement::Accepted(batch) => (*batch == run.result).then_some(1),
                Announcement::Entered(entered) => (entered.run.id == run.id).then_some(entered.seq),
            })
            .collect();
        let every: Vec<u64> = (1..=run.seq).collect();
        assert_eq!(seqs, every, "run {}", run.id);
    }
    store.close().await;
}

async fn accept_until_killed(file: &Path) {
    let (_, db) = open(file).await;
    let team = team(&db, "child").await;
    loop {
        let (_, runs) = team.trigger(1, at(0)).await;
        db.admit(team.org.id, at(1)).await.unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "{ACCEPTED}{}", runs[0].id).unwrap();
        out.flush().unwrap();
    }
}
