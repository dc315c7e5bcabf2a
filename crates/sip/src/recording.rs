//! Recordings: stereo WAV, 8 kHz, 16 bit, left is what was received and right what was sent.
//!
//! One thread per endpoint writes the files of all calls, so that a slow disk delays no audio. What it
//! has not written yet is bounded; a recording that would exceed the bound ends with an error.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::watch;

use crate::{Error, SAMPLE_RATE};

/// Samples (both channels) that may wait for the disk over all calls: 64 MB.
const MAX_QUEUED: usize = 32 << 20;
/// After how many chunks the header on disk is brought up to date, so that a crash loses little: 5 s.
const CHUNKS_PER_HEADER: u32 = 10;

/// Why a recording ended early. The call it belongs to goes on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// The file could not be created.
    #[error("create {path}: {reason}; check that the folder exists and is writable")]
    Create {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A write failed.
    #[error("write {path}: {reason}; check the free space")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The disk does not keep up.
    #[error(
        "record: the disk does not keep up with the calls; record fewer calls or use a faster disk"
    )]
    TooSlow,
    /// The writer is gone: the endpoint was shut down.
    #[error("record: the endpoint was shut down")]
    Stopped,
}

/// A complete recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingSummary {
    /// The file.
    pub path: PathBuf,
    /// What it covers, from the answer to the end of the call, in steps of 20 ms.
    pub duration: Duration,
}

/// A recording in progress or finished. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Recording {
    path: PathBuf,
    status: watch::Receiver<Option<Result<RecordingSummary, RecordingError>>>,
}

impl Recording {
    /// The file being written.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Waits until the file is complete, its header included. Cancel-safe.
    ///
    /// # Errors
    /// Why the recording ended early; the file may hold what came before.
    pub async fn finished(&self) -> Result<RecordingSummary, RecordingError> {
        let mut status = self.status.clone();
        match status.wait_for(Option::is_some).await {
            Ok(status) => status.clone().unwrap_or(Err(RecordingError::Stopped)),
            Err(_) => Err(RecordingError::Stopped),
        }
    }

    /// Why the recording ended early, if it did.
    #[must_use]
    pub fn error(&self) -> Option<RecordingError> {
        self.status
            .borrow()
            .as_ref()
            .and_then(|status| status.as_ref().err().cloned())
    }
}

enum Order {
    Open {
        id: u64,
        path: PathBuf,
        status: watch::Sender<Option<Result<RecordingSummary, RecordingError>>>,
        failed: Arc<AtomicBool>,
    },
    Samples {
        id: u64,
        samples: Vec<i16>,
    },
    Close {
        id: u64,
        error: Option<RecordingError>,
    },
}

/// The handle of the writer thread.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    orders: mpsc::Sender<Order>,
    queued: Arc<AtomicUsize>,
    next_id: Arc<AtomicUsize>,
}

/// The media clock's end of one recording. Dropping it closes the file.
#[derive(Debug)]
pub(crate) struct Feed {
    id: u64,
    orders: mpsc::Sender<Order>,
    queued: Arc<AtomicUsize>,
    failed: Arc<AtomicBool>,
}

impl Recorder {
    pub(crate) fn start() -> Result<Self, Error> {
        let (orders, inbox) = mpsc::channel();
        let queued = Arc::new(AtomicUsize::new(0));
        let drained = Arc::clone(&queued);
        std::thread::Builder::new()
            .name("ringdown-wav".to_owned())
            .spawn(move || write(&inbox, &drained))
            .map_err(|source| Error::Thread {
                name: "ringdown-wav",
                source,
            })?;
        Ok(Self {
            orders,
            queued,
            next_id: Arc::default(),
        })
    }

    /// Begins a recording. Failing to create the file shows in [`Recording::finished`].
    pub(crate) fn open(&self, path: PathBuf) -> (Recording, Feed) {
        let id = u64::try_from(self.next_id.fetch_add(1, Ordering::Relaxed)).unwrap_or_default();
        let (status, watching) = watch::channel(None);
        let failed = Arc::new(AtomicBool::new(false));
        let order = Order::Open {
            id,
            path: path.clone(),
            status,
            failed: Arc::clone(&failed),
        };
        // If the thread is gone the status sender is dropped with the order, which the reader sees as `Stopped`.
        let _ = self.orders.send(order);
        let feed = Feed {
            id,
            orders: self.orders.clone(),
            queued: Arc::clone(&self.queued),
            failed,
        };
        (
            Recording {
                path,
                status: watching,
            },
            feed,
        )
    }
}

impl Feed {
    /// Hands over interleaved samples. Never waits.
    pub(crate) fn push(&self, samples: Vec<i16>) {
        if samples.is_empty() || self.failed.load(Ordering::Relaxed) {
            return;
        }
        let count = samples.len();
        if self.queued.fetch_add(count, Ordering::Relaxed) + count > MAX_QUEUED {
            self.queued.fetch_sub(count, Ordering::Relaxed);
            self.failed.store(true, Ordering::Relaxed);
            let _ = self.orders.send(Order::Close {
                id: self.id,
                error: Some(RecordingError::TooSlow),
            });
        } else if self
            .orders
            .send(Order::Samples {
                id: self.id,
                samples,
            })
            .is_err()
        {
            self.failed.store(true, Ordering::Relaxed);
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let _ = self.orders.send(Order::Close {
            id: self.id,
            error: None,
        });
    }
}

struct OpenFile {
    path: PathBuf,
    writer: hound::WavWriter<BufWriter<File>>,
    status: watch::Sender<Option<Result<RecordingSummary, RecordingError>>>,
    failed: Arc<AtomicBool>,
    chunks: u32,
}

fn write(inbox: &mpsc::Receiver<Order>, queued: &AtomicUsize) {
    let mut files: HashMap<u64, OpenFile> = HashMap::new();
    while let Ok(order) = inbox.recv() {
        match order {
            Order::Open {
                id,
                path,
                status,
                failed,
            } => match create(&path) {
                Ok(writer) => {
                    files.insert(
                        id,
                        OpenFile {
                            path,
                            writer,
                            status,
                            failed,
                            chunks: 0,
                        },
                    );
                }
                Err(reason) => {
                    failed.store(true, Ordering::Relaxed);
                    tracing::warn!(path = %path.display(), %reason, "a recording could not be created");
                    status.send_replace(Some(Err(RecordingError::Create { path, reason })));
                }
            },
            Order::Samples { id, samples } => {
                queued.fetch_sub(samples.len(), Ordering::Relaxed);
                let failure = files
                    .get_mut(&id)
                    .and_then(|file| file.append(&samples).err());
                if let Some(error) = failure
                    && let Some(file) = files.remove(&id)
                {
                    let path = file.path.clone();
                    file.close(Some(RecordingError::Write {
                        path,
                        reason: error.to_string(),
                    }));
                }
            }
            Order::Close { id, error } => {
                if let Some(file) = files.remove(&id) {
                    file.close(error);
                }
            }
        }
    }
    for (_, file) in files {
        file.close(None);
    }
}

fn create(path: &std::path::Path) -> Result<hound::WavWriter<BufWriter<File>>, String> {
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    }
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: SAMPLE_RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    hound::WavWriter::create(path, spec).map_err(|error| error.to_string())
}

impl OpenFile {
    fn append(&mut self, samples: &[i16]) -> hound::Result<()> {
        let count = u32::try_from(samples.len()).unwrap_or(u32::MAX);
        let mut chunk = self.writer.get_i16_writer(count);
        for sample in samples {
            chunk.write_sample(*sample);
        }
        chunk.flush()?;
        self.chunks += 1;
        if self.chunks.is_multiple_of(CHUNKS_PER_HEADER) {
            self.writer.flush()?;
        }
        Ok(())
    }

    fn close(self, error: Option<RecordingError>) {
        let frames = self.writer.duration();
        let finished = self.writer.finalize();
        let result = match (error, finished) {
            (Some(error), _) => Err(error),
            (None, Err(error)) => Err(RecordingError::Write {
                path: self.path,
                reason: error.to_string(),
            }),
            (None, Ok(())) => Ok(RecordingSummary {
                path: self.path,
                duration: Duration::from_secs(u64::from(frames)) / SAMPLE_RATE,
            }),
        };
        if let Err(error) = &result {
            self.failed.store(true, Ordering::Relaxed);
            tracing::warn!(%error, "a recording ended early");
        }
        self.status.send_replace(Some(result));
    }
}
