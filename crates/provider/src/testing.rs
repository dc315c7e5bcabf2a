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

use crate::{Callback, News, Order, Progress, Provider, Rejected, Settings};

/// Saturday, 28 November 2026, 11:48:30.4 UTC.
pub(crate) const ASKED_AT: Timestamp = Timestamp::from_micros(1_795_866_510_400_000);

pub(crate) const SECRET: &str = "s3cret-token-of-tests";

pub(crate) fn order() -> Order {
    let Value::Object(variables) = json!({"name": "Ada & Bo", "seats": 2, "X-Trace": "t1"}) else {
        unreachable!()
    };
    Order {
        team: "acme".parse().unwrap(),
        run: RunId(42),
        attempt_id: "attempt-7".to_owned(),
        from: Some("+14155550100".parse().unwrap()),
        to: "+14155550123".parse().unwrap(),
        ring: Duration::from_secs(40),
        closes_at: ASKED_AT.plus(Duration::from_secs(60)),
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
    let Value::Object(fields) = fields else {
        panic!("no object")
    };
    let secret = |name: &&str| ((*name).to_owned(), Secret::new(SECRET));
    Settings::new(
        fields,
        secrets.iter().map(secret).collect::<BTreeMap<_, _>>(),
    )
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

pub(crate) fn form(request: &Request) -> Vec<(String, String)> {
    let form = "application/x-www-form-urlencoded";
    assert_eq!(header(request, "content-type"), form);
    form_urlencoded::parse(&request.body).into_owned().collect()
}

/// Checks a table of outcomes: status, body, what it comes to, a part of the reason or the id.
pub(crate) fn outcomes(provider: &dyn Provider, rows: &[(u16, Value, &str, &str)]) {
    for (status, body, kind, part) in rows {
        let outcome = provider.outcome(&order(), &answer(*status, body));
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
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, value.parse().unwrap());
        }
        provider.callback(&Callback {
            url: &self.url,
            method: self.method,
            headers: &headers,
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

/// Nothing panics, nothing but a success is placed, nothing shows the secret.
pub(crate) fn is_sound(provider: &dyn Provider, answer: &Response) {
    let order = order();
    let outcome = provider.outcome(&order, answer);
    match &outcome {
        Outcome::Placed { provider_id } => {
            assert!(answer.status.is_success() && !provider_id.is_empty());
        }
        Outcome::NotPlaced { reason, .. } | Outcome::Ambiguous { reason } => {
            assert!(!reason.contains(SECRET), "{reason}");
        }
    }
    let found = provider.found(&order, ASKED_AT, answer);
    if let crate::Found::Unreadable(why) = &found {
        assert!(!why.contains(SECRET), "{why}");
    }
    let _ = provider.progress(answer);
    assert!(!format!("{provider:?} {}", provider.account()).contains(SECRET));
    let body = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(Sent::new(body, Vec::new()).arrives(provider).is_err());
}
