//! An answered call, from either side.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rsipstack::dialog::dialog::TerminatedReason;
use rsipstack::dialog::invite_dialog::InviteDialog;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::dialog::Phase;
use crate::endpoint::Inner;
use crate::media::{Media, MediaOptions, MediaStats};

/// How long the far end may take to acknowledge our BYE before the call counts as ended anyway. The
/// stack goes on retransmitting it for 32 s.
const BYE_GRACE: Duration = Duration::from_secs(2);
/// How long the clock may take to let go of a call: one tick, unless the machine is overloaded.
const CLOCK_GRACE: Duration = Duration::from_secs(5);
/// How long the writer may take to complete a recording.
const RECORDING_GRACE: Duration = Duration::from_secs(30);

/// Who or what ended a call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndedBy {
    /// We hung up: [`Call::hang_up`], a dropped [`Call`], or the endpoint's shutdown.
    Local,
    /// The far end sent BYE.
    Remote,
    /// Nothing was received for the media timeout, and the options say that this ends a call.
    Media,
    /// The SIP exchange broke off.
    Error(String),
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// Who ended it.
    pub by: EndedBy,
    /// From the answer to the BYE.
    pub duration: Duration,
    /// The final counters.
    pub media: MediaStats,
}

/// An answered call. Dropping it hangs up.
#[derive(Debug)]
pub struct Call {
    id: String,
    answered_at: Instant,
    media: Media,
    hang_up: CancellationToken,
    ended: watch::Receiver<Option<Ended>>,
}

/// What the task that ends a call needs.
pub(crate) struct Answered {
    pub(crate) id: String,
    pub(crate) dialog: InviteDialog,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) media: Media,
    pub(crate) options: MediaOptions,
    pub(crate) endpoint: Arc<Inner>,
}

impl Call {
    pub(crate) fn start(answered: Answered) -> Self {
        let hang_up = answered.endpoint.hang_up_all.child_token();
        let (sender, ended) = watch::channel(None);
        let call = Self {
            id: answered.id.clone(),
            answered_at: Instant::now(),
            media: answered.media.clone(),
            hang_up: hang_up.clone(),
            ended,
        };
        let answered_at = call.answered_at;
        let live = answered.endpoint.live.enter();
        tokio::spawn(async move {
            let ended = supervise(&answered, &hang_up, answered_at).await;
            // Whoever hears of the end does not find the call among the live ones any more.
            drop(live);
            sender.send_replace(Some(ended));
        });
        call
    }

    /// The SIP Call-ID.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// When the call was answered: the beginning of the media time axis, within 20 ms.
    #[must_use]
    pub fn answered_at(&self) -> Instant {
        self.answered_at
    }

    /// Its audio.
    #[must_use]
    pub fn media(&self) -> &Media {
        &self.media
    }

    /// Sends BYE and waits until the call has ended, at most a few seconds. Repeating it is harmless.
    pub async fn hang_up(&self) -> Ended {
        self.hang_up.cancel();
        self.ended().await
    }

    /// Waits until the call has ended and its recording is complete. Cancel-safe; may be awaited many times.
    pub async fn ended(&self) -> Ended {
        let mut ended = self.ended.clone();
        let known = match ended.wait_for(Option::is_some).await {
            Ok(ended) => ended.clone(),
            Err(_) => None,
        };
        // The task only disappears with its runtime.
        known.unwrap_or_else(|| Ended {
            by: EndedBy::Error("the endpoint was torn down".to_owned()),
            duration: self.answered_at.elapsed(),
            media: self.media.stats(),
        })
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.hang_up.cancel();
    }
}

async fn supervise(call: &Answered, hang_up: &CancellationToken, answered_at: Instant) -> Ended {
    let mut phase = call.phase.clone();
    let by = tokio::select! {
        biased;
        over = phase.wait_for(Phase::is_terminated) => match over.as_deref() {
            Ok(Phase::Terminated(Some(reason))) => far_end(reason),
            _ => EndedBy::Error("the dialog was lost".to_owned()),
        },
        () = hang_up.cancelled() => EndedBy::Local,
        () = call.media.timed_out(), if call.options.end_on_media_timeout => EndedBy::Media,
    };
    let duration = answered_at.elapsed();
    call.media.stop();
    if matches!(by, EndedBy::Local | EndedBy::Media) {
        say_bye(call).await;
    }
    if tokio::time::timeout(CLOCK_GRACE, call.media.over())
        .await
        .is_err()
    {
        tracing::error!(
            call_id = call.id,
            "the media clock did not let go of a call"
        );
    }
    if let Some(recording) = call.media.recording()
        && tokio::time::timeout(RECORDING_GRACE, recording.finished())
            .await
            .is_err()
    {
        tracing::error!(call_id = call.id, "the recording was not completed in time");
    }
    call.endpoint.layer.remove_dialog(&call.dialog.id());
    Ended {
        by,
        duration,
        media: call.media.stats(),
    }
}

async fn say_bye(call: &Answered) {
    let dialog = call.dialog.clone();
    let id = call.id.clone();
    // On its own task, because the BYE must go on being retransmitted when we stop waiting.
    let bye = tokio::spawn(async move {
        if let Err(error) = dialog.bye().await {
            tracing::debug!(call_id = id, %error, "hang up");
        }
    });
    if tokio::time::timeout(BYE_GRACE, bye).await.is_err() {
        tracing::debug!(
            call_id = call.id,
            "the far end has not acknowledged the BYE yet"
        );
    }
}

/// What a termination that we did not ask for means.
fn far_end(reason: &TerminatedReason) -> EndedBy {
    match reason {
        TerminatedReason::UacBye | TerminatedReason::UasBye | TerminatedReason::UacCancel => {
            EndedBy::Remote
        }
        TerminatedReason::Timeout => EndedBy::Error("no ACK for the answer".to_owned()),
        other => EndedBy::Error(format!("the dialog ended: {other:?}")),
    }
}
