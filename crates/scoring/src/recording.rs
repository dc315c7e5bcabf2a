use std::io;

const SAMPLE_RATE: u32 = 8_000;
const SAMPLES_PER_MS: u64 = 8;

/// Why a recording cannot be scored. The messages complete "failed to ...".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes do not begin with a WAV header that makes sense.
    #[error("read the recording: {0}; it is no WAV file or its start is damaged")]
    NotWav(String),
    /// The file ends before the audio that its header promises.
    #[error(
        "read the recording: it ends after {read} of {promised} samples; it was cut off while being written or copied"
    )]
    Truncated {
        /// Samples that are there, both channels together.
        read: u64,
        /// Samples that the header promises.
        promised: u32,
    },
    /// The audio has another form than recordings of calls have.
    #[error(
        "score a recording with {channels} channel(s) at {sample_rate} Hz, {bits} bit; it must be stereo (left the agent, right \
         the testing agent), 8000 Hz, 16 bit integer"
    )]
    Format {
        /// Channels in the file.
        channels: u16,
        /// Samples per second.
        sample_rate: u32,
        /// Bits per sample.
        bits: u16,
    },
    /// The file holds no audio.
    #[error("score an empty recording; the call ended before any audio was recorded")]
    Empty,
}

/// Both sides of a call, 8 kHz, of equal length and not empty.
#[derive(Clone)]
pub struct Recording {
    agent: Vec<i16>,
    testing_agent: Vec<i16>,
}

impl std::fmt::Debug for Recording {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recording")
            .field("duration_ms", &self.duration_ms())
            .finish_non_exhaustive()
    }
}

impl Recording {
    /// Reads a WAV file: stereo, 8 kHz, 16 bit, left the agent under test, right the testing agent.
    ///
    /// # Errors
    /// Anything else, and files that end early.
    pub fn parse(wav: &[u8]) -> Result<Self, Error> {
        let reader =
            hound::WavReader::new(wav).map_err(|error| Error::NotWav(error.to_string()))?;
        let spec = reader.spec();
        if spec.channels != 2
            || spec.sample_rate != SAMPLE_RATE
            || spec.bits_per_sample != 16
            || spec.sample_format != hound::SampleFormat::Int
        {
            return Err(Error::Format {
                channels: spec.channels,
                sample_rate: spec.sample_rate,
                bits: spec.bits_per_sample,
            });
        }
        let promised = reader.len();
        let (mut agent, mut testing_agent) = (Vec::new(), Vec::new());
        let mut read = 0_u64;
        for sample in reader.into_samples::<i16>() {
            let sample = sample.map_err(|error| match error {
                hound::Error::IoError(error)
                    if error.kind() != io::ErrorKind::UnexpectedEof && read == 0 =>
                {
                    Error::NotWav(error.to_string())
                }
                _ => Error::Truncated { read, promised },
            })?;
            if read.is_multiple_of(2) {
                agent.push(sample);
            } else {
                testing_agent.push(sample);
            }
            read += 1;
        }
        if read < u64::from(promised) {
            return Err(Error::Truncated { read, promised });
        }
        // hound refuses data that is no whole number of sample pairs; this keeps the sides equal if it ever does not.
        agent.truncate(testing_agent.len());
        if agent.is_empty() {
            return Err(Error::Empty);
        }
        Ok(Self {
            agent,
            testing_agent,
        })
    }

    /// The agent under test: what was heard on the line.
    #[must_use]
    pub fn agent(&self) -> &[i16] {
        &self.agent
    }

    /// The testing agent: what was sent to the line.
    #[must_use]
    pub fn testing_agent(&self) -> &[i16] {
        &self.testing_agent
    }

    /// Length in milliseconds, rounded down.
    #[must_use]
    pub fn duration_ms(&self) -> u64 {
        u64::try_from(self.agent.len()).unwrap_or(u64::MAX) / SAMPLES_PER_MS
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A WAV file of two channels; the shorter one is filled with silence.
    pub(crate) fn wav(agent: &[i16], testing_agent: &[i16]) -> Vec<u8> {
        wav_as(agent, testing_agent, 2, SAMPLE_RATE)
    }

    fn wav_as(left: &[i16], right: &[i16], channels: u16, sample_rate: u32) -> Vec<u8> {
        let mut bytes = io::Cursor::new(Vec::new());
        let spec = hound::WavSpec {
            channels,
            sample_rate,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
        for n in 0..left.len().max(right.len()) {
            writer
                .write_sample(left.get(n).copied().unwrap_or_default())
                .unwrap();
            if channels == 2 {
                writer
                    .write_sample(right.get(n).copied().unwrap_or_default())
                    .unwrap();
            }
        }
        writer.finalize().unwrap();
        bytes.into_inner()
    }

    #[test]
    fn reads_left_as_agent_and_right_as_testing_agent() {
        let recording = Recording::parse(&wav(&[1, 2, 3], &[4, 5, 6])).unwrap();
        assert_eq!(
            (recording.agent(), recording.testing_agent()),
            (&[1, 2, 3][..], &[4, 5, 6][..])
        );
    }

    #[test]
    fn refuses_what_it_cannot_score() {
        let audio = [7; 100];
        assert!(matches!(
            Recording::parse(&wav_as(&audio, &[], 1, 8_000)),
            Err(Error::Format { channels: 1, .. })
        ));
        assert!(matches!(
            Recording::parse(&wav_as(&audio, &audio, 2, 16_000)),
            Err(Error::Format {
                sample_rate: 16_000,
                ..
            })
        ));
        assert!(matches!(
            Recording::parse(&wav(&[], &[])),
            Err(Error::Empty)
        ));
        for junk in [
            &b""[..],
            b"RIFF",
            b"not a wav file at all, but long enough to be looked at",
        ] {
            assert!(
                matches!(Recording::parse(junk), Err(Error::NotWav(_))),
                "{junk:?}"
            );
        }
    }

    #[test]
    fn a_cut_off_file_says_how_much_is_there() {
        let whole = wav(&[7; 100], &[8; 100]);
        let error = Recording::parse(&whole[..whole.len() - 41]).unwrap_err();
        assert!(
            matches!(
                error,
                Error::Truncated {
                    read: 179,
                    promised: 200
                }
            ),
            "{error}"
        );
        for cut in 0..whole.len() {
            assert!(Recording::parse(&whole[..cut]).is_err(), "{cut}");
        }
    }

    proptest! {
        #[test]
        fn damaged_files_never_panic(
            changes in prop::collection::vec((0_usize..60, any::<u8>()), 1..8),
            cut in 0_usize..300,
        ) {
            let mut bytes = wav(&[7; 50], &[8; 50]);
            for (at, value) in changes {
                bytes[at] = value;
            }
            bytes.truncate(bytes.len().saturating_sub(cut));
            if let Ok(recording) = Recording::parse(&bytes) {
                prop_assert_eq!(recording.agent().len(), recording.testing_agent().len());
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(Recording::parse(&bytes).is_err());
        }
    }
}
