//! What tests of all providers share.

#![allow(
    clippy::needless_pass_by_value,
    reason = "tables of values read better"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use ringdown_domain::dial::{Ending, Outcome, Retry};
use ringdown_domain::{RunId, Timestamp};
use ringdown_egress::header::{HeaderMap, HeaderName, HeaderValue};
use ringdown_egress::{Request, Response, StatusCode};
use ringdown_vault::Secret;
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use crate::{
    Callback, Found, InvalidSettings, News, Order, Progress, Provider, Rejected, Settings,
};

/// Saturday, 28 November 2026, 11:48:30 UTC.
pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_795_866_510_000_000);

/// In the same second.
pub(crate) const ASKED_AT: Timestamp = Timestamp::from_micros(1_795_866_510_400_000);

/// What all secrets of accounts are in tests, if not something else is needed.
pub(crate) const SECRET: &str = "s3cret-token-of-tests";

pub(crate) fn order() -> Order {
    let Value::Object(variables) = json!({
        "name": "Ada & Bo", "seats": 2, "vip": true, "tags": ["a"], "X-Trace": "t1",
    }) else {
        unreachable!()
    };
    Order {
        team: "acme".parse().unwrap(),
        run: RunId(42),
        attempt_id: "attempt-7".to_owned(),
        from: Some("+14155550100".parse().unwrap()),
        to: "+14155550123".parse().unwrap(),
        ring: Duration::from_millis(40_900),
        closes_at: ASKED_AT.plus(Duration::from_millis(40_900)),
        variables,
        sip_headers: vec![("X-Trace".to_owned(), "t1".to_owned())],
        callback: Some("https://ringdown.example/callbacks/1".parse().unwrap()),
    }
}

pub(crate) fn bare_order() -> Order {
    Order {
        from: None,
        variables: Map::new(),
        sip_headers: Vec::new(),
        callback: None,
        ..order()
    }
}

pub(crate) fn settings(fields: Value, secrets: &[&str]) -> Settings {
    let secrets: Vec<_> = secrets.iter().map(|name| (*name, SECRET)).collect();
    settings_with(fields, &secrets)
}

pub(crate) fn settings_with(fields: Value, secrets: &[(&str, &str)]) -> Settings {
    let Value::Object(fields) = fields else {
        panic!("no object")
    };
    let secret = |(name, secret): &(&str, &str)| ((*name).to_owned(), Secret::new(*secret));
    let secrets: BTreeMap<_, _> = secrets.iter().map(secret).collect();
    Settings::new(fields, secrets)
}

/// Which setting `new` complains of.
pub(crate) fn complains<T: std::fmt::Debug>(made: Result<T, InvalidSettings>, field: &str) {
    assert_eq!(made.unwrap_err().field, field);
}

/// `fields` with `more` over them; null takes a field away.
pub(crate) fn with(mut fields: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        fields[name] = value.clone();
    }
    fields
}

pub(crate) fn answer(status: u16, body: impl ToString) -> Response {
    Response {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: body.to_string().into(),
        cut: None,
        peer: [127, 0, 0, 1].into(),
    }
}

pub(crate) fn line(request: &Request) -> String {
    format!("{} {}", request.method, request.url)
}

pub(crate) fn header<'a>(request: &'a Request, name: &str) -> &'a str {
    let value = request
        .headers
        .get(name)
        .map(|value| value.to_str().unwrap());
    value.unwrap_or("(none)")
}

pub(crate) fn body(request: &Request) -> Value {
    assert_eq!(header(request, "content-type"), "application/json");
    serde_json::from_slice(&request.body).unwrap()
}

/// The line, and the body as JSON; null if there is none.
pub(crate) fn shown(request: &Request) -> (String, Value) {
    let empty = request.body.is_empty();
    let body = if empty { Value::Null } else { body(request) };
    (line(request), body)
}

pub(crate) fn form(request: &Request) -> Vec<(String, String)> {
    let form = "application/x-www-form-urlencoded";
    assert_eq!(header(request, "content-type"), form);
    form_urlencoded::parse(&request.body).into_owned().collect()
}

/// Checks a table of outcomes: status, body, what it comes to, a part of the reason or the id.
pub(crate) fn outcomes(provider: &dyn Provider, rows: &[(u16, impl ToString, &str, &str)]) {
    for (status, body, kind, part) in rows {
        let body = body.to_string();
        let outcome = provider.outcome(&order(), &answer(*status, &body));
        let (came_to, text) = match &outcome {
            Outcome::Placed { provider_id } => ("placed", provider_id),
            Outcome::Ambiguous { reason } => ("ambiguous", reason),
            Outcome::NotPlaced { reason, retry } => match retry {
                Retry::Never => ("never", reason),
                Retry::Later => ("later", reason),
                Retry::After(_) => ("after", reason),
            },
        };
        assert_eq!(came_to, *kind, "{status} {body}: {outcome:?}");
        assert!(text.contains(part), "{status} {body}: {outcome:?}");
    }
}

/// The wait that a refusal asks for in this header.
pub(crate) fn waits(provider: &dyn Provider, mut answer: Response, name: &str) {
    let name: HeaderName = name.parse().unwrap();
    answer.headers.insert(name, HeaderValue::from_static("7"));
    match provider.outcome(&order(), &answer) {
        Outcome::NotPlaced { retry, .. } => assert_eq!(retry, Retry::After(Duration::from_secs(7))),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn ended(ending: Ending, sip_code: Option<u16>, said: &str) -> Progress {
    Progress::Ended {
        ending,
        sip_code,
        said: said.to_owned(),
    }
}

pub(crate) fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, value.parse().unwrap());
    }
    headers
}

/// A callback that arrives now.
pub(crate) fn callback<'a>(headers: &'a HeaderMap, body: &'a [u8]) -> Callback<'a> {
    Callback {
        url: "https://ringdown.example/callbacks/1?run_id=42&team=acme&attempt_id=attempt-7",
        method: "POST",
        headers,
        body,
        at: NOW,
    }
}

/// The HMAC-SHA256 of the parts one after another.
pub(crate) fn sign_hex(key: &str, parts: &[&str]) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.as_bytes());
    crate::signed::hex(ring::hmac::sign(&key, parts.concat().as_bytes()).as_ref())
}

/// A callback that was sent to the order's address with its run.
pub(crate) struct Sent {
    pub(crate) url: String,
    pub(crate) method: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
    pub(crate) at: Timestamp,
}

impl Sent {
    pub(crate) fn new(body: impl ToString, headers: Vec<(&'static str, String)>) -> Self {
        Self {
            url: order().callback_with_run().unwrap().to_string(),
            method: "POST",
            headers,
            body: body.to_string(),
            at: ASKED_AT,
        }
    }

    pub(crate) fn arrives(&self, provider: &dyn Provider) -> Result<Vec<News>, Rejected> {
        let fields: Vec<_> = self.headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        provider.callback(&Callback {
            url: &self.url,
            method: self.method,
            headers: &headers(&fields),
            body: self.body.as_bytes(),
            at: self.at,
        })
    }
}

pub(crate) fn news(provider_id: &str, progress: Progress) -> Vec<News> {
    vec![News {
        provider_id: provider_id.to_owned(),
        run: Some(RunId(42)),
        attempt_id: Some("attempt-7".to_owned()),
        progress,
    }]
}

/// Answers of every status with every kind of body: JSON of these names, other JSON, texts.
pub(crate) fn answers(names: &'static [&'static str]) -> impl Strategy<Value = Response> {
    let text = prop_oneof![
        Just(SECRET.to_owned()),
        Just("+14155550123".to_owned()),
        Just("2026-11-28T11:48:31Z".to_owned()),
        Just("success".to_owned()),
        ".{0,12}",
    ];
    let leaf = prop_oneof![
        text.prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
    ];
    let tree = leaf.prop_recursive(4, 24, 4, move |inner| {
        let name = prop_oneof![
            4 => proptest::sample::select(names).prop_map(str::to_owned),
            1 => "[a-z]{1,5}",
        ];
        prop_oneof![
            2 => proptest::collection::btree_map(name, inner.clone(), 0..4)
                .prop_map(|map| map.into_iter().collect::<Value>()),
            1 => proptest::collection::vec(inner, 0..4).prop_map(Value::from),
        ]
    });
    let body = prop_oneof![4 => tree.prop_map(|tree| tree.to_string()), 1 => ".{0,40}"];
    (prop_oneof![100_u16..600, Just(200)], body).prop_map(|(status, body)| answer(status, body))
}

/// Nothing that a provider answers makes a panic, a secret seen, or a call of what is none; and no callback without a
/// signature is believed.
pub(crate) fn is_sound(provider: &dyn Provider, answer: &Response) {
    let order = order();
    let body = String::from_utf8(answer.body.to_vec()).unwrap();
    let outcome = provider.outcome(&order, answer);
    match &outcome {
        Outcome::Placed { provider_id } => {
            assert!(answer.status.is_success(), "{outcome:?}");
            // Some have a second part.
            let id = Value::from(provider_id.split('@').next().unwrap()).to_string();
            let id = &id[1..id.len() - 1];
            // An account's second secret is hidden before an id is looked for.
            let said = body.contains(id) || id == "(hidden)";
            assert!(!id.is_empty(), "{outcome:?}");
            assert!(
                said || *provider_id == order.attempt_id,
                "{body}: {outcome:?}"
            );
        }
        Outcome::NotPlaced { reason, .. } | Outcome::Ambiguous { reason } => {
            assert!(!reason.contains(SECRET), "{reason}");
        }
    }
    let found = provider.found(&order, ASKED_AT, answer);
    if let Found::Unreadable(why) = &found {
        assert!(!why.contains(SECRET), "{why}");
    }
    if !answer.status.is_success() {
        assert!(!matches!(found, Found::Call { .. }), "{found:?}");
    }
    for call in [
        "call-1",
        "call-1@room-1",
        "r-1@14155550100-14155550123-1795866510",
    ] {
        let progress = provider.progress(call, answer);
        assert!(
            progress.is_none() || answer.status.is_success(),
            "{progress:?}"
        );
    }
    assert!(!format!("{provider:?} {}", provider.account()).contains(SECRET));
    for fields in [vec![], vec![("authorization", "Bearer a.b.c".to_owned())]] {
        assert!(Sent::new(&body, fields).arrives(provider).is_err());
    }
}
