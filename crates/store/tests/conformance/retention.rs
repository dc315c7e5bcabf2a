use std::time::Duration;

use ringdown_domain::call::EndedReason;
use ringdown_domain::run::Event;
use ringdown_store::{
    Announcement, AttemptFilter, Error, Expired, Idempotency, Run, RunPatch, WebhookFilter,
};

use super::counts::exact;
use super::{
    Db, PAGE, Team, at, cancelled, ended, hidden, refused, team, transition, whole_outbox,
};

/// A run that was called, recorded and scored.
async fn scored(team: &Team, name: &str) -> Run {
    let db = &team.db;
    let run = team.call(name, at(2)).await.run.unwrap();
    let patch = RunPatch {
        duration: Some(Duration::from_secs(12)),
        recording: Some(format!("recordings/{name}.wav")),
        ..RunPatch::default()
    };
    let over = ended(name, EndedReason::MainAgentEnded);
    db.transition(run.id, over, patch, at(3)).await.unwrap();
    let scored = Event::Scored { success: true };
    transition(db, run.id, scored, at(4)).await.unwrap().run
}

pub async fn an_ended_run_is_deleted_with_everything_about_it(db: Db) {
    let (team, theirs) = (team(&db, "team").await, super::team(&db, "theirs").await);
    let me = team.scope();
    let (batch, runs) = team.trigger(3, at(0)).await;
    refused(
        "an unfinished run",
        &db.delete_run(me, runs[0].id, at(1)).await,
    );
    db.admit(team.org.id, at(1)).await.unwrap();
    refused(
        "an unfinished run",
        &db.delete_run(me, runs[0].id, at(1)).await,
    );
    let done = scored(&team, "call").await;
    hidden(
        "a run",
        &db.delete_run(theirs.scope(), done.id, at(5)).await,
    );
    exact(&team, &[batch.id]).await;
    db.delete_run(me, done.id, at(5)).await.unwrap();
    hidden("a run", &db.run(me, done.id).await);
    hidden("a run", &db.delete_run(me, done.id, at(5)).await);
    exact(&team, &[batch.id]).await;
    let counts = db.batch(me, batch.id).await.unwrap().counts;
    assert_eq!((counts.total, counts.passed, counts.connected), (2, 0, 0));
    assert_eq!(counts.duration, Duration::ZERO);
    let attempts = db.attempts(me, AttemptFilter::default(), PAGE).await;
    assert_eq!(attempts.unwrap().count, 0);
    for row in whole_outbox(&db).await {
        if let Announcement::Entered(entered) = row.event {
            assert_ne!(entered.run.id, done.id);
        }
    }
    let keys = db.artefacts_to_delete(10).await.unwrap();
    assert_eq!(keys, ["recordings/call.wav"]);
    db.artefacts_deleted(&[]).await.unwrap();
    db.artefacts_deleted(&keys).await.unwrap();
    assert!(db.artefacts_to_delete(10).await.unwrap().is_empty());
}

pub async fn a_batch_is_deleted_in_portions_once_it_has_ended(db: Db) {
    let (team, theirs) = (team(&db, "team").await, super::team(&db, "theirs").await);
    let me = team.scope();
    let mut project = team.project.clone();
    project.webhook_url = Some("https://example.com/hook".to_owned());
    db.update_project(&project, vec![], at(0)).await.unwrap();
    let mut new = team.new_batch(5);
    new.idempotency = Some(Idempotency {
        key: "key".to_owned(),
        request_sha256: [1; 32],
    });
    let (batch, runs) = db.trigger(new, at(0)).await.unwrap();
    let (kept, _) = team.trigger(1, at(0)).await;
    db.add_share_link(me, batch.id, [3; 32], at(99), at(0))
        .await
        .unwrap();
    db.admit(team.org.id, at(1)).await.unwrap();
    scored(&team, "one").await;
    scored(&team, "two").await;
    for run in &runs[2..4] {
        transition(&db, run.id, cancelled(), at(5)).await.unwrap();
    }
    let delete = |limit| db.delete_batch(me, batch.id, limit, at(6));
    refused("an unfinished batch", &delete(2).await);
    transition(&db, runs[4].id, cancelled(), at(5))
        .await
        .unwrap();
    let foreign = db.delete_batch(theirs.scope(), batch.id, 9, at(6)).await;
    hidden("a batch", &foreign);
    assert_eq!(delete(2).await.unwrap(), 3);
    exact(&team, &[batch.id, kept.id]).await;
    assert_eq!(delete(2).await.unwrap(), 1);
    assert_eq!(delete(2).await.unwrap(), 0);
    hidden("a batch", &delete(2).await);
    hidden("a batch", &db.batch(me, batch.id).await);
    exact(&team, &[kept.id]).await;
    assert!(db.repeated(team.org.id, "key").await.unwrap().is_none());
    assert!(db.shared_batch([3; 32], at(7)).await.unwrap().is_none());
    let events = db.webhooks(me, WebhookFilter::default(), PAGE).await;
    assert_eq!(events.unwrap().count, 0);
    let rows = whole_outbox(&db).await;
    let of_kept = |row: &ringdown_store::OutboxRow| match &row.event {
        Announcement::Accepted(id) => *id == kept.id,
        Announcement::Entered(entered) => entered.run.result == kept.id,
    };
    assert!(rows.iter().all(of_kept), "{rows:?}");
    let mut keys = db.artefacts_to_delete(10).await.unwrap();
    keys.sort();
    assert_eq!(keys, ["recordings/one.wav", "recordings/two.wav"]);
    assert_eq!(db.artefacts_to_delete(1).await.unwrap().len(), 1);
}

pub async fn batches_expire_as_their_projects_say(db: Db) {
    const DAY: u64 = 24 * 60 * 60;
    let (team, kept) = (team(&db, "team").await, super::team(&db, "kept").await);
    let keep = async |team: &Team, days| {
        let mut project = team.project.clone();
        project.retention_days = days;
        db.update_project(&project, vec![], at(0)).await.unwrap();
    };
    keep(&team, Some(2)).await;
    let (old, runs) = team.trigger(1, at(0)).await;
    let (_, running) = team.trigger(1, at(0)).await;
    let (_, of_kept) = kept.trigger(1, at(0)).await;
    for run in [&runs[0], &of_kept[0]] {
        transition(&db, run.id, cancelled(), at(10)).await.unwrap();
    }
    let expired = async |now, limit| db.expired_batches(at(now), limit).await.unwrap();
    assert!(expired(10 + 2 * DAY, 9).await.is_empty());
    let found = Expired {
        org: team.org.id,
        batch: old.id,
    };
    assert_eq!(expired(11 + 2 * DAY, 9).await, [found]);
    transition(&db, running[0].id, cancelled(), at(20))
        .await
        .unwrap();
    assert_eq!(expired(11 + 2 * DAY, 9).await, [found]);
    assert_eq!(expired(21 + 2 * DAY, 9).await.len(), 2);
    assert_eq!(expired(21 + 2 * DAY, 1).await, [found]);
    // However long a project keeps its results, others' are still found.
    keep(&kept, Some(u32::MAX)).await;
    assert_eq!(expired(21 + 2 * DAY, 9).await.len(), 2);
    keep(&kept, Some(0)).await;
    assert_eq!(expired(11, 9).await.len(), 1);
}

pub async fn old_attempts_and_audit_rows_are_deleted_in_portions(db: Db) {
    let team = team(&db, "team").await;
    let me = team.scope();
    let run = team.pending(at(0)).await;
    team.call("of a run", at(1)).await;
    let audited = ringdown_store::Actor {
        request_id: "request".to_owned(),
        at: at(5_000),
        org: team.org.id,
        project: None,
        key: 1.into(),
        key_name: "first".to_owned(),
        operation: "DELETE".to_owned(),
        path: "/".to_owned(),
        source: String::new(),
    };
    let ended = transition(&db, run.id, cancelled(), at(2));
    assert!(matches!(
        audited.scope(ended).await,
        Ok(_) | Err(Error::Illegal(_))
    ));
    for n in 0..5 {
        let name = format!("stray {n}");
        let to = team.number.number.as_str();
        team.arrive(&name, "+442071838750", to, at(5_000 + n)).await;
    }
    let left = async || {
        db.attempts(me, AttemptFilter::default(), PAGE)
            .await
            .unwrap()
            .count
    };
    let log = async || db.audit_log(me, PAGE).await.unwrap().count;
    assert_eq!((left().await, log().await), (6, 1));
    assert_eq!(db.delete_old_attempts(at(5_000), 9).await.unwrap(), 0);
    assert_eq!(db.delete_old_attempts(at(5_003), 2).await.unwrap(), 2 + 1);
    assert_eq!(db.delete_old_attempts(at(5_003), 2).await.unwrap(), 1);
    assert_eq!((left().await, log().await), (3, 0));
    let all = AttemptFilter {
        run: Some(run.id),
        ..AttemptFilter::default()
    };
    let of_run = db.attempts(me, all, PAGE).await.unwrap();
    assert_eq!(of_run.count, 1, "a run's attempts are kept with it");
}
