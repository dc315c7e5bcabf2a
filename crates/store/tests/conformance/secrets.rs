use ringdown_store::{SecretChange, SecretOwner};

use super::{Db, at, hidden, new_agent, new_number, number, team};

fn change(name: &str, sealed: Option<&str>) -> SecretChange {
    SecretChange {
        name: name.to_owned(),
        sealed: sealed.map(ToOwned::to_owned),
    }
}

pub async fn secrets_come_and_go_with_their_objects(db: Db) {
    let team = team(&db, "team").await;
    let me = team.scope();
    let mut new = new_agent(team.org.id, team.project.id, "sealed");
    new.secrets = vec![change("token", Some("t1")), change("sid", Some("s1"))];
    let agent = db.create_agent(new, at(0)).await.unwrap();
    let of_agent = SecretOwner::Agent(agent.id);
    let names = async |owner| db.secret_names(me, owner).await.unwrap();
    let value = async |owner, name| db.secret(me, owner, name).await.unwrap();
    assert_eq!(names(of_agent).await, ["sid", "token"]);
    assert_eq!(value(of_agent, "token").await.as_deref(), Some("t1"));
    assert_eq!(value(of_agent, "none").await, None);
    let changes = vec![change("token", Some("t2")), change("sid", None)];
    db.update_agent(&agent, changes, at(1)).await.unwrap();
    assert_eq!(names(of_agent).await, ["token"]);
    assert_eq!(value(of_agent, "token").await.as_deref(), Some("t2"));
    // Of a change that fails nothing is kept.
    let mut unknown = agent.clone();
    unknown.id = 999.into();
    let changes = vec![change("token", Some("t3"))];
    hidden("agent", &db.update_agent(&unknown, changes, at(2)).await);
    let of_unknown = SecretOwner::Agent(999.into());
    assert!(names(of_unknown).await.is_empty());
    db.delete_agent(me, agent.id, false).await.unwrap();
    assert!(names(of_agent).await.is_empty());

    let mut new = new_number(me, number(60));
    new.secrets = vec![change("password", Some("p"))];
    let added = db.add_phone_number(new, at(0)).await.unwrap();
    let of_number = SecretOwner::PhoneNumber(added.id);
    assert_eq!(names(of_number).await, ["password"]);
    db.delete_phone_number(me, added.id).await.unwrap();
    assert!(names(of_number).await.is_empty());

    let changes = vec![change("webhook_secret", Some("w"))];
    let project = team.project.clone();
    db.update_project(&project, changes.clone(), at(1))
        .await
        .unwrap();
    let of_project = SecretOwner::Project(project.id);
    assert_eq!(names(of_project).await, ["webhook_secret"]);
    let org = db.organisation(team.org.id).await.unwrap();
    db.update_organisation(&org, changes, at(1)).await.unwrap();
    let of_org = SecretOwner::Organisation(org.id);
    assert_eq!(value(of_org, "webhook_secret").await.as_deref(), Some("w"));
}

/// Neither read nor written through an organisation that does not own the object.
pub async fn secrets_are_reached_only_through_their_objects(db: Db) {
    let (ours, theirs) = (team(&db, "ours").await, team(&db, "theirs").await);
    let owners = |team: &super::Team| {
        [
            SecretOwner::Organisation(team.org.id),
            SecretOwner::Project(team.project.id),
            SecretOwner::Agent(team.agent.id),
            SecretOwner::PhoneNumber(team.number.id),
        ]
    };
    for owner in owners(&theirs) {
        let put = |org, value: &'static str| {
            db.change_secrets(org, owner, vec![change("token", Some(value))], at(1))
        };
        put(theirs.org.id, "theirs").await.unwrap();
        hidden("a secret", &put(ours.org.id, "ours").await);
        let forget = vec![change("token", None)];
        let forgotten = db.change_secrets(ours.org.id, owner, forget, at(1)).await;
        hidden("a secret", &forgotten);
        let read = async |org: ringdown_domain::OrganisationId| {
            db.secret(org.into(), owner, "token").await.unwrap()
        };
        assert_eq!(read(theirs.org.id).await.as_deref(), Some("theirs"));
        assert_eq!(read(ours.org.id).await, None);
        let names = db.secret_names(ours.scope(), owner).await.unwrap();
        assert!(names.is_empty());
    }
    let gone = SecretOwner::Agent(999.into());
    let put = vec![change("token", Some("x"))];
    hidden(
        "an agent",
        &db.change_secrets(ours.org.id, gone, put, at(1)).await,
    );
}

/// Rotation goes through all secrets in portions, and gives way to whoever changes one meanwhile.
pub async fn a_secret_is_resealed_only_if_it_is_unchanged(db: Db) {
    let (ours, theirs) = (team(&db, "ours").await, team(&db, "theirs").await);
    for team in [&ours, &theirs] {
        for owner in [
            SecretOwner::Agent(team.agent.id),
            SecretOwner::Organisation(team.org.id),
        ] {
            let changes = vec![change("a", Some("old")), change("b", Some("old"))];
            db.change_secrets(team.org.id, owner, changes, at(1))
                .await
                .unwrap();
        }
    }
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let portion = db.secrets_after(after, 3).await.unwrap();
        let Some(last) = portion.last() else { break };
        after = Some((last.owner.clone(), last.name.clone()));
        all.extend(portion);
    }
    assert_eq!(all.len(), 8);
    let agent = SecretOwner::Agent(ours.agent.id);
    let named = agent.to_string();
    let old = all.iter().find(|s| s.owner == named && s.name == "a");
    let old = old.unwrap();
    assert_eq!(old.org, ours.org.id);
    let user = vec![change("a", Some("by a user"))];
    db.change_secrets(ours.org.id, agent, user, at(2))
        .await
        .unwrap();
    assert!(!db.reseal(old, "new", at(3)).await.unwrap());
    let value = async |name| db.secret(ours.scope(), agent, name).await.unwrap();
    assert_eq!(value("a").await.as_deref(), Some("by a user"));
    let old = all.iter().find(|s| s.owner == named && s.name == "b");
    assert!(db.reseal(old.unwrap(), "new", at(3)).await.unwrap());
    assert_eq!(value("b").await.as_deref(), Some("new"));
}
