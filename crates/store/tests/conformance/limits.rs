use std::collections::HashMap;
use std::sync::Arc;

use ringdown_domain::call::EndedReason;
use ringdown_domain::run::{Effect, Event, Status};
use ringdown_domain::{ProjectId, ResultId, RunId};
use ringdown_store::{Entered, Error, Run};

use super::{Db, Team, arrival, at, cancelled, ended, entered, team, transition};

/// The most slots ever held at once, by organisation, project and batch. The outbox has every
/// transition in the order it was committed, so this misses no instant.
#[derive(Default)]
pub struct Peak {
    pub organisation: usize,
    pub project: HashMap<ProjectId, usize>,
    pub batch: HashMap<ResultId, usize>,
}

pub fn peak(rows: &[Entered]) -> Peak {
    let mut peak = Peak::default();
    let mut holding: HashMap<RunId, &Run> = HashMap::new();
    for row in rows {
        if row.status.holds_slot() {
            holding.insert(row.run.id, &row.run);
        } else {
            holding.remove(&row.run.id);
        }
        peak.organisation = peak.organisation.max(holding.len());
        let project = holding.values().filter(|r| r.project == row.run.project);
        let most = peak.project.entry(row.run.project).or_default();
        *most = (*most).max(project.count());
        let batch = holding.values().filter(|r| r.result == row.run.result);
        let most = peak.batch.entry(row.run.result).or_default();
        *most = (*most).max(batch.count());
    }
    peak
}

/// 32 tasks admit, match, end, refuse and cancel at once.
pub async fn limits_hold_under_concurrent_admission_matching_and_endings(db: Db) {
    let team = Arc::new(team(&db, "team").await);
    team.limit(Some(6)).await;
    let mut narrow = team.another_project("narrow").await;
    narrow.parallel_limit = Some(3);
    db.update_project(&narrow, vec![], at(0)).await.unwrap();
    let mut limited = team.new_batch(20);
    limited.concurrency_limit = Some(2);
    let (limited, mut runs) = db.trigger(limited, at(0)).await.unwrap();
    let mut in_narrow = team.new_batch(20);
    in_narrow.project = narrow.id;
    runs.extend(db.trigger(in_narrow, at(0)).await.unwrap().1);
    runs.extend(team.trigger(24, at(0)).await.1);
    let runs: Arc<Vec<RunId>> = Arc::new(runs.iter().map(|run| run.id).collect());

    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..32 {
        let (team, runs) = (Arc::clone(&team), Arc::clone(&runs));
        tasks.spawn(async move { work(&team, &runs, task).await });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let left = db.runs_by_id(team.scope(), &runs).await.unwrap();
    assert!(left.iter().all(|run| run.status().is_terminal()));
    let peak = peak(&entered(&db).await);
    assert_eq!(peak.organisation, 6, "the limit is used to the full");
    assert_eq!(peak.project[&narrow.id], 3);
    assert_eq!(peak.batch[&limited.id], 2);
}

/// Does what comes to hand until every run has ended.
async fn work(team: &Team, runs: &[RunId], task: usize) {
    let db = &team.db;
    for round in 0..100_000 {
        db.admit(team.org.id, at(1)).await.unwrap();
        let now = db.runs_by_id(team.scope(), runs).await.unwrap();
        let open: Vec<_> = now.iter().filter(|r| !r.status().is_terminal()).collect();
        if open.is_empty() {
            return;
        }
        let held: Vec<_> = open
            .iter()
            .filter(|r| r.status() != Status::InQueue)
            .collect();
        let Some(run) = held.get((task + round) % held.len().max(1)) else {
            continue;
        };
        let done = match (run.status(), (task + round) % 4) {
            (Status::Pending, 0) => transition(db, run.id, not_dialed(), at(1))
                .await
                .map(|_| ()),
            (Status::Pending, _) => {
                let (from, to) = (team.caller(), team.number.number.clone());
                let name = format!("call-{task}-{round}");
                let (call, arrival) = arrival(&name, from.as_str(), to.as_str());
                db.match_call(call, arrival, at(1)).await.map(|_| ())
            }
            (Status::InProgress, 0) => transition(db, run.id, cancelled(), at(1)).await.map(|_| ()),
            (Status::InProgress, _) => {
                let call = run.call.clone().unwrap().0;
                let event = ended(&call, EndedReason::MainAgentEnded);
                transition(db, run.id, event, at(1)).await.map(|_| ())
            }
            _ => transition(db, run.id, Event::Scored { success: true }, at(1))
                .await
                .map(|_| ()),
        };
        // Another task was faster: that is the point of the test.
        assert!(matches!(done, Ok(()) | Err(Error::Illegal(_))), "{done:?}");
    }
    panic!("the runs do not come to an end");
}

fn not_dialed() -> Event {
    Event::NotDialed {
        reason: "refused".to_owned(),
    }
}

/// Without a limit nobody waits, however many there are.
pub async fn an_organisation_without_limits_admits_its_whole_queue(db: Db) {
    let team = team(&db, "team").await;
    team.trigger(1_200, at(0)).await;
    let mut admitted = 0;
    loop {
        let runs = db.admit(team.org.id, at(1)).await.unwrap().runs;
        if runs.is_empty() {
            break;
        }
        admitted += runs.len();
    }
    assert_eq!(admitted, 1_200);
}

/// A long queue in one project does not keep another project's run waiting.
pub async fn a_long_queue_does_not_hide_another_project(db: Db) {
    let team = team(&db, "team").await;
    team.limit(Some(2)).await;
    team.trigger(2_100, at(0)).await;
    let other = team.another_project("other").await;
    let mut batch = team.new_batch(1);
    batch.project = other.id;
    let (_, runs) = db.trigger(batch, at(1)).await.unwrap();
    let admitted = db.admit(team.org.id, at(2)).await.unwrap().runs;
    let ids: Vec<_> = admitted.iter().map(|run| run.id).collect();
    assert!(ids.contains(&runs[0].id), "{ids:?}");
}

/// Nor does a batch that may not use more slots keep another batch of its project waiting.
pub async fn a_long_limited_batch_does_not_hide_another_batch(db: Db) {
    let team = team(&db, "team").await;
    team.limit(Some(10)).await;
    let mut limited = team.new_batch(2_100);
    limited.concurrency_limit = Some(1);
    db.trigger(limited, at(0)).await.unwrap();
    let (_, runs) = team.trigger(1, at(1)).await;
    let admitted = db.admit(team.org.id, at(2)).await.unwrap().runs;
    let ids: Vec<_> = admitted.iter().map(|run| run.id).collect();
    assert!(ids.contains(&runs[0].id), "{ids:?}");
}

pub async fn the_queue_says_what_each_run_waits_for(db: Db) {
    let team = team(&db, "team").await;
    team.limit(Some(2)).await;
    let mut limited = team.new_batch(2);
    limited.concurrency_limit = Some(1);
    let (_, narrow) = db.trigger(limited, at(0)).await.unwrap();
    let (_, wide) = team.trigger(2, at(0)).await;
    db.admit(team.org.id, at(1)).await.unwrap();
    let queue = db.queue(team.org.id, at(3)).await.unwrap();
    let waits: Vec<_> = queue
        .iter()
        .map(|entry| (entry.run, entry.position, entry.blocked_by.as_str()))
        .collect();
    assert_eq!(
        waits,
        [(narrow[1].id, 1, "batch"), (wide[1].id, 2, "organisation")]
    );
    assert_eq!(db.organisations_with_queue().await.unwrap(), [team.org.id]);
    for run in [narrow[1].id, wide[1].id] {
        transition(&db, run, cancelled(), at(2)).await.unwrap();
    }
    assert!(db.organisations_with_queue().await.unwrap().is_empty());
}

/// A limit set below what is running lets that finish and admits nothing until there is room.
pub async fn a_lowered_limit_admits_nothing_until_there_is_room(db: Db) {
    let team = team(&db, "team").await;
    team.limit(Some(3)).await;
    let (_, runs) = team.trigger(5, at(0)).await;
    assert_eq!(db.admit(team.org.id, at(1)).await.unwrap().runs.len(), 3);
    team.limit(Some(1)).await;
    for run in &runs[..2] {
        let freed = transition(&db, run.id, cancelled(), at(2)).await.unwrap();
        assert_eq!(freed.effects, [Effect::SlotFreed]);
        assert!(db.admit(team.org.id, at(2)).await.unwrap().runs.is_empty());
    }
    transition(&db, runs[2].id, cancelled(), at(3))
        .await
        .unwrap();
    let admitted = db.admit(team.org.id, at(3)).await.unwrap().runs;
    assert_eq!(admitted.len(), 1);
    assert_eq!(admitted[0].id, runs[3].id, "first in, first out");
}
