use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::{self, context::ContextBuilder};

use crate::gather::Gather;
use crate::unusable::Unusable;
use crate::{Error, Stream, hold, pace};

/// Longest wait for the server to store one fact or answer one request.
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);

/// How to reach the bus.
#[derive(Clone)]
pub struct Options {
    /// `nats://[user:password@]host:port`; several with commas.
    pub url: String,
    /// Name of this process on the server, for operators.
    pub name: String,
    /// Copies of every stream: 1 for one server, 3 for a cluster.
    pub replicas: usize,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("url", &without_credentials(&self.url))
            .field("name", &self.name)
            .field("replicas", &self.replicas)
            .finish()
    }
}

/// A connection to the bus. Cloning is cheap; clones share the connection, which reconnects by
/// itself for as long as it lives.
#[derive(Clone, Debug)]
pub struct Bus {
    pub(crate) client: async_nats::Client,
    pub(crate) jetstream: jetstream::Context,
    pub(crate) producer: String,
    pub(crate) unusable: Unusable,
    pub(crate) gather: Gather,
}

impl Bus {
    /// Connects and makes sure that the streams exist.
    ///
    /// # Errors
    /// [`Error::Connect`] if the server does not answer within 5 s, [`Error::Setup`] if the streams
    /// cannot be made.
    pub async fn connect(options: &Options) -> Result<Self, Error> {
        let shown = without_credentials(&options.url);
        let servers: Vec<async_nats::ServerAddr> = options
            .url
            .split(',')
            .map(|server| server.trim().parse())
            .collect::<Result<_, std::io::Error>>()
            .map_err(|error| Error::Connect {
                url: shown.clone(),
                reason: error.to_string(),
            })?;
        let mut connect = async_nats::ConnectOptions::new();
        // The client does not take credentials from the address by itself.
        if let Some((user, password)) = servers
            .iter()
            .find_map(|server| Some((server.username()?, server.password()?)))
        {
            connect = connect.user_and_password(user.to_owned(), password.to_owned());
        }
        let client = connect
            .name(&options.name)
            .connection_timeout(DEADLINE)
            .request_timeout(Some(DEADLINE))
            .max_reconnects(None)
            .reconnect_delay_callback(|attempt| {
                let exponent = u32::try_from(attempt.min(6)).unwrap_or(6);
                Duration::from_millis(25 << exponent)
            })
            .connect(servers)
            .await
            .map_err(|error| Error::Connect {
                url: shown,
                reason: error.to_string(),
            })?;
        let jetstream = ContextBuilder::new()
            .timeout(DEADLINE)
            .ack_timeout(DEADLINE)
            .build(client.clone());
        let bus = Self {
            client,
            jetstream,
            producer: options.name.clone(),
            unusable: Unusable::default(),
            gather: Gather::default(),
        };
        for stream in Stream::ALL {
            bus.provide(stream, options.replicas).await?;
        }
        for config in [
            pace::config(options.replicas),
            hold::config(options.replicas),
        ] {
            let name = config.name.clone();
            let made = bus.jetstream.get_or_create_stream(config).await;
            made.map_err(|error| Error::Setup {
                what: format!("stream {name}"),
                reason: error.to_string(),
            })?;
        }
        Ok(bus)
    }

    /// Makes sure that a stream exists and takes batches, which an earlier version had no use for. Everything
    /// else about a stream that exists is its operator's.
    async fn provide(&self, stream: Stream, replicas: usize) -> Result<(), Error> {
        let failed = |reason: String| Error::Setup {
            what: format!("stream {}", stream.name()),
            reason,
        };
        let config = stream.config(replicas);
        let found = (self.jetstream.get_or_create_stream(config).await)
            .map_err(|error| failed(error.to_string()))?;
        let mut config = found.cached_info().config.clone();
        if !config.allow_atomic_publish {
            config.allow_atomic_publish = true;
            (self.jetstream.update_stream(&config).await)
                .map_err(|error| failed(error.to_string()))?;
        }
        Ok(())
    }

    /// Whether the connection is up right now; for health checks, not for decisions.
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// How often this connection was made: what was published between two of them was not heard by a [`crate::Watch`].
    pub fn connections(&self) -> u64 {
        let statistics = self.client.statistics();
        statistics.connects.load(Ordering::Relaxed)
    }

    /// Messages that this connection received and could not use.
    pub fn unusable_messages(&self) -> u64 {
        self.unusable.count()
    }

    /// The name this process publishes under.
    pub fn producer(&self) -> &str {
        &self.producer
    }

    /// Sends what is buffered and closes the connection.
    ///
    /// # Errors
    /// [`Error::Publish`] if the buffer could not be sent within the deadline.
    pub async fn close(&self) -> Result<(), Error> {
        let failed = |reason: String| Error::Publish {
            subject: "the whole connection".to_owned(),
            reason,
        };
        match tokio::time::timeout(DEADLINE, self.client.drain()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed("the server did not take it in time".to_owned())),
        }
    }
}

/// `url` with everything before an `@` left out of each server's address.
fn without_credentials(url: &str) -> String {
    url.split(',')
        .map(|server| match server.rsplit_once('@') {
            Some((_, host)) => format!("nats://{host}"),
            None => server.to_owned(),
        })
        .collect::<Vec<_>>()
        .join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_never_shown() {
        let options = Options {
            url: "nats://user:secret@127.0.0.1:4222,nats://b:secret@h:1".into(),
            name: "test".into(),
            replicas: 1,
        };
        let shown = format!("{options:?}");
        assert!(!shown.contains("secret") && shown.contains("127.0.0.1:4222"));
    }
}
