use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ringdown_domain::{RunId, Timestamp};
use ringdown_egress::{Client, Error, Policy, Request, Response};
use ringdown_provider::{
    Bandwidth, Bland, ElevenLabs, LiveKit, Order, Plivo, Provider, Retell, Settings, SignalWire,
    Synthflow, Telnyx, TriggerUrl, Twilio, Vapi, Vonage,
};
use ringdown_testkit::carrier::{FakeCarrier, FakeKind};
use ringdown_vault::Secret;
use serde_json::{Value, json};

pub(crate) const FROM: &str = "+14155550100";
pub(crate) const TO: &str = "+14155550123";

pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap())
}

pub(crate) fn order(attempt: &str) -> Order {
    let Value::Object(variables) = json!({"name": "Ada & Bo", "seats": 2}) else {
        unreachable!()
    };
    Order {
        team: "acme".parse().unwrap(),
        run: RunId(42),
        attempt_id: attempt.to_owned(),
        from: Some(FROM.parse().unwrap()),
        to: TO.parse().unwrap(),
        ring: Duration::from_secs(40),
        closes_at: now().plus(Duration::from_secs(40)),
        variables,
        sip_headers: Vec::new(),
        callback: Some("https://ringdown.example/callbacks/1".parse().unwrap()),
    }
}

/// The provider's own code, told of an account at this fake.
pub(crate) fn provider(fake: &FakeCarrier) -> Box<dyn Provider> {
    let (fields, secrets) = fake.account();
    with_secrets(fake.kind(), fields, secrets)
}

pub(crate) fn with_secrets(
    kind: FakeKind,
    fields: Value,
    secrets: Vec<(&'static str, String)>,
) -> Box<dyn Provider> {
    let Value::Object(fields) = fields else {
        unreachable!()
    };
    let secrets = secrets.into_iter();
    let secrets: BTreeMap<_, _> = secrets
        .map(|(name, secret)| (name.to_owned(), Secret::new(secret)))
        .collect();
    let settings = Settings::new(fields, secrets);
    match kind {
        FakeKind::Twilio => Box::new(Twilio::new(settings).unwrap()),
        FakeKind::SignalWire => Box::new(SignalWire::new(settings).unwrap()),
        FakeKind::Telnyx => Box::new(Telnyx::new(settings).unwrap()),
        FakeKind::Plivo => Box::new(Plivo::new(settings).unwrap()),
        FakeKind::Vonage => Box::new(Vonage::new(settings).unwrap()),
        FakeKind::Bandwidth => Box::new(Bandwidth::new(settings).unwrap()),
        FakeKind::Vapi => Box::new(Vapi::new(settings).unwrap()),
        FakeKind::Retell => Box::new(Retell::new(settings).unwrap()),
        FakeKind::ElevenLabs => Box::new(ElevenLabs::new(settings).unwrap()),
        FakeKind::Bland => Box::new(Bland::new(settings).unwrap()),
        FakeKind::LiveKit => Box::new(LiveKit::new(settings).unwrap()),
        FakeKind::Synthflow => Box::new(Synthflow::new(settings).unwrap()),
        FakeKind::TriggerUrl => Box::new(TriggerUrl::new(settings).unwrap()),
    }
}

/// Reads the system's certificates, which takes long.
static CLIENT: LazyLock<Client> =
    LazyLock::new(|| Client::new(Policy::allowing(&["127.0.0.0/8"]).unwrap()));

pub(crate) async fn send(request: Request) -> Result<Response, Error> {
    CLIENT.send(request).await
}

/// Asks for a call; the provider's name of it.
pub(crate) async fn place(provider: &dyn Provider, order: &Order) -> String {
    let answer = send(provider.request(order).unwrap()).await.unwrap();
    match provider.outcome(order, &answer) {
        ringdown_domain::dial::Outcome::Placed { provider_id } => provider_id,
        other => panic!("{}: {other:?}", provider.name()),
    }
}
