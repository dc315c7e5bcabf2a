//! Secrets sealed for storage, with keys that can be rotated.
//!
//! Contract: a [`Sealed`] text can be opened only with the key that its id names, and only for the
//! owner and name it was sealed for, so a row copied to another owner opens nothing. Whatever was
//! changed on the way is noticed. The first key of a [`Keyring`] seals, all of them open. A
//! [`Secret`] shows itself to nobody who does not ask, and is overwritten when it is dropped.
//!
//! Refuses: passwords as keys (a key is 256 random bits), hiding how long a secret is, protecting
//! against someone who can read this process's memory: keys stay there as long as the keyring.

mod error;
mod file;
mod keyring;
mod sealed;
mod secret;
mod stored;

pub use error::{Error, KeyProblem};
pub use keyring::{Context, Keyring, LONGEST_SECRET, MOST_KEYS, new_key};
pub use sealed::Sealed;
pub use secret::Secret;
