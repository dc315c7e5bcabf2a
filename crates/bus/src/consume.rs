use std::pin::Pin;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::{self, AckKind};
use futures::{FutureExt as _, StreamExt as _};
use ringdown_proto::v1::Envelope;
use tracing::{debug, warn};

use crate::connection::DEADLINE;
use crate::unusable::Unusable;
use crate::{Bus, Error, Stream, trace};

/// How long one request for facts stands at the server.
const REQUEST: Duration = Duration::from_secs(2);

/// After this a request is over, even if the server that took it is gone and never says so.
const REQUEST_OVER: Duration = Duration::from_secs(3);

/// First and longest pause before facts are asked for again after a failure.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Where an observer starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// With the first fact the stream still has.
    Beginning,
    /// With facts published from now on.
    Now,
    /// With this sequence number.
    Sequence(u64),
}

/// A durable consumer that any number of workers share.
#[derive(Clone, Debug)]
pub struct WorkersOptions {
    /// The stream.
    pub stream: Stream,
    /// Name of the durable consumer.
    pub durable: String,
    /// Subjects it takes, from [`crate::subject`].
    pub filter: String,
    /// Unacknowledged facts are redelivered after this.
    pub ack_wait: Duration,
    /// Facts that may be unacknowledged at once over all workers.
    pub max_in_flight: u32,
    /// Facts one worker takes in advance; no more than it starts at once.
    pub batch: usize,
}

type Messages = Pin<
    Box<dyn futures::Stream<Item = Result<jetstream::Message, async_nats::Error>> + Send + 'static>,
>;

/// One worker's end of a durable consumer.
pub struct Workers {
    consumer: PullConsumer,
    options: WorkersOptions,
    messages: Option<Messages>,
    unusable: Unusable,
}

/// A fact to work on. Dropped without an answer, it is delivered again after `ack_wait`.
pub struct Delivery {
    /// The fact.
    pub envelope: Envelope,
    /// How often it was delivered, from 1.
    pub delivered: u64,
    /// Continues the producer's trace.
    pub span: tracing::Span,
    message: jetstream::Message,
}

impl Bus {
    /// Joins the durable consumer, creating it if it does not exist.
    ///
    /// # Errors
    /// [`Error::Setup`] if the consumer cannot be created.
    pub async fn workers(&self, options: WorkersOptions) -> Result<Workers, Error> {
        let config = pull::Config {
            durable_name: Some(options.durable.clone()),
            filter_subject: options.filter.clone(),
            ack_policy: AckPolicy::Explicit,
            ack_wait: options.ack_wait,
            max_ack_pending: i64::from(options.max_in_flight),
            deliver_policy: DeliverPolicy::All,
            ..pull::Config::default()
        };
        let consumer = self
            .jetstream
            .create_consumer_on_stream(config, options.stream.name())
            .await
            .map_err(|error| Error::Setup {
                what: format!("consumer {}", options.durable),
                reason: error.to_string(),
            })?;
        Ok(Workers {
            consumer,
            options,
            messages: None,
            unusable: self.unusable.clone(),
        })
    }

    /// Follows the facts on `filter` of a stream, in order, without a durable consumer.
    ///
    /// # Errors
    /// [`Error::Setup`] if the consumer cannot be created.
    pub async fn observe(
        &self,
        stream: Stream,
        filter: &str,
        from: From,
    ) -> Result<Observer, Error> {
        let failed = |reason: String| Error::Setup {
            what: format!("an observer of {filter}"),
            reason,
        };
        let config = pull::OrderedConfig {
            filter_subject: filter.to_owned(),
            deliver_policy: match from {
                From::Beginning => DeliverPolicy::All,
                From::Now => DeliverPolicy::New,
                From::Sequence(start_sequence) => DeliverPolicy::ByStartSequence { start_sequence },
            },
            ..pull::OrderedConfig::default()
        };
        let consumer = self
            .jetstream
            .create_consumer_on_stream(config, stream.name())
            .await
            .map_err(|error| failed(error.to_string()))?;
        let messages = consumer
            .messages()
            .await
            .map_err(|error| failed(error.to_string()))?;
        Ok(Observer {
            messages: Box::pin(messages.map(|item| item.map_err(Into::into))),
            unusable: self.unusable.clone(),
        })
    }

    /// Hears facts on a subject as they are published, without replay: for orders that only matter
    /// while they are fresh.
    ///
    /// # Errors
    /// [`Error::Setup`] if the subscription fails.
    pub async fn watch(&self, subject: &str) -> Result<Watch, Error> {
        Ok(Watch {
            subscriber: self.subscribed(subject).await?,
            unusable: self.unusable.clone(),
        })
    }

    /// A subscription that the server has made.
    pub(crate) async fn subscribed(&self, subject: &str) -> Result<async_nats::Subscriber, Error> {
        let failed = |reason: String| Error::Setup {
            what: format!("a subscription to {subject}"),
            reason,
        };
        let subscriber = self
            .client
            .subscribe(subject.to_owned())
            .await
            .map_err(|error| failed(error.to_string()))?;
        // The subscription is live once the server has answered something sent after it.
        tokio::time::timeout(DEADLINE, self.client.flush())
            .await
            .map_err(|_| failed("the server did not answer in time".to_owned()))?
            .map_err(|error| failed(error.to_string()))?;
        Ok(subscriber)
    }
}

impl Workers {
    /// The next fact. Asks again by itself, whatever happens to the server; cancel-safe.
    pub async fn next(&mut self) -> Delivery {
        self.next_of(self.options.batch).await
    }

    /// The same for a worker that could start `most` facts now, this one included: no more are taken in advance.
    pub async fn next_of(&mut self, most: usize) -> Delivery {
        let batch = most.min(self.options.batch);
        let mut pause = FIRST_PAUSE;
        loop {
            let messages = match self.messages.as_mut() {
                Some(messages) => messages,
                None => match request(&self.consumer, batch).await {
                    Ok(messages) => self.messages.insert(messages),
                    Err(reason) => {
                        warn!(consumer = %self.options.durable, %reason, "cannot consume, will try again");
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                        continue;
                    }
                },
            };
            match tokio::time::timeout(REQUEST_OVER, messages.next()).await {
                Ok(Some(Ok(message))) => {
                    if let Some(delivery) = read(message, &self.unusable).await {
                        return delivery;
                    }
                }
                // All that was asked for has come, or nothing did for a while.
                Ok(None) | Err(_) => self.messages = None,
                Ok(Some(Err(error))) => {
                    debug!(consumer = %self.options.durable, %error, "consuming again");
                    self.messages = None;
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }
}

impl Workers {
    /// Takes no more facts. What was taken in advance goes to other workers at once.
    pub async fn leave(mut self) {
        let Some(messages) = &mut self.messages else {
            return;
        };
        while let Some(Some(Ok(message))) = messages.next().now_or_never() {
            let answered = message.ack_with(AckKind::Nak(None));
            if !matches!(tokio::time::timeout(DEADLINE, answered).await, Ok(Ok(()))) {
                debug!(consumer = %self.options.durable, "a fact comes again later");
                return;
            }
        }
    }
}

/// One pull request. The client's continuous stream is not used: it counts a message that arrives
/// before it has noted its own request as one that is still to come, and with small batches it then
/// asks for no more until it misses a heartbeat. Here a request that is over is followed by the next.
async fn request(consumer: &PullConsumer, batch: usize) -> Result<Messages, String> {
    let messages = consumer
        .batch()
        .max_messages(batch.max(1))
        .expires(REQUEST)
        .messages()
        .await
        .map_err(|error| error.to_string())?;
    Ok(Box::pin(messages))
}

/// Unusable messages are terminated, so that they are not delivered for ever.
async fn read(message: jetstream::Message, unusable: &Unusable) -> Option<Delivery> {
    match ringdown_proto::decode(&message.payload) {
        Ok(envelope) => Some(Delivery {
            delivered: message
                .info()
                .map_or(1, |info| u64::try_from(info.delivered).unwrap_or(1)),
            span: trace::continued(message.headers.as_ref(), &message.subject),
            envelope,
            message,
        }),
        Err(error) => {
            unusable.dropped(&message.subject, &error);
            if let Err(error) = message.ack_with(AckKind::Term).await {
                warn!(%error, "an unusable fact will be delivered again");
            }
            None
        }
    }
}

impl Delivery {
    /// Reports the fact as done and waits until the server knows.
    ///
    /// # Errors
    /// [`Error::Publish`] if it does not: the fact may be delivered again.
    pub async fn done(self) -> Result<(), Error> {
        self.answer(AckKind::Ack).await
    }

    /// Asks for the fact again after `delay`. It counts against `max_in_flight` until then.
    ///
    /// # Errors
    /// [`Error::Publish`] if the server does not know: it comes again after `ack_wait`.
    pub async fn again_after(self, delay: Duration) -> Result<(), Error> {
        self.answer(AckKind::Nak(Some(delay))).await
    }

    /// Says that work goes on: `ack_wait` starts anew.
    ///
    /// # Errors
    /// [`Error::Publish`] if it could not be sent.
    pub async fn progress(&self) -> Result<(), Error> {
        self.message
            .ack_with(AckKind::Progress)
            .await
            .map_err(|error| self.failed(error.to_string()))
    }

    /// Works while telling the server every `every` that somebody does, so that the fact is not
    /// handed to another worker meanwhile.
    pub async fn kept_alive<T>(&self, every: Duration, work: impl Future<Output = T>) -> T {
        // Both are polled: a server that takes no reports must not hold up the work.
        let reporting = async {
            let mut ticks = tokio::time::interval(every.max(Duration::from_millis(50)));
            ticks.tick().await;
            loop {
                ticks.tick().await;
                match tokio::time::timeout(DEADLINE, self.progress()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => debug!(%error, "could not report progress"),
                    Err(_) => debug!("could not report progress in time"),
                }
            }
        };
        tokio::select! {
            biased;
            result = work => result,
            never = reporting => never,
        }
    }

    async fn answer(self, kind: AckKind) -> Result<(), Error> {
        match tokio::time::timeout(DEADLINE, self.message.double_ack_with(kind)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.failed(error.to_string())),
            Err(_) => Err(self.failed("not confirmed in time".to_owned())),
        }
    }

    fn failed(&self, reason: String) -> Error {
        Error::Publish {
            subject: format!("the acknowledgement of {}", self.message.subject),
            reason,
        }
    }
}

/// A fact seen by an observer.
#[derive(Clone, Debug)]
pub struct Observed {
    /// Its sequence number in the stream.
    pub sequence: u64,
    /// The fact.
    pub envelope: Envelope,
}

/// Facts of a stream, in order.
pub struct Observer {
    messages: Messages,
    unusable: Unusable,
}

impl Observer {
    /// The next fact; `None` when the connection was closed for good. Cancel-safe.
    ///
    /// # Errors
    /// [`Error::Read`] if the observer lost its place: make a new one from the last sequence.
    pub async fn next(&mut self) -> Option<Result<Observed, Error>> {
        loop {
            let message = match self.messages.next().await? {
                Ok(message) => message,
                Err(error) => {
                    return Some(Err(Error::Read {
                        what: "observed facts".to_owned(),
                        reason: error.to_string(),
                    }));
                }
            };
            let sequence = message.info().map_or(0, |info| info.stream_sequence);
            match ringdown_proto::decode(&message.payload) {
                Ok(envelope) => return Some(Ok(Observed { sequence, envelope })),
                Err(error) => {
                    self.unusable.dropped(&message.subject, &error);
                }
            }
        }
    }
}

/// Facts as they are published.
pub struct Watch {
    subscriber: async_nats::Subscriber,
    unusable: Unusable,
}

impl Watch {
    /// The next fact; `None` when the connection was closed for good. Cancel-safe.
    pub async fn next(&mut self) -> Option<Envelope> {
        loop {
            let message = self.subscriber.next().await?;
            match ringdown_proto::decode(&message.payload) {
                Ok(envelope) => return Some(envelope),
                Err(error) => {
                    self.unusable.dropped(&message.subject, &error);
                }
            }
        }
    }
}
