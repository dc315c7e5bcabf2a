//! What the tests of all providers share.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use ringdown_domain::dial::{Ending, Outcome, Retry};
use ringdown_domain::{RunId, Timestamp};
use ringdown_egress::{HeaderMap, Request, Response, StatusCode};
use ringdown_vault::Secret;
use serde_json::{Value, json};

use crate::{Callback, InvalidSettings, Order, Progress, Provider, Settings};

/// The secret that all accounts in tests have, or that their other secrets begin with.
pub(crate) const SECRET: &str = "hush-hush-credential";

/// 2026-11-28T11:48:26Z.
pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_795_866_506_000_000);

pub(crate) fn settings(fields: Value, secrets: &[&str]) -> Settings {
    let secrets = secrets
        .iter()
        .map(|name| (*name, SECRET))
        .collect::<Vec<_>>();
    settings_with(fields, &secrets)
}

pub(crate) fn settings_with(fields: Value, secrets: &[(&str, &str)]) -> Settings {
    let Value::Object(fields) = fields else {
        panic!("fields are an object");
    };
    let secrets: BTreeMap<String, Secret> = secrets
        .iter()
        .map(|(name, secret)| ((*name).to_owned(), Secret::new(*secret)))
        .collect();
    Settings::new(fields, secrets)
}

pub(crate) fn order() -> Order {
    let Value::Object(variables) = json!({
        "name": "Ada", "age": 36, "vip": true, "tags": ["a"], "X-Trace": "t-1",
    }) else {
        panic!("an object");
    };
    Order {
        team: "team-1".parse().unwrap(),
        run: RunId(42),
        attempt_id: "attempt-7".to_owned(),
        from: Some("+14155550100".parse().unwrap()),
        to: "+14155550123".parse().unwrap(),
        ring: Duration::from_millis(45_900),
        closes_at: NOW.plus(Duration::from_secs(60)),
        variables,
        sip_headers: vec![("X-Trace".to_owned(), "t-1".to_owned())],
        callback: Some("https://ringdown.example/callbacks/9".parse().unwrap()),
    }
}

#[allow(clippy::needless_pass_by_value, reason = "tests write bodies in place")]
pub(crate) fn answer(status: u16, body: impl ToString) -> Response {
    Response {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: body.to_string().into(),
        cut: None,
        peer: [127, 0, 0, 1].into(),
    }
}

/// The method, the address, the body as JSON, and the credential that is sent.
pub(crate) fn shown(request: &Request) -> (String, Value) {
    let body = if request.body.is_empty() {
        Value::Null
    } else {
        assert_eq!(request.headers["content-type"], "application/json");
        serde_json::from_slice(&request.body).unwrap()
    };
    (format!("{} {}", request.method, request.url), body)
}

/// What became of an answer, in a word, and the words for people.
pub(crate) fn kind(outcome: &Outcome) -> (&'static str, &str) {
    match outcome {
        Outcome::Placed { provider_id } => ("placed", provider_id),
        Outcome::NotPlaced { reason, retry } => match retry {
            Retry::Never => ("never", reason),
            Retry::Later => ("later", reason),
            Retry::After(_) => ("after", reason),
        },
        Outcome::Ambiguous { reason } => ("ambiguous", reason),
    }
}

/// Checks an outcome table row by row: status, body, the word for it, and a part of its reason.
pub(crate) fn check_table(provider: &dyn Provider, rows: &[(u16, &str, &str, &str)]) {
    for (status, body, word, part) in rows {
        let outcome = provider.outcome(&order(), &answer(*status, body));
        let (kind, text) = kind(&outcome);
        assert_eq!(kind, *word, "{status} {body}: {text}");
        assert!(text.contains(part), "{status} {body}: {text}");
    }
    let mut busy = answer(429, rows_body(rows, 429));
    busy.headers.insert("retry-after", "7".parse().unwrap());
    let outcome = provider.outcome(&order(), &busy);
    if let Outcome::NotPlaced { retry, .. } = outcome {
        assert_eq!(retry, Retry::After(Duration::from_secs(7)));
    }
}

fn rows_body<'a>(rows: &[(u16, &'a str, &str, &str)], status: u16) -> &'a str {
    let row = rows.iter().find(|row| row.0 == status && row.2 == "later");
    row.map_or("", |row| row.1)
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
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

pub(crate) fn callback<'a>(headers: &'a HeaderMap, body: &'a [u8]) -> Callback<'a> {
    Callback {
        url: "https://ringdown.example/callbacks/9?run_id=42&team=team-1&attempt_id=attempt-7",
        method: "POST",
        headers,
        body,
        at: NOW,
    }
}

/// Which setting `new` complains of.
pub(crate) fn complains<T: std::fmt::Debug>(made: Result<T, InvalidSettings>, field: &str) {
    assert_eq!(made.unwrap_err().field, field);
}

/// Bodies that no provider should send: any text, and JSON with the names that all of them use.
pub(crate) fn bodies() -> impl Strategy<Value = String> {
    let word = "(call_id|id|conversation_id|callSid|sip_call_id|room_name|uuid|status|success|code|msg|meta|detail|message|items|participants|_embedded|conversations|call)";
    let value = format!(
        r#"(null|1|-1|true|false|""|"\\n"|"{SECRET}"|"ended"|\[\]|\{{\}}|\[\{{"{word}":1\}}\]|\{{"{word}":"{SECRET}"\}})"#
    );
    let regex = |pattern: String| proptest::string::string_regex(&pattern).unwrap();
    prop_oneof![
        ".{0,60}",
        regex(format!(r#"\{{"{word}":{value}(,"{word}":{value})?\}}"#)),
        regex(format!(r#"\[\{{"{word}":{value}\}}\]"#)),
    ]
}

/// Nothing that a provider answers makes a panic, a secret seen, or a call of what is none.
pub(crate) fn check_hostile(provider: &dyn Provider, status: u16, body: &str) {
    let (order, answer) = (order(), answer(status, body));
    assert!(!format!("{provider:?} {}", provider.account()).contains("hush"));
    let outcome = provider.outcome(&order, &answer);
    match &outcome {
        Outcome::Placed { provider_id } => {
            assert!((200..300).contains(&status), "{status}: {outcome:?}");
            let id = provider_id.split('@').next().unwrap();
            assert!(!id.is_empty() && body.contains(id), "{body}: {outcome:?}");
        }
        Outcome::NotPlaced { reason, .. } | Outcome::Ambiguous { reason } => {
            assert!(!reason.contains(SECRET), "{reason}");
        }
    }
    let found = provider.found(&order, NOW, &answer);
    if !(200..300).contains(&status) {
        assert!(!matches!(found, crate::Found::Call { .. }), "{found:?}");
        assert_eq!(provider.progress(&answer), None);
    }
    let _ = provider.progress(&answer);
    for fields in [
        HeaderMap::new(),
        headers(&[("authorization", "Bearer a.b.c")]),
    ] {
        assert!(
            provider
                .callback(&callback(&fields, body.as_bytes()))
                .is_err()
        );
    }
}

pub(crate) fn sign_hex(key: &str, parts: &[&str]) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.as_bytes());
    crate::proof::hex(ring::hmac::sign(&key, parts.concat().as_bytes()).as_ref())
}
