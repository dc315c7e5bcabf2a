use async_nats::jetstream::consumer::pull;

use crate::connection::DEADLINE;
use crate::{Bus, Error, Stream};

impl Bus {
    /// How many facts the workers of a durable consumer have not taken yet.
    ///
    /// # Errors
    /// [`Error::Read`] if the server does not say.
    pub async fn backlog(&self, stream: Stream, durable: &str) -> Result<u64, Error> {
        let failed = |reason: String| Error::Read {
            what: format!("the state of consumer {durable}"),
            reason,
        };
        let asked = self
            .jetstream
            .get_consumer_from_stream::<pull::Config, _, _>(durable, stream.name());
        match tokio::time::timeout(DEADLINE, asked).await {
            Ok(Ok(consumer)) => Ok(consumer.cached_info().num_pending),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed("the server did not answer in time".to_owned())),
        }
    }
}
