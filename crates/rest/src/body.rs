//! Reads JSON objects field by field, so that every problem is reported at once and by name.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use ringdown_api::FieldErrors;
use ringdown_domain::E164;
use serde_json::{Map, Value};

use super::operations::Declared;
use crate::auth::Limits;
use crate::error::{Answer, Failure};

/// Largest request body.
const MAX_BODY: usize = 1024 * 1024;

/// Most items of a list in a body.
const MAX_ITEMS: usize = 10_000;

/// Most items of a list that is stored with its object: caller IDs, tags. Runs carry copies.
pub(crate) const MAX_STORED_ITEMS: usize = 100;

/// Characters of a longer text, such as instructions.
pub(crate) const MAX_TEXT: usize = 10_000;

/// Bytes of one JSON value that is kept as it came. A run's transition carries its test profile and
/// has to fit a bus message of 1 MiB with everything else.
pub(crate) const MAX_KEPT: usize = 64 * 1024;

/// Bytes of all values that are kept as they came with one object.
const MAX_KEPT_TOGETHER: usize = 256 * 1024;

/// Nesting of such a value. Answers wrap it once more, and common JSON readers stop at 128 levels.
const MAX_DEPTH: usize = 32;

/// Longest a body may take to arrive. An extension of every request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(pub(crate) Duration);

/// A JSON object that is being taken apart.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    map: Map<String, Value>,
    errors: FieldErrors,
    declared: Declared,
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        fields(request, false).await
    }
}

/// The same, where the body may be left out.
#[derive(Debug)]
pub(crate) struct MaybeFields(pub(crate) Fields);

impl<S: Send + Sync> FromRequest<S> for MaybeFields {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        fields(request, true).await.map(Self)
    }
}

/// A JSON body of at most 5 MiB, as it is. What it may hold is checked by whoever takes it.
pub(crate) struct Raw(pub(crate) Value);

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let json = may_be_json(request.headers());
        let bytes = read(request, 5 * MAX_BODY).await?;
        parsed(json, &bytes).map(Self)
    }
}

/// A body of at most 1 MiB, byte for byte.
pub(crate) struct Whole(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for Whole {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        read(request, MAX_BODY).await.map(Self)
    }
}

async fn fields(request: Request, may_be_empty: bool) -> Answer<Fields> {
    let declared: Declared = request.extensions().get().cloned().unwrap_or_default();
    let json = may_be_json(request.headers());
    let bytes = read(request, MAX_BODY).await?;
    let map = if may_be_empty && bytes.is_empty() {
        Map::new()
    } else {
        match parsed(json, &bytes)? {
            Value::Object(map) => map,
            _ => {
                return Err(Failure::detail(
                    StatusCode::BAD_REQUEST,
                    "The body has to be a JSON object.",
                ));
            }
        }
    };
    Ok(Fields {
        map,
        errors: FieldErrors::default(),
        declared,
    })
}

/// Reads a body whole. One that is not is dropped, which closes its connection.
async fn read(request: Request, longest: usize) -> Answer<Bytes> {
    let deadline = request.extensions().get::<Deadline>();
    let deadline = deadline.map_or(Limits::default().body, |Deadline(deadline)| *deadline);
    let body = Limited::new(request.into_body(), longest).collect();
    let Ok(whole) = tokio::time::timeout(deadline, body).await else {
        let seconds = deadline.as_secs_f64();
        return Err(Failure::detail(
            StatusCode::REQUEST_TIMEOUT,
            format!("The body did not arrive within {seconds} s: send it again, and faster."),
        ));
    };
    match whole {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::detail(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("The body is larger than {} MiB.", longest / MAX_BODY),
        )),
        Err(error) => Err(Failure::detail(
            StatusCode::BAD_REQUEST,
            format!("The body did not arrive whole ({error}): send it again."),
        )),
    }
}

fn parsed(declared_json: bool, bytes: &[u8]) -> Answer<Value> {
    if !declared_json {
        return Err(Failure::detail(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Send a JSON object with the header Content-Type: application/json.",
        ));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        Failure::detail(
            StatusCode::BAD_REQUEST,
            format!("The body is not JSON: {error}."),
        )
    })
}

/// Whether a body is declared to be JSON, or not declared at all.
fn may_be_json(headers: &HeaderMap) -> bool {
    let Some(declared) = headers.get(header::CONTENT_TYPE) else {
        return true;
    };
    let declared = declared.to_str().unwrap_or_default();
    let kind = declared.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json") || kind.to_ascii_lowercase().ends_with("+json")
}

/// Why a value cannot be kept as it came.
pub(crate) fn unfit(value: &Value) -> Option<String> {
    const NUL: &str = "A text cannot hold a null character.";
    let mut open = vec![(value, 1)];
    while let Some((value, depth)) = open.pop() {
        if depth > MAX_DEPTH {
            return Some(format!("At most {MAX_DEPTH} levels of nesting are kept."));
        }
        match value {
            Value::String(text) if text.contains('\0') => return Some(NUL.to_owned()),
            Value::Array(items) => open.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(map) => {
                if map.keys().any(|key| key.contains('\0')) {
                    return Some(NUL.to_owned());
                }
                open.extend(map.values().map(|item| (item, depth + 1)));
            }
            _ => {}
        }
    }
    (bytes(value) > MAX_KEPT).then(|| format!("At most {MAX_KEPT} bytes of JSON are kept."))
}

/// Length of a value as JSON.
pub(crate) fn bytes(value: &impl serde::Serialize) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX, |json| json.len())
}

impl Fields {
    /// Fields that another shape of the same object was turned into.
    pub(crate) fn of(map: Map<String, Value>) -> Self {
        Self {
            map,
            errors: FieldErrors::default(),
            declared: Declared::default(),
        }
    }

    /// What has not been taken; all that was sent, before anything is.
    pub(crate) fn as_sent(&self) -> &Map<String, Value> {
        &self.map
    }

    /// Whether the field is there, `null` or not.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.declared.check_field(name);
        self.map.contains_key(name)
    }

    pub(crate) fn wrong(&mut self, name: &str, message: impl Into<String>) {
        self.errors.add(name, message);
    }

    /// Takes a field, `null` counting as absent.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.declared.check_field(name);
        self.map.remove(name).filter(|value| !value.is_null())
    }

    pub(crate) fn typed<T>(
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

    pub(crate) fn text(&mut self, name: &str, max: usize) -> Option<String> {
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
    pub(crate) fn required_text(&mut self, name: &str, max: usize) -> Option<String> {
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
    pub(crate) fn require(&mut self, name: &str) {
        if !self.errors.0.contains_key(name) {
            self.wrong(name, "This field is required.");
        }
    }

    pub(crate) fn boolean(&mut self, name: &str) -> Option<bool> {
        self.typed(name, "true or false", |value| value.as_bool())
    }

    pub(crate) fn integer(&mut self, name: &str, low: i64, high: i64) -> Option<i64> {
        let value = self.typed(name, "a whole number", |value| value.as_i64())?;
        if (low..=high).contains(&value) {
            Some(value)
        } else {
            self.wrong(name, format!("Expected a number from {low} to {high}."));
            None
        }
    }

    /// Any finite number.
    pub(crate) fn real(&mut self, name: &str) -> Option<f64> {
        self.typed(name, "a number", |value| value.as_f64())
    }

    pub(crate) fn id(&mut self, name: &str) -> Option<i64> {
        self.integer(name, 1, i64::MAX)
    }

    pub(crate) fn ids(&mut self, name: &str) -> Option<Vec<i64>> {
        self.list(name, "a list of ids", |value| {
            value.as_i64().filter(|id| *id > 0)
        })
    }

    /// Ids that are written as texts; numbers are taken too.
    pub(crate) fn text_ids(&mut self, name: &str) -> Option<Vec<i64>> {
        self.list(name, "a list of ids", |value| {
            let id = match value {
                Value::String(text) => text.parse().ok(),
                other => other.as_i64(),
            };
            id.filter(|id| *id > 0)
        })
    }

    /// Texts that are stored: each without null characters and at most `max` characters long.
    pub(crate) fn texts(&mut self, name: &str, max: usize) -> Option<Vec<String>> {
        let expected = format!("a list of texts, each of at most {max} characters");
        let texts = self.list(name, &expected, |value| {
            let text = value.as_str()?;
            let fits = text.chars().count() <= max && !text.contains('\0');
            fits.then(|| text.to_owned())
        })?;
        if texts.len() > MAX_STORED_ITEMS {
            self.wrong(
                name,
                format!("At most {MAX_STORED_ITEMS} items are allowed."),
            );
            return None;
        }
        Some(texts)
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
    pub(crate) fn number(&mut self, name: &str) -> Option<E164> {
        let text = self.text(name, 64).filter(|text| !text.is_empty())?;
        self.e164(name, &text)
    }

    pub(crate) fn numbers(&mut self, name: &str) -> Option<Vec<E164>> {
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

    /// An object that is kept as it came.
    pub(crate) fn object(&mut self, name: &str) -> Option<Value> {
        let value = self.typed(name, "an object", |value| {
            value.is_object().then_some(value)
        })?;
        if let Some(why) = unfit(&value) {
            self.wrong(name, why);
            return None;
        }
        Some(value)
    }

    /// Any JSON that is kept as it came.
    pub(crate) fn any(&mut self, name: &str) -> Option<Value> {
        let value = self.take(name)?;
        if let Some(why) = unfit(&value) {
            self.wrong(name, why);
            return None;
        }
        Some(value)
    }

    /// How many fields something is wrong with so far.
    pub(crate) fn problems(&self) -> usize {
        self.errors.0.len()
    }

    /// The fields nobody took, without those that only the server writes.
    pub(crate) fn rest(&mut self, read_only: &[&str]) -> Map<String, Value> {
        let mut rest = std::mem::take(&mut self.map);
        rest.retain(|name, _| !read_only.contains(&name.as_str()));
        for (name, value) in &rest {
            let why = if name.contains('\0') {
                Some("The name of a field cannot hold a null character.".to_owned())
            } else {
                unfit(value)
            };
            if let Some(why) = why {
                self.wrong(name, why);
            }
        }
        rest
    }

    /// Adds `new` to the values `kept` with an object, as long as they stay small enough together.
    pub(crate) fn keep(&mut self, kept: &mut Map<String, Value>, new: Map<String, Value>) {
        let largest = new.iter().max_by_key(|(_, value)| bytes(value));
        let Some(largest) = largest.map(|(name, _)| name.clone()) else {
            return;
        };
        kept.extend(new);
        if bytes(kept) > MAX_KEPT_TOGETHER {
            let message = format!(
                "All further fields of an object have to fit {MAX_KEPT_TOGETHER} bytes together."
            );
            self.wrong(&largest, message);
        }
    }

    /// Everything that is wrong, if anything is.
    pub(crate) fn check(&mut self) -> Answer<()> {
        let errors = std::mem::take(&mut self.errors);
        if errors.is_empty() {
            Ok(())
        } else {
            Err(Failure::Fields(errors))
        }
    }

    /// Refuses fields nobody took; for our own additions, whose fields are all known.
    pub(crate) fn check_all_known(&mut self) -> Answer<()> {
        for name in std::mem::take(&mut self.map).keys() {
            self.wrong(name, "There is no such field.");
        }
        self.check()
    }
}
