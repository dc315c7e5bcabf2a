//! Looking for one call in a provider's list.

use std::collections::BTreeMap;

use ringdown_domain::Timestamp;
use ringdown_egress::Response;
use ringdown_vault::Secret;
use serde_json::Value;

use crate::Found;
use crate::wire::{json, said};

/// A call of the list that can be the order's.
pub(crate) struct Listed {
    /// The provider's own identifier of it.
    pub(crate) id: Option<String>,
    /// When it was asked for; where the provider was asked for later calls only, that time does.
    pub(crate) created: Option<Timestamp>,
    /// Whether it carries the order's attempt; `None` if it carries none.
    pub(crate) ours: Option<bool>,
}

/// The answer to a look-up, if it is one.
///
/// # Errors
/// [`Found::Unreadable`] if it is not.
pub(crate) fn whole(answer: &Response, secret: &Secret) -> Result<Value, Found> {
    if !answer.status.is_success() {
        let said = said(&answer.body, secret);
        let status = answer.status.as_u16();
        return Err(Found::Unreadable(format!("status {status}: {said}")));
    }
    json(answer).map_err(Found::Unreadable)
}

/// The list at this JSON pointer (RFC 6901) in the answer.
///
/// # Errors
/// [`Found::Unreadable`] if there is none.
pub(crate) fn list(answer: &Response, path: &str, secret: &Secret) -> Result<Vec<Value>, Found> {
    let mut whole = whole(answer, secret)?;
    match whole.pointer_mut(path).map(Value::take) {
        Some(Value::Array(list)) => Ok(list),
        _ => Err(Found::Unreadable(format!("it has no list {path}"))),
    }
}

/// A call that was created more seconds after it was asked for is another order's: by then the request had its answer, or
/// will have none.
const LATEST: i64 = 90;

/// The order's call: the one that carries its attempt, else the only one that can be it. Lists tell whole seconds,
/// so the one it was asked in counts.
pub(crate) fn pick(listed: Vec<Listed>, asked_at: Timestamp) -> Found {
    let second = asked_at.as_micros().div_euclid(1_000_000);
    let times = second..second + LATEST;
    let mut ours = BTreeMap::new();
    for call in listed {
        let sure = match (call.ours, call.created) {
            (Some(false), _) => continue,
            (Some(true), _) => true,
            (None, Some(created))
                if !times.contains(&created.as_micros().div_euclid(1_000_000)) =>
            {
                continue;
            }
            (None, Some(_)) => false,
            (None, None) => return Found::Unreadable("a call in it has no time".to_owned()),
        };
        let Some(id) = call.id else {
            return Found::Unreadable("a call in it has no id".to_owned());
        };
        ours.insert(id, sure);
    }
    if ours.values().any(|sure| *sure) {
        ours.retain(|_, sure| *sure);
    }
    let mut ids = ours.into_keys();
    match (ids.next(), ids.next()) {
        (None, _) => Found::Nothing,
        (Some(provider_id), None) => Found::Call { provider_id },
        (Some(_), Some(_)) => Found::Several,
    }
}
