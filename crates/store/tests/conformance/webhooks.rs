use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use ringdown_store::{
    WebhookEvent, WebhookFilter, WebhookKind, WebhookOutcome, WebhookState, WebhookTry,
};

use super::{Db, PAGE, Team, at, cancelled, hidden, team, transition};

async fn events(team: &Team) -> Vec<WebhookEvent> {
    let all = WebhookFilter::default();
    let found = team.db.webhooks(team.scope(), all, PAGE).await.unwrap();
    assert_eq!(found.count, found.rows.len() as u64);
    found.rows
}

pub async fn the_end_of_a_result_is_told_if_its_project_has_a_target(db: Db) {
    let team = team(&db, "team").await;
    let end = async |runs: &[ringdown_store::TriggeredRun]| {
        for run in runs {
            assert!(events(&team).await.is_empty(), "told before the end");
            transition(&db, run.id, cancelled(), at(2)).await.unwrap();
        }
    };
    let (_, untold) = team.trigger(2, at(0)).await;
    end(&untold).await;
    assert!(
        events(&team).await.is_empty(),
        "there is nowhere to tell it"
    );
    let mut project = team.project.clone();
    project.webhook_url = Some("https://example.com/hook".to_owned());
    db.update_project(&project, vec![], at(1)).await.unwrap();
    let (batch, told) = team.trigger(3, at(1)).await;
    end(&told).await;
    let told = events(&team).await;
    assert_eq!(told.len(), 1);
    let event = &told[0];
    assert_eq!(
        (event.kind, event.result),
        (WebhookKind::ResultCompleted, Some(batch.id))
    );
    assert_eq!(
        (event.state, event.next_try_at),
        (WebhookState::Due, Some(at(2)))
    );
    assert_eq!((event.project, event.tries), (project.id, 0));
    // Whatever is written about its runs afterwards ends it no second time.
    let run = db.runs_of(team.scope(), batch.id, None, 1).await.unwrap();
    let patch = ringdown_store::RunPatch {
        duration: Some(Duration::from_secs(1)),
        ..ringdown_store::RunPatch::default()
    };
    db.patch_run(run[0].id, patch, at(3)).await.unwrap();
    assert_eq!(events(&team).await.len(), 1);

    // Of runs that end at once, one is the last.
    let (_, runs) = team.trigger(16, at(4)).await;
    let mut tasks = tokio::task::JoinSet::new();
    for run in runs {
        let db = Arc::clone(&db);
        tasks.spawn(async move {
            transition(&db, run.id, cancelled(), at(5)).await.unwrap();
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert_eq!(events(&team).await.len(), 2);
}

pub async fn each_due_event_is_taken_once(db: Db) {
    let team = team(&db, "team").await;
    let mut added = Vec::new();
    for n in 0..40 {
        let body = format!("{n}");
        let event = db.add_webhook(
            team.org.id,
            team.project.id,
            WebhookKind::Test,
            None,
            &body,
            at(100 - n),
        );
        added.push(event.await.unwrap().id);
    }
    assert_eq!(db.next_webhook().await.unwrap(), Some(at(61)));
    let first = db.take_webhooks(at(62), at(500), 9).await.unwrap();
    let ids: Vec<_> = first.iter().map(|event| event.id).collect();
    assert_eq!(ids, [added[39], added[38]], "most overdue first");
    assert!(first.iter().all(|event| event.next_try_at == Some(at(500))));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let db = Arc::clone(&db);
        tasks.spawn(async move {
            let mut taken = Vec::new();
            loop {
                let some = db.take_webhooks(at(100), at(500), 3).await.unwrap();
                assert!(some.len() <= 3, "{} at once", some.len());
                if some.is_empty() {
                    return taken;
                }
                taken.extend(some.into_iter().map(|event| event.id));
            }
        });
    }
    let mut taken = Vec::new();
    while let Some(some) = tasks.join_next().await {
        taken.extend(some.unwrap());
    }
    let different: HashSet<_> = taken.iter().collect();
    assert_eq!(different.len(), taken.len(), "none is taken twice");
    // What others hold while one looks is left to the next look.
    taken.extend(
        db.take_webhooks(at(100), at(500), 100)
            .await
            .unwrap()
            .iter()
            .map(|e| e.id),
    );
    assert_eq!(taken.len(), 38);
    // Whoever took them died: they are due again.
    assert_eq!(
        db.take_webhooks(at(499), at(900), 99).await.unwrap().len(),
        0
    );
    assert_eq!(
        db.take_webhooks(at(500), at(900), 99).await.unwrap().len(),
        40
    );
}

pub async fn tries_are_kept_and_an_event_is_replayed(db: Db) {
    let (team, theirs) = (team(&db, "team").await, super::team(&db, "theirs").await);
    let me = team.scope();
    let (batch, _) = team.trigger(1, at(0)).await;
    let (org, project) = (team.org.id, team.project.id);
    let added = db.add_webhook(org, project, WebhookKind::Test, Some(batch.id), "{}", at(1));
    let id = added.await.unwrap().id;
    db.add_webhook(org, project, WebhookKind::ResultPreTrigger, None, "", at(1))
        .await
        .unwrap();
    let tried = |n: u64, status: Option<u16>, state, next| {
        let attempt = WebhookTry {
            at: at(n),
            url: "https://example.com/hook".to_owned(),
            status,
            error: if status.is_none() { "no route" } else { "" }.to_owned(),
            answer: "answer".to_owned(),
            duration: Duration::from_millis(1_234),
        };
        WebhookOutcome {
            attempt: Some(attempt),
            state,
            next_try_at: next,
            body: "{\"n\": 1}".to_owned(),
        }
    };
    let outcomes = [
        tried(2, None, WebhookState::Due, Some(at(9))),
        tried(9, Some(500), WebhookState::Failed, None),
    ];
    for outcome in &outcomes {
        db.webhook_tried(id, outcome.clone(), at(10)).await.unwrap();
    }
    let (event, tries) = db.webhook(me, id).await.unwrap();
    assert_eq!((event.state, event.tries), (WebhookState::Failed, 2));
    assert_eq!(
        (event.next_try_at, event.body.as_str()),
        (None, "{\"n\": 1}")
    );
    assert_eq!(event.url, "https://example.com/hook");
    let expected: Vec<_> = outcomes.iter().filter_map(|o| o.attempt.clone()).collect();
    assert_eq!(tries, expected);
    let skipped = WebhookOutcome {
        attempt: None,
        ..tried(0, None, WebhookState::Skipped, None)
    };
    let unknown = db.webhook_tried(999.into(), skipped, at(10)).await;
    hidden("an event", &unknown);

    let find = async |filter| {
        let found = db.webhooks(me, filter, PAGE).await.unwrap();
        assert_eq!(found.count, found.rows.len() as u64);
        found
            .rows
            .into_iter()
            .map(|event| event.id)
            .collect::<Vec<_>>()
    };
    let failed = WebhookFilter {
        state: Some(WebhookState::Failed),
        result: Some(batch.id),
        project: Some(project),
        kind: Some(WebhookKind::Test),
    };
    assert_eq!(find(failed.clone()).await, [id]);
    let due = WebhookFilter {
        state: Some(WebhookState::Due),
        ..WebhookFilter::default()
    };
    assert_eq!(find(due).await.len(), 1);
    hidden("an event", &db.webhook(theirs.scope(), id).await);
    hidden(
        "an event",
        &db.replay_webhook(theirs.scope(), id, at(11)).await,
    );
    let again = db.replay_webhook(me, id, at(11)).await.unwrap();
    assert_eq!(
        (again.id, again.state, again.tries),
        (id, WebhookState::Due, 0)
    );
    assert_eq!(
        (again.next_try_at, again.body.as_str()),
        (Some(at(11)), "{\"n\": 1}")
    );
    let (_, tries) = db.webhook(me, id).await.unwrap();
    assert_eq!(tries.len(), 2, "what was tried before is kept");
    let taken = db.take_webhooks(at(11), at(60), 9).await.unwrap();
    assert!(taken.iter().any(|event| event.id == id));
}
