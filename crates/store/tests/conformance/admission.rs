//! Calls per second, priorities and shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ringdown_domain::admission::{Limit, Pace, Unknown};
use ringdown_domain::run::{Event, Status};
use ringdown_domain::{ResultId, RunId};
use ringdown_store::{Holder, Scope};
use tokio::sync::Barrier;

use super::limits::peak;
use super::{Db, Team, at, cancelled, entered, hidden, team, transition};

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

/// Each kind of wait is explained with its limit and with who has the slots.
pub async fn a_queued_run_is_told_its_place(db: Db) {
    let team = team(&db, "team").await;
    let place = async |run: RunId, now: u64| db.place(team.scope(), run, at(now)).await.unwrap();
    let mut limited = team.new_batch(3);
    limited.concurrency_limit = Some(1);
    let (_, narrow) = db.trigger(limited, at(0)).await.unwrap();
    let about = place(narrow[0].id, 0).await.unwrap();
    assert_eq!((about.position, about.blocked_by), (Some(1), None));
    db.admit(team.org.id, at(1)).await.unwrap();
    assert_eq!(place(narrow[0].id, 1).await, None, "it has its slot");
    let second = place(narrow[2].id, 5).await.unwrap();
    assert_eq!(
        (
            second.position,
            second.blocked_by,
            second.limit,
            second.held
        ),
        (Some(2), Some(Limit::Batch), Some(1), Some(1))
    );
    assert_eq!(second.starts_at, Err(Unknown::NothingMeasured));
    let holder = Holder {
        run: narrow[0].id,
        status: Status::Pending,
        since: at(1),
    };
    assert_eq!(second.holders, [holder]);

    // A run of 10 s is measured; the next but one starts after two of them.
    let reason = "refused".to_owned();
    let refused = Event::NotDialed { reason };
    transition(&db, narrow[0].id, refused, at(11))
        .await
        .unwrap();
    db.admit(team.org.id, at(11)).await.unwrap();
    let last = place(narrow[2].id, 12).await.unwrap();
    assert_eq!((last.position, last.starts_at), (Some(1), Ok(at(22))));

    team.limit(Some(1)).await;
    let (_, later) = batch(&team, 2, 0).await;
    let (_, urgent) = batch(&team, 2, 9).await;
    let blocked = place(later[1], 12).await.unwrap();
    assert_eq!(
        (blocked.blocked_by, blocked.limit, blocked.held),
        (Some(Limit::Organisation), Some(1), Some(1))
    );
    assert_eq!(
        blocked.position,
        Some(5),
        "two urgent ones and an older one"
    );
    assert_eq!(place(urgent[0], 12).await.unwrap().position, Some(1));
    assert_eq!(blocked.starts_at, Ok(at(12 + 50)));

    // A project's key learns nothing of the others.
    let scope = Scope {
        org: team.org.id,
        project: Some(team.project.id),
    };
    let own = db.place(scope, later[1], at(12)).await.unwrap().unwrap();
    assert_eq!((own.limit, own.held), (None, None));
    let other = team.another_project("other").await;
    let foreign = Scope {
        org: team.org.id,
        project: Some(other.id),
    };
    hidden("a place", &db.place(foreign, later[1], at(12)).await);

    let mut gated = team.new_batch(1);
    (gated.project, gated.gated) = (other.id, true);
    let (_, waits) = db.trigger(gated, at(12)).await.unwrap();
    let gate = place(waits[0].id, 13).await.unwrap();
    assert_eq!((gate.blocked_by, gate.position), (Some(Limit::Gate), None));
    assert_eq!(gate.starts_at, Err(Unknown::Gated));
}

/// Several admit at once while runs end and limits change: what is committed never exceeds what held then.
pub async fn admitters_that_race_exceed_no_limit(db: Db) {
    let team = Arc::new(team(&db, "team").await);
    team.limit(Some(7)).await;
    let mut paced = team.another_project("paced").await;
    paced.pace = Pace::per_second(2.0);
    db.update_project(&paced, vec![], at(0)).await.unwrap();
    let mut heavy = team.another_project("heavy").await;
    (heavy.weight, heavy.parallel_limit) = (3, Some(4));
    db.update_project(&heavy, vec![], at(0)).await.unwrap();
    for (project, limit) in [
        (team.project.id, Some(2)),
        (paced.id, None),
        (heavy.id, None),
    ] {
        let mut new = team.new_batch(60);
        (new.project, new.concurrency_limit) = (project, limit);
        db.trigger(new, at(0)).await.unwrap();
    }
    // In rounds of one second each, so that none runs ahead and uses the others' moments up: all admit at once, and half
    // of them end what they admitted while the others still admit. Of 180 runs so many have to end that some of every
    // project are among them.
    let ended = Arc::new(AtomicU64::new(0));
    let barrier = Arc::new(Barrier::new(4));
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..4 {
        let (team, ended, barrier) = (Arc::clone(&team), Arc::clone(&ended), Arc::clone(&barrier));
        tasks.spawn(async move {
            for second in 0.. {
                let admission = team.db.admit(team.org.id, at(second)).await.unwrap();
                if task % 2 == 0 {
                    barrier.wait().await;
                }
                for run in admission.runs {
                    transition(&team.db, run.id, cancelled(), at(second))
                        .await
                        .unwrap();
                    ended.fetch_add(1, Ordering::Relaxed);
                }
                if task % 2 == 1 {
                    barrier.wait().await;
                }
                barrier.wait().await;
                let done = ended.load(Ordering::Relaxed) >= 150;
                // Nobody ends another one before all have looked.
                barrier.wait().await;
                if done {
                    return;
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let rows = entered(&db).await;
    let peak = peak(&rows);
    assert!(peak.organisation <= 7);
    assert!(peak.project[&heavy.id] <= 4);
    assert!(peak.batch.values().all(|held| *held <= 7));
    let mut starts: Vec<_> = rows
        .iter()
        .filter(|row| row.run.project == paced.id && row.status == Status::Pending)
        .map(|row| row.window.unwrap().opens_at)
        .collect();
    starts.sort();
    assert!(starts.len() > 10);
    for pair in starts.windows(2) {
        assert!(
            pair[1].since(pair[0]) >= Duration::from_millis(500),
            "{pair:?}"
        );
    }
}
