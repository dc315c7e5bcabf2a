//! `ringdown webhooks`: the log of outgoing webhooks.

use ringdown_api::webhooks::{Webhook, WebhookDetail};
use ringdown_client::WebhookQuery;

use crate::attempts::{client, failure};
use crate::cli::{Format, OneWebhook, WebhookList, WebhookTest, Webhooks};
use crate::exit::{Exit, Outcome};
use crate::print;

pub(crate) async fn webhooks(command: Webhooks, format: Format) -> Outcome {
    match command {
        Webhooks::List(list) => self::list(list, format).await,
        Webhooks::Show(one) => show(&one, format).await,
        Webhooks::Replay(one) => replay(&one, format).await,
        Webhooks::Test(test) => self::test(&test, format).await,
    }
}

async fn list(list: WebhookList, format: Format) -> Outcome {
    let client = client(&list.upstream)?;
    let query = WebhookQuery {
        project: list.project,
        kind: list.kind,
        state: list.state,
        result: list.result,
        page: 1,
        page_size: list.limit,
    };
    let page = client.webhooks(&query).await.map_err(failure)?;
    if format == Format::Json {
        print::json(&page)?;
        return Ok(Exit::Success);
    }
    if page.results.is_empty() {
        eprintln!("there is no such webhook");
        return Ok(Exit::Success);
    }
    let mut table = print::table(&["Id", "At", "Kind", "Result", "State", "Tries", "Target"]);
    for webhook in &page.results {
        table.add_row(cells(webhook));
    }
    print::line(&table.to_string())?;
    let shown = u64::try_from(page.results.len()).unwrap_or(u64::MAX);
    if shown < page.count {
        eprintln!("{shown} of {} shown, newest first; see --limit", page.count);
    }
    Ok(Exit::Success)
}

fn cells(webhook: &Webhook) -> [String; 7] {
    let result = webhook.result_id;
    [
        webhook.id.to_string(),
        webhook.created_at.clone(),
        webhook.kind.clone(),
        result.map_or_else(|| "-".to_owned(), |id| id.to_string()),
        webhook.state.clone(),
        webhook.tries.to_string(),
        webhook.url.clone(),
    ]
}

async fn show(one: &OneWebhook, format: Format) -> Outcome {
    let found = client(&one.upstream)?.webhook(one.id).await;
    let found = found.map_err(failure)?;
    print_detail(&found, format)?;
    Ok(Exit::Success)
}

async fn replay(one: &OneWebhook, format: Format) -> Outcome {
    let replayed = client(&one.upstream)?.replay_webhook(one.id).await;
    let replayed = replayed.map_err(failure)?;
    if format == Format::Json {
        print::json(&replayed)?;
    } else {
        print::line(&format!(
            "webhook {} ({}) is sent again; `ringdown webhooks show {}` says what came of it",
            replayed.id, replayed.kind, replayed.id
        ))?;
    }
    Ok(Exit::Success)
}

async fn test(test: &WebhookTest, format: Format) -> Outcome {
    let tested = client(&test.upstream)?.test_webhook(test.project).await;
    let tested = tested.map_err(failure)?;
    print_detail(&tested, format)?;
    if tested.webhook.state == "delivered" {
        Ok(Exit::Success)
    } else {
        Ok(Exit::NotPassed)
    }
}

fn print_detail(detail: &WebhookDetail, format: Format) -> Result<(), crate::exit::Failure> {
    if format == Format::Json {
        return print::json(detail);
    }
    let Webhook {
        id,
        kind,
        state,
        tries,
        next_try_at,
        ..
    } = &detail.webhook;
    let next = next_try_at.as_ref();
    let next = next.map_or_else(String::new, |at| format!(", next try {at}"));
    let mut text = format!("webhook {id}  {kind}  {state}, {tries} tries{next}");
    for one in &detail.attempts {
        let answer = match (one.status, one.error.is_empty()) {
            (Some(status), true) => format!("answered {status}"),
            _ => one.error.clone(),
        };
        let ms = one.duration_ms;
        text.push_str(&format!("\n  {}  {}  {ms} ms: {answer}", one.at, one.url));
    }
    text.push_str(&format!("\n{:#}", detail.body));
    print::line(&text)
}
