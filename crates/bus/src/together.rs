use ringdown_proto::v1::Envelope;

use crate::outgoing::{AT_ONCE, Outgoing, Unless, worth_a_batch};
use crate::{Bus, Error};

/// A fact and the id under which the server knows it for two minutes.
#[derive(Clone, Debug)]
pub struct Message {
    /// The fact.
    pub envelope: Envelope,
    /// Its id.
    pub id: String,
}

impl Bus {
    /// Publishes facts of one stream and waits until all are stored, in this order. Many are one atomic batch of the
    /// server (NATS ADR-50), which is sure of all of them much sooner than one after the other. A batch that it does
    /// not take, because it has some of the facts already, is published one by one.
    ///
    /// # Errors
    /// [`Error::Publish`] if they were not acknowledged in time; publishing all of them again is safe.
    pub async fn publish_all(&self, facts: &[Message]) -> Result<(), Error> {
        for facts in facts.chunks(AT_ONCE) {
            let messages = facts
                .iter()
                .map(|fact| Outgoing::new(&fact.envelope, Unless::Known(&fact.id)))
                .collect::<Result<Vec<_>, _>>()?;
            let all: Vec<&Outgoing> = messages.iter().collect();
            if worth_a_batch(all.len()) && self.atomically(&all).await?.is_some() {
                continue;
            }
            for message in messages {
                self.stored(message).await?;
            }
        }
        Ok(())
    }
}
