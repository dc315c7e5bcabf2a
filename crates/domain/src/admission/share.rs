use std::time::Duration;

use crate::Timestamp;

/// A slot, as shares count them.
pub(super) const SLOT: i64 = 1_000_000;

/// A lag grows no further than one slot for the longest call that there is. A clock that jumps, or a
/// platform that was away, is worth no more.
const MAX_LAG: i64 = 3_600 * SLOT;

/// How far a project that waits has fallen behind its share of the slots, or got ahead of it, because
/// slots cannot be split: a project with a third of a slot has one for a third of the time. It is the
/// memory that makes shares right over time, and it lasts only as long as the project waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lag {
    /// Slots times seconds it was behind at `since`, in millionths; negative if it was ahead.
    pub behind: i64,
    /// Slots by which it falls behind from `since` on, in millionths, -1 to 1 slots.
    pub rate: i64,
    /// When that was.
    pub since: Timestamp,
}

impl Lag {
    /// Neither behind nor ahead, and staying so.
    pub const NONE: Self = Self {
        behind: 0,
        rate: 0,
        since: Timestamp::from_micros(0),
    };

    /// Slot-seconds behind at `now`, in millionths.
    pub fn at(self, now: Timestamp) -> i64 {
        let longest = Duration::from_secs(2 * 3_600);
        let elapsed = now.since(self.since).min(longest).as_micros();
        let elapsed = i64::try_from(elapsed).unwrap_or(i64::MAX);
        let grown = self.rate.saturating_mul(elapsed) / SLOT;
        self.behind.saturating_add(grown).clamp(-MAX_LAG, MAX_LAG)
    }

    /// From `now` on it falls behind by the difference between its share and what it holds. More than a
    /// slot of difference is not for the memory: it is made good by the next slots that come free.
    pub(super) fn follow(self, share: i64, held: u32, now: Timestamp) -> Self {
        let rate = (share - slots(held)).clamp(-SLOT, SLOT);
        if rate == self.rate {
            return self;
        }
        Self {
            behind: self.at(now),
            rate,
            since: now,
        }
    }
}

pub(super) fn slots(count: u32) -> i64 {
    i64::from(count) * SLOT
}

/// What a project could use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    /// Its weight, at least 1.
    pub(super) weight: u32,
    /// The most slots it could hold now; `None` for any number.
    pub(super) most: Option<u32>,
}

/// Splits `total` slots, in millionths, by weight; what one cannot use goes to the others. `None` is
/// as many as there are wanted. The shares are in the order of the claims.
pub(super) fn shares(total: Option<i64>, claims: &[Claim]) -> Vec<i64> {
    let most = |claim: &Claim| claim.most.map_or(i64::MAX, slots);
    let Some(total) = total else {
        return claims.iter().map(most).collect();
    };
    let mut order: Vec<usize> = (0..claims.len()).collect();
    // Those that are satisfied first come first: most / weight, without dividing.
    order.sort_by(|a, b| {
        let key = |index: &usize, other: &usize| {
            let most = claims.get(*index).map_or(0, most);
            let weight = claims.get(*other).map_or(1, |claim| claim.weight.max(1));
            i128::from(most) * i128::from(weight)
        };
        key(a, b).cmp(&key(b, a))
    });
    let mut shares = vec![0; claims.len()];
    let mut left = total.max(0);
    let mut weights: i64 = claims.iter().map(|c| i64::from(c.weight.max(1))).sum();
    for index in order {
        let (Some(claim), Some(share)) = (claims.get(index), shares.get_mut(index)) else {
            continue;
        };
        let weight = i64::from(claim.weight.max(1));
        let fair = i128::from(left) * i128::from(weight) / i128::from(weights.max(1));
        let fair = i64::try_from(fair).unwrap_or(i64::MAX);
        *share = most(claim).min(fair);
        // Whoever comes after one that wants more than its part does so too, and the parts of the same
        // slots stay the same to the millionth.
        if most(claim) <= fair {
            left -= *share;
            weights -= weight;
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_cannot_use_goes_to_the_others_by_weight() {
        let claim = |weight, most| Claim { weight, most };
        let claims = [claim(1, None), claim(2, Some(1)), claim(3, None)];
        assert_eq!(shares(Some(9 * SLOT), &claims), [2 * SLOT, SLOT, 6 * SLOT]);
        assert_eq!(shares(Some(0), &claims), [0, 0, 0]);
        assert_eq!(shares(None, &claims)[1], SLOT);
        assert!(shares(Some(SLOT), &[]).is_empty());
    }

    #[test]
    fn a_lag_grows_with_time_up_to_a_bound_and_not_backwards() {
        let at = Timestamp::from_micros;
        let lag = Lag::NONE.follow(SLOT / 4, 0, at(0));
        assert_eq!(lag.at(at(8_000_000)), 2 * SLOT);
        assert_eq!(lag.at(at(-8_000_000)), 0);
        assert_eq!(lag.at(at(i64::MAX)), 1_800 * SLOT);
        let ahead = lag.follow(SLOT / 4, 1, at(8_000_000));
        assert_eq!(ahead.at(at(16_000_000)), -4 * SLOT);
        assert_eq!(ahead.at(at(i64::MAX)), -MAX_LAG);
    }
}
