use std::collections::HashSet;
use std::sync::Arc;

use ringdown_domain::E164;
use ringdown_domain::run::Status;
use ringdown_store::{BatchFilter, Error, Firing, Idempotency, Page, RunFilter};

use super::{Db, PAGE, Team, at, cancelled, hidden, new_number, number, team, transition};

pub async fn one_key_stores_one_batch_however_often_it_is_tried(db: Db) {
    let (ours, theirs) = (Arc::new(team(&db, "ours").await), team(&db, "theirs").await);
    let keyed = |team: &Team, runs| {
        let mut new = team.new_batch(runs);
        new.idempotency = Some(Idempotency {
            key: "key".to_owned(),
            request_sha256: [7; 32],
        });
        new
    };
    let org = ours.org.id;
    assert!(db.repeated(org, "key").await.unwrap().is_none());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (db, new) = (Arc::clone(&db), keyed(&ours, 3));
        tasks.spawn(async move { db.trigger(new, at(1)).await });
    }
    let (mut stored, mut repeated) = (Vec::new(), Vec::new());
    while let Some(done) = tasks.join_next().await {
        match done.unwrap() {
            Ok((batch, runs)) => stored.push((batch.id, runs.len())),
            Err(Error::Repeated(id)) => repeated.push(id),
            Err(other) => panic!("{other}"),
        }
    }
    let [(id, 3)] = stored[..] else {
        panic!("{stored:?}")
    };
    assert_eq!(repeated, vec![id; 15]);
    let all = db.batches(ours.scope(), BatchFilter::default(), PAGE).await;
    assert_eq!(all.unwrap().count, 1);

    let before = db.repeated(org, "key").await.unwrap().unwrap();
    assert_eq!((before.result, before.request_sha256), (id, [7; 32]));
    assert_eq!(before.answer, None);
    db.keep_answer(org, "key", "{\"id\": 1}").await.unwrap();
    let before = db.repeated(org, "key").await.unwrap().unwrap();
    assert_eq!(before.answer.as_deref(), Some("{\"id\": 1}"));
    // Another organisation's key is another key.
    db.trigger(keyed(&theirs, 1), at(2)).await.unwrap();
    assert_eq!(db.forget_answers(at(1), 10).await.unwrap(), 0);
    assert_eq!(db.forget_answers(at(9), 1).await.unwrap(), 1);
    assert!(db.repeated(org, "key").await.unwrap().is_none());
    assert!(db.repeated(theirs.org.id, "key").await.unwrap().is_some());
    db.trigger(keyed(&ours, 1), at(3)).await.unwrap();
}

async fn numbers(team: &Team, first: u32, count: u32) {
    for last in first..first + count {
        let new = new_number(team.org.id, number(last));
        team.db.add_phone_number(new, at(0)).await.unwrap();
    }
}

/// Runs that ask for a number of their own never share one, whoever triggers them.
pub async fn runs_of_concurrent_batches_get_different_numbers(db: Db) {
    let (ours, theirs) = (Arc::new(team(&db, "ours").await), team(&db, "theirs").await);
    numbers(&ours, 100, 39).await;
    numbers(&theirs, 200, 10).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let team = Arc::clone(&ours);
        tasks.spawn(async move {
            let mut new = team.new_batch(5);
            for run in &mut new.runs {
                run.number = None;
            }
            team.db.trigger(new, at(1)).await.unwrap().1
        });
    }
    let mut given: Vec<E164> = Vec::new();
    while let Some(done) = tasks.join_next().await {
        given.extend(done.unwrap().into_iter().map(|run| run.number));
    }
    let different: HashSet<&E164> = given.iter().collect();
    assert_eq!((given.len(), different.len()), (40, 40));
    let foreign = number(200);
    assert!(!different.contains(&foreign));
}

pub async fn too_few_numbers_are_counted(db: Db) {
    let team = team(&db, "team").await;
    numbers(&team, 100, 3).await;
    // A number that another project has to itself is none of this project's.
    let other = team.another_project("other").await;
    let own = ringdown_store::Scope {
        org: team.org.id,
        project: Some(other.id),
    };
    db.add_phone_number(new_number(own, number(150)), at(0))
        .await
        .unwrap();
    let asking = |runs: usize| {
        let mut new = team.new_batch(runs);
        for run in &mut new.runs {
            run.number = None;
        }
        new
    };
    let short = async |new| match db.trigger(new, at(1)).await {
        Err(Error::TooFewNumbers { wanted, free }) => (wanted, free),
        other => panic!("{other:?}"),
    };
    assert_eq!(short(asking(5)).await, (5, 4));
    // Numbers that runs of the same batch name are not given to others of it.
    let mut mixed = asking(4);
    mixed.runs[0].number = Some(number(100));
    let (_, runs) = db.trigger(mixed, at(1)).await.unwrap();
    let given: HashSet<&E164> = runs.iter().map(|run| &run.number).collect();
    assert_eq!((runs[0].number.clone(), given.len()), (number(100), 4));
    assert_eq!(short(asking(1)).await, (1, 0));
    let all = db.batches(team.scope(), BatchFilter::default(), PAGE).await;
    assert_eq!(all.unwrap().count, 1, "nothing of the refused ones is left");
    // An ended run gives its number back.
    transition(&db, runs[2].id, cancelled(), at(2))
        .await
        .unwrap();
    let (_, again) = db.trigger(asking(1), at(3)).await.unwrap();
    assert_eq!(again[0].number, runs[2].number);
}

pub async fn a_gated_batch_waits_until_its_gate_opens(db: Db) {
    let team = team(&db, "team").await;
    let mut gated = team.new_batch(2);
    gated.gated = true;
    let (gated, waiting) = db.trigger(gated, at(0)).await.unwrap();
    assert!(gated.gated);
    let (_, open) = team.trigger(1, at(1)).await;
    let admitted = db.admit(team.org.id, at(2)).await.unwrap().runs;
    let ids: Vec<_> = admitted.iter().map(|run| run.id).collect();
    assert_eq!(ids, [open[0].id]);
    let early = team.run(waiting[0].id).await;
    assert_eq!(early.status(), Status::InQueue);
    let events = db.take_webhooks(at(2), at(60), 10).await.unwrap();
    let about: Vec<_> = events
        .iter()
        .map(|event| (event.kind.as_str(), event.result))
        .collect();
    assert_eq!(about, [("result.pre_trigger", Some(gated.id))]);

    db.open_gate(gated.id).await.unwrap();
    db.open_gate(gated.id).await.unwrap();
    db.open_gate(999.into()).await.unwrap();
    assert!(!db.batch(team.scope(), gated.id).await.unwrap().gated);
    assert_eq!(db.admit(team.org.id, at(3)).await.unwrap().runs.len(), 2);
    // What waits at a gate can be cancelled there.
    let mut never = team.new_batch(1);
    never.gated = true;
    let (never, _) = db.trigger(never, at(4)).await.unwrap();
    let ended = db
        .cancel_batch(team.scope(), never.id, "no", 9, at(5))
        .await;
    assert_eq!(ended.unwrap().len(), 1);
    db.open_gate(never.id).await.unwrap();
    assert!(db.admit(team.org.id, at(6)).await.unwrap().runs.is_empty());
}

pub async fn batches_are_listed_renamed_and_shared(db: Db) {
    let (ours, theirs) = (team(&db, "ours").await, team(&db, "theirs").await);
    let me = ours.scope();
    let mut new = ours.new_batch(2);
    new.name = "Nightly 100%".to_owned();
    let mut second = ours.new_template();
    second.scenario = 77.into();
    second.scenario_name = "second".to_owned();
    new.templates.push(second);
    new.runs[1].template = 1;
    let job = super::projects::cron_job(&ours, &ours.project);
    let job = db.create_cron_job(job, at(0)).await.unwrap().id;
    new.cron_job = Some(Firing {
        job,
        due: at(100),
        next: None,
    });
    new.concurrency_limit = Some(3);
    let (first, runs) = db.trigger(new, at(0)).await.unwrap();
    assert_eq!(
        (first.cron_job, first.concurrency_limit),
        (Some(job), Some(3))
    );
    assert_eq!(
        team_scenarios(&ours, &runs).await,
        [ours.scenario.id, 77.into()]
    );
    let (other, _) = ours.trigger(1, at(1)).await;
    let find = async |filter, page| {
        let found = db.batches(me, filter, page).await.unwrap();
        let ids: Vec<_> = found.rows.iter().map(|batch| batch.id).collect();
        (found.count, ids)
    };
    let text = |text: &str| BatchFilter {
        search: Some(text.to_owned()),
        ..BatchFilter::default()
    };
    assert_eq!(find(text("nightly"), PAGE).await, (1, vec![first.id]));
    assert_eq!(find(text("0%"), PAGE).await, (1, vec![first.id]));
    assert_eq!(find(text("_"), PAGE).await, (0, vec![]));
    let of_scenario = BatchFilter {
        scenarios: vec![77.into(), 78.into()],
        ..BatchFilter::default()
    };
    assert_eq!(find(of_scenario, PAGE).await, (1, vec![first.id]));
    let of_agent = BatchFilter {
        agent: Some(ours.agent.id),
        project: Some(ours.project.id),
        ..BatchFilter::default()
    };
    let one = Page { number: 1, size: 1 };
    assert_eq!(find(of_agent, one).await, (2, vec![other.id]));
    let mut scenarios = db.batch_scenarios(&[first.id, other.id]).await.unwrap();
    scenarios.sort();
    let name = ours.scenario.name.clone();
    let mut expected = vec![
        (first.id, ours.scenario.id, name.clone()),
        (first.id, 77.into(), "second".to_owned()),
        (other.id, ours.scenario.id, name),
    ];
    expected.sort();
    assert_eq!(scenarios, expected);
    assert!(db.batch_scenarios(&[]).await.unwrap().is_empty());

    let foreign = db.rename_batch(theirs.scope(), first.id, "x").await;
    hidden("a batch", &foreign);
    db.rename_batch(me, first.id, "renamed").await.unwrap();
    assert_eq!(db.batch(me, first.id).await.unwrap().name, "renamed");
    let run = ours.run(runs[0].id).await;
    assert_eq!((run.result_name.as_str(), run.version), ("renamed", 2));

    let link = db.add_share_link(theirs.scope(), first.id, [1; 32], at(9), at(1));
    hidden("a batch", &link.await);
    db.add_share_link(me, first.id, [1; 32], at(9), at(1))
        .await
        .unwrap();
    let shared = async |token, now| db.shared_batch([token; 32], at(now)).await.unwrap();
    assert_eq!(shared(1, 8).await, Some((ours.org.id, first.id)));
    assert_eq!(shared(1, 9).await, None);
    assert_eq!(shared(2, 8).await, None);
}

async fn team_scenarios(
    team: &Team,
    runs: &[ringdown_store::TriggeredRun],
) -> Vec<ringdown_domain::ScenarioId> {
    let ids: Vec<_> = runs.iter().map(|run| run.id).collect();
    let runs = team.db.runs_by_id(team.scope(), &ids).await.unwrap();
    runs.into_iter().map(|run| run.scenario).collect()
}

pub async fn a_cancelled_batch_ends_in_portions_its_queue_first(db: Db) {
    let team = team(&db, "team").await;
    team.limit(Some(2)).await;
    let (batch, runs) = team.trigger(5, at(0)).await;
    db.admit(team.org.id, at(1)).await.unwrap();
    let mut portions = Vec::new();
    loop {
        let ended = db.cancel_batch(team.scope(), batch.id, "stop", 2, at(2));
        let ended = ended.await.unwrap();
        if ended.is_empty() {
            break;
        }
        let ids: Vec<_> = ended.iter().map(|ended| ended.run.id).collect();
        assert!(
            ended
                .iter()
                .all(|ended| ended.run.error_message() == Some("stop"))
        );
        assert!(db.admit(team.org.id, at(2)).await.unwrap().runs.len() <= 1);
        portions.push(ids);
    }
    let order: Vec<_> = portions.concat();
    assert_eq!(order.len(), 5);
    assert_eq!(
        portions[0],
        [runs[4].id, runs[3].id],
        "the queue's end first"
    );
    let cancelled = RunFilter {
        statuses: vec![Status::Cancelled],
        ..RunFilter::default()
    };
    let found = db.runs(team.scope(), cancelled, PAGE).await.unwrap();
    assert_eq!(found.count, 5);
}
