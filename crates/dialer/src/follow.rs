//! What becomes of a call that a provider has accepted: acceptance is no dial. The provider's news go to the ledger, and a
//! call that it still queues when the window closes is called off.

use std::sync::Arc;
use std::time::Duration;

use ringdown_bus::{now, subject};
use ringdown_carrier::{Carrier, Progress, followed};
use ringdown_domain::dial::Ending;
use ringdown_domain::run::Status;
use ringdown_proto::v1::dial_fact::Step;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::attempt::Context;
use crate::facts::Job;
use crate::lane::Up;

/// First and longest pause between two questions how a call stands.
const FIRST_PAUSE: Duration = Duration::from_secs(3);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// A call that is up is looked for this often, should its end not have been heard.
const LOOK: Duration = Duration::from_secs(30);

/// A call to follow.
pub(crate) struct Follow {
    pub(crate) carrier: Arc<dyn Carrier>,
    pub(crate) provider_id: String,
    /// Its room among those that its account may have up.
    pub(crate) up: Option<Up>,
}

/// What is heard while a call is followed.
pub(crate) struct Ears {
    /// The state its run entered last.
    pub(crate) moved: watch::Receiver<Option<Status>>,
    /// This dialer is stopping: another one is to follow.
    pub(crate) leaving: CancellationToken,
}

/// How following ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Followup {
    /// There is nothing more to do.
    Done,
    /// Another dialer has to go on.
    HandedOver,
}

impl Follow {
    /// Follows the call until it has reached its run, is over, or is called off.
    pub(crate) async fn run(self, context: &Context, job: &Job, mut ears: Ears) -> Followup {
        let mut shown = None;
        let mut pause = FIRST_PAUSE;
        loop {
            let left = now().until(job.closes_at);
            let heard = async {
                // The sender lives as long as the run is worked on.
                let _ = ears.moved.changed().await;
                *ears.moved.borrow_and_update()
            };
            let moved = tokio::select! {
                () = ears.leaving.cancelled() => return Followup::HandedOver,
                moved = heard => moved,
                () = tokio::time::sleep(pause.min(left)) => None,
            };
            match moved {
                Some(Status::InProgress) => return self.until_over(context, job, ears).await,
                None | Some(Status::InQueue | Status::Pending) => {}
                Some(_) => {
                    self.news(context, job, &mut shown).await;
                    return self.call_off(context, job, &shown, "the run ended").await;
                }
            }
            self.news(context, job, &mut shown).await;
            if matches!(shown, Some(Progress::Ended { .. })) {
                return Followup::Done;
            }
            if now() >= job.closes_at {
                // That it was matched may not have been heard.
                let matched = subject::run(&job.team, job.run, Status::InProgress);
                if let Ok(Some(_)) = context.bus.last(&matched).await {
                    return self.until_over(context, job, ears).await;
                }
                return self
                    .call_off(context, job, &shown, "the dial window closed")
                    .await;
            }
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        }
    }

    /// Asks how the call stands, and tells if that is new.
    async fn news(&self, context: &Context, job: &Job, shown: &mut Option<Progress>) {
        let Some(progress) = self.carrier.progress(&self.provider_id).await else {
            return;
        };
        if shown.as_ref() == Some(&progress) {
            return;
        }
        debug!(run = %job.run, ?progress, "a call stands differently");
        let step = followed(&self.provider_id, &progress);
        job.report(&context.bus, Step::Followed(step)).await;
        *shown = Some(progress);
    }

    async fn call_off(
        &self,
        context: &Context,
        job: &Job,
        shown: &Option<Progress>,
        why: &str,
    ) -> Followup {
        let over = matches!(shown, Some(Progress::Ended { .. }));
        if over || !self.carrier.call_off(&self.provider_id).await {
            return Followup::Done;
        }
        info!(run = %job.run, provider_id = self.provider_id, why, "called a call off");
        let progress = Progress::Ended {
            ending: Ending::Cancelled,
            sip_code: None,
            said: format!("called off by the dialer: {why}"),
        };
        let step = followed(&self.provider_id, &progress);
        job.report(&context.bus, Step::Followed(step)).await;
        Followup::Done
    }

    /// The call has reached its run, whose own books tell the rest. Its room is kept until it is over.
    async fn until_over(self, context: &Context, job: &Job, mut ears: Ears) -> Followup {
        if self.up.is_none() {
            return Followup::Done;
        }
        let over = |status: Status| status == Status::Evaluating || status.is_terminal();
        loop {
            tokio::select! {
                // The call goes on without anybody who could end it; its room is freed a little early.
                () = ears.leaving.cancelled() => return Followup::Done,
                heard = ears.moved.wait_for(|moved| moved.is_some_and(over)) => {
                    debug!(run = %job.run, known = heard.is_ok(), "a call is over");
                    return Followup::Done;
                }
                () = tokio::time::sleep(LOOK) => {}
            }
            for status in Status::ALL.into_iter().filter(|status| over(*status)) {
                let ended = subject::run(&job.team, job.run, status);
                if let Ok(Some(_)) = context.bus.last(&ended).await {
                    return Followup::Done;
                }
            }
        }
    }
}
