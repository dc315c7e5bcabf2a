//! A folder of WAV files, one per prompt, that any number of processes share.

use crate::SAMPLE_RATE;
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

const SPEC: hound::WavSpec = hound::WavSpec {
    channels: 1,
    sample_rate: SAMPLE_RATE,
    bits_per_sample: 16,
    sample_format: hound::SampleFormat::Int,
};

/// `None` when the prompt is not there.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<i16>>, hound::Error> {
    let file = match fs::OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // A read-only cache still serves; only its order of eviction suffers.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => fs::File::open(path)?,
        Err(error) => return Err(error.into()),
    };
    if let Err(error) = file.set_modified(SystemTime::now()) {
        tracing::debug!(%error, path = %path.display(), "failed to mark a cached prompt as used");
    }
    let reader = hound::WavReader::new(io::BufReader::new(file))?;
    if reader.spec() != SPEC || reader.len() == 0 {
        return Err(hound::Error::Unsupported);
    }
    reader.into_samples().collect::<Result<_, _>>().map(Some)
}

/// Writes beside and renames, so that a reader sees all or nothing. Returns the size of the file.
pub(crate) fn write(folder: &Path, name: &str, samples: &[i16]) -> io::Result<u64> {
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new()
        .prefix(".rendering-")
        .tempfile_in(folder)?;
    let wav = |error| match error {
        hound::Error::IoError(error) => error,
        other => io::Error::other(other),
    };
    let mut writer =
        hound::WavWriter::new(io::BufWriter::new(file.as_file_mut()), SPEC).map_err(wav)?;
    for &sample in samples {
        writer.write_sample(sample).map_err(wav)?;
    }
    writer.finalize().map_err(wav)?;
    let bytes = file.as_file().metadata()?.len();
    file.persist(folder.join(name))
        .map_err(|error| error.error)?;
    Ok(bytes)
}

/// A prompt in the folder.
pub(crate) struct Stored {
    pub(crate) used: SystemTime,
    pub(crate) bytes: u64,
    pub(crate) path: PathBuf,
}

pub(crate) fn usage(folder: &Path) -> io::Result<Vec<Stored>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "wav") {
            continue;
        }
        match entry.metadata() {
            Ok(meta) => files.push(Stored {
                used: meta.modified()?,
                bytes: meta.len(),
                path,
            }),
            // Another process pruned it in between.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(files)
}

/// Removes the least recently used prompts until nine tenths of `limit` are left, and returns what is left.
pub(crate) fn prune(folder: &Path, limit: u64) -> io::Result<u64> {
    let mut files = usage(folder)?;
    files.sort_by_key(|file| file.used);
    let mut total: u64 = files.iter().map(|file| file.bytes).sum();
    for file in files {
        if total <= limit / 10 * 9 {
            break;
        }
        match fs::remove_file(&file.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => total = total.saturating_sub(file.bytes),
        }
    }
    Ok(total)
}
