//! Messages on their way to a stream, alone or in one atomic batch of the server (NATS ADR-50).

use async_nats::HeaderMap;
use async_nats::header::{
    NATS_BATCH_COMMIT, NATS_BATCH_ID, NATS_BATCH_SEQUENCE, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
    NATS_MESSAGE_ID,
};
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use bytes::Bytes;
use ringdown_proto::v1::Envelope;
use tracing::debug;

use crate::connection::DEADLINE;
use crate::{Bus, Error, Published, Stream, subject, trace};

/// Messages that the server takes in one atomic batch, at most.
pub(crate) const AT_ONCE: usize = 500;

/// The server keeps each batch in files of its own until it is complete. On a disk that has to be asked after every
/// write, they take it as long as this many messages.
const WORTH_A_BATCH: usize = 50;

/// Whether so many messages are stored sooner together than one after the other.
pub(crate) fn worth_a_batch(messages: usize) -> bool {
    messages >= WORTH_A_BATCH
}

/// A message with its headers.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) stream: Stream,
    pub(crate) is_claim: bool,
    pub(crate) subject: String,
    headers: HeaderMap,
    payload: Bytes,
}

/// When the server is to take a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unless<'a> {
    /// Unless it has one of this id, since two minutes at most. It says so, and does not store it again.
    Known(&'a str),
    /// Unless there ever was one on this subject. Then it refuses.
    Taken,
}

impl Outgoing {
    /// In the current span's trace.
    ///
    /// # Errors
    /// [`Error::NoSubject`] if the fact belongs to no stream.
    pub(crate) fn new(envelope: &Envelope, unless: Unless<'_>) -> Result<Self, Error> {
        let subject = subject::of(envelope).ok_or(Error::NoSubject)?;
        let mut headers = HeaderMap::new();
        trace::inject(&mut headers);
        match unless {
            Unless::Known(id) => headers.insert(NATS_MESSAGE_ID, id),
            Unless::Taken => headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, "0"),
        }
        Ok(Self {
            stream: Stream::of(&subject).ok_or(Error::NoSubject)?,
            is_claim: matches!(unless, Unless::Taken),
            subject,
            headers,
            payload: ringdown_proto::encode(envelope).into(),
        })
    }

    fn failed(&self, reason: String) -> Error {
        Error::Publish {
            subject: self.subject.clone(),
            reason,
        }
    }

    /// Why nothing is known of it.
    pub(crate) fn unanswered(&self) -> Error {
        self.failed("not acknowledged in time".to_owned())
    }
}

/// What the server says to a message: the outer error means that nothing is known, the inner one that its subject is
/// taken.
pub(crate) type Sent = Result<Result<Published, String>, Error>;

impl Bus {
    /// Sends one message and waits for the server's word on it.
    pub(crate) async fn send(&self, message: Outgoing) -> Sent {
        match self.committed(&message).await? {
            Response::Ok(ack) => Ok(Ok(Published {
                sequence: ack.sequence,
                duplicate: ack.duplicate,
            })),
            Response::Err { error } => match error.error_code() {
                ErrorCode::STREAM_WRONG_LAST_SEQUENCE => Ok(Err(error.to_string())),
                _ => Err(message.failed(error.to_string())),
            },
        }
    }

    /// Sends messages of one stream as one batch: the server is sure of all of them as fast as of one. The sequence
    /// of the last one; `None` if the server does not take them as a batch, and then none is stored.
    ///
    /// # Errors
    /// [`Error::Publish`] if nothing is known of any of them.
    pub(crate) async fn atomically(&self, messages: &[&Outgoing]) -> Result<Option<u64>, Error> {
        let Some((last, others)) = messages.split_last() else {
            return Ok(None);
        };
        let id = crate::new_event_id();
        let numbered = |number: usize, message: &Outgoing| {
            let mut message = Outgoing::clone(message);
            message.headers.insert(NATS_BATCH_ID, id.as_str());
            let number = number.to_string();
            message.headers.insert(NATS_BATCH_SEQUENCE, number);
            message
        };
        for (number, message) in (1..).zip(others) {
            let message = numbered(number, message);
            let sent =
                self.client
                    .publish_with_headers(message.subject, message.headers, message.payload);
            match tokio::time::timeout(DEADLINE, sent).await {
                Ok(sent) => sent.map_err(|error| last.failed(error.to_string()))?,
                Err(_) => return Err(last.unanswered()),
            }
        }
        let mut commit = numbered(messages.len(), last);
        commit.headers.insert(NATS_BATCH_COMMIT, "1");
        match self.committed(&commit).await? {
            Response::Ok(ack) => Ok(Some(ack.sequence)),
            Response::Err { error } => {
                debug!(%error, messages = messages.len(), "publishing one by one");
                Ok(None)
            }
        }
    }

    async fn committed(&self, message: &Outgoing) -> Result<Response<PublishAck>, Error> {
        let asked = (self.client).request_with_headers(
            message.subject.clone(),
            message.headers.clone(),
            message.payload.clone(),
        );
        let answer = match tokio::time::timeout(DEADLINE, asked).await {
            Ok(answer) => answer.map_err(|error| message.failed(error.to_string()))?,
            Err(_) => return Err(message.unanswered()),
        };
        serde_json::from_slice(&answer.payload).map_err(|error| message.failed(error.to_string()))
    }
}
