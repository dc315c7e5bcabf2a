use crate::error::Error;
use crate::keyring::{Context, Keyring};
use crate::sealed::Sealed;
use crate::secret::Secret;

/// What the platform stores for its organisations. One rule for all of it, so that whoever seals,
/// opens or rotates agrees: a secret is bound to its organisation and its name. Not to the object it
/// belongs to, because that has no id yet when it is stored together with its secrets.
impl Keyring {
    /// Seals a secret of an organisation for storage.
    ///
    /// # Errors
    /// Those of [`Keyring::seal`].
    pub fn seal_stored(&self, org: i64, name: &str, secret: &Secret) -> Result<String, Error> {
        let org = org.to_string();
        let sealed = self.seal(Context(&[&org, name]), secret)?;
        Ok(sealed.as_str().to_owned())
    }

    /// Opens what [`Keyring::seal_stored`] sealed.
    ///
    /// # Errors
    /// Those of [`Keyring::open`], [`Error::Malformed`] and [`Error::Version`].
    pub fn open_stored(&self, org: i64, name: &str, sealed: &str) -> Result<Secret, Error> {
        let sealed: Sealed = sealed.parse()?;
        let org = org.to_string();
        // Credentials of agents were bound to one word more at first, and so could not be sealed again.
        self.open(Context(&[&org, name]), &sealed).or_else(|error| {
            self.open(Context(&["agent", &org, name]), &sealed)
                .map_err(|_| error)
        })
    }

    /// Seals what is stored with the current key; `None` if it is already.
    ///
    /// # Errors
    /// Those of [`Keyring::open_stored`] and [`Keyring::seal_stored`].
    pub fn reseal_stored(
        &self,
        org: i64,
        name: &str,
        sealed: &str,
    ) -> Result<Option<String>, Error> {
        if !self.needs_reseal(&sealed.parse()?) {
            return Ok(None);
        }
        let secret = self.open_stored(org, name, sealed)?;
        self.seal_stored(org, name, &secret).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::new_key;

    #[test]
    fn a_stored_secret_opens_for_its_organisation_and_name_only() {
        let keys = Keyring::parse(new_key().unwrap().expose()).unwrap();
        let sealed = keys.seal_stored(1, "token", &Secret::new("s")).unwrap();
        assert_eq!(keys.open_stored(1, "token", &sealed).unwrap().expose(), "s");
        assert!(keys.open_stored(11, "token", &sealed).is_err());
        assert!(keys.open_stored(1, "other", &sealed).is_err());
        assert!(keys.open_stored(1, "token", "nonsense").is_err());
        let older = Context(&["agent", "1", "token"]);
        let older = keys.seal(older, &Secret::new("s")).unwrap();
        assert_eq!(
            keys.open_stored(1, "token", older.as_str())
                .unwrap()
                .expose(),
            "s"
        );
    }

    #[test]
    fn rotation_leaves_what_is_sealed_with_the_current_key() {
        let (old, new) = (new_key().unwrap(), new_key().unwrap());
        let before = Keyring::parse(old.expose()).unwrap();
        let both = Keyring::parse(&format!("{},{}", new.expose(), old.expose())).unwrap();
        let after = Keyring::parse(new.expose()).unwrap();
        let sealed = before.seal_stored(1, "token", &Secret::new("s")).unwrap();
        let again = both.reseal_stored(1, "token", &sealed).unwrap().unwrap();
        assert_eq!(both.reseal_stored(1, "token", &again).unwrap(), None);
        assert_eq!(after.open_stored(1, "token", &again).unwrap().expose(), "s");
        assert!(after.reseal_stored(1, "token", &sealed).is_err());
    }
}
