//! A trigger URL: one POST, and nothing else.

use std::time::Duration;

use hyper::Method;
use serde_json::json;

use super::adapter::{Adapter, Answer, Ask, Placing, Route, plain};
use super::books::FakeCall;
use super::keys::Keys;

pub(super) struct TriggerUrl;

impl Adapter for TriggerUrl {
    fn route(&self, ask: &Ask) -> Route {
        match ask.method {
            Method::POST => Route::Create,
            _ => Route::Nothing,
        }
    }

    fn allows(&self, ask: &Ask, keys: &Keys) -> bool {
        ask.header("x-cekura-secret") == keys.secret
    }

    fn placing(&self, ask: &Ask) -> Result<Placing, String> {
        let key = ask.header("idempotency-key");
        let key = (!key.is_empty()).then(|| key.to_owned());
        let (from, to) = (ask.needed("/from_number")?, ask.needed("/to_number")?);
        Ok(Placing::new(from, to).key(key))
    }

    /// Only if it is told to: [`super::FakeCarrier::deduplicates`].
    fn repeatable(&self) -> Option<Duration> {
        Some(Duration::from_secs(24 * 3600))
    }

    fn shape(&self) -> fn(&str) -> String {
        plain
    }

    fn placed(&self, call: &FakeCall, _: &Keys) -> Answer {
        Answer::new(200, json!({"success": true, "call_id": call.id}))
    }

    fn refusal(&self, status: u16, code: &str) -> Answer {
        Answer::new(status, json!({"success": false, "error": code}))
    }

    fn failure(&self, _: &FakeCall) -> Option<(Answer, bool)> {
        Some((Answer::new(200, json!({"success": false})), false))
    }
}
