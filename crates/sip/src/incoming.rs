//! Calls that come in, until someone decides about them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use rsipstack::dialog::dialog::TerminatedReason;
use rsipstack::dialog::invite_dialog::InviteDialog;
use rsipstack::sip::StatusCode;
use rsipstack::sip::prelude::HeadersExt;
use rsipstack::transaction::TransactionState;
use rsipstack::transaction::transaction::Transaction;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::call::{Answered, Call};
use crate::caller::{self, CallerField};
use crate::dialog::{self, Phase, Renegotiation};
use crate::endpoint::Inner;
use crate::media::MediaOptions;
use crate::{Error, header, sdp};

/// RFC 3261 section 17.2.1: 100 goes out unless the decision falls sooner. Until then an ignored caller hears nothing.
const TRYING_AFTER: Duration = Duration::from_millis(150);
/// A call nobody decided about for so long is refused.
const MAX_UNDECIDED: Duration = Duration::from_secs(180);
/// RFC 3261 section 13.3.1.4: the answer is retransmitted for 32 s; then the stack gives up.
const ACK_DEADLINE: Duration = Duration::from_secs(35);
/// How long a refused INVITE is kept to answer retransmissions (RFC 3261 timer H, 32 s).
const LINGER: Duration = Duration::from_secs(33);

/// The calls that come in.
#[derive(Debug)]
pub struct Incoming {
    calls: mpsc::Receiver<IncomingCall>,
}

impl Incoming {
    pub(crate) fn new(calls: mpsc::Receiver<IncomingCall>) -> Self {
        Self { calls }
    }

    /// The next call; `None` once the endpoint stopped. Cancel-safe.
    pub async fn next(&mut self) -> Option<IncomingCall> {
        self.calls.recv().await
    }
}

/// How a call is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The final SIP status, 300 to 699.
    pub status: u16,
    /// What the `Reason` header (RFC 3326) tells the caller.
    pub reason_text: String,
}

/// A call that waits for a decision: [`answer`](Self::answer), [`reject`](Self::reject) or [`ignore`](Self::ignore).
/// Dropping it undecided refuses it with 480.
pub struct IncomingCall {
    call_id: String,
    source: SocketAddr,
    from_uri: String,
    from_user: Option<String>,
    callers: Vec<CallerField>,
    to_uri: String,
    to_user: Option<String>,
    headers: Vec<(String, String)>,
    offer: Vec<u8>,
    dialog: InviteDialog,
    line: Line,
    endpoint: Arc<Inner>,
    open: bool,
}

/// What connects an [`IncomingCall`] to the task that serves its transaction.
#[derive(Clone)]
struct Line {
    phase: watch::Receiver<Phase>,
    renegotiation: Renegotiation,
    ringing: CancellationToken,
    decided: CancellationToken,
    ignored: CancellationToken,
}

/// An answered dialog that is hung up unless it becomes a call.
struct Unclaimed {
    dialog: Option<InviteDialog>,
    endpoint: Arc<Inner>,
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if let Some(dialog) = self.dialog.take() {
            self.endpoint.hang_up(
                dialog,
                "it was answered without an offer and came to nothing",
            );
        }
    }
}

impl std::fmt::Debug for IncomingCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IncomingCall")
            .field("call_id", &self.call_id)
            .field("source", &self.source)
            .field("from_uri", &self.from_uri)
            .field("to_user", &self.to_user)
            .finish_non_exhaustive()
    }
}

/// Takes a new INVITE from its arrival to its ACK, or to the end of its refusal.
pub(crate) async fn serve(
    mut transaction: Transaction,
    endpoint: Arc<Inner>,
    calls: mpsc::Sender<IncomingCall>,
) {
    let source = transaction
        .connection
        .as_ref()
        .and_then(|connection| connection.get_remote_addr())
        .and_then(|address| address.get_socketaddr().ok());
    let Some(source) = source else { return };
    let (states, reports) = endpoint.layer.new_dialog_state_channel();
    let contact = endpoint.contact(None);
    let created =
        endpoint
            .layer
            .get_or_create_server_invite(&transaction, states, None, Some(contact));
    let mut dialog = match created {
        Ok(dialog) => dialog,
        Err(error) => {
            tracing::debug!(%error, "an INVITE no dialog can be made of");
            let _ = transaction.reply(StatusCode::BadRequest).await;
            return;
        }
    };
    let renegotiation: Renegotiation = Arc::new(OnceLock::new());
    let line = Line {
        phase: dialog::follow(reports, Arc::clone(&renegotiation)),
        renegotiation,
        ringing: CancellationToken::new(),
        decided: CancellationToken::new(),
        ignored: CancellationToken::new(),
    };
    let call = IncomingCall::new(&transaction, source, &dialog, &line, &endpoint);
    let call_id = call.call_id.clone();
    let undecided_token = endpoint.undecided.token();
    if let Err(refused) = calls.try_send(call) {
        let mut call = match refused {
            mpsc::error::TrySendError::Full(call) | mpsc::error::TrySendError::Closed(call) => call,
        };
        call.open = false;
        endpoint.layer.remove_dialog(&dialog.id());
        return endpoint.overflow(&mut transaction).await;
    }
    drop(calls);

    // What the caller and our user do meanwhile waits in the transaction's queue.
    tokio::select! {
        () = line.ringing.cancelled() => {}
        () = line.decided.cancelled() => {}
        () = line.ignored.cancelled() => {}
        () = tokio::time::sleep(TRYING_AFTER) => {}
    }
    let watched = dialog.clone();
    let mut token = Some(undecided_token);
    let mut give_up = Box::pin(async {
        tokio::select! {
            () = line.decided.cancelled() => None,
            () = endpoint.hang_up_all.cancelled() => Some((503, "shutting down")),
            () = tokio::time::sleep(MAX_UNDECIDED) => Some((480, "nobody decided about this call in time")),
        }
    });
    let mut handled = Box::pin(dialog.handle(&mut transaction));
    loop {
        tokio::select! {
            biased;
            () = line.ignored.cancelled() => {
                drop(handled);
                endpoint.memory.ignore(&call_id, source);
                endpoint.layer.remove_dialog(&watched.id());
                return;
            }
            refusal = &mut give_up, if token.is_some() => {
                token.take();
                if let Some((status, why)) = refusal
                    && watched.state().can_cancel()
                {
                    let reason = header::reason(status, why);
                    // An error means that the transaction ended, which is what is wanted.
                    let _ = watched.reject(Some(StatusCode::from(status)), Some(reason));
                }
            }
            outcome = &mut handled => {
                if let Err(error) = outcome {
                    tracing::debug!(call_id, %error, "an incoming call");
                }
                break;
            }
        }
    }
    drop(token);
    drop(handled);
    if watched.state().is_terminated() {
        endpoint.layer.remove_dialog(&watched.id());
    }
    // After a refusal the stack must go on hearing retransmissions and the ACK.
    let _ = tokio::time::timeout(LINGER, async {
        while transaction.state == TransactionState::Completed
            && transaction.receive().await.is_some()
        {}
    })
    .await;
}

impl IncomingCall {
    fn new(
        transaction: &Transaction,
        source: SocketAddr,
        dialog: &InviteDialog,
        line: &Line,
        endpoint: &Arc<Inner>,
    ) -> Self {
        let request = &transaction.original;
        let from = request
            .from_header()
            .map(|from| from.value().to_owned())
            .unwrap_or_default();
        let to = request
            .to_header()
            .map(|to| to.value().to_owned())
            .unwrap_or_default();
        let headers: Vec<(String, String)> = request
            .headers
            .iter()
            .map(|header| (header.name().to_owned(), header.value().trim().to_owned()))
            .collect();
        let called = request.uri.to_string();
        let (to_uri, to_user) = match header::user(&called) {
            Some(user) => (called, Some(user)),
            None => (header::uri(&to).to_owned(), header::user(&to)),
        };
        Self {
            call_id: dialog.id().call_id.trim().to_owned(),
            source,
            from_uri: header::uri(&from).to_owned(),
            from_user: header::user(&from),
            callers: caller::fields(&headers),
            to_uri,
            to_user,
            headers,
            offer: request.body.clone(),
            dialog: dialog.clone(),
            line: line.clone(),
            endpoint: Arc::clone(endpoint),
            open: true,
        }
    }

    /// The SIP Call-ID.
    #[must_use]
    pub fn sip_call_id(&self) -> &str {
        &self.call_id
    }

    /// Where the INVITE came from on the network.
    #[must_use]
    pub fn source(&self) -> SocketAddr {
        self.source
    }

    /// The URI of the From header, as sent.
    #[must_use]
    pub fn from_uri(&self) -> &str {
        &self.from_uri
    }

    /// The user of the From header, percent-decoded: usually the caller's number as the trunk writes it.
    #[must_use]
    pub fn from_user(&self) -> Option<&str> {
        self.from_user.as_deref()
    }

    /// What the call says about its caller, in every header that may: each only as trustworthy as the
    /// trunk. At most one From and three fields of any other header.
    #[must_use]
    pub fn callers(&self) -> &[CallerField] {
        &self.callers
    }

    /// The called URI: that of the request, else, if it has no user, that of the To header.
    #[must_use]
    pub fn to_uri(&self) -> &str {
        &self.to_uri
    }

    /// The called user: that of the request URI, else that of the To header.
    #[must_use]
    pub fn to_user(&self) -> Option<&str> {
        self.to_user.as_deref()
    }

    /// The first header with this name (case does not matter).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Tells the caller that it rings (180). Does nothing once that is moot.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub async fn ring(&self) -> Result<(), Error> {
        self.line.ringing.cancel();
        if self.line.phase.borrow().is_terminated() {
            return Err(Error::Cancelled);
        }
        self.dialog
            .ringing(None, None)
            .map_err(|_| Error::Cancelled)
    }

    /// Answers (200), starts the media, and waits for the ACK, at most 35 s.
    ///
    /// # Errors
    /// [`Error::Cancelled`] if the caller gave up first, [`Error::Sdp`] (it was told 488),
    /// [`Error::MediaPort`] (it was told 500), [`Error::NoAck`].
    pub async fn answer(mut self, options: MediaOptions) -> Result<Call, Error> {
        let offered = if self.offer.is_empty() {
            Ok(None)
        } else {
            sdp::Description::parse(&self.offer).map(Some)
        };
        let (socket, mut local) = match self.endpoint.open_media() {
            Ok(opened) => opened,
            Err(error) => {
                self.refuse(500, "no media port");
                return Err(error);
            }
        };
        // Without an offer in the INVITE ours goes into the 200 and the answer comes with the ACK.
        let described = offered.and_then(|offer| match offer {
            Some(offer) => local
                .answer(&offer)
                .map(|(answer, agreed)| (answer, Some(agreed))),
            None => Ok((local.offer(), None)),
        });
        let (body, agreed) = match described {
            Ok(described) => described,
            Err(error) => {
                self.refuse(488, &error.to_string());
                return Err(error.into());
            }
        };
        if self.line.phase.borrow().is_terminated() {
            self.open = false;
            return Err(Error::Cancelled);
        }
        let accepted = self
            .dialog
            .accept(Some(dialog::sdp_headers()), Some(body.into_bytes()));
        self.open = false;
        self.line.decided.cancel();
        accepted.map_err(|_| Error::Cancelled)?;
        let Some(agreed) = agreed else {
            return self.answer_late(socket, local, options).await;
        };
        let media = self.endpoint.start_media(socket, agreed, &options);
        let call = self.become_call(media, local, options);
        if let Err(error) = self.wait_for_ack().await {
            // Whoever hears that it came to nothing does not find it among the live calls any more.
            call.hang_up().await;
            return Err(error);
        }
        Ok(call)
    }

    /// The delayed offer of RFC 3261 section 13.2.1: media can only begin with the ACK.
    async fn answer_late(
        &self,
        socket: std::net::UdpSocket,
        local: sdp::Local,
        options: MediaOptions,
    ) -> Result<Call, Error> {
        let mut unclaimed = Unclaimed {
            dialog: Some(self.dialog.clone()),
            endpoint: Arc::clone(&self.endpoint),
        };
        self.wait_for_ack().await?;
        let ack = self.dialog.last_remote_ack();
        let body = ack.map(|ack| ack.body).unwrap_or_default();
        let agreed = sdp::Description::parse(&body).and_then(|answer| local.accept(&answer))?;
        let media = self.endpoint.start_media(socket, agreed, &options);
        unclaimed.dialog = None;
        Ok(self.become_call(media, local, options))
    }

    fn become_call(&self, media: crate::Media, local: sdp::Local, options: MediaOptions) -> Call {
        // Set once: `answer` consumes the call.
        let _ = self
            .line
            .renegotiation
            .set((media.clone(), Mutex::new(local)));
        Call::start(Answered {
            id: self.call_id.clone(),
            dialog: self.dialog.clone(),
            phase: self.line.phase.clone(),
            media,
            options,
            endpoint: Arc::clone(&self.endpoint),
        })
    }

    async fn wait_for_ack(&self) -> Result<(), Error> {
        let mut phase = self.line.phase.clone();
        let settled =
            phase.wait_for(|phase| matches!(phase, Phase::Confirmed(_) | Phase::Terminated(_)));
        let phase = match tokio::time::timeout(ACK_DEADLINE, settled).await {
            Ok(Ok(phase)) => phase.clone(),
            _ => Phase::Terminated(Some(TerminatedReason::Timeout)),
        };
        match phase {
            Phase::Terminated(Some(TerminatedReason::Timeout)) => Err(Error::NoAck),
            Phase::Terminated(_) => Err(Error::Cancelled),
            _ => Ok(()),
        }
    }

    /// Refuses the call and says why in a `Reason` header (RFC 3326).
    ///
    /// # Errors
    /// [`Error::Cancelled`] if the caller gave up first, [`Error::InvalidStatus`].
    pub async fn reject(mut self, rejection: Rejection) -> Result<(), Error> {
        if !(300..=699).contains(&rejection.status) {
            return Err(Error::InvalidStatus(rejection.status));
        }
        if self.line.phase.borrow().is_terminated() {
            self.open = false;
            return Err(Error::Cancelled);
        }
        self.refuse(rejection.status, &rejection.reason_text);
        Ok(())
    }

    fn refuse(&mut self, status: u16, text: &str) {
        self.open = false;
        let reason = header::reason(status, text);
        if let Err(error) = self
            .dialog
            .reject(Some(StatusCode::from(status)), Some(reason))
        {
            tracing::debug!(call_id = self.call_id, %error, "refuse a call");
        }
        self.line.decided.cancel();
    }

    /// Says nothing, now or later: what the caller still sends for this call is dropped. Within 150 ms of
    /// its arrival the caller will not even have had a 100.
    pub fn ignore(mut self) {
        self.open = false;
        self.line.ignored.cancel();
    }

    /// Waits until the caller gave up (CANCEL), or the call ended otherwise. Cancel-safe.
    pub async fn cancelled(&self) {
        // An error means the dialog is gone, which is the same to a caller.
        let _ = self.line.phase.clone().wait_for(Phase::is_terminated).await;
    }
}

impl Drop for IncomingCall {
    fn drop(&mut self) {
        if self.open {
            self.refuse(480, "the callee went away");
        }
    }
}
