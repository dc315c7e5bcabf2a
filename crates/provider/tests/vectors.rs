//! Callbacks that the providers' own Python packages sign and judge: this crate judges them the same way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use ringdown_domain::Timestamp;
use ringdown_egress::{HeaderMap, header_field};
use ringdown_provider::{
    Callback, ElevenLabs, LiveKit, Plivo, Provider, Rejected, Retell, Settings, Telnyx, Twilio,
};
use ringdown_vault::Secret;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Vectors {
    secret: String,
    shared_key: String,
    telnyx_public_key: String,
    cases: Vec<Case>,
}

/// A callback, and whether the package believes it.
#[derive(Deserialize)]
struct Case {
    provider: String,
    name: String,
    /// Seconds since 1970.
    at: i64,
    believed: bool,
    url: String,
    method: String,
    headers: BTreeMap<String, String>,
    body: String,
}

/// What only the package believes, and why this crate does not.
const STRICTER: &[(&str, &str, &str)] = &[
    (
        "elevenlabs",
        "600 s",
        "the package does not bound times in the future",
    ),
    (
        "livekit",
        "expired 10 s ago",
        "the package lets tokens live for a minute longer",
    ),
];

/// What only this crate believes, and why that does no harm.
const LOOSER: &[(&str, &str, &str)] = &[
    ("retell", "upper case", "it is the same number"),
    ("elevenlabs", "upper case", "it is the same number"),
    (
        "livekit",
        "no end",
        "a token without an end holds for five minutes from its nbf or iat",
    ),
    (
        "livekit",
        "four minutes early",
        "clocks may be five minutes apart here, and one in the package",
    ),
];

fn vectors() -> Vectors {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = root.join(".tools/venv/bin/python");
    let install = "run `make tools-test`, which installs the packages";
    assert!(
        python.exists(),
        "{} is missing: {install}",
        python.display()
    );
    let script = root.join("crates/provider/tests/vectors.py");
    // It ends by itself if it takes too long.
    let output = Command::new(python).arg(script).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{said}\nIf a module is missing, {install}."
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn providers(vectors: &Vectors) -> BTreeMap<&'static str, Box<dyn Provider>> {
    let settings = |fields: Value, secrets: &[(&str, &str)]| {
        let Value::Object(fields) = fields else {
            panic!("no object");
        };
        let secrets = secrets.iter();
        let secret = |(name, secret): &(&str, &str)| ((*name).to_owned(), Secret::new(*secret));
        Settings::new(fields, secrets.map(secret).collect())
    };
    let (secret, url) = (vectors.secret.as_str(), "https://agent.example/answer");
    let twilio = settings(
        json!({"account_sid": "AC1", "url": url}),
        &[
            ("twilio_auth_token", secret),
            ("twilio_shared_key", &vectors.shared_key),
        ],
    );
    let plivo = settings(
        json!({"auth_id": "MA1", "answer_url": url}),
        &[("plivo_auth_token", secret)],
    );
    let telnyx = settings(
        json!({"connection_id": "c-1", "public_key": vectors.telnyx_public_key}),
        &[("telnyx_api_key", "not-used")],
    );
    let retell = settings(json!({}), &[("retell_api_key", secret)]);
    let elevenlabs = settings(
        json!({"line": "sip", "agent_id": "a-1", "phone_number_id": "p-1"}),
        &[
            ("elevenlabs_api_key", "not-used"),
            ("elevenlabs_webhook_secret", secret),
        ],
    );
    let livekit = settings(
        json!({"base_url": "https://livekit.example", "sip_trunk_id": "t-1"}),
        &[
            ("livekit_api_key", "key-of-vectors"),
            ("livekit_api_secret", secret),
        ],
    );
    let all: [Box<dyn Provider>; 6] = [
        Box::new(Twilio::new(twilio).unwrap()),
        Box::new(Plivo::new(plivo).unwrap()),
        Box::new(Telnyx::new(telnyx).unwrap()),
        Box::new(Retell::new(retell).unwrap()),
        Box::new(ElevenLabs::new(elevenlabs).unwrap()),
        Box::new(LiveKit::new(livekit).unwrap()),
    ];
    all.into_iter()
        .map(|provider| (provider.name(), provider))
        .collect()
}

/// Whether this crate believes it.
fn believes(provider: &dyn Provider, case: &Case) -> Result<bool, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in &case.headers {
        let (name, value) = header_field(name, value).unwrap();
        headers.append(name, value);
    }
    let read = provider.callback(&Callback {
        url: &case.url,
        method: &case.method,
        headers: &headers,
        body: case.body.as_bytes(),
        at: Timestamp::from_micros(case.at * 1_000_000),
    });
    match read {
        Ok(news) if news.len() == 1 => Ok(true),
        Err(Rejected::Forged | Rejected::Unsigned(_) | Rejected::Stale { .. }) => Ok(false),
        other => Err(format!("{other:?}")),
    }
}

#[test]
fn callbacks_are_believed_as_the_providers_own_packages_believe_them() {
    let vectors = vectors();
    let providers = providers(&vectors);
    let mut seen: BTreeMap<(&str, bool), usize> = BTreeMap::new();
    let mut differ = Vec::new();
    for case in &vectors.cases {
        *seen.entry((&case.provider, case.believed)).or_default() += 1;
        let mut listed = STRICTER.iter().chain(LOOSER);
        let differs =
            listed.any(|(provider, name, _)| *provider == case.provider && *name == case.name);
        let believed = believes(&*providers[case.provider.as_str()], case);
        if believed != Ok(case.believed != differs) {
            differ.push(format!(
                "{} {}: the package believes it: {}, we: {believed:?}\n  {} {}\n  {:?}\n  {}",
                case.provider,
                case.name,
                case.believed,
                case.method,
                case.url,
                case.headers,
                case.body
            ));
        }
    }
    assert!(
        differ.is_empty(),
        "{} differ:\n{}",
        differ.len(),
        differ.join("\n")
    );
    for (list, expected) in [(STRICTER, true), (LOOSER, false)] {
        for (provider, name, why) in list {
            let case = |case: &&Case| case.provider == *provider && case.name == *name;
            let believed = vectors.cases.iter().find(case).map(|case| case.believed);
            assert_eq!(believed, Some(expected), "{provider} {name}: {why}");
        }
    }
    // A script that makes nothing would pass as well.
    for provider in providers.keys() {
        assert!(seen[&(*provider, true)] >= 25, "{seen:?}");
        assert!(seen[&(*provider, false)] >= 100, "{seen:?}");
    }
}
