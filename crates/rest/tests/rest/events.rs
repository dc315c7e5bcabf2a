//! Results followed as they change, instead of polled.

use axum::body::{Body, BodyDataStream};
use axum::extract::Request;
use futures::StreamExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::runs::is_called;
use crate::world::{Client, OWN, V1, World, within};

/// One event.
#[derive(Debug, PartialEq)]
struct Event {
    name: String,
    id: Option<u64>,
    data: Value,
}

impl Event {
    fn read(text: &str) -> Self {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        Self {
            name: field("event: ").unwrap().to_owned(),
            id: field("id: ").map(|id| id.parse().unwrap()),
            data: serde_json::from_str(field("data: ").unwrap()).unwrap(),
        }
    }

    /// The run and the state it is in now.
    fn state(&self) -> (i64, &str) {
        let (run, status) = (&self.data["run_id"], &self.data["status"]);
        (run.as_i64().unwrap(), status.as_str().unwrap())
    }
}

/// The events of one connection.
struct Events {
    body: BodyDataStream,
    read: String,
}

impl Events {
    async fn open(client: &Client, result: i64, last: Option<u64>) -> Self {
        let mut request = Request::get(format!("{OWN}/results/{result}/events/"))
            .header("X-CEKURA-API-KEY", client.key());
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = client.api.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            body: response.into_body().into_data_stream(),
            read: String::new(),
        }
    }

    /// `None` once the server has ended the stream.
    async fn next(&mut self) -> Option<Event> {
        within("an event", async {
            loop {
                if let Some((event, rest)) = self.read.split_once("\n\n") {
                    let event = Event::read(event);
                    self.read = rest.to_owned();
                    return Some(event);
                }
                let more = self.body.next().await?.unwrap();
                self.read.push_str(std::str::from_utf8(&more).unwrap());
            }
        })
        .await
    }

    async fn all(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

#[tokio::test]
async fn a_result_is_followed_from_where_it_is_to_its_end() {
    let world = World::start().await;
    let us = &world.us;
    world.engine_is_up().await;
    let made = us.catalogue("+15559990001").await;
    let other = us.trigger(&made, 1).await;
    let result = us.trigger(&made, 2).await;
    let mut events = Events::open(us, result.result, None).await;
    let first = events.next().await.unwrap();
    assert_eq!((first.name.as_str(), first.id), ("snapshot", None));
    let runs = first.data["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2);
    for (run, id) in runs.iter().zip(&result.ids) {
        assert_eq!((&run["run_id"], &run["seq"]), (&json!(id), &json!(2)));
        assert_eq!(run["status"], "pending");
        assert!(run["outbound_dial_window_closes_at"].is_string(), "{run}");
    }

    // What happens to another result is not heard.
    us.post(
        &format!("{V1}/results/{}/end_calls/", other.result),
        json!({}),
    )
    .await;
    is_called(&world, result.ids[0], 3, true).await;
    us.post(&format!("{V1}/runs/{}/end_call/", result.ids[1]), json!({}))
        .await;
    let events = events.all().await;
    let of = |run: i64| {
        let told = events.iter().filter(|event| event.name == "transition");
        let told = told.map(Event::state).filter(|(of, _)| *of == run);
        told.map(|(_, status)| status).collect::<Vec<_>>()
    };
    assert_eq!(
        of(result.ids[0]),
        ["in_progress", "evaluating", "completed"]
    );
    assert_eq!(of(result.ids[1]), ["cancelled"]);
    assert_eq!(events.len(), 5);
    assert_eq!(events.last().unwrap().name, "end");

    // Whoever comes back gets the rest: the same events under the same ids.
    for missed in 0..4 {
        let again = Events::open(us, result.result, events[missed].id).await;
        assert_eq!(again.all().await, events[missed + 1..]);
    }
    let over = Events::open(us, result.result, None).await.all().await;
    assert_eq!(
        over.iter()
            .map(|event| event.name.as_str())
            .collect::<Vec<_>>(),
        ["snapshot", "end"]
    );
    assert_eq!(over[0].data["runs"][0]["success"], true);
    world.close().await;
}

#[tokio::test]
async fn nobody_follows_anothers_result_or_a_platform_that_goes() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue("+15559990001").await;
    let result = us.trigger(&made, 1).await;
    let path = format!("{OWN}/results/{}/events/", result.result);
    world.them.try_get(&path).await.refused(404);
    us.try_get(&format!("{path}?last_event_id=x"))
        .await
        .names("last_event_id");
    us.get_with(&path, &[("last-event-id", "-1")])
        .await
        .names("Last-Event-ID");
    let mut events = Events::open(us, result.result, None).await;
    assert_eq!(events.next().await.unwrap().name, "snapshot");
    world.health.drain();
    assert_eq!(events.next().await, None);
    let detail = us.try_get(&path).await.refused(503);
    assert!(detail.contains("shutting down"), "{detail}");
    world.close().await;
}
