//! Cron jobs: what is kept of them. Firing them is the platform's.

use ringdown_domain::CronJobId;
use serde_json::{Value, json};

use crate::world::{V1, World, counted, id};

const JOBS: &str = "/schedules/v1/cron-jobs/";

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_kept_with_when_it_runs_next() {
    let world = World::start().await;
    let (us, them) = (&world.us, &world.them);
    let made = us.catalogue("+15559990001").await;
    let profile = json!({"name": "p", "information": {}});
    let profile = id(&us.post(&format!("{V1}/test-profiles/"), profile).await);
    let body = json!({
        "name": "Nightly",
        "crontab_expression": "30  6 * * 1-5",
        "timezone": "europe/berlin",
        "scenarios": [made.scenario],
        "personalities": [1, 3],
        "test_profile_ids": [profile],
        "frequency": 5,
        "concurrency_limit": 2,
        "execution_mode": "sip",
        "notify_on": "failure",
        "something_new": [1],
    });
    let answer = us.ask("POST", JOBS, &body).await;
    assert_eq!(answer.status, 201);
    let job = answer.ok();
    let path = format!("{JOBS}{}/", id(&job));
    for shown in [
        job.clone(),
        us.get(&path).await,
        us.get(JOBS).await[0].clone(),
    ] {
        for name in [
            "name",
            "personalities",
            "frequency",
            "concurrency_limit",
            "execution_mode",
            "notify_on",
            "something_new",
            "test_profile_ids",
        ] {
            assert_eq!(shown[name], body[name], "{name}");
        }
        assert_eq!(shown["crontab_expression"], "30 6 * * 1-5");
        assert_eq!(shown["timezone"], "Europe/Berlin");
        assert_eq!(shown["agent"], made.agent, "that of the evaluators");
        assert_eq!(shown["scenario_ids"], json!([made.scenario]));
        assert_eq!(shown["scenarios_data"][0]["name"], "evaluator");
        assert_eq!(shown["personality"], 1);
        assert_eq!(shown["is_active"], true);
        assert!(shown["next_run_at"].is_string(), "{shown}");
    }
    // What the platform triggers from is stored under the API's names.
    let stored = world
        .engine
        .store()
        .cron_job(world.org.id.into(), CronJobId(id(&job)))
        .await;
    let extra = stored.unwrap().job.extra;
    for name in [
        "scenarios",
        "frequency",
        "personalities",
        "concurrency_limit",
        "test_profile_ids",
    ] {
        assert_eq!(extra[name], body[name], "{name}");
    }

    let paused = us.patch(&path, json!({"is_active": false})).await;
    assert_eq!(
        (&paused["is_active"], &paused["next_run_at"]),
        (&json!(false), &Value::Null)
    );
    assert_eq!(paused["frequency"], 5);
    let tagged = json!({"scenarios": [], "tags": ["smoke"], "is_active": true});
    let tagged = us.patch(&path, tagged).await;
    assert_eq!(
        (&tagged["tags"], &tagged["scenario_ids"]),
        (&json!(["smoke"]), &json!([]))
    );
    assert!(tagged["next_run_at"].is_string());
    let bare = json!({"crontab_expression": "0 0 * * *", "scenarios": [made.scenario]});
    let bare = us.ask("PUT", &path, &bare).await.ok();
    assert_eq!(bare["timezone"], "UTC");
    assert_eq!(
        (&bare["frequency"], &bare["personalities"]),
        (&json!(1), &json!([]))
    );
    assert!(bare["next_run_at"].as_str().unwrap().contains("T00:00:00"));

    for (query, expected) in [
        (format!("?agent_id={}", made.agent), 1),
        ("?agent_id=999".to_owned(), 0),
        (format!("?project_id={}", bare["project"]), 1),
        ("?project_id=999".to_owned(), 0),
        (format!("?organization_id={}", world.org.id), 1),
        ("?organization_id=999".to_owned(), 0),
    ] {
        assert_eq!(
            counted(&us.get(&format!("{JOBS}{query}")).await),
            expected,
            "{query}"
        );
    }
    for method in ["GET", "PUT", "PATCH", "DELETE"] {
        let body = json!({"crontab_expression": "0 0 * * *"});
        them.ask(method, &path, &body).await.refused(404);
    }
    assert_eq!(counted(&them.get(JOBS).await), 0);
    assert_eq!(us.ask("DELETE", &path, &Value::Null).await.status, 204);
    us.try_get(&path).await.refused(404);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_could_not_run_are_refused() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue("+15559990001").await;
    let other = us.agent("other").await;
    let other = us.scenario(other, "of another agent").await;
    let theirs = world.them.catalogue("+15559990002").await;
    let good = json!({"crontab_expression": "0 * * * *", "scenarios": [made.scenario]});
    let job = id(&us.post(JOBS, good.clone()).await);
    let path = format!("{JOBS}{job}/");
    let before = us.try_get(&path).await.bytes;
    for (change, field) in [
        (json!({"crontab_expression": ""}), "crontab_expression"),
        (json!({"crontab_expression": "* * *"}), "crontab_expression"),
        (
            json!({"crontab_expression": "61 * * * *"}),
            "crontab_expression",
        ),
        (
            json!({"crontab_expression": "0 0 31 2 *"}),
            "crontab_expression",
        ),
        (
            json!({"crontab_expression": "@daily"}),
            "crontab_expression",
        ),
        (json!({"timezone": "Mars/Olympus"}), "timezone"),
        (json!({"scenarios": []}), "scenarios"),
        (json!({"scenarios": [999]}), "scenarios"),
        (json!({"scenarios": [theirs.scenario]}), "scenarios"),
        (json!({"tags": ["smoke"]}), "scenarios"),
        (json!({"agent": 999}), "agent"),
        (json!({"agent": theirs.agent}), "agent"),
        (json!({"personalities": [1, 999]}), "personalities"),
        (json!({"personality": 999}), "personality"),
        (json!({"test_profile_ids": [999]}), "test_profile_ids"),
        (json!({"frequency": 0}), "frequency"),
        (json!({"frequency": 101}), "frequency"),
        (json!({"concurrency_limit": 0}), "concurrency_limit"),
        (json!({"execution_mode": "telepathy"}), "execution_mode"),
        (json!({"execution_mode": "text"}), "execution_mode"),
        (json!({"run_as_text": true}), "run_as_text"),
        (json!({"notify_on": "sometimes"}), "notify_on"),
        (json!({"is_active": "yes"}), "is_active"),
    ] {
        let mut body = good.clone();
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        for (method, path) in [("POST", JOBS), ("PUT", &path), ("PATCH", &path)] {
            println!("{method} {change}");
            us.ask(method, path, &body).await.names(field);
        }
    }
    let mixed = json!({"crontab_expression": "0 * * * *", "scenarios": [made.scenario, other]});
    us.ask("POST", JOBS, &mixed).await.names("agent");
    let tagged = json!({"crontab_expression": "0 * * * *", "tags": ["smoke"]});
    us.ask("POST", JOBS, &tagged).await.names("agent");
    us.ask("POST", JOBS, &json!({"scenarios": [made.scenario]}))
        .await
        .names("crontab_expression");
    assert_eq!(us.try_get(&path).await.bytes, before);
    assert_eq!(counted(&us.get(JOBS).await), 1);
    world.close().await;
}
