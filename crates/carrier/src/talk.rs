//! What our own user agent says when it plays an agent under test.

use std::path::Path;
use std::sync::Arc;

/// Samples per second on the line.
const RATE: u32 = 8000;

/// Longest recording that is played.
const MAX_SECONDS: u32 = 600;

/// Why a WAV cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum TalkError {
    /// It cannot be read.
    #[error("read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// What happened.
        source: hound::Error,
    },
    /// It has another form.
    #[error(
        "play {path}: it has {channels} channels at {rate} Hz, expected 1 at 8000 Hz, 16 bits, at most 600 s"
    )]
    Form {
        /// The file.
        path: String,
        /// Its channels.
        channels: u16,
        /// Its samples per second.
        rate: u32,
    },
}

/// The samples of an 8 kHz mono 16-bit WAV.
///
/// # Errors
/// [`TalkError`] if it cannot be read or has another form.
pub fn read_wav(path: &Path) -> Result<Arc<[i16]>, TalkError> {
    let failed = |source| TalkError::Read {
        path: path.display().to_string(),
        source,
    };
    let mut reader = hound::WavReader::open(path).map_err(failed)?;
    let spec = reader.spec();
    if spec.channels != 1
        || spec.sample_rate != RATE
        || spec.bits_per_sample != 16
        || reader.duration() > RATE * MAX_SECONDS
    {
        return Err(TalkError::Form {
            path: path.display().to_string(),
            channels: spec.channels,
            rate: spec.sample_rate,
        });
    }
    let samples: Result<Vec<i16>, hound::Error> = reader.samples().collect();
    Ok(samples.map_err(failed)?.into())
}

/// A stand-in for speech: a second of silence, then tone bursts with pauses, then silence.
pub fn agent_tone() -> Arc<[i16]> {
    let mut samples = vec![0i16; 8000];
    for frequency in [440.0f64, 520.0, 480.0] {
        for index in 0u32..5600 {
            let angle = std::f64::consts::TAU * frequency * f64::from(index) / f64::from(RATE);
            // Amplitude 8000 of 32767 is about -12 dBFS.
            #[expect(clippy::cast_possible_truncation, reason = "within 8000")]
            samples.push((angle.sin() * 8000.0) as i16);
        }
        samples.extend(std::iter::repeat_n(0, 1200));
    }
    samples.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_telephone_audio_is_played() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a b.wav");
        let write = |channels, sample_rate| {
            let spec = hound::WavSpec {
                channels,
                sample_rate,
                bits_per_sample: 16,
                sample_format: hound::SampleFormat::Int,
            };
            let mut writer = hound::WavWriter::create(&path, spec).unwrap();
            for _ in 0..16 {
                writer.write_sample(7i16).unwrap();
            }
            writer.finalize().unwrap();
        };
        write(1, 8000);
        assert_eq!(read_wav(&path).unwrap().len(), 16);
        write(2, 8000);
        assert!(matches!(read_wav(&path), Err(TalkError::Form { .. })));
        write(1, 16_000);
        assert!(matches!(read_wav(&path), Err(TalkError::Form { .. })));
        std::fs::write(&path, b"RIFF").unwrap();
        assert!(matches!(read_wav(&path), Err(TalkError::Read { .. })));
    }
}
