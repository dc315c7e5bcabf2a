use std::num::NonZeroU32;
use std::time::Duration;

use crate::Timestamp;

/// How far ahead of the clock a start may have been written down and still be believed. Clocks of
/// several platforms differ by less; a clock that was set back must not keep a project waiting until
/// it has caught up.
const MAX_SKEW: Duration = Duration::from_secs(60);

/// How many calls of a project may start per second, at the most: 0.001 to 1000, in thousandths.
///
/// Two starts are never closer than the interval, so a span of time that holds `n` intervals holds at
/// most `n + 1` starts: nothing is saved up while nobody waits (the generic cell rate algorithm of
/// ITU-T I.371 with no tolerance).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pace(NonZeroU32);

impl Pace {
    /// The fastest, in thousandths of a call per second.
    pub const MAX: u32 = 1_000_000;

    /// So many thousandths of a call per second; `None` unless they are 1 to [`Pace::MAX`].
    pub fn from_thousandths(thousandths: u32) -> Option<Self> {
        if thousandths > Self::MAX {
            return None;
        }
        NonZeroU32::new(thousandths).map(Self)
    }

    /// So many calls per second, rounded to thousandths; `None` unless that is 0.001 to 1000.
    pub fn per_second(calls: f64) -> Option<Self> {
        let thousandths = (calls * 1000.0).round();
        if !(1.0..=f64::from(Self::MAX)).contains(&thousandths) {
            return None;
        }
        // In range and whole: nothing is lost.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Self::from_thousandths(thousandths as u32)
    }

    /// In thousandths of a call per second.
    pub fn thousandths(self) -> u32 {
        self.0.get()
    }

    /// In calls per second.
    pub fn calls_per_second(self) -> f64 {
        f64::from(self.0.get()) / 1000.0
    }

    /// Least time between two starts, in whole microseconds, rounded up.
    pub fn interval(self) -> Duration {
        Duration::from_micros(1_000_000_000_u64.div_ceil(u64::from(self.0.get())))
    }

    /// The first moment, `now` or later, at which a call may start if the last one started at `last`.
    pub fn next_start(self, last: Option<Timestamp>, now: Timestamp) -> Timestamp {
        match last {
            Some(last) if last <= now.plus(MAX_SKEW) => last.plus(self.interval()).max(now),
            _ => now,
        }
    }
}
