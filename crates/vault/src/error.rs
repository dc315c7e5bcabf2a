use std::io;
use std::path::PathBuf;

use crate::keyring::{LONGEST_SECRET, MOST_KEYS};

/// Why something cannot be sealed or opened, and what to do about it. Never shows a key or a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A line of the keys is wrong.
    #[error("read the vault's key number {number}: {problem}")]
    Key {
        /// Which key, counted from 1.
        number: usize,
        /// What is wrong with it.
        problem: KeyProblem,
    },
    /// No key at all.
    #[error(
        "the vault has no key; add a line such as this prints: echo k1:$(openssl rand -base64 32)"
    )]
    NoKeys,
    /// More keys than anyone rotates.
    #[error("the vault has more than {MOST_KEYS} keys; remove those that nothing is sealed with")]
    TooManyKeys,
    /// The key file cannot be read or written.
    #[error("{action} the vault's key file {}: {source}", .path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A new key file would replace one.
    #[error("the vault's key file {} exists already; replacing it would lose what is sealed with it, so add a line to it instead", .0.display())]
    Exists(PathBuf),
    /// Others on this machine can read or change the keys.
    #[error("the vault's key file {} has mode {mode:o}, so others can reach the keys; run: chmod 600 {}", .path.display(), .path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not a text that sealing produces.
    #[error(
        "this is no sealed secret: {0}; the stored value was cut off or replaced, so enter the secret again"
    )]
    Malformed(&'static str),
    /// Sealed by a later release.
    #[error(
        "this secret was sealed in format {0:?}, which this release does not know; run the release that wrote it, or a newer one"
    )]
    Version(String),
    /// The key is not in the keyring.
    #[error("this secret is sealed with the key {missing:?}, the vault has only {}; put that key back behind the others, or enter the secret again", .present.join(", "))]
    UnknownKey {
        /// The id of the key that is needed.
        missing: String,
        /// The ids of the keys that are there.
        present: Vec<String>,
    },
    /// The check of the content failed.
    #[error(
        "this secret does not open with the key {0:?}: it was sealed for another owner or name, it was altered, or the key under this id is another one; restore the stored value or enter the secret again"
    )]
    Altered(String),
    /// Too long.
    #[error("the secret has {0} bytes, at most {LONGEST_SECRET} can be sealed")]
    TooLong(usize),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers; check that /dev/urandom can be read")]
    NoRandomness,
}

/// What is wrong with a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    /// No colon.
    #[error("expected id:key")]
    NoId,
    /// A bad id.
    #[error("the id may have 1 to 32 letters, digits, - and _")]
    Id,
    /// The id is used twice.
    #[error("the id {0:?} is taken by an earlier key; every key needs its own")]
    Duplicate(String),
    /// Not 256 bits.
    #[error("expected 256 bits as 64 hexadecimal digits or as base64")]
    Bits,
    /// All bytes are the same.
    #[error(
        "the key is a placeholder, all its bytes are the same; make one with: openssl rand -base64 32"
    )]
    Placeholder,
}
