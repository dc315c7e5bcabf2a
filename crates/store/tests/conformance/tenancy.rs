use ringdown_domain::Timestamp;
use ringdown_store::{
    AgentFilter, AttemptFilter, BatchFilter, Error, Extra, NewApiKey, NewOrganisation,
    NewPersonality, NewTestProfile, Project, Reject, Role, RunFilter, ScenarioFilter, Scope,
    TestProfileFilter,
};

use super::projects::cron_job;
use super::{Db, PAGE, at, hidden, new_agent, new_number, number, refused, team};

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
    let me = ours.scope();

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
    assert!(projects.iter().all(|project| project.org == me.org));
    assert!(db.queue(me.org, at(3)).await.unwrap().is_empty());
    assert!(db.admit(me.org, at(3)).await.unwrap().runs.is_empty());
    let on_theirs = db.pending_on(me, &theirs.number.number).await.unwrap();
    assert_eq!(on_theirs, 0);

    let agents = db.agents(me, AgentFilter::default(), PAGE).await.unwrap();
    assert!(agents.count == 1 && agents.rows.iter().all(|row| row.org == me.org));
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
    assert!(numbers.rows.iter().all(|row| row.org == me.org));
    let filter = RunFilter {
        result: Some(batch.id),
        agents: vec![theirs.agent.id],
        project: Some(theirs.project.id),
        ..RunFilter::default()
    };
    assert_eq!(db.runs(me, filter, PAGE).await.unwrap().count, 0);
    let filter = BatchFilter {
        agent: Some(theirs.agent.id),
        ..BatchFilter::default()
    };
    let batches = db.batches(me, filter, PAGE).await.unwrap();
    assert!(batches.rows.is_empty());
    let filter = AttemptFilter {
        run: Some(run.id),
        ..AttemptFilter::default()
    };
    assert_eq!(db.attempts(me, filter, PAGE).await.unwrap().count, 0);

    let mut agent = theirs.agent.clone();
    agent.org = me.org;
    hidden("an agent", &db.update_agent(&agent, vec![], at(4)).await);
    let mut scenario = theirs.scenario.clone();
    scenario.org = me.org;
    hidden("an evaluator", &db.update_scenario(&scenario, at(4)).await);
    let mut changed = profile.clone();
    changed.org = me.org;
    hidden("a profile", &db.update_test_profile(&changed, at(4)).await);
    let mut project = theirs.project.clone();
    project.org = me.org;
    hidden(
        "a project",
        &db.update_project(&project, vec![], at(4)).await,
    );
    let deleted = db.delete_agent(me, theirs.agent.id, true).await;
    hidden("an agent", &deleted);
    hidden(
        "an evaluator",
        &db.delete_scenarios(me, &[theirs.scenario.id]).await,
    );
    hidden("a profile", &db.delete_test_profile(me, profile.id).await);
    hidden(
        "a number",
        &db.delete_phone_number(me, theirs.number.id).await,
    );

    let them = theirs.scope();
    assert_eq!(db.agent(them, theirs.agent.id).await.unwrap(), theirs.agent);
    assert_eq!(db.test_profile(them, profile.id).await.unwrap(), profile);
    assert_eq!(db.run(them, run.id).await.unwrap().org, them.org);
}

/// A number that changed hands does not carry one team's calls into the other's ledger.
pub async fn a_number_that_changed_hands_tells_its_new_owner_nothing(db: Db) {
    let (before, after) = (team(&db, "before").await, team(&db, "after").await);
    let run = before.pending(at(0)).await;
    super::transition(&db, run.id, super::cancelled(), at(1))
        .await
        .unwrap();
    db.delete_phone_number(before.scope(), before.number.id)
        .await
        .unwrap();
    let new = new_number(after.org.id, before.number.number.clone());
    db.add_phone_number(new, at(2)).await.unwrap();
    let to = before.number.number.as_str();
    let arrived = after.arrive("late", "+442071838750", to, at(3)).await;
    assert!(arrived.run.is_none(), "named {:?}", arrived.run);
    let rows = |org: ringdown_domain::OrganisationId| {
        db.attempts(org.into(), AttemptFilter::default(), PAGE)
    };
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
    let who = async |key| db.authenticate(key, at(1)).await.unwrap();
    let holder = who(team.key).await.unwrap();
    assert_eq!((holder.scope, holder.role), (team.scope(), Role::Admin));
    assert_eq!(
        (holder.team, holder.operator),
        (team.org.team.clone(), false)
    );
    assert!(who([9; 32]).await.is_none());

    let new = |slug: &str, key_sha256| NewOrganisation {
        team: slug.parse().unwrap(),
        name: slug.to_owned(),
        parallel_limit: Some(3),
        key_sha256,
        operator: true,
    };
    for taken in [new("team", [1; 32]), new("other", team.key)] {
        let again = db.create_organisation(taken, at(1)).await;
        refused("a second one", &again);
    }
    // Nothing of the refused one is left behind.
    assert!(db.organisation_by_slug("other").await.unwrap().is_none());
    assert!(who([1; 32]).await.is_none());
    let found = db.organisation_by_slug("team").await.unwrap().unwrap();
    assert_eq!(found, db.organisation(team.org.id).await.unwrap());
    db.create_organisation(new("other", [1; 32]), at(1))
        .await
        .unwrap();
    assert!(who([1; 32]).await.unwrap().operator);
    let all = db.organisations(PAGE).await.unwrap();
    assert_eq!((all.count, &all.rows[0]), (2, &found));
}

pub async fn project_settings_are_kept_and_the_organisation_limit_too(db: Db) {
    let team = team(&db, "team").await;
    let new = Project::new(team.org.id, "load");
    let mut project = db.create_project(new, vec![], at(5)).await.unwrap();
    assert_eq!((project.weight, project.reject), (1, Reject::Explicit));
    project.name = "renamed".to_owned();
    project.parallel_limit = Some(7);
    project.weight = 3;
    project.dial_window = std::time::Duration::from_millis(1_500);
    project.max_call_duration = std::time::Duration::from_secs(3_600);
    project.silence_timeout = std::time::Duration::from_secs(4);
    project.reject = Reject::Silent;
    project.webhook_url = Some("https://example.com/hook".to_owned());
    project.retention_days = Some(30);
    let extra = serde_json::json!({"anything": [1, null]});
    project.extra = extra.as_object().unwrap().clone();
    db.update_project(&project, vec![], at(6)).await.unwrap();
    project.updated_at = at(6);
    let read = db.project(team.scope(), project.id).await.unwrap();
    assert_eq!(read, project);
    assert_eq!(read.created_at, Timestamp::from_micros(at(5).as_micros()));
    let all = db.projects(team.scope()).await.unwrap();
    assert_eq!(all, [team.project.clone(), project]);
    team.limit(Some(4)).await;
    let org = db.organisation(team.org.id).await.unwrap();
    assert_eq!(org.parallel_limit, Some(4));
    let mut changed = org.clone();
    changed.name = "renamed".to_owned();
    changed.extra = extra.as_object().unwrap().clone();
    db.update_organisation(&changed, vec![], at(7))
        .await
        .unwrap();
    changed.updated_at = at(7);
    assert_eq!(db.organisation(org.id).await.unwrap(), changed);
    let nobody = db.set_organisation_limit(999.into(), None).await;
    assert!(matches!(nobody, Err(Error::NotFound { .. })));
    db.ping().await.unwrap();
}

/// Nothing is put where its owner could not reach it, or where another organisation would find it.
pub async fn nothing_is_put_into_another_organisations_project(db: Db) {
    let (ours, theirs) = (team(&db, "ours").await, team(&db, "theirs").await);
    let (org, foreign) = (ours.org.id, theirs.project.id);
    let new = new_agent(org, foreign, "agent");
    hidden("an agent", &db.create_agent(new, at(1)).await);
    let mut agent = ours.agent.clone();
    agent.project = foreign;
    hidden("an agent", &db.update_agent(&agent, vec![], at(1)).await);
    let new = NewPersonality {
        org,
        project: foreign,
        name: "personality".to_owned(),
        language: "en".to_owned(),
        extra: Extra::new(),
    };
    hidden("a personality", &db.create_personality(new, at(1)).await);
    let new = NewTestProfile {
        org,
        project: Some(foreign),
        agent: None,
        name: "profile".to_owned(),
        information: serde_json::json!({}),
    };
    hidden(
        "a profile",
        &db.create_test_profile(new.clone(), at(1)).await,
    );
    let new = NewTestProfile {
        project: None,
        agent: Some(theirs.agent.id),
        ..new
    };
    hidden("a profile", &db.create_test_profile(new, at(1)).await);
    let scope = Scope {
        org,
        project: Some(foreign),
    };
    let added = db
        .add_phone_number(new_number(scope, number(5)), at(1))
        .await;
    hidden("a number", &added);
    let key = NewApiKey {
        scope,
        key_sha256: [250; 32],
        name: "key".to_owned(),
        hint: String::new(),
        role: Role::Admin,
        operator: false,
        rate_per_minute: None,
        expires_at: None,
    };
    hidden("a key", &db.add_api_key(key, at(1)).await);
    let job = cron_job(&ours, &theirs.project);
    hidden("a job", &db.create_cron_job(job, at(1)).await);
    let mut job = cron_job(&ours, &ours.project);
    let stored = db.create_cron_job(job.clone(), at(1)).await.unwrap();
    job.agent = Some(theirs.agent.id);
    hidden("a job", &db.update_cron_job(stored.id, job, at(1)).await);
    let mut batch = ours.new_batch(1);
    batch.project = foreign;
    hidden("a batch", &db.trigger(batch, at(1)).await);
}
