/// Level reported for digital silence, in dBFS.
pub(crate) const SILENCE_DBFS: f32 = -120.0;

const FULL_SCALE: f64 = 32_768.0;
/// Frames below this level say nothing about how loud the speech is.
const ACTIVE_DBFS: f32 = -50.0;
/// Highest peak that [`normalise`] leaves, about -1 dBFS.
const PEAK: f32 = 29_200.0;

/// Level of a block in dBFS, between -120 (digital silence, or no samples) and 0. A constant offset does not count: lines with
/// a DC offset are silent to the ear.
#[must_use]
pub fn level_dbfs(samples: &[i16]) -> f32 {
    if samples.is_empty() {
        return SILENCE_DBFS;
    }
    let (sum, squares) = samples
        .iter()
        .fold((0_i64, 0_i64), |(sum, squares), &sample| {
            let sample = i64::from(sample);
            (
                sum.saturating_add(sample),
                squares.saturating_add(sample.saturating_mul(sample)),
            )
        });
    let count = samples.len() as f64;
    let mean = sum as f64 / count;
    let variance = (squares as f64 / count - mean * mean).max(0.0);
    to_dbfs(variance.sqrt() / FULL_SCALE)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a level in decibels fits f32"
)]
fn to_dbfs(ratio: f64) -> f32 {
    if ratio <= 0.0 {
        return SILENCE_DBFS;
    }
    ((20.0 * ratio.log10()) as f32).clamp(SILENCE_DBFS, 0.0)
}

/// Scales `samples` so that their active parts (20 ms frames above -50 dBFS) have a level of `target` dBFS on average, without
/// clipping: where the peaks do not allow it the result is quieter. Silence stays as it is.
pub fn normalise(samples: &mut [i16], target: f32) {
    let mut active = 0.0_f64;
    let mut frames = 0_u32;
    for frame in samples.chunks(crate::FRAME_SAMPLES) {
        let level = level_dbfs(frame);
        if level > ACTIVE_DBFS {
            active += 10_f64.powf(f64::from(level) / 10.0);
            frames += 1;
        }
    }
    let peak = samples
        .iter()
        .map(|sample| sample.unsigned_abs())
        .max()
        .unwrap_or(0);
    if frames == 0 || peak == 0 {
        return;
    }
    let level = to_dbfs((active / f64::from(frames)).sqrt());
    let gain = 10_f32
        .powf((target - level) / 20.0)
        .min(PEAK / f32::from(peak));
    for sample in samples {
        *sample = to_i16(f32::from(*sample) * gain);
    }
}

/// Rounds to the nearest sample value and saturates at the ends of the range.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the value is clamped to the range of i16 first"
)]
pub(crate) fn to_i16(value: f32) -> i16 {
    value
        .round()
        .clamp(f32::from(i16::MIN), f32::from(i16::MAX)) as i16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_levels() {
        assert_eq!(level_dbfs(&[]), SILENCE_DBFS);
        assert_eq!(level_dbfs(&[0; 160]), SILENCE_DBFS);
        assert_eq!(
            level_dbfs(&[12_000; 160]),
            SILENCE_DBFS,
            "an offset is silent"
        );
        let square: Vec<i16> = (0..160)
            .map(|i| if i % 2 == 0 { i16::MAX } else { i16::MIN })
            .collect();
        assert!(level_dbfs(&square) > -0.01);
    }

    #[test]
    fn normalising_reaches_the_target_and_ignores_pauses() {
        let mut samples: Vec<i16> = (0..8_000)
            .map(|i| to_i16(500.0 * (i as f32 * 0.3).sin()))
            .collect();
        samples.extend([0; 8_000]);
        normalise(&mut samples, -20.0);
        assert!((level_dbfs(&samples[..8_000]) + 20.0).abs() < 0.2);
    }

    proptest! {
        #[test]
        fn any_audio_normalises_without_clipping(mut samples in prop::collection::vec(any::<i16>(), 0..2_000), target in -60.0_f32..0.0) {
            normalise(&mut samples, target);
            if level_dbfs(&samples) > ACTIVE_DBFS {
                prop_assert!(samples.iter().all(|s| f32::from(s.unsigned_abs()) <= PEAK + 1.0));
            }
        }
    }
}
