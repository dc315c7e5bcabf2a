//! Accounts that runs are dialed with: asked for at the platform, opened here, remembered for a while.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ringdown_bus::Bus;
use ringdown_carrier::{Carrier, Hosted, Making};
use ringdown_domain::Team;
use ringdown_egress::Client;
use ringdown_proto::v1::{AccountReply, AccountRequest};
use ringdown_vault::{Keyring, Secret};
use serde_json::{Map, Value};
use tracing::warn;

use crate::facts::Job;

/// The route of a run that is dialed with what its agent's settings name.
pub const AGENT: &str = "agent";

/// Prefix of the route of a run that is dialed with an account of its organisation.
pub const ACCOUNT: &str = "carrier:";

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

/// Whether a route names an account.
pub(crate) fn is_account(route: &str) -> bool {
    route == AGENT || route.starts_with(ACCOUNT)
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
        let agent = (job.route == AGENT).then_some(job.transition.agent_id);
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
        let carrier = self.made(reply).map_err(Missing::Unusable)?;
        let carrier: Arc<dyn Carrier> = Arc::new(carrier);
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

    fn made(&self, reply: AccountReply) -> Result<Hosted, String> {
        if !reply.problem.is_empty() {
            return Err(reply.problem);
        }
        let mut settings = object(&reply.settings_json)?;
        let mut secrets = BTreeMap::new();
        for sealed in reply.secrets {
            let opened = self
                .access
                .keys
                .open_stored(reply.organisation_id, &sealed.name, &sealed.sealed)
                .map_err(|error| {
                    warn!(name = sealed.name, %error, "cannot open a secret");
                    format!(
                        "the dialer cannot open {}: {error}; give it the platform's secrets key",
                        sealed.name
                    )
                })?;
            if sealed.settings {
                settings.extend(object(opened.expose())?);
            } else {
                secrets.insert(sealed.name, opened);
            }
        }
        if reply.lenient {
            // A secret among an agent's settings is one of the provider's like any other.
            let texts = settings.iter();
            let texts = texts.filter_map(|(name, value)| Some((name.clone(), value.as_str()?)));
            for (name, text) in texts {
                secrets.entry(name).or_insert_with(|| Secret::new(text));
            }
        }
        let making = Making {
            provider: reply.provider,
            settings,
            secrets,
            lenient: reply.lenient,
            calls_per_second: (reply.calls_per_second > 0.0).then_some(reply.calls_per_second),
            concurrent_calls: (reply.concurrent_calls > 0).then_some(reply.concurrent_calls),
            callback: reply.callback_url.parse().ok(),
        };
        Hosted::new(making, self.access.client.clone()).map_err(|error| error.to_string())
    }
}

fn object(json: &str) -> Result<Map<String, Value>, String> {
    if json.is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_str(json).map_err(|_| "the account's settings are no object".to_owned())
}
