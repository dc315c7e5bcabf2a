//! The `flite` program as a subprocess: one run per prompt, text by file, a deadline, a bounded number at once.

use crate::{
    Error, SAMPLE_RATE, Synthesizer, VoiceOptions, decimate_by_two, level_dbfs, normalise,
    synthesis::prepare,
};
use async_trait::async_trait;
use std::{
    ffi::OsString,
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};
use tokio::{
    process::Command,
    sync::{OnceCell, Semaphore},
    time::timeout,
};

const ENGINE: &str = "flite";
const INSTALL: &str = "apt-get install flite";
const DEFAULT_VOICE: &str = "slt";
/// Raised when the processing after flite changes, so that cached prompts of the old kind are not used.
const REVISION: &str = "r1";
const LEVEL_DBFS: f32 = -20.0;
/// Quieter output than this is no speech: flite gives empty audio for some texts.
const AUDIBLE_DBFS: f32 = -60.0;
/// Largest WAV accepted from flite: 17 minutes at 16 kHz, far above what the longest text makes.
const MAX_OUTPUT_BYTES: u64 = 32 << 20;

/// Settings of [`Flite`].
#[derive(Debug, Clone)]
pub struct FliteOptions {
    /// Program to run: a name looked up in `PATH`, or a path.
    pub program: PathBuf,
    /// Longest time one run may take before it is killed.
    pub deadline: Duration,
    /// Longest time a prompt waits for its turn.
    pub queue_deadline: Duration,
    /// Runs at the same time, at least 1.
    pub parallel: usize,
}

impl Default for FliteOptions {
    fn default() -> Self {
        Self {
            program: PathBuf::from("flite"),
            deadline: Duration::from_secs(20),
            queue_deadline: Duration::from_secs(60),
            parallel: 2,
        }
    }
}

/// What an installed flite says about itself.
#[derive(Debug)]
struct Installed {
    version: String,
    voices: Vec<String>,
}

/// Offline text-to-speech by the `flite` program (Debian package `flite`), voice `slt` unless another is named.
///
/// Nothing is run before the first use. Output is brought to 8 kHz and about -20 dBFS. Renders on every call: wrap it in
/// [`crate::Cached`].
#[derive(Debug)]
pub struct Flite {
    options: FliteOptions,
    turns: Semaphore,
    installed: OnceCell<Installed>,
}

impl Default for Flite {
    fn default() -> Self {
        Self::new(FliteOptions::default())
    }
}

impl Flite {
    /// An engine that runs `options.program`.
    #[must_use]
    pub fn new(options: FliteOptions) -> Self {
        Self {
            turns: Semaphore::new(options.parallel.clamp(1, 1_024)),
            installed: OnceCell::new(),
            options,
        }
    }

    /// Asks the program for its version and voices, once. A failure is not remembered: flite may be installed later.
    async fn installed(&self) -> Result<&Installed, Error> {
        self.installed
            .get_or_try_init(async || {
                let about = self.run(["--version".into()]).await?;
                let version = about
                    .lines()
                    .find_map(|line| line.trim().strip_prefix("version:"))
                    .map(|version| {
                        version
                            .split('(')
                            .next()
                            .unwrap_or(version)
                            .trim()
                            .to_owned()
                    })
                    .unwrap_or_else(|| "unknown version".to_owned());
                let list = self.run(["-lv".into()]).await?;
                let voices: Vec<String> = list
                    .lines()
                    .find_map(|line| line.strip_prefix("Voices available:"))
                    .unwrap_or_default()
                    .split_whitespace()
                    .map(str::to_owned)
                    .collect();
                if voices.is_empty() {
                    return Err(Error::Engine {
                        engine: ENGINE,
                        detail: format!(
                            "`{} -lv` lists no voices; is it the flite program?",
                            self.options.program.display()
                        ),
                    });
                }
                Ok(Installed { version, voices })
            })
            .await
    }

    /// Runs the program and gives back the start of its output. The exit code is left out of the judgement: flite ends with 1
    /// after `--version` and with 0 after most mistakes.
    async fn run(&self, arguments: impl IntoIterator<Item = OsString>) -> Result<String, Error> {
        let program = &self.options.program;
        let folder = tempfile::tempdir()
            .map_err(|error| Error::io("make a folder under", std::env::temp_dir(), error))?;
        let log = folder.path().join("log");
        let log_file = fs::File::create(&log).map_err(|error| Error::io("write", &log, error))?;
        let errors = log_file
            .try_clone()
            .map_err(|error| Error::io("write", &log, error))?;
        // Output goes to a file: a pipe that nobody empties would stop the program.
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log_file)
            .stderr(errors)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => Error::MissingTool {
                    tool: program.display().to_string(),
                    install: INSTALL,
                },
                _ => Error::io("run", program, error),
            })?;
        match timeout(self.options.deadline, child.wait()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(Error::io("wait for", program, error)),
            Err(_) => {
                // SIGKILL cannot be refused, so this wait is short; without it the dead process would linger.
                if let Err(error) = child.kill().await {
                    tracing::warn!(%error, "failed to kill flite after its deadline");
                }
                return Err(Error::Deadline {
                    engine: ENGINE,
                    after: self.options.deadline,
                });
            }
        }
        let mut said = Vec::new();
        fs::File::open(&log)
            .and_then(|file| file.take(4_096).read_to_end(&mut said))
            .map_err(|error| Error::io("read", &log, error))?;
        Ok(String::from_utf8_lossy(&said).into_owned())
    }

    async fn render(&self, text: &str, voice: &str, speed: f32) -> Result<Vec<i16>, Error> {
        let _turn = timeout(self.options.queue_deadline, self.turns.acquire())
            .await
            .ok()
            .and_then(Result::ok)
            .ok_or(Error::Busy {
                engine: ENGINE,
                after: self.options.queue_deadline,
            })?;
        let folder = tempfile::tempdir()
            .map_err(|error| Error::io("make a folder under", std::env::temp_dir(), error))?;
        let (input, output) = (folder.path().join("text"), folder.path().join("speech.wav"));
        fs::write(&input, text).map_err(|error| Error::io("write", &input, error))?;
        let arguments: [OsString; 8] = [
            "-voice".into(),
            voice.into(),
            "--setf".into(),
            format!("duration_stretch={:.3}", 1.0 / speed).into(),
            "-f".into(),
            input.into(),
            "-o".into(),
            output.clone().into(),
        ];
        let said = self.run(arguments).await?;
        // The folder travels with the work: it must outlive the reading even when this future is dropped.
        tokio::task::spawn_blocking(move || {
            let _folder = folder;
            finish(&output, said.trim())
        })
        .await
        .map_err(|error| Error::Engine {
            engine: ENGINE,
            detail: format!("reading its output stopped: {error}"),
        })?
    }
}

/// Reads what flite wrote and brings it to the interface's rate and level.
fn finish(path: &Path, said: &str) -> Result<Vec<i16>, Error> {
    let engine = |detail: String| Error::Engine {
        engine: ENGINE,
        detail,
    };
    let bytes = match fs::metadata(path) {
        Ok(meta) => meta.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(engine(format!(
                "it wrote no audio and said: {}",
                said.chars().take(300).collect::<String>()
            )));
        }
        Err(error) => return Err(Error::io("read", path, error)),
    };
    if bytes > MAX_OUTPUT_BYTES {
        return Err(engine(format!(
            "it wrote {bytes} bytes, more than {MAX_OUTPUT_BYTES}; shorten the prompt"
        )));
    }
    let wav = |error: hound::Error| engine(format!("its output is no usable WAV: {error}"));
    let mut bytes = fs::read(path).map_err(|error| Error::io("read", path, error))?;
    repair(&mut bytes);
    let reader = hound::WavReader::new(bytes.as_slice()).map_err(wav)?;
    let spec = reader.spec();
    if spec.channels != 1
        || spec.bits_per_sample != 16
        || spec.sample_format != hound::SampleFormat::Int
    {
        return Err(engine(format!("its output is not 16-bit mono: {spec:?}")));
    }
    let samples = reader
        .into_samples::<i16>()
        .collect::<Result<Vec<_>, _>>()
        .map_err(wav)?;
    let mut samples = match spec.sample_rate {
        SAMPLE_RATE => samples,
        16_000 => decimate_by_two(&samples),
        rate => {
            return Err(engine(format!(
                "its output is at {rate} Hz; choose a voice at 8,000 or 16,000 Hz"
            )));
        }
    };
    if level_dbfs(&samples) < AUDIBLE_DBFS {
        return Err(engine(
            "it gave silence for this text; it speaks English only".to_owned(),
        ));
    }
    normalise(&mut samples, LEVEL_DBFS);
    Ok(samples)
}

/// flite 2.2 writes the byte rate of a 16 kHz file (offset 28) also for its 8 kHz voices when it reads the text from a file.
fn repair(wav: &mut [u8]) {
    let rate = wav
        .get(24..28)
        .and_then(|rate| rate.try_into().ok())
        .map(u32::from_le_bytes);
    if let (Some(rate), Some(byte_rate)) = (rate, wav.get_mut(28..32)) {
        byte_rate.copy_from_slice(&rate.saturating_mul(2).to_le_bytes());
    }
}

#[async_trait]
impl Synthesizer for Flite {
    async fn identity(&self) -> Result<String, Error> {
        Ok(format!("{} {REVISION}", self.installed().await?.version))
    }

    async fn synthesize(&self, text: &str, voice: &VoiceOptions) -> Result<Arc<[i16]>, Error> {
        voice.validate()?;
        let text = prepare(text)?;
        let installed = self.installed().await?;
        let name = voice.voice.as_deref().unwrap_or(DEFAULT_VOICE);
        // flite itself falls back to another voice without a word.
        if !installed.voices.iter().any(|voice| voice == name) {
            return Err(Error::UnknownVoice {
                engine: ENGINE,
                voice: name.to_owned(),
                available: installed.voices.join(" "),
            });
        }
        let samples = self.render(&text, name, voice.speed).await?;
        tracing::debug!(
            voice = name,
            chars = text.chars().count(),
            samples = samples.len(),
            "spoke a prompt"
        );
        Ok(samples.into())
    }

    async fn probe(&self) -> Result<(), Error> {
        self.synthesize("ready", &VoiceOptions::default())
            .await
            .map(drop)
    }
}
