//! What is kept no longer is deleted, with its recordings; everything else stays.

use bytes::Bytes;
use ringdown_bus::now;
use ringdown_domain::{ResultId, Timestamp};
use ringdown_store::{Error as StoreError, RunPatch};

use crate::world::{World, within};

const DAY: u64 = 24 * 60 * 60;

fn days_ago(days: u64) -> Timestamp {
    let ago = i64::try_from(days * DAY * 1_000_000).unwrap();
    Timestamp::from_micros(now().as_micros() - ago)
}

/// A batch of `runs` runs that was triggered, recorded and, if it is to be over, cancelled at `at`.
async fn batch(world: &World, runs: usize, at: Timestamp, over: bool) -> (ResultId, Vec<String>) {
    let scope = world.org.id.into();
    let (batch, runs) = world.db.trigger(world.new_batch(runs), at).await.unwrap();
    let mut keys = Vec::new();
    for run in runs {
        let key = format!("recordings/{}.wav", run.id);
        world
            .artefacts
            .put(&key, Bytes::from_static(b"sound"))
            .await
            .unwrap();
        let patch = RunPatch {
            recording: Some(key.clone()),
            ..RunPatch::default()
        };
        world.db.patch_run(run.id, patch, at).await.unwrap();
        keys.push(key);
    }
    if over {
        world
            .db
            .cancel_batch(scope, batch.id, "over", 1_000, at)
            .await
            .unwrap();
    }
    (batch.id, keys)
}

async fn is_kept(world: &World, batch: &(ResultId, Vec<String>)) -> bool {
    let row = match world.db.batch(world.org.id.into(), batch.0).await {
        Ok(_) => true,
        Err(StoreError::NotFound { .. }) => false,
        Err(error) => panic!("{error}"),
    };
    let mut files = 0;
    for key in &batch.1 {
        files += usize::from(world.artefacts.get(key).await.is_ok());
    }
    row || files > 0
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_beyond_their_age_go_with_their_recordings() {
    let world = World::start().await;
    let old = batch(&world, 250, days_ago(3), true).await;
    let recent = batch(&world, 2, days_ago(1), true).await;
    let unfinished = batch(&world, 2, days_ago(3), false).await;
    let mut project = world.project.clone();
    project.retention_days = Some(2);
    world
        .db
        .update_project(&project, vec![], now())
        .await
        .unwrap();
    world.engine.deleted();
    within("the old batch goes", async {
        while is_kept(&world, &old).await {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for kept in [&recent, &unfinished] {
        world.db.batch(world.org.id.into(), kept.0).await.unwrap();
        for key in &kept.1 {
            world.artefacts.get(key).await.unwrap();
        }
    }
    let waiting = world.db.artefacts_to_delete(10).await.unwrap();
    assert_eq!(waiting, Vec::<String>::new());
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_at_the_start_removes_what_a_dead_process_left() {
    let mut world = World::start().await;
    let batch = batch(&world, 1, now(), true).await;
    let (org, id) = (world.org.id, batch.0);
    world
        .restart(async |db| {
            db.delete_batch(org.into(), id, 10, now()).await.unwrap();
            assert_eq!(db.artefacts_to_delete(10).await.unwrap().len(), 1);
        })
        .await;
    within("the recording goes", async {
        while is_kept(&world, &batch).await {
            tokio::task::yield_now().await;
        }
    })
    .await;
    world.close().await;
}
