use std::time::Duration;

use ringdown_store::{
    AgentFilter, Error, Extra, NewAgent, NewPhoneNumber, NewTestProfile, Scenario, ScenarioFilter,
    TagMatch, TestProfileFilter,
};

use super::{Db, PAGE, at, cancelled, number, team, transition};

fn extra(text: &str) -> Extra {
    let value = serde_json::json!({"note": text, "nested": {"list": [1, 2.5, null]}});
    value.as_object().unwrap().clone()
}

fn missing<T: std::fmt::Debug>(answer: &Result<T, Error>) {
    assert!(matches!(answer, Err(Error::NotFound { .. })), "{answer:?}");
}

pub async fn agents_are_kept_whole(db: Db) {
    let team = team(&db, "team").await;
    let org = team.org.id;
    let new = NewAgent {
        org,
        project: team.project.id,
        name: "100% O'Brien_\u{1f4de}".to_owned(),
        inbound: true,
        contact_number: None,
        outbound_numbers: vec![number(1), number(2)],
        dial_route: Some("twilio".to_owned()),
        extra: extra("kept"),
    };
    let mut agent = db.create_agent(new, at(3)).await.unwrap();
    assert_eq!(db.agent(org, agent.id).await.unwrap(), agent);
    assert_eq!(agent.extra, extra("kept"));
    let find = async |text: &str| {
        let filter = AgentFilter {
            project: Some(team.project.id),
            name_contains: Some(text.to_owned()),
        };
        db.agents(org, filter, PAGE).await.unwrap().count
    };
    assert_eq!(find("o'brien").await, 1);
    assert_eq!(find("%").await, 1, "a percent sign is no wildcard");
    assert_eq!(find("' OR 1=1").await, 0);
    let all = db.agents(org, AgentFilter::default(), PAGE).await.unwrap();
    assert_eq!(all.rows[0].id, agent.id, "newest first");

    agent.name = "renamed".to_owned();
    agent.contact_number = Some(number(3));
    agent.outbound_numbers.clear();
    agent.extra = extra("changed");
    db.update_agent(&agent, at(4)).await.unwrap();
    agent.updated_at = at(4);
    assert_eq!(db.agent(org, agent.id).await.unwrap(), agent);

    // Its evaluators go with the agent; runs stay as they were.
    let (_, runs) = team.trigger(1, at(5)).await;
    db.delete_agent(org, team.agent.id).await.unwrap();
    missing(&db.agent(org, team.agent.id).await);
    missing(&db.scenario(org, team.scenario.id).await);
    missing(&db.delete_agent(org, team.agent.id).await);
    let run = db.run(org, runs[0].id).await.unwrap();
    assert_eq!(run.agent_name, team.agent.name);
}

pub async fn evaluators_are_kept_whole_and_found_by_tag_and_folder(db: Db) {
    let team = team(&db, "team").await;
    let org = team.org.id;
    let create = async |name: &str, tags: &[&str], folder: Option<&str>| -> Scenario {
        let mut new = team.new_scenario(name);
        new.tags = tags.iter().map(ToString::to_string).collect();
        new.folder_path = folder.map(ToOwned::to_owned);
        new.max_duration = Some(Duration::from_secs(90));
        new.extra = extra(name);
        db.create_scenario(new, at(1)).await.unwrap()
    };
    let a = create("a", &["smoke", "en"], Some("sales")).await;
    let b = create("b", &["smoke"], Some("sales.eu")).await;
    let c = create("c", &[], Some("sales_eu")).await;
    assert_eq!(db.scenario(org, a.id).await.unwrap(), a);
    assert_eq!(a.number.as_ref(), Some(&team.number.number));
    let find = async |filter| -> Vec<_> {
        let rows = db.scenarios(org, filter, PAGE).await.unwrap();
        assert_eq!(rows.count, rows.rows.len() as u64);
        rows.rows.into_iter().map(|row| row.id).collect()
    };
    let tagged = |tags: &[&str], tag_match| ScenarioFilter {
        tags: tags.iter().map(ToString::to_string).collect(),
        tag_match,
        ..ScenarioFilter::default()
    };
    let first = team.scenario.id;
    let both = ["smoke", "en"];
    assert_eq!(find(tagged(&both, TagMatch::Any)).await, [a.id, b.id]);
    assert_eq!(find(tagged(&both, TagMatch::All)).await, [a.id]);
    assert_eq!(
        find(tagged(&["en"], TagMatch::None)).await,
        [first, b.id, c.id]
    );
    assert_eq!(find(tagged(&["smoke', 'x"], TagMatch::Any)).await, []);
    let in_folder = |folder: &str| ScenarioFilter {
        folder_path: Some(folder.to_owned()),
        ..ScenarioFilter::default()
    };
    assert_eq!(find(in_folder("sales")).await, [a.id, b.id]);
    assert_eq!(find(in_folder("sales.eu")).await, [b.id]);
    let by_id = ScenarioFilter {
        ids: Some(vec![c.id, a.id]),
        agent: Some(team.agent.id),
        project: Some(team.project.id),
        ..ScenarioFilter::default()
    };
    assert_eq!(find(by_id).await, [a.id, c.id]);
    let none = ScenarioFilter {
        ids: Some(vec![]),
        ..ScenarioFilter::default()
    };
    assert_eq!(find(none).await, []);

    let mut changed = a.clone();
    changed.name = "changed".to_owned();
    changed.tags = vec!["en".to_owned()];
    changed.max_duration = None;
    db.update_scenario(&changed, at(2)).await.unwrap();
    changed.updated_at = at(2);
    assert_eq!(db.scenario(org, a.id).await.unwrap(), changed);
    db.delete_scenario(org, a.id).await.unwrap();
    missing(&db.scenario(org, a.id).await);
    missing(&db.update_scenario(&changed, at(3)).await);
}

pub async fn test_profiles_are_kept_whole(db: Db) {
    let team = team(&db, "team").await;
    let org = team.org.id;
    let new = NewTestProfile {
        org,
        project: Some(team.project.id),
        agent: None,
        name: "caller".to_owned(),
        information: serde_json::json!({"name": "Ana"}),
    };
    let mut profile = db.create_test_profile(new, at(1)).await.unwrap();
    assert_eq!(db.test_profile(org, profile.id).await.unwrap(), profile);
    profile.information = serde_json::json!(["anything"]);
    profile.agent = Some(team.agent.id);
    db.update_test_profile(&profile, at(2)).await.unwrap();
    profile.updated_at = at(2);
    let filter = TestProfileFilter {
        project: Some(team.project.id),
        agent: Some(team.agent.id),
    };
    let found = db.test_profiles(org, filter, PAGE).await.unwrap();
    assert_eq!(found.rows, [profile.clone()]);

    // An evaluator outlives its profile.
    let mut scenario = team.scenario.clone();
    scenario.test_profile = Some(profile.id);
    db.update_scenario(&scenario, at(2)).await.unwrap();
    db.delete_test_profile(org, profile.id).await.unwrap();
    missing(&db.test_profile(org, profile.id).await);
    let scenario = db.scenario(org, scenario.id).await.unwrap();
    assert_eq!(scenario.test_profile, None);
}

pub async fn numbers_are_shared_out_and_kept_while_runs_wait_on_them(db: Db) {
    let (ours, theirs) = (team(&db, "ours").await, team(&db, "theirs").await);
    let org = ours.org.id;
    let add = |org, number| {
        let name = Some("second".to_owned());
        db.add_phone_number(NewPhoneNumber { org, number, name }, at(1))
    };
    let second = add(org, number(50)).await.unwrap();
    assert_eq!(db.phone_number(org, second.id).await.unwrap(), second);
    for taken in [number(50), ours.number.number.clone()] {
        let again = add(theirs.org.id, taken).await;
        assert!(matches!(again, Err(Error::Conflict { .. })), "{again:?}");
    }
    // The free number first, then the least used one.
    let create = async |name| {
        let new = ours.new_scenario(name);
        db.create_scenario(new, at(2))
            .await
            .unwrap()
            .number
            .unwrap()
    };
    assert_eq!(create("a").await, second.number);
    assert_eq!(create("b").await, ours.number.number);
    let (_, runs) = ours.trigger(1, at(3)).await;
    let waiting = db.delete_phone_number(org, ours.number.id).await;
    assert!(matches!(waiting, Err(Error::Conflict { .. })));
    transition(&db, runs[0].id, cancelled(), at(4))
        .await
        .unwrap();
    for number in [ours.number.id, second.id] {
        db.delete_phone_number(org, number).await.unwrap();
    }
    missing(&db.phone_number(org, second.id).await);
    let left = db.scenario(org, ours.scenario.id).await.unwrap();
    assert_eq!((left.phone_number, left.number), (None, None));
    // A new number goes to the evaluators that have none.
    let third = add(org, number(51)).await.unwrap();
    let left = db.scenario(org, ours.scenario.id).await.unwrap();
    assert_eq!(left.number, Some(third.number));
    assert_eq!(db.phone_numbers(org, PAGE).await.unwrap().count, 1);
    let named = third.scenario.map(|(id, _)| id);
    assert_eq!(named, Some(ours.scenario.id));
}
