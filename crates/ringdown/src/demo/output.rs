//! The folder a demo writes to.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ringdown_observer::report::Report;
use serde::Serialize;

use crate::exit::Failure;

/// Says that a demo made the folder, so that the next one may replace it.
const MARKER: &str = ".ringdown-demo";

/// The folder.
pub(super) struct Output {
    folder: PathBuf,
}

/// What was written.
#[derive(Debug, Serialize)]
pub(super) struct Files {
    html: PathBuf,
    junit: PathBuf,
    json: PathBuf,
    recordings: PathBuf,
}

impl Output {
    /// An empty folder at `path`. Replaces one that an earlier demo made, and nothing else.
    pub(super) fn prepare(path: &Path) -> Result<Self, Failure> {
        let folder = std::path::absolute(path).map_err(Failure::unavailable)?;
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries.count(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            Err(error) => {
                return Err(Failure::usage(format!(
                    "failed to use {} as output folder: {error}",
                    folder.display()
                )));
            }
        };
        if entries > 0 && !folder.join(MARKER).exists() {
            return Err(Failure::usage(format!(
                "the folder {} is not empty and no demo made it: choose another --output",
                folder.display()
            )));
        }
        let renew = || -> anyhow::Result<()> {
            if entries > 0 {
                std::fs::remove_dir_all(&folder)?;
            }
            std::fs::create_dir_all(folder.join("agents"))?;
            std::fs::write(folder.join(MARKER), "")?;
            Ok(())
        };
        renew()
            .with_context(|| format!("failed to make the output folder {}", folder.display()))
            .map_err(Failure::unavailable)?;
        Ok(Self { folder })
    }

    /// Where the platform keeps its data.
    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// A file of an agent under test.
    pub(super) fn agent(&self, name: &str) -> PathBuf {
        self.folder.join("agents").join(name)
    }

    /// Writes the reports.
    pub(super) fn write(&self, report: &Report) -> Result<Files, Failure> {
        let files = Files {
            html: self.folder.join("report.html"),
            junit: self.folder.join("junit.xml"),
            json: self.folder.join("report.json"),
            recordings: self.data().join("artefacts"),
        };
        let write = |path: &Path, text: String| {
            std::fs::write(path, text)
                .with_context(|| format!("failed to write {}", path.display()))
                .map_err(Failure::unavailable)
        };
        write(&files.html, report.html())?;
        write(&files.junit, report.junit().map_err(Failure::internal)?)?;
        write(&files.json, report.json().map_err(Failure::internal)?)?;
        Ok(files)
    }
}

impl Files {
    /// Where to look, for people.
    pub(super) fn describe(&self) -> String {
        format!(
            "Report      {}\nJUnit       {}\nJSON        {}\nRecordings  {}",
            self.html.display(),
            self.junit.display(),
            self.json.display(),
            self.recordings.display()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn only_a_demo_s_own_folder_is_replaced() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a b");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("mine.txt"), "keep").unwrap();
        let refused = Output::prepare(&path).err().unwrap();
        assert_eq!(refused.exit, Exit::Usage);
        assert!(path.join("mine.txt").exists());

        std::fs::write(path.join(MARKER), "").unwrap();
        let output = Output::prepare(&path).unwrap();
        assert!(!path.join("mine.txt").exists());
        assert!(output.agent("x").parent().unwrap().is_dir());
    }
}
