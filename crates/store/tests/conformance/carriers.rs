use ringdown_domain::CarrierName;
use ringdown_store::{Carrier, Error, NewCarrier, Scope, SecretChange, SecretOwner};

use super::{Db, PAGE, Team, at, hidden, new_agent, refused, team};

fn name(text: &str) -> CarrierName {
    text.parse().unwrap()
}

fn change(name: &str, sealed: Option<&str>) -> SecretChange {
    SecretChange {
        name: name.to_owned(),
        sealed: sealed.map(ToOwned::to_owned),
    }
}

pub fn new_carrier(team: &Team, text: &str) -> NewCarrier {
    let settings = serde_json::json!({"account_sid": "AC1", "a": {"b": [1, null, "\u{e4}"]}});
    NewCarrier {
        org: team.org.id,
        name: name(text),
        provider: "twilio".to_owned(),
        settings: settings.as_object().unwrap().clone(),
        calls_per_second: Some(0.1),
        concurrent_calls: Some(1_000_000),
        secrets: vec![change("token", Some("t1")), change("key", Some("k1"))],
    }
}

async fn secrets(db: &Db, scope: Scope, carrier: &Carrier) -> Vec<(String, String)> {
    let owner = SecretOwner::Carrier(carrier.id);
    let mut found = Vec::new();
    for name in db.secret_names(scope, owner).await.unwrap() {
        let value = db.secret(scope, owner, &name).await.unwrap().unwrap();
        found.push((name, value));
    }
    found
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
    expected.iter().map(owned).collect()
}

pub async fn carriers_are_kept_whole(db: Db) {
    let team = team(&db, "team").await;
    let me = team.scope();
    let made = db.create_carrier(new_carrier(&team, "main"), at(1)).await;
    let made = made.unwrap();
    assert_eq!((made.name.as_str(), made.org), ("main", team.org.id));
    assert_eq!((made.created_at, made.updated_at), (at(1), at(1)));
    assert_eq!(made.calls_per_second, Some(0.1));
    assert_eq!(made.concurrent_calls, Some(1_000_000));
    assert_eq!(db.carrier(me, &name("main")).await.unwrap(), made);
    let kept = pairs(&[("key", "k1"), ("token", "t1")]);
    assert_eq!(secrets(&db, me, &made).await, kept);
    refused(
        "a second one",
        &db.create_carrier(new_carrier(&team, "main"), at(1)).await,
    );
    assert_eq!(secrets(&db, me, &made).await, kept);
    // Capital letters are others.
    let new = NewCarrier {
        calls_per_second: None,
        concurrent_calls: None,
        secrets: vec![],
        ..new_carrier(&team, "Main")
    };
    let other = db.create_carrier(new, at(2)).await.unwrap();
    assert_eq!(
        (other.calls_per_second, other.concurrent_calls),
        (None, None)
    );
    let all = db.carriers(me, PAGE).await.unwrap();
    assert_eq!((all.count, all.rows), (2, vec![other, made.clone()]));

    let mut changed = made.clone();
    changed.provider = "plivo".to_owned();
    changed.settings.clear();
    changed.calls_per_second = Some(10_000.0);
    changed.concurrent_calls = None;
    let changes = vec![change("token", Some("t2")), change("key", None)];
    db.update_carrier(&changed, changes, at(3)).await.unwrap();
    changed.updated_at = at(3);
    assert_eq!(db.carrier(me, &changed.name).await.unwrap(), changed);
    let kept = pairs(&[("token", "t2")]);
    assert_eq!(secrets(&db, me, &changed).await, kept);
    // What was read before that change is not written over it.
    let late = db.update_carrier(&made, vec![change("token", None)], at(4));
    refused("a late change", &late.await);
    assert_eq!(db.carrier(me, &changed.name).await.unwrap(), changed);
    assert_eq!(secrets(&db, me, &changed).await, kept);

    db.delete_carrier(me, &changed.name).await.unwrap();
    hidden("a carrier", &db.carrier(me, &changed.name).await);
    hidden("it", &db.delete_carrier(me, &changed.name).await);
    hidden("it", &db.update_carrier(&changed, vec![], at(5)).await);
    let all = db.secrets_after(None, 100).await.unwrap();
    assert!(all.is_empty(), "left behind: {all:?}");
    // A new one of that name is another one.
    let again = db.create_carrier(new_carrier(&team, "main"), at(6)).await;
    assert_ne!(again.unwrap().id, made.id);
    let late = db.update_carrier(&changed, vec![], at(7)).await;
    refused("a change of the one before", &late);
}

pub async fn what_no_carrier_has_is_not_stored(db: Db) {
    let team = team(&db, "team").await;
    for (calls_per_second, concurrent_calls) in [
        (Some(0.0), None),
        (Some(-1.0), None),
        (Some(10_000.5), None),
        (None, Some(0)),
        (None, Some(1_000_001)),
    ] {
        let new = NewCarrier {
            calls_per_second,
            concurrent_calls,
            ..new_carrier(&team, "main")
        };
        let stored = db.create_carrier(new, at(1)).await;
        assert!(matches!(stored, Err(Error::Database(_))), "{stored:?}");
    }
    assert_eq!(db.carriers(team.scope(), PAGE).await.unwrap().count, 0);
    assert!(db.secrets_after(None, 100).await.unwrap().is_empty());
}

pub async fn a_carrier_is_its_organisations_alone(db: Db) {
    let (ours, theirs) = (team(&db, "ours").await, team(&db, "theirs").await);
    let made = db.create_carrier(new_carrier(&theirs, "main"), at(1)).await;
    let made = made.unwrap();
    let (me, them) = (ours.scope(), theirs.scope());
    let kept = secrets(&db, them, &made).await;
    hidden("a carrier", &db.carrier(me, &made.name).await);
    assert_eq!(db.carriers(me, PAGE).await.unwrap().count, 0);
    assert!(secrets(&db, me, &made).await.is_empty());
    let owner = SecretOwner::Carrier(made.id);
    let forget = vec![change("token", None)];
    let changed = db.change_secrets(ours.org.id, owner, forget.clone(), at(2));
    hidden("its secrets", &changed.await);
    assert_eq!(db.secret(me, owner, "token").await.unwrap(), None);
    hidden("a carrier", &db.delete_carrier(me, &made.name).await);
    let mut stolen = made.clone();
    stolen.org = ours.org.id;
    hidden(
        "a carrier",
        &db.update_carrier(&stolen, forget.clone(), at(2)).await,
    );
    let mut agent = ours.agent.clone();
    agent.dial_route = Some(made.name.route());
    hidden("a carrier", &db.update_agent(&agent, vec![], at(2)).await);
    let mut new = new_agent(ours.org.id, ours.project.id, "new");
    new.dial_route = Some(made.name.route());
    hidden("a carrier", &db.create_agent(new, at(2)).await);

    // Nor is it reached through one of the same name.
    let own = db.create_carrier(new_carrier(&ours, "main"), at(3)).await;
    let own = own.unwrap();
    refused(
        "a carrier",
        &db.update_carrier(&stolen, forget, at(4)).await,
    );
    db.update_agent(&agent, vec![], at(4)).await.unwrap();
    let users = db.agents_of_carrier(them, &made.name).await.unwrap();
    assert!(users.is_empty(), "{users:?}");
    db.delete_carrier(them, &made.name).await.unwrap();
    assert_eq!(db.carrier(me, &own.name).await.unwrap(), own);
    assert_eq!(secrets(&db, me, &own).await, kept);
}

pub async fn a_carrier_stays_while_agents_are_dialed_through_it(db: Db) {
    let team = team(&db, "team").await;
    let me = team.scope();
    let made = db.create_carrier(new_carrier(&team, "main"), at(1)).await;
    let made = made.unwrap();
    let other = team.another_project("other").await.id;
    let mut new = new_agent(team.org.id, other, "elsewhere");
    new.dial_route = Some("carrier:main".to_owned());
    let elsewhere = db.create_agent(new, at(2)).await.unwrap();
    let mut agent = team.agent.clone();
    agent.dial_route = Some("carrier:main".to_owned());
    db.update_agent(&agent, vec![], at(2)).await.unwrap();

    // Every project sees the carrier, and of the agents its own.
    let bound = |project| Scope {
        org: team.org.id,
        project: Some(project),
    };
    for (scope, users) in [
        (me, vec![agent.id, elsewhere.id]),
        (bound(team.project.id), vec![agent.id]),
        (bound(other), vec![elsewhere.id]),
    ] {
        assert_eq!(db.carrier(scope, &made.name).await.unwrap(), made);
        assert_eq!(db.carriers(scope, PAGE).await.unwrap().count, 1);
        let found = db.agents_of_carrier(scope, &made.name).await.unwrap();
        let found: Vec<_> = found.into_iter().map(|(id, _)| id).collect();
        assert_eq!(found, users);
    }
    for scope in [bound(other), bound(team.project.id)] {
        hidden("it", &db.delete_carrier(scope, &made.name).await);
    }
    let kept = db.delete_carrier(me, &made.name).await;
    refused("a carrier in use", &kept);
    let why = kept.unwrap_err().to_string();
    for agent in [&agent, &elsewhere] {
        assert!(
            why.contains(&format!("{} ({})", agent.id, agent.name)),
            "{why}"
        );
    }

    for route in ["agent", "main", "carrier:", "carrier:none", "carrier:a b"] {
        agent.dial_route = Some(route.to_owned());
        let changed = db.update_agent(&agent, vec![], at(3)).await;
        if route.starts_with("carrier:") {
            hidden(route, &changed);
        } else {
            changed.unwrap();
        }
    }
    db.delete_agent(me, elsewhere.id, true).await.unwrap();
    db.delete_carrier(me, &made.name).await.unwrap();
}

/// Either the agent has the carrier or the carrier is gone, whoever comes first.
pub async fn no_agent_gets_a_carrier_that_is_being_deleted(db: Db) {
    let team = team(&db, "team").await;
    let me = team.scope();
    for turn in 0..20 {
        let carrier = name(&format!("c{turn}"));
        let new = new_carrier(&team, carrier.as_str());
        db.create_carrier(new, at(1)).await.unwrap();
        let mut agent = team.agent.clone();
        agent.dial_route = Some(carrier.route());
        let (given, deleted) = tokio::join!(
            db.update_agent(&agent, vec![], at(2)),
            db.delete_carrier(me, &carrier)
        );
        let there = db.carrier(me, &carrier).await.is_ok();
        let users = db.agents_of_carrier(me, &carrier).await.unwrap();
        assert_eq!(given.is_ok(), there, "{given:?}, {deleted:?}");
        assert_eq!(deleted.is_ok(), !there, "{given:?}, {deleted:?}");
        assert_eq!(users.len(), usize::from(there));
    }
}
