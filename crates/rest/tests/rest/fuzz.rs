//! Pseudo-random requests, the same in every run: whatever is asked, nothing fails inside.

use serde_json::{Map, Value, json};

use crate::bodies::nested;
use crate::world::{CALLER, Catalogue, LISTS, OWN, V1, World, id};

const REQUESTS: usize = 5_300;

/// xorshift64*: reproducible everywhere, and good enough to mix requests.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % u64::try_from(end).unwrap()).unwrap()
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

const METHODS: [&str; 13] = [
    "GET", "GET", "GET", "POST", "POST", "POST", "POST", "PUT", "PATCH", "PATCH", "DELETE", "HEAD",
    "OPTIONS",
];

/// Triggers are worth more tries than the others.
const ROUTES: [&str; 37] = [
    "/test_framework/v1/aiagents",
    "/test_framework/v1/aiagents/ID",
    "/test_framework/v1/scenarios",
    "/test_framework/v1/scenarios/run_scenarios",
    "/test_framework/v1/scenarios/run_scenarios",
    "/test_framework/v1/scenarios/run_scenarios",
    "/test_framework/v1/scenarios/run_scenarios",
    "/test_framework/v1/scenarios/ID",
    "/test_framework/v1/test-profiles",
    "/test_framework/v1/test-profiles/ID",
    "/test_framework/v1/phone-numbers",
    "/test_framework/v1/phone-numbers/inbound",
    "/test_framework/v1/phone-numbers/check_occupancy",
    "/test_framework/v1/phone-numbers/ID",
    "/test_framework/v1/runs",
    "/test_framework/v1/runs/bulk",
    "/test_framework/v1/runs/ID",
    "/test_framework/v1/runs/ID/end_call",
    "/test_framework/v1/results",
    "/test_framework/v1/results/ID",
    "/test_framework/v1/results/ID/end_calls",
    "/ringdown/v1/phone-numbers",
    "/ringdown/v1/phone-numbers/ID",
    "/ringdown/v1/attempts",
    "/ringdown/v1/organizations",
    "/ringdown/v1/organizations/current",
    "/ringdown/v1/projects",
    "/ringdown/v1/projects/ID",
    "/ringdown/v1/agents/ID/dial-route",
    "/ringdown/v1/carriers",
    "/ringdown/v1/carriers/ID",
    "/ringdown/v1/queue",
    "/ringdown/v1/runs/ID/recording",
    "/healthz",
    "/readyz",
    "/metrics",
    "/test_framework/v1/ID",
];

/// Names of fields and parameters, as many of them real as not.
const NAMES: [&str; 50] = [
    "agent_name",
    "inbound",
    "contact_number",
    "outbound_numbers",
    "project",
    "description",
    "name",
    "agent",
    "phone_number",
    "test_profile",
    "tags",
    "folder_path",
    "first_message",
    "max_duration",
    "instructions",
    "expected_outcome_prompt",
    "scenario_type",
    "personality",
    "conditional_actions",
    "information",
    "scenarios",
    "agent_id",
    "frequency",
    "freq",
    "personality_ids",
    "test_profile_ids",
    "test_profile_id",
    "mode",
    "agent_number",
    "outbound_phone_number",
    "concurrency_limit",
    "project_id",
    "number",
    "route",
    "slug",
    "parallel_call_limit",
    "outbound_timeout",
    "max_call_duration",
    "silence_timeout",
    "reject",
    "page",
    "page_size",
    "q",
    "run_ids",
    "status",
    "status__in",
    "result_id",
    "kind",
    "",
    "x\u{7}y",
];

fn value(dice: &mut Dice, depth: usize) -> Value {
    match dice.below(if depth < 4 { 16 } else { 13 }) {
        0 => Value::Null,
        1 => json!(dice.chance(50)),
        2 | 3 => json!(dice.below(4)),
        4 => json!(-1),
        5 => json!(*dice.one(&[&i64::MAX, &i64::MIN, &(1 << 53), &10_001])),
        6 => json!(u64::MAX),
        7 => json!(*dice.one(&[&0.5, &-0.0, &1e300, &1.0])),
        8 | 9 => json!(dice.one(&[
            "",
            " ",
            "smoke",
            CALLER,
            "+15559990001",
            "silent",
            "different_numbers",
            "\0",
            "1",
            "conditional_actions",
            "{{test_profile.a.b}}",
            "{{test_profile['a",
            "{{}}",
            "}}{{",
            "<endcall/>",
            "<<<",
            "'; DROP TABLE runs; --",
            "%00",
            "\u{202e}\u{fffd}🙂",
            "FIRST_MESSAGE",
        ])),
        10 => json!("é".repeat(dice.below(300))),
        11 => json!("x".repeat(dice.below(100_000))),
        12 => nested(dice.below(40)),
        13 => {
            let items = dice.below(4);
            (0..items).map(|_| value(dice, depth + 1)).collect()
        }
        14 => object(dice, depth + 1),
        _ => json!({"role": "x", "conditions": [{
            "id": value(dice, depth + 1),
            "condition": "FIRST_MESSAGE",
            "action": value(dice, depth + 1),
            "fixed_message": true,
        }]}),
    }
}

fn object(dice: &mut Dice, depth: usize) -> Value {
    let fields = dice.below(6);
    let mut map = Map::new();
    for _ in 0..fields {
        map.insert(dice.one(&NAMES).to_owned(), value(dice, depth));
    }
    Value::Object(map)
}

/// A body that would be accepted, so that most requests are wrong in one or two places only.
fn good(dice: &mut Dice, path: &str, made: &Catalogue) -> Value {
    let (agent, scenario) = (made.agent, made.scenario);
    let path = path.split('?').next().unwrap();
    if path.contains("aiagents") {
        json!({"agent_name": "a", "inbound": false, "contact_number": CALLER, "extra": {"a": 1}})
    } else if path.contains("run_scenarios") {
        let all = [
            json!({"scenarios": [scenario, scenario], "agent_id": agent, "frequency": 2}),
            json!({"tags": ["smoke"], "agent_id": agent, "mode": "different_numbers"}),
            json!({"folder_path": "a", "agent_id": agent, "concurrency_limit": 1}),
        ];
        all[dice.below(all.len())].clone()
    } else if path.contains("scenarios") {
        json!({"name": "s", "agent": agent, "tags": ["smoke"], "folder_path": "a.b"})
    } else if path.contains("test-profiles") {
        json!({"name": "p", "agent": agent, "information": {"a": {"b": "c"}}})
    } else if path.contains("phone-numbers") {
        json!({"number": format!("+1555999{:04}", dice.below(10_000))})
    } else if path.contains("projects/") && dice.chance(80) {
        json!({"parallel_call_limit": dice.below(9), "outbound_timeout": 5, "reject": "silent"})
    } else if path.contains("organizations/current") {
        json!({"parallel_call_limit": dice.below(9)})
    } else if path.contains("organizations") {
        json!({"name": "o", "slug": format!("team-{}", dice.below(1000))})
    } else if path.contains("carriers") {
        json!({"name": dice.below(8).to_string(), "provider": "trigger_url",
               "settings": {"trigger_url": "https://agent.example/"}, "secrets": {}})
    } else if path.contains("dial-route") {
        json!({"route": "route"})
    } else {
        json!({"name": "n"})
    }
}

fn body(dice: &mut Dice, path: &str, made: &Catalogue) -> Vec<u8> {
    let mut body = good(dice, path, made);
    for _ in 0..dice.below(4).saturating_sub(1) {
        body[dice.one(&NAMES)] = value(dice, 0);
    }
    let mut bytes = match dice.below(10) {
        0 => value(dice, 0).to_string().into_bytes(),
        1 => object(dice, 0).to_string().into_bytes(),
        _ => body.to_string().into_bytes(),
    };
    if dice.chance(10) && !bytes.is_empty() {
        let at = dice.below(bytes.len());
        match dice.below(3) {
            0 => bytes.truncate(at),
            1 => bytes[at] = dice.roll().to_le_bytes()[0],
            _ => bytes.insert(at, b"{}[]\",:\\0e-"[dice.below(11)]),
        }
    }
    bytes
}

fn path(dice: &mut Dice, made: &Catalogue) -> String {
    let id = match dice.below(8) {
        0 => dice
            .one(&[
                "0",
                "-1",
                "9223372036854775808",
                "x",
                "%00",
                "%FF",
                "current",
                "1e3",
                "+1",
            ])
            .to_owned(),
        1 => (i64::MAX - 1).to_string(),
        2 => dice.below(8).to_string(),
        // Old ones are deleted by and by, so most requests are about the newest.
        _ => dice
            .one(&[&made.agent, &made.scenario, &made.number])
            .to_string(),
    };
    let mut path = dice.one(&ROUTES).replace("ID", &id);
    if dice.chance(30) {
        path = path.replacen("scenarios", "scenarios-external", 1);
    }
    if dice.chance(70) {
        path.push('/');
    }
    let mut glue = '?';
    for _ in 0..dice.below(4) {
        let text = match dice.below(6) {
            0 => dice.below(5).to_string(),
            1 => "1,2,3".to_owned(),
            2 => ",".repeat(dice.below(3000)),
            3 => "%FF%00%".to_owned(),
            4 => "a".repeat(dice.below(20_000)),
            _ => dice
                .one(&[
                    "-1",
                    "pending",
                    "and",
                    "invite",
                    "%2B15559990001",
                    "1e9",
                    "500",
                    "'\\%25_",
                ])
                .to_owned(),
        };
        let name = dice.one(&NAMES).replace('\u{7}', "%07");
        path.push_str(&format!("{glue}{name}={text}"));
        glue = '&';
    }
    path
}

/// Whoever asks: answers are never server errors, errors have the API's shape, and what was stored
/// on the way can still be listed and read.
#[tokio::test(flavor = "multi_thread")]
async fn no_request_makes_the_platform_fail() {
    let world = World::start().await;
    let us = &world.us;
    let mut made = us.catalogue("+15559990001").await;
    let unlimited = format!("{OWN}/organizations/current/");
    let mut dice = Dice(0x5EED);
    let mut accepted = 0;
    let mut refused = 0;
    for round in 0..REQUESTS {
        if round % 100 == 99 {
            made = us.catalogue(&format!("+1666{round:07}")).await;
            us.patch(&unlimited, json!({"parallel_call_limit": null}))
                .await;
        }
        let client = match dice.below(10) {
            0 => &world.them,
            1 => &world.admin,
            _ => us,
        };
        let method = dice.one(&METHODS);
        let path = path(&mut dice, &made);
        // Bodies of requests that do not read them are harmless, and the script sends some.
        let body = body(&mut dice, &path, &made);
        let shown = String::from_utf8_lossy(&body[..body.len().min(500)]).into_owned();
        let answer = client
            .send(method, &path, Some("application/json"), body)
            .await;
        let status = answer.status.as_u16();
        assert!(
            (200..500).contains(&status) && !(300..400).contains(&status),
            "round {round}: {method} {path:.300} {shown} -> {status} {}",
            String::from_utf8_lossy(&answer.bytes)
        );
        if status < 400 {
            accepted += 1;
        } else {
            refused += 1;
            if method != "HEAD" {
                assert!(answer.json().is_object(), "round {round}");
            }
        }
    }
    println!("{accepted} accepted, {refused} refused");
    assert!(accepted > REQUESTS / 20 && refused > REQUESTS / 20);
    for client in [us, &world.them, &world.admin] {
        let counts = client.counts().await;
        println!("{counts:?}");
        for list in LISTS {
            let page = client.get(&format!("{list}?page_size=500")).await;
            let rows = page.as_array().or_else(|| page["results"].as_array());
            for row in rows.unwrap() {
                if list.starts_with(V1) {
                    client.get(&format!("{list}{}/", id(row))).await;
                }
            }
        }
        client.get(&format!("{OWN}/queue/")).await;
    }
    // Otherwise the dice missed what matters most.
    assert!(us.counts().await[..6].iter().all(|count| *count >= 20));
    world.close().await;
}
