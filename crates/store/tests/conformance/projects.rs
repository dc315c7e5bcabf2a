use ringdown_domain::CronJobId;
use ringdown_store::{
    Agent, AgentFilter, AttemptFilter, Batch, BatchFilter, CronJob, Extra, Folder, FolderFilter,
    NewCronJob, NewPersonality, NewTestProfile, Page, Personality, PhoneNumber, Project, Run,
    RunFilter, Scenario, ScenarioFilter, Scope, SecretChange, SecretOwner, TestProfile,
    TestProfileFilter, WebhookEvent, WebhookFilter, WebhookKind,
};

use super::{
    Db, PAGE, Team, at, cancelled, hidden, new_agent, new_number, number, team, transition,
};

/// A project with one of everything, beside the team's own project.
struct Other {
    project: Project,
    agent: Agent,
    scenario: Scenario,
    profile: TestProfile,
    personality: Personality,
    number: PhoneNumber,
    folder: Folder,
    job: CronJob,
    batch: Batch,
    run: Run,
    webhook: WebhookEvent,
}

fn sealed(name: &str) -> Vec<SecretChange> {
    vec![SecretChange {
        name: name.to_owned(),
        sealed: Some("sealed".to_owned()),
    }]
}

pub fn cron_job(team: &Team, project: &Project) -> NewCronJob {
    NewCronJob {
        org: team.org.id,
        project: project.id,
        agent: None,
        name: "nightly".to_owned(),
        expression: "0 3 * * *".to_owned(),
        timezone: "Europe/Berlin".to_owned(),
        is_active: true,
        extra: Extra::new(),
        next_run_at: Some(at(100)),
        created_by: None,
    }
}

async fn other(team: &Team) -> Other {
    let (db, org) = (&team.db, team.org.id);
    let project = team.another_project("other").await;
    let scope = Scope {
        org,
        project: Some(project.id),
    };
    let mut new = new_agent(org, project.id, "other agent");
    new.contact_number = Some(number(70));
    new.secrets = sealed("token");
    let agent = db.create_agent(new, at(0)).await.unwrap();
    let mut new = new_number(scope, number(71));
    new.secrets = sealed("password");
    let number = db.add_phone_number(new, at(0)).await.unwrap();
    let new = NewTestProfile {
        org,
        project: Some(project.id),
        agent: Some(agent.id),
        name: "other profile".to_owned(),
        information: serde_json::json!({}),
    };
    let profile = db.create_test_profile(new, at(0)).await.unwrap();
    let mut new = team.new_scenario("other evaluator");
    new.project = project.id;
    new.agent = agent.id;
    new.phone_number = Some(number.id);
    new.test_profile = Some(profile.id);
    new.tags = vec!["other".to_owned()];
    let scenario = db.create_scenario(new, at(0)).await.unwrap();
    let new = NewPersonality {
        org,
        project: project.id,
        name: "other personality".to_owned(),
        language: "en".to_owned(),
        extra: Extra::new(),
    };
    let personality = db.create_personality(new, at(0)).await.unwrap();
    let folder = db.create_folder(scope, project.id, "other", at(0));
    let folder = folder.await.unwrap();
    let job = db.create_cron_job(cron_job(team, &project), at(0));
    let job = job.await.unwrap();
    let mut new = team.new_batch(1);
    new.project = project.id;
    new.agent = agent.id;
    new.caller_ids = vec![super::number(70)];
    new.runs[0].number = Some(super::number(71));
    let (batch, runs) = db.trigger(new, at(0)).await.unwrap();
    db.admit(org, at(1)).await.unwrap();
    let (from, to) = (super::number(70), super::number(71));
    let call = team.arrive("other call", from.as_str(), to.as_str(), at(2));
    assert_eq!(call.await.run.unwrap().id, runs[0].id);
    let webhook = db.add_webhook(org, project.id, WebhookKind::Test, None, "{}", at(2));
    Other {
        webhook: webhook.await.unwrap(),
        run: team.run(runs[0].id).await,
        project,
        agent,
        scenario,
        profile,
        personality,
        number,
        folder,
        job,
        batch,
    }
}

fn mine(team: &Team) -> Scope {
    Scope {
        org: team.org.id,
        project: Some(team.project.id),
    }
}

pub async fn a_project_reads_nothing_of_another_one(db: Db) {
    let team = team(&db, "team").await;
    let theirs = other(&team).await;
    for (me, sees) in [(mine(&team), false), (team.scope(), true)] {
        let see = |what: &str, found: Result<(), ringdown_store::Error>| {
            if sees {
                assert!(found.is_ok(), "{what}: {found:?}");
            } else {
                hidden(what, &found);
            }
        };
        let number = db.phone_number(me, theirs.number.id).await;
        let profile = db.test_profile(me, theirs.profile.id).await;
        let personality = db.personality(me, theirs.personality.id).await;
        see("project", db.project(me, theirs.project.id).await.map(drop));
        see("agent", db.agent(me, theirs.agent.id).await.map(drop));
        let scenario = db.scenario(me, theirs.scenario.id).await;
        see("evaluator", scenario.map(drop));
        see("number", number.map(drop));
        see("profile", profile.map(drop));
        see("personality", personality.map(drop));
        see("folder", db.folder(me, theirs.folder.id).await.map(drop));
        see("cron job", db.cron_job(me, theirs.job.id).await.map(drop));
        see("run", db.run(me, theirs.run.id).await.map(drop));
        see("batch", db.batch(me, theirs.batch.id).await.map(drop));
        see("webhook", db.webhook(me, theirs.webhook.id).await.map(drop));
        let ids = [theirs.run.id];
        let count = usize::from(sees);
        assert_eq!(db.runs_by_id(me, &ids).await.unwrap().len(), count);
        assert_eq!(db.versions(me, &ids).await.unwrap().len(), count);
        let runs = db.runs_of(me, theirs.batch.id, None, 10).await.unwrap();
        assert_eq!(runs.len(), count);
        for (owner, name) in [
            (SecretOwner::Agent(theirs.agent.id), "token"),
            (SecretOwner::PhoneNumber(theirs.number.id), "password"),
        ] {
            assert_eq!(db.secret_names(me, owner).await.unwrap().len(), count);
            let secret = db.secret(me, owner, name).await.unwrap();
            assert_eq!(secret.is_some(), sees, "{owner}");
        }
    }
}

pub async fn a_project_lists_nothing_of_another_one(db: Db) {
    let team = team(&db, "team").await;
    let theirs = other(&team).await;
    for (me, more) in [(mine(&team), 0), (team.scope(), 1)] {
        let count = |what: &str, found: u64, own: u64| {
            assert_eq!(found, own + more, "{what} in {me:?}");
        };
        let agents = db.agents(me, AgentFilter::default(), PAGE).await.unwrap();
        count("agents", agents.count, 1);
        let found = db.scenarios(me, ScenarioFilter::default(), PAGE).await;
        count("evaluators", found.unwrap().count, 1);
        let tags = db.tags(me, ScenarioFilter::default()).await.unwrap();
        count("tags", tags.len() as u64, 0);
        let found = db
            .test_profiles(me, TestProfileFilter::default(), PAGE)
            .await;
        count("profiles", found.unwrap().count, 0);
        let numbers = db.phone_numbers(me, PAGE).await.unwrap();
        count("numbers", numbers.count, 1);
        let found = db.personalities(me, None).await.unwrap();
        count("personalities", found.len() as u64, 0);
        let folders = db.folders(me, FolderFilter::default(), PAGE).await.unwrap();
        count("folders", folders.count, 0);
        let jobs = db.cron_jobs(me, None, None).await.unwrap();
        count("cron jobs", jobs.len() as u64, 0);
        let runs = db.runs(me, RunFilter::default(), PAGE).await.unwrap();
        count("runs", runs.count, 0);
        count("run rows", runs.rows.len() as u64, 0);
        let batches = db.batches(me, BatchFilter::default(), PAGE).await.unwrap();
        count("batches", batches.count, 0);
        count("batch rows", batches.rows.len() as u64, 0);
        let found = db.attempts(me, AttemptFilter::default(), PAGE).await;
        count("attempts", found.unwrap().count, 0);
        let found = db.webhooks(me, WebhookFilter::default(), PAGE).await;
        count("webhooks", found.unwrap().count, 0);
        count("projects", db.projects(me).await.unwrap().len() as u64, 1);
        // Naming the other project, or what is in it, changes nothing.
        let filter = RunFilter {
            project: Some(theirs.project.id),
            agents: vec![theirs.agent.id],
            ..RunFilter::default()
        };
        count(
            "named runs",
            db.runs(me, filter, PAGE).await.unwrap().count,
            0,
        );
        let filter = RunFilter {
            result: Some(theirs.batch.id),
            ..RunFilter::default()
        };
        count(
            "runs of a batch",
            db.runs(me, filter, PAGE).await.unwrap().count,
            0,
        );
        let found = db
            .cron_jobs(me, Some(theirs.project.id), None)
            .await
            .unwrap();
        count("named cron jobs", found.len() as u64, 0);
    }
}

pub async fn a_project_changes_nothing_of_another_one(db: Db) {
    let team = team(&db, "team").await;
    let theirs = other(&team).await;
    let me = mine(&team);
    hidden("agent", &db.delete_agent(me, theirs.agent.id, true).await);
    let both = [team.scenario.id, theirs.scenario.id];
    hidden("evaluators", &db.delete_scenarios(me, &both).await);
    let tags = ["tag".to_owned()];
    hidden("tags", &db.add_tags(me, &both, &tags, at(3)).await);
    hidden(
        "number",
        &db.delete_phone_number(me, theirs.number.id).await,
    );
    let profile = db.delete_test_profile(me, theirs.profile.id).await;
    hidden("profile", &profile);
    let personality = db.delete_personality(me, theirs.personality.id).await;
    hidden("personality", &personality);
    let folder = db.create_folder(me, theirs.project.id, "mine", at(3)).await;
    hidden("folder", &folder);
    hidden("cron job", &db.delete_cron_job(me, theirs.job.id).await);
    hidden("batch", &db.rename_batch(me, theirs.batch.id, "mine").await);
    let link = db.add_share_link(me, theirs.batch.id, [1; 32], at(9), at(3));
    hidden("link", &link.await);
    let replay = db.replay_webhook(me, theirs.webhook.id, at(3)).await;
    hidden("webhook", &replay);
    let ended = db.cancel_batch(me, theirs.batch.id, "mine", 9, at(3)).await;
    assert!(ended.unwrap().is_empty());
    transition(&db, theirs.run.id, cancelled(), at(4))
        .await
        .unwrap();
    hidden("run", &db.delete_run(me, theirs.run.id, at(5)).await);
    hidden(
        "batch",
        &db.delete_batch(me, theirs.batch.id, 9, at(5)).await,
    );

    // All is as it was.
    let all = team.scope();
    let scenario = db.scenario(all, theirs.scenario.id).await.unwrap();
    assert_eq!(scenario, theirs.scenario);
    assert_eq!(db.agent(all, theirs.agent.id).await.unwrap(), theirs.agent);
    assert_eq!(
        team.run(theirs.run.id).await.version,
        theirs.run.version + 1
    );
    assert_eq!(db.cron_job(all, theirs.job.id).await.unwrap(), theirs.job);
    let one = Page { number: 1, size: 1 };
    assert_eq!(
        db.webhooks(all, WebhookFilter::default(), one)
            .await
            .unwrap()
            .count,
        1
    );
}

pub async fn what_the_organisation_shares_is_every_projects(db: Db) {
    let team = team(&db, "team").await;
    let other = team.another_project("other").await;
    let new = NewTestProfile {
        org: team.org.id,
        project: None,
        agent: None,
        name: "shared".to_owned(),
        information: serde_json::json!({}),
    };
    let profile = db.create_test_profile(new, at(0)).await.unwrap();
    for project in [team.project.id, other.id] {
        let me = Scope {
            org: team.org.id,
            project: Some(project),
        };
        let seen = db.phone_number(me, team.number.id).await.unwrap();
        assert_eq!(seen.number, team.number.number);
        assert_eq!(db.phone_numbers(me, PAGE).await.unwrap().count, 1);
        assert_eq!(db.test_profile(me, profile.id).await.unwrap(), profile);
        let all = db.test_profiles(me, TestProfileFilter::default(), PAGE);
        assert_eq!(all.await.unwrap().rows, std::slice::from_ref(&profile));
        // Seen, but not a project's to delete.
        hidden("number", &db.delete_phone_number(me, team.number.id).await);
        hidden("profile", &db.delete_test_profile(me, profile.id).await);
    }
    // A new evaluator of any project gets the shared number, or one that is its project's own.
    let own = Scope {
        org: team.org.id,
        project: Some(team.project.id),
    };
    let own = db.add_phone_number(new_number(own, number(80)), at(1));
    let own = own.await.unwrap();
    let mut new = team.new_scenario("b");
    assert_eq!(
        db.create_scenario(new.clone(), at(1))
            .await
            .unwrap()
            .phone_number,
        Some(own.id)
    );
    new.project = other.id;
    new.agent = db
        .create_agent(new_agent(team.org.id, other.id, "other"), at(1))
        .await
        .unwrap()
        .id;
    let created = db.create_scenario(new, at(1)).await.unwrap();
    assert_eq!(created.phone_number, Some(team.number.id));
}

pub async fn an_evaluator_refers_only_to_what_its_project_may_use(db: Db) {
    let team = team(&db, "team").await;
    let theirs = other(&team).await;
    let mut new = team.new_scenario("number");
    new.phone_number = Some(theirs.number.id);
    hidden("number", &db.create_scenario(new, at(1)).await);
    let mut new = team.new_scenario("profile");
    new.test_profile = Some(theirs.profile.id);
    hidden("profile", &db.create_scenario(new, at(1)).await);
    let mut changed = team.scenario.clone();
    changed.agent = theirs.agent.id;
    hidden("agent", &db.update_scenario(&changed, at(1)).await);
    // With its agent an evaluator moves to another project, and is found there.
    let mut agent = team.agent.clone();
    agent.project = theirs.project.id;
    db.update_agent(&agent, vec![], at(2)).await.unwrap();
    hidden(
        "evaluator",
        &db.scenario(mine(&team), team.scenario.id).await,
    );
    let moved = db.scenario(team.scope(), team.scenario.id).await.unwrap();
    assert_eq!(moved.project, theirs.project.id);
    hidden("a job", &db.cron_job(team.scope(), CronJobId(999)).await);
}
