use std::time::Duration;

use ringdown_domain::call::EndedReason;
use ringdown_domain::run::{Event, Status, Window};
use ringdown_domain::{CallId, RunId};
use ringdown_store::{
    Announcement, BatchFilter, Error, Page, ProfileSnapshot, RunFilter, RunPatch,
};

use super::{Db, PAGE, at, cancelled, ended, team, transition, whole_outbox};

/// The life of a run, with everything a reader is promised about it.
pub async fn a_run_goes_from_trigger_to_score(db: Db) {
    let team = team(&db, "team").await;
    let mut batch = team.new_batch(1);
    batch.templates[0].test_profile = Some(ProfileSnapshot {
        id: 5,
        name: "caller".to_owned(),
        information: serde_json::json!({"name": "Zo\u{eb} \u{1f4de}", "n": [1, null]}),
    });
    let (stored, runs) = db.trigger(batch.clone(), at(0)).await.unwrap();
    let id = runs[0].id;
    assert_eq!(
        (runs[0].template, &runs[0].number),
        (0, &team.number.number)
    );
    let queued = team.run(id).await;
    assert_eq!((queued.seq, queued.status()), (1, Status::InQueue));
    assert_eq!(queued.test_profile, batch.templates[0].test_profile);
    assert_eq!(queued.script, batch.templates[0].script);
    assert_eq!(queued.caller_ids, batch.caller_ids);
    assert_eq!(queued.dial_route, batch.dial_route);
    assert_eq!(db.batch(team.scope(), stored.id).await.unwrap(), stored);
    assert_eq!(stored.settings, batch.settings);

    let pending = db.admit(team.org.id, at(5)).await.unwrap().runs.remove(0);
    let window = Window {
        opens_at: at(5),
        closes_at: at(305),
    };
    assert_eq!((pending.id, pending.window), (id, Some(window)));
    assert_eq!(db.next_deadline().await.unwrap(), Some(at(305)));
    let number = &team.number.number;
    assert_eq!(db.pending_on(team.scope(), number).await.unwrap(), 1);

    team.call("call", at(10)).await;
    let live = team.run(id).await;
    assert_eq!(live.executed_at, Some(at(10)));
    assert_eq!(live.call, Some(CallId("call".to_owned())));
    // 60 s of the script and the grace of the state machine.
    assert_eq!(db.next_deadline().await.unwrap(), Some(at(10 + 60 + 20)));

    let patch = RunPatch {
        duration: Some(Duration::from_millis(12_345)),
        ended_reason: Some(EndedReason::MainAgentEnded),
        ..RunPatch::default()
    };
    let over = ended("call", EndedReason::MainAgentEnded);
    db.transition(id, over, patch, at(22)).await.unwrap();
    let patch = RunPatch {
        recording: Some("recordings/1.wav".to_owned()),
        ..RunPatch::default()
    };
    db.patch_run(id, patch, at(23)).await.unwrap();
    let patch = RunPatch {
        score: Some(serde_json::json!({"latency": 0.25})),
        ..RunPatch::default()
    };
    let scored = Event::Scored { success: true };
    let done = db.transition(id, scored, patch, at(30)).await.unwrap().run;
    assert_eq!(done, team.run(id).await);
    assert_eq!(done, db.run_unscoped(id).await.unwrap());
    assert_eq!((done.success(), done.error_message()), (Some(true), None));
    assert_eq!(done.duration, Some(Duration::from_millis(12_345)));
    assert_eq!(done.ended_reason, Some(EndedReason::MainAgentEnded));
    assert_eq!(done.recording.as_deref(), Some("recordings/1.wav"));
    assert_eq!(done.score, Some(serde_json::json!({"latency": 0.25})));
    assert_eq!((done.seq, done.window), (5, Some(window)));
    assert_eq!((done.created_at, done.updated_at), (at(0), at(30)));
    assert_eq!(db.next_deadline().await.unwrap(), None);
    let batch = db.batch(team.scope(), stored.id).await.unwrap();
    assert_eq!(batch.updated_at, at(30));
}

/// An event that does not fit is refused and leaves no trace, in every state.
pub async fn an_illegal_transition_changes_nothing(db: Db) {
    let team = team(&db, "team").await;
    let (_, runs) = team.trigger(1, at(0)).await;
    let id = runs[0].id;
    let path = [
        Event::Admitted {
            dial_window: Duration::from_secs(60),
        },
        Event::Matched {
            call: CallId("call".to_owned()),
            max_duration: Duration::from_secs(60),
        },
        ended("call", EndedReason::TestingAgentEnded),
        Event::Scored { success: false },
    ];
    let mut refused = 0;
    for step in 0..=path.len() {
        let before = team.run(id).await;
        let outbox = whole_outbox(&db).await.len();
        let misfits = path.iter().enumerate().filter(|(index, _)| *index != step);
        let more = [
            ended("another", EndedReason::MainAgentEnded),
            Event::DeadlinePassed,
            Event::WindowClosed {
                reason: "too soon".to_owned(),
            },
        ];
        for event in misfits.map(|(_, event)| event).chain(&more) {
            let patch = RunPatch {
                recording: Some("must not be stored".to_owned()),
                ..RunPatch::default()
            };
            let answer = db.transition(id, event.clone(), patch, at(1)).await;
            assert!(matches!(answer, Err(Error::Illegal(_))), "{event:?}");
            refused += 1;
        }
        assert_eq!(team.run(id).await, before);
        assert_eq!(whole_outbox(&db).await.len(), outbox);
        if let Some(event) = path.get(step) {
            transition(&db, id, event.clone(), at(1)).await.unwrap();
        }
    }
    assert_eq!(refused, 4 * (3 + 3) + (4 + 3));
    let terminal = transition(&db, id, cancelled(), at(2)).await;
    assert!(matches!(terminal, Err(Error::Illegal(_))));
    for missing in [
        transition(&db, RunId(999), cancelled(), at(2)).await.err(),
        db.patch_run(RunId(999), RunPatch::default(), at(2))
            .await
            .err(),
        db.run_unscoped(RunId(999)).await.err(),
    ] {
        assert!(matches!(missing, Some(Error::NotFound { .. })));
    }
}

pub async fn overdue_runs_come_most_overdue_first(db: Db) {
    let team = team(&db, "team").await;
    let (_, runs) = team.trigger(3, at(0)).await;
    for (run, seconds) in runs.iter().zip([30, 10, 20]) {
        let admitted = Event::Admitted {
            dial_window: Duration::from_secs(seconds),
        };
        transition(&db, run.id, admitted, at(0)).await.unwrap();
    }
    let overdue = async |now, limit| -> Vec<RunId> {
        let rows = db.overdue(&Status::ALL, at(now), limit).await.unwrap();
        rows.iter().map(|run| run.id).collect()
    };
    assert_eq!(db.next_deadline().await.unwrap(), Some(at(10)));
    assert!(overdue(9, 10).await.is_empty());
    assert_eq!(overdue(20, 10).await, [runs[1].id, runs[2].id]);
    assert_eq!(overdue(99, 2).await, [runs[1].id, runs[2].id]);
    let closed = Event::WindowClosed {
        reason: "no call arrived".to_owned(),
    };
    transition(&db, runs[1].id, closed, at(20)).await.unwrap();
    assert_eq!(overdue(20, 10).await, [runs[2].id]);
    let run = team.run(runs[1].id).await;
    assert_eq!(run.error_message(), Some("no call arrived"));
}

pub async fn runs_are_listed_newest_first_in_pages_and_by_id_in_the_order_asked(db: Db) {
    let team = team(&db, "team").await;
    let (first, a) = team.trigger(3, at(0)).await;
    let (second, b) = team.trigger(2, at(1)).await;
    transition(&db, b[0].id, cancelled(), at(2)).await.unwrap();
    let ids = |rows: &[ringdown_store::Run]| rows.iter().map(|r| r.id).collect::<Vec<_>>();
    let list = async |filter, number, size| {
        let page = Page { number, size };
        let rows = db.runs(team.scope(), filter, page).await.unwrap();
        (rows.count, ids(&rows.rows))
    };
    let all = RunFilter::default();
    assert_eq!(list(all.clone(), 1, 2).await, (5, vec![b[1].id, b[0].id]));
    assert_eq!(list(all.clone(), 3, 2).await, (5, vec![a[0].id]));
    assert_eq!(list(all, 9, 2).await, (5, vec![]));
    let of_first = RunFilter {
        result: Some(first.id),
        statuses: vec![Status::InQueue, Status::Pending],
        ..RunFilter::default()
    };
    assert_eq!(list(of_first, 1, 9).await.0, 3);
    let over = RunFilter {
        statuses: vec![Status::Cancelled],
        ..RunFilter::default()
    };
    assert_eq!(list(over, 1, 9).await, (1, vec![b[0].id]));
    let asked = [b[0].id, RunId(999), a[2].id, a[0].id];
    let found = db.runs_by_id(team.scope(), &asked).await.unwrap();
    assert_eq!(ids(&found), [b[0].id, a[2].id, a[0].id]);
    assert!(db.runs_by_id(team.scope(), &[]).await.unwrap().is_empty());
    let batches = db
        .batches(team.scope(), BatchFilter::default(), PAGE)
        .await
        .unwrap();
    let order: Vec<_> = batches.rows.iter().map(|batch| batch.id).collect();
    assert_eq!((batches.count, order), (2, vec![second.id, first.id]));
}

/// Whatever a reader of a run could see change, its version tells.
pub async fn every_change_of_a_run_grows_its_version(db: Db) {
    let team = team(&db, "team").await;
    let (batch, runs) = team.trigger(2, at(0)).await;
    let (id, other) = (runs[0].id, runs[1].id);
    let versions = async || {
        let found = db.versions(team.scope(), &[id, RunId(999), other]).await;
        let mut found = found.unwrap();
        found.sort();
        found
    };
    let mut before = versions().await;
    assert_eq!(before, [(id, 1), (other, 1)]);
    let notes = serde_json::json!({"comment": "odd"});
    let notes = notes.as_object().unwrap().clone();
    for step in 0..4 {
        match step {
            0 => drop(db.admit(team.org.id, at(1)).await.unwrap()),
            1 => drop(transition(&db, id, cancelled(), at(2)).await.unwrap()),
            2 => {
                let patch = RunPatch {
                    notes: Some(notes.clone()),
                    ..RunPatch::default()
                };
                db.patch_run(id, patch, at(3)).await.unwrap();
            }
            _ => db
                .rename_batch(team.scope(), batch.id, "new")
                .await
                .unwrap(),
        }
        let after = versions().await;
        assert_eq!(after[0].1, before[0].1 + 1, "step {step}");
        before = after;
    }
    let run = team.run(id).await;
    assert_eq!(
        (run.version, run.seq),
        (5, 3),
        "only transitions have a seq"
    );
    assert_eq!((run.notes, run.result_name.as_str()), (notes, "new"));
    assert!(db.versions(team.scope(), &[]).await.unwrap().is_empty());

    // A batch is renamed while its runs go on: no change is lost, none waits for ever.
    let (batch, runs) = team.trigger(20, at(4)).await;
    let mut tasks = tokio::task::JoinSet::new();
    for run in &runs {
        let (db, id) = (std::sync::Arc::clone(&db), run.id);
        tasks.spawn(async move {
            transition(&db, id, cancelled(), at(5)).await.unwrap();
        });
    }
    for name in 0..10 {
        let (db, scope) = (std::sync::Arc::clone(&db), team.scope());
        tasks.spawn(async move {
            let name = name.to_string();
            db.rename_batch(scope, batch.id, &name).await.unwrap();
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    for run in runs {
        assert_eq!(team.run(run.id).await.version, 1 + 1 + 10);
    }
}

/// Two people write different notes about one run, again and again: none undoes another's.
pub async fn notes_written_at_once_are_all_kept(db: Db) {
    let team = team(&db, "team").await;
    let (_, runs) = team.trigger(1, at(0)).await;
    let id = runs[0].id;
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..8 {
        let db = std::sync::Arc::clone(&db);
        tasks.spawn(async move {
            for round in 0..5 {
                let note = (format!("note {writer}"), serde_json::json!(round));
                let patch = RunPatch {
                    notes: Some([note].into_iter().collect()),
                    ..RunPatch::default()
                };
                db.patch_run(id, patch, at(1)).await.unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let run = team.run(id).await;
    assert_eq!(run.notes.len(), 8, "{:?}", run.notes);
    assert!(run.notes.values().all(|note| note == 4), "{:?}", run.notes);
    assert_eq!(run.version, 1 + 8 * 5);
}

/// Many runs change at the same time, in batches of their own and in the same one, some of them impossibly: each
/// gets its own answer, and what is counted and announced agrees with the runs.
pub async fn steps_at_once_do_not_mix(db: Db) {
    let team = team(&db, "team").await;
    let (first, runs) = team.trigger(40, at(0)).await;
    let (second, others) = team.trigger(10, at(0)).await;
    let missing = RunId(others[9].id.0 + 1_000);
    let ids: Vec<RunId> = runs.iter().chain(&others).map(|run| run.id).collect();
    let mut tasks = tokio::task::JoinSet::new();
    for (index, id) in ids.iter().copied().chain([missing]).enumerate() {
        let db = std::sync::Arc::clone(&db);
        tasks.spawn(async move {
            let event = match index % 4 {
                // Nothing that has not been called can end a call.
                3 => Event::Scored { success: true },
                _ => Event::Cancelled {
                    reason: format!("run {index}\0"),
                },
            };
            let done = db.transition(id, event, RunPatch::default(), at(5)).await;
            (index, id, done)
        });
    }
    while let Some(done) = tasks.join_next().await {
        let (index, id, done) = done.unwrap();
        match done {
            Ok(done) => {
                assert_ne!(index % 4, 3);
                assert_eq!(done.run.id, id);
                assert_eq!(done.run.seq, 2);
                let stored = team.run(id).await;
                assert_eq!(stored.status(), Status::Cancelled);
                let reason = stored.error_message().unwrap_or_default().to_owned();
                assert_eq!(reason, format!("run {index}\u{fffd}"));
            }
            Err(Error::Illegal(_)) => assert_eq!(index % 4, 3),
            Err(Error::NotFound { .. }) => assert_eq!(id, missing),
            Err(error) => panic!("{error}"),
        }
    }
    for (batch, total, cancelled) in [(first.id, 40, 30), (second.id, 10, 8)] {
        let counts = db.batch(team.scope(), batch).await.unwrap().counts;
        assert_eq!(counts.total, total);
        assert_eq!(counts.cancelled, cancelled, "{counts:?}");
        assert_eq!(counts.in_queue, total - cancelled, "{counts:?}");
    }
    let announced = db.outbox(1_000).await.unwrap();
    let entered = announced.iter().filter(|row| match &row.event {
        Announcement::Entered(entered) => {
            assert_eq!((entered.seq, entered.status), (2, Status::Cancelled));
            true
        }
        Announcement::Accepted(_) => false,
    });
    assert_eq!(entered.count(), 38);
}
