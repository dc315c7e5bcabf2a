use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::NONCE_LEN;

use crate::error::Error;
use crate::keyring::{LONGEST_SECRET, TAG_LEN, is_key_id};

/// The format that is written: AES-256-GCM, nonce before ciphertext and tag.
const VERSION: &str = "v1";

/// Longest text that can be a sealed secret.
const LONGEST: usize = 64 + (NONCE_LEN + LONGEST_SECRET + TAG_LEN) * 4 / 3;

/// A secret as it is stored: `v1.<key id>.<base64>`. It may be shown, it says nothing but its
/// length and the key's id.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Sealed {
    text: String,
    /// Where the id and the base64 are in the text; both were checked.
    id_end: usize,
}

impl Sealed {
    /// The text to store.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The id of the key that opens it.
    pub fn key_id(&self) -> &str {
        self.text
            .get(VERSION.len() + 1..self.id_end)
            .unwrap_or_default()
    }

    pub(crate) fn encode(key_id: &str, bytes: &[u8]) -> Self {
        Self {
            text: format!("{VERSION}.{key_id}.{}", URL_SAFE_NO_PAD.encode(bytes)),
            id_end: VERSION.len() + 1 + key_id.len(),
        }
    }

    pub(crate) fn bytes(&self) -> Result<Vec<u8>, Error> {
        let encoded = self.text.get(self.id_end + 1..).unwrap_or_default();
        let bytes = URL_SAFE_NO_PAD
            .decode(encoded)
            .map_err(|_| Error::Malformed("its last part is not base64"))?;
        if bytes.len() < NONCE_LEN + TAG_LEN {
            return Err(Error::Malformed("its last part is too short"));
        }
        Ok(bytes)
    }
}

impl FromStr for Sealed {
    type Err = Error;

    /// Reads a stored text.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::Version`].
    fn from_str(text: &str) -> Result<Self, Error> {
        if text.len() > LONGEST {
            return Err(Error::Malformed("it is too long"));
        }
        let (version, rest) = text
            .split_once('.')
            .ok_or(Error::Malformed("it has no version"))?;
        if version != VERSION {
            let is_later = version
                .strip_prefix('v')
                .is_some_and(|number| number.parse::<u16>().is_ok());
            return Err(if is_later {
                Error::Version(version.to_owned())
            } else {
                Error::Malformed("it has no version")
            });
        }
        let (key_id, _) = rest
            .split_once('.')
            .ok_or(Error::Malformed("it names no key"))?;
        if !is_key_id(key_id) {
            return Err(Error::Malformed("it names no key"));
        }
        let sealed = Self {
            text: text.to_owned(),
            id_end: VERSION.len() + 1 + key_id.len(),
        };
        sealed.bytes()?;
        Ok(sealed)
    }
}

impl fmt::Display for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({VERSION}.{}...)", self.key_id())
    }
}
