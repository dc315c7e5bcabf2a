use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::error::{Error, KeyProblem};
use crate::sealed::Sealed;
use crate::secret::Secret;

/// Longest secret, in bytes.
pub const LONGEST_SECRET: usize = 64 * 1024;

/// Most keys of a keyring.
pub const MOST_KEYS: usize = 64;

const KEY_LEN: usize = 32;
const LONGEST_ID: usize = 32;
pub(crate) const TAG_LEN: usize = 16;

/// Both alphabets of RFC 4648, with or without padding: keys come from many tools.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const ENGINES: [GeneralPurpose; 2] = [
    GeneralPurpose::new(&alphabet::STANDARD, LENIENT),
    GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT),
];

pub(crate) fn is_key_id(text: &str) -> bool {
    (1..=LONGEST_ID).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Whom a secret belongs to and what it is called: it opens for nothing else.
///
/// The parts are kept apart, so that `["ab", "c"]` and `["a", "bc"]` are different.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a>(pub &'a [&'a str]);

impl Context<'_> {
    /// What is authenticated with the ciphertext: version, key id and parts, each with its length.
    fn bind(self, key_id: &str) -> Vec<u8> {
        let mut bound = b"ringdown vault v1".to_vec();
        for part in std::iter::once(&key_id).chain(self.0) {
            bound.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bound.extend_from_slice(part.as_bytes());
        }
        bound
    }
}

struct Key {
    id: String,
    key: LessSafeKey,
}

/// One or more keys. The first seals, all of them open.
pub struct Keyring {
    current: Key,
    older: Vec<Key>,
    random: SystemRandom,
}

impl Keyring {
    /// Reads keys, one `id:key` per line, the current one first. Commas separate like line ends, so
    /// that an environment variable can hold several. Empty lines and lines that begin with `#` are
    /// skipped. A key is 256 bits, as 64 hexadecimal digits or as base64.
    ///
    /// # Errors
    /// [`Error::Key`] for the first key that is wrong, [`Error::NoKeys`], [`Error::TooManyKeys`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut keys: Vec<Key> = Vec::new();
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.starts_with('#'));
        let entries = lines.flat_map(|line| line.split(',')).map(str::trim);
        for entry in entries.filter(|entry| !entry.is_empty()) {
            let number = keys.len() + 1;
            let key = key(entry, &keys).map_err(|problem| Error::Key { number, problem })?;
            keys.push(key);
            if keys.len() > MOST_KEYS {
                return Err(Error::TooManyKeys);
            }
        }
        let mut keys = keys.into_iter();
        Ok(Self {
            current: keys.next().ok_or(Error::NoKeys)?,
            older: keys.collect(),
            random: SystemRandom::new(),
        })
    }

    /// The id of the key that seals.
    pub fn current_id(&self) -> &str {
        &self.current.id
    }

    /// The ids of all keys, the current one first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys().map(|key| key.id.as_str())
    }

    /// Seals a secret with the current key.
    ///
    /// The nonce is random, so one key should seal fewer than 2^32 secrets (NIST SP 800-38D
    /// section 8.3).
    ///
    /// # Errors
    /// [`Error::TooLong`], or [`Error::NoRandomness`] if the system is broken.
    pub fn seal(&self, context: Context<'_>, secret: &Secret) -> Result<Sealed, Error> {
        if secret.len() > LONGEST_SECRET {
            return Err(Error::TooLong(secret.len()));
        }
        let Key { id, key } = &self.current;
        let mut nonce = [0; NONCE_LEN];
        self.random
            .fill(&mut nonce)
            .map_err(|_| Error::NoRandomness)?;
        // Encrypted in place: no copy of the secret stays behind.
        let mut sealed = Vec::with_capacity(NONCE_LEN + secret.len() + TAG_LEN);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(secret.expose().as_bytes());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let aad = Aad::from(context.bind(id));
        let text = sealed.get_mut(NONCE_LEN..).unwrap_or_default();
        let tag = key
            .seal_in_place_separate_tag(nonce, aad, text)
            .map_err(|_| Error::TooLong(secret.len()))?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(Sealed::encode(id, &sealed))
    }

    /// Opens what was sealed for the same context.
    ///
    /// # Errors
    /// [`Error::UnknownKey`] if the key is gone, [`Error::Altered`] if anything else does not fit.
    pub fn open(&self, context: Context<'_>, sealed: &Sealed) -> Result<Secret, Error> {
        let id = sealed.key_id();
        let known = self.keys().find(|known| known.id == id);
        let Key { key, .. } = known.ok_or_else(|| Error::UnknownKey {
            missing: id.to_owned(),
            present: self.ids().map(str::to_owned).collect(),
        })?;
        let altered = || Error::Altered(id.to_owned());
        // Becomes the secret in place.
        let mut bytes = Zeroizing::new(sealed.bytes()?);
        let (nonce, text) = bytes.split_at_mut_checked(NONCE_LEN).ok_or_else(altered)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| altered())?;
        let opened = key
            .open_in_place(nonce, Aad::from(context.bind(id)), text)
            .map_err(|_| altered())?;
        let opened = std::str::from_utf8(opened).map_err(|_| altered())?;
        Ok(Secret::new(opened))
    }

    /// Whether a secret should be opened and sealed again, because its key is not the current one.
    pub fn needs_reseal(&self, sealed: &Sealed) -> bool {
        sealed.key_id() != self.current.id
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.current).chain(&self.older)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

/// A fresh key with a fresh id, as a line for [`Keyring::parse`].
///
/// # Errors
/// [`Error::NoRandomness`] if the system is broken.
pub fn new_key() -> Result<Secret, Error> {
    let random = SystemRandom::new();
    let mut key = Zeroizing::new([0; KEY_LEN]);
    let mut id = [0; 4];
    random.fill(&mut *key).map_err(|_| Error::NoRandomness)?;
    random.fill(&mut id).map_err(|_| Error::NoRandomness)?;
    let id = u32::from_be_bytes(id);
    let encoded = Zeroizing::new(STANDARD.encode(*key));
    Ok(Secret::new(format!("k{id:08x}:{}", *encoded)))
}

fn key(entry: &str, earlier: &[Key]) -> Result<Key, KeyProblem> {
    let (id, key) = entry.split_once(':').ok_or(KeyProblem::NoId)?;
    let (id, key) = (id.trim(), key.trim());
    if !is_key_id(id) {
        return Err(KeyProblem::Id);
    }
    if earlier.iter().any(|key| key.id == id) {
        return Err(KeyProblem::Duplicate(id.to_owned()));
    }
    let bits = bits(key).ok_or(KeyProblem::Bits)?;
    if bits.iter().all(|byte| Some(byte) == bits.first()) {
        return Err(KeyProblem::Placeholder);
    }
    let key = UnboundKey::new(&AES_256_GCM, &bits).map_err(|_| KeyProblem::Bits)?;
    Ok(Key {
        id: id.to_owned(),
        key: LessSafeKey::new(key),
    })
}

fn bits(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    // Base64 of 256 bits has 43 or 44 characters, so the two forms cannot be confused.
    let bits = if text.len() == 2 * KEY_LEN {
        let digits = text.as_bytes().chunks(2);
        let bytes = digits.map(|pair| {
            let pair = std::str::from_utf8(pair).ok()?;
            let is_hex = pair.bytes().all(|b| b.is_ascii_hexdigit());
            is_hex.then(|| u8::from_str_radix(pair, 16).ok()).flatten()
        });
        bytes.collect::<Option<Vec<u8>>>()?
    } else {
        ENGINES.iter().find_map(|engine| engine.decode(text).ok())?
    };
    let bits = Zeroizing::new(bits);
    (bits.len() == KEY_LEN).then_some(bits)
}

#[cfg(test)]
#[path = "keyring_tests.rs"]
mod tests;
