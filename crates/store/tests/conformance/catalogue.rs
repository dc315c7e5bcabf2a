use std::time::Duration;

use ringdown_store::{
    AgentFilter, Error, Extra, NewPersonality, NewPhoneNumber, NewTestProfile, Scenario,
    ScenarioFilter, Scope, TagMatch, TestProfileFilter,
};

use super::{
    Db, PAGE, at, cancelled, hidden, new_agent, new_number, number, refused, team, transition,
};

fn extra(text: &str) -> Extra {
    let value = serde_json::json!({"note": text, "nested": {"list": [1, 2.5, null]}});
    value.as_object().unwrap().clone()
}

fn missing<T: std::fmt::Debug>(answer: &Result<T, Error>) {
    hidden("it", answer);
}

pub async fn agents_are_kept_whole(db: Db) {
    let team = team(&db, "team").await;
    let org = team.scope();
    let mut new = new_agent(team.org.id, team.project.id, "100% O'Brien_\u{1f4de}");
    new.inbound = true;
    new.outbound_numbers = vec![number(1), number(2)];
    new.dial_route = Some("twilio".to_owned());
    new.extra = extra("kept");
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
    db.update_agent(&agent, vec![], at(4)).await.unwrap();
    agent.updated_at = at(4);
    assert_eq!(db.agent(org, agent.id).await.unwrap(), agent);

    // Its evaluators go with the agent; runs stay as they were.
    let (_, runs) = team.trigger(1, at(5)).await;
    db.delete_agent(org, team.agent.id, true).await.unwrap();
    missing(&db.agent(org, team.agent.id).await);
    missing(&db.scenario(org, team.scenario.id).await);
    missing(&db.delete_agent(org, team.agent.id, true).await);
    let run = db.run(org, runs[0].id).await.unwrap();
    assert_eq!(run.agent_name, team.agent.name);
}

pub async fn evaluators_are_kept_whole_and_found_by_tag_and_folder(db: Db) {
    let team = team(&db, "team").await;
    let org = team.scope();
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
    db.delete_scenarios(org, &[a.id]).await.unwrap();
    missing(&db.scenario(org, a.id).await);
    missing(&db.update_scenario(&changed, at(3)).await);
}

pub async fn test_profiles_are_kept_whole(db: Db) {
    let team = team(&db, "team").await;
    let org = team.scope();
    let new = NewTestProfile {
        org: team.org.id,
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
    let org = ours.scope();
    let add = |scope: Scope, number| {
        let new = NewPhoneNumber {
            name: Some("second".to_owned()),
            provider: "twilio".to_owned(),
            provider_id: Some("PN1".to_owned()),
            sms_enabled: true,
            ..new_number(scope, number)
        };
        db.add_phone_number(new, at(1))
    };
    let second = add(org, number(50)).await.unwrap();
    assert_eq!(db.phone_number(org, second.id).await.unwrap(), second);
    for taken in [number(50), ours.number.number.clone()] {
        let again = add(theirs.scope(), taken).await;
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

/// What belongs to an agent goes with it only if that is said.
pub async fn an_agent_is_deleted_alone_only_if_it_is_alone(db: Db) {
    let team = team(&db, "team").await;
    let me = team.scope();
    let fresh = async || {
        let new = new_agent(team.org.id, team.project.id, "agent");
        db.create_agent(new, at(0)).await.unwrap().id
    };
    let alone = fresh().await;
    db.delete_agent(me, alone, false).await.unwrap();
    refused(
        "an evaluator's",
        &db.delete_agent(me, team.agent.id, false).await,
    );
    let with_job = fresh().await;
    let mut job = super::projects::cron_job(&team, &team.project);
    job.agent = Some(with_job);
    let job = db.create_cron_job(job, at(0)).await.unwrap();
    refused("a job's", &db.delete_agent(me, with_job, false).await);
    let with_profile = fresh().await;
    let profile = NewTestProfile {
        org: team.org.id,
        project: Some(team.project.id),
        agent: Some(with_profile),
        name: "profile".to_owned(),
        information: serde_json::json!({}),
    };
    let profile = db.create_test_profile(profile, at(0)).await.unwrap();
    refused(
        "a profile's",
        &db.delete_agent(me, with_profile, false).await,
    );
    for agent in [team.agent.id, with_job, with_profile] {
        assert!(db.agent(me, agent).await.is_ok());
        db.delete_agent(me, agent, true).await.unwrap();
        missing(&db.agent(me, agent).await);
    }
    missing(&db.scenario(me, team.scenario.id).await);
    missing(&db.cron_job(me, job.id).await);
    missing(&db.test_profile(me, profile.id).await);
}

pub async fn personalities_are_kept_whole_and_above_the_built_in_ones(db: Db) {
    let (ours, theirs) = (team(&db, "ours").await, team(&db, "theirs").await);
    let me = ours.scope();
    let create = |name: &str| {
        let new = NewPersonality {
            org: ours.org.id,
            project: ours.project.id,
            name: name.to_owned(),
            language: "de".to_owned(),
            extra: extra(name),
        };
        db.create_personality(new, at(1))
    };
    let mut first = create("first").await.unwrap();
    let second = create("second").await.unwrap();
    assert_eq!((first.id.0, second.id.0), (1_001, 1_002));
    assert_eq!(db.personality(me, first.id).await.unwrap(), first);
    let all = db.personalities(me, Some(ours.project.id)).await.unwrap();
    assert_eq!(all, [first.clone(), second.clone()]);
    assert!(
        db.personalities(theirs.scope(), None)
            .await
            .unwrap()
            .is_empty()
    );
    missing(&db.personality(theirs.scope(), first.id).await);
    missing(&db.delete_personality(theirs.scope(), first.id).await);
    first.name = "renamed".to_owned();
    first.extra = extra("changed");
    let mut foreign = first.clone();
    foreign.org = theirs.org.id;
    missing(&db.update_personality(&foreign, at(2)).await);
    db.update_personality(&first, at(2)).await.unwrap();
    first.updated_at = at(2);
    assert_eq!(db.personality(me, first.id).await.unwrap(), first);
    db.delete_personality(me, second.id).await.unwrap();
    missing(&db.personality(me, second.id).await);
    assert_eq!(
        create("third").await.unwrap().id.0,
        1_003,
        "ids are never used again"
    );
}

/// PostgreSQL cannot store U+0000. It is not a reason to refuse a call or to break a list: it is
/// replaced.
pub async fn a_text_may_hold_any_character(db: Db) {
    let team = team(&db, "team").await;
    let me = team.scope();
    let odd = "a\0b'\"\\%_?$1\u{1f4de}\n";
    let shown = odd.replace('\0', "\u{fffd}");
    let mut new = team.new_scenario(odd);
    new.tags = vec![odd.to_owned(), "plain".to_owned()];
    new.folder_path = Some(odd.to_owned());
    new.extra = extra(odd);
    let stored = db.create_scenario(new, at(1)).await.unwrap();
    let read = db.scenario(me, stored.id).await.unwrap();
    assert_eq!(
        (read.name.as_str(), read.tags[0].as_str()),
        (shown.as_str(), shown.as_str())
    );
    assert_eq!(read.extra, extra(odd), "JSON may hold it");
    for tag in [odd, shown.as_str(), "plain"] {
        let tagged = ScenarioFilter {
            tags: vec![tag.to_owned()],
            ..ScenarioFilter::default()
        };
        assert_eq!(db.scenarios(me, tagged, PAGE).await.unwrap().count, 1);
    }
    assert_eq!(
        db.tags(me, ScenarioFilter::default()).await.unwrap().len(),
        2
    );
    db.add_tags(me, &[stored.id], &[odd.to_owned(), shown.clone()], at(2))
        .await
        .unwrap();
    assert_eq!(db.scenario(me, stored.id).await.unwrap().tags.len(), 2);
    let matched = team
        .arrive(odd, odd, team.number.number.as_str(), at(3))
        .await;
    assert!(matched.run.is_none());
    let rows = db.attempts(me, ringdown_store::AttemptFilter::default(), PAGE);
    assert_eq!(rows.await.unwrap().rows[0].row.from_raw, shown);
    let filter = ringdown_store::RunFilter {
        search: Some(odd.to_owned()),
        ended_reasons: vec![odd.to_owned()],
        tags: vec![odd.to_owned()],
        call: Some(odd.to_owned()),
        ..ringdown_store::RunFilter::default()
    };
    assert_eq!(db.runs(me, filter, PAGE).await.unwrap().count, 0);
}
