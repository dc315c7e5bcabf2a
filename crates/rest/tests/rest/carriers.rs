//! Accounts at providers, with which runs are dialed.

use ringdown_domain::{CarrierName, OrganisationId};
use ringdown_store::{Carriers as _, SecretChange, SecretOwner, Secrets as _};
use serde_json::{Value, json};

use crate::world::{CALLER, Client, OWN, V1, World, id};

const SECRET: &str = "s3cret-of-the-carrier";
const TOKEN: &str = "twilio_auth_token";

fn many() -> String {
    format!("{OWN}/carriers/")
}

fn one(name: &str) -> String {
    format!("{OWN}/carriers/{name}/")
}

fn twilio(name: &str) -> Value {
    json!({"name": name, "provider": "twilio",
           "settings": {"account_sid": "AC1", "url": "https://agent.example/answer"},
           "secrets": {TOKEN: SECRET}, "calls_per_second": 2.5, "concurrent_calls": 30})
}

async fn route(client: &Client, agent: i64, route: Value) -> crate::world::Answer {
    let path = format!("{OWN}/agents/{agent}/dial-route/");
    client.ask("PUT", &path, &json!({ "route": route })).await
}

async fn agent(client: &Client, name: &str) -> i64 {
    let body = json!({"agent_name": name, "inbound": false, "contact_number": CALLER});
    id(&client.post(&format!("{V1}/aiagents/"), body).await)
}

/// The sealed secrets of a carrier as they are stored.
async fn stored(world: &World, org: OrganisationId, name: &str) -> Vec<(String, String)> {
    let name: CarrierName = name.parse().unwrap();
    let carrier = world.store.carrier(org.into(), &name).await.unwrap();
    let owner = SecretOwner::Carrier(carrier.id);
    let mut found = Vec::new();
    for name in world.store.secret_names(org.into(), owner).await.unwrap() {
        let sealed = world.store.secret(org.into(), owner, &name).await.unwrap();
        found.push((name, sealed.unwrap()));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_is_kept_and_its_secrets_are_never_shown() {
    let world = World::start().await;
    let us = &world.us;
    let answer = us.ask("POST", &many(), &twilio("main")).await;
    assert_eq!(answer.status, 201);
    let made = answer.ok();
    assert_eq!(made["name"], "main");
    assert_eq!(made["provider"], "twilio");
    assert_eq!(made["dial_route"], "carrier:main");
    assert_eq!(made["settings"], twilio("main")["settings"]);
    assert_eq!(made["secrets_configured"], json!([TOKEN]));
    assert_eq!(made["calls_per_second"], 2.5);
    assert_eq!(made["concurrent_calls"], 30);
    assert_eq!(made["agents"], json!([]));
    assert_eq!(us.get(&one("main")).await, made);
    us.ask("POST", &many(), &twilio("main")).await.names("name");
    us.post(&many(), twilio("Another_1.b")).await;
    let all = us.get(&many()).await;
    assert_eq!(all["count"], 2);
    assert_eq!(all["results"][1]["name"], "main");
    assert_eq!(all["results"][1]["secrets_configured"], json!([TOKEN]));
    for shown in [&made, &all] {
        assert!(!shown.to_string().contains(SECRET), "{shown}");
    }

    // Sealed for this organisation under the name it is stored by, so that rotation finds it.
    let kept = stored(&world, world.org.id, "main").await;
    let [(name, sealed)] = kept.as_slice() else {
        panic!("{kept:?}");
    };
    assert_eq!(name, "carrier.main.twilio_auth_token");
    assert!(!sealed.contains(SECRET));
    let org = world.org.id.0;
    let opened = world.keyring.open_stored(org, name, sealed).unwrap();
    assert_eq!(opened.expose(), SECRET);

    // What is not named stays; null takes a limit away.
    let change = json!({"calls_per_second": null, "concurrent_calls": 1, "name": "main"});
    let changed = us.patch(&one("main"), change).await;
    assert_eq!(changed["calls_per_second"], Value::Null);
    assert_eq!(changed["concurrent_calls"], 1);
    assert_eq!(changed["settings"], made["settings"]);
    assert_eq!(stored(&world, world.org.id, "main").await, kept);
    // Another provider with its own secrets, in the place of the old ones.
    let change = json!({"provider": "plivo",
                        "settings": {"auth_id": "MA1", "answer_url": "http://127.0.0.1:1/x"},
                        "secrets": {TOKEN: null, "plivo_auth_token": "new"}});
    let changed = us.patch(&one("main"), change).await;
    assert_eq!(changed["provider"], "plivo");
    assert_eq!(changed["secrets_configured"], json!(["plivo_auth_token"]));

    let log = us.get(&format!("{OWN}/audit-log/")).await;
    let last = &log["results"][0];
    assert_eq!(last["operation"], "PATCH /ringdown/v1/carriers/{name}");
    assert!(!log.to_string().contains(SECRET));

    world.them.try_get(&one("main")).await.refused(404);
    assert_eq!(world.them.get(&many()).await["count"], 0);
    let answer = us.ask("DELETE", &one("main"), &json!({})).await;
    assert_eq!(answer.status, 204);
    us.try_get(&one("main")).await.refused(404);
    for nobodys in ["none", "a%20b", "%00", "x%2Fy"] {
        us.try_get(&one(nobodys)).await.refused(404);
    }
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_is_named_and_nothing_is_stored() {
    let world = World::start().await;
    let us = &world.us;
    let long = "x".repeat(41);
    let bad = [
        ("/name", json!(""), "name"),
        ("/name", json!(null), "name"),
        ("/name", json!("a b"), "name"),
        ("/name", json!(long), "name"),
        ("/provider", json!(null), "provider"),
        ("/provider", json!("twillio"), "provider"),
        ("/provider", json!(7), "provider"),
        ("/settings", json!("x"), "settings"),
        ("/settings", json!(null), "settings.url"),
        ("/settings/account_sid", json!(7), "settings.account_sid"),
        ("/settings/colour", json!("red"), "settings.colour"),
        ("/settings/url", json!("no url"), "settings.url"),
        ("/settings/url", json!("http://10.0.0.1/"), "settings.url"),
        (
            "/settings/url",
            json!("https://u:p@a.example/"),
            "settings.url",
        ),
        (
            "/settings/base_url",
            json!("http://169.254.169.254/latest"),
            "settings.base_url",
        ),
        (
            "/settings/twilio_auth_token",
            json!("x"),
            "settings.twilio_auth_token",
        ),
        ("/secrets", json!([SECRET]), "secrets"),
        ("/secrets", json!(null), "secrets.twilio_auth_token"),
        (
            "/secrets/twilio_auth_token",
            json!(""),
            "secrets.twilio_auth_token",
        ),
        (
            "/secrets/twilio_auth_token",
            json!(7),
            "secrets.twilio_auth_token",
        ),
        (
            "/secrets/twilio_auth_token",
            json!("a b"),
            "secrets.twilio_auth_token",
        ),
        (
            "/secrets/twilio_auth_token",
            json!("x".repeat(20_000)),
            "secrets.twilio_auth_token",
        ),
        (
            "/secrets/plivo_auth_token",
            json!("x"),
            "secrets.plivo_auth_token",
        ),
        ("/calls_per_second", json!(0), "calls_per_second"),
        ("/calls_per_second", json!(-1), "calls_per_second"),
        ("/calls_per_second", json!(10_000.1), "calls_per_second"),
        ("/calls_per_second", json!("1"), "calls_per_second"),
        ("/concurrent_calls", json!(0), "concurrent_calls"),
        ("/concurrent_calls", json!(1_000_001), "concurrent_calls"),
        ("/concurrent_calls", json!(1.5), "concurrent_calls"),
        ("/colour", json!("red"), "colour"),
    ];
    let kept = us.post(&many(), twilio("kept")).await;
    let sealed = stored(&world, world.org.id, "kept").await;
    for (at, value, field) in bad {
        let mut body = twilio("wrong");
        let (parent, last) = at.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[last] = value.clone();
        let answer = us.ask("POST", &many(), &body).await;
        assert_eq!(answer.status, 400, "{at} {value:.50}");
        answer.names(field);
        let told = String::from_utf8(answer.bytes).unwrap();
        assert!(!told.contains(SECRET), "{told}");
        // The same when it is changed; the secrets it has count for those that are not sent.
        let sent = body.as_object_mut().unwrap();
        let top = at.split('/').nth(1).unwrap();
        sent.retain(|name, _| name == top);
        if (at, &value) == ("/secrets", &Value::Null) {
            continue;
        }
        let answer = us.ask("PATCH", &one("kept"), &body).await;
        assert_eq!(answer.status, 400, "{at} {value:.50}");
        answer.names(field);
    }
    for missing in ["name", "provider"] {
        let mut body = twilio("wrong");
        body.as_object_mut().unwrap().remove(missing);
        us.ask("POST", &many(), &body).await.names(missing);
    }
    let rename = json!({"name": "other"});
    us.ask("PATCH", &one("kept"), &rename).await.names("name");
    // A secret that its provider cannot do without is not forgotten.
    let forget = json!({"secrets": {TOKEN: null}});
    let field = format!("secrets.{TOKEN}");
    us.ask("PATCH", &one("kept"), &forget).await.names(&field);
    assert_eq!(us.get(&many()).await["count"], 1);
    assert_eq!(us.get(&one("kept")).await, kept);
    assert_eq!(stored(&world, world.org.id, "kept").await, sealed);
    world.close().await;
}

/// A sealed secret opens for the carrier it was stored for, and no other one.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_bound_to_its_carrier() {
    let world = World::start().await;
    let us = &world.us;
    us.post(&many(), twilio("first")).await;
    us.post(&many(), twilio("second")).await;
    let first = stored(&world, world.org.id, "first").await.remove(0).1;
    let second: CarrierName = "second".parse().unwrap();
    let second = world
        .store
        .carrier(world.org.id.into(), &second)
        .await
        .unwrap();
    let moved = SecretChange {
        name: format!("carrier.second.{TOKEN}"),
        sealed: Some(first),
    };
    let owner = SecretOwner::Carrier(second.id);
    let now = ringdown_bus::now();
    let changed = world
        .store
        .change_secrets(world.org.id, owner, vec![moved], now);
    changed.await.unwrap();
    let change = json!({"concurrent_calls": 2});
    us.patch(&one("first"), change.clone()).await;
    us.ask("PATCH", &one("second"), &change).await.refused(500);
    // A new one mends it.
    let change = json!({"secrets": {TOKEN: SECRET}});
    us.patch(&one("second"), change).await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dial_route_leads_through_a_carrier_there_is() {
    let world = World::start().await;
    let us = &world.us;
    let mine = agent(us, "the caller").await;
    let message = |answer: crate::world::Answer| {
        answer.names("route");
        answer.json()["route"][0].as_str().unwrap().to_owned()
    };
    let none = message(route(us, mine, json!("carrier:main")).await);
    assert!(none.contains("no carriers"), "{none}");
    us.post(&many(), twilio("main")).await;
    us.post(&many(), twilio("second")).await;
    world.them.post(&many(), twilio("theirs")).await;
    for unknown in ["carrier:theirs", "carrier:Main", "carrier:", "carrier:a b"] {
        let told = message(route(us, mine, json!(unknown)).await);
        assert!(
            told.ends_with("there are carrier:main, carrier:second."),
            "{told}"
        );
    }
    for known in [
        json!("agent"),
        json!("main"),
        json!(null),
        json!("carrier:main"),
    ] {
        let set = route(us, mine, known.clone()).await.ok();
        assert_eq!(set["route"], known);
    }
    let shown = us.get(&one("main")).await;
    assert_eq!(shown["agents"], json!([{"id": mine, "name": "the caller"}]));
    assert_eq!(us.get(&one("second")).await["agents"], json!([]));
    let kept = us
        .ask("DELETE", &one("main"), &json!({}))
        .await
        .refused(409);
    assert!(kept.contains(&format!("{mine} (the caller)")), "{kept}");
    assert_eq!(us.get(&one("main")).await, shown);
    // An agent keeps its carrier through other changes.
    let path = format!("{V1}/aiagents/{mine}/");
    us.patch(&path, json!({"agent_name": "renamed"})).await;
    assert_eq!(us.get(&one("main")).await["agents"][0]["name"], "renamed");
    route(us, mine, json!("carrier:second")).await.ok();
    let gone = us.ask("DELETE", &one("main"), &json!({})).await;
    assert_eq!(gone.status, 204);
    world.close().await;
}
