//! The poller between a service that is told what to answer and a real `nats-server`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use ringdown_bus::{
    Bus, From, NatsServer, Observer, ServerOptions, Stream, find_nats_server, subject,
};
use ringdown_client::{ApiKey, Client};
use ringdown_domain::Team;
use ringdown_domain::run::Status;
use ringdown_poller::Poller;
use ringdown_proto::v1::envelope::Fact;
use ringdown_proto::v1::{PlanFact, RunStatus, RunTransition, plan_fact};
use serde_json::{Value, json};
use tokio::sync::watch;

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(40), future)
        .await
        .expect("nothing happened for 40 s")
}

fn team() -> Team {
    "service".parse().unwrap()
}

/// What the service does when it is asked about runs.
enum Answer {
    Runs,
    Broken(StatusCode, &'static str),
}

struct Service {
    runs: Mutex<BTreeMap<i64, Value>>,
    answer: Mutex<Answer>,
    /// How often it was asked.
    polls: watch::Sender<u64>,
}

async fn bulk(
    State(service): State<Arc<Service>>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let response = match &*service.answer.lock().unwrap() {
        Answer::Broken(status, body) => (*status, *body).into_response(),
        Answer::Runs => {
            let runs = service.runs.lock().unwrap();
            let found: Vec<Value> = query["run_ids"]
                .split(',')
                .filter_map(|id| runs.get(&id.parse().unwrap()).cloned())
                .collect();
            axum::Json(found).into_response()
        }
    };
    service.polls.send_modify(|polls| *polls += 1);
    response
}

impl Service {
    fn set(&self, run: i64, status: &str, more: &Value) {
        let mut value = json!({"id": run, "status": status, "outbound_number": "+15550100001"});
        for (name, more) in more.as_object().into_iter().flatten() {
            value[name] = more.clone();
        }
        self.runs.lock().unwrap().insert(run, value);
    }

    fn answer(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    /// Waits until the service was asked and has answered `count` times more, at the least.
    async fn polled(&self, count: u64) {
        let mut polls = self.polls.subscribe();
        let enough = *polls.borrow_and_update() + count;
        within(polls.wait_for(|polls| *polls >= enough))
            .await
            .unwrap();
    }
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
        let service = Arc::new(Service {
            runs: Mutex::default(),
            answer: Mutex::new(Answer::Runs),
            polls: watch::Sender::new(0),
        });
        let app = Router::new()
            .route("/test_framework/v1/runs/bulk/", get(bulk))
            .with_state(Arc::clone(&service));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, app).into_future());
        // What the client does not try again, the poller has to.
        let options = ringdown_client::Options {
            read_deadline: Duration::ZERO,
            ..ringdown_client::Options::default()
        };
        let client = Client::new(&base, &ApiKey::new("key"), options).unwrap();
        Self {
            bus,
            service,
            client,
            _server: server,
            _folder: folder,
        }
    }

    async fn poller(&self) -> Poller {
        Poller::start(&self.bus, team(), self.client.clone())
            .await
            .unwrap()
    }

    /// Announces a plan with these runs.
    async fn triggered(&self, runs: impl IntoIterator<Item = i64>) {
        let runs = runs.into_iter().map(|run| RunTransition {
            run_id: run,
            seq: 1,
            status: RunStatus::InQueue.into(),
            dial_route: "main".to_owned(),
            test_profile_json: "{\"a\":1}".to_owned(),
            caller_ids: vec!["+15550100002".to_owned()],
            ..RunTransition::default()
        });
        let triggered = plan_fact::Triggered {
            runs: runs.collect(),
            ..plan_fact::Triggered::default()
        };
        let fact = Fact::Plan(PlanFact {
            plan_id: "plan-1".to_owned(),
            step: Some(plan_fact::Step::Triggered(triggered)),
            ..PlanFact::default()
        });
        let envelope = self.bus.envelope(&team(), fact);
        self.bus.publish(&envelope, "plan-1").await.unwrap();
    }

    async fn transitions(&self) -> Transitions {
        let filter = subject::runs_of(&team());
        let observer = self.bus.observe(Stream::Runs, &filter, From::Beginning);
        Transitions {
            observer: observer.await.unwrap(),
            seen: Vec::new(),
        }
    }

    /// Waits until the plan is announced to be finished.
    async fn finished(&self) {
        let filter = subject::plans_of(&team());
        let observer = self.bus.observe(Stream::Plans, &filter, From::Beginning);
        let mut observer = observer.await.unwrap();
        loop {
            let observed = within(observer.next()).await.unwrap().unwrap();
            if let Some(Fact::Plan(PlanFact {
                step: Some(plan_fact::Step::Finished(_)),
                ..
            })) = observed.envelope.fact
            {
                return;
            }
        }
    }
}

struct Transitions {
    observer: Observer,
    seen: Vec<RunTransition>,
}

impl Transitions {
    /// Reads on until the run is in this state.
    async fn until(&mut self, run: i64, status: Status) -> RunTransition {
        loop {
            let observed = within(self.observer.next()).await.unwrap().unwrap();
            let Some(Fact::Run(transition)) = observed.envelope.fact else {
                panic!("not a transition")
            };
            self.seen.push(transition.clone());
            if transition.run_id == run && transition.known_status() == Some(status) {
                return transition;
            }
        }
    }

    /// The states of a run, as read so far.
    fn of(&self, run: i64) -> Vec<Status> {
        let seen = self.seen.iter().filter(|seen| seen.run_id == run);
        seen.map(|seen| seen.known_status().unwrap()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_transition_is_announced_once_however_often_it_is_seen() {
    let world = World::new().await;
    let service = &world.service;
    let mut transitions = world.transitions().await;
    service.set(1, "in_queue", &json!({}));
    service.set(2, "scaling_up", &json!({}));
    service.set(3, "somewhere_new", &json!({}));
    world.triggered([1, 2, 3]).await;
    let poller = world.poller().await;
    service.polled(2).await;
    service.set(
        1,
        "pending",
        &json!({"outbound_dial_window_seconds": 120.0, "scenario_name": "Greets"}),
    );
    service.set(2, "running", &json!({"success": true}));
    let pending = transitions.until(1, Status::Pending).await;
    let window = pending.window().unwrap();
    assert_eq!(
        window.opens_at.until(window.closes_at),
        Duration::from_secs(120)
    );
    assert_eq!((pending.seq, pending.scenario_name.as_str()), (2, "Greets"));
    assert_eq!(
        (
            pending.number.as_str(),
            pending.dial_route.as_str(),
            pending.test_profile_json.as_str(),
            pending.caller_ids.as_slice()
        ),
        (
            "+15550100001",
            "main",
            "{\"a\":1}",
            ["+15550100002".to_owned()].as_slice()
        )
    );
    service.polled(2).await;
    service.set(1, "in_progress", &json!({}));
    service.set(3, "completed", &json!({"success": true}));
    transitions.until(1, Status::InProgress).await;
    service.polled(1).await;
    service.set(1, "evaluating", &json!({}));
    service.set(2, "failed", &json!({"error_message": "no audio"}));
    transitions.until(1, Status::Evaluating).await;
    service.set(1, "completed", &json!({"success": false}));
    transitions.until(1, Status::Completed).await;
    world.finished().await;
    poller.stop().await;
    // Whoever starts anew finds nothing to do, and nothing to say.
    world.poller().await.stop().await;
    let mut all = world.transitions().await;
    for _ in 0..transitions.seen.len() {
        let next = within(all.observer.next()).await.unwrap().unwrap();
        let Some(Fact::Run(transition)) = next.envelope.fact else {
            panic!("not a transition")
        };
        all.seen.push(transition);
    }
    use Status::{Completed, Evaluating, Failed, InProgress, InQueue, Pending};
    assert_eq!(
        all.of(1),
        [InQueue, Pending, InProgress, Evaluating, Completed]
    );
    assert_eq!(all.of(2), [InQueue, InProgress, Failed]);
    assert_eq!(all.of(3), [Completed]);
    let success = |run| all.seen.iter().rev().find(|seen| seen.run_id == run);
    assert_eq!(success(1).unwrap().success, Some(false));
    // Only a completed run has passed or not.
    assert_eq!(success(2).unwrap().success, None);
    assert_eq!(success(2).unwrap().error_message, "no audio");
    assert_eq!(success(3).unwrap().success, Some(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_breaks_for_a_while_loses_nothing() {
    let world = World::new().await;
    let service = &world.service;
    let mut transitions = world.transitions().await;
    service.set(1, "in_queue", &json!({}));
    world.triggered([1]).await;
    let poller = world.poller().await;
    transitions.until(1, Status::InQueue).await;
    service.set(1, "pending", &json!({}));
    for (status, body) in [
        (StatusCode::INTERNAL_SERVER_ERROR, "down"),
        (StatusCode::OK, "<html>maintenance</html>"),
        (StatusCode::OK, "{\"detail\":\"not a list\"}"),
        (StatusCode::UNAUTHORIZED, "{}"),
        (StatusCode::NOT_FOUND, ""),
        (StatusCode::TOO_MANY_REQUESTS, ""),
    ] {
        service.answer(Answer::Broken(status, body));
        service.polled(1).await;
    }
    service.answer(Answer::Runs);
    transitions.until(1, Status::Pending).await;
    service.set(1, "timeout", &json!({"error_message": "nobody called"}));
    let ended = transitions.until(1, Status::Timeout).await;
    assert_eq!(ended.error_message, "nobody called");
    world.finished().await;
    assert_eq!(
        transitions.of(1),
        [Status::InQueue, Status::Pending, Status::Timeout]
    );
    poller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_the_service_forgot_is_reported_as_failed() {
    let world = World::new().await;
    let mut transitions = world.transitions().await;
    world.service.set(1, "in_queue", &json!({}));
    world.triggered([1]).await;
    let poller = world.poller().await;
    transitions.until(1, Status::InQueue).await;
    // Missing once is nothing yet.
    let run = world.service.runs.lock().unwrap().remove(&1).unwrap();
    world.service.polled(1).await;
    world.service.runs.lock().unwrap().insert(1, run);
    world.service.polled(1).await;
    world.service.runs.lock().unwrap().clear();
    let failed = transitions.until(1, Status::Failed).await;
    assert!(failed.error_message.contains("does not know"));
    world.finished().await;
    assert_eq!(transitions.of(1), [Status::InQueue, Status::Failed]);
    poller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_poller_goes_on_at_once_where_one_stopped() {
    let world = World::new().await;
    let mut transitions = world.transitions().await;
    world.service.set(1, "in_queue", &json!({}));
    world.triggered([1]).await;
    let first = world.poller().await;
    transitions.until(1, Status::InQueue).await;
    within(first.stop()).await;
    let asked = *world.service.polls.borrow();
    world.service.set(1, "pending", &json!({}));
    let second = world.poller().await;
    // Within what a run may be pending unnoticed, not only once the first is taken for gone.
    tokio::time::timeout(
        ringdown_poller::NOTICE,
        transitions.until(1, Status::Pending),
    )
    .await
    .expect("nobody noticed that the run is pending");
    assert!(*world.service.polls.borrow() > asked);
    assert_eq!(transitions.of(1), [Status::InQueue, Status::Pending]);
    second.stop().await;
}
