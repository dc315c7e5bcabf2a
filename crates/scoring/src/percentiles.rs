use serde::{Deserialize, Serialize};

/// Spread of a set of values, in their unit. Linear interpolation between the two nearest ranks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// 25 % of the values are at most this.
    pub p25: f64,
    /// The median.
    pub p50: f64,
    /// 75 % of the values are at most this.
    pub p75: f64,
    /// 90 % of the values are at most this.
    pub p90: f64,
    /// 95 % of the values are at most this.
    pub p95: f64,
    /// 99 % of the values are at most this.
    pub p99: f64,
}

impl Percentiles {
    /// Spread of `values`, in any order; `None` without values. Values that are not numbers are left out.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted: Vec<f64> = values
            .iter()
            .copied()
            .filter(|value| !value.is_nan())
            .collect();
        sorted.sort_by(f64::total_cmp);
        let at = |percent| interpolate(&sorted, percent);
        Some(Self {
            p25: at(25)?,
            p50: at(50)?,
            p75: at(75)?,
            p90: at(90)?,
            p95: at(95)?,
            p99: at(99)?,
        })
    }
}

fn interpolate(sorted: &[f64], percent: usize) -> Option<f64> {
    let position = sorted.len().checked_sub(1)?.checked_mul(percent)?;
    let (rank, rest) = (position / 100, position % 100);
    let low = *sorted.get(rank)?;
    let high = sorted.get(rank + 1).copied().unwrap_or(low);
    Some(low + (high - low) * rest as f64 / 100.0)
}

/// Arithmetic mean; `None` without values.
pub(crate) fn mean(values: &[u64]) -> Option<f64> {
    (!values.is_empty())
        .then(|| values.iter().map(|&value| value as f64).sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_values() {
        assert_eq!(Percentiles::of(&[]), None);
        let one = Percentiles::of(&[7.0]).unwrap();
        assert_eq!((one.p25, one.p99), (7.0, 7.0));
        let five = Percentiles::of(&[50.0, 10.0, 40.0, 20.0, 30.0]).unwrap();
        assert_eq!(
            (five.p25, five.p50, five.p75, five.p90),
            (20.0, 30.0, 40.0, 46.0)
        );
        assert_eq!(Percentiles::of(&[1.0, f64::NAN, 2.0]).unwrap().p50, 1.5);
    }

    proptest! {
        #[test]
        fn between_the_extremes_and_in_order(values in prop::collection::vec(0.0_f64..1e6, 1..100)) {
            let Percentiles { p25, p50, p75, p90, p95, p99 } = Percentiles::of(&values).unwrap();
            let min = values.iter().copied().fold(f64::INFINITY, f64::min);
            let max = values.iter().copied().fold(0.0, f64::max);
            prop_assert!([min, p25, p50, p75, p90, p95, p99, max].is_sorted());
        }
    }
}
