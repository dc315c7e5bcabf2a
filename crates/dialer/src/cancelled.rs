//! Runs that were heard to be cancelled, so that the bus need not be asked before each dial.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ringdown_bus::{Bus, now, subject};
use ringdown_domain::run::Status;
use ringdown_domain::{RunId, Team, Timestamp};

use crate::facts::Job;

/// Most runs that are remembered.
const MOST: usize = 10_000;

/// Clocks of platforms and dialers may differ by this.
const SKEW: Duration = Duration::from_secs(5);

type Key = (Team, RunId);

/// Cheap to clone; clones remember together.
#[derive(Clone)]
pub(crate) struct Cancelled {
    bus: Bus,
    heard: Arc<Mutex<Heard>>,
}

struct Heard {
    runs: HashSet<Key>,
    /// The same, oldest first, and when each was heard.
    order: VecDeque<(Timestamp, Key)>,
    /// Everything was heard since then, on this connection.
    since: Timestamp,
    connection: u64,
    /// Nothing is heard any more.
    deaf: bool,
}

impl Cancelled {
    /// Somebody hears of all cancellations on this connection from now on, and [`Self::note`]s them.
    pub(crate) fn new(bus: &Bus) -> Self {
        let heard = Heard {
            runs: HashSet::new(),
            order: VecDeque::new(),
            since: now(),
            connection: bus.connections(),
            deaf: false,
        };
        Self {
            bus: bus.clone(),
            heard: Arc::new(Mutex::new(heard)),
        }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(&self, team: Team, run: RunId) {
        let mut heard = self.heard();
        let key = (team, run);
        if heard.runs.insert(key.clone()) {
            heard.order.push_back((now(), key));
        }
        while heard.order.len() > MOST {
            if let Some((at, key)) = heard.order.pop_front() {
                heard.runs.remove(&key);
                heard.since = heard.since.max(at);
            }
        }
    }

    /// Nobody hears any more.
    pub(crate) fn deaf(&self) {
        self.heard().deaf = true;
    }

    /// Whether a run was cancelled before it was dialed. If that cannot be established, a needless call is the lesser
    /// harm than none.
    pub(crate) async fn holds(&self, job: &Job) -> bool {
        if let Some(known) = self.known(job) {
            return known;
        }
        let cancelled = subject::run(&job.team, job.run, Status::Cancelled);
        matches!(self.bus.last(&cancelled).await, Ok(Some(_)))
    }

    /// `None` if that may not have been heard.
    fn known(&self, job: &Job) -> Option<bool> {
        let mut heard = self.heard();
        let connection = self.bus.connections();
        if heard.connection != connection {
            // What was published while it was down was not heard.
            heard.connection = connection;
            heard.since = now();
        }
        if heard.runs.contains(&(job.team.clone(), job.run)) {
            return Some(true);
        }
        (!heard.deaf && job.opens_at >= heard.since.plus(SKEW)).then_some(false)
    }
}
