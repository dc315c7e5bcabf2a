//! Accounts that runs are dialed with: asked for at the platform, opened here, remembered for a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ringdown_bus::Bus;
use ringdown_carrier::{Carrier, Hosted};
use ringdown_domain::{AGENT_ROUTE, Team};
use ringdown_egress::Client;
use ringdown_proto::v1::AccountRequest;
use ringdown_vault::Keyring;

use crate::facts::Job;

/// An account is asked for again after this long: its settings may have changed.
const FRESH: Duration = Duration::from_secs(15);

/// One that cannot be asked for is used as it was for this long.
const STALE: Duration = Duration::from_secs(600);

/// Longest wait for the platform.
const ASK: Duration = Duration::from_secs(3);

/// Most accounts that are remembered; the one asked for longest ago is forgotten.
const MOST: usize = 1_000;

/// What is needed to dial with accounts.
#[derive(Clone)]
pub struct Access {
    /// Opens their secrets.
    pub keys: Arc<Keyring>,
    /// Reaches their providers.
    pub client: Client,
}

/// Why there is no account.
pub(crate) enum Missing {
    /// There is none, or its settings do not fit: the run has to be told.
    Unusable(String),
    /// The platform could not be asked.
    Unreachable(ringdown_bus::Error),
}

type Key = (Team, Option<i64>, String);

struct Known {
    asked_at: Instant,
    carrier: Arc<dyn Carrier>,
}

/// Cheap to clone; clones remember together.
#[derive(Clone)]
pub(crate) struct Accounts {
    bus: Bus,
    access: Access,
    known: Arc<Mutex<HashMap<Key, Known>>>,
}

impl Accounts {
    pub(crate) fn new(bus: Bus, access: Access) -> Self {
        Self {
            bus,
            access,
            known: Arc::default(),
        }
    }

    pub(crate) async fn get(&self, job: &Job) -> Result<Arc<dyn Carrier>, Missing> {
        // An account of the organisation is the same for all its agents.
        let agent = (job.route == AGENT_ROUTE).then_some(job.transition.agent_id);
        let key = (job.team.clone(), agent, job.route.clone());
        if let Some(carrier) = self.remembered(&key, FRESH) {
            return Ok(carrier);
        }
        let request = AccountRequest {
            team: job.team.to_string(),
            run_id: job.run.0,
            route: job.route.clone(),
        };
        let reply = match self.bus.account(&request, ASK).await {
            Ok(reply) => reply,
            Err(error) => {
                let before = self.remembered(&key, STALE);
                return before.ok_or(Missing::Unreachable(error));
            }
        };
        let Access { keys, client } = &self.access;
        let carrier = Hosted::told(reply, keys, client.clone());
        let carrier: Arc<dyn Carrier> =
            Arc::new(carrier.map_err(|error| Missing::Unusable(error.to_string()))?);
        self.remember(key, Arc::clone(&carrier));
        Ok(carrier)
    }

    fn remembered(&self, key: &Key, within: Duration) -> Option<Arc<dyn Carrier>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let account = known.get(key)?;
        (account.asked_at.elapsed() < within).then(|| Arc::clone(&account.carrier))
    }

    fn remember(&self, key: Key, carrier: Arc<dyn Carrier>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST
            && let Some(oldest) = known
                .iter()
                .min_by_key(|(_, account)| account.asked_at)
                .map(|(key, _)| key.clone())
        {
            known.remove(&oldest);
        }
        let asked_at = Instant::now();
        known.insert(key, Known { asked_at, carrier });
    }
}
