//! Pages of lists, and filters.

use serde_json::{Value, json};

use crate::world::{OWN, V1, World, id};

/// The part of a link behind the host it was asked at.
fn path_of(link: &Value) -> Option<String> {
    let link = link.as_str()?;
    let path = link.strip_prefix("http://platform.test");
    Some(path.unwrap_or_else(|| panic!("{link}")).to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn following_the_links_visits_every_object_once_in_both_directions() {
    let world = World::start().await;
    let us = &world.us;
    let mut expected = Vec::new();
    for n in 0..7 {
        expected.push(us.agent(&format!("agent & co {n}")).await);
    }
    us.agent("somebody else").await;
    expected.reverse();
    for start in ["aiagents/", "aiagents", "aiagents-external/"] {
        let mut path = format!("{V1}/{start}?q=agent+%26%20co&page_size=3");
        let mut seen = Vec::new();
        let mut last = String::new();
        for page in 1.. {
            let shown = us.get(&path).await;
            assert_eq!(shown["count"], 7, "{path}");
            let rows = shown["results"].as_array().unwrap();
            assert_eq!(rows.len(), if page < 3 { 3 } else { 1 }, "{path}");
            seen.extend(rows.iter().map(id));
            assert_eq!(shown["previous"].is_null(), page == 1);
            last.clone_from(&path);
            match path_of(&shown["next"]) {
                Some(next) => path = next,
                None => break,
            }
        }
        assert_eq!(seen, expected);
        let mut back = Vec::new();
        let mut path = Some(last);
        while let Some(at) = path {
            assert!(at.starts_with(&format!("{V1}/{start}?")), "{at}");
            let shown = us.get(&at).await;
            back.push(id(&shown["results"][0]));
            path = path_of(&shown["previous"]);
        }
        assert_eq!(back, [expected[6], expected[3], expected[0]]);
    }
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_do_not_exist_are_refused() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue("+15559990001").await;
    us.trigger(&made, 2).await;
    for list in ["aiagents", "scenarios", "runs", "results"] {
        let path = format!("{V1}/{list}/");
        for (query, field) in [
            ("page=0", "page"),
            ("page=-1", "page"),
            ("page=x", "page"),
            ("page=1.5", "page"),
            ("page=1e3", "page"),
            ("page=%00", "page"),
            ("page=99999999999999999999", "page"),
            ("page_size=0", "page_size"),
            ("page_size=501", "page_size"),
            ("page_size=-1", "page_size"),
        ] {
            us.try_get(&format!("{path}?{query}")).await.names(field);
        }
        us.try_get(&format!("{path}?page=2")).await.refused(404);
        us.try_get(&format!("{path}?page=1000000&page_size=500"))
            .await
            .refused(404);
        let whole = us.get(&path).await;
        for query in [
            "page=",
            "page=1",
            "page=1&page=2",
            "unknown=1",
            "page_size=500",
        ] {
            assert_eq!(us.get(&format!("{path}?{query}")).await, whole, "{query}");
        }
    }
    // A list without objects has one page, which is empty.
    let empty = json!({"count": 0, "next": null, "previous": null, "results": []});
    let path = format!("{OWN}/attempts/");
    assert_eq!(us.get(&path).await, empty);
    us.try_get(&format!("{path}?page=2")).await.refused(404);
    // These two come whole, as from the reference service.
    assert_eq!(us.get(&format!("{V1}/test-profiles/")).await, json!([]));
    let numbers = us.get(&format!("{V1}/phone-numbers/")).await;
    assert_eq!(numbers[0]["number"], "+15559990001");
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_select_what_they_say() {
    let world = World::start().await;
    let us = &world.us;
    us.number("+15559990001").await;
    let agents = [us.agent("One %").await, us.agent("two").await];
    for (agent, tags, folder) in [
        (agents[0], json!(["a", "b"]), json!("Sales.Inbound")),
        (agents[0], json!(["b"]), json!("Sales")),
        (agents[1], json!(["c"]), json!("Salesforce")),
        (agents[1], json!([]), Value::Null),
    ] {
        let body = json!({"name": "s", "agent": agent, "tags": tags, "folder_path": folder});
        us.post(&format!("{V1}/scenarios/"), body).await;
    }
    for (query, count) in [
        ("scenarios/?tags=a", 1),
        ("scenarios/?tags=a,%20b", 2),
        ("scenarios/?tags=a,b&tag_filter_type=and", 1),
        ("scenarios/?tags=b&tag_filter_type=not", 2),
        ("scenarios/?tags=%27%29%20OR%201=1--", 0),
        ("scenarios/?folder_path=Sales", 2),
        ("scenarios/?folder_path=Sales%25", 0),
        (&format!("scenarios/?agent_id={}", agents[1]), 2),
        (&format!("scenarios/?agent_id={}&tags=b", agents[1]), 0),
        ("aiagents/?q=ONE", 1),
        ("aiagents/?q=%25", 1),
        ("aiagents/?q=%5C", 0),
        ("aiagents/?project_id=999", 0),
        ("runs/?status=pending,completed", 0),
    ] {
        let shown = us.get(&format!("{V1}/{query}")).await;
        assert_eq!(shown["count"], count, "{query}");
    }
    let many = vec!["x"; 2000].join(",");
    let counts = us.counts().await;
    for (query, field) in [
        (format!("{V1}/scenarios/?tags={many}"), "tags"),
        (
            format!("{V1}/scenarios/?tags=a&tag_filter_type=xor"),
            "tag_filter_type",
        ),
        (format!("{V1}/scenarios/?agent_id=0"), "agent_id"),
        (format!("{V1}/aiagents/?project_id=one"), "project_id"),
        (format!("{V1}/runs/?status=done"), "status"),
        (format!("{V1}/runs/?status__in=pending,,"), "status__in"),
        (
            format!("{V1}/runs/?result_id=9223372036854775808"),
            "result_id",
        ),
        (format!("{OWN}/attempts/?kind=call"), "kind"),
        (format!("{OWN}/attempts/?verdict=bogus"), "verdict"),
        (format!("{OWN}/attempts/?run_id=x"), "run_id"),
    ] {
        us.try_get(&query).await.names(field);
    }
    assert_eq!(us.counts().await, counts);
    world.close().await;
}
