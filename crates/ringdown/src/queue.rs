//! `ringdown queue`: why a run waits. `ringdown run` says it as well while runs are queued.

use std::time::Duration;

use ringdown_api::own::QueuePlace;
use ringdown_client::Client;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::attempts::{client, failure};
use crate::cli::{Format, Queue};
use crate::exit::{Exit, Outcome};
use crate::print;

/// Between two questions of `ringdown run`.
const ASK: Duration = Duration::from_secs(5);

pub(crate) async fn queue(queue: &Queue, format: Format) -> Outcome {
    let client = client(&queue.upstream)?;
    let place = client.queue_place(queue.run_id).await.map_err(failure)?;
    if format == Format::Json {
        print::json(&place)?;
        return Ok(Exit::Success);
    }
    print::line(&sentence(&place))?;
    if !place.holders.is_empty() {
        let mut table = print::table(&["Run with a slot", "Status", "Since"]);
        for holder in &place.holders {
            table.add_row([
                holder.run_id.to_string(),
                holder.status.clone(),
                holder.since.clone(),
            ]);
        }
        print::line(&table.to_string())?;
    }
    Ok(Exit::Success)
}

/// A place in one sentence.
fn sentence(place: &QueuePlace) -> String {
    let run = place.run_id;
    let unknown = place.estimate_unknown_because.as_deref();
    if !place.queued {
        return format!(
            "Run {run} does not wait: {}.",
            unknown.unwrap_or("it is gone")
        );
    }
    let position = match place.position {
        Some(position) => format!("is number {position} in the queue"),
        None => "is in the queue".to_owned(),
    };
    let limit = match (place.held, place.limit) {
        (Some(held), Some(limit)) => format!(" ({held} of {limit} slots used)"),
        _ => String::new(),
    };
    let blocked = match place.blocked_by.as_deref() {
        Some("pace") => match place.calls_per_second {
            Some(calls) => format!("waits for its project's pace of {calls} calls per second"),
            None => "waits for its project's pace".to_owned(),
        },
        Some("gate") => "waits for the pre-run webhook of its project".to_owned(),
        Some("admission") | None => "is about to start".to_owned(),
        Some(limit_of) => format!("waits for a slot of its {limit_of}{limit}"),
    };
    let start = match (&place.estimated_start_at, unknown) {
        (Some(at), _) => format!("it starts about {at}"),
        (None, Some(why)) => format!("when it starts is not known: {why}"),
        (None, None) => "when it starts is not known".to_owned(),
    };
    format!("Run {run} {position} and {blocked}; {start}.")
}

/// Asks now and then why a run waits, beside what the caller does.
pub(crate) struct Waits {
    run: watch::Sender<Option<i64>>,
    told: watch::Receiver<Option<String>>,
    asking: JoinHandle<()>,
}

impl Waits {
    pub(crate) fn new(client: Client) -> Self {
        let (run, mut asked) = watch::channel(None);
        let (tell, told) = watch::channel(None);
        let asking = tokio::spawn(async move {
            loop {
                let wanted: Option<i64> = *asked.borrow_and_update();
                let Some(run) = wanted else {
                    tell.send_replace(None);
                    if asked.changed().await.is_err() {
                        return;
                    }
                    continue;
                };
                match client.queue_place(run).await {
                    Ok(place) => {
                        tell.send_replace(place.queued.then(|| sentence(&place)));
                    }
                    // Another service than Ringdown does not know.
                    Err(error) if error.status().is_some() => {
                        tell.send_replace(None);
                        return;
                    }
                    Err(_) => {}
                }
                tokio::time::sleep(ASK).await;
            }
        });
        Self { run, told, asking }
    }

    /// Which run to ask about; `None` if none waits.
    pub(crate) fn ask_about(&self, run: Option<i64>) {
        self.run.send_if_modified(|now| {
            let changed = *now != run;
            *now = run;
            changed
        });
    }

    /// Why that run waits, as far as it is known.
    pub(crate) fn told(&self) -> Option<String> {
        self.told.borrow().clone()
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.asking.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_one_sentence() {
        let mut place = QueuePlace {
            run_id: 7,
            queued: true,
            position: Some(3),
            blocked_by: Some("project".to_owned()),
            limit: Some(2),
            held: Some(2),
            estimated_start_at: Some("2030-01-31T12:00:00Z".to_owned()),
            ..QueuePlace::default()
        };
        assert_eq!(
            sentence(&place),
            "Run 7 is number 3 in the queue and waits for a slot of its project (2 of 2 slots used); it \
             starts about 2030-01-31T12:00:00Z."
        );
        place.blocked_by = Some("pace".to_owned());
        place.calls_per_second = Some(0.5);
        place.estimated_start_at = None;
        place.estimate_unknown_because = Some("no call has ended".to_owned());
        assert_eq!(
            sentence(&place),
            "Run 7 is number 3 in the queue and waits for its project's pace of 0.5 calls per second; when \
             it starts is not known: no call has ended."
        );
        place.queued = false;
        place.estimate_unknown_because = Some("it is not queued: it is pending".to_owned());
        assert_eq!(
            sentence(&place),
            "Run 7 does not wait: it is not queued: it is pending."
        );
    }
}
