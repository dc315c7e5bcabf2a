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
mod previous;
mod scale;
mod staging;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use ringdown_domain::run::Status;
use ringdown_domain::{OrganisationId, Timestamp};
use ringdown_store::{Announcement, Database, Role, Run, Scope};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{Connection as _, Executor as _, Row as _};

use conformance::checks::every_check;
use conformance::{Db, PAGE, at, cancelled, team, transition, whole_outbox};

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

/// Executes a statement beside the store.
async fn raw(file: &Path, statement: String) {
    // A dump names tables that come later in it.
    let options = SqliteConnectOptions::new()
        .filename(file)
        .foreign_keys(false);
    let mut raw = SqliteConnection::connect_with(&options).await.unwrap();
    let done = raw.execute(sqlx::AssertSqlSafe(statement)).await;
    done.unwrap();
    raw.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_history_and_a_long_queue_slow_nothing_down() {
    let (_folder, file) = folder();
    let (store, db) = open(&file).await;
    let raw = async |statement| raw(&file, statement).await;
    scale::a_long_history_and_a_long_queue_slow_nothing_down(db, raw).await;
    store.close().await;
}

/// What a query finds, read beside the store.
async fn rows(file: &Path, statement: &'static str) -> Vec<SqliteRow> {
    let options = SqliteConnectOptions::new().filename(file).read_only(true);
    let mut raw = SqliteConnection::connect_with(&options).await.unwrap();
    let rows = sqlx::query(statement).fetch_all(&mut raw).await.unwrap();
    raw.close().await.unwrap();
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_of_earlier_versions_are_taken_over() {
    let dumps = previous::dumps("sqlite");
    assert!(!dumps.is_empty());
    for dump in dumps {
        let (_folder, file) = folder();
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::File::create(&file).unwrap();
        raw(&file, std::fs::read_to_string(&dump).unwrap()).await;
        let runs = rows(&file, "SELECT * FROM runs ORDER BY id").await;
        let attempts = rows(&file, "SELECT * FROM attempts").await.len();
        let (store, db) = open(&file).await;
        let now = previous::all_runs(&db).await;
        assert_eq!(now.len(), runs.len());
        for (run, row) in now.iter().zip(&runs) {
            same(run, row);
        }
        let kept = rows(&file, "SELECT * FROM attempts").await;
        assert_eq!(kept.len(), attempts);
        previous::work_goes_on(&db).await;
        store.close().await;
        // Opened once more, there is nothing to migrate.
        open(&file).await.0.close().await;
    }
}

/// A run reads as its row was before.
fn same(run: &Run, row: &SqliteRow) {
    let text = |column: &str| row.get::<Option<String>, _>(column);
    let number = |column: &str| row.get::<Option<i64>, _>(column);
    let micros = |at: Option<Timestamp>| at.map(Timestamp::as_micros);
    assert_eq!(Some(run.id.0), number("id"));
    assert_eq!(Some(run.org.0), number("org_id"));
    assert_eq!(Some(run.project.0), number("project_id"));
    assert_eq!(Some(run.result.0), number("result_id"));
    assert_eq!(Some(run.agent.0), number("agent_id"));
    assert_eq!(Some(run.scenario.0), number("scenario_id"));
    assert_eq!(Some(run.agent_name.clone()), text("agent_name"));
    assert_eq!(Some(run.scenario_name.clone()), text("scenario_name"));
    assert_eq!(Some(run.number.to_string()), text("number"));
    assert_eq!(
        serde_json::to_string(&run.caller_ids).ok(),
        text("caller_ids")
    );
    assert_eq!(run.dial_route, text("dial_route"));
    assert_eq!(serde_json::to_string(&run.script).ok(), text("script"));
    assert_eq!(i64::try_from(run.seq).ok(), number("seq"));
    assert_eq!(run.version, run.seq);
    assert_eq!(Some(run.status().to_string()), text("status"));
    assert_eq!(
        micros(run.window.map(|window| window.opens_at)),
        number("opens_at")
    );
    assert_eq!(
        micros(run.window.map(|window| window.closes_at)),
        number("closes_at")
    );
    assert_eq!(
        run.call.as_ref().map(|call| call.0.clone()),
        text("call_id")
    );
    assert_eq!(run.error_message().map(ToOwned::to_owned), text("reason"));
    assert_eq!(run.success(), row.get::<Option<bool>, _>("success"));
    assert_eq!(micros(Some(run.created_at)), number("created_at"));
    assert_eq!(micros(run.executed_at), number("executed_at"));
    assert_eq!(micros(Some(run.updated_at)), number("updated_at"));
    let duration = run.duration.and_then(|d| i64::try_from(d.as_millis()).ok());
    assert_eq!(duration, number("duration_ms"));
    assert_eq!(
        run.ended_reason.map(|r| r.as_str().to_owned()),
        text("ended_reason")
    );
    assert_eq!(run.recording, text("recording"));
    let score = text("score").map(|json| serde_json::from_str(&json).unwrap());
    assert_eq!(run.score, score);
    assert!(run.notes.is_empty() && run.personality.is_none());
}

/// What version 0.1.0 had, as its dump has it.
#[tokio::test(flavor = "multi_thread")]
async fn what_0_1_0_stored_is_all_there() {
    let (_folder, file) = folder();
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::File::create(&file).unwrap();
    let dump = previous::dumps("sqlite").remove(0);
    raw(&file, std::fs::read_to_string(dump).unwrap()).await;
    let keys = rows(&file, "SELECT key_sha256, org_id, admin FROM api_keys").await;
    let (store, db) = open(&file).await;
    assert_eq!(keys.len(), 3);
    for row in keys {
        let sha256: [u8; 32] = row.get::<Vec<u8>, _>("key_sha256").try_into().unwrap();
        let holder = db.authenticate(sha256, at(0)).await.unwrap().unwrap();
        assert_eq!(holder.scope, Scope::from(OrganisationId(row.get("org_id"))));
        assert_eq!(
            (holder.role, holder.key_name.as_str()),
            (Role::Admin, "first")
        );
        assert_eq!(holder.operator, row.get::<bool, _>("admin"));
    }
    let mut found = Vec::new();
    for org in db.organisations(PAGE).await.unwrap().rows {
        let scope = Scope::from(org.id);
        let count = |n: u64| usize::try_from(n).unwrap();
        let agents = db.agents(scope, Default::default(), PAGE).await.unwrap();
        let scenarios = db.scenarios(scope, Default::default(), PAGE).await.unwrap();
        let numbers = db.phone_numbers(scope, PAGE).await.unwrap();
        let attempts = db.attempts(scope, Default::default(), PAGE).await.unwrap();
        let runs = db.runs(scope, Default::default(), PAGE).await.unwrap();
        for number in &numbers.rows {
            assert_eq!((number.provider.as_str(), number.project), ("own", None));
        }
        for scenario in &scenarios.rows {
            assert!(scenario.number.is_some(), "{scenario:?}");
        }
        found.push((
            org.team.to_string(),
            [
                agents.count,
                scenarios.count,
                numbers.count,
                attempts.count,
                runs.count,
            ]
            .map(count),
        ));
    }
    let found: Vec<_> = found.iter().map(|(team, n)| (team.as_str(), *n)).collect();
    assert_eq!(
        found,
        [
            ("default", [0, 0, 0, 0, 0]),
            ("northwind-clinics", [2, 3, 3, 12, 6]),
            ("harbor-credit", [1, 4, 4, 5, 4]),
        ]
    );
    store.close().await;
}

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

#[tokio::test(flavor = "multi_thread")]
async fn a_long_batch_is_stored_even_if_its_caller_is_gone() {
    let (_folder, file) = folder();
    let (store, db) = open(&file).await;
    staging::stored_without_its_caller(db).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_batch_keeps_nobody_waiting() {
    let (_folder, file) = folder();
    let (store, db) = open(&file).await;
    staging::nobody_waits(db).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_batch_that_fails_leaves_nothing() {
    let (_folder, file) = folder();
    let (store, db) = open(&file).await;
    staging::failed_in_its_last_portion(db).await;
    store.close().await;
    let left = rows(
        &file,
        "SELECT id FROM runs UNION ALL SELECT id FROM batches",
    )
    .await;
    assert!(left.is_empty());
}

/// Killed while it stores a long batch: nobody sees the part that is stored, and it goes.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_was_never_finished_is_invisible_and_removed() {
    if let Some(file) = std::env::var_os(CHILD) {
        let (_, db) = open(Path::new(&file)).await;
        return staging::trigger_until_killed(db).await;
    }
    let (_folder, file) = folder();
    // The child finds the tables, so that they can be looked at from the start.
    open(&file).await.0.close().await;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "a_batch_that_was_never_finished_is_invisible_and_removed",
        ])
        .env(CHILD, &file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let part =
        "SELECT b.id FROM batches b JOIN runs r ON r.result_id = b.id WHERE b.state = 'staging'";
    let ready = "SELECT id FROM batches WHERE state = 'ready'";
    while rows(&file, part).await.is_empty() || rows(&file, ready).await.is_empty() {
        assert_eq!(child.try_wait().unwrap(), None, "the child ended by itself");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // It may have finished that one, and begun the next, in the moment between.
    let stored = rows(&file, part).await.len();
    let complete = rows(&file, ready).await.len();
    let (store, db) = open(&file).await;
    let removed = staging::invisible_until_removed(&db, complete).await;
    assert_eq!(removed > 0, stored > 0);
    assert!(rows(&file, part).await.is_empty());
    let runs = rows(&file, "SELECT id FROM runs").await.len();
    assert_eq!(runs, complete * staging::RUNS);
    store.close().await;
}
