//! Fields that are stored under the API's own names: declared once, in a table, for the document and
//! for the check.

use ringdown_suite::LANGUAGES;
use serde_json::{Map, Value};

use super::body::{Fields, MAX_KEPT, unfit};
use super::operations::{Body, Kind};
use super::pages::Asked;
use crate::error::{Answer, Failure};

/// A language, as the API names them.
pub(crate) const LANGUAGE: Kind = Kind::OneOf(LANGUAGES);

/// A field: its name, what it holds, and what it is for.
pub(crate) type Known = (&'static str, Kind, &'static str);

/// Declares fields that may be absent.
pub(crate) fn declare(body: Body, known: &[Known]) -> Body {
    known.iter().fold(body, |body, (name, kind, about)| {
        body.optional(name, *kind, about)
    })
}

/// Takes a text that has to be one of these.
fn one_of(fields: &mut Fields, name: &str, choices: &[&str]) -> Option<Value> {
    let text = fields.text(name, MAX_KEPT)?;
    if choices.contains(&text.as_str()) {
        return Some(text.into());
    }
    let choices: Vec<&str> = choices.iter().copied().filter(|c| !c.is_empty()).collect();
    fields.wrong(name, format!("Expected one of {}.", choices.join(", ")));
    None
}

/// An absolute http or https URL, or nothing for an empty text.
fn url(fields: &mut Fields, name: &str) -> Option<Value> {
    let text = fields.text(name, 2000).filter(|text| !text.is_empty())?;
    let parsed: Option<axum::http::Uri> = text.parse().ok();
    let good = parsed.is_some_and(|url| {
        matches!(url.scheme_str(), Some("http" | "https" | "ws" | "wss"))
            && url.host().is_some_and(|host| !host.is_empty())
    });
    if !good {
        fields.wrong(name, "Expected a URL such as https://example.com/hook.");
        return None;
    }
    Some(text.into())
}

impl Fields {
    /// Takes a field of this kind; `None` if it is absent, null, or wrong, which is noted.
    pub(crate) fn value(&mut self, name: &str, kind: Kind) -> Option<Value> {
        match kind {
            Kind::Text | Kind::Time => self.text(name, MAX_KEPT).map(Value::from),
            Kind::Short(max) => {
                let max = usize::try_from(max).unwrap_or(MAX_KEPT);
                self.text(name, max).map(Value::from)
            }
            Kind::OneOf(choices) => one_of(self, name, choices),
            Kind::Phone => self.number(name).map(|number| number.as_str().into()),
            Kind::Url => url(self, name),
            Kind::Id => self.id(name).map(Value::from),
            Kind::Integer => self.integer(name, i64::MIN, i64::MAX).map(Value::from),
            Kind::Range(low, high) => self.integer(name, low, high).map(Value::from),
            Kind::Number => {
                self.typed(name, "a number", |value| value.is_number().then_some(value))
            }
            Kind::Flag => self.boolean(name).map(Value::from),
            Kind::Ids => self.ids(name).map(Value::from),
            Kind::Numbers => {
                let list = self.typed(name, "a list of whole numbers", |value| {
                    let whole = |item: &Value| item.is_i64() || item.is_null();
                    let fits = value
                        .as_array()
                        .is_some_and(|items| items.iter().all(whole));
                    fits.then_some(value)
                })?;
                self.fit(name, list)
            }
            Kind::Texts => self.texts(name, 1000).map(Value::from),
            Kind::List => {
                let list = self.typed(name, "a list", |value| value.is_array().then_some(value))?;
                self.fit(name, list)
            }
            Kind::Object => self.object(name),
            Kind::Any => {
                let value = self.take(name)?;
                self.fit(name, value)
            }
        }
    }

    fn fit(&mut self, name: &str, value: Value) -> Option<Value> {
        if let Some(why) = unfit(&value) {
            self.wrong(name, why);
            return None;
        }
        Some(value)
    }

    /// Takes known fields into `new`; those that are null are taken out of `kept`.
    pub(crate) fn known(
        &mut self,
        known: &[Known],
        kept: &mut Map<String, Value>,
        new: &mut Map<String, Value>,
    ) {
        for (name, kind, _) in known {
            if !self.has(name) {
                continue;
            }
            match self.value(name, *kind) {
                Some(value) => {
                    new.insert((*name).to_owned(), value);
                }
                None => {
                    kept.remove(*name);
                }
            }
        }
    }
}

impl Asked {
    /// A query parameter that is true or false.
    pub(crate) fn flag(&self, name: &str) -> Answer<Option<bool>> {
        match self.query(name).map(str::to_ascii_lowercase).as_deref() {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(_) => Err(Failure::field(name, "Expected true or false.")),
        }
    }
}

/// Takes a text out of an object's further fields; empty if there is none.
pub(crate) fn text(kept: &mut Map<String, Value>, name: &str) -> String {
    match kept.remove(name) {
        Some(Value::String(text)) => text,
        _ => String::new(),
    }
}
