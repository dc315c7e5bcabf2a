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

use std::sync::Arc;

use ringdown_store::Database;
use ringdown_testkit::postgres::Fresh;

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
