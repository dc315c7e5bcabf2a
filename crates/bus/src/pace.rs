//! A rate that every process on the bus shares, without a master: moments are numbered, and a counter of the server
//! gives each number away once.

use std::time::Duration;

use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, RetentionPolicy, StorageType};
use ringdown_domain::Timestamp;

use crate::connection::DEADLINE;
use crate::{Bus, Error, subject};

/// Where the counters are. In memory: a server that restarts begins its current second again, which may let twice
/// the rate through for that second.
pub(crate) const STREAM: &str = "PACES";

/// Counters are remembered for this long after they were last used.
const AGE: Duration = Duration::from_secs(2 * 60 * 60);

/// Moments are not given away further ahead than this.
const HORIZON: Duration = Duration::from_secs(60 * 60);

const SECOND: f64 = 1_000_000.0;

pub(crate) fn config(replicas: usize) -> Config {
    Config {
        name: STREAM.to_owned(),
        subjects: vec![subject::PACES.to_owned()],
        retention: RetentionPolicy::Limits,
        storage: StorageType::Memory,
        max_age: AGE,
        max_messages_per_subject: 1,
        max_bytes: 256 * 1024 * 1024,
        num_replicas: replicas,
        allow_message_counter: true,
        ..Config::default()
    }
}

/// The moments of one rate: one every `1 / per_second`, counted from 1970, in groups of about a second each, which
/// share a counter.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Grid {
    /// Between two moments, in microseconds.
    step: f64,
    /// Moments of a group.
    group: i64,
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "microseconds since 1970 are below 2^53, and so are their parts"
)]
impl Grid {
    fn new(per_second: f64) -> Self {
        let per_second = if per_second.is_finite() {
            per_second
        } else {
            1.0
        };
        let per_second = per_second.clamp(0.001, 10_000.0);
        Self {
            step: SECOND / per_second,
            group: per_second.ceil() as i64,
        }
    }

    /// The first moment that is not before `at`.
    fn first(self, at: Timestamp) -> i64 {
        (at.as_micros() as f64 / self.step).ceil() as i64
    }

    fn at(self, moment: i64) -> Timestamp {
        Timestamp::from_micros((moment as f64 * self.step).ceil() as i64)
    }
}

/// Hands out moments of one shared rate.
#[derive(Debug)]
pub struct Pacer {
    bus: Bus,
    name: String,
    grid: Grid,
    /// Groups before this one are known to be given away.
    full_before: i64,
}

impl Bus {
    /// A pacer for everything that is done in this name, at most `per_second` times a second (0.001 to 10,000), by all
    /// pacers of this name together.
    pub fn pacer(&self, name: &str, per_second: f64) -> Pacer {
        Pacer {
            bus: self.clone(),
            name: subject::token(name),
            grid: Grid::new(per_second),
            full_before: i64::MIN,
        }
    }
}

impl Pacer {
    /// The earliest moments from `now` on that are nobody else's, at most `most`, and one at least; none if there is
    /// none up to `latest`, or none within an hour. Moments that are not used are lost.
    ///
    /// # Errors
    /// [`Error::Publish`] if the server did not answer; moments may be lost.
    pub async fn next(
        &mut self,
        now: Timestamp,
        latest: Timestamp,
        most: u32,
    ) -> Result<Vec<Timestamp>, Error> {
        let latest = latest.min(now.plus(HORIZON));
        let most = i64::from(most).clamp(1, self.grid.group);
        let first = self.grid.first(now);
        let (current, passed) = (
            first.div_euclid(self.grid.group),
            first.rem_euclid(self.grid.group),
        );
        let mut group = current.max(self.full_before);
        while self.grid.at(group * self.grid.group) <= latest || group == current {
            let passed = if group == current { passed } else { 0 };
            let mut given = self.count(group, most).await?;
            // Moments that have passed are nobody's.
            if given <= passed {
                given = self.count(group, passed + most - given).await?;
            }
            let ours = (given - most + 1).max(passed + 1)..=given.min(self.grid.group);
            if !ours.is_empty() {
                let begin = group * self.grid.group - 1;
                let moments = ours.map(|number| self.grid.at(begin + number));
                return Ok(moments.filter(|at| *at <= latest).collect());
            }
            group += 1;
            self.full_before = group;
        }
        Ok(Vec::new())
    }

    /// Adds to the counter of a group. Returns what it is then.
    async fn count(&self, group: i64, by: i64) -> Result<i64, Error> {
        let subject = subject::pace(&self.name, group);
        let failed = |reason: String| Error::Publish {
            subject: subject.clone(),
            reason,
        };
        let message = PublishMessage::build().header("Nats-Incr", format!("{by:+}").as_str());
        let sent = async {
            self.bus
                .jetstream
                .send_publish(subject.clone(), message)
                .await?
                .await
        };
        let ack = tokio::time::timeout(DEADLINE, sent)
            .await
            .map_err(|_| failed("not acknowledged in time".to_owned()))?
            .map_err(|error| failed(error.to_string()))?;
        let value = ack.value.as_deref().and_then(|value| value.parse().ok());
        value.ok_or_else(|| {
            failed("the server counts nothing: it has to be 2.12 or newer".to_owned())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_a_step_apart_and_never_early() {
        for rate in [0.2, 1.0, 2.5, 30.0, 1000.0, f64::NAN, 1e9] {
            let grid = Grid::new(rate);
            let now = Timestamp::from_micros(1_790_000_000_123_456);
            let first = grid.first(now);
            assert!(grid.at(first) >= now, "{rate}");
            assert!(grid.at(first - 1) < now, "{rate}");
            let apart = grid.at(first).until(grid.at(first + 1)).as_secs_f64();
            assert!((apart * SECOND - grid.step).abs() <= 2.0, "{rate}: {apart}");
        }
    }
}
