//! A typed client of the REST API, for our own platform and for the reference service.
//!
//! Contract: every failure says whether the request may have had an effect ([`Kind`]). Reads are
//! retried with backoff inside a deadline; the request that triggers runs is never sent twice once
//! it may have been received, because a second one would place a second batch of calls.
//!
//! Refuses: redirects (a key must not travel to another host), unbounded bodies, showing the key.

mod admin;
mod backoff;
mod client;
mod error;
mod methods;
mod webhooks;

pub use client::{ApiKey, Client, Options};
pub use error::{Error, Kind};
pub use methods::{AttemptQuery, NewAgent, NewScenario};
pub use webhooks::WebhookQuery;
