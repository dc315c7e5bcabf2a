use std::collections::BTreeMap;

use ringdown_domain::E164;
use ringdown_vault::Secret;
use serde_json::{Map, Value};
use url::Url;

/// Longest text of a setting, in bytes.
const LONGEST: usize = 4000;

/// What one account is made of, taken field by field; what is left over in the end is refused.
#[derive(Debug, Default)]
pub struct Settings {
    fields: Map<String, Value>,
    secrets: BTreeMap<String, Secret>,
    lenient: bool,
}

/// A setting that no account has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct InvalidSettings {
    /// Its name.
    pub field: String,
    /// What is wrong with it, and what was expected.
    pub problem: String,
}

impl InvalidSettings {
    /// A problem of a field.
    pub fn new(field: &str, problem: impl Into<String>) -> Self {
        Self {
            field: field.to_owned(),
            problem: problem.into(),
        }
    }
}

impl Settings {
    /// From open fields and secrets.
    pub fn new(fields: Map<String, Value>, secrets: BTreeMap<String, Secret>) -> Self {
        Self {
            fields,
            secrets,
            lenient: false,
        }
    }

    /// The same, but what is left over in the end is no mistake.
    #[must_use]
    pub fn leniently(mut self) -> Self {
        self.lenient = true;
        self
    }

    /// A text that may be absent or empty.
    ///
    /// # Errors
    /// [`InvalidSettings`] if it is no text, is too long, or has control characters.
    pub fn text(&mut self, field: &'static str) -> Result<Option<String>, InvalidSettings> {
        match self.fields.remove(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) if text.len() > LONGEST => Err(InvalidSettings::new(
                field,
                format!("it has more than {LONGEST} bytes"),
            )),
            Some(Value::String(text)) if text.chars().any(char::is_control) => {
                Err(InvalidSettings::new(field, "it has control characters"))
            }
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(InvalidSettings::new(field, "expected a text")),
        }
    }

    /// A text that has to be there.
    ///
    /// # Errors
    /// As [`Self::text`], or if it is missing.
    pub fn required(&mut self, field: &'static str) -> Result<String, InvalidSettings> {
        self.text(field)?
            .ok_or_else(|| InvalidSettings::new(field, "it is missing"))
    }

    /// A number in E.164.
    ///
    /// # Errors
    /// [`InvalidSettings`] if it is none.
    pub fn number(&mut self, field: &'static str) -> Result<Option<E164>, InvalidSettings> {
        self.text(field)?
            .map(|text| text.parse())
            .transpose()
            .map_err(|_| {
                InvalidSettings::new(field, "expected a number in E.164, such as +14155550123")
            })
    }

    /// An absolute http or https address.
    ///
    /// # Errors
    /// [`InvalidSettings`] if it is none.
    pub fn url(&mut self, field: &'static str) -> Result<Option<Url>, InvalidSettings> {
        let Some(text) = self.text(field)? else {
            return Ok(None);
        };
        match text.parse::<Url>() {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(Some(url)),
            _ => Err(InvalidSettings::new(
                field,
                "expected an address that begins with https:// or http://",
            )),
        }
    }

    /// The provider's address, unless the setting `base_url` names another one.
    ///
    /// # Errors
    /// [`InvalidSettings`] if that is no address.
    pub fn base(&mut self, default: &'static str) -> Result<Url, InvalidSettings> {
        if let Some(url) = self.url("base_url")? {
            return Ok(url);
        }
        default
            .parse()
            .map_err(|_| InvalidSettings::new("base_url", "it is missing"))
    }

    /// A flag; `None` if it is absent.
    ///
    /// # Errors
    /// [`InvalidSettings`] if it is neither true nor false.
    pub fn flag(&mut self, field: &'static str) -> Result<Option<bool>, InvalidSettings> {
        match self.fields.remove(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(InvalidSettings::new(field, "expected true or false")),
        }
    }

    /// An object, as it is.
    ///
    /// # Errors
    /// [`InvalidSettings`] if it is something else.
    pub fn object(
        &mut self,
        field: &'static str,
    ) -> Result<Option<Map<String, Value>>, InvalidSettings> {
        match self.fields.remove(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(_) => Err(InvalidSettings::new(field, "expected an object")),
        }
    }

    /// A secret that may be absent.
    pub fn secret(&mut self, name: &str) -> Option<Secret> {
        self.secrets
            .remove(name)
            .filter(|secret| !secret.is_empty())
    }

    /// A secret that has to be there and can be sent in a header.
    ///
    /// # Errors
    /// [`InvalidSettings`] if it is missing, or has characters that no credential has.
    pub fn credential(&mut self, name: &'static str) -> Result<Secret, InvalidSettings> {
        let secret = self
            .secret(name)
            .ok_or_else(|| InvalidSettings::new(name, "it is missing"))?;
        if secret.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(secret);
        }
        Err(InvalidSettings::new(
            name,
            "it has spaces or characters that no credential has; copy it again",
        ))
    }

    /// Refuses what nobody took.
    ///
    /// # Errors
    /// [`InvalidSettings`] for the first such field.
    pub fn finish(self) -> Result<(), InvalidSettings> {
        let left = self
            .fields
            .keys()
            .map(String::as_str)
            .chain(self.secrets.keys().map(String::as_str))
            .next();
        match left {
            None => Ok(()),
            Some(_) if self.lenient => Ok(()),
            Some(field) => Err(InvalidSettings::new(
                field,
                "this provider has no such setting",
            )),
        }
    }
}
