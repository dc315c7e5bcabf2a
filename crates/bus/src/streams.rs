use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MIB: i64 = 1024 * 1024;

/// The streams of the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Run transitions.
    Runs,
    /// Claims and dial outcomes.
    Dials,
    /// Facts about calls.
    Calls,
    /// Metrics and verdicts.
    Scores,
    /// Batches triggered at a service.
    Plans,
}

impl Stream {
    /// Every stream.
    pub const ALL: [Self; 5] = [
        Self::Runs,
        Self::Dials,
        Self::Calls,
        Self::Scores,
        Self::Plans,
    ];

    /// Its name on the server.
    pub fn name(self) -> &'static str {
        match self {
            Self::Runs => "RUNS",
            Self::Dials => "DIALS",
            Self::Calls => "CALLS",
            Self::Scores => "SCORES",
            Self::Plans => "PLANS",
        }
    }

    /// The subjects it stores.
    pub fn subjects(self) -> &'static str {
        match self {
            Self::Runs => "rd.v1.run.>",
            Self::Dials => "rd.v1.dial.>",
            Self::Calls => "rd.v1.call.>",
            Self::Scores => "rd.v1.score.>",
            Self::Plans => "rd.v1.plan.>",
        }
    }

    /// The stream that stores a subject, if one does.
    pub(crate) fn of(subject: &str) -> Option<Self> {
        let stores = |stream: &Self| subject.starts_with(stream.subjects().trim_end_matches('>'));
        Self::ALL.into_iter().find(stores)
    }

    /// Claims have to outlive every possible redelivery of the transition they fence.
    fn max_age(self) -> Duration {
        match self {
            Self::Runs | Self::Calls | Self::Scores | Self::Plans => 7 * DAY,
            Self::Dials => 14 * DAY,
        }
    }

    /// DIALS refuses new facts when full, because forgetting a claim would allow a second call; the
    /// others forget the oldest, whose truth is in the platform's database.
    fn discard(self) -> DiscardPolicy {
        match self {
            Self::Dials => DiscardPolicy::New,
            _ => DiscardPolicy::Old,
        }
    }

    pub(crate) fn config(self, replicas: usize) -> Config {
        Config {
            name: self.name().to_owned(),
            subjects: vec![self.subjects().to_owned()],
            retention: RetentionPolicy::Limits,
            storage: StorageType::File,
            max_age: self.max_age(),
            max_bytes: 1024 * MIB,
            max_message_size: 1024 * 1024,
            discard: self.discard(),
            duplicate_window: Duration::from_secs(120),
            num_replicas: replicas,
            allow_atomic_publish: true,
            ..Config::default()
        }
    }
}
