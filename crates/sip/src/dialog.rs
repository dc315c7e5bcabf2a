//! What the stack reports about a dialog, reduced to what a call needs, and answers to requests inside it.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rsipstack::dialog::dialog::{
    DialogState, DialogStateReceiver, TerminatedReason, TransactionHandle,
};
use rsipstack::sip::{Header, Method, Request, StatusCode};
use tokio::sync::watch;

use crate::media::Media;
use crate::sdp;

/// Methods we take part in, as the `Allow` header says.
pub(crate) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE";
pub(crate) const SDP_TYPE: &str = "application/sdp";

/// Where a dialog stands.
#[derive(Debug, Clone)]
pub(crate) enum Phase {
    /// The INVITE is out, or in, and nothing was said yet.
    Calling,
    /// A provisional response; with the session description of early media, if it had one.
    Proceeding(Option<Vec<u8>>),
    /// We answered and wait for the ACK.
    Answered,
    /// Established; with the session description of early media, if there was one.
    Confirmed(Option<Vec<u8>>),
    /// Over, and why; `None` if the stack let go of the dialog without a word.
    Terminated(Option<TerminatedReason>),
}

impl Phase {
    pub(crate) fn is_terminated(&self) -> bool {
        matches!(self, Self::Terminated(_))
    }
}

/// What is needed to answer a re-INVITE. Set once the call has media.
pub(crate) type Renegotiation = Arc<OnceLock<(Media, Mutex<sdp::Local>)>>;

/// Follows a dialog until it ends.
pub(crate) fn follow(
    mut states: DialogStateReceiver,
    renegotiation: Renegotiation,
) -> watch::Receiver<Phase> {
    let (sender, phase) = watch::channel(Phase::Calling);
    tokio::spawn(async move {
        while let Some(state) = states.recv().await {
            let next = match state {
                DialogState::Early(_, response) => {
                    let body = (!response.body.is_empty()).then_some(response.body);
                    Phase::Proceeding(body)
                }
                DialogState::Trying(_) => Phase::Proceeding(None),
                DialogState::WaitAck(..) => Phase::Answered,
                DialogState::Confirmed(..) => Phase::Confirmed(None),
                DialogState::Terminated(_, reason) => {
                    sender.send_replace(Phase::Terminated(Some(reason)));
                    return;
                }
                DialogState::Updated(_, request, handle) => {
                    renegotiate(&request, &handle, &renegotiation).await;
                    continue;
                }
                DialogState::Info(_, _, handle)
                | DialogState::Options(_, _, handle)
                | DialogState::Notify(_, _, handle) => {
                    respond(&handle, StatusCode::OK, None).await;
                    continue;
                }
                DialogState::Refer(_, _, handle) => {
                    respond(&handle, StatusCode::Decline, None).await;
                    continue;
                }
                DialogState::Message(_, _, handle) | DialogState::Publish(_, _, handle) => {
                    respond(&handle, StatusCode::MethodNotAllowed, None).await;
                    continue;
                }
                DialogState::Calling(_) => continue,
            };
            sender.send_if_modified(|phase| {
                // A late provisional undoes no answer, and no step loses the early session description.
                let next = match (&mut *phase, next) {
                    (Phase::Proceeding(early), Phase::Proceeding(None)) => {
                        Phase::Proceeding(early.take())
                    }
                    (Phase::Proceeding(early), Phase::Confirmed(_)) => {
                        Phase::Confirmed(early.take())
                    }
                    (Phase::Calling | Phase::Proceeding(_), next) => next,
                    (Phase::Answered, next @ Phase::Confirmed(_)) => next,
                    _ => return false,
                };
                *phase = next;
                true
            });
        }
        sender.send_if_modified(|phase| {
            let open = !phase.is_terminated();
            if open {
                *phase = Phase::Terminated(None);
            }
            open
        });
    });
    phase
}

/// Answers a re-INVITE or UPDATE (RFC 3264 section 8): the far end moves its address or holds the call.
async fn renegotiate(request: &Request, handle: &TransactionHandle, renegotiation: &Renegotiation) {
    let Some((media, local)) = renegotiation.get() else {
        return respond(handle, StatusCode::RequestPending, None).await;
    };
    let outcome = {
        let mut local = local.lock().unwrap_or_else(PoisonError::into_inner);
        if !request.body.is_empty() {
            sdp::Description::parse(&request.body)
                .and_then(|offer| local.answer(&offer))
                .map(|(answer, agreed)| (Some(answer), Some(agreed)))
        } else if request.method == Method::Invite {
            // No offer: ours goes into the response (RFC 3261 section 14.2). What the ACK answers
            // can only narrow it to what is already in use.
            Ok((Some(local.offer()), None))
        } else {
            Ok((None, None))
        }
    };
    match outcome {
        Ok((answer, agreed)) => {
            if let Some(agreed) = agreed {
                media.renegotiate(agreed);
            }
            respond(handle, StatusCode::OK, answer).await;
        }
        Err(error) => {
            tracing::debug!(%error, "refused a re-INVITE");
            respond(handle, StatusCode::NotAcceptableHere, None).await;
        }
    }
}

async fn respond(handle: &TransactionHandle, status: StatusCode, sdp: Option<String>) {
    let headers = sdp.is_some().then(sdp_headers);
    if handle
        .respond(status, headers, sdp.map(String::into_bytes))
        .await
        .is_err()
    {
        tracing::debug!("a request inside a dialog went away before it was answered");
    }
}

pub(crate) fn sdp_headers() -> Vec<Header> {
    vec![
        Header::ContentType(SDP_TYPE.into()),
        Header::Allow(ALLOW.into()),
    ]
}
