use std::time::Duration;

/// Waits between tries: doubling from `first` to `longest`, each spread by up to half so that many
/// clients do not come back together.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self {
            next: first,
            longest,
        }
    }

    /// The next wait; `spread` is a random number from 0 to 1.
    pub(crate) fn wait(&mut self, spread: f64) -> Duration {
        let wait = self.next.mul_f64(1.0 - 0.5 * spread.clamp(0.0, 1.0));
        self.next = (self.next * 2).min(self.longest);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_are_spread_by_half() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(300));
        let waits: Vec<u128> = (0..4).map(|_| backoff.wait(0.0).as_millis()).collect();
        assert_eq!(waits, [100, 200, 300, 300]);
        assert_eq!(backoff.wait(1.0).as_millis(), 150);
    }
}
