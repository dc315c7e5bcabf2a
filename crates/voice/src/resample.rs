//! From 16 kHz to 8 kHz.

use crate::energy::to_i16;
use std::sync::LazyLock;

/// Taps of the decimation filter: odd, so that its delay is a whole number of samples.
const DECIMATE_TAPS: usize = 161;
/// Half amplitude at 3.65 kHz; more than 70 dB down where 4 kHz folds back (Blackman window, transition about 550 Hz).
const DECIMATE_CUTOFF: f64 = 3_650.0 / 16_000.0;

static DECIMATE: LazyLock<Vec<f32>> = LazyLock::new(|| low_pass(DECIMATE_TAPS, DECIMATE_CUTOFF));
/// Windowed-sinc low-pass with a Blackman window. `cutoff` is in cycles per sample; the gain at 0 Hz is 1.
#[expect(
    clippy::cast_possible_truncation,
    reason = "coefficients are of order one"
)]
fn low_pass(taps: usize, cutoff: f64) -> Vec<f32> {
    use std::f64::consts::PI;
    let last = (taps.saturating_sub(1)).max(1) as f64;
    let raw: Vec<f64> = (0..taps)
        .map(|n| {
            let n = n as f64;
            let t = n - last / 2.0;
            let sinc = if t == 0.0 {
                2.0 * cutoff
            } else {
                (2.0 * PI * cutoff * t).sin() / (PI * t)
            };
            let window =
                0.42 - 0.5 * (2.0 * PI * n / last).cos() + 0.08 * (4.0 * PI * n / last).cos();
            sinc * window
        })
        .collect();
    let sum: f64 = raw.iter().sum();
    raw.into_iter().map(|tap| (tap / sum) as f32).collect()
}

/// Halves the sample rate, 16 kHz to 8 kHz, keeping the timing: output sample `n` is at the moment of input sample `2n`.
/// The result has half as many samples, rounded up.
#[must_use]
pub fn decimate_by_two(samples: &[i16]) -> Vec<i16> {
    let half = DECIMATE_TAPS / 2;
    let taps: &[f32] = &DECIMATE;
    (0..samples.len())
        .step_by(2)
        .map(|centre| {
            // Taps that would reach before the first or past the last sample see silence.
            let skip = half.saturating_sub(centre);
            let window = samples
                .get(centre.saturating_sub(half)..)
                .unwrap_or_default();
            let sum: f32 = taps
                .iter()
                .skip(skip)
                .zip(window)
                .map(|(tap, &sample)| tap * f32::from(sample))
                .sum();
            to_i16(sum)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level_dbfs;
    use proptest::prelude::*;

    fn tone(hz: f32, rate: f32, samples: usize) -> Vec<i16> {
        (0..samples)
            .map(|n| to_i16(10_000.0 * (std::f32::consts::TAU * hz * n as f32 / rate).sin()))
            .collect()
    }

    /// Level relative to the input tone, away from the edges.
    fn gain_db(out: &[i16], reference: &[i16]) -> f32 {
        level_dbfs(&out[200..out.len() - 200]) - level_dbfs(reference)
    }

    #[test]
    fn decimation_keeps_the_telephone_band_and_stops_aliases() {
        for hz in [200.0, 1_000.0, 3_000.0, 3_300.0] {
            let input = tone(hz, 16_000.0, 16_000);
            let db = gain_db(&decimate_by_two(&input), &input);
            assert!(db.abs() < 0.1, "{hz} Hz: {db} dB");
        }
        for hz in [4_200.0, 5_000.0, 7_000.0] {
            let input = tone(hz, 16_000.0, 16_000);
            let db = gain_db(&decimate_by_two(&input), &input);
            assert!(db < -55.0, "{hz} Hz: {db} dB");
        }
    }

    proptest! {
        #[test]
        fn any_length_halves(samples in prop::collection::vec(any::<i16>(), 0..600)) {
            prop_assert_eq!(decimate_by_two(&samples).len(), samples.len().div_ceil(2));
        }
    }
}
