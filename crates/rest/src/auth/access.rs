use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use ringdown_api::API_KEY_HEADER;
use ringdown_bus::now;
use ringdown_domain::{KeyId, Timestamp};
use ringdown_store::{Principal, Store};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::hash_key;
use super::rate::{Buckets, Rate};
use crate::error::{Answer, Failure};

/// Longest a key is believed without asking the database: a revoked one works no longer anywhere.
const BELIEVED: Duration = Duration::from_secs(1);

/// Keys that are remembered.
const MOST_KEYS: usize = 4096;

/// Keys and addresses whose rate is watched.
const MOST_BUCKETS: usize = 10_000;

/// Between two writings of when keys were last used.
const BOOKS: Duration = Duration::from_secs(60);

/// Keys whose use is written in one transaction.
const USED_AT_ONCE: usize = 500;

/// How much is taken from one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests of one key per minute, unless the key has its own limit; ten seconds' worth at once.
    pub requests_per_minute: u32,
    /// Requests of one address per minute whose key is missing or wrong.
    pub failures_per_minute: u32,
    /// Longest the body of a request may take to arrive.
    pub body: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_per_minute: 120_000,
            failures_per_minute: 120,
            body: Duration::from_secs(30),
        }
    }
}

/// A key as it was last found in the database.
struct Known {
    principal: Principal,
    at: Instant,
}

struct Inner {
    limits: Limits,
    known: Mutex<HashMap<[u8; 32], Known>>,
    keys: Mutex<Buckets<KeyId>>,
    sources: Mutex<Buckets<IpAddr>>,
    used: Mutex<HashMap<KeyId, Timestamp>>,
}

/// Who may enter: remembers keys for a second, watches rates, notes when keys were used. Cheap to
/// clone; clones are the same.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

/// What is behind a lock is whole even if a holder panicked: every change is one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who is counted for an address: of IPv6 the network of 64 bits, which one customer has whole.
fn counted(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        address => address,
    }
}

impl Access {
    pub(crate) fn limits(&self) -> Limits {
        self.0.limits
    }

    /// With these limits.
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(Inner {
            limits,
            known: Mutex::default(),
            keys: Mutex::new(Buckets::new(MOST_BUCKETS)),
            sources: Mutex::new(Buckets::new(MOST_BUCKETS)),
            used: Mutex::default(),
        }))
    }

    /// Writes down about once a minute when keys were last used, and a last time after `stop`.
    pub async fn keep_books(self, store: Arc<dyn Store>, stop: CancellationToken) {
        while stop
            .run_until_cancelled(tokio::time::sleep(BOOKS))
            .await
            .is_some()
        {
            self.write_used(store.as_ref()).await;
        }
        self.write_used(store.as_ref()).await;
    }

    async fn write_used(&self, store: &dyn Store) {
        let used: Vec<(KeyId, Timestamp)> = lock(&self.0.used).drain().collect();
        for some in used.chunks(USED_AT_ONCE) {
            if let Err(error) = store.keys_used(some.to_vec()).await {
                warn!(%error, "cannot write down when keys were last used; tried again in a minute");
                let mut unwritten = lock(&self.0.used);
                for (key, at) in some {
                    unwritten.entry(*key).or_insert(*at);
                }
            }
        }
    }

    /// Forgets what is known of keys, after one of them was revoked in this process.
    pub(crate) fn forget(&self) {
        lock(&self.0.known).clear();
    }

    /// The holder of the key in `headers`, who has not exceeded a limit.
    pub(super) async fn enter(
        &self,
        store: &dyn Store,
        headers: &HeaderMap,
        source: Option<IpAddr>,
    ) -> Answer<Principal> {
        let refused = |message: &str| {
            self.failed(source);
            Failure::detail(StatusCode::UNAUTHORIZED, message)
        };
        let Some(key) = headers.get(API_KEY_HEADER) else {
            self.check_source(source)?;
            return Err(refused("Send your API key in the header X-CEKURA-API-KEY."));
        };
        let hash = key.to_str().ok().map(hash_key);
        let known = hash.is_some_and(|hash| lock(&self.0.known).contains_key(&hash));
        if !known {
            self.check_source(source)?;
        }
        let Some(hash) = hash else {
            return Err(refused("The API key has characters that no key has."));
        };
        let Some(principal) = self.principal(store, hash).await? else {
            return Err(refused(
                "The API key is not known: it is wrong, revoked or expired.",
            ));
        };
        self.count(&principal)?;
        lock(&self.0.used).insert(principal.key, now());
        Ok(principal)
    }

    /// Refuses an address that has sent too many wrong keys. Holders of keys that were seen to be right
    /// do not suffer for others at their address.
    fn check_source(&self, source: Option<IpAddr>) -> Answer<()> {
        let Some(source) = source else { return Ok(()) };
        let rate = Rate::minute_at_once(self.0.limits.failures_per_minute);
        let room = lock(&self.0.sources).check(counted(source), rate, Instant::now());
        room.map_err(|wait| {
            let message = "Too many requests without a valid API key came from your address";
            Failure::throttled(message, wait)
        })
    }

    fn failed(&self, source: Option<IpAddr>) {
        if let Some(source) = source {
            let rate = Rate::minute_at_once(self.0.limits.failures_per_minute);
            // Whether one is left was asked before.
            let _ = lock(&self.0.sources).take(counted(source), rate, Instant::now());
        }
    }

    fn count(&self, principal: &Principal) -> Answer<()> {
        let limits = self.0.limits;
        let limit = principal
            .rate_per_minute
            .unwrap_or(limits.requests_per_minute);
        let rate = Rate::per_minute(limit);
        let room = lock(&self.0.keys).take(principal.key, rate, Instant::now());
        room.map_err(|wait| {
            let message = format!("This API key makes more than {limit} requests a minute");
            Failure::throttled(&message, wait)
        })
    }

    async fn principal(&self, store: &dyn Store, hash: [u8; 32]) -> Answer<Option<Principal>> {
        let asked_at = Instant::now();
        let time = now();
        let remembered = lock(&self.0.known)
            .get(&hash)
            .filter(|known| asked_at.saturating_duration_since(known.at) < BELIEVED)
            .map(|known| known.principal.clone());
        if let Some(principal) = remembered
            && principal.expires_at.is_none_or(|end| end > time)
        {
            return Ok(Some(principal));
        }
        let found = store.authenticate(hash, time).await?;
        let mut known = lock(&self.0.known);
        match &found {
            None => {
                known.remove(&hash);
            }
            Some(principal) => {
                if known.len() >= MOST_KEYS && !known.contains_key(&hash) {
                    forget_oldest(&mut known);
                }
                let principal = principal.clone();
                let at = asked_at;
                known.insert(hash, Known { principal, at });
            }
        }
        Ok(found)
    }
}

fn forget_oldest(known: &mut HashMap<[u8; 32], Known>) {
    let oldest = known.iter().min_by_key(|(_, known)| known.at);
    if let Some(hash) = oldest.map(|(hash, _)| *hash) {
        known.remove(&hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_counted_by_who_has_them() {
        let same = |a: &str, b: &str| counted(a.parse().unwrap()) == counted(b.parse().unwrap());
        assert!(same("192.0.2.1", "::ffff:192.0.2.1"));
        assert!(same("2001:db8::1", "2001:db8::ffff:1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
        assert!(!same("2001:db8::1", "2001:db8:0:1::1"));
    }
}
