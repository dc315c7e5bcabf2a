use ringdown_store::{NewApiKey, Role, Scope};

use super::{Db, Team, at, hidden, refused, team};

fn key(team: &Team, first: u8) -> NewApiKey {
    NewApiKey {
        scope: team.scope(),
        key_sha256: [first; 32],
        name: format!("key {first}"),
        hint: "abcd".to_owned(),
        role: Role::Viewer,
        operator: false,
        rate_per_minute: Some(60),
        expires_at: None,
    }
}

pub async fn a_key_works_until_it_expires_or_is_revoked(db: Db) {
    let team = team(&db, "team").await;
    let who = async |first: u8, now| db.authenticate([first; 32], at(now)).await.unwrap();
    for (first, role) in [(200, Role::Viewer), (201, Role::Editor), (202, Role::Admin)] {
        let mut new = key(&team, first);
        new.role = role;
        new.scope.project = Some(team.project.id);
        let added = db.add_api_key(new, at(1)).await.unwrap();
        let holder = who(first, 2).await.unwrap();
        assert_eq!((holder.role, holder.key), (role, added.id));
        assert_eq!(holder.scope.project, Some(team.project.id));
        assert_eq!(holder.rate_per_minute, Some(60));
        assert_eq!(holder.team, team.org.team);
        assert!(!holder.operator);
    }
    let mut expiring = key(&team, 203);
    expiring.expires_at = Some(at(10));
    let again = expiring.clone();
    db.add_api_key(expiring, at(1)).await.unwrap();
    refused("the same key", &db.add_api_key(again, at(1)).await);
    assert_eq!(who(203, 9).await.unwrap().expires_at, Some(at(10)));
    assert!(who(203, 10).await.is_none());

    let revoked = db.add_api_key(key(&team, 204), at(1)).await.unwrap();
    db.revoke_api_key(team.scope(), revoked.id, at(5))
        .await
        .unwrap();
    assert!(who(204, 6).await.is_none());
    let again = db.revoke_api_key(team.scope(), revoked.id, at(6)).await;
    hidden("a revoked key", &again);
    refused(
        "a revoked key",
        &db.add_api_key(key(&team, 204), at(7)).await,
    );
}

pub async fn keys_are_listed_and_revoked_within_their_scope(db: Db) {
    let (ours, theirs) = (team(&db, "ours").await, team(&db, "theirs").await);
    let project = Scope {
        org: ours.org.id,
        project: Some(ours.project.id),
    };
    let whole = db.add_api_key(key(&ours, 200), at(1)).await.unwrap();
    let mut new = key(&ours, 201);
    new.scope = project;
    let bound = db.add_api_key(new, at(1)).await.unwrap();
    let names = async |scope| -> Vec<String> {
        let keys = db.api_keys(scope).await.unwrap();
        keys.into_iter().map(|key| key.name).collect()
    };
    assert_eq!(names(ours.scope()).await, ["first", "key 200", "key 201"]);
    assert_eq!(names(project).await, ["key 201"]);
    assert_eq!(names(theirs.scope()).await, ["first"]);
    assert_eq!(
        db.api_keys(project).await.unwrap(),
        std::slice::from_ref(&bound)
    );
    for (scope, id) in [(theirs.scope(), whole.id), (project, whole.id)] {
        hidden("a key", &db.revoke_api_key(scope, id, at(2)).await);
    }
    db.revoke_api_key(project, bound.id, at(2)).await.unwrap();
    assert_eq!(names(ours.scope()).await, ["first", "key 200"]);
}

pub async fn the_last_use_of_a_key_never_goes_back(db: Db) {
    let team = team(&db, "team").await;
    let id = db.add_api_key(key(&team, 200), at(1)).await.unwrap().id;
    let used = async || {
        let keys = db.api_keys(team.scope()).await.unwrap();
        keys.into_iter()
            .find(|key| key.id == id)
            .unwrap()
            .last_used_at
    };
    assert_eq!(used().await, None);
    for now in [60, 30] {
        let unknown = (ringdown_domain::KeyId(999), at(now));
        db.keys_used(vec![(id, at(now)), unknown]).await.unwrap();
        assert_eq!(used().await, Some(at(60)));
    }
}
