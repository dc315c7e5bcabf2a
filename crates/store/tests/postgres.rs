//! The conformance suite on PostgreSQL, and what only a database with many writers can show.
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
mod stress;

use std::sync::Arc;

use ringdown_store::Database;
use ringdown_testkit::postgres::{self, Fresh};

use conformance::Db;
use conformance::checks::every_check;

/// Connections of one platform; fewer than the tasks that some checks start.
const CONNECTIONS: u32 = 8;

async fn fresh() -> Fresh {
    Fresh::prepared(async |url| {
        let database = Database::postgres(&url, 1).await.unwrap();
        database.close().await;
    })
    .await
}

async fn open(url: &str) -> (Database, Db) {
    let store = Database::postgres(url, CONNECTIONS).await.unwrap();
    let db: Db = Arc::new(store.clone());
    (store, db)
}

macro_rules! conforms {
    ($($module:ident::$check:ident,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $check() {
            let fresh = fresh().await;
            let (store, db) = open(fresh.url()).await;
            conformance::$module::$check(db).await;
            store.close().await;
            fresh.drop_database().await;
        }
    )*};
}

every_check!(conforms);

#[tokio::test(flavor = "multi_thread")]
async fn a_long_history_and_a_long_queue_slow_nothing_down() {
    let fresh = fresh().await;
    let (store, db) = open(fresh.url()).await;
    let raw = async |statement: String| {
        postgres::query(fresh.url(), &statement).await.unwrap();
    };
    scale::a_long_history_and_a_long_queue_slow_nothing_down(db, raw).await;
    store.close().await;
    fresh.drop_database().await;
}

/// Dumps that `pg_dump` made of earlier versions' databases, once there are any.
#[tokio::test(flavor = "multi_thread")]
async fn databases_of_earlier_versions_are_taken_over() {
    for dump in previous::dumps("postgres") {
        let fresh = Fresh::create().await;
        postgres::load(fresh.url(), &dump).await.unwrap();
        let (store, db) = open(fresh.url()).await;
        previous::work_goes_on(&db).await;
        store.close().await;
        fresh.drop_database().await;
    }
}

/// Two platforms, each with several tasks that do everything there is to do with runs at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn platforms_that_share_a_database_never_block_each_other() {
    let fresh = fresh().await;
    let (first, one) = open(fresh.url()).await;
    let (second, two) = open(fresh.url()).await;
    stress::everything_at_once([one, two]).await;
    first.close().await;
    second.close().await;
    fresh.drop_database().await;
}
