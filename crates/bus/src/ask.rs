//! Questions that one role asks and the platforms answer among themselves.

use std::marker::PhantomData;
use std::time::Duration;

use futures::StreamExt as _;
use prost::Message;
use ringdown_proto::v1::{AccountReply, AccountRequest, MatchReply, MatchRequest};

use crate::connection::DEADLINE;
use crate::{Bus, Error, subject};

/// Questions of one kind, shared between the platform's replicas.
pub struct Questions<Q, A> {
    bus: Bus,
    subscriber: async_nats::Subscriber,
    kind: PhantomData<fn(Q) -> A>,
}

/// One question.
pub struct Question<Q, A> {
    /// What is asked.
    pub request: Q,
    bus: Bus,
    reply: async_nats::Subject,
    kind: PhantomData<fn() -> A>,
}

/// Requests to match a call.
pub type MatchCalls = Questions<MatchRequest, MatchReply>;

/// One request to match a call.
pub type MatchCall = Question<MatchRequest, MatchReply>;

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
        self.ask(subject::MATCH, request, deadline).await
    }

    /// Takes part in answering [`Bus::match_call`].
    ///
    /// # Errors
    /// [`Error::Setup`] if the subscription fails.
    pub async fn match_calls(&self) -> Result<MatchCalls, Error> {
        self.questions(subject::MATCH).await
    }

    /// Asks for the account that a run is dialed with. Changes nothing.
    ///
    /// # Errors
    /// [`Error::Request`] if no platform answered within `deadline`.
    pub async fn account(
        &self,
        request: &AccountRequest,
        deadline: Duration,
    ) -> Result<AccountReply, Error> {
        self.ask(subject::ACCOUNT, request, deadline).await
    }

    /// Takes part in answering [`Bus::account`].
    ///
    /// # Errors
    /// [`Error::Setup`] if the subscription fails.
    pub async fn accounts(&self) -> Result<Questions<AccountRequest, AccountReply>, Error> {
        self.questions(subject::ACCOUNT).await
    }

    async fn ask<Q: Message, A: Message + Default>(
        &self,
        subject: &'static str,
        question: &Q,
        deadline: Duration,
    ) -> Result<A, Error> {
        let failed = |reason: String| Error::Request {
            subject: subject.to_owned(),
            reason,
        };
        let asked = self
            .client
            .request(subject, question.encode_to_vec().into());
        let reply = tokio::time::timeout(deadline, asked)
            .await
            .map_err(|_| failed("the platform did not answer in time".to_owned()))?
            .map_err(|error| failed(format!("{error}: is a platform role running?")))?;
        A::decode(reply.payload)
            .map_err(|error| Error::Message(ringdown_proto::Error::Malformed(error)))
    }

    async fn questions<Q, A>(&self, subject: &'static str) -> Result<Questions<Q, A>, Error> {
        let failed = |reason: String| Error::Setup {
            what: format!("the service on {subject}"),
            reason,
        };
        let subscriber = self
            .client
            .queue_subscribe(subject, "platform".to_owned())
            .await
            .map_err(|error| failed(error.to_string()))?;
        tokio::time::timeout(DEADLINE, self.client.flush())
            .await
            .map_err(|_| failed("the server did not answer in time".to_owned()))?
            .map_err(|error| failed(error.to_string()))?;
        Ok(Questions {
            bus: self.clone(),
            subscriber,
            kind: PhantomData,
        })
    }
}

impl<Q: Message + Default, A> Questions<Q, A> {
    /// The next question; `None` when the connection was closed for good. Cancel-safe.
    pub async fn next(&mut self) -> Option<Question<Q, A>> {
        loop {
            let message = self.subscriber.next().await?;
            let Some(reply) = message.reply else {
                let why = "a question has to name where its reply goes";
                self.bus.unusable.dropped(&message.subject, &why);
                continue;
            };
            match Q::decode(message.payload) {
                Ok(request) => {
                    return Some(Question {
                        request,
                        bus: self.bus.clone(),
                        reply,
                        kind: PhantomData,
                    });
                }
                Err(error) => self.bus.unusable.dropped(&message.subject, &error),
            }
        }
    }
}

impl<Q, A: Message> Question<Q, A> {
    /// Answers.
    ///
    /// # Errors
    /// [`Error::Publish`] if the answer could not be handed to the connection.
    pub async fn reply(self, reply: &A) -> Result<(), Error> {
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
