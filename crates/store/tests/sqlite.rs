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
mod scale;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use ringdown_domain::run::Status;
use ringdown_store::Sqlite;

use conformance::{Db, at, cancelled, team, transition, whole_outbox};

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::Builder::new()
        .prefix("ringdown store ")
        .tempdir()
        .unwrap();
    let file = folder.path().join("data folder").join("ringdown.db");
    (folder, file)
}

async fn open(file: &Path) -> (Sqlite, Db) {
    let store = Sqlite::open(file).await.unwrap();
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

conforms! {
    tenancy::nothing_of_another_organisation_is_read_or_changed,
    tenancy::a_number_that_changed_hands_tells_its_new_owner_nothing,
    tenancy::an_evaluator_refers_only_to_its_own_organisation,
    tenancy::keys_and_slugs_are_unique_and_lead_to_their_organisation,
    tenancy::project_settings_are_kept_and_the_organisation_limit_too,
    catalogue::agents_are_kept_whole,
    catalogue::evaluators_are_kept_whole_and_found_by_tag_and_folder,
    catalogue::test_profiles_are_kept_whole,
    catalogue::numbers_are_shared_out_and_kept_while_runs_wait_on_them,
    limits::limits_hold_under_concurrent_admission_matching_and_endings,
    limits::an_organisation_without_limits_admits_its_whole_queue,
    limits::a_long_queue_does_not_hide_another_project,
    limits::a_long_limited_batch_does_not_hide_another_batch,
    limits::the_queue_says_what_each_run_waits_for,
    limits::a_lowered_limit_admits_nothing_until_there_is_room,
    matching::one_run_is_given_to_exactly_one_of_many_calls,
    matching::a_call_that_was_refused_meanwhile_ends_its_run,
    matching::asking_again_about_a_call_gives_the_same_answer,
    matching::a_call_gets_no_second_run_when_its_first_is_over,
    matching::every_refusal_is_explained_in_the_ledger,
    matching::a_call_to_the_wrong_number_names_the_run_it_was_meant_for,
    matching::a_call_that_concerns_nobody_is_still_judged,
    matching::a_hint_chooses_among_runs_that_fit_and_no_others,
    matching::a_silent_project_sends_no_response,
    matching::recently_ended_runs_still_explain_a_call,
    runs::a_run_goes_from_trigger_to_score,
    runs::an_illegal_transition_changes_nothing,
    runs::the_outbox_keeps_the_order_and_forgets_only_what_was_published,
    runs::overdue_runs_come_most_overdue_first,
    runs::runs_are_listed_newest_first_in_pages_and_by_id_in_the_order_asked,
    ledger::an_attempt_written_twice_is_one_row,
    ledger::attempts_are_filtered,
    ledger::evidence_is_what_concerns_the_run,
    ledger::a_call_refused_without_an_organisation_reaches_the_owner_of_its_number,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_history_and_a_long_queue_slow_nothing_down() {
    let (_folder, file) = folder();
    let (store, db) = open(&file).await;
    scale::a_long_history_and_a_long_queue_slow_nothing_down(db, &file).await;
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
    let before = db.runs_by_id(team.org.id, &ids).await.unwrap();
    let outbox = whole_outbox(&db).await.len();
    let (org, key) = (team.org.id, team.key);
    drop((team, db, store));

    let (store, db) = open(&file).await;
    assert_eq!(db.runs_by_id(org, &ids).await.unwrap(), before);
    assert_eq!(whole_outbox(&db).await.len(), outbox);
    assert_eq!(db.authenticate(key).await.unwrap().unwrap().org, org);
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
    let found = db.runs_by_id(org, &ids).await.unwrap();
    assert_eq!(found.len(), accepted.len());
    let rows = whole_outbox(&db).await;
    for run in &found {
        let seqs: Vec<_> = rows
            .iter()
            .filter(|r| r.run.id == run.id)
            .map(|r| r.seq)
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
