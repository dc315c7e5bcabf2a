use std::time::Duration;

use futures::StreamExt as _;
use prost::Message as _;
use ringdown_proto::v1::{MatchReply, MatchRequest};

use crate::connection::DEADLINE;
use crate::{Bus, Error, subject};

/// Requests to match a call, shared between the platform's replicas.
pub struct MatchCalls {
    bus: Bus,
    subscriber: async_nats::Subscriber,
}

/// One request to match a call.
pub struct MatchCall {
    /// What is asked.
    pub request: MatchRequest,
    bus: Bus,
    reply: async_nats::Subject,
}

impl Bus {
    /// Asks which run a call belongs to. Asking again with the same `call_id` is safe.
    ///
    /// # Errors
    /// [`Error::Request`] if no platform answered within `deadline`.
    pub async fn match_call(
        &self,
        request: &MatchRequest,
        deadline: Duration,
    ) -> Result<MatchReply, Error> {
        let failed = |reason: String| Error::Request {
            subject: subject::MATCH.to_owned(),
            reason,
        };
        let asked = self
            .client
            .request(subject::MATCH, request.encode_to_vec().into());
        let reply = tokio::time::timeout(deadline, asked)
            .await
            .map_err(|_| failed("the platform did not answer in time".to_owned()))?
            .map_err(|error| failed(format!("{error}: is a platform role running?")))?;
        MatchReply::decode(reply.payload)
            .map_err(|error| Error::Message(ringdown_proto::Error::Malformed(error)))
    }

    /// Takes part in answering [`Bus::match_call`].
    ///
    /// # Errors
    /// [`Error::Setup`] if the subscription fails.
    pub async fn match_calls(&self) -> Result<MatchCalls, Error> {
        let failed = |reason: String| Error::Setup {
            what: format!("the service on {}", subject::MATCH),
            reason,
        };
        let subscriber = self
            .client
            .queue_subscribe(subject::MATCH, "platform".to_owned())
            .await
            .map_err(|error| failed(error.to_string()))?;
        tokio::time::timeout(DEADLINE, self.client.flush())
            .await
            .map_err(|_| failed("the server did not answer in time".to_owned()))?
            .map_err(|error| failed(error.to_string()))?;
        Ok(MatchCalls {
            bus: self.clone(),
            subscriber,
        })
    }
}

impl MatchCalls {
    /// The next request; `None` when the connection was closed for good. Cancel-safe.
    pub async fn next(&mut self) -> Option<MatchCall> {
        loop {
            let message = self.subscriber.next().await?;
            let Some(reply) = message.reply else {
                let why = "a match request has to name where its reply goes";
                self.bus.unusable.dropped(&message.subject, &why);
                continue;
            };
            match MatchRequest::decode(message.payload) {
                Ok(request) => {
                    return Some(MatchCall {
                        request,
                        bus: self.bus.clone(),
                        reply,
                    });
                }
                Err(error) => self.bus.unusable.dropped(&message.subject, &error),
            }
        }
    }
}

impl MatchCall {
    /// Answers.
    ///
    /// # Errors
    /// [`Error::Publish`] if the answer could not be handed to the connection.
    pub async fn reply(self, reply: &MatchReply) -> Result<(), Error> {
        self.bus
            .client
            .publish(self.reply.clone(), reply.encode_to_vec().into())
            .await
            .map_err(|error| Error::Publish {
                subject: self.reply.to_string(),
                reason: error.to_string(),
            })
    }
}
