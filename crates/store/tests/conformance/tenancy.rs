use ringdown_domain::Timestamp;
use ringdown_store::{
    AgentFilter, AttemptFilter, Error, NewApiKey, NewOrganisation, NewTestProfile, Reject,
    RunFilter, ScenarioFilter, TestProfileFilter,
};

use super::{Db, PAGE, at, team};

fn hidden<T: std::fmt::Debug>(what: &str, answer: &Result<T, Error>) {
    assert!(
        matches!(answer, Err(Error::NotFound { .. })),
        "{what} of another organisation: {answer:?}"
    );
}

/// Every method that takes an organisation refuses or hides what another one owns.
pub async fn nothing_of_another_organisation_is_read_or_changed(db: Db) {
    let (ours, theirs) = (team(&db, "ours").await, team(&db, "theirs").await);
    let profile = NewTestProfile {
        org: theirs.org.id,
        project: None,
        agent: Some(theirs.agent.id),
        name: "secret".to_owned(),
        information: serde_json::json!({"pin": 1234}),
    };
    let profile = db.create_test_profile(profile, at(0)).await.unwrap();
    let (batch, queued) = theirs.trigger(1, at(0)).await;
    let run = theirs.pending(at(1)).await;
    theirs.call("theirs", at(2)).await;
    let me = ours.org.id;

    hidden("a project", &db.project(me, theirs.project.id).await);
    hidden("an agent", &db.agent(me, theirs.agent.id).await);
    hidden("an evaluator", &db.scenario(me, theirs.scenario.id).await);
    hidden("a profile", &db.test_profile(me, profile.id).await);
    hidden("a number", &db.phone_number(me, theirs.number.id).await);
    hidden("a run", &db.run(me, run.id).await);
    hidden("a batch", &db.batch(me, batch.id).await);
    let ids = [run.id, queued[0].id];
    assert!(db.runs_by_id(me, &ids).await.unwrap().is_empty());
    let projects = db.projects(me).await.unwrap();
    assert!(projects.iter().all(|project| project.org == me));
    assert!(db.queue(me).await.unwrap().is_empty());
    assert!(db.admit(me, at(3)).await.unwrap().is_empty());
    let on_theirs = db.pending_on(me, &theirs.number.number).await.unwrap();
    assert_eq!(on_theirs, 0);

    let agents = db.agents(me, AgentFilter::default(), PAGE).await.unwrap();
    assert!(agents.count == 1 && agents.rows.iter().all(|row| row.org == me));
    let filter = ScenarioFilter {
        ids: Some(vec![theirs.scenario.id]),
        ..ScenarioFilter::default()
    };
    assert_eq!(db.scenarios(me, filter, PAGE).await.unwrap().count, 0);
    let filter = TestProfileFilter {
        agent: Some(theirs.agent.id),
        ..TestProfileFilter::default()
    };
    let profiles = db.test_profiles(me, filter, PAGE).await.unwrap();
    assert!(profiles.rows.is_empty());
    let numbers = db.phone_numbers(me, PAGE).await.unwrap();
    assert!(numbers.rows.iter().all(|row| row.org == me));
    let filter = RunFilter {
        result: Some(batch.id),
        agent: Some(theirs.agent.id),
        project: Some(theirs.project.id),
        statuses: vec![],
    };
    assert_eq!(db.runs(me, filter, PAGE).await.unwrap().count, 0);
    let batches = db.batches(me, Some(theirs.agent.id), PAGE).await.unwrap();
    assert!(batches.rows.is_empty());
    let filter = AttemptFilter {
        run: Some(run.id),
        ..AttemptFilter::default()
    };
    assert_eq!(db.attempts(me, filter, PAGE).await.unwrap().count, 0);

    let mut agent = theirs.agent.clone();
    agent.org = me;
    hidden("an agent", &db.update_agent(&agent, at(4)).await);
    let mut scenario = theirs.scenario.clone();
    scenario.org = me;
    hidden("an evaluator", &db.update_scenario(&scenario, at(4)).await);
    let mut changed = profile.clone();
    changed.org = me;
    hidden("a profile", &db.update_test_profile(&changed, at(4)).await);
    let mut project = theirs.project.clone();
    project.org = me;
    hidden("a project", &db.update_project(&project).await);
    hidden("an agent", &db.delete_agent(me, theirs.agent.id).await);
    hidden(
        "an evaluator",
        &db.delete_scenario(me, theirs.scenario.id).await,
    );
    hidden("a profile", &db.delete_test_profile(me, profile.id).await);
    hidden(
        "a number",
        &db.delete_phone_number(me, theirs.number.id).await,
    );

    let them = theirs.org.id;
    assert_eq!(db.agent(them, theirs.agent.id).await.unwrap(), theirs.agent);
    assert_eq!(db.test_profile(them, profile.id).await.unwrap(), profile);
    assert_eq!(db.run(them, run.id).await.unwrap().org, them);
}

/// A number that changed hands does not carry one team's calls into the other's ledger.
pub async fn a_number_that_changed_hands_tells_its_new_owner_nothing(db: Db) {
    let (before, after) = (team(&db, "before").await, team(&db, "after").await);
    let run = before.pending(at(0)).await;
    super::transition(&db, run.id, super::cancelled(), at(1))
        .await
        .unwrap();
    db.delete_phone_number(before.org.id, before.number.id)
        .await
        .unwrap();
    let new = ringdown_store::NewPhoneNumber {
        org: after.org.id,
        number: before.number.number.clone(),
        name: None,
    };
    db.add_phone_number(new, at(2)).await.unwrap();
    let to = before.number.number.as_str();
    let arrived = after.arrive("late", "+442071838750", to, at(3)).await;
    assert!(arrived.run.is_none(), "named {:?}", arrived.run);
    let rows = |org| db.attempts(org, AttemptFilter::default(), PAGE);
    assert_eq!(rows(before.org.id).await.unwrap().count, 0);
    assert_eq!(rows(after.org.id).await.unwrap().count, 1);
}

/// An evaluator cannot be tied to another organisation's things, which would show them.
pub async fn an_evaluator_refers_only_to_its_own_organisation(db: Db) {
    let (ours, theirs) = (team(&db, "ours").await, team(&db, "theirs").await);
    let mut stolen = ours.new_scenario("number");
    stolen.phone_number = Some(theirs.number.id);
    let created = db.create_scenario(stolen, at(1)).await;
    assert!(created.is_err(), "reads {:?}", created.unwrap().number);
    let mut stolen = ours.new_scenario("agent");
    stolen.agent = theirs.agent.id;
    assert!(db.create_scenario(stolen, at(1)).await.is_err());
    let mut changed = ours.scenario.clone();
    changed.phone_number = Some(theirs.number.id);
    assert!(db.update_scenario(&changed, at(1)).await.is_err());
}

pub async fn keys_and_slugs_are_unique_and_lead_to_their_organisation(db: Db) {
    let team = team(&db, "team").await;
    let holder = db.authenticate(team.key).await.unwrap().unwrap();
    assert_eq!((holder.org, holder.admin), (team.org.id, false));
    assert!(db.authenticate([9; 32]).await.unwrap().is_none());
    let key = |key_sha256| NewApiKey {
        org: team.org.id,
        key_sha256,
        label: "second".to_owned(),
        admin: true,
    };
    db.add_api_key(key([9; 32]), at(1)).await.unwrap();
    assert!(db.authenticate([9; 32]).await.unwrap().unwrap().admin);
    let again = db.add_api_key(key([9; 32]), at(1)).await;
    assert!(matches!(again, Err(Error::Conflict { .. })));

    let new = |slug: &str, key_sha256| NewOrganisation {
        team: slug.parse().unwrap(),
        name: slug.to_owned(),
        parallel_limit: Some(3),
        key_sha256,
        admin: false,
    };
    for taken in [new("team", [1; 32]), new("other", team.key)] {
        let refused = db.create_organisation(taken, at(1)).await;
        assert!(matches!(refused, Err(Error::Conflict { .. })));
    }
    // Nothing of the refused one is left behind.
    assert!(db.organisation_by_slug("other").await.unwrap().is_none());
    assert!(db.authenticate([1; 32]).await.unwrap().is_none());
    let found = db.organisation_by_slug("team").await.unwrap().unwrap();
    assert_eq!(found, db.organisation(team.org.id).await.unwrap());
}

pub async fn project_settings_are_kept_and_the_organisation_limit_too(db: Db) {
    let team = team(&db, "team").await;
    let mut project = db.create_project(team.org.id, "load", at(5)).await.unwrap();
    assert_eq!((project.weight, project.reject), (1, Reject::Explicit));
    project.name = "renamed".to_owned();
    project.parallel_limit = Some(7);
    project.weight = 3;
    project.dial_window = std::time::Duration::from_millis(1_500);
    project.max_call_duration = std::time::Duration::from_secs(3_600);
    project.silence_timeout = std::time::Duration::from_secs(4);
    project.reject = Reject::Silent;
    db.update_project(&project).await.unwrap();
    let read = db.project(team.org.id, project.id).await.unwrap();
    assert_eq!(read, project);
    assert_eq!(read.created_at, Timestamp::from_micros(at(5).as_micros()));
    let all = db.projects(team.org.id).await.unwrap();
    assert_eq!(all, [team.project.clone(), project]);
    team.limit(Some(4)).await;
    let org = db.organisation(team.org.id).await.unwrap();
    assert_eq!(org.parallel_limit, Some(4));
    let nobody = db.set_organisation_limit(999.into(), None).await;
    assert!(matches!(nobody, Err(Error::NotFound { .. })));
    db.ping().await.unwrap();
}
