use std::collections::HashMap;
use std::time::Duration;

use ringdown_domain::ResultId;
use ringdown_domain::call::EndedReason;
use ringdown_domain::run::{Event, Status};
use ringdown_store::{BatchFilter, Counts, Error, Run, RunFilter, RunPatch};

use super::{Db, PAGE, Team, at, cancelled, ended, team, transition};

/// Numbers that look random and are the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % n
    }
}

/// What the counts of these runs are, counted one by one.
pub fn counted(runs: &[Run]) -> Counts {
    let of = |status| runs.iter().filter(|run| run.status() == status).count() as u64;
    Counts {
        total: runs.len() as u64,
        in_queue: of(Status::InQueue),
        pending: of(Status::Pending),
        in_progress: of(Status::InProgress),
        evaluating: of(Status::Evaluating),
        completed: of(Status::Completed),
        failed: of(Status::Failed),
        timeout: of(Status::Timeout),
        cancelled: of(Status::Cancelled),
        passed: runs
            .iter()
            .filter(|run| run.success() == Some(true))
            .count() as u64,
        connected: runs.iter().filter(|run| run.executed_at.is_some()).count() as u64,
        duration: runs.iter().filter_map(|run| run.duration).sum(),
    }
}

pub async fn exact(team: &Team, batches: &[ResultId]) {
    for batch in batches {
        let runs = team
            .db
            .runs_of(team.scope(), *batch, None, 10_000)
            .await
            .unwrap();
        let stored = team.db.batch(team.scope(), *batch).await.unwrap();
        assert_eq!(stored.counts, counted(&runs));
        let progress = team.db.progress(*batch).await.unwrap();
        let now: Vec<_> = runs
            .iter()
            .map(|run| (run.id, run.status(), run.window))
            .collect();
        let told: Vec<_> = progress
            .iter()
            .map(|p| (p.id, p.status, p.window))
            .collect();
        assert_eq!(told, now);
    }
}

pub async fn counts_are_exact_after_any_transitions(db: Db) {
    let team = team(&db, "team").await;
    team.limit(Some(15)).await;
    let (first, _) = team.trigger(30, at(0)).await;
    let (second, _) = team.trigger(20, at(0)).await;
    let batches = [first.id, second.id];
    exact(&team, &batches).await;
    let mut chance = Chance(42);
    let mut versions: HashMap<_, u64> = HashMap::new();
    for step in 0..400u64 {
        let now = at(1 + step);
        if chance.below(5) == 0 {
            db.admit(team.org.id, now).await.unwrap();
        }
        let batch = batches[chance.below(2)];
        let runs = db.runs_of(team.scope(), batch, None, 100).await.unwrap();
        let run = &runs[chance.below(runs.len())];
        let patch = RunPatch {
            duration: (chance.below(3) == 0)
                .then(|| Duration::from_millis(chance.below(90_000) as u64)),
            ..RunPatch::default()
        };
        let call = run.call.clone().map_or_else(String::new, |call| call.0);
        let event = match chance.below(8) {
            0 => cancelled(),
            1 => Event::WindowClosed {
                reason: "nothing came".to_owned(),
            },
            2 => Event::NotDialed {
                reason: "refused".to_owned(),
            },
            3 => Event::Matched {
                call: ringdown_domain::CallId(format!("call-{step}")),
                max_duration: Duration::from_secs(60),
            },
            4 => ended(&call, EndedReason::MainAgentEnded),
            5 => ended(&call, EndedReason::CallFailed),
            6 => Event::Scored {
                success: chance.below(2) == 0,
            },
            _ => {
                db.patch_run(run.id, patch.clone(), now).await.unwrap();
                let after = team.run(run.id).await;
                assert_eq!(after.version, run.version + 1);
                continue;
            }
        };
        match db.transition(run.id, event, patch, now).await {
            Ok(done) => assert_eq!(done.run.version, run.version + 1),
            Err(Error::Illegal(_)) => assert_eq!(&team.run(run.id).await, run),
            Err(other) => panic!("{other}"),
        }
        let version = team.run(run.id).await.version;
        let known = versions.insert(run.id, version);
        assert!(known.is_none_or(|known| known <= version));
        if step % 40 == 0 {
            exact(&team, &batches).await;
        }
    }
    exact(&team, &batches).await;
    // One batch is cancelled while the other goes on.
    while !db
        .cancel_batch(team.scope(), first.id, "stop", 7, at(500))
        .await
        .unwrap()
        .is_empty()
    {}
    exact(&team, &batches).await;
    let over = db.batch(team.scope(), first.id).await.unwrap().counts;
    assert_eq!(over.ended(), over.total);
}

pub async fn totals_follow_what_is_triggered_and_deleted(db: Db) {
    let team = team(&db, "team").await;
    let other = team.another_project("other").await;
    let (first, runs) = team.trigger(3, at(0)).await;
    let mut new = team.new_batch(2);
    new.project = other.id;
    let (second, _) = db.trigger(new, at(0)).await.unwrap();
    let totals = async |project| {
        let batches = BatchFilter {
            project,
            ..BatchFilter::default()
        };
        let filter = RunFilter {
            project,
            agents: vec![team.agent.id],
            ..RunFilter::default()
        };
        let batches = db.batches(team.scope(), batches, PAGE).await.unwrap();
        let found = db.runs(team.scope(), filter, PAGE).await.unwrap();
        assert_eq!(batches.count, batches.rows.len() as u64);
        assert_eq!(found.count, found.rows.len() as u64);
        (batches.count, found.count)
    };
    assert_eq!(totals(None).await, (2, 5));
    assert_eq!(totals(Some(team.project.id)).await, (1, 3));
    for run in &runs {
        transition(&db, run.id, cancelled(), at(1)).await.unwrap();
    }
    db.delete_run(team.scope(), runs[1].id, at(2))
        .await
        .unwrap();
    assert_eq!(totals(None).await, (2, 4));
    exact(&team, &[first.id, second.id]).await;
    db.delete_batch(team.scope(), first.id, 100, at(3))
        .await
        .unwrap();
    assert_eq!(totals(None).await, (1, 2));
    assert_eq!(totals(Some(team.project.id)).await, (0, 0));
    assert_eq!(totals(Some(other.id)).await, (1, 2));
}
