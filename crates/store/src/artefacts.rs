use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, ObjectStoreExt as _, path::Path as Key};

use crate::{Error, Result};

/// Recordings and other files, by key such as `recordings/team/7/call.wav`. Keys are checked by
/// the object store: no `..`, nothing outside the folder.
#[derive(Clone, Debug)]
pub struct Artefacts {
    objects: Arc<dyn ObjectStore>,
    folder: PathBuf,
}

impl Artefacts {
    /// Artefacts in a local folder, created if missing. Writes are atomic.
    ///
    /// # Errors
    /// [`Error::File`] if the folder cannot be made, [`Error::Artefacts`] if it cannot be used.
    pub fn in_folder(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|source| Error::File {
            path: folder.display().to_string(),
            source,
        })?;
        Ok(Self {
            objects: Arc::new(LocalFileSystem::new_with_prefix(folder)?),
            folder: folder.to_owned(),
        })
    }

    /// Stores `content` under `key`, replacing what was there.
    ///
    /// # Errors
    /// [`Error::Artefacts`] if the key is not valid or the store refuses.
    pub async fn put(&self, key: &str, content: Bytes) -> Result<()> {
        let key = Key::parse(key).map_err(object_store::Error::from)?;
        self.objects.put(&key, content.into()).await?;
        Ok(())
    }

    /// Stores a file's content under `key`.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be read, else as [`Artefacts::put`].
    pub async fn put_file(&self, key: &str, file: &Path) -> Result<()> {
        let content = tokio::fs::read(file).await.map_err(|source| Error::File {
            path: file.display().to_string(),
            source,
        })?;
        self.put(key, content.into()).await
    }

    /// The content under `key`.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none, [`Error::Artefacts`] if it cannot be read.
    pub async fn get(&self, key: &str) -> Result<Bytes> {
        let parsed = Key::parse(key).map_err(object_store::Error::from)?;
        match self.objects.get(&parsed).await {
            Ok(found) => Ok(found.bytes().await?),
            Err(object_store::Error::NotFound { .. }) => Err(Error::NotFound {
                what: "artefact",
                id: key.to_owned(),
            }),
            Err(error) => Err(error.into()),
        }
    }

    /// The keys of all artefacts, in no order.
    ///
    /// # Errors
    /// [`Error::Artefacts`] if they cannot be listed.
    pub async fn list(&self) -> Result<Vec<String>> {
        let mut keys = Vec::new();
        let mut found = self.objects.list(None);
        while let Some(object) = found.try_next().await? {
            keys.push(object.location.to_string());
        }
        Ok(keys)
    }

    /// Removes what is under `key`; harmless if there is nothing.
    ///
    /// # Errors
    /// [`Error::Artefacts`] if the key is not valid or the store refuses.
    pub async fn delete(&self, key: &str) -> Result<()> {
        let key = Key::parse(key).map_err(object_store::Error::from)?;
        match self.objects.delete(&key).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Where the artefact is on this machine; it may not exist.
    ///
    /// # Errors
    /// [`Error::Artefacts`] if the key is not valid.
    pub fn local_path(&self, key: &str) -> Result<PathBuf> {
        let key = Key::parse(key).map_err(object_store::Error::from)?;
        Ok(self.folder.join(key.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_put_is_got_and_keys_cannot_escape() {
        let folder = tempfile::tempdir().unwrap();
        let artefacts = Artefacts::in_folder(&folder.path().join("with space")).unwrap();
        artefacts
            .put("recordings/t/1/a.wav", Bytes::from_static(b"wav"))
            .await
            .unwrap();
        assert_eq!(artefacts.get("recordings/t/1/a.wav").await.unwrap(), "wav");
        assert!(
            artefacts
                .local_path("recordings/t/1/a.wav")
                .unwrap()
                .is_file()
        );
        for key in ["../escape", "a/../../escape", "/../x"] {
            assert!(artefacts.put(key, Bytes::new()).await.is_err(), "{key}");
        }
        for _ in 0..2 {
            artefacts.delete("recordings/t/1/a.wav").await.unwrap();
        }
        let gone = artefacts.get("recordings/t/1/a.wav").await;
        assert!(matches!(gone, Err(Error::NotFound { .. })));
        let missing = artefacts.get("recordings/none").await;
        assert!(matches!(missing, Err(Error::NotFound { .. })));
    }
}
