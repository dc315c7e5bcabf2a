use async_nats::jetstream::stream;
use ringdown_domain::Team;
use ringdown_proto::v1::{Envelope, envelope::Fact};

use crate::connection::DEADLINE;
use crate::outgoing::{Outgoing, Unless};
use crate::{Bus, Error, Stream, subject};

/// A fact was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its sequence number in the stream.
    pub sequence: u64,
    /// The server had it already and did not store it again.
    pub duplicate: bool,
}

/// How a claim went.
#[derive(Clone, Debug)]
pub enum Claim {
    /// It is ours.
    Won,
    /// The subject was taken before, by this fact.
    Lost(Box<Envelope>),
}

impl Bus {
    /// An envelope around `fact`, stamped now.
    pub fn envelope(&self, team: &Team, fact: Fact) -> Envelope {
        let id = crate::new_event_id();
        ringdown_proto::envelope(id, crate::now(), team, &self.producer, fact)
    }

    /// Publishes a fact and waits until it is stored. The server drops a second fact with the same
    /// `message_id` for two minutes.
    ///
    /// # Errors
    /// [`Error::Publish`] if it was not acknowledged in time; publishing it again is safe.
    pub async fn publish(&self, envelope: &Envelope, message_id: &str) -> Result<Published, Error> {
        self.stored(Outgoing::new(envelope, Unless::Known(message_id))?)
            .await
    }

    /// Sends a fact and waits until it is stored.
    pub(crate) async fn stored(&self, message: Outgoing) -> Result<Published, Error> {
        let subject = message.subject.clone();
        let sent = self.send_gathered(message).await?;
        sent.map_err(|reason| Error::Publish { subject, reason })
    }

    /// Publishes a fact if its subject never had one. Exactly one caller wins; asking again for the
    /// same fact (same `event_id`) is still a win, so a claim may be retried after a time-out.
    ///
    /// # Errors
    /// [`Error::Publish`] if neither win nor loss could be established.
    pub async fn claim(&self, envelope: &Envelope) -> Result<Claim, Error> {
        let subject = subject::of(envelope).ok_or(Error::NoSubject)?;
        let message = Outgoing::new(envelope, Unless::Taken)?;
        if self.send_gathered(message).await?.is_ok() {
            return Ok(Claim::Won);
        }
        // Read through the stream leader: a replica's direct get may lag behind the write.
        match self.last(&subject).await? {
            Some(owner) if owner.event_id == envelope.event_id => Ok(Claim::Won),
            Some(owner) => Ok(Claim::Lost(Box::new(owner))),
            None => Err(Error::Publish {
                reason: "the claim was refused, but nobody holds it".to_owned(),
                subject,
            }),
        }
    }

    /// The last fact on a subject, read through the stream's leader.
    ///
    /// # Errors
    /// [`Error::Read`] if the server did not answer; [`Error::Message`] if the fact is unusable.
    pub async fn last(&self, subject: &str) -> Result<Option<Envelope>, Error> {
        let failed = |reason: String| Error::Read {
            what: subject.to_owned(),
            reason,
        };
        let stream = Stream::of(subject)
            .ok_or_else(|| failed("no stream stores this subject".to_owned()))?;
        let stream = self
            .jetstream
            .get_stream_no_info(stream.name())
            .await
            .map_err(|error| failed(error.to_string()))?;
        let asked = stream.get_last_raw_message_by_subject(subject);
        let Ok(answer) = tokio::time::timeout(DEADLINE, asked).await else {
            return Err(failed("the server did not answer in time".to_owned()));
        };
        match answer {
            Ok(message) => Ok(Some(ringdown_proto::decode(&message.payload)?)),
            Err(error) if error.kind() == stream::LastRawMessageErrorKind::NoMessageFound => {
                Ok(None)
            }
            Err(error) => Err(failed(error.to_string())),
        }
    }
}
