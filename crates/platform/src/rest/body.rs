//! Reads JSON objects field by field, so that every problem is reported at once and by name.

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use ringdown_api::FieldErrors;
use ringdown_domain::E164;
use serde_json::{Map, Value};

use super::error::{Answer, Failure};

/// Largest request body.
const MAX_BODY: usize = 1024 * 1024;

/// Most items of a list in a body.
const MAX_ITEMS: usize = 10_000;

/// A JSON object that is being taken apart.
#[derive(Debug, Default)]
pub(super) struct Fields {
    map: Map<String, Value>,
    errors: FieldErrors,
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let bytes = to_bytes(request.into_body(), MAX_BODY).await.map_err(|_| {
            Failure::detail(
                StatusCode::PAYLOAD_TOO_LARGE,
                "The body could not be read, or is larger than 1 MiB.",
            )
        })?;
        let value: Value = serde_json::from_slice(&bytes).map_err(|error| {
            Failure::detail(
                StatusCode::BAD_REQUEST,
                format!("The body is not JSON: {error}."),
            )
        })?;
        match value {
            Value::Object(map) => Ok(Self {
                map,
                errors: FieldErrors::default(),
            }),
            _ => Err(Failure::detail(
                StatusCode::BAD_REQUEST,
                "The body has to be a JSON object.",
            )),
        }
    }
}

impl Fields {
    /// Whether the field is there, `null` or not.
    pub(super) fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    pub(super) fn wrong(&mut self, name: &str, message: impl Into<String>) {
        self.errors.add(name, message);
    }

    /// Takes a field, `null` counting as absent.
    fn take(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name).filter(|value| !value.is_null())
    }

    fn typed<T>(
        &mut self,
        name: &str,
        expected: &str,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.take(name)?;
        let read = read(value);
        if read.is_none() {
            self.wrong(name, format!("Expected {expected}."));
        }
        read
    }

    pub(super) fn text(&mut self, name: &str, max: usize) -> Option<String> {
        let text = self.typed(name, "a text", |value| match value {
            Value::String(text) => Some(text),
            _ => None,
        })?;
        if text.chars().count() > max {
            self.wrong(name, format!("At most {max} characters are allowed."));
            return None;
        }
        if text.contains('\0') {
            self.wrong(name, "A text cannot hold a null character.");
            return None;
        }
        Some(text)
    }

    /// A text that may be absent only if the object is being changed, and may not be empty.
    pub(super) fn required_text(&mut self, name: &str, max: usize) -> Option<String> {
        match self.text(name, max) {
            Some(text) if text.trim().is_empty() => {
                self.wrong(name, "This field may not be empty.");
                None
            }
            Some(text) => Some(text),
            None => {
                self.require(name);
                None
            }
        }
    }

    /// Complains about an absent field, unless something else is wrong with it.
    pub(super) fn require(&mut self, name: &str) {
        if !self.errors.0.contains_key(name) {
            self.wrong(name, "This field is required.");
        }
    }

    pub(super) fn boolean(&mut self, name: &str) -> Option<bool> {
        self.typed(name, "true or false", |value| value.as_bool())
    }

    pub(super) fn integer(&mut self, name: &str, low: i64, high: i64) -> Option<i64> {
        let value = self.typed(name, "a whole number", |value| value.as_i64())?;
        if (low..=high).contains(&value) {
            Some(value)
        } else {
            self.wrong(name, format!("Expected a number from {low} to {high}."));
            None
        }
    }

    pub(super) fn id(&mut self, name: &str) -> Option<i64> {
        self.integer(name, 1, i64::MAX)
    }

    pub(super) fn ids(&mut self, name: &str) -> Option<Vec<i64>> {
        self.list(name, "a list of ids", |value| {
            value.as_i64().filter(|id| *id > 0)
        })
    }

    pub(super) fn texts(&mut self, name: &str, max: usize) -> Option<Vec<String>> {
        self.list(name, "a list of texts", |value| {
            let text = value.as_str()?;
            (text.chars().count() <= max).then(|| text.to_owned())
        })
    }

    fn list<T>(
        &mut self,
        name: &str,
        expected: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Option<Vec<T>> {
        let items = self.typed(name, expected, |value| match value {
            Value::Array(items) => Some(items),
            _ => None,
        })?;
        if items.len() > MAX_ITEMS {
            self.wrong(name, format!("At most {MAX_ITEMS} items are allowed."));
            return None;
        }
        let read: Option<Vec<T>> = items.iter().map(read).collect();
        if read.is_none() {
            self.wrong(name, format!("Expected {expected}."));
        }
        read
    }

    /// A phone number; an empty text counts as none.
    pub(super) fn number(&mut self, name: &str) -> Option<E164> {
        let text = self.text(name, 64).filter(|text| !text.is_empty())?;
        self.e164(name, &text)
    }

    pub(super) fn numbers(&mut self, name: &str) -> Option<Vec<E164>> {
        let texts = self.texts(name, 64)?;
        texts.iter().map(|text| self.e164(name, text)).collect()
    }

    fn e164(&mut self, name: &str, text: &str) -> Option<E164> {
        match text.parse() {
            Ok(number) => Some(number),
            Err(_) => {
                self.wrong(
                    name,
                    format!("{text:?} is not an E.164 number such as +14155550123."),
                );
                None
            }
        }
    }

    pub(super) fn object(&mut self, name: &str) -> Option<Value> {
        self.typed(name, "an object", |value| {
            value.is_object().then_some(value)
        })
    }

    /// The fields nobody took, without those that only the server writes.
    pub(super) fn rest(&mut self, read_only: &[&str]) -> Map<String, Value> {
        let mut rest = std::mem::take(&mut self.map);
        rest.retain(|name, _| !read_only.contains(&name.as_str()));
        rest
    }

    /// Everything that is wrong, if anything is.
    pub(super) fn check(&mut self) -> Answer<()> {
        let errors = std::mem::take(&mut self.errors);
        if errors.is_empty() {
            Ok(())
        } else {
            Err(Failure::Fields(errors))
        }
    }

    /// Refuses fields nobody took; for our own additions, whose fields are all known.
    pub(super) fn check_all_known(&mut self) -> Answer<()> {
        for name in std::mem::take(&mut self.map).keys() {
            self.wrong(name, "There is no such field.");
        }
        self.check()
    }
}
