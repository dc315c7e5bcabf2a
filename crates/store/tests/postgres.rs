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

use ringdown_store::{Carriers as _, Database, Secrets as _};
use ringdown_testkit::postgres::{self, Fresh};

use conformance::carriers::new_carrier;
use conformance::checks::every_check;
use conformance::{Db, PAGE, at, team};

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

/// From SQLite to PostgreSQL and back, nothing is missing; and they go with their organisation.
#[tokio::test(flavor = "multi_thread")]
async fn carriers_are_moved_between_databases_and_go_with_their_organisation() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = async |name: &str| {
        let store = Database::sqlite(&folder.path().join(name)).await.unwrap();
        let db: Db = Arc::new(store.clone());
        (store, db)
    };
    let (first, db) = sqlite("first.db").await;
    let (kept, gone) = (team(&db, "kept").await, team(&db, "gone").await);
    for (team, name) in [(&kept, "main"), (&kept, "second"), (&gone, "main")] {
        db.create_carrier(new_carrier(team, name), at(1))
            .await
            .unwrap();
    }
    let fresh = fresh().await;
    let (second, _) = open(fresh.url()).await;
    copy(&first, &second).await;
    let (third, _) = sqlite("third.db").await;
    copy(&second, &third).await;
    for store in [&second, &third] {
        let all =
            |store: Database, scope| async move { store.carriers(scope, PAGE).await.unwrap().rows };
        for team in [&kept, &gone] {
            let before = all(first.clone(), team.scope()).await;
            assert_eq!(all(store.clone(), team.scope()).await, before);
        }
        let secrets = store.secrets_after(None, 100).await.unwrap();
        assert_eq!(secrets, db.secrets_after(None, 100).await.unwrap());
        // Ids go on after those that were restored.
        let db: Db = Arc::new(store.clone());
        let new = db.create_carrier(new_carrier(&kept, "new"), at(2)).await;
        assert!(new.unwrap().id.0 > 3);
    }
    let delete = format!("DELETE FROM organisations WHERE id = {}", gone.org.id);
    postgres::query(fresh.url(), &delete).await.unwrap();
    let left = second.carriers(gone.scope(), PAGE).await.unwrap();
    assert_eq!(left.count, 0);
    let secrets = second.secrets_after(None, 100).await.unwrap();
    assert!(secrets.iter().all(|secret| secret.org == kept.org.id));
    assert_eq!(secrets.len(), 6);
    second.close().await;
    fresh.drop_database().await;
}

async fn copy(from: &Database, to: &Database) {
    let mut import = to.import().await.unwrap();
    let mut export = from.export().await.unwrap();
    while let Some(rows) = export.next().await.unwrap() {
        import.store(rows.table, &rows.rows).await.unwrap();
    }
    import.finish().await.unwrap();
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
