//! `ringdown backup` and `ringdown restore`: everything the platform knows in one file, a gzipped tar of
//! a manifest, of rows as JSON and of the artefacts. A backup of SQLite can be restored into PostgreSQL
//! and the other way round.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read as _, Write};
use std::path::Path;

use anyhow::Context as _;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use indicatif::ProgressBar;
use ringdown_bus::now;
use ringdown_store::{Artefacts, Database, Error as StoreError, SCHEMA};
use serde::{Deserialize, Serialize};
use tokio::task::block_in_place;

use crate::cli::Format;
use crate::config::Config;
use crate::exit::{Exit, Failure, Outcome};
use crate::{print, roles};

/// Largest portion of rows that is read back into memory, in bytes.
const LARGEST_PORTION: u64 = 1 << 30;

const MANIFEST: &str = "manifest.json";
const ROWS: &str = "rows/";
const ARTEFACTS: &str = "artefacts/";

/// What the file says of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    product: String,
    version: String,
    schema: u32,
    created_at_us: i64,
}

/// What was written or read.
#[derive(Debug, Default, Serialize)]
struct Summary {
    rows: u64,
    artefacts: u64,
}

impl Summary {
    fn show(&self, what: &str, file: &Path, format: Format) -> Outcome {
        match format {
            Format::Json => print::json(self)?,
            Format::Human => print::line(&format!(
                "{what} {}: {} rows, {} artefacts",
                file.display(),
                self.rows,
                self.artefacts
            ))?,
        }
        Ok(Exit::Success)
    }
}

struct Archive(tar::Builder<GzEncoder<BufWriter<File>>>);

impl Archive {
    fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create_new(path)?;
        let file = GzEncoder::new(BufWriter::new(file), flate2::Compression::fast());
        Ok(Self(tar::Builder::new(file)))
    }

    fn add(&mut self, name: &str, content: &[u8]) -> anyhow::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(content.len())?);
        // What is inside speaks of calls and people: only its owner reads it once it is unpacked.
        header.set_mode(0o600);
        block_in_place(|| self.0.append_data(&mut header, name, content))?;
        Ok(())
    }

    fn finish(self) -> anyhow::Result<()> {
        block_in_place(|| {
            let mut file = self.0.into_inner()?.finish()?;
            file.flush()?;
            file.get_ref().sync_all()?;
            Ok(())
        })
    }
}

pub(crate) async fn backup(config: &Config, file: &Path, format: Format) -> Outcome {
    let store = roles::open_database(config).await?;
    let artefacts = roles::open_artefacts(config)?;
    let written = write(&store, &artefacts, file).await;
    store.close().await;
    let summary = match written {
        Ok(summary) => summary,
        Err(error) => {
            // Half a backup is worse than none: somebody might rely on it.
            if !is_already_there(&error) {
                let _ = std::fs::remove_file(file);
            }
            let error = error.context(format!("failed to write {}", file.display()));
            return Err(Failure::unavailable(error));
        }
    };
    summary.show("wrote", file, format)
}

fn is_already_there(error: &anyhow::Error) -> bool {
    let kind = error
        .downcast_ref::<std::io::Error>()
        .map(std::io::Error::kind);
    kind == Some(std::io::ErrorKind::AlreadyExists)
}

async fn write(store: &Database, artefacts: &Artefacts, file: &Path) -> anyhow::Result<Summary> {
    let mut archive = Archive::create(file)?;
    let manifest = Manifest {
        product: "ringdown".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        schema: SCHEMA,
        created_at_us: now().as_micros(),
    };
    archive.add(MANIFEST, &serde_json::to_vec_pretty(&manifest)?)?;
    let progress = ProgressBar::new_spinner();
    let mut summary = Summary::default();
    let mut export = store.export().await?;
    let mut portion = 0u64;
    while let Some(rows) = export.next().await? {
        summary.rows += u64::try_from(rows.rows.len())?;
        progress.set_message(format!("{} rows, {}", summary.rows, rows.table));
        let name = format!("{ROWS}{portion:08}-{}.ndjson", rows.table);
        archive.add(&name, rows.rows.join("\n").as_bytes())?;
        portion += 1;
    }
    for key in artefacts.list().await? {
        let content = match artefacts.get(&key).await {
            Ok(content) => content,
            // Deleted by retention since it was listed.
            Err(StoreError::NotFound { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        archive.add(&format!("{ARTEFACTS}{key}"), &content)?;
        summary.artefacts += 1;
        progress.set_message(format!("{} artefacts", summary.artefacts));
    }
    archive.finish()?;
    progress.finish_and_clear();
    Ok(summary)
}

pub(crate) async fn restore(config: &Config, file: &Path, format: Format) -> Outcome {
    let _lock = roles::lock_platform(config)?;
    let opened = File::open(file)
        .map_err(|error| Failure::usage(format!("failed to read {}: {error}", file.display())))?;
    let store = roles::open_database(config).await?;
    let artefacts = roles::open_artefacts(config)?;
    let restored = read(&store, &artefacts, opened).await;
    store.close().await;
    let summary = restored
        .with_context(|| format!("failed to restore {}", file.display()))
        .map_err(Failure::unavailable)?;
    summary.show("restored", file, format)
}

async fn read(store: &Database, artefacts: &Artefacts, file: File) -> anyhow::Result<Summary> {
    let mut archive = tar::Archive::new(GzDecoder::new(BufReader::new(file)));
    let mut entries = block_in_place(|| archive.entries())?;
    let mut import = store.import().await?;
    let progress = ProgressBar::new_spinner();
    let mut summary = Summary::default();
    let mut manifest = None;
    while let Some(entry) = block_in_place(|| entries.next()) {
        let mut entry = entry?;
        let name = entry.path()?.to_string_lossy().into_owned();
        let size = entry.size();
        anyhow::ensure!(
            size <= LARGEST_PORTION,
            "{name} has {size} bytes, which no backup has"
        );
        let mut content = Vec::with_capacity(usize::try_from(size)?);
        block_in_place(|| entry.read_to_end(&mut content))?;
        if name == MANIFEST {
            manifest = Some(checked(&content)?);
            continue;
        }
        anyhow::ensure!(
            manifest.is_some(),
            "it does not begin with {MANIFEST}: `ringdown backup` did not write it"
        );
        if let Some(rows) = name.strip_prefix(ROWS) {
            let table = rows.trim_end_matches(".ndjson");
            let table = table.split_once('-').map_or(table, |(_, table)| table);
            let rows: Vec<String> = String::from_utf8(content)?
                .lines()
                .map(str::to_owned)
                .collect();
            import.store(table, &rows).await?;
            summary.rows += u64::try_from(rows.len())?;
            progress.set_message(format!("{} rows, {table}", summary.rows));
        } else if let Some(key) = name.strip_prefix(ARTEFACTS) {
            artefacts.put(key, content.into()).await?;
            summary.artefacts += 1;
            progress.set_message(format!("{} artefacts", summary.artefacts));
        } else {
            anyhow::bail!("{name} is nothing that a backup holds");
        }
    }
    anyhow::ensure!(manifest.is_some(), "it is empty");
    import.finish().await?;
    progress.finish_and_clear();
    Ok(summary)
}

fn checked(content: &[u8]) -> anyhow::Result<Manifest> {
    let manifest: Manifest =
        serde_json::from_slice(content).context("its manifest is unreadable")?;
    anyhow::ensure!(
        manifest.schema == SCHEMA,
        "it was written by version {} with schema {}, this is schema {SCHEMA}: restore it with that \
         version, then upgrade",
        manifest.version,
        manifest.schema
    );
    Ok(manifest)
}
