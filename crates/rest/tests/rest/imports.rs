//! Phone numbers: those of one's own, and those imported from a provider's account.

use ringdown_store::{SecretOwner, Secrets as _};
use serde_json::{Value, json};

use crate::provider::{OWNED, SECRET};
use crate::world::{OWN, V1, World, id};

fn path(provider: &str) -> String {
    format!("{V1}/phone-numbers/providers/{provider}/import/")
}

/// What imports the owned number from each provider, the field of its number and of its secret.
fn imports() -> [(&'static str, Value, &'static str, &'static str); 3] {
    [
        (
            "twilio",
            json!({"twilio_phone_number": OWNED, "twilio_account_sid": "AC1",
                   "twilio_auth_token": SECRET, "is_sms_enabled": true}),
            "twilio_phone_number",
            "twilio_auth_token",
        ),
        (
            "plivo",
            json!({"plivo_phone_number": OWNED, "plivo_auth_id": "MA1",
                   "plivo_auth_token": SECRET, "name": "Mine"}),
            "plivo_phone_number",
            "plivo_auth_token",
        ),
        (
            "telnyx",
            json!({"telnyx_phone_number": OWNED, "telnyx_api_key": SECRET}),
            "telnyx_phone_number",
            "telnyx_api_key",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_imported_once_its_account_is_verified() {
    let world = World::start().await;
    let us = &world.us;
    let list = format!("{V1}/phone-numbers/providers/list/");
    let own = us.number("+15559990001").await;
    for (provider, body, _, secret) in imports() {
        let answer = us.ask("POST", &path(provider), &body).await;
        assert_eq!(answer.status, 201);
        let made = answer.ok();
        assert_eq!(made["number"], OWNED);
        assert_eq!(made["provider"], provider);
        assert_eq!(made["sms_enabled"], provider == "twilio");
        let (name, provider_id) = match provider {
            "twilio" => (json!("Front desk"), "PN1"),
            "plivo" => (json!("Mine"), &OWNED[1..]),
            _ => (Value::Null, "129"),
        };
        assert_eq!(made["name"], name);
        assert_eq!(made["phone_number_id"], provider_id);
        assert_eq!(us.get(&list).await, json!([made]));
        let one = us.get(&format!("{V1}/phone-numbers/{}/", id(&made))).await;
        assert_eq!(one["provider"], provider);
        assert_eq!(one["scenario_id"], "");
        for shown in [&made, &one, &us.get(&format!("{V1}/phone-numbers/")).await] {
            assert!(!shown.to_string().contains(SECRET), "{shown}");
        }
        let owner = SecretOwner::PhoneNumber(id(&made).into());
        let scope = world.org.id.into();
        let sealed = world.store.secret(scope, owner, secret).await.unwrap();
        assert!(!sealed.unwrap().contains(SECRET));
        us.ask("POST", &path(provider), &body)
            .await
            .names(match provider {
                "twilio" => "twilio_phone_number",
                "plivo" => "plivo_phone_number",
                _ => "telnyx_phone_number",
            });
        let one = format!("{V1}/phone-numbers/providers/{}/", id(&made));
        world
            .them
            .ask("DELETE", &one, &json!({}))
            .await
            .refused(404);
        assert_eq!(us.ask("DELETE", &one, &json!({})).await.status, 204);
        us.ask("DELETE", &one, &json!({})).await.refused(404);
        assert_eq!(us.get(&list).await, json!([]));
        let names = world.store.secret_names(scope, owner).await.unwrap();
        assert!(names.is_empty(), "{names:?}");
    }
    let own = format!("{V1}/phone-numbers/providers/{own}/");
    us.ask("DELETE", &own, &json!({})).await.refused(404);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_is_not_the_accounts_is_not_imported() {
    let world = World::start().await;
    let us = &world.us;
    for (provider, good, number, secret) in imports() {
        let with = |field: &str, value: Value| {
            let mut body = good.clone();
            body[field] = value;
            body
        };
        let ask = |body: Value| {
            let (us, path) = (us.clone(), path(provider));
            async move { us.ask("POST", &path, &body).await }
        };
        ask(with(number, json!("+15551112222"))).await.names(number);
        ask(with(secret, json!("wrong-token"))).await.names(secret);
        let asked = world.provider.asked().len();
        for wrong in [json!(""), json!("5551234"), Value::Null, json!(7)] {
            ask(with(number, wrong)).await.names(number);
        }
        for wrong in [json!(""), json!("a b"), Value::Null, json!("x".repeat(256))] {
            ask(with(secret, wrong)).await.names(secret);
        }
        ask(with("project", json!(999_999))).await.names("project");
        assert_eq!(world.provider.asked().len(), asked, "nobody was asked");
        let told = ask(with(number, json!("+15550000000"))).await.refused(502);
        assert!(told.contains("503"), "{told}");
    }
    let numbers = us.get(&format!("{V1}/phone-numbers/")).await;
    assert_eq!(numbers, json!([]));
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_of_a_project_is_that_projects_alone() {
    let world = World::start().await;
    let us = &world.us;
    let projects = format!("{OWN}/projects/");
    let first = id(&us.get(&projects).await[0]);
    let second = id(&us.post(&projects, json!({"name": "second"})).await);
    let key = |project: i64| json!({"name": "bound", "project_id": project});
    let in_first = us.post(&format!("{OWN}/keys/"), key(first)).await;
    let in_first = us.with_key(in_first["key"].as_str());
    let in_second = us.post(&format!("{OWN}/keys/"), key(second)).await;
    let in_second = us.with_key(in_second["key"].as_str());
    let add = format!("{OWN}/phone-numbers/");
    let shared = us.number("+15559990001").await;
    let bound = json!({"number": "+15559990002", "project_id": second});
    in_first.ask("POST", &add, &bound).await.names("project_id");
    let bound = id(&us.post(&add, bound).await);
    let own = id(&in_first.post(&add, json!({"number": "+15559990003"})).await);
    let seen =
        |numbers: Value| -> Vec<i64> { numbers.as_array().unwrap().iter().map(id).collect() };
    let list = format!("{V1}/phone-numbers/");
    assert_eq!(seen(us.get(&list).await), [shared, bound, own]);
    assert_eq!(seen(in_first.get(&list).await), [shared, own]);
    assert_eq!(seen(in_second.get(&list).await), [shared, bound]);
    assert_eq!(us.get(&format!("{list}{own}/")).await["project"], first);
    let inbound = format!("{V1}/phone-numbers/inbound/");
    assert_eq!(seen(in_second.get(&inbound).await), [shared, bound]);
    let elsewhere = format!("{inbound}?organization_id=999999");
    assert_eq!(us.get(&elsewhere).await, json!([]));
    let ours = format!("{inbound}?organization_id={}", world.org.id);
    assert_eq!(seen(us.get(&ours).await), [shared, bound, own]);
    for foreign in [shared, own] {
        let path = format!("{OWN}/phone-numbers/{foreign}/");
        in_second
            .ask("DELETE", &path, &json!({}))
            .await
            .refused(404);
    }
    // Whether a number is busy is told to those who have it.
    let made = us.agent("caller").await;
    let scenario =
        json!({"name": "evaluator", "agent": made, "personality": 1, "phone_number": own});
    let scenario = id(&us.post(&format!("{V1}/scenarios/"), scenario).await);
    let run = json!({"scenarios": [scenario], "agent_id": made});
    us.post(&format!("{V1}/scenarios/run_scenarios/"), run)
        .await;
    let busy = format!("{V1}/phone-numbers/check_occupancy/?phone_number=%2B15559990003");
    assert_eq!(us.get(&busy).await["is_occupied"], true);
    assert_eq!(in_first.get(&busy).await["pending_runs_count"], 1);
    assert_eq!(in_second.get(&busy).await["is_occupied"], false);
    assert_eq!(in_second.get(&busy).await["pending_runs_count"], 0);
    world.close().await;
}
