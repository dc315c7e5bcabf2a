//! Rendered prompts in memory and on disk.

use crate::{
    Error, Synthesizer, VoiceOptions,
    disk::{prune, read, usage, write},
    synthesis::prepare,
};
use async_trait::async_trait;
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use tokio::time::timeout;

/// Settings of [`Cached`].
#[derive(Debug, Clone)]
pub struct CacheOptions {
    /// Folder of the rendered prompts, made when missing; `None` keeps them in memory only. Several processes may share it.
    pub folder: Option<PathBuf>,
    /// Bytes of audio kept in memory; the least recently used go first.
    pub memory_bytes: usize,
    /// Bytes of audio kept in the folder; the least recently used go first.
    pub disk_bytes: u64,
    /// Longest time one request waits for another that renders the same prompt.
    pub wait: Duration,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            folder: None,
            memory_bytes: 64 << 20,
            disk_bytes: 1 << 30,
            wait: Duration::from_secs(90),
        }
    }
}

/// A synthesizer that renders each prompt once: by memory, then by disk, then by the engine inside. Requests for the same prompt
/// at the same time wait for one rendering. Prompts are keyed by SHA-256 over engine, version, options and text.
///
/// Trouble with the folder is logged and costs time only: the audio is rendered again.
#[derive(Debug)]
pub struct Cached<S> {
    inner: S,
    options: CacheOptions,
    memory: Mutex<Memory>,
    rendering: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
    /// Bytes in the folder as far as this process knows; `None` before the first look.
    on_disk: Arc<Mutex<Option<u64>>>,
}

impl<S: Synthesizer> Cached<S> {
    /// Caches what `inner` renders.
    #[must_use]
    pub fn new(inner: S, options: CacheOptions) -> Self {
        Self {
            inner,
            memory: Mutex::new(Memory::new(options.memory_bytes)),
            options,
            rendering: Mutex::default(),
            on_disk: Arc::default(),
        }
    }

    /// The engine inside.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    async fn key(&self, text: &str, voice: &VoiceOptions) -> Result<String, Error> {
        let speed = format!("{:.3}", voice.speed);
        let identity = self.inner.identity().await?;
        let mut hash = Sha256::new();
        for part in [
            identity.as_str(),
            voice.voice.as_deref().unwrap_or_default(),
            speed.as_str(),
            text,
        ] {
            // Lengths keep neighbouring parts apart.
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        Ok(hash
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect())
    }

    /// The lock of whoever renders `key` now.
    fn lock_of(&self, key: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut rendering = lock(&self.rendering);
        rendering.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = rendering.get(key).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::new(tokio::sync::Mutex::new(()));
        rendering.insert(key.to_owned(), Arc::downgrade(&lock));
        lock
    }

    async fn load(&self, key: &str) -> Option<Arc<[i16]>> {
        let path = self.options.folder.as_deref()?.join(format!("{key}.wav"));
        let read = tokio::task::spawn_blocking(move || (read(&path), path)).await;
        match read {
            Ok((Ok(samples), _)) => samples.map(Arc::from),
            Ok((Err(error), path)) => {
                tracing::warn!(%error, path = %path.display(), "failed to read a cached prompt; rendering it again");
                None
            }
            Err(error) => {
                tracing::warn!(%error, "failed to read a cached prompt; rendering it again");
                None
            }
        }
    }

    async fn keep(&self, key: &str, samples: Arc<[i16]>) {
        let Some(folder) = self.options.folder.clone() else {
            return;
        };
        let (name, limit, on_disk) = (
            format!("{key}.wav"),
            self.options.disk_bytes,
            Arc::clone(&self.on_disk),
        );
        let shown = folder.display().to_string();
        let written = tokio::task::spawn_blocking(move || {
            let bytes = write(&folder, &name, &samples)?;
            let mut known = lock(&on_disk);
            let total = match *known {
                Some(total) => total.saturating_add(bytes),
                None => usage(&folder)?.iter().map(|file| file.bytes).sum(),
            };
            *known = Some(if total > limit {
                prune(&folder, limit)?
            } else {
                total
            });
            io::Result::Ok(())
        })
        .await;
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, folder = shown, "failed to keep a prompt on disk; check space and permissions");
            }
            Err(error) => tracing::warn!(%error, folder = shown, "failed to keep a prompt on disk"),
        }
    }
}

#[async_trait]
impl<S: Synthesizer> Synthesizer for Cached<S> {
    async fn identity(&self) -> Result<String, Error> {
        self.inner.identity().await
    }

    async fn synthesize(&self, text: &str, voice: &VoiceOptions) -> Result<Arc<[i16]>, Error> {
        voice.validate()?;
        let text = prepare(text)?;
        let key = self.key(&text, voice).await?;
        if let Some(samples) = lock(&self.memory).get(&key) {
            return Ok(samples);
        }
        let rendering = self.lock_of(&key);
        let _rendering = timeout(self.options.wait, rendering.lock())
            .await
            .map_err(|_| Error::Busy {
                engine: "the prompt cache",
                after: self.options.wait,
            })?;
        if let Some(samples) = lock(&self.memory).get(&key) {
            return Ok(samples);
        }
        let samples = match self.load(&key).await {
            Some(samples) => samples,
            None => {
                let samples = self.inner.synthesize(&text, voice).await?;
                self.keep(&key, Arc::clone(&samples)).await;
                samples
            }
        };
        lock(&self.memory).put(key, Arc::clone(&samples));
        Ok(samples)
    }

    async fn probe(&self) -> Result<(), Error> {
        self.inner.probe().await
    }
}

/// Nothing here is left half done by a panic elsewhere, so a poisoned lock is usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Least recently used audio by key, bounded by bytes.
#[derive(Debug)]
struct Memory {
    limit: usize,
    bytes: usize,
    clock: u64,
    entries: HashMap<String, (u64, Arc<[i16]>)>,
    by_use: BTreeMap<u64, String>,
}

impl Memory {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            bytes: 0,
            clock: 0,
            entries: HashMap::new(),
            by_use: BTreeMap::new(),
        }
    }

    fn get(&mut self, key: &str) -> Option<Arc<[i16]>> {
        let (used, samples) = self.entries.get_mut(key)?;
        self.clock += 1;
        self.by_use.remove(used);
        self.by_use.insert(self.clock, key.to_owned());
        *used = self.clock;
        Some(Arc::clone(samples))
    }

    fn put(&mut self, key: String, samples: Arc<[i16]>) {
        let size = size_of_val(&*samples);
        if size > self.limit {
            return;
        }
        self.clock += 1;
        self.bytes += size;
        self.by_use.insert(self.clock, key.clone());
        if let Some((used, old)) = self.entries.insert(key, (self.clock, samples)) {
            self.by_use.remove(&used);
            self.bytes -= size_of_val(&*old);
        }
        while self.bytes > self.limit {
            let Some((_, key)) = self.by_use.pop_first() else {
                return;
            };
            if let Some((_, old)) = self.entries.remove(&key) {
                self.bytes -= size_of_val(&*old);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tone;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::{fs, path::Path};

    /// Counts renderings and takes long enough for requests to meet.
    #[derive(Debug, Default)]
    struct Counting(AtomicUsize);

    #[async_trait]
    impl Synthesizer for Counting {
        async fn identity(&self) -> Result<String, Error> {
            Ok("counting".into())
        }
        async fn synthesize(&self, text: &str, voice: &VoiceOptions) -> Result<Arc<[i16]>, Error> {
            self.0.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Tone.synthesize(text, voice).await
        }
        async fn probe(&self) -> Result<(), Error> {
            Ok(())
        }
    }

    fn on(folder: &Path) -> CacheOptions {
        CacheOptions {
            folder: Some(folder.join("with a space")),
            ..CacheOptions::default()
        }
    }

    #[tokio::test]
    async fn requests_at_the_same_time_render_once() {
        let cached = Arc::new(Cached::new(Counting::default(), CacheOptions::default()));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let cached = Arc::clone(&cached);
            tasks.spawn(async move {
                cached
                    .synthesize("the same prompt", &VoiceOptions::default())
                    .await
                    .unwrap()
            });
        }
        let all = tasks.join_all().await;
        assert!(all.windows(2).all(|pair| pair[0] == pair[1]));
        assert_eq!(cached.inner().0.load(Ordering::SeqCst), 1);
        cached
            .synthesize("another prompt", &VoiceOptions::default())
            .await
            .unwrap();
        assert_eq!(cached.inner().0.load(Ordering::SeqCst), 2);
        assert!(
            lock(&cached.rendering).len() <= 1,
            "finished renderings are forgotten"
        );
    }

    #[tokio::test]
    async fn the_disk_outlives_the_process_and_damage_is_repaired() {
        let folder = tempfile::tempdir().unwrap();
        let voice = VoiceOptions::default();
        let audio = Cached::new(Counting::default(), on(folder.path()))
            .synthesize("kept", &voice)
            .await
            .unwrap();

        let second = Cached::new(Counting::default(), on(folder.path()));
        assert_eq!(second.synthesize("kept", &voice).await.unwrap(), audio);
        assert_eq!(second.inner().0.load(Ordering::SeqCst), 0);

        let file = usage(&folder.path().join("with a space"))
            .unwrap()
            .remove(0)
            .path;
        for damage in [
            b"RIFF".to_vec(),
            Vec::new(),
            fs::read(&file).unwrap()[..100].to_vec(),
        ] {
            fs::write(&file, damage).unwrap();
            let third = Cached::new(Counting::default(), on(folder.path()));
            assert_eq!(third.synthesize("kept", &voice).await.unwrap(), audio);
            assert_eq!(third.inner().0.load(Ordering::SeqCst), 1);
        }
        assert_eq!(
            read(&file).unwrap().unwrap(),
            *audio,
            "the damaged file was replaced"
        );
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_used_costs_only_time() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let cached = Cached::new(Counting::default(), on(&file));
        assert!(
            !cached
                .synthesize("spoken", &VoiceOptions::default())
                .await
                .unwrap()
                .is_empty()
        );
    }

    #[tokio::test]
    async fn memory_and_disk_stay_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let options = CacheOptions {
            memory_bytes: 10_000,
            disk_bytes: 20_000,
            ..on(folder.path())
        };
        let cached = Cached::new(Counting::default(), options.clone());
        for n in 0..20 {
            cached
                .synthesize(&format!("prompt{n}"), &VoiceOptions::default())
                .await
                .unwrap();
        }
        assert!(lock(&cached.memory).bytes <= 10_000);
        assert!(lock(&cached.memory).entries.len() == 2 && lock(&cached.memory).by_use.len() == 2);
        let bytes: u64 = usage(&options.folder.unwrap())
            .unwrap()
            .iter()
            .map(|file| file.bytes)
            .sum();
        assert!(bytes <= 20_000 && bytes > 0, "{bytes}");
    }

    #[tokio::test]
    async fn options_and_text_tell_prompts_apart() {
        let cached = Cached::new(Counting::default(), CacheOptions::default());
        let base = VoiceOptions::default();
        let other = VoiceOptions {
            voice: Some("ab".into()),
            speed: 1.0,
        };
        let fast = VoiceOptions {
            speed: 1.2,
            ..base.clone()
        };
        let mut keys = Vec::new();
        for (text, voice) in [
            ("a b", &base),
            ("a c", &base),
            ("a b", &other),
            ("a b", &fast),
        ] {
            keys.push(cached.key(text, voice).await.unwrap());
        }
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), 4);
        assert!(keys.iter().all(|key| key.len() == 64));
    }
}
