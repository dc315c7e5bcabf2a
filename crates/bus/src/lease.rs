use std::time::Duration;

use futures::StreamExt as _;
use prost::Message as _;
use ringdown_domain::HolderId;
use ringdown_proto::v1::Heartbeat;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tracing::{debug, info};

use crate::connection::DEADLINE;
use crate::{Bus, Error, subject};

/// Heartbeats that may be missed before an instance is taken for lost.
const BEATS: u32 = 4;

/// How often instances are heard, and after which silence one is taken for lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTimes {
    beat: Duration,
}

impl Default for LeaseTimes {
    /// A heartbeat every 3 s, a lease of 12 s.
    fn default() -> Self {
        Self::beating_every(Duration::from_secs(3))
    }
}

impl LeaseTimes {
    /// A heartbeat every `beat`, at least 10 ms, and a lease of four of them.
    pub fn beating_every(beat: Duration) -> Self {
        Self {
            beat: beat.max(Duration::from_millis(10)),
        }
    }

    /// Time between heartbeats.
    pub fn beat(self) -> Duration {
        self.beat
    }

    /// An instance that was silent for this long is taken for lost.
    pub fn lease(self) -> Duration {
        self.beat.saturating_mul(BEATS)
    }
}

/// What an instance holds is its own while this lives. Dropped, it falls silent like an instance that
/// died; [`Lease::leave`] says goodbye.
#[derive(Debug)]
pub struct Lease {
    bus: Bus,
    holder: HolderId,
    beating: JoinHandle<()>,
}

/// What was heard of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It works.
    Alive(HolderId),
    /// It has left, holds nothing any more and has published everything it will.
    Left(HolderId),
}

/// Heartbeats of every instance on the bus.
pub struct Heartbeats {
    bus: Bus,
    subscriber: async_nats::Subscriber,
}

impl Bus {
    /// A lease of a new instance of `role`, at most 27 characters as in a [`HolderId`]: a heartbeat now and
    /// at every beat. While the bus is away none is sent or kept; the next one after its return is enough.
    ///
    /// # Errors
    /// [`Error::Holder`] if the role is no such text.
    pub fn lease(&self, role: &str, times: LeaseTimes) -> Result<Lease, Error> {
        let holder: HolderId = format!("{role}-{}", crate::new_event_id()).parse()?;
        Ok(Lease {
            bus: self.clone(),
            beating: tokio::spawn(beat(self.clone(), holder.clone(), times.beat())),
            holder,
        })
    }

    /// Hears the heartbeats of every instance, from now on.
    ///
    /// # Errors
    /// [`Error::Setup`] if the subscription fails.
    pub async fn heartbeats(&self) -> Result<Heartbeats, Error> {
        Ok(Heartbeats {
            bus: self.clone(),
            subscriber: self.subscribed(subject::HEARTBEATS).await?,
        })
    }

    async fn beat(&self, holder: &HolderId, leaving: bool) -> Result<(), Error> {
        let beat = Heartbeat {
            holder: holder.to_string(),
            leaving,
        };
        let subject = subject::heartbeats_of(holder);
        self.client
            .publish(subject.clone(), beat.encode_to_vec().into())
            .await
            .map_err(|error| Error::Publish {
                subject,
                reason: error.to_string(),
            })
    }
}

async fn beat(bus: Bus, holder: HolderId, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if !bus.is_connected() {
            continue;
        }
        match tokio::time::timeout(every, bus.beat(&holder, false)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%holder, %error, "no heartbeat"),
            Err(_) => debug!(%holder, "no heartbeat: the connection takes nothing"),
        }
    }
}

impl Lease {
    /// Who holds it.
    pub fn holder(&self) -> &HolderId {
        &self.holder
    }

    /// Says that the instance holds nothing any more, and falls silent. Whoever does not hear it finds out
    /// by the silence.
    pub async fn leave(mut self) {
        self.beating.abort();
        // Nothing may be heard after the goodbye.
        if let Err(error) = (&mut self.beating).await
            && error.is_panic()
        {
            debug!(holder = %self.holder, %error, "heartbeats had ended before");
        }
        let farewell = async {
            self.bus.beat(&self.holder, true).await?;
            let flushed = self.bus.client.flush().await;
            flushed.map_err(|error| Error::Publish {
                subject: subject::heartbeats_of(&self.holder),
                reason: error.to_string(),
            })
        };
        match tokio::time::timeout(DEADLINE, farewell).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => info!(holder = %self.holder, %error, "left without a goodbye"),
            Err(_) => info!(holder = %self.holder, "left without a goodbye: the bus is away"),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.beating.abort();
    }
}

impl Heartbeats {
    /// What is heard next; `None` when the connection was closed for good. Cancel-safe.
    pub async fn next(&mut self) -> Option<Heard> {
        loop {
            let message = self.subscriber.next().await?;
            let beat = match Heartbeat::decode(message.payload) {
                Ok(beat) => beat,
                Err(error) => {
                    self.bus.unusable.dropped(&message.subject, &error);
                    continue;
                }
            };
            match beat.holder.parse() {
                Ok(holder) if beat.leaving => return Some(Heard::Left(holder)),
                Ok(holder) => return Some(Heard::Alive(holder)),
                Err(error) => self.bus.unusable.dropped(&message.subject, &error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_times_are_those_of_the_manual() {
        let times = LeaseTimes::default();
        let seconds = (times.beat().as_secs(), times.lease().as_secs());
        assert_eq!(seconds, (3, 12));
    }
}
