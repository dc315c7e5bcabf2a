//! The agents under test: what they say, and how they are made to call.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use ringdown_voice::{Flite, SAMPLE_RATE, Synthesizer as _, VoiceOptions};

use super::output::Output;
use crate::exit::Failure;

/// Longest one of the agents stays on the line, in seconds.
const HOLD_SECONDS: u32 = 30;

/// The callee says hello first; an agent that talks over it would be a fault of its own.
const BEFORE_FIRST_LINE_MS: u32 = 1_700;

/// Room for the callee's answer between two lines, and a second to think about it.
const BETWEEN_LINES_MS: u32 = 3_400;

const REMINDER: [&str; 3] = [
    "Good morning. This is the clinic, calling about your appointment tomorrow at ten.",
    "Thank you. Please bring your insurance card with you.",
    "See you tomorrow. Goodbye.",
];

const SURVEY: [&str; 2] = [
    "Hello, this is the clinic's patient survey. How was your last visit, from one to five?",
    "Thank you for your time. Goodbye.",
];

/// Name of the route through our own SIP user agent.
pub(super) const SIP_ROUTE: &str = "reminder-sip";

/// Name of the route that runs a command.
pub(super) const COMMAND_ROUTE: &str = "survey-command";

/// What the agents say.
pub(super) struct Voices {
    /// The payment agent's lines, which the demo plays itself.
    pub(super) reminder: Arc<[i16]>,
}

/// Speaks every agent's lines into a WAV of its own.
pub(super) async fn speak(output: &Output) -> Result<Voices, Failure> {
    let flite = Flite::default();
    let reminder = lines(&flite, "rms", &REMINDER).await?;
    write_wav(&output.agent("reminder.wav"), &reminder)?;
    let survey = lines(&flite, "awb", &SURVEY).await?;
    write_wav(&output.agent("survey.wav"), &survey)?;
    Ok(Voices {
        reminder: reminder.into(),
    })
}

async fn lines(flite: &Flite, voice: &str, texts: &[&str]) -> Result<Vec<i16>, Failure> {
    let options = VoiceOptions {
        voice: Some(voice.to_owned()),
        speed: 1.1,
    };
    let mut samples = silence(BEFORE_FIRST_LINE_MS);
    for text in texts {
        let line = flite.synthesize(text, &options).await;
        samples.extend_from_slice(&line.map_err(Failure::unavailable)?);
        samples.extend(silence(BETWEEN_LINES_MS));
    }
    Ok(samples)
}

fn silence(milliseconds: u32) -> Vec<i16> {
    let samples = SAMPLE_RATE / 1000 * milliseconds;
    (0..samples).map(|_| 0).collect()
}

fn write_wav(path: &Path, samples: &[i16]) -> Result<(), Failure> {
    let write = || -> Result<(), hound::Error> {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: SAMPLE_RATE,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(path, spec)?;
        for sample in samples {
            writer.write_sample(*sample)?;
        }
        writer.finalize()
    };
    write()
        .with_context(|| format!("failed to write {}", path.display()))
        .map_err(Failure::unavailable)
}

impl Voices {
    /// How the dialer makes the agents call.
    pub(super) fn routes(&self, output: &Output) -> BTreeMap<String, String> {
        let wav = output.agent("reminder.wav");
        let script = output.agent("call.sh");
        BTreeMap::from([
            (
                SIP_ROUTE.to_owned(),
                format!("sip:local?play={}&seconds={HOLD_SECONDS}", wav.display()),
            ),
            (
                COMMAND_ROUTE.to_owned(),
                format!("exec:{}", quoted(&script.display().to_string())),
            ),
        ])
    }

    /// Writes the command that stands for a user's own `call()` function.
    pub(super) fn write_call_script(
        &self,
        output: &Output,
        proxy: SocketAddr,
    ) -> Result<(), Failure> {
        let path = output.agent("call.sh");
        let write = || -> anyhow::Result<()> {
            let program = std::env::current_exe()?;
            let text = format!(
                "#!/bin/sh\n\
                 # Makes the survey agent call the number of a run.\n\
                 exec {} dial --proxy {proxy} --from \"$RINGDOWN_FROM\" --to \"$RINGDOWN_NUMBER\" \\\n\
                 \t--play {} --seconds {HOLD_SECONDS}\n",
                quoted(&program.display().to_string()),
                quoted(&output.agent("survey.wav").display().to_string()),
            );
            std::fs::write(&path, text)?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
            Ok(())
        };
        write()
            .with_context(|| format!("failed to write {}", path.display()))
            .map_err(Failure::unavailable)
    }
}

/// One word of a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
