//! Placing a call.

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use rsipstack::dialog::authenticate::Credential;
use rsipstack::dialog::invitation::{InviteAsyncResult, InviteOption};
use rsipstack::dialog::invite_dialog::InviteDialog;
use rsipstack::sip::prelude::{HasHeaders, HeadersExt};
use rsipstack::sip::{Header, HostWithPort, Response, StatusCodeKind, Transport};
use rsipstack::transport::SipAddr;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::call::{Answered, Call};
use crate::dialog::{self, ALLOW, Phase, Renegotiation};
use crate::endpoint::{Inner, MAX_RING};
use crate::media::MediaOptions;
use crate::wire::{Gate, add_one};
use crate::{DialError, header, sdp};

/// How long the far end may take to confirm a CANCEL before we stop waiting.
const CANCEL_GRACE: Duration = Duration::from_secs(3);

/// User name and password for digest authentication (RFC 8760).
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name.
    pub username: String,
    /// The password. Never logged.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// A call to place.
#[derive(Debug, Clone)]
pub struct DialRequest {
    /// Where the INVITE goes, over UDP.
    pub proxy: SocketAddr,
    /// The user part we call from, for example `+15550100`.
    pub from: String,
    /// The user part to call.
    pub to: String,
    /// The name shown with the number.
    pub display_name: Option<String>,
    /// More headers for the INVITE, for example `X-Run-Id`.
    pub headers: Vec<(String, String)>,
    /// How long to wait for the answer before the call is cancelled; at most 600 s.
    pub ring_timeout: Duration,
    /// How to handle the audio.
    pub media: MediaOptions,
    /// What to answer a 401 or 407 with.
    pub credentials: Option<Credentials>,
}

/// Takes the gate of a dial out of the wire's memory however the dial ends.
struct OpenGate {
    gate: Arc<Gate>,
    call_id: String,
    endpoint: Arc<Inner>,
}

impl Drop for OpenGate {
    fn drop(&mut self) {
        self.endpoint.memory.forget_gate(&self.call_id);
    }
}

/// The INVITE under way. Dropped before its outcome was taken, it is given up: the stack cancels it, and a call
/// that was answered in that very moment is hung up.
struct Invite {
    task: Option<JoinHandle<InviteAsyncResult>>,
    dialog: InviteDialog,
    endpoint: Arc<Inner>,
}

impl Invite {
    /// The outcome. Cancel-safe; to be asked for again only until it was given.
    async fn outcome(&mut self) -> Result<InviteAsyncResult, tokio::task::JoinError> {
        let Some(task) = self.task.as_mut() else {
            return std::future::pending().await;
        };
        let outcome = task.await;
        self.task = None;
        outcome
    }
}

impl Drop for Invite {
    fn drop(&mut self) {
        let Some(task) = self.task.take() else { return };
        task.abort();
        let (dialog, endpoint) = (self.dialog.clone(), Arc::clone(&self.endpoint));
        // Without a runtime the process is ending, and the task ended with it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if matches!(task.await, Ok(Ok(_))) && dialog.state().is_confirmed() {
                    endpoint.hang_up(dialog, "nobody waits for it any more");
                }
            });
        }
    }
}

pub(crate) async fn dial(endpoint: Arc<Inner>, request: DialRequest) -> Result<Call, DialError> {
    check(&request).map_err(DialError::not_sent)?;
    if endpoint.stop.is_cancelled() || endpoint.hang_up_all.is_cancelled() {
        return Err(DialError::not_sent("the endpoint was shut down"));
    }
    let (socket, mut local) = endpoint.open_media().map_err(DialError::not_sent)?;
    let call_id = format!("{:032x}", rand::random::<u128>());
    let gate = OpenGate {
        gate: endpoint.memory.open_gate(&call_id),
        call_id: call_id.clone(),
        endpoint: Arc::clone(&endpoint),
    };
    let option = invite_option(&endpoint, &request, &call_id, local.offer());
    let (states, reports) = endpoint.layer.new_dialog_state_channel();
    let renegotiation: Renegotiation = Arc::new(OnceLock::new());
    let phase = dialog::follow(reports, Arc::clone(&renegotiation));
    // The stack sends the INVITE from a task of its own, so an error here comes before any sending.
    let (dialog, task) = endpoint
        .layer
        .do_invite_async(option, states)
        .map_err(DialError::not_sent)?;
    let mut invite = Invite {
        task: Some(task),
        dialog: dialog.clone(),
        endpoint: Arc::clone(&endpoint),
    };
    add_one(&endpoint.counters.dials);
    let response = wait(
        &mut invite,
        &dialog,
        &phase,
        &gate.gate,
        request.ring_timeout.min(MAX_RING),
    )
    .await?;
    if response.status_code.kind() != StatusCodeKind::Successful {
        return Err(refusal(&response));
    }
    match begin(&endpoint, &response, &phase, socket, &local, &request.media) {
        Ok(media) => {
            // Set once: this dial made the cell.
            let _ = renegotiation.set((media.clone(), Mutex::new(local)));
            Ok(Call::start(Answered {
                id: call_id,
                dialog,
                phase,
                media,
                options: request.media,
                endpoint,
            }))
        }
        Err(error) => {
            endpoint.hang_up(dialog, "its session description is unusable");
            Err(error.into())
        }
    }
}

fn check(request: &DialRequest) -> Result<(), String> {
    header::check_user("caller", &request.from)?;
    header::check_user("callee", &request.to)?;
    for (name, value) in &request.headers {
        header::check_header(name, value)?;
    }
    if request.proxy.port() == 0 || request.proxy.ip().is_unspecified() {
        return Err(format!("{} is no address to send to", request.proxy));
    }
    Ok(())
}

fn invite_option(
    endpoint: &Inner,
    request: &DialRequest,
    call_id: &str,
    offer: String,
) -> InviteOption {
    let mut headers = vec![Header::Allow(ALLOW.into())];
    headers.extend(
        request
            .headers
            .iter()
            .map(|(name, value)| Header::Other(name.clone(), value.clone())),
    );
    InviteOption {
        caller_display_name: request.display_name.as_deref().map(header::quoted),
        caller: endpoint.contact(Some(&request.from)),
        callee: endpoint.uri(Some(&request.to), request.proxy),
        destination: Some(SipAddr::new(
            Transport::Udp,
            HostWithPort::from(request.proxy),
        )),
        content_type: Some(dialog::SDP_TYPE.to_owned()),
        offer: Some(offer.into_bytes()),
        contact: endpoint.contact(Some(&request.from)),
        credential: request.credentials.as_ref().map(|credentials| Credential {
            username: credentials.username.clone(),
            password: credentials.password.clone(),
            ..Credential::default()
        }),
        headers: Some(headers),
        call_id: Some(call_id.to_owned()),
        ..InviteOption::default()
    }
}

/// Waits for the final response, cancelling after the ring timeout.
async fn wait(
    invite: &mut Invite,
    dialog: &InviteDialog,
    phase: &watch::Receiver<Phase>,
    gate: &Gate,
    ring_timeout: Duration,
) -> Result<Response, DialError> {
    tokio::select! {
        outcome = invite.outcome() => return settle(outcome, phase, gate),
        reason = gate.failed() => {
            if gate.close_unsent() {
                return Err(DialError::NotSent { reason });
            }
        }
        () = tokio::time::sleep(ring_timeout) => {}
    }
    if gate.close_unsent() {
        return Err(DialError::not_sent(
            "the INVITE could not be sent within the ring timeout",
        ));
    }
    if matches!(*phase.borrow(), Phase::Calling) {
        // Nothing to cancel yet (RFC 3261 section 9.1). Giving the task up lets the stack cancel once
        // something comes back after all.
        return Err(DialError::NoResponse);
    }
    let cancelling = dialog.clone();
    tokio::spawn(async move {
        if let Err(error) = cancelling.cancel().await {
            tracing::debug!(%error, "cancel");
        }
    });
    match tokio::time::timeout(CANCEL_GRACE, invite.outcome()).await {
        Ok(Ok(Ok((_, Some(response))))) => match u16::from(response.status_code.clone()) {
            // Answered just before the CANCEL, which then was not sent.
            200..=299 if dialog.state().is_confirmed() => Ok(response),
            // 487 confirms the CANCEL; an answer that crossed it is hung up by the stack.
            200..=299 | 487 | 408 => Err(DialError::NoAnswer),
            _ => Err(refusal(&response)),
        },
        _ => Err(DialError::NoAnswer),
    }
}

/// What the end of the INVITE task means.
fn settle(
    outcome: Result<InviteAsyncResult, tokio::task::JoinError>,
    phase: &watch::Receiver<Phase>,
    gate: &Gate,
) -> Result<Response, DialError> {
    let unsent = gate.close_unsent();
    match outcome {
        Ok(Ok((_, Some(response)))) => {
            // The stack reports its own timeout (timer B) as a 408 that no one tagged.
            let local = response
                .to_header()
                .is_ok_and(|to| to.tag().is_ok_and(|tag| tag.is_none()));
            let timeout = local && u16::from(response.status_code.clone()) == 408;
            match (timeout, unsent, &*phase.borrow()) {
                (true, true, _) => Err(DialError::not_sent("the INVITE could not be sent")),
                (true, false, Phase::Proceeding(_)) => Err(DialError::NoAnswer),
                (true, false, _) => Err(DialError::NoResponse),
                _ => Ok(response),
            }
        }
        _ if unsent => Err(DialError::not_sent("the SIP stack gave up before sending")),
        Ok(Ok((_, None))) => Err(DialError::NoResponse),
        Ok(Err(error)) => Err(DialError::Protocol(error.to_string())),
        Err(error) => Err(DialError::Protocol(format!(
            "the INVITE's task failed: {error}"
        ))),
    }
}

fn refusal(response: &Response) -> DialError {
    let status = u16::from(response.status_code.clone());
    let phrase = response.wire_reason.clone();
    DialError::Refused {
        status,
        reason_phrase: phrase.unwrap_or_else(|| response.status_code.text().to_owned()),
        reason_header: response.headers().iter().find_map(|header| {
            header
                .name()
                .eq_ignore_ascii_case("Reason")
                .then(|| header.value().trim().to_owned())
        }),
    }
}

/// Starts the media of an answered call.
fn begin(
    endpoint: &Inner,
    response: &Response,
    phase: &watch::Receiver<Phase>,
    socket: UdpSocket,
    local: &sdp::Local,
    options: &MediaOptions,
) -> Result<crate::Media, sdp::Error> {
    let early = match &*phase.borrow() {
        Phase::Proceeding(early) | Phase::Confirmed(early) => early.clone(),
        _ => None,
    };
    // Some gateways describe the session in the 183 only.
    let body = if response.body.is_empty() {
        early.unwrap_or_default()
    } else {
        response.body.clone()
    };
    let agreed = sdp::Description::parse(&body).and_then(|answer| local.accept(&answer))?;
    Ok(endpoint.start_media(socket, agreed, options))
}
