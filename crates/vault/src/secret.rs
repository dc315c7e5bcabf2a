use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A text that nobody may see by accident: not shown by `Debug`, not printable, overwritten when it
/// is dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a text over.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `given` is the same text. Takes as long for a wrong first byte as for a wrong last
    /// one; how long the secret is can be found out.
    pub fn matches(&self, given: &str) -> bool {
        self.0.as_bytes().ct_eq(given.as_bytes()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

/// In constant time.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.matches(other.expose())
    }
}

impl Eq for Secret {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_show_itself() {
        let secret = Secret::new("hunter2");
        assert_eq!(
            format!("{secret:?} {:#?}", Some(&secret))
                .matches("hunter2")
                .count(),
            0
        );
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn comparing_finds_equal_texts_only() {
        let secret = Secret::new("hunter2");
        assert!(secret.matches("hunter2") && secret == Secret::new("hunter2"));
        for other in ["", "hunter", "hunter3", "Hunter2", "hunter22"] {
            assert!(
                !secret.matches(other) && secret != Secret::new(other),
                "{other}"
            );
        }
        assert!(Secret::new("").matches("") && Secret::new("").is_empty());
    }
}
