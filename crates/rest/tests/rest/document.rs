//! The generated OpenAPI document, the committed copy of it, and the reference's operations.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::contract::{OURS, REFERENCE};
use crate::world::World;

/// Operations of the reference that are not served yet.
const NOT_YET: &[&str] = &[];

/// Query parameters of served operations that are not read yet, as `operationId?name`.
const NOT_YET_READ: &[&str] = &[];

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_committed_document_is_the_generated_one() {
    let committed = std::fs::read(folder().join("../../docs/openapi.json")).unwrap();
    let committed: Value = serde_json::from_slice(&committed).unwrap();
    let generated = ringdown_rest::openapi(ringdown_rest::DOCUMENTED_BASE);
    assert!(
        committed == generated,
        "docs/openapi.json is not what the code says; write it again with\n  \
         cargo run -p ringdown -- openapi > docs/openapi.json"
    );
}

#[test]
fn every_operation_has_its_own_id_and_a_summary() {
    let mut ids = BTreeSet::new();
    for (method, path, operation) in OURS.operations() {
        let text = |name: &str| operation[name].as_str().unwrap_or_default();
        assert!(!text("summary").is_empty(), "{method} {path}");
        let id = text("operationId");
        assert!(!id.is_empty(), "{method} {path}");
        assert!(ids.insert(id.to_owned()), "{id} is there twice");
        let success = operation["responses"].as_object().unwrap();
        assert!(success.keys().any(|status| status.starts_with('2')), "{id}");
    }
}

/// The names of an operation's query parameters.
fn parameters(operation: &Value) -> BTreeSet<String> {
    let all = operation["parameters"].as_array().into_iter().flatten();
    all.filter(|parameter| parameter["in"] == "query")
        .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
        .collect()
}

/// What is missing has to be just what is listed.
fn compare(missing: &BTreeSet<String>, listed: &[&str], name: &str) {
    let listed: BTreeSet<String> = listed.iter().map(ToString::to_string).collect();
    let done: Vec<&String> = listed.difference(missing).collect();
    let lost: Vec<&String> = missing.difference(&listed).collect();
    assert!(
        done.is_empty(),
        "done, so take them out of {name}: {done:#?}"
    );
    assert!(lost.is_empty(), "missing, and not in {name}: {lost:#?}");
}

#[test]
fn the_reference_is_served_but_for_what_is_listed() {
    let mut missing = BTreeSet::new();
    let mut unread = BTreeSet::new();
    for (method, path, theirs) in REFERENCE.operations() {
        let id = theirs["operationId"].as_str().unwrap();
        let ours = OURS
            .operations()
            .find(|one| (one.0, one.1) == (method, path));
        let Some((_, _, ours)) = ours else {
            missing.insert(id.to_owned());
            continue;
        };
        assert_eq!(ours["operationId"], id, "{method} {path}");
        for name in parameters(theirs).difference(&parameters(ours)) {
            unread.insert(format!("{id}?{name}"));
        }
    }
    compare(&missing, NOT_YET, "NOT_YET");
    compare(&unread, NOT_YET_READ, "NOT_YET_READ");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_and_its_page_need_no_key_and_only_this_server() {
    let world = World::start().await;
    let nobody = world.us.with_key(None);
    let document = nobody.get("/openapi.json").await;
    assert_eq!(document["servers"][0]["url"], "http://platform.test");
    assert_eq!(document["paths"], ringdown_rest::openapi("")["paths"]);

    let there = nobody.try_get("/docs").await;
    assert_eq!(there.status, 308);
    assert_eq!(there.headers["location"], "docs/");
    let page = nobody.try_get("/docs/").await;
    assert_eq!(page.status, 200);
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self';"),
        "{policy}"
    );
    let html = String::from_utf8(page.bytes).unwrap();
    assert!(
        !html.contains("http://") && !html.contains("https://"),
        "{html}"
    );
    assert!(!html.contains("<style"), "{html}");
    // No script stands in the page itself: the policy would not run it.
    for script in html.split("<script").skip(1) {
        let (tag, rest) = script.split_once('>').unwrap();
        assert!(tag.contains("src="), "{html}");
        assert!(rest.trim_start().starts_with("</script>"), "{html}");
    }
    let linked = html
        .split('"')
        .filter(|part| part.ends_with(".js") || part.ends_with(".css"));
    let mut parts = 0;
    for part in linked {
        let answer = nobody
            .try_get(&format!("/docs/{}", part.trim_start_matches("./")))
            .await;
        assert_eq!(answer.status, 200, "{part}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        parts += 1;
    }
    assert!(parts >= 4, "{html}");
    let start = nobody.try_get("/docs/swagger-initializer.js").await;
    let start = String::from_utf8(start.bytes).unwrap();
    assert!(start.contains("../openapi.json"), "{start}");
    nobody.try_get("/docs/nothing.js").await.refused(404);
    nobody.try_get("/docs/..%2Fopenapi.json").await.refused(404);
    world.close().await;
}
