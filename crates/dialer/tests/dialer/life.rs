//! What a dialer does when it is told to stop, and what it counts.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use prometheus::Registry;
use prometheus::proto::MetricType;
use ringdown_carrier::{Carrier, Dialed, Order, Routes};
use ringdown_dialer::{Dialer, Options};
use ringdown_domain::dial::{Outcome, Stage};
use ringdown_proto::v1::dial_fact::Step;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::world::{NOTE, PATIENCE, ROUTE, World, connect, gated, options, routes, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_dialer_finishes_its_dial_and_takes_no_other() {
    let world = World::new().await;
    // Opening the pipe for reading waits for the test to open it for writing.
    let pipe = world.path("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let body = format!("{NOTE}\ncat \"$(dirname \"$0\")/pipe\"\n");
    let held = world.script("held.sh", &body);
    let quick = world.script("quick.sh", NOTE);
    let first = world.dialer("first", routes([(ROUTE, held)]).await).await;
    let mut facts = world.facts().await;
    world.pending(1).await;
    facts.stage(1, Stage::Intended).await;
    let mut draining = Box::pin(first.drain(PATIENCE));
    assert!(futures::poll!(&mut draining).is_pending());
    // The heir gets what the first does not take any more.
    let second = world.dialer("second", routes([(ROUTE, quick)]).await).await;
    world.pending(2).await;
    facts.outcome(2).await;
    assert!(
        futures::poll!(&mut draining).is_pending(),
        "did not wait for its dial"
    );
    let end = tokio::task::spawn_blocking(move || std::fs::write(pipe, "{\"call_id\":\"c7\"}\n"));
    let Step::Placed(placed) = facts.outcome(1).await else {
        panic!("the running dial was not finished")
    };
    assert_eq!(placed.provider_id, "c7");
    within(end).await.unwrap().unwrap();
    within(draining).await;
    second.drain(PATIENCE).await;
    facts.everything(&world).await;
    for (run, name) in [(1, "first"), (2, "second")] {
        assert_eq!(facts.producers(run), [name; 2], "{run}");
    }
    let mut dialed = world.dialed();
    dialed.sort_unstable();
    assert_eq!(dialed, [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dial_that_outlasts_the_drain_is_ended_and_reported() {
    let world = World::new().await;
    let (routes, mut gate) = gated();
    let dialer = world.dialer("only", routes).await;
    let mut facts = world.facts().await;
    world.pending(1).await;
    assert_eq!(gate.dialing().await, 1);
    dialer.drain(Duration::ZERO).await;
    let outcome = facts.outcome(1).await;
    assert!(matches!(outcome, Step::Ambiguous(_)), "{outcome:?}");
}

/// Places calls that last until they are hung up.
struct Talking(mpsc::UnboundedSender<()>);

#[async_trait]
impl Carrier for Talking {
    fn describe(&self) -> String {
        "talking".to_owned()
    }

    async fn dial(&self, _order: &Order, stop: &CancellationToken) -> Dialed {
        let (ended, stop) = (self.0.clone(), stop.clone());
        Dialed {
            outcome: Outcome::Placed {
                provider_id: "call".to_owned(),
            },
            rest: Some(Box::pin(async move {
                stop.cancelled().await;
                ended.send(()).unwrap();
            })),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_reported_while_it_lasts_and_hung_up_when_its_run_is_cancelled() {
    let world = World::new().await;
    let (sender, mut ended) = mpsc::unbounded_channel();
    let mut routes = Routes::default();
    routes.insert(ROUTE, Arc::new(Talking(sender)));
    let bus = connect(world.server.url(), "only").await;
    let registry = Registry::new();
    let dialer = Dialer::start(&bus, options(routes), &registry)
        .await
        .unwrap();
    let mut facts = world.facts().await;
    for run in [1, 2] {
        world.pending(run).await;
        let outcome = facts.outcome(run).await;
        assert!(matches!(outcome, Step::Placed(_)), "{outcome:?}");
    }
    world.cancelled(1).await;
    within(ended.recv()).await.unwrap();
    assert!(ended.is_empty(), "hung up on the other call as well");
    dialer.drain(Duration::ZERO).await;
    within(ended.recv()).await.unwrap();
    assert_eq!(value(&registry, "ringdown_dialer_attempts_total"), 2.0);
    assert_eq!(value(&registry, "ringdown_dialer_in_flight"), 0.0);
    assert_eq!(value(&registry, "ringdown_dialer_lag_seconds"), 2.0);
}

/// The value of a metric with one series: of a histogram, how often it was observed.
fn value(registry: &Registry, name: &str) -> f64 {
    let families = registry.gather();
    let family = families
        .iter()
        .find(|family| family.name() == name)
        .unwrap();
    let metric = &family.get_metric()[0];
    match family.get_field_type() {
        MetricType::COUNTER => metric.get_counter().get_value(),
        MetricType::GAUGE => metric.get_gauge().get_value(),
        _ => f64::from(u32::try_from(metric.get_histogram().get_sample_count()).unwrap()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_no_dialer_has_taken_yet_are_counted() {
    let world = World::new().await;
    let (routes, mut gate) = gated();
    let alone = Options {
        concurrency: 1,
        ..options(routes)
    };
    let bus = connect(world.server.url(), "only").await;
    let registry = Registry::new();
    let dialer = Dialer::start(&bus, alone, &registry).await.unwrap();
    let backlog = || {
        let families = registry.gather();
        let backlog = families
            .iter()
            .find(|family| family.name() == "ringdown_dialer_backlog");
        backlog.unwrap().get_metric()[0].get_gauge().get_value()
    };
    for run in 1..=4 {
        world.pending(run).await;
    }
    assert_eq!(gate.dialing().await, 1);
    let counted = async |wanted: f64| {
        within(async {
            while (backlog() - wanted).abs() > 0.1 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    };
    counted(3.0).await;
    gate.open(4);
    counted(0.0).await;
    dialer.drain(PATIENCE).await;
}
