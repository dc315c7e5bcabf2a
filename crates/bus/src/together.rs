use async_nats::HeaderMap;
use async_nats::header::{NATS_BATCH_COMMIT, NATS_BATCH_ID, NATS_BATCH_SEQUENCE, NATS_MESSAGE_ID};
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use bytes::Bytes;
use ringdown_proto::v1::Envelope;
use tracing::debug;

use crate::connection::DEADLINE;
use crate::{Bus, Error, subject, trace};

/// Facts that the server takes in one atomic batch, at most.
const AT_ONCE: usize = 500;

/// A fact and the id under which the server knows it for two minutes.
#[derive(Clone, Debug)]
pub struct Message {
    /// The fact.
    pub envelope: Envelope,
    /// Its id.
    pub id: String,
}

impl Bus {
    /// Publishes facts of one stream and waits until all are stored, in this order. They are one atomic batch of the
    /// server (NATS ADR-50), which is sure of all of them as fast as of one. A batch that it does not take,
    /// because it has some of the facts already, is published one by one.
    ///
    /// # Errors
    /// [`Error::Publish`] if they were not acknowledged in time; publishing all of them again is safe.
    pub async fn publish_all(&self, facts: &[Message]) -> Result<(), Error> {
        for facts in facts.chunks(AT_ONCE) {
            if facts.len() > 1 && self.atomically(facts).await? {
                continue;
            }
            for fact in facts {
                self.publish(&fact.envelope, &fact.id).await?;
            }
        }
        Ok(())
    }

    /// False if the server does not take them as a batch.
    async fn atomically(&self, facts: &[Message]) -> Result<bool, Error> {
        let batch = crate::new_event_id();
        let Some((last, others)) = facts.split_last() else {
            return Ok(true);
        };
        let message = |number: usize, fact: &Message| {
            let subject = subject::of(&fact.envelope).ok_or(Error::NoSubject)?;
            let mut headers = HeaderMap::new();
            trace::inject(&mut headers);
            headers.insert(NATS_MESSAGE_ID, fact.id.as_str());
            headers.insert(NATS_BATCH_ID, batch.as_str());
            headers.insert(NATS_BATCH_SEQUENCE, number.to_string());
            let payload = Bytes::from(ringdown_proto::encode(&fact.envelope));
            Ok::<_, Error>((subject, headers, payload))
        };
        let (subject, mut headers, payload) = message(facts.len(), last)?;
        headers.insert(NATS_BATCH_COMMIT, "1");
        let failed = |reason: String| Error::Publish {
            subject: format!("{subject} and {} before it", others.len()),
            reason,
        };
        let sent = async {
            for (number, fact) in (1..).zip(others) {
                let (subject, headers, payload) = message(number, fact)?;
                let publish = self.client.publish_with_headers(subject, headers, payload);
                publish.await.map_err(|error| failed(error.to_string()))?;
            }
            let commit = (self.client).request_with_headers(subject.clone(), headers, payload);
            commit.await.map_err(|error| failed(error.to_string()))
        };
        let answer = tokio::time::timeout(DEADLINE, sent)
            .await
            .map_err(|_| failed("not acknowledged in time".to_owned()))??;
        match serde_json::from_slice(&answer.payload) {
            Ok(Response::<PublishAck>::Ok(_)) => Ok(true),
            Ok(Response::Err { error }) => {
                debug!(%error, facts = facts.len(), "publishing one by one");
                Ok(false)
            }
            Err(error) => Err(failed(error.to_string())),
        }
    }
}
