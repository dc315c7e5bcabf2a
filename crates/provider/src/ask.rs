//! What the requests of several providers have in common.

use std::time::Duration;

use ringdown_domain::E164;
use ringdown_egress::{Method, Request};
use serde_json::Value;
use url::{Url, form_urlencoded};

use crate::wire::join;
use crate::{InvalidSettings, Order, Settings, Unfit};

/// `base` with these segments.
///
/// # Errors
/// [`Unfit`] if it is no base of URLs.
pub(crate) fn at(base: &Url, segments: &[&str]) -> Result<Url, Unfit> {
    join(base, segments).ok_or_else(|| Unfit(format!("base_url: {base} is no base of URLs")))
}

/// The number to call from, if there is one: the setting, else the agent's.
pub(crate) fn from<'a>(setting: Option<&'a E164>, order: &'a Order) -> Option<&'a E164> {
    setting.or(order.from.as_ref())
}

/// The same where the provider needs one.
///
/// # Errors
/// [`Unfit`] if there is none.
pub(crate) fn caller<'a>(
    setting: Option<&'a E164>,
    order: &'a Order,
    provider: &str,
) -> Result<&'a E164, Unfit> {
    from(setting, order).ok_or_else(|| {
        Unfit(format!(
            "{provider} needs a number to call from; give the setting from_number, or the agent a contact number"
        ))
    })
}

/// The times that a provider can be told to let a call ring, in whole seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ring {
    shortest: u64,
    longest: u64,
    overtime: u64,
}

impl Ring {
    /// From the shortest time that can be asked for to the longest.
    pub(crate) const fn between(shortest: u64, longest: u64) -> Self {
        Self {
            shortest,
            longest,
            overtime: 0,
        }
    }

    /// A call may ring this much longer than is asked for.
    pub(crate) const fn overtime(mut self, overtime: u64) -> Self {
        self.overtime = overtime;
        self
    }

    /// What has to be left of a window, or there is nothing to ask for.
    pub(crate) const fn least(self) -> Duration {
        Duration::from_secs(self.shortest + self.overtime)
    }

    /// What to ask for, so that a call rings no longer than its window.
    ///
    /// # Errors
    /// [`Unfit`] if less than [`Self::least`] is left.
    pub(crate) fn seconds(self, order: &Order, provider: &str) -> Result<u64, Unfit> {
        if order.ring < self.least() {
            let (left, least) = (order.ring.as_secs(), self.least().as_secs());
            return Err(Unfit(format!(
                "{left} s are left to ring, and {provider} lets a call ring {least} s at least"
            )));
        }
        Ok((order.ring.as_secs() - self.overtime).min(self.longest))
    }
}

/// A request with a bearer token.
///
/// # Errors
/// [`Unfit`] if it has characters that no header has.
pub(crate) fn bearer(request: Request, token: &str) -> Result<Request, Unfit> {
    request
        .bearer(token)
        .map_err(|error| Unfit(error.to_string()))
}

/// An object of texts.
pub(crate) fn object<N: Into<String>>(fields: impl IntoIterator<Item = (N, String)>) -> Value {
    let fields = fields.into_iter();
    let fields = fields.map(|(name, text)| (name.into(), Value::String(text)));
    Value::Object(fields.collect())
}

/// One more field of an object.
pub(crate) fn set(object: &mut Value, name: &str, value: impl Into<Value>) {
    if let Value::Object(fields) = object {
        fields.insert(name.to_owned(), value.into());
    }
}

/// The address with the order's variables in its query.
pub(crate) fn with_variables(url: &Url, order: &Order) -> Url {
    let mut url = url.clone();
    // Even an empty query leaves a question mark.
    if !order.variables.is_empty() {
        url.query_pairs_mut().extend_pairs(order.texts());
    }
    url
}

/// A request with a form as its body.
pub(crate) fn post_form(url: Url, fields: &[(&str, &str)]) -> Request {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fields);
    let request = Request::new(Method::POST, url);
    request.body("application/x-www-form-urlencoded", form.finish())
}

/// A setting that goes into a path or before a password: visible ASCII without a colon or a slash.
///
/// # Errors
/// [`InvalidSettings`] if it is missing or has anything else.
pub(crate) fn id_setting(
    settings: &mut Settings,
    field: &'static str,
) -> Result<String, InvalidSettings> {
    optional_id(settings, field)?.ok_or_else(|| InvalidSettings::new(field, "it is missing"))
}

/// As [`id_setting`], and it may be missing.
///
/// # Errors
/// [`InvalidSettings`] if it has anything else.
pub(crate) fn optional_id(
    settings: &mut Settings,
    field: &'static str,
) -> Result<Option<String>, InvalidSettings> {
    let Some(id) = settings.text(field)? else {
        return Ok(None);
    };
    let good = |b: u8| b.is_ascii_graphic() && !matches!(b, b':' | b'/');
    if id.bytes().all(good) && !id.bytes().all(|b| b == b'.') {
        return Ok(Some(id));
    }
    let problem = "it has characters that no id has; copy it again";
    Err(InvalidSettings::new(field, problem))
}

/// A setting that is an address and has to be there.
///
/// # Errors
/// [`InvalidSettings`] if it is missing or is none.
pub(crate) fn url_setting(
    settings: &mut Settings,
    field: &'static str,
) -> Result<Url, InvalidSettings> {
    let url = settings.url(field)?;
    url.ok_or_else(|| InvalidSettings::new(field, "it is missing"))
}
