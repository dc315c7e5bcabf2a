//! Credentials that come with an object: sealed, stored with it, never given back.

use ringdown_domain::OrganisationId;
use ringdown_store::SecretChange;
use ringdown_vault::Secret;

use super::State;
use crate::body::Fields;
use crate::error::{Answer, Failure};
use crate::operations::{Body, Kind};

/// Longest credential, in characters.
const LONGEST: usize = 1024;

/// A secret, ready to be stored with its object.
pub(crate) fn seal(
    state: &State,
    org: OrganisationId,
    name: &str,
    secret: &Secret,
) -> Answer<SecretChange> {
    let sealed = state.keyring.seal_stored(org.0, name, secret);
    let sealed = sealed.map_err(|error| Failure::internal(&error.to_string()))?;
    Ok(SecretChange {
        name: name.to_owned(),
        sealed: Some(sealed),
    })
}

/// Declares credentials as fields.
pub(super) fn declare(mut body: Body, names: &[&str]) -> Body {
    for name in names {
        let about = "A credential; write-only. An empty text forgets it.";
        body = body.optional(name, Kind::Short(1024), about);
    }
    body
}

/// Takes the credentials out of `fields`. Null or an empty text forgets one.
pub(super) fn take(
    state: &State,
    org: OrganisationId,
    fields: &mut Fields,
    names: &[&str],
) -> Answer<Vec<SecretChange>> {
    let mut changes = Vec::new();
    for name in names {
        if !fields.has(name) {
            continue;
        }
        let before = fields.problems();
        let text = fields.text(name, LONGEST).unwrap_or_default();
        if fields.problems() > before {
            continue;
        }
        if text.is_empty() {
            changes.push(SecretChange {
                name: (*name).to_owned(),
                sealed: None,
            });
        } else if text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() || byte == b' ')
        {
            changes.push(seal(state, org, name, &Secret::new(text))?);
        } else {
            // It has to fit a header.
            fields.wrong(name, "Expected visible ASCII characters.");
        }
    }
    Ok(changes)
}

/// `true` for each credential that is there, an empty text for each that is not: the reference's
/// type is a text, and clients test it like a flag.
pub(super) fn flags(
    names: &[&str],
    have: &[String],
    other: &mut serde_json::Map<String, serde_json::Value>,
) {
    for name in names {
        let is_there = have.iter().any(|have| have == name);
        let flag = if is_there { "true" } else { "" };
        other.insert(format!("{name}_configured"), flag.into());
    }
}
