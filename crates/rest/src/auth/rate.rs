use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

/// How much is allowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate {
    per_second: f64,
    /// How much at once.
    burst: f64,
}

impl Rate {
    /// So many a minute; ten seconds' worth of it at once.
    pub(crate) fn per_minute(count: u32) -> Self {
        Self {
            per_second: f64::from(count) / 60.0,
            burst: (f64::from(count) / 6.0).max(1.0),
        }
    }

    /// So many a minute, all of them at once if need be.
    pub(crate) fn minute_at_once(count: u32) -> Self {
        Self {
            per_second: f64::from(count) / 60.0,
            burst: f64::from(count).max(1.0),
        }
    }
}

#[derive(Clone, Copy)]
struct Bucket {
    /// Tokens at `at`.
    left: f64,
    at: Instant,
    rate: Rate,
}

impl Bucket {
    fn tokens(&self, now: Instant) -> f64 {
        let grown = now.saturating_duration_since(self.at).as_secs_f64() * self.rate.per_second;
        (self.left + grown).min(self.rate.burst)
    }

    fn is_full(&self, now: Instant) -> bool {
        self.tokens(now) >= self.rate.burst
    }
}

/// Token buckets, one per key. At most `most` of them: one that is full again says nothing and is
/// forgotten; if all say something, the one that was used longest ago goes.
pub(crate) struct Buckets<K> {
    buckets: HashMap<K, Bucket>,
    most: usize,
}

impl<K: Copy + Eq + Hash> Buckets<K> {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            buckets: HashMap::new(),
            most,
        }
    }

    /// Whether something is left for `key`; if not, how long until it is.
    pub(crate) fn check(&self, key: K, rate: Rate, now: Instant) -> Result<(), Duration> {
        let Some(bucket) = self.buckets.get(&key) else {
            return Ok(());
        };
        let tokens = Bucket { rate, ..*bucket }.tokens(now);
        if tokens >= 1.0 {
            return Ok(());
        }
        let wait = (1.0 - tokens) / rate.per_second.max(f64::MIN_POSITIVE);
        Err(Duration::try_from_secs_f64(wait).unwrap_or(Duration::MAX))
    }

    /// Takes one, if one is left.
    pub(crate) fn take(&mut self, key: K, rate: Rate, now: Instant) -> Result<(), Duration> {
        self.check(key, rate, now)?;
        if !self.buckets.contains_key(&key) {
            self.make_room(now);
        }
        let bucket = self.buckets.entry(key).or_insert(Bucket {
            left: rate.burst,
            at: now,
            rate,
        });
        bucket.rate = rate;
        *bucket = Bucket {
            left: bucket.tokens(now) - 1.0,
            at: now,
            rate,
        };
        Ok(())
    }

    fn make_room(&mut self, now: Instant) {
        if self.buckets.len() < self.most {
            return;
        }
        self.buckets.retain(|_, bucket| !bucket.is_full(now));
        if self.buckets.len() < self.most {
            return;
        }
        let oldest = self.buckets.iter().min_by_key(|(_, bucket)| bucket.at);
        if let Some(key) = oldest.map(|(key, _)| *key) {
            self.buckets.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut buckets = Buckets::new(10);
        let rate = Rate::per_minute(60);
        let start = Instant::now();
        let mut given = 0;
        while buckets.take("a", rate, start).is_ok() {
            given += 1;
        }
        assert_eq!(given, 10);
        let wait = buckets.take("a", rate, start).unwrap_err();
        assert_eq!(wait, Duration::from_secs(1));
        assert!(buckets.check("a", rate, start).is_err());
        assert!(buckets.take("b", rate, start).is_ok(), "others have theirs");
        let later = start + wait;
        assert!(buckets.take("a", rate, later).is_ok());
        assert!(buckets.take("a", rate, later).is_err());
        let much_later = start + Duration::from_secs(3600);
        let given = (0..100).filter(|_| buckets.take("a", rate, much_later).is_ok());
        assert_eq!(given.count(), 10, "no more than the burst is saved up");
    }

    #[test]
    fn the_smallest_rate_allows_one_at_a_time() {
        let mut buckets = Buckets::new(10);
        let rate = Rate::per_minute(1);
        let start = Instant::now();
        assert!(buckets.take(1, rate, start).is_ok());
        let wait = buckets.take(1, rate, start).unwrap_err();
        assert_eq!(wait.as_secs_f64().round(), 60.0);
    }

    #[test]
    fn memory_is_bounded_and_those_who_exceed_are_remembered() {
        let mut buckets = Buckets::new(100);
        let rate = Rate::per_minute(60);
        let start = Instant::now();
        for second in 0..10_000_u32 {
            let now = start + Duration::from_secs(u64::from(second));
            assert!(buckets.take(second, rate, now).is_ok());
            while buckets.take(u32::MAX, rate, now).is_ok() {}
            assert!(buckets.buckets.len() <= 100);
            assert!(buckets.check(u32::MAX, rate, now).is_err());
        }
    }
}
