//! What is sent.

use std::time::Duration;

use ringdown_api::RunScenarios;
use ringdown_client::{ApiKey, AttemptQuery, Client, Options};
use serde_json::{Value, json};

use crate::peer::{Answer, KEY, Peer, answer};

/// Method and path of a request.
fn target(request: &str) -> &str {
    let line = request.lines().next().unwrap();
    line.strip_suffix(" HTTP/1.1").unwrap()
}

fn runs(ids: impl Iterator<Item = i64>) -> Answer {
    let runs: Vec<Value> = ids
        .map(|id| json!({"id": id, "status": "pending"}))
        .collect();
    answer("200 OK", "", &Value::from(runs).to_string())
}

#[tokio::test]
async fn many_runs_are_read_in_as_few_requests_as_the_limit_allows() {
    let mut peer = Peer::new([runs(1..=100), runs(101..=200), runs(201..=250)]).await;
    let client = peer.client();
    assert!(client.runs_bulk(&[]).await.unwrap().is_empty());
    assert!(peer.requests().is_empty(), "asked for nothing");
    let ids: Vec<i64> = (1..=250).collect();
    let found = client.runs_bulk(&ids).await.unwrap();
    assert_eq!(found.iter().map(|run| run.id).collect::<Vec<_>>(), ids);
    let asked: Vec<Vec<i64>> = peer
        .requests()
        .iter()
        .map(|request| {
            let list = target(request)
                .strip_prefix("GET /test_framework/v1/runs/bulk/?run_ids=")
                .unwrap();
            // A plain list with commas; the service refuses any other form.
            list.split(',').map(|id| id.parse().unwrap()).collect()
        })
        .collect();
    assert_eq!(asked, [&ids[..100], &ids[100..200], &ids[200..]]);
}

#[tokio::test]
async fn a_trigger_carries_the_key_and_what_is_to_run() {
    let reply = answer(
        "200 OK",
        "",
        "{\"id\":3,\"runs\":[{\"id\":4,\"number\":\"+1555\"}]}",
    );
    let mut peer = Peer::new([reply]).await;
    let request = RunScenarios {
        agent_id: Some(1),
        scenarios: Some(vec![2, 3]),
        frequency: Some(4),
        ..RunScenarios::default()
    };
    let result = peer.client().run_scenarios(&request).await.unwrap();
    assert_eq!((result.id, result.runs[0].id), (3, 4));
    let sent = peer.requests();
    assert_eq!(sent.len(), 1);
    assert_eq!(
        target(&sent[0]),
        "POST /test_framework/v1/scenarios/run_scenarios/"
    );
    let (head, body) = sent[0].split_once("\r\n\r\n").unwrap();
    let head = head.to_ascii_lowercase();
    assert!(head.contains(&format!("x-cekura-api-key: {KEY}")), "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        body,
        json!({"agent_id": 1, "scenarios": [2, 3], "frequency": 4})
    );
}

#[tokio::test]
async fn an_order_without_an_answer_to_read_succeeds() {
    let mut peer = Peer::new([answer("204 No Content", "", "")]).await;
    peer.client().end_call(5).await.unwrap();
    assert_eq!(
        target(&peer.requests()[0]),
        "POST /test_framework/v1/runs/5/end_call/"
    );
}

#[tokio::test]
async fn every_way_to_write_the_address_leads_to_the_same_place() {
    let mut peer = Peer::new([answer("200 OK", "", "{\"id\":1}")]).await;
    let address = peer.address;
    for base in ["", "/", "/test_framework", "/test_framework/"] {
        let base = format!("http://{address}{base}");
        let client = Client::new(&base, &ApiKey::new(KEY), Options::default()).unwrap();
        assert_eq!(client.base(), format!("http://{address}"));
        client.agent(1).await.unwrap();
        let sent = peer.requests();
        assert_eq!(target(&sent[0]), "GET /test_framework/v1/aiagents/1/");
    }
}

#[tokio::test]
async fn what_people_type_cannot_change_a_query() {
    let page = "{\"count\":0,\"next\":null,\"previous\":null,\"results\":[]}";
    let mut peer = Peer::new([answer("200 OK", "", page)]).await;
    let query = AttemptQuery {
        run: Some(7),
        verdict: Some("a b&refused=true#".to_owned()),
        page_size: 100_000,
        ..AttemptQuery::default()
    };
    let client = peer.patient_client(Duration::ZERO);
    assert!(client.attempts(&query).await.unwrap().results.is_empty());
    assert_eq!(
        target(&peer.requests()[0]),
        "GET /ringdown/v1/attempts/?page=1&page_size=500&run_id=7&verdict=a+b%26refused%3Dtrue%23"
    );
}
