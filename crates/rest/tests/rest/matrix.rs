//! Every operation with every kind of key, generated from the document of the operations: what is new
//! is in here without being listed.

use std::collections::BTreeMap;

use ringdown_rest as rest;
use serde_json::{Map, Value, json};

use crate::world::{Answer, Client, OWN, V1, World, id};

/// In the name of everything that is ours, so that it is noticed wherever it leaks.
const MARK: &str = "marked-as-ours";
/// An id that nothing has.
const NOTHING: i64 = 987_654_321;

/// One operation, as the document has it.
struct Operation {
    method: String,
    path: String,
    role: String,
    whole: bool,
    operator: bool,
    body: Option<Value>,
    query: Vec<(String, Value)>,
}

fn operations() -> Vec<Operation> {
    let document = rest::openapi("http://platform.test");
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let Some(role) = operation["x-required-role"].as_str() else {
                continue;
            };
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let required = parameters
                .filter(|p| p["in"] == "query" && p["required"] == true)
                .map(|p| (p["name"].as_str().unwrap().to_owned(), sample(&p["schema"])));
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            found.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                role: role.to_owned(),
                whole: operation["x-whole-organization"] == true,
                operator: operation["x-operator"] == true,
                body: schema.is_object().then(|| sample(schema)),
                query: required.collect(),
            });
        }
    }
    assert!(found.len() > 50, "{} operations", found.len());
    found
}

/// The least value that fits a schema.
fn sample(schema: &Value) -> Value {
    if let Some(first) = schema["enum"].as_array().and_then(|all| all.first()) {
        return first.clone();
    }
    for of in ["anyOf", "oneOf", "allOf"] {
        if let Some(first) = schema[of].as_array().and_then(|all| all.first()) {
            return sample(first);
        }
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds[0].as_str(),
        kind => kind.as_str(),
    };
    match kind.unwrap_or("object") {
        "string"
            if schema["pattern"]
                .as_str()
                .is_some_and(|p| p.starts_with("^\\+")) =>
        {
            json!("+15557770001")
        }
        "string" if schema["format"] == "date-time" => json!("2090-01-01T00:00:00Z"),
        "string" if schema["format"] == "uri" => json!("https://example.com/"),
        "string" => json!("sample"),
        "integer" => json!(schema["minimum"].as_i64().unwrap_or(1).max(1)),
        "number" => json!(1),
        "boolean" => json!(true),
        "array" => json!([]),
        _ => {
            let required = schema["required"].as_array().into_iter().flatten();
            let fields: Map<String, Value> = required
                .map(|name| name.as_str().unwrap())
                .map(|name| (name.to_owned(), sample(&schema["properties"][name])))
                .collect();
            Value::Object(fields)
        }
    }
}

impl Operation {
    /// The collection an operation's id is from: the segment before `{...}`.
    fn collection(&self) -> Option<&str> {
        let before = self.path.split_once('{')?.0.trim_end_matches('/');
        before.rsplit('/').next()
    }

    fn with(&self, id: &str) -> String {
        let mut path = String::new();
        let mut rest = self.path.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            path.push_str(before);
            path.push_str(id);
            rest = after.split_once('}').unwrap().1;
        }
        path.push_str(rest);
        let query: Vec<String> = self
            .query
            .iter()
            .map(|(name, value)| {
                let text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                format!("{name}={}", text.replace('+', "%2B"))
            })
            .collect();
        if query.is_empty() {
            return path;
        }
        format!("{path}?{}", query.join("&"))
    }

    async fn ask(&self, client: &Client, id: &str) -> Answer {
        let path = self.with(id);
        match &self.body {
            Some(body) => client.ask(&self.method, &path, body).await,
            None => client.send(&self.method, &path, None, Vec::new()).await,
        }
    }

    /// Whether a key of this role that is neither bound nor the operator's may do it.
    fn is_for(&self, role: &str) -> bool {
        let rank = |role: &str| {
            ["viewer", "editor", "admin"]
                .iter()
                .position(|r| *r == role)
        };
        !self.operator && rank(role) >= rank(&self.role)
    }

    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// One of ours of every collection, by the collection's name.
async fn ours(world: &World, second: i64) -> BTreeMap<String, i64> {
    let us = &world.us;
    let first = us.get(&format!("{OWN}/projects/")).await;
    let first = id(&first[0]);
    assert_ne!(first, second);
    let rename = json!({"name": format!("{MARK} project")});
    us.patch(&format!("{OWN}/projects/{first}/"), rename).await;
    let number = json!({"number": "+15559990001", "name": MARK, "project_id": first});
    let number = id(&us.post(&format!("{OWN}/phone-numbers/"), number).await);
    let agent = json!({"agent_name": format!("{MARK} agent"), "inbound": false,
                       "contact_number": crate::world::CALLER, "project": first});
    let agent = id(&us.post(&format!("{V1}/aiagents/"), agent).await);
    let scenario = json!({"name": format!("{MARK} scenario"), "agent": agent, "personality": 1,
                          "phone_number": number});
    let scenario = id(&us.post(&format!("{V1}/scenarios/"), scenario).await);
    let profile = json!({"name": format!("{MARK} profile"), "agent": agent, "information": {}});
    let profile = id(&us.post(&format!("{V1}/test-profiles/"), profile).await);
    let run = json!({"scenarios": [scenario], "agent_id": agent, "name": MARK});
    let result = us
        .post(&format!("{V1}/scenarios/run_scenarios/"), run)
        .await;
    let own = json!({"name": format!("{MARK} personality"), "project": first,
                     "background_noise": "off", "voice_model": "default"});
    let own = id(&us.post(&format!("{V1}/personalities/"), own).await);
    let job = json!({"name": format!("{MARK} job"), "agent": agent, "scenarios": [scenario],
                     "crontab_expression": "0 3 1 1 *", "timezone": "UTC"});
    let job = id(&us.post("/schedules/v1/cron-jobs/", job).await);
    let webhook = world.engine.store().add_webhook(
        world.org.id,
        first.into(),
        ringdown_store::WebhookKind::Test,
        None,
        "{}",
        ringdown_bus::now(),
    );
    let webhook = webhook.await.unwrap().id.0;
    let carrier = json!({"name": "4711", "provider": "twilio",
                         "settings": {"account_sid": "AC1", "url": format!("https://{MARK}.example/")},
                         "secrets": {"twilio_auth_token": MARK}});
    us.post(&format!("{OWN}/carriers/"), carrier).await;
    let route = format!("{OWN}/agents/{agent}/dial-route/");
    us.ask("PUT", &route, &json!({"route": "carrier:4711"}))
        .await
        .ok();
    let key = json!({"name": MARK, "project_id": first});
    let key = id(&us.post(&format!("{OWN}/keys/"), key).await);
    [
        ("phone-numbers", number),
        ("providers", number),
        ("aiagents", agent),
        ("agents", agent),
        ("scenarios", scenario),
        ("test-profiles", profile),
        ("results", id(&result)),
        ("runs", id(&result["runs"][0])),
        ("projects", first),
        ("organizations", world.org.id.0),
        ("cron-jobs", job),
        ("personalities", own),
        ("webhooks", webhook),
        ("carriers", 4711),
        ("keys", key),
        ("user-api-key", key),
    ]
    .into_iter()
    .map(|(name, id)| (name.to_owned(), id))
    .collect()
}

/// One object of a collection that nobody made above: the first that its list has, or what the least
/// body makes.
async fn any_of(all: &[Operation], us: &Client, one: &Operation) -> Option<i64> {
    let list = one.path.split_once('{')?.0;
    for method in ["GET", "POST", "GET"] {
        let Some(operation) = all.iter().find(|o| o.path == list && o.method == method) else {
            continue;
        };
        let answer = operation.ask(us, "").await;
        if !answer.status.is_success() {
            continue;
        }
        let answer = answer.json();
        let of_page = answer["results"].as_array();
        let first = of_page.or(answer.as_array()).and_then(|all| all.first());
        if let Some(id) = first.unwrap_or(&answer)["id"].as_i64() {
            return Some(id);
        }
    }
    None
}

async fn key(us: &Client, body: Value) -> Client {
    let made = us.post(&format!("{OWN}/keys/"), body).await;
    us.with_key(made["key"].as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_operation_does_for_a_key_what_it_may_not() {
    let world = World::start().await;
    let us = &world.us;
    let projects = format!("{OWN}/projects/");
    let second = id(&us.post(&projects, json!({"name": "second"})).await);
    let mut ours = ours(&world, second).await;
    let all = operations();
    let viewer = key(us, json!({"name": "viewer", "role": "viewer"})).await;
    let editor = key(us, json!({"name": "editor", "role": "editor"})).await;
    let bound = key(us, json!({"name": "bound", "project_id": second})).await;
    let nobody = us.with_key(None);
    let mut unseeded = Vec::new();
    for operation in &all {
        if let Some(collection) = operation.collection()
            && !ours.contains_key(collection)
        {
            match any_of(&all, us, operation).await {
                Some(id) => drop(ours.insert(collection.to_owned(), id)),
                None => unseeded.push(operation.name()),
            }
        }
    }
    assert!(unseeded.is_empty(), "make one of ours for: {unseeded:?}");

    let before = snapshot(&all, us, &ours).await;
    for operation in &all {
        let name = operation.name();
        let mine = operation
            .collection()
            .map_or_else(|| "none".to_owned(), |name| ours[name].to_string());

        let answer = operation.ask(&nobody, &mine).await;
        assert_eq!(status(&answer), 401, "{name} without a key");
        for (role, client) in [("viewer", &viewer), ("editor", &editor), ("admin", us)] {
            if !operation.is_for(role) {
                let answer = operation.ask(client, &mine).await;
                assert_eq!(status(&answer), 403, "{name} as {role}");
            }
        }
        for (who, client) in [
            ("another team", &world.them),
            ("the operator", &world.admin),
            ("another project", &bound),
        ] {
            let answer = operation.ask(client, &mine).await;
            let told = text(&answer);
            assert!(!told.contains(MARK), "{name} tells {who}: {told}");
            if operation.operator && who == "the operator" {
                continue;
            }
            let refused = operation.operator || (operation.whole && who == "another project");
            if refused {
                assert_eq!(status(&answer), 403, "{name} as {who}");
            } else if operation.collection().is_some() {
                assert_eq!(status(&answer), 404, "{name} as {who}: {told}");
                let unknown = operation.ask(client, &NOTHING.to_string()).await;
                let unknown = text(&unknown).replace(&NOTHING.to_string(), &mine);
                assert_eq!(told, unknown, "{name} as {who}");
            } else {
                assert_ne!(status(&answer), 500, "{name} as {who}: {told}");
            }
        }
    }
    let after = snapshot(&all, us, &ours).await;
    for (name, shown) in before {
        assert_eq!(after[&name], shown, "{name} shows a change");
    }
    // What is not there is not found, so nothing of ours is changed by asking.
    for operation in &all {
        for (role, client) in [("viewer", &viewer), ("editor", &editor), ("admin", us)] {
            if operation.is_for(role) {
                let name = operation.name();
                let answer = operation.ask(client, &NOTHING.to_string()).await;
                assert!(![401, 403].contains(&status(&answer)), "{name} as {role}");
                if operation.collection().is_some() {
                    assert_eq!(status(&answer), 404, "{name} as {role}: {}", text(&answer));
                }
            }
        }
    }
    world.close().await;
}

fn status(answer: &Answer) -> u16 {
    answer.status.as_u16()
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.bytes).into_owned()
}

/// Everything of ours that can be read by its id.
async fn snapshot(
    all: &[Operation],
    us: &Client,
    ours: &BTreeMap<String, i64>,
) -> BTreeMap<String, String> {
    let mut shown = BTreeMap::new();
    let reads = all.iter().filter(|o| o.method == "GET");
    for operation in reads {
        // When a key was last used changes by using it.
        if let Some(collection) = operation.collection()
            && !operation.path.contains("keys")
        {
            let answer = operation.ask(us, &ours[collection].to_string()).await;
            shown.insert(operation.name(), text(&answer));
        }
    }
    shown
}
