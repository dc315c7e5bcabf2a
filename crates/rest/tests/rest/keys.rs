//! Who may do what: missing and wrong keys, and the borders between organisations.

use bytes::Bytes;
use ringdown_domain::run::Event;
use ringdown_store::RunPatch;
use serde_json::{Value, json};

use crate::world::{LISTS, OWN, V1, World, counted, id};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_known_key_nothing_is_served() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue("+15559990001").await;
    let counts = us.counts().await;
    let upper = us.key().to_uppercase();
    let spaced = format!("{} x", us.key());
    let shorter = us.key()[..us.key().len() - 1].to_owned();
    for key in [
        None,
        Some(""),
        Some("rd_0"),
        Some(&*upper),
        Some(&*spaced),
        Some(&*shorter),
    ] {
        let nobody = us.with_key(key);
        for list in LISTS {
            nobody.try_get(list).await.refused(401);
        }
        for (method, path) in [
            ("POST", format!("{V1}/aiagents/")),
            ("DELETE", format!("{V1}/aiagents/{}/", made.agent)),
            (
                "PATCH",
                format!("{V1}/scenarios-external/{}", made.scenario),
            ),
            ("POST", format!("{V1}/scenarios/run_scenarios/")),
            ("POST", format!("{OWN}/organizations/")),
            ("GET", format!("{OWN}/queue/")),
            ("GET", format!("{V1}/runs/not-an-id/")),
        ] {
            let body = json!({"scenarios": [made.scenario]});
            nobody.ask(method, &path, &body).await.refused(401);
        }
    }
    assert_eq!(us.counts().await, counts);
    world.close().await;
}

/// Requests about one object of `ours`, each with a body that would be accepted from its owner.
fn about(ours: &Ours) -> Vec<(&'static str, String, Value)> {
    let agent = json!({"agent_name": "taken", "inbound": false});
    let mut all = vec![
        (
            "GET",
            format!("{V1}/phone-numbers/{}/", ours.number),
            Value::Null,
        ),
        (
            "DELETE",
            format!("{OWN}/phone-numbers/{}/", ours.number),
            Value::Null,
        ),
        ("GET", format!("{V1}/runs/{}/", ours.run), Value::Null),
        (
            "POST",
            format!("{V1}/runs/{}/end_call/", ours.run),
            Value::Null,
        ),
        (
            "GET",
            format!("{OWN}/runs/{}/recording/", ours.run),
            Value::Null,
        ),
        ("GET", format!("{V1}/results/{}/", ours.result), Value::Null),
        (
            "POST",
            format!("{V1}/results/{}/end_calls/", ours.result),
            Value::Null,
        ),
        (
            "GET",
            format!("{OWN}/projects/{}/", ours.project),
            Value::Null,
        ),
        (
            "PATCH",
            format!("{OWN}/projects/{}/", ours.project),
            json!({"name": "taken"}),
        ),
        (
            "PUT",
            format!("{OWN}/agents/{}/dial-route/", ours.agent),
            json!({"route": "taken"}),
        ),
    ];
    for (kind, id, body) in [
        ("aiagents", ours.agent, agent),
        ("scenarios", ours.scenario, json!({"name": "taken"})),
        ("test-profiles", ours.profile, json!({"name": "taken"})),
    ] {
        for method in ["GET", "PUT", "PATCH", "DELETE"] {
            all.push((method, format!("{V1}/{kind}/{id}/"), body.clone()));
        }
    }
    all
}

struct Ours {
    number: i64,
    agent: i64,
    scenario: i64,
    profile: i64,
    project: i64,
    run: i64,
    result: i64,
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_anothers_is_not_there() {
    let world = World::start().await;
    let (us, them) = (&world.us, &world.them);
    let made = us.catalogue("+15559990001").await;
    let profile = json!({"name": "secret profile", "agent": made.agent, "information": {}});
    let profile = us.post(&format!("{V1}/test-profiles/"), profile).await;
    let triggered = us.trigger(&made, 1).await;
    let ours = Ours {
        number: made.number,
        agent: made.agent,
        scenario: made.scenario,
        profile: id(&profile),
        project: id(&us.get(&format!("{OWN}/projects/")).await[0]),
        run: triggered.ids[0],
        result: triggered.result,
    };
    let recording = RunPatch {
        recording: Some("recordings/us/1.wav".to_owned()),
        ..RunPatch::default()
    };
    world
        .artefacts
        .put("recordings/us/1.wav", Bytes::from_static(b"wav"))
        .await
        .unwrap();
    let store = world.engine.store();
    store
        .patch_run(ours.run.into(), recording, ringdown_bus::now())
        .await
        .unwrap();
    let mut before = Vec::new();
    for (method, path, _) in about(&ours) {
        if method == "GET" {
            let answer = us.try_get(&path).await;
            assert_eq!(answer.status, 200, "{path}");
            before.push((path, answer.bytes));
        }
    }
    let heard = &before.iter().find(|(path, _)| path.contains("recording"));
    assert_eq!(heard.unwrap().1, b"wav");

    for thief in [them, &world.admin] {
        for (method, path, body) in about(&ours) {
            let detail = thief.ask(method, &path, &body).await.refused(404);
            assert!(!detail.contains("secret"), "{detail}");
        }
        for list in LISTS {
            assert_eq!(counted(&thief.get(list).await), 0, "{list}");
        }
        for query in [
            format!("{V1}/runs/?result_id={}", ours.result),
            format!("{V1}/scenarios/?agent_id={}", ours.agent),
            format!("{V1}/aiagents/?project_id={}", ours.project),
            format!("{OWN}/attempts/?run_id={}", ours.run),
        ] {
            assert_eq!(counted(&thief.get(&query).await), 0, "{query}");
        }
        let bulk = format!("{V1}/runs/bulk/?run_ids={}", ours.run);
        assert_eq!(thief.get(&bulk).await, json!([]));
        let inbound = format!("{V1}/phone-numbers/inbound/");
        assert_eq!(thief.get(&inbound).await, json!([]));
        assert_eq!(thief.get(&format!("{OWN}/queue/")).await, json!([]));
        let occupied = format!("{V1}/phone-numbers/check_occupancy/?phone_number=%2B15559990001");
        assert_eq!(thief.get(&occupied).await["is_occupied"], false);
        assert_eq!(us.statuses(&[ours.run]).await, ["pending"]);
    }
    for (path, bytes) in before {
        assert_eq!(us.try_get(&path).await.bytes, bytes, "{path} is unchanged");
    }
    world.close().await;
}

/// Ids in bodies reach across no border either.
#[tokio::test(flavor = "multi_thread")]
async fn anothers_objects_cannot_be_pointed_at() {
    let world = World::start().await;
    let (us, them) = (&world.us, &world.them);
    let ours = us.catalogue("+15559990001").await;
    let theirs = them.catalogue("+15559990002").await;
    let profile = json!({"name": "p", "information": {}});
    let profile = id(&us.post(&format!("{V1}/test-profiles/"), profile).await);
    let project = id(&us.get(&format!("{OWN}/projects/")).await[0]);
    let counts = (us.counts().await, them.counts().await);
    let run = format!("{V1}/scenarios/run_scenarios/");
    let scenario = format!("{V1}/scenarios/{}/", theirs.scenario);
    let agent = format!("{V1}/aiagents/{}/", theirs.agent);
    for (method, path, body, field) in [
        (
            "POST",
            &run,
            json!({"scenarios": [ours.scenario]}),
            "scenarios",
        ),
        (
            "POST",
            &run,
            json!({"scenarios": [theirs.scenario, ours.scenario]}),
            "scenarios",
        ),
        (
            "POST",
            &run,
            json!({"scenarios": [theirs.scenario], "agent_id": ours.agent}),
            "agent_id",
        ),
        (
            "POST",
            &run,
            json!({"scenarios": [theirs.scenario], "test_profile_ids": [profile]}),
            "test_profile_ids",
        ),
        (
            "POST",
            &run,
            json!({"scenarios": [theirs.scenario], "outbound_phone_number": "+15559990001"}),
            "outbound_phone_number",
        ),
        ("PATCH", &scenario, json!({"agent": ours.agent}), "agent"),
        (
            "PATCH",
            &scenario,
            json!({"phone_number": ours.number}),
            "phone_number",
        ),
        (
            "PATCH",
            &scenario,
            json!({"test_profile": profile}),
            "test_profile",
        ),
        ("PATCH", &agent, json!({"project": project}), "project"),
        (
            "POST",
            &format!("{OWN}/phone-numbers/"),
            json!({"number": "+15559990001"}),
            "number",
        ),
        (
            "POST",
            &format!("{V1}/scenarios/"),
            json!({"name": "x", "agent": ours.agent}),
            "agent",
        ),
        (
            "POST",
            &format!("{V1}/test-profiles/"),
            json!({"name": "x", "agent": ours.agent}),
            "agent",
        ),
        (
            "POST",
            &format!("{V1}/test-profiles/"),
            json!({"name": "x", "project": project}),
            "project",
        ),
    ] {
        them.ask(method, path, &body).await.names(field);
    }
    assert_eq!((us.counts().await, them.counts().await), counts);
    let shown = them.get(&scenario).await;
    assert_eq!(id(&shown), theirs.scenario);
    assert_eq!(shown["agent"], theirs.agent);
    assert_eq!(shown["phone_number"], "+15559990002");
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_admin_key_makes_organisations_and_their_keys_are_shown_once() {
    let world = World::start().await;
    let path = format!("{OWN}/organizations/");
    let body = json!({"name": "New", "slug": "new-team", "parallel_call_limit": 3});
    world.us.ask("POST", &path, &body).await.refused(403);
    let made = world.admin.post(&path, body.clone()).await;
    let key = made["api_key"].as_str().unwrap();
    let new = world.us.with_key(Some(key));
    assert!(new.counts().await[..7].iter().all(|count| *count == 0));
    let mine = new.get(&format!("{OWN}/organizations/current/")).await;
    assert_eq!(mine["slug"], "new-team");
    assert_eq!(mine["parallel_call_limit"], 3);
    assert!(!mine.to_string().contains(key));
    world.admin.ask("POST", &path, &body).await.names("slug");
    for (slug, field) in [
        (json!("Upper"), "slug"),
        (json!("a.b"), "slug"),
        (json!("*"), "slug"),
        (json!(""), "slug"),
        (json!("x".repeat(33)), "slug"),
        (json!(5), "slug"),
        (Value::Null, "slug"),
    ] {
        let body = json!({"name": "x", "slug": slug});
        world.admin.ask("POST", &path, &body).await.names(field);
    }
    world.close().await;
}

/// A recording that is gone is not found, which is not the same as a failure inside.
#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_is_gone_is_not_found() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue("+15559990001").await;
    let run = us.trigger(&made, 1).await.ids[0];
    let path = format!("{OWN}/runs/{run}/recording/");
    us.try_get(&path).await.refused(404);
    let event = Event::Cancelled {
        reason: "test".to_owned(),
    };
    let patch = RunPatch {
        recording: Some("recordings/us/gone.wav".to_owned()),
        ..RunPatch::default()
    };
    let store = world.engine.store();
    store
        .transition(run.into(), event, patch, ringdown_bus::now())
        .await
        .unwrap();
    let shown = us.get(&format!("{V1}/runs/{run}/")).await;
    let link = shown["voice_recording_url"].as_str().unwrap();
    assert_eq!(link, format!("http://platform.test{path}"));
    us.try_get(&path).await.refused(404);
    world.close().await;
}
