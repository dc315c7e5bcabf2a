//! Outgoing webhooks: their log, replays, tests, and a batch that waits for one.

use std::sync::Arc;
use std::time::Duration;

use ringdown_domain::{AgentId, ScenarioId};
use ringdown_rest::Dispatcher;
use ringdown_store::{
    NewBatch, NewRun, NewTemplate, ProfileSnapshot, Project, Script, Store, WebhookEvent,
    WebhookKind,
};
use ringdown_vault::{Keyring, new_key};
use ringdown_webhook::{Metrics, Options, Sender, Service};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::world::{CALLER, Catalogue, OWN, World, id, within};

/// Answers requests with these statuses, one after the other, and says what it heard.
async fn target(statuses: Vec<u16>) -> (String, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook?token=t0ken", listener.local_addr().unwrap());
    let (tell, heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        for status in statuses {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut text = String::new();
            let whole = |text: &str| {
                let (head, body) = text.split_once("\r\n\r\n")?;
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "))?;
                Some(body.len() >= length.parse().unwrap())
            };
            while whole(&text) != Some(true) {
                let mut bytes = Vec::new();
                assert!(stream.read_buf(&mut bytes).await.unwrap() > 0);
                text.push_str(std::str::from_utf8(&bytes).unwrap());
            }
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 5\r\n\r\nheard");
            stream.write_all(answer.as_bytes()).await.unwrap();
            let _ = tell.send(text);
        }
    });
    (url, heard)
}

async fn project(world: &World, target: Option<&str>) -> Project {
    let store = world.engine.store();
    let mut project = store.projects(world.org.id.into()).await.unwrap().remove(0);
    project.webhook_url = target.map(str::to_owned);
    project
        .extra
        .insert("notify_pre_run_webhook".to_owned(), json!(true));
    let now = ringdown_bus::now();
    store.update_project(&project, vec![], now).await.unwrap();
    project
}

fn serve(world: &World) -> Service {
    let egress = ringdown_egress::Policy::allowing(&["127.0.0.0/8"]).unwrap();
    let keyring = Keyring::parse(new_key().unwrap().expose()).unwrap();
    let sender = Sender::new(
        Arc::clone(world.engine.store()),
        ringdown_egress::Client::new(egress),
        Arc::new(keyring),
        Options::new("http://platform.test"),
    );
    let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
    let dispatch = Arc::new(Dispatcher(world.engine.clone()));
    Service::start(sender, dispatch, metrics)
}

async fn add(store: &Arc<dyn Store>, project: &Project, kind: WebhookKind) -> WebhookEvent {
    let now = ringdown_bus::now();
    let body = r#"{"event_type": "made up"}"#;
    let added = store.add_webhook(project.org, project.id, kind, None, body, now);
    added.await.unwrap()
}

async fn until(world: &World, webhook: i64, state: &str) -> Value {
    within(&format!("webhook {webhook} is {state}"), async {
        loop {
            let read = world.us.get(&format!("{OWN}/webhooks/{webhook}/")).await;
            if read["state"] == state {
                return read;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_says_what_came_of_it() {
    let world = World::start().await;
    let us = &world.us;
    let untargeted = project(&world, None).await;
    let reference = format!("/user/v1/projects/{}/test-webhook/", untargeted.id);
    let own = format!("{OWN}/projects/{}/test-webhook/", untargeted.id);
    for path in [&reference, &own] {
        us.ask("POST", path, &json!({})).await.names("webhook_url");
        world.them.ask("POST", path, &json!({})).await.refused(404);
    }
    let (url, mut heard) = target(vec![204, 500]).await;
    project(&world, Some(&url)).await;
    let answer = us.ask("POST", &reference, &json!({"name": "x"})).await;
    let shown = answer.ok();
    assert_eq!(
        (&shown["id"], &shown["webhook_url"]),
        (&json!(untargeted.id), &json!(url))
    );
    let header = |name: &str| answer.headers[name].to_str().unwrap().to_owned();
    assert_eq!(header("x-ringdown-webhook-state"), "delivered");
    assert_eq!(header("x-ringdown-webhook-status"), "204");
    let request = heard.recv().await.unwrap();
    assert!(
        request.starts_with("POST /hook?token=t0ken HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(request.contains("\"result.completed\""), "{request}");

    let failed = us.post(&own, json!({})).await;
    assert_eq!(
        (&failed["kind"], &failed["state"]),
        (&json!("test"), &json!("failed"))
    );
    let tries = failed["attempts"].as_array().unwrap();
    assert_eq!((tries.len(), &tries[0]["status"]), (1, &json!(500)));
    assert_eq!(tries[0]["answer"], "heard");
    assert_eq!(failed["body"]["event_type"], "result.completed");
    // The target's own token is nobody's business.
    assert!(!failed.to_string().contains("t0ken"), "{failed}");
    let logged = us
        .get(&format!(
            "{OWN}/webhooks/{}",
            header("x-ringdown-webhook-id")
        ))
        .await;
    assert_eq!(logged["state"], "delivered");
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_listed_filtered_and_replayed() {
    let world = World::start().await;
    let us = &world.us;
    let (url, mut heard) = target(vec![404, 200]).await;
    let mine = project(&world, Some(&url)).await;
    let other = Project::new(world.org.id, "other");
    let store = Arc::clone(world.engine.store());
    let now = ringdown_bus::now();
    let other = store.create_project(other, vec![], now).await.unwrap();
    let first = add(&store, &mine, WebhookKind::ResultCompleted).await;
    let second = add(&store, &other, WebhookKind::Test).await;
    let service = serve(&world);
    until(&world, second.id.0, "skipped").await;
    let failed = until(&world, first.id.0, "failed").await;
    assert_eq!(failed["attempts"][0]["status"], 404);
    assert_eq!(failed["body"], json!({"event_type": "made up"}));
    let ids = async |query: &str| -> Vec<i64> {
        let page = us.get(&format!("{OWN}/webhooks/?{query}")).await;
        page["results"].as_array().unwrap().iter().map(id).collect()
    };
    let (one, two) = (first.id.0, second.id.0);
    assert_eq!(ids("").await, [two, one]);
    assert_eq!(ids("page_size=1&page=2").await, [one]);
    assert_eq!(ids(&format!("project_id={}", mine.id)).await, [one]);
    assert_eq!(ids("kind=test").await, [two]);
    assert_eq!(ids("state=failed").await, [one]);
    assert!(ids("result_id=77").await.is_empty());
    for (query, field) in [
        ("kind=x", "kind"),
        ("state=x", "state"),
        ("result_id=x", "result_id"),
    ] {
        us.try_get(&format!("{OWN}/webhooks/?{query}"))
            .await
            .names(field);
    }
    let them = world.them.get(&format!("{OWN}/webhooks/")).await;
    assert_eq!(them["count"], 0);
    let replay = format!("{OWN}/webhooks/{one}/replay/");
    world
        .them
        .ask("POST", &replay, &json!({}))
        .await
        .refused(404);
    world
        .them
        .try_get(&format!("{OWN}/webhooks/{one}/"))
        .await
        .refused(404);
    us.try_get(&format!("{OWN}/webhooks/999/"))
        .await
        .refused(404);
    let replayed = us.post(&replay, json!({})).await;
    assert_eq!(
        (&replayed["state"], &replayed["tries"]),
        (&json!("due"), &json!(0))
    );
    let delivered = until(&world, one, "delivered").await;
    assert_eq!(delivered["attempts"].as_array().unwrap().len(), 2);
    let (before, after) = (heard.recv().await.unwrap(), heard.recv().await.unwrap());
    assert_eq!(before, after, "the same words, and the same id");
    service.drain(Duration::from_secs(30)).await;
    world.close().await;
}

fn gated(world: &World, project: &Project, of: &Catalogue) -> NewBatch {
    NewBatch {
        org: world.org.id,
        project: project.id,
        agent: AgentId(of.agent),
        agent_name: "agent".to_owned(),
        name: "batch".to_owned(),
        concurrency_limit: None,
        priority: 0,
        settings: json!({}),
        caller_ids: vec![CALLER.parse().unwrap()],
        dial_route: None,
        gated: true,
        cron_job: None,
        idempotency: None,
        templates: vec![NewTemplate {
            scenario: ScenarioId(of.scenario),
            scenario_name: "evaluator".to_owned(),
            personality: None,
            personality_name: String::new(),
            test_profile: None::<ProfileSnapshot>,
            script: Script {
                first_message: String::new(),
                replies: vec![],
                closing: String::new(),
                max_duration_ms: 60_000,
                silence_timeout_ms: 10_000,
                language: "en".to_owned(),
                instructions: String::new(),
                expected_outcome: String::new(),
            },
        }],
        runs: vec![
            NewRun {
                template: 0,
                number: Some("+15559990001".parse().unwrap()),
            };
            2
        ],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_lets_a_batch_go_or_ends_it() {
    let world = World::start().await;
    let (url, mut heard) = target(vec![200, 403, 200]).await;
    let project = project(&world, Some(&url)).await;
    let made = world.us.catalogue("+15559990001").await;
    let ids = async || -> Vec<i64> {
        let batch = world
            .engine
            .trigger(gated(&world, &project, &made))
            .await
            .unwrap();
        batch.runs.iter().map(|run| run.id.0).collect()
    };
    let let_go = ids().await;
    assert_eq!(world.us.statuses(&let_go).await, ["in_queue", "in_queue"]);
    let service = serve(&world);
    let reach = async |ids: &[i64], status: &str| {
        within(&format!("runs are {status}"), async {
            while world.us.statuses(ids).await != [status, status] {
                tokio::task::yield_now().await;
            }
        })
        .await;
    };
    assert!(heard.recv().await.unwrap().contains("result_pre_trigger:"));
    reach(&let_go, "pending").await;
    let refused = ids().await;
    reach(&refused, "cancelled").await;
    let run = world
        .us
        .get(&format!("/test_framework/v1/runs/{}/", refused[0]))
        .await;
    let why = run["error_message"].as_str().unwrap();
    assert!(
        why.contains("pre-run webhook") && why.contains("403"),
        "{why}"
    );
    assert!(heard.recv().await.unwrap().contains("result_pre_trigger:"));
    assert!(heard.recv().await.unwrap().contains("result_completed:"));
    service.drain(Duration::from_secs(30)).await;
    world.close().await;
}
