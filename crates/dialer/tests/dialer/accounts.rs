//! Dialing with accounts at providers: fakes whose own books say what rang.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringdown_bus::{Bus, now};
use ringdown_dialer::{Access, Dialer, Options};
use ringdown_domain::AGENT_ROUTE;
use ringdown_domain::dial::Stage;
use ringdown_domain::run::Status;
use ringdown_egress::{Client, Policy};
use ringdown_proto::v1::dial_fact::{Followed, Step};
use ringdown_proto::v1::{AccountReply, SealedSecret};
use ringdown_testkit::carrier::{FakeCarrier, FakeEnding, FakeKind, Fault};
use ringdown_vault::{Keyring, Secret};
use tokio::task::JoinHandle;

use crate::world::{Facts, World, options, routes, within};

const ORG: i64 = 3;

/// Answers dialers' questions for accounts, until dropped.
pub(crate) struct Platform {
    keys: Arc<Keyring>,
    accounts: Arc<Mutex<HashMap<i64, AccountReply>>>,
    task: JoinHandle<()>,
}

impl Drop for Platform {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Platform {
    pub(crate) async fn start(bus: &Bus) -> Self {
        let accounts: Arc<Mutex<HashMap<i64, AccountReply>>> = Arc::default();
        let mut questions = bus.accounts().await.unwrap();
        let known = Arc::clone(&accounts);
        let task = tokio::spawn(async move {
            while let Some(question) = questions.next().await {
                let found = known.lock().unwrap().get(&question.request.run_id).cloned();
                let reply = found.unwrap_or_else(|| AccountReply {
                    problem: "no such account".to_owned(),
                    ..AccountReply::default()
                });
                question.reply(&reply).await.unwrap();
            }
        });
        let key = ringdown_vault::new_key().unwrap();
        Self {
            keys: Arc::new(Keyring::parse(key.expose()).unwrap()),
            accounts,
            task,
        }
    }

    /// The run is dialed with an account at the fake.
    pub(crate) fn account(
        &self,
        run: i64,
        fake: &FakeCarrier,
        change: impl FnOnce(&mut AccountReply),
    ) {
        let (mut settings, secrets) = fake.account();
        settings["from_number"] = "+15550100002".into();
        let secrets = secrets.into_iter().map(|(name, secret)| SealedSecret {
            sealed: self
                .keys
                .seal_stored(ORG, name, &Secret::new(secret))
                .unwrap(),
            name: name.to_owned(),
            credential: name.to_owned(),
            settings: false,
        });
        let mut reply = AccountReply {
            provider: fake.kind().provider().to_owned(),
            settings_json: settings.to_string(),
            organisation_id: ORG,
            secrets: secrets.collect(),
            calls_per_second: 1000.0,
            ..AccountReply::default()
        };
        change(&mut reply);
        self.accounts.lock().unwrap().insert(run, reply);
    }

    /// A dialer of this name that dials with accounts.
    pub(crate) async fn dialer(&self, world: &World, name: &str) -> Dialer {
        let options = Options {
            concurrency: 500,
            accounts: Some(Access {
                keys: Arc::clone(&self.keys),
                client: Client::new(Policy::allowing(&["127.0.0.0/8"]).unwrap()),
            }),
            ..options(routes([]).await)
        };
        world.dialer_with(name, options).await
    }
}

/// A platform, and the only dialer.
async fn one_dialer() -> (World, Platform, Dialer, Facts) {
    let world = World::new().await;
    let platform = Platform::start(&world.bus).await;
    let dialer = platform.dialer(&world, "only").await;
    let facts = world.facts().await;
    (world, platform, dialer, facts)
}

pub(crate) fn number(run: i64) -> String {
    format!("+1555011{run:04}")
}

/// A run whose agent's own settings say how it is called, with a window of so many seconds.
pub(crate) async fn pending(world: &World, run: i64, window: u64) {
    let closes_at = now().plus(Duration::from_secs(window)).as_micros();
    world
        .pending_with(run, |transition| {
            transition.agent_id = run;
            transition.number = number(run);
            transition.dial_route = AGENT_ROUTE.to_owned();
            transition.closes_at_us = closes_at;
        })
        .await;
}

async fn followed(facts: &mut Facts, run: i64) -> Followed {
    match facts.stage(run, Stage::Followed).await {
        Step::Followed(step) => step,
        other => panic!("{other:?}"),
    }
}

/// What is said of the end of a call.
async fn ended(facts: &mut Facts, run: i64) -> Followed {
    let last = |step: &Step| matches!(step, Step::Followed(step) if step.state == "ended");
    match facts.until_step(run, last).await {
        Step::Followed(step) => step,
        other => panic!("{other:?}"),
    }
}

/// What a fault may come to.
fn check(kind: FakeKind, fault: &Fault, outcome: &Step, rings: u32) {
    let what = format!("{kind:?}, {fault:?}: {outcome:?}, rang {rings} times");
    assert!(rings <= 1, "{what}");
    match outcome {
        // Vapi lists a call that it has blocked like any other.
        Step::Placed(_) if kind == FakeKind::Vapi && *fault == Fault::MeansFailure => {}
        Step::Placed(_) => assert!(rings == 1 || *fault == Fault::Queue, "{what}"),
        Step::NotPlaced(_) => assert_eq!(rings, 0, "{what}"),
        Step::Ambiguous(_) => {}
        _ => panic!("{what}"),
    }
    let placed = matches!(outcome, Step::Placed(_));
    let refused = matches!(outcome, Step::NotPlaced(_));
    match fault {
        Fault::Accept | Fault::Queue | Fault::Delay(_) | Fault::Forget => {
            assert!(placed, "{what}");
        }
        Fault::Refuse(..) => assert!(refused, "{what}"),
        Fault::MeansFailure if kind != FakeKind::Vapi => assert!(!placed, "{what}"),
        _ => {}
    }
}

/// Every provider through every fault: nothing rings twice, and what is said of it is true.
#[tokio::test(flavor = "multi_thread")]
async fn no_fault_of_a_provider_makes_a_number_ring_twice() {
    let (world, platform, dialer, mut facts) = one_dialer().await;
    let faults = [
        Fault::Accept,
        Fault::Queue,
        Fault::Delay(Duration::from_millis(300)),
        Fault::DropBeforeAnswer,
        Fault::DropUnread,
        Fault::ErrorAfterPlacing(500),
        Fault::ErrorAfterPlacing(503),
        Fault::Refuse(400, "bad"),
        Fault::Refuse(401, "who"),
        Fault::RateLimit {
            retry_after: Some(1),
        },
        Fault::RateLimit { retry_after: None },
        Fault::Forget,
        Fault::Garbage,
        Fault::SuccessWithoutId,
        Fault::HugeBody,
        Fault::SlowBody,
    ];
    let means_failure = [
        FakeKind::Vapi,
        FakeKind::ElevenLabs,
        FakeKind::Bland,
        FakeKind::TriggerUrl,
    ];
    let mut cases = Vec::new();
    for kind in FakeKind::ALL {
        for fault in &faults {
            cases.push((kind, fault.clone()));
        }
        if means_failure.contains(&kind) {
            cases.push((kind, Fault::MeansFailure));
        }
    }
    for code in [480, 486, 600, 503] {
        cases.push((FakeKind::LiveKit, Fault::Sip(code)));
    }
    let mut fakes = Vec::new();
    for (run, (kind, fault)) in (1..).zip(&cases) {
        let fake = FakeCarrier::start(*kind);
        fake.script([fault.clone()]);
        // A lane of its own, so that one case does not make another wait.
        platform.account(run, &fake, |account| {
            account.calls_per_second = 1000.0 + f64::from(u32::try_from(run).unwrap());
            account.concurrent_calls = 1000;
        });
        fakes.push(fake);
        pending(&world, run, 10).await;
    }
    for (run, ((kind, fault), fake)) in (1..).zip(cases.iter().zip(&fakes)) {
        let outcome = facts.outcome(run).await;
        check(*kind, fault, &outcome, fake.rings(&number(run)));
        assert_eq!(fake.all_rings(), fake.rings(&number(run)));
    }
    dialer.drain(Duration::from_secs(5)).await;
    for (run, fake) in (1..).zip(&fakes) {
        assert!(fake.rings(&number(run)) <= 1, "{run}: {:?}", fake.calls());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_still_queues_when_the_window_closes_is_called_off() {
    let (world, platform, dialer, mut facts) = one_dialer().await;
    let kinds = [FakeKind::Twilio, FakeKind::SignalWire, FakeKind::Plivo];
    let mut fakes = Vec::new();
    for (run, kind) in (1..).zip(kinds) {
        let fake = FakeCarrier::start(kind);
        fake.by_default(Fault::Queue);
        platform.account(run, &fake, |_| ());
        fakes.push(fake);
        pending(&world, run, 8).await;
    }
    for (run, fake) in (1..).zip(&fakes) {
        fake.until(|fake| !fake.cancelled().is_empty()).await;
        let step = ended(&mut facts, run).await;
        assert_eq!(step.ending, "cancelled", "{step:?}");
        fake.release();
        assert_eq!(fake.all_rings(), 0);
    }
    dialer.drain(Duration::from_secs(5)).await;
}

/// A dialer that stops hands a call over, and the next one tells how it ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_followed_on_by_another_dialer() {
    let world = World::new().await;
    let platform = Platform::start(&world.bus).await;
    let first = platform.dialer(&world, "first").await;
    let mut facts = world.facts().await;
    let fake = FakeCarrier::start(FakeKind::Twilio);
    platform.account(1, &fake, |_| ());
    pending(&world, 1, 60).await;
    assert!(matches!(facts.outcome(1).await, Step::Placed(_)));
    let second = platform.dialer(&world, "second").await;
    first.drain(Duration::from_secs(5)).await;
    let id = fake.calls()[0].id.clone();
    fake.end(&id, FakeEnding::Busy);
    let step = ended(&mut facts, 1).await;
    assert_eq!(
        (step.ending.as_str(), step.provider_id.as_str()),
        ("busy", id.as_str())
    );
    assert_eq!(facts.producers(1).last(), Some(&"second"));
    assert_eq!(fake.all_rings(), 1);
    second.drain(Duration::from_secs(5)).await;
}

/// Two dialers, one account that may have two calls up: the third is placed when the first is over, the fourth never.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_has_no_more_calls_up_than_it_may() {
    let world = World::new().await;
    let platform = Platform::start(&world.bus).await;
    let mut dialers = Vec::new();
    for name in ["one", "two"] {
        dialers.push(platform.dialer(&world, name).await);
    }
    let mut facts = world.facts().await;
    let fake = FakeCarrier::start(FakeKind::Vapi);
    for run in 1..=4 {
        platform.account(run, &fake, |account| account.concurrent_calls = 2);
        pending(&world, run, 12).await;
    }
    fake.until(|fake| fake.all_rings() == 2).await;
    let up: Vec<i64> = (1..=4)
        .filter(|run| fake.rings(&number(*run)) == 1)
        .collect();
    world.entered(up[0], Status::InProgress).await;
    world.entered(up[1], Status::InProgress).await;
    world.entered(up[0], Status::Evaluating).await;
    fake.until(|fake| fake.all_rings() == 3).await;
    let last = (1..=4).find(|run| fake.rings(&number(*run)) == 0).unwrap();
    match facts.outcome(last).await {
        Step::NotPlaced(step) => assert!(step.reason.contains("dropped: 2 calls"), "{step:?}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(fake.all_rings(), 3);
    for dialer in dialers {
        dialer.drain(Duration::from_secs(5)).await;
    }
}

/// Four dialers with one account of five calls a second: the fifteenth call is no earlier than after 2.8 s, and who
/// would come after the window is dropped, not late.
#[tokio::test(flavor = "multi_thread")]
async fn calls_per_second_are_those_of_the_account_and_not_of_each_dialer() {
    let world = World::new().await;
    let platform = Platform::start(&world.bus).await;
    let mut dialers = Vec::new();
    for name in ["one", "two", "three", "four"] {
        dialers.push(platform.dialer(&world, name).await);
    }
    let mut facts = world.facts().await;
    let fake = FakeCarrier::start(FakeKind::Vapi);
    let begun = std::time::Instant::now();
    for run in 1..=60 {
        platform.account(run, &fake, |account| {
            account.calls_per_second = 5.0;
            account.concurrent_calls = 1000;
        });
        pending(&world, run, 8).await;
    }
    fake.until(|fake| fake.all_rings() >= 15).await;
    assert!(
        begun.elapsed() >= Duration::from_millis(2_700),
        "{:?}",
        begun.elapsed()
    );
    let (mut placed, mut dropped, mut waited) = (0, 0, 0);
    for run in 1..=60 {
        match facts.outcome(run).await {
            Step::Placed(_) => {
                placed += 1;
                waited += u32::from(facts.has_claimed(run));
            }
            Step::NotPlaced(step) => {
                // The last moments of a window can be over before they are used.
                let late = step.reason.contains("no time to ring");
                assert!(late || step.reason.starts_with("dropped: "), "{step:?}");
                dropped += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(placed, fake.all_rings());
    // Who has a run and waits for its turn says so.
    assert!(waited + 5 >= placed, "{waited} of {placed} said so");
    assert!(
        (20..=42).contains(&placed),
        "{placed} placed, {dropped} dropped"
    );
    for dialer in dialers {
        dialer.drain(Duration::from_secs(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_an_account_is_told_to_the_run() {
    let (world, platform, dialer, mut facts) = one_dialer().await;
    let fake = FakeCarrier::start(FakeKind::Retell);
    type Change = fn(&mut AccountReply);
    let cases: [(&str, Change); 5] = [
        ("no such account", |account| {
            account.problem = "no such account".to_owned();
        }),
        ("\"pigeon\" is no provider", |account| {
            account.provider = "pigeon".to_owned();
        }),
        ("retell_api_key: it is missing", |account| {
            account.secrets.clear();
        }),
        ("retell_api_key cannot be opened", |account| {
            account.organisation_id = 4;
        }),
        ("calls from +15550109999", |account| {
            account.settings_json = account
                .settings_json
                .replace("+15550100002", "+15550109999");
        }),
    ];
    for (run, (_, change)) in (1..).zip(&cases) {
        platform.account(run, &fake, change);
        pending(&world, run, 60).await;
    }
    for (run, (expected, _)) in (1..).zip(&cases) {
        match facts.outcome(run).await {
            Step::NotPlaced(step) => {
                assert!(
                    step.reason.contains(expected),
                    "{expected}: {}",
                    step.reason
                );
            }
            other => panic!("{expected}: {other:?}"),
        }
    }
    assert_eq!(fake.requests(), 0);
    within(dialer.drain(Duration::from_secs(5))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_callee_is_told_with_its_sip_code() {
    let (world, platform, dialer, mut facts) = one_dialer().await;
    let fake = FakeCarrier::start(FakeKind::SignalWire);
    platform.account(1, &fake, |_| ());
    pending(&world, 1, 60).await;
    assert!(matches!(facts.outcome(1).await, Step::Placed(_)));
    let id = fake.calls()[0].id.clone();
    fake.end(&id, FakeEnding::Busy);
    let step = followed(&mut facts, 1).await;
    assert_eq!(
        (step.ending.as_str(), step.sip_code),
        ("busy", 486),
        "{step:?}"
    );
    dialer.drain(Duration::from_secs(5)).await;
}
