//! Recordings on their way from the SIP endpoint to the artefacts.
//!
//! Each running testing agent owns one locked folder for recordings in progress. A folder nobody
//! holds the lock of was left by a crash; what is in it cannot be attributed to an end of a call any
//! more, so it is set aside for a human to look at, and bounded.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use tracing::{info, warn};

/// Why a recording was not stored.
pub type SinkError = Box<dyn std::error::Error + Send + Sync>;

/// Where finished recordings go.
#[async_trait]
pub trait RecordingSink: Send + Sync {
    /// Keeps the content of `file` under `key`, replacing what was there. The file is removed
    /// afterwards. Storing the same file again must be harmless.
    ///
    /// # Errors
    /// Why it could not be stored; it is tried again a few times.
    async fn store(&self, key: &str, file: &Path) -> Result<(), SinkError>;
}

const LOCK: &str = "lock";
const IN_PROGRESS: &str = "in-progress-";
const SET_ASIDE: &str = "set-aside";
/// Recordings set aside that are kept; the oldest go first.
const MAX_SET_ASIDE: usize = 100;

/// The folder of this testing agent's recordings in progress. Removed when dropped.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    folder: PathBuf,
    _lock: File,
}

impl Workspace {
    /// Makes the folder and clears up after testing agents that crashed. Blocks on the disk.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(root)?;
        // Held while folders appear and disappear, so that no one clears up a folder in the making.
        let gate = File::create(root.join(LOCK))?;
        gate.lock()?;
        clear_up(root)?;
        let folder = root.join(format!("{IN_PROGRESS}{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&folder)?;
        let lock = File::create(folder.join(LOCK))?;
        lock.lock()?;
        Ok(Self {
            root: root.to_owned(),
            folder,
            _lock: lock,
        })
    }

    /// The file a call is recorded to.
    pub(crate) fn file(&self, call_id: &str) -> PathBuf {
        self.folder.join(format!("{call_id}.wav"))
    }

    /// Removes a recording that is stored. Blocks on the disk.
    pub(crate) fn remove(&self, file: &Path) {
        match std::fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                warn!(file = %file.display(), %error, "cannot remove a recording that is stored; remove it by hand");
            }
            _ => {}
        }
    }

    /// Keeps a recording that could not be stored. Blocks on the disk.
    pub(crate) fn set_aside(&self, file: &Path) {
        if let Err(error) = set_aside(&self.root, file)
            && error.kind() != io::ErrorKind::NotFound
        {
            warn!(file = %file.display(), %error, "cannot set a recording aside");
        }
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            warn!(folder = %self.folder.display(), %error, "cannot remove the folder of recordings in progress");
        }
    }
}

fn clear_up(root: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(root)? {
        let folder = entry?.path();
        let ours = folder
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with(IN_PROGRESS));
        if !ours || !folder.is_dir() {
            continue;
        }
        let lock = File::create(folder.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => {}
            // A testing agent that runs beside us.
            Err(TryLockError::WouldBlock) => continue,
            Err(TryLockError::Error(error)) => return Err(error),
        }
        for entry in std::fs::read_dir(&folder)? {
            let file = entry?.path();
            if file.extension().is_some_and(|extension| extension == "wav") {
                let kept = set_aside(root, &file)?;
                warn!(
                    file = %kept.display(),
                    "a testing agent ended without storing this recording; it was set aside"
                );
            }
        }
        std::fs::remove_dir_all(&folder)?;
    }
    trim(&root.join(SET_ASIDE))
}

fn set_aside(root: &Path, file: &Path) -> io::Result<PathBuf> {
    let folder = root.join(SET_ASIDE);
    std::fs::create_dir_all(&folder)?;
    let kept = folder.join(file.file_name().unwrap_or_default());
    std::fs::rename(file, &kept)?;
    trim(&folder)?;
    Ok(kept)
}

/// Removes the oldest recordings beyond the bound. Their names are UUIDv7, which sort by age.
fn trim(folder: &Path) -> io::Result<()> {
    let mut files = match std::fs::read_dir(folder) {
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<Vec<_>>>()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    files.sort();
    let surplus = files.len().saturating_sub(MAX_SET_ASIDE);
    for file in files.into_iter().take(surplus) {
        info!(file = %file.display(), "removing the oldest recording that was set aside");
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(root: &Path) -> usize {
        std::fs::read_dir(root)
            .unwrap()
            .filter(|entry| {
                let name = entry.as_ref().unwrap().file_name();
                name.to_string_lossy().starts_with(IN_PROGRESS)
            })
            .count()
    }

    #[test]
    fn recordings_of_a_crash_are_set_aside_and_those_of_a_neighbour_are_left_alone() {
        let root = tempfile::Builder::new()
            .prefix("with space ")
            .tempdir()
            .unwrap();
        let crashed = root.path().join("in-progress-crashed");
        std::fs::create_dir(&crashed).unwrap();
        std::fs::write(crashed.join("lost.wav"), "audio").unwrap();

        let first = Workspace::open(root.path()).unwrap();
        assert!(!crashed.exists());
        assert!(root.path().join("set-aside/lost.wav").is_file());

        let in_progress = first.file("call");
        std::fs::write(&in_progress, "audio").unwrap();
        let second = Workspace::open(root.path()).unwrap();
        assert!(in_progress.is_file(), "a neighbour's recording was taken");
        assert_eq!(folders(root.path()), 2);
        drop((first, second));
        assert_eq!(folders(root.path()), 0);
    }

    #[test]
    fn what_is_set_aside_is_bounded_and_the_oldest_go_first() {
        let root = tempfile::tempdir().unwrap();
        let workspace = Workspace::open(root.path()).unwrap();
        for number in 0..MAX_SET_ASIDE + 3 {
            let file = workspace.file(&format!("{number:04}"));
            std::fs::write(&file, "audio").unwrap();
            workspace.set_aside(&file);
        }
        let kept = root.path().join(SET_ASIDE);
        assert_eq!(std::fs::read_dir(&kept).unwrap().count(), MAX_SET_ASIDE);
        assert!(!kept.join("0002.wav").exists() && kept.join("0003.wav").exists());
    }
}
