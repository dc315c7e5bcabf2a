//! The scheduler between a service that is told what to answer and a real `nats-server`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use ringdown_bus::{Bus, From, NatsServer, ServerOptions, Stream, find_nats_server};
use ringdown_client::{ApiKey, Client};
use ringdown_domain::Team;
use ringdown_domain::run::Status;
use ringdown_proto::v1::envelope::Fact;
use ringdown_proto::v1::{PlanFact, plan_fact};
use ringdown_scheduler::{Error, Plan, trigger};
use serde_json::{Value, json};

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .expect("nothing happened for 20 s")
}

fn team() -> Team {
    "service".parse().unwrap()
}

fn plan() -> Plan {
    Plan {
        team: team(),
        agent: 7,
        scenarios: vec![1, 2],
        frequency: 3,
        concurrency_limit: Some(5),
        priority: Some(-3),
        name: Some("nightly".to_owned()),
        dial_route: "main".to_owned(),
        from: None,
    }
}

struct Service {
    agent: Mutex<Value>,
    /// Status and body of the answer to a trigger.
    answer: Mutex<(u16, String)>,
    triggers: Mutex<Vec<Value>>,
}

async fn agent(State(service): State<Arc<Service>>, Path(id): Path<i64>) -> Response {
    let agent = service.agent.lock().unwrap().clone();
    if agent["id"] == id {
        return Json(agent).into_response();
    }
    (StatusCode::NOT_FOUND, "{\"detail\":\"Not found.\"}").into_response()
}

async fn run_scenarios(State(service): State<Arc<Service>>, Json(body): Json<Value>) -> Response {
    service.triggers.lock().unwrap().push(body);
    let (status, body) = service.answer.lock().unwrap().clone();
    (StatusCode::from_u16(status).unwrap(), body).into_response()
}

struct World {
    bus: Bus,
    service: Arc<Service>,
    client: Client,
    _server: NatsServer,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = NatsServer::start(ServerOptions {
            program: find_nats_server().unwrap(),
            folder: folder.path().to_owned(),
        })
        .await
        .unwrap();
        let options = ringdown_bus::Options {
            url: server.url().to_owned(),
            name: "test".to_owned(),
            replicas: 1,
        };
        let bus = Bus::connect(&options).await.unwrap();
        let result = json!({
            "id": 9,
            "runs": [
                {"id": 11, "number": "+15550100001", "scenario": 1, "scenario_name": "Greets",
                 "test_profile_data": {"id": 4, "name": "Zoë", "information": {"x": 1}}},
                {"id": 12, "outbound_number": "+15550100003", "scenario": 2},
                {"id": 13},
            ],
        });
        let service = Arc::new(Service {
            agent: Mutex::new(json!({
                "id": 7, "agent_name": "Agent", "inbound": false,
                "contact_number": "+15550100002",
            })),
            answer: Mutex::new((201, result.to_string())),
            triggers: Mutex::default(),
        });
        let app = Router::new()
            .route("/test_framework/v1/aiagents/{id}/", get(agent))
            .route(
                "/test_framework/v1/scenarios/run_scenarios/",
                post(run_scenarios),
            )
            .with_state(Arc::clone(&service));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, app).into_future());
        let options = ringdown_client::Options::default();
        let client = Client::new(&base, &ApiKey::new("key"), options).unwrap();
        Self {
            bus,
            service,
            client,
            _server: server,
            _folder: folder,
        }
    }

    /// Sends the plan; gives what it came to and how many triggers the service has seen.
    async fn trigger(&self, plan: &Plan) -> (Result<ringdown_scheduler::Triggered, Error>, usize) {
        let triggered = within(trigger(&self.client, &self.bus, plan)).await;
        (triggered, self.service.triggers.lock().unwrap().len())
    }

    /// The plans announced so far.
    async fn announced(&self) -> Vec<PlanFact> {
        let marker = PlanFact {
            plan_id: "marker".to_owned(),
            step: Some(plan_fact::Step::Finished(plan_fact::Finished {})),
            ..PlanFact::default()
        };
        let envelope = self.bus.envelope(&team(), Fact::Plan(marker));
        self.bus
            .publish(&envelope, &envelope.event_id)
            .await
            .unwrap();
        let observer = self
            .bus
            .observe(Stream::Plans, Stream::Plans.subjects(), From::Beginning);
        let mut observer = observer.await.unwrap();
        let mut plans = Vec::new();
        loop {
            let observed = within(observer.next()).await.unwrap().unwrap();
            if observed.envelope.event_id == envelope.event_id {
                return plans;
            }
            match observed.envelope.fact {
                Some(Fact::Plan(plan)) if plan.plan_id != "marker" => plans.push(plan),
                Some(Fact::Plan(_)) => {}
                other => panic!("not a plan: {other:?}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_triggered_once_and_announced_with_its_runs() {
    let world = World::new().await;
    let (triggered, triggers) = world.trigger(&plan()).await;
    let triggered = triggered.unwrap();
    assert_eq!((triggers, triggered.agent_name.as_str()), (1, "Agent"));
    assert_eq!(
        world.service.triggers.lock().unwrap()[0],
        json!({
            "agent_id": 7, "scenarios": [1, 2], "frequency": 3,
            "name": "nightly", "concurrency_limit": 5, "priority": -3,
        })
    );
    let announced = world.announced().await;
    assert_eq!(announced.len(), 1);
    assert_eq!(announced[0].plan_id, triggered.plan_id);
    let Some(plan_fact::Step::Triggered(fact)) = &announced[0].step else {
        panic!("not triggered: {announced:?}")
    };
    assert_eq!((fact.result_id, fact.agent_id), (9, 7));
    let numbers: Vec<(i64, &str)> = fact
        .runs
        .iter()
        .map(|run| (run.run_id, run.number.as_str()))
        .collect();
    assert_eq!(
        numbers,
        [(11, "+15550100001"), (12, "+15550100003"), (13, "")]
    );
    for run in &fact.runs {
        assert_eq!(run.known_status(), Some(Status::InQueue));
        assert!(run.window().is_none(), "a window before it is pending");
        assert_eq!((run.dial_route.as_str(), run.result_id), ("main", 9));
        assert_eq!(run.caller_ids, ["+15550100002"]);
        assert_eq!(run.agent_name, "Agent");
    }
    let profile: Value = serde_json::from_str(&fact.runs[0].test_profile_json).unwrap();
    assert_eq!(profile["information"], json!({"x": 1}));
    assert_eq!(fact.runs[1].test_profile_json, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_triggered_for_an_agent_that_cannot_call() {
    let world = World::new().await;
    let stranger = Plan { agent: 8, ..plan() };
    let (refused, triggers) = world.trigger(&stranger).await;
    assert!(matches!(refused, Err(Error::NoSuchAgent(8))), "{refused:?}");
    assert_eq!(triggers, 0);
    world.service.agent.lock().unwrap()["inbound"] = json!(true);
    let (refused, triggers) = world.trigger(&plan()).await;
    assert!(matches!(refused, Err(Error::Inbound(7))), "{refused:?}");
    assert!(refused.unwrap_err().to_string().contains("inbound"));
    assert_eq!(triggers, 0);
    assert!(world.announced().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_failed_is_not_repeated_and_says_what_is_known() {
    let world = World::new().await;
    let no_runs = "{\"id\":9}".to_owned();
    for (sent, (status, body, unknown)) in (1..).zip([
        (500, String::new(), true),
        (502, "<html>".to_owned(), true),
        (201, "<html>".to_owned(), true),
        (200, no_runs, true),
        (400, "{\"detail\":\"no credits\"}".to_owned(), false),
        (403, String::new(), false),
        (429, String::new(), false),
    ]) {
        *world.service.answer.lock().unwrap() = (status, body);
        let (failed, triggers) = world.trigger(&plan()).await;
        let error = failed.unwrap_err();
        assert_eq!(triggers, sent, "{status}: sent again");
        match &error {
            Error::Unknown(_) => assert!(unknown, "{status}: {error}"),
            Error::Service(_) => assert!(!unknown, "{status}: {error}"),
            other => panic!("{status}: {other}"),
        }
    }
    assert!(world.announced().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_come_from_the_plan_s_number_else_from_the_agent_s() {
    let world = World::new().await;
    let from = |from: &str| Plan {
        from: Some(from.to_owned()),
        ..plan()
    };
    world.trigger(&from("+15550100009")).await.0.unwrap();
    world.service.agent.lock().unwrap()["outbound_numbers"] = json!(["+15550100004"]);
    world.trigger(&plan()).await.0.unwrap();
    *world.service.agent.lock().unwrap() = json!({"id": 7, "contact_number": null});
    world.trigger(&plan()).await.0.unwrap();
    let callers: Vec<Vec<String>> = world
        .announced()
        .await
        .into_iter()
        .map(|plan| match plan.step {
            Some(plan_fact::Step::Triggered(fact)) => fact.runs[0].caller_ids.clone(),
            other => panic!("not triggered: {other:?}"),
        })
        .collect();
    assert_eq!(
        callers,
        [vec!["+15550100009"], vec!["+15550100004"], vec![]]
    );
}
