//! Calls per second, priorities and shares.

use std::time::Duration;

use ringdown_domain::admission::Pace;
use ringdown_domain::{ResultId, RunId};

use super::{Db, Team, at, cancelled, team, transition};

async fn batch(team: &Team, runs: usize, priority: i32) -> (ResultId, Vec<RunId>) {
    let mut new = team.new_batch(runs);
    new.priority = priority;
    let (batch, runs) = team.db.trigger(new, at(0)).await.unwrap();
    assert_eq!(batch.priority, priority);
    (batch.id, runs.iter().map(|run| run.id).collect())
}

/// Higher priorities go first, however late they came; equals in their order.
pub async fn batches_of_a_higher_priority_go_first(db: Db) {
    let team = team(&db, "team").await;
    team.limit(Some(1)).await;
    let (_, low) = batch(&team, 1, -5).await;
    let (_, first) = batch(&team, 2, 0).await;
    let (_, second) = batch(&team, 1, 0).await;
    let (_, high) = batch(&team, 1, 100).await;
    let listed = db.queue(team.org.id, at(1)).await.unwrap();
    let listed: Vec<RunId> = listed.iter().map(|entry| entry.run).collect();
    let mut served = Vec::new();
    for turn in 1..=5 {
        let runs = db.admit(team.org.id, at(turn)).await.unwrap().runs;
        assert_eq!(runs.len(), 1);
        served.push(runs[0].id);
        transition(&db, runs[0].id, cancelled(), at(turn))
            .await
            .unwrap();
    }
    assert_eq!(served, [high[0], first[0], first[1], second[0], low[0]]);
    assert_eq!(listed, served, "they are listed in their order");
}

/// Never more starts than the pace, whoever asks, and the moment of the next one is told.
pub async fn a_paced_project_starts_its_runs_one_by_one(db: Db) {
    let team = team(&db, "team").await;
    let mut project = team.project.clone();
    project.pace = Pace::per_second(0.5);
    db.update_project(&project, vec![], at(0)).await.unwrap();
    let read = db.project(team.scope(), project.id).await.unwrap();
    assert_eq!(read.pace, project.pace);
    let (_, runs) = team.trigger(3, at(0)).await;
    let first = db.admit(team.org.id, at(1)).await.unwrap();
    assert_eq!((first.runs.len(), first.runs[0].id), (1, runs[0].id));
    assert_eq!((first.next, first.more), (Some(at(3)), false));
    let almost = at(2).plus(Duration::from_micros(999_999));
    for early in [at(1), at(2), almost] {
        let none = db.admit(team.org.id, early).await.unwrap();
        assert_eq!((none.runs.len(), none.next), (0, Some(at(3))));
    }
    let queue = db.queue(team.org.id, almost).await.unwrap();
    let waits: Vec<&str> = queue
        .iter()
        .map(|entry| entry.blocked_by.as_str())
        .collect();
    assert_eq!(waits, ["pace", "pace"]);
    let second = db.admit(team.org.id, at(3)).await.unwrap();
    assert_eq!((second.runs.len(), second.next), (1, Some(at(5))));
    let last = db.admit(team.org.id, at(9)).await.unwrap();
    assert_eq!((last.runs.len(), last.next), (1, None));
    // Without a pace all start at once.
    project.pace = None;
    db.update_project(&project, vec![], at(9)).await.unwrap();
    team.trigger(3, at(9)).await;
    let all = db.admit(team.org.id, at(9)).await.unwrap();
    assert_eq!((all.runs.len(), all.next), (3, None));
}

/// One slot, three projects: none of them waits for the end of another's queue.
pub async fn a_slot_is_shared_over_time_by_weight(db: Db) {
    let team = team(&db, "team").await;
    team.limit(Some(1)).await;
    let mut heavy = team.another_project("heavy").await;
    heavy.weight = 2;
    db.update_project(&heavy, vec![], at(0)).await.unwrap();
    let other = team.another_project("other").await;
    let projects = [team.project.id, heavy.id, other.id];
    for project in projects {
        let mut new = team.new_batch(40);
        new.project = project;
        db.trigger(new, at(0)).await.unwrap();
    }
    let mut served = [0; 3];
    for turn in 0..40 {
        let runs = db.admit(team.org.id, at(turn * 10)).await.unwrap().runs;
        let [run] = runs.as_slice() else {
            panic!("{} runs got one slot", runs.len());
        };
        let index = projects.iter().position(|id| *id == run.project).unwrap();
        served[index] += 1;
        transition(&db, run.id, cancelled(), at(turn * 10 + 10))
            .await
            .unwrap();
    }
    assert_eq!(served, [10, 20, 10]);
}
