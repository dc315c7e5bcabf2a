//! Bodies that are wrong as a whole.

use serde_json::{Value, json};

use crate::world::{V1, World};

/// An object of that many levels.
pub fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!({"a": inner}))
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_no_json_objects() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue("+15559990001").await;
    let before = us.counts().await;
    let good = json!({"name": "n", "agent_name": "n", "inbound": false, "agent": made.agent});
    let good = good.to_string();
    let json = Some("application/json");
    let mut large = format!("{{\"name\": \"{}\"}}", "x".repeat(1024 * 1024)).into_bytes();
    large.push(b' ');
    let deep = "[".repeat(100_000).into_bytes();
    let deep_object = "{\"a\":".repeat(100_000).into_bytes();
    let deep_but_closed = format!("{{\"information\": {}}}", nested(200)).into_bytes();
    let mut not_utf8 = good.clone().into_bytes();
    not_utf8[2] = 0xFF;
    for path in [
        "aiagents",
        "scenarios",
        "test-profiles",
        "scenarios/run_scenarios",
    ] {
        let path = format!("{V1}/{path}/");
        for (status, kind, body) in [
            (400, json, b"".to_vec()),
            (400, json, b"null".to_vec()),
            (400, json, b"[]".to_vec()),
            (400, json, b"\"text\"".to_vec()),
            (400, json, b"17".to_vec()),
            (400, json, b"{".to_vec()),
            (400, json, b"{\"a\": NaN}".to_vec()),
            (400, json, b"{\"a\": 1e999}".to_vec()),
            (400, json, b"{\"a\": \"\\ud800\"}".to_vec()),
            (400, json, [good.as_bytes(), b"x"].concat()),
            (400, json, [b"\xEF\xBB\xBF", good.as_bytes()].concat()),
            (400, json, not_utf8.clone()),
            (400, json, deep.clone()),
            (400, json, deep_object.clone()),
            (400, json, deep_but_closed.clone()),
            (413, json, large.clone()),
            (
                415,
                Some("application/x-www-form-urlencoded"),
                good.clone().into_bytes(),
            ),
            (
                415,
                Some("text/plain; charset=utf-8"),
                good.clone().into_bytes(),
            ),
            (
                415,
                Some("multipart/form-data; boundary=x"),
                good.clone().into_bytes(),
            ),
            (415, Some(""), good.clone().into_bytes()),
        ] {
            us.send("POST", &path, kind, body).await.refused(status);
        }
    }
    assert_eq!(us.counts().await, before);
    // The same body is fine if it is declared to be JSON, or not declared at all.
    for kind in [
        None,
        json,
        Some("application/json; charset=utf-8"),
        Some("Application/Vnd.API+JSON"),
    ] {
        let path = format!("{V1}/aiagents/");
        let answer = us
            .send("POST", &path, kind, good.clone().into_bytes())
            .await;
        assert_eq!(answer.status, 201, "{kind:?}");
    }
    world.close().await;
}
