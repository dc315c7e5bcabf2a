use std::time::Duration;

use ringdown_domain::{E164, RunId, Team, Timestamp};
use serde_json::{Map, Value};
use url::Url;

/// One call to ask for.
#[derive(Clone, Debug)]
pub struct Order {
    /// The run's team.
    pub team: Team,
    /// The run.
    pub run: RunId,
    /// Unique name of the attempt; the idempotency key where the provider has one.
    pub attempt_id: String,
    /// The caller ID that the run's agent is known by, if it names one.
    pub from: Option<E164>,
    /// The number to call.
    pub to: E164,
    /// Longest to let it ring: what is left of the window.
    pub ring: Duration,
    /// When the window closes.
    pub closes_at: Timestamp,
    /// What the agent is told about this call: `main_agent_variables` of the test profile.
    pub variables: Map<String, Value>,
    /// Those variables whose names begin with `X-`, which also become SIP headers.
    pub sip_headers: Vec<(String, String)>,
    /// Where the provider may report to; `None` without a public address.
    pub callback: Option<Url>,
}

impl Order {
    /// The callback address with the run and the attempt in its query, for providers that echo nothing else.
    pub fn callback_with_run(&self) -> Option<Url> {
        let mut url = self.callback.clone()?;
        url.query_pairs_mut()
            .append_pair("run_id", &self.run.to_string())
            .append_pair("team", self.team.as_str())
            .append_pair("attempt_id", &self.attempt_id);
        Some(url)
    }

    /// When it is asked for.
    pub fn asked_at(&self) -> Timestamp {
        self.closes_at.minus(self.ring)
    }

    /// The variables as texts, as most providers want them: texts as they are, everything else as JSON.
    pub fn texts(&self) -> impl Iterator<Item = (&str, String)> {
        self.variables.iter().map(|(name, value)| {
            let text = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            (name.as_str(), text)
        })
    }
}

/// Why an account cannot place an order. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfit(pub String);
