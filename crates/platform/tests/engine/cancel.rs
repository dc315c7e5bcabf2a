//! Users end runs.

use ringdown_domain::OrganisationId;
use ringdown_domain::run::Status;

use crate::world::{CALLER, NUMBER, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_or_batch_is_announced_and_stays_cancelled() {
    let world = World::start().await;
    world.limit(2).await;
    let mut seen = world.transitions().await;
    let (batch, runs) = world.trigger(5).await;
    world.arrives("call", CALLER, NUMBER).await;
    let live = seen.until(runs[0].id, Status::InProgress).await.run();
    let org = world.org.id.into();
    let one = world.engine.cancel_run(org, live).await.unwrap();
    assert_eq!(one.status(), Status::Cancelled);
    assert_eq!(world.engine.cancel_run(org, live).await.unwrap(), one);
    assert!(
        world
            .engine
            .cancel_run(OrganisationId(999).into(), live)
            .await
            .is_err()
    );
    assert_eq!(world.engine.cancel_batch(org, batch.id).await.unwrap(), 4);
    assert_eq!(world.engine.cancel_batch(org, batch.id).await.unwrap(), 0);
    assert!(
        world
            .engine
            .cancel_batch(OrganisationId(999).into(), batch.id)
            .await
            .is_err()
    );
    for run in &runs {
        let over = seen.until(run.id, Status::Cancelled).await;
        assert!(!over.error_message.is_empty());
        seen.of(run.id);
    }
    world.close().await;
}
