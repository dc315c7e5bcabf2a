//! Calls per second.

use std::time::Duration;

use ringdown_bus::now;
use ringdown_domain::admission::Pace;
use ringdown_domain::run::Status;

use crate::world::World;

/// Nobody looks in between: a timer ends at the moment at which the next run may start.
#[tokio::test(flavor = "multi_thread")]
async fn a_paced_project_starts_its_runs_at_its_pace() {
    let world = World::start().await;
    let mut project = world.project.clone();
    project.pace = Pace::per_second(4.0);
    world
        .db
        .update_project(&project, vec![], now())
        .await
        .unwrap();
    let mut seen = world.transitions().await;
    let (_, runs) = world.trigger(6).await;
    for run in &runs {
        seen.until(run.id, Status::Pending).await;
    }
    let mut starts = Vec::new();
    for run in &runs {
        starts.push(world.run(run.id).await.window.unwrap().opens_at);
    }
    for pair in starts.windows(2) {
        let apart = pair[1].since(pair[0]);
        assert!(apart >= Duration::from_millis(250), "{apart:?}");
    }
    let took = starts[5].since(starts[0]);
    println!("5 intervals of 250 ms took {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(world.engine.missed_admissions(), 0);
    world.close().await;
}
