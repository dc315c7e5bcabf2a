//! Links that show a result without a key, and exports.

use std::time::Duration;

use ringdown_bus::now;
use ringdown_domain::ResultId;
use ringdown_rest::hash_key;
use serde_json::{Value, json};

use crate::runs::is_called;
use crate::world::{OWN, V1, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_link_shows_one_result_and_no_secrets_until_it_expires() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue("+15559990001").await;
    let profile = json!({"name": "p", "information": {"password": "s3cret-word"}});
    let profile = us.post(&format!("{V1}/test-profiles/"), profile).await;
    let body = json!({
        "scenarios": [made.scenario], "agent_id": made.agent, "test_profile_ids": [profile["id"]],
    });
    let shared = us
        .post(&format!("{V1}/scenarios/run_scenarios/"), body)
        .await;
    let (result, run) = (
        shared["id"].as_i64().unwrap(),
        shared["runs"][0]["id"].as_i64().unwrap(),
    );
    let other = us.trigger(&made, 1).await.ids[0];
    for run in [run, other] {
        is_called(&world, run, 12, true).await;
    }
    let body = json!({"feedback": "for us alone"});
    us.patch(&format!("{V1}/runs/{run}/"), body).await;
    let create = format!("{V1}/results/{result}/create_shareable_link_token/");
    let made = us.send("POST", &create, None, Vec::new()).await.ok();
    let token = made["token"].as_str().unwrap();
    assert_eq!(token.len(), 64);
    let link = format!("{OWN}/shared/{token}/");
    assert_eq!(
        made["shareable_link"],
        format!("http://platform.test{link}")
    );

    let nobody = us.with_key(None);
    let answer = nobody.try_get(&link).await;
    assert_eq!(answer.headers["cache-control"], "private, no-store");
    assert_eq!(answer.headers["referrer-policy"], "no-referrer");
    let shown = answer.ok();
    assert_eq!(shown["id"], result);
    assert_eq!(shown["success_rate"], 100.0);
    let text = shown.to_string();
    for hidden in ["s3cret-word", "for us alone", "/ringdown/v1/runs/"] {
        assert!(!text.contains(hidden), "{hidden}: {text}");
    }
    assert_eq!(shown["run_settings"], Value::Null);
    let recording = shown["runs"][run.to_string()]["voice_recording_url"].clone();
    let recording = recording
        .as_str()
        .unwrap()
        .strip_prefix("http://platform.test");
    let sound = nobody.try_get(recording.unwrap()).await;
    assert_eq!(sound.bytes, format!("sound of {run}").into_bytes());
    // The token opens nothing else.
    let elsewhere = format!("{OWN}/shared/{token}/runs/{other}/recording/");
    nobody.try_get(&elsewhere).await.refused(404);
    us.with_key(Some(token))
        .try_get(&format!("{V1}/results/"))
        .await
        .refused(401);
    for wrong in ["x", &"0".repeat(64), &token[1..]] {
        nobody
            .try_get(&format!("{OWN}/shared/{wrong}/"))
            .await
            .refused(404);
    }
    world
        .them
        .ask("POST", &create, &json!({}))
        .await
        .refused(404);
    for expire_at in [
        json!("2001-01-01T00:00:00Z"),
        json!("2999-01-01T00:00:00Z"),
        json!("x"),
        json!(1),
    ] {
        let body = json!({"expire_at": expire_at});
        us.ask("POST", &create, &body).await.names("expire_at");
    }
    // One that has expired is as good as none.
    let at = now();
    let store = world.engine.store();
    store
        .add_share_link(
            world.org.id.into(),
            ResultId(result),
            hash_key("old"),
            at,
            at,
        )
        .await
        .unwrap();
    nobody
        .try_get(&format!("{OWN}/shared/old/"))
        .await
        .refused(404);
    let soon = at.plus(Duration::from_secs(60));
    let soon = jiff::Timestamp::from_microsecond(soon.as_micros()).unwrap();
    let body = json!({"expire_at": soon.to_string()});
    assert_eq!(us.post(&create, body).await["expire_at"], soon.to_string());

    let deleted = us
        .ask("DELETE", &format!("{V1}/results/{result}/"), &json!({}))
        .await;
    assert_eq!(deleted.status, 204);
    nobody.try_get(&link).await.refused(404);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_holds_every_run_and_no_formula() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue("+15559990001").await;
    // More than are read at once.
    let triggered = us.trigger(&made, 401).await;
    let first = triggered.ids[0];
    is_called(&world, first, 12, false).await;
    let formula = "=HYPERLINK(\"http://evil.test\"), \"x\"\nsecond line";
    let body = json!({"feedback": formula});
    us.patch(&format!("{V1}/runs/{first}/"), body).await;
    let path = format!(
        "{V1}/results/export_result_runs/?result_id={}",
        triggered.result
    );

    let answer = us.try_get(&path).await;
    let name = answer.headers["content-disposition"].to_str().unwrap();
    let expected = format!(
        "attachment; filename=\"result-{}-runs.json\"",
        triggered.result
    );
    assert_eq!(name, expected);
    let json = answer.ok();
    assert_eq!(json["id"], triggered.result);
    assert_eq!(json["runs"].as_object().unwrap().len(), 401);
    let run = us.run_among_others(first).await;
    assert_eq!(json["runs"][first.to_string()], run);

    let answer = us.try_get(&format!("{path}&format=csv")).await;
    assert_eq!(answer.headers["content-type"], "text/csv; charset=utf-8");
    let mut reader = csv::Reader::from_reader(answer.bytes.as_slice());
    let columns = reader.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let cell = |row: usize, name: &str| {
        let column = columns.iter().position(|column| column == name).unwrap();
        rows[row][column].to_owned()
    };
    let ids: Vec<String> = (0..rows.len()).map(|row| cell(row, "run_id")).collect();
    let expected: Vec<String> = triggered.ids.iter().map(ToString::to_string).collect();
    assert_eq!(ids, expected);
    assert_eq!(cell(0, "feedback"), format!("'{formula}"));
    assert_eq!(cell(0, "duration_seconds"), "12");
    assert_eq!(cell(0, "success"), "false");
    assert_eq!(cell(0, "outbound_number"), "+15559990001");
    assert_eq!(cell(0, "not_passed_because"), "too loud");
    assert_eq!(cell(1, "success"), "");

    let all = format!("{V1}/results/export_result_runs/");
    us.try_get(&all).await.names("result_id");
    us.try_get(&format!("{all}?result_id=x"))
        .await
        .names("result_id");
    us.try_get(&format!("{path}&format=xls"))
        .await
        .names("format");
    us.try_get(&format!("{all}?result_id=999999"))
        .await
        .refused(404);
    world.them.try_get(&path).await.refused(404);
    world.close().await;
}
