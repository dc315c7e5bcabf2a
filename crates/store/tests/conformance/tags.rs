use ringdown_domain::ScenarioId;
use ringdown_store::ScenarioFilter;

use super::{Db, PAGE, Team, at, hidden, team};

async fn tagged(team: &Team, name: &str, tags: &[&str]) -> ringdown_store::Scenario {
    let mut new = team.new_scenario(name);
    new.tags = tags.iter().map(ToString::to_string).collect();
    team.db.create_scenario(new, at(1)).await.unwrap()
}

async fn names(team: &Team) -> Vec<String> {
    let all = ScenarioFilter::default();
    let found = team.db.scenarios(team.scope(), all, PAGE).await.unwrap();
    found.rows.into_iter().map(|row| row.name).collect()
}

pub async fn evaluators_are_stored_all_or_none(db: Db) {
    let (ours, theirs) = (team(&db, "ours").await, team(&db, "theirs").await);
    let new = |name: &str| ours.new_scenario(name);
    let mut foreign = new("c");
    foreign.agent = theirs.agent.id;
    let refused = db.create_scenarios(vec![new("b"), foreign], at(1)).await;
    hidden("a foreign agent", &refused);
    assert_eq!(names(&ours).await, ["first"]);
    let created = db.create_scenarios(vec![new("b"), new("c")], at(1)).await;
    let created: Vec<_> = created.unwrap().into_iter().map(|s| s.name).collect();
    assert_eq!(created, ["b", "c"]);
    assert_eq!(names(&ours).await, ["first", "b", "c"]);
}

pub async fn tags_are_added_to_all_or_none_and_counted(db: Db) {
    let (ours, theirs) = (team(&db, "ours").await, team(&db, "theirs").await);
    let a = tagged(&ours, "a", &["smoke", "en"]).await;
    let b = tagged(&ours, "b", &["smoke"]).await;
    tagged(&theirs, "c", &["secret"]).await;
    let me = ours.scope();
    let tags = ["new".to_owned(), "smoke".to_owned(), "new".to_owned()];
    for missing in [ScenarioId(999), theirs.scenario.id] {
        let ids = [a.id, missing];
        hidden("one of them", &db.add_tags(me, &ids, &tags, at(2)).await);
        assert_eq!(db.scenario(me, a.id).await.unwrap(), a);
    }
    db.add_tags(me, &[a.id, b.id, a.id], &tags, at(2))
        .await
        .unwrap();
    let now = async |id| db.scenario(me, id).await.unwrap().tags;
    assert_eq!(now(a.id).await, ["smoke", "en", "new"]);
    assert_eq!(now(b.id).await, ["smoke", "new"]);
    let used = db.tags(me, ScenarioFilter::default()).await.unwrap();
    let used: Vec<_> = used.iter().map(|(tag, n)| (tag.as_str(), *n)).collect();
    assert_eq!(used, [("en", 1), ("new", 2), ("smoke", 2)]);
    let of_nobody = ScenarioFilter {
        agent: Some(theirs.agent.id),
        ..ScenarioFilter::default()
    };
    assert!(db.tags(me, of_nobody).await.unwrap().is_empty());

    // Many at once on the same evaluators, named in any order: none waits for another for ever.
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8 {
        let db = std::sync::Arc::clone(&db);
        let ids = if task % 2 == 0 {
            [a.id, b.id]
        } else {
            [b.id, a.id]
        };
        tasks.spawn(async move {
            for round in 0..5 {
                let tag = [format!("t{task}-{round}")];
                db.add_tags(me, &ids, &tag, at(3)).await.unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert_eq!(now(a.id).await.len(), 3 + 40);
    assert_eq!(now(b.id).await.len(), 2 + 40);
}

pub async fn evaluators_are_deleted_all_or_none(db: Db) {
    let (ours, theirs) = (team(&db, "ours").await, team(&db, "theirs").await);
    let a = tagged(&ours, "a", &[]).await;
    let me = ours.scope();
    for missing in [ScenarioId(999), theirs.scenario.id] {
        let ids = [a.id, missing];
        hidden("one of them", &db.delete_scenarios(me, &ids).await);
        assert_eq!(names(&ours).await, ["first", "a"]);
    }
    db.delete_scenarios(me, &[]).await.unwrap();
    db.delete_scenarios(me, &[a.id, ours.scenario.id])
        .await
        .unwrap();
    assert!(names(&ours).await.is_empty());
    assert_eq!(names(&theirs).await, ["first"]);
}
