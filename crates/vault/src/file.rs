use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use zeroize::Zeroizing;

use crate::error::Error;
use crate::keyring::{Keyring, new_key};

/// Longest key file, in bytes.
const LONGEST: u64 = 64 * 1024;

/// Permissions that the file must not give: writing to the group, anything to others.
const EXPOSED: u32 = 0o027;

impl Keyring {
    /// Reads the keys from a file; see [`Keyring::parse`].
    ///
    /// # Errors
    /// [`Error::Exposed`] if others can read the file or the group can change it, [`Error::File`]
    /// if it cannot be read, and those of [`Keyring::parse`].
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::File {
            action: "read",
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & EXPOSED != 0 {
            return Err(Error::Exposed {
                path: path.to_owned(),
                mode,
            });
        }
        let mut text = Zeroizing::new(String::new());
        let read = file.take(LONGEST + 1).read_to_string(&mut text);
        if read.map_err(failed)? as u64 > LONGEST {
            let reason = format!("it has more than {LONGEST} bytes");
            return Err(failed(io::Error::other(reason)));
        }
        Self::parse(&text)
    }

    /// Makes a key file with one fresh key, readable by its owner only. Appears whole or not at
    /// all, and survives a loss of power once this returns.
    ///
    /// # Errors
    /// [`Error::Exists`] if the file is there already, whoever made it; [`Error::File`] if it
    /// cannot be written.
    pub fn create_file(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::File {
            action: "write",
            path: path.to_owned(),
            source,
        };
        let line = new_key()?;
        let keyring = Self::parse(line.expose())?;
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o600))
            .tempfile_in(parent)
            .map_err(failed)?;
        writeln!(file, "{}", line.expose()).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist_noclobber(path).map_err(|error| {
            if error.error.kind() == io::ErrorKind::AlreadyExists {
                Error::Exists(path.to_owned())
            } else {
                failed(error.error)
            }
        })?;
        let parent = File::open(parent).map_err(failed)?;
        parent.sync_all().map_err(failed)?;
        Ok(keyring)
    }

    /// The keys of a file, which is made with a fresh key if it is missing. Of several processes
    /// that do this at the same time one makes the file and all use it.
    ///
    /// # Errors
    /// Those of [`Keyring::from_file`] and [`Keyring::create_file`].
    pub fn from_file_or_new(path: &Path) -> Result<Self, Error> {
        match Self::from_file(path) {
            Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        match Self::create_file(path) {
            Err(Error::Exists(_)) => Self::from_file(path),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{Context, Secret};

    #[test]
    fn a_new_file_is_private_whole_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault.keys");
        let made = Keyring::create_file(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        let read = Keyring::from_file(&path).unwrap();
        let context = Context(&["team", "token"]);
        let sealed = made.seal(context, &Secret::new("s")).unwrap();
        assert_eq!(read.open(context, &sealed).unwrap().expose(), "s");
        let before = fs::read(&path).unwrap();
        assert!(matches!(Keyring::create_file(&path), Err(Error::Exists(_))));
        assert_eq!(fs::read(&path).unwrap(), before);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_others_can_reach_is_refused_with_the_command() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault.keys");
        Keyring::create_file(&path).unwrap();
        for mode in [0o604, 0o606, 0o620, 0o644, 0o666, 0o601] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = Keyring::from_file(&path).unwrap_err().to_string();
            let command = format!("chmod 600 {}", path.display());
            assert!(error.contains(&command), "{error}");
            assert!(error.contains(&format!("mode {mode:o}")), "{error}");
        }
        for mode in [0o400, 0o440, 0o600, 0o640] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            Keyring::from_file(&path).unwrap();
        }
    }

    #[test]
    fn a_missing_folder_file_or_key_is_told_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing").join("vault.keys");
        for error in [Keyring::from_file(&path), Keyring::create_file(&path)] {
            let error = error.unwrap_err().to_string();
            assert!(error.contains(&path.display().to_string()), "{error}");
        }
        let large = folder.path().join("large");
        fs::write(&large, "#".repeat(70_000)).unwrap();
        fs::set_permissions(&large, Permissions::from_mode(0o600)).unwrap();
        let error = Keyring::from_file(&large).unwrap_err().to_string();
        assert!(error.contains("more than 65536 bytes"), "{error}");
    }

    #[test]
    fn all_who_make_the_file_at_once_use_the_same_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault.keys");
        let ids: Vec<String> = std::thread::scope(|scope| {
            let make = || {
                Keyring::from_file_or_new(&path)
                    .unwrap()
                    .current_id()
                    .to_owned()
            };
            let makers: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
            makers
                .into_iter()
                .map(|maker| maker.join().unwrap())
                .collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }
}
