//! Between 8 and 16 kHz by windowed-sinc low-pass filters.

use crate::energy::to_i16;
use std::sync::LazyLock;

/// Taps of the decimation filter: odd, so that its delay is a whole number of samples.
const DECIMATE_TAPS: usize = 161;
/// Half amplitude at 3.65 kHz; more than 70 dB down where 4 kHz folds back (Blackman window, transition about 550 Hz).
const DECIMATE_CUTOFF: f64 = 3_650.0 / 16_000.0;
/// Past input samples per output sample of the interpolator.
const PHASE_TAPS: usize = 32;
const INTERPOLATE_CUTOFF: f64 = 3_800.0 / 16_000.0;

static DECIMATE: LazyLock<Vec<f32>> =
    LazyLock::new(|| low_pass(DECIMATE_TAPS, DECIMATE_CUTOFF, 1.0));
/// The two polyphase halves of one interpolation filter, oldest input sample first.
static INTERPOLATE: LazyLock<[Vec<f32>; 2]> = LazyLock::new(|| {
    let taps = low_pass(2 * PHASE_TAPS, INTERPOLATE_CUTOFF, 2.0);
    let phase = |offset| {
        let mut taps: Vec<f32> = taps.iter().skip(offset).step_by(2).copied().collect();
        taps.reverse();
        taps
    };
    [phase(0), phase(1)]
});

/// Windowed-sinc low-pass with a Blackman window. `cutoff` is in cycles per sample, `gain` the gain at 0 Hz.
#[expect(
    clippy::cast_possible_truncation,
    reason = "coefficients are of order one"
)]
fn low_pass(taps: usize, cutoff: f64, gain: f64) -> Vec<f32> {
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
    raw.into_iter()
        .map(|tap| (tap * gain / sum) as f32)
        .collect()
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

/// Doubles the sample rate of a stream, 8 kHz to 16 kHz. Delays by about 2 ms.
#[derive(Debug, Clone)]
pub struct Upsampler {
    /// The last `PHASE_TAPS - 1` input samples, oldest first.
    history: Vec<f32>,
}

impl Default for Upsampler {
    fn default() -> Self {
        Self::new()
    }
}

impl Upsampler {
    /// Starts after silence.
    #[must_use]
    pub fn new() -> Self {
        Self {
            history: vec![0.0; PHASE_TAPS - 1],
        }
    }

    /// Appends two output samples to `out` for each input sample.
    pub fn push(&mut self, samples: &[i16], out: &mut Vec<i16>) {
        self.history
            .extend(samples.iter().map(|&sample| f32::from(sample)));
        for window in self.history.windows(PHASE_TAPS) {
            for taps in INTERPOLATE.iter() {
                out.push(to_i16(
                    taps.iter()
                        .zip(window)
                        .map(|(tap, sample)| tap * sample)
                        .sum(),
                ));
            }
        }
        let done = self.history.len().saturating_sub(PHASE_TAPS - 1);
        self.history.drain(..done);
    }

    /// Forgets what it heard.
    pub fn reset(&mut self) {
        self.history.fill(0.0);
    }
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

    #[test]
    fn interpolation_keeps_the_tone_and_adds_no_image() {
        for hz in [200.0, 1_000.0, 3_000.0] {
            let mut out = Vec::new();
            Upsampler::new().push(&tone(hz, 8_000.0, 8_000), &mut out);
            assert_eq!(out.len(), 16_000);
            // What is left after removing the tone is image and rounding.
            let delay = 31.5;
            let error: Vec<i16> = out
                .iter()
                .enumerate()
                .map(|(n, &s)| {
                    let t = (n as f32 - delay) / 16_000.0;
                    to_i16(f32::from(s) - 10_000.0 * (std::f32::consts::TAU * hz * t).sin())
                })
                .collect();
            let db = level_dbfs(&error[400..15_600]) - level_dbfs(&out[400..15_600]);
            assert!(db < -40.0, "{hz} Hz: {db} dB");
        }
    }

    proptest! {
        #[test]
        fn chunking_does_not_change_the_result(samples in prop::collection::vec(any::<i16>(), 0..600), cut in 0_usize..600) {
            let cut = cut.min(samples.len());
            let (mut whole, mut parts) = (Vec::new(), Vec::new());
            Upsampler::new().push(&samples, &mut whole);
            let mut upsampler = Upsampler::new();
            upsampler.push(&samples[..cut], &mut parts);
            upsampler.push(&samples[cut..], &mut parts);
            prop_assert_eq!(&whole, &parts);
            prop_assert_eq!(decimate_by_two(&whole).len(), samples.len());
        }
    }
}
