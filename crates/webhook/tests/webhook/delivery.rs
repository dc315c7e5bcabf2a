//! What a target hears, and what follows from what it answers.

use std::time::Duration;

use ringdown_egress::Policy;
use ringdown_store::WebhookState::{Delivered, Due, Failed, Skipped};
use ringdown_vault::Secret;
use ringdown_webhook::{Options, verify};
use serde_json::json;

use crate::receiver::{Receiver, Reply, status};
use crate::world::{SECRET, World, anywhere, now, quick};

#[tokio::test(flavor = "multi_thread")]
async fn a_target_hears_of_a_result_once_signed() {
    let mut target = Receiver::start([]).await;
    let world = World::start(&target.url()).await;
    let service = world.serve(quick());
    let event = world.ended().await;
    let heard = target.hear().await;
    let result = event.result.unwrap();
    assert_eq!(heard.head, "POST /hook HTTP/1.1");
    assert_eq!(heard.header("content-type"), "application/json");
    assert_eq!(heard.header("X-CEKURA-SECRET"), SECRET);
    let key = format!("result_completed:{result}");
    assert_eq!(heard.header("X-CEKURA-IDEMPOTENCY-KEY"), key);
    assert_eq!(heard.header("X-Ringdown-Event-Id"), event.id.to_string());
    assert_eq!(heard.header("X-Ringdown-Delivery"), "1");
    assert!(heard.header("User-Agent").starts_with("Ringdown-Webhook/"));
    let seconds = u64::try_from(now().as_micros() / 1_000_000).unwrap();
    let signature = heard.header("X-Ringdown-Signature");
    let minutes = Duration::from_secs(300);
    let body = heard.body.as_bytes();
    verify(&Secret::new(SECRET), signature, body, seconds, minutes).unwrap();
    assert_eq!(heard.json()["event_type"], "result.completed");
    assert_eq!(heard.json()["data"]["id"], result.0);
    let (event, tries) = world.until(&event, Delivered, 1).await;
    assert_eq!((event.next_try_at, event.body), (None, heard.body));
    assert_eq!((tries[0].status, &*tries[0].error), (Some(200), ""));
    assert_eq!(tries[0].url, target.url());
    assert_eq!(target.backlog(), 0);
    world.close(service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_secrets_sign_while_one_is_changed_and_none_does_without() {
    let mut target = Receiver::start([]).await;
    let world = World::start(&target.url()).await;
    world
        .seal("webhook_secret_previous", "the one before")
        .await;
    let service = world.serve(quick());
    world.ended().await;
    let heard = target.hear().await;
    let signature = heard.header("X-Ringdown-Signature").to_owned();
    assert_eq!(signature.matches("v1=").count(), 2);
    let seconds = u64::try_from(now().as_micros() / 1_000_000).unwrap();
    for secret in [SECRET, "the one before"] {
        let (secret, body) = (Secret::new(secret), heard.body.as_bytes());
        verify(&secret, &signature, body, seconds, Duration::from_secs(60)).unwrap();
    }
    let open = world.another(&target.url()).await;
    world.add(&open).await;
    let heard = target.hear().await;
    for header in ["x-cekura-secret", "x-ringdown-signature"] {
        assert!(!heard.headers.contains_key(header), "{header}");
    }
    world.close(service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_told_again_in_the_same_words() {
    let broken = [
        status("500 Internal Server Error"),
        Reply::Close,
        status("503 Service Unavailable"),
    ];
    let mut target = Receiver::start(broken).await;
    let world = World::start(&target.url()).await;
    let service = world.serve(quick());
    let event = world.ended().await;
    let first = target.hear().await;
    for number in 2..=4 {
        let again = target.hear().await;
        assert_eq!(again.body, first.body);
        assert_eq!(again.header("X-Ringdown-Delivery"), number.to_string());
        for name in ["X-Ringdown-Event-Id", "X-CEKURA-IDEMPOTENCY-KEY"] {
            assert_eq!(again.header(name), first.header(name));
        }
    }
    let (event, tries) = world.until(&event, Delivered, 4).await;
    let statuses: Vec<_> = tries.iter().map(|one| one.status).collect();
    assert_eq!(statuses, [Some(500), None, Some(503), Some(200)]);
    assert!(tries[0].error.contains("500"), "{tries:?}");
    assert!(tries[1].error.contains("no usable answer"), "{tries:?}");
    assert_eq!(event.tries, 4);
    world.close(service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_never_works_is_given_up() {
    let mut target = Receiver::with([], status("502 Bad Gateway")).await;
    let world = World::start(&target.url()).await;
    // Five failures in a row make a target rest for longer than this test takes.
    let mut options = quick();
    options.schedule.completed.truncate(3);
    let service = world.serve(options);
    let event = world.ended().await;
    let (event, tries) = world.until(&event, Failed, 4).await;
    assert_eq!((event.next_try_at, event.tries), (None, 4));
    assert!(tries.iter().all(|one| one.status == Some(502)));
    assert_eq!(target.backlog(), 4);
    world.close(service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_says_when_to_come_again() {
    let wait = Reply::Status("429 Too Many Requests", "retry-after: 1\r\n", String::new());
    let later = Reply::Status(
        "503 Service Unavailable",
        "retry-after: 3600\r\n",
        String::new(),
    );
    let mut target = Receiver::start([wait, later]).await;
    let world = World::start(&target.url()).await;
    let service = world.serve(quick());
    let event = world.ended().await;
    target.hear().await;
    target.hear().await;
    let (event, tries) = world.until(&event, Due, 2).await;
    assert!(tries[1].at.since(tries[0].at) >= Duration::from_secs(1));
    let pause = event.next_try_at.unwrap().since(tries[1].at);
    assert!(pause >= Duration::from_secs(3600), "{pause:?}");
    assert!(pause < Duration::from_secs(4000), "{pause:?}");
    world.close(service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_and_refusals_are_final_and_say_why() {
    let moved = "location: http://127.0.0.1:1/elsewhere?token=x\r\n";
    let replies = [
        Reply::Status("302 Found", moved, String::new()),
        status("404 Not Found"),
        status("410 Gone"),
    ];
    let mut target = Receiver::start(replies).await;
    let world = World::start(&target.url()).await;
    let service = world.serve(quick());
    for (code, words) in [
        (
            302,
            "http://127.0.0.1:1/elsewhere; redirects are not followed",
        ),
        (404, "404 Not Found"),
        (410, "410 Gone"),
    ] {
        let event = world.ended().await;
        let (_, tries) = world.until(&event, Failed, 1).await;
        assert_eq!(tries[0].status, Some(code));
        assert!(tries[0].error.contains(words), "{}", tries[0].error);
    }
    assert_eq!(target.backlog(), 3);
    world.close(service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_target_is_not_waited_for() {
    let slow = Reply::Hold(Box::new(Reply::Close));
    let mut target = Receiver::start([slow]).await;
    let world = World::start(&target.url()).await;
    let options = Options {
        timeout: Duration::from_millis(300),
        ..quick()
    };
    let service = world.serve(options);
    let event = world.ended().await;
    let (_, tries) = world.until(&event, Delivered, 2).await;
    assert!(
        tries[0].error.contains("did not answer within"),
        "{tries:?}"
    );
    assert_eq!(target.backlog(), 2);
    world.close(service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_address_is_refused_and_the_log_says_so() {
    let mut target = Receiver::start([]).await;
    let world = World::start(&target.url()).await;
    let service = world.serve_with(quick(), Policy::public_only());
    let event = world.ended().await;
    let (event, tries) = world.until(&event, Failed, 1).await;
    assert_eq!((tries[0].status, event.tries), (None, 1));
    assert!(tries[0].error.contains("not sent"), "{}", tries[0].error);
    assert!(tries[0].error.contains("127.0.0.1"), "{}", tries[0].error);
    assert_eq!(target.backlog(), 0);
    world.close(service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_kept_short_and_without_secrets() {
    let text = format!("you sent {SECRET}\0{}", "x".repeat(20_000));
    let mut target = Receiver::start([Reply::Status("200 OK", "", text)]).await;
    let world = World::start(&target.url()).await;
    let service = world.serve(quick());
    let event = world.ended().await;
    target.hear().await;
    let (_, tries) = world.until(&event, Delivered, 1).await;
    let answer = &tries[0].answer;
    assert!(
        answer.starts_with("you sent (hidden)\u{fffd}xxx"),
        "{answer}"
    );
    assert_eq!(answer.chars().count(), 2_000);
    world.close(service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_no_header_can_carry_fails_without_being_shown() {
    let mut target = Receiver::start([]).await;
    let world = World::start(&target.url()).await;
    world.seal("webhook_secret", "two\nlines").await;
    let service = world.serve(quick());
    let event = world.ended().await;
    let (_, tries) = world.until(&event, Failed, 1).await;
    assert!(!tries[0].error.contains("two"), "{}", tries[0].error);
    assert_eq!(target.backlog(), 0);
    world.close(service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_project_switched_off_is_skipped() {
    let mut target = Receiver::start([]).await;
    let mut world = World::start(&target.url()).await;
    let service = world.serve(quick());
    // The run is cancelled: it has an error message, and did not pass.
    for (name, state) in [
        ("notify_result_webhook_success", Delivered),
        ("notify_cronjob_webhook_error", Delivered),
        ("notify_result_webhook_error", Skipped),
    ] {
        world.project.extra.insert(name.to_owned(), json!(false));
        world.set(&world.project.clone()).await;
        let event = world.ended().await;
        world
            .until(&event, state, usize::from(state == Delivered))
            .await;
    }
    // A project that has no target any more wants nothing either.
    let event = world.add(&world.project.clone()).await;
    world.until(&event, Delivered, 1).await;
    world.project.webhook_url = None;
    world.set(&world.project.clone()).await;
    let event = world.add(&world.project.clone()).await;
    world.until(&event, Skipped, 0).await;
    assert_eq!(target.backlog(), 3);
    world.close(service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_is_sent_at_once_and_once() {
    let mut target = Receiver::start([status("500 Internal Server Error")]).await;
    let world = World::start(&target.url()).await;
    let sender = world.sender(quick(), anywhere());
    let (event, tries) = sender.test(&world.project).await.unwrap();
    assert_eq!((event.state, tries.len()), (Failed, 1));
    assert_eq!(tries[0].status, Some(500));
    let (event, tries) = sender.test(&world.project).await.unwrap();
    assert_eq!((event.state, tries[0].status), (Delivered, Some(200)));
    target.hear().await;
    let heard = target.hear().await;
    assert_eq!(heard.json()["event_type"], "result.completed");
    assert_eq!(heard.json()["data"]["id"], 0);
    assert_eq!(heard.header("X-CEKURA-SECRET"), SECRET);
    let key = format!("test:{}", event.id);
    assert_eq!(heard.header("X-CEKURA-IDEMPOTENCY-KEY"), key);
}
