//! What an account is made of, as a command line or a platform tells it.

use std::collections::BTreeMap;

use ringdown_proto::v1::AccountReply;
use ringdown_vault::{Keyring, Secret};
use serde_json::{Map, Value};
use url::Url;

/// What an account is made of.
pub struct Making {
    /// The provider's name, such as `twilio`.
    pub provider: String,
    /// Its open settings.
    pub settings: Map<String, Value>,
    /// Its secrets by name.
    pub secrets: BTreeMap<String, Secret>,
    /// Whether settings and secrets that this provider does not have are left out instead of refused: an agent's
    /// fields serve other purposes too.
    pub lenient: bool,
    /// Instead of the provider's documented pace.
    pub calls_per_second: Option<f64>,
    /// Instead of the provider's documented limit.
    pub concurrent_calls: Option<u32>,
    /// Where the provider may report to.
    pub callback: Option<Url>,
}

impl Making {
    /// What a platform says of an account, with its secrets opened.
    pub(crate) fn told(account: AccountReply, keys: &Keyring) -> Result<Self, InvalidAccount> {
        if !account.problem.is_empty() {
            return Err(InvalidAccount::Missing(account.problem));
        }
        let object = |json: &str| serde_json::from_str::<Map<String, Value>>(json);
        let settings = object(&account.settings_json)
            .map_err(|_| InvalidAccount::Missing("its settings are no object".to_owned()))?;
        let mut making = Self {
            provider: account.provider,
            settings,
            secrets: BTreeMap::new(),
            lenient: account.lenient,
            calls_per_second: (account.calls_per_second > 0.0).then_some(account.calls_per_second),
            concurrent_calls: (account.concurrent_calls > 0).then_some(account.concurrent_calls),
            callback: account.callback_url.parse().ok(),
        };
        for secret in account.secrets {
            let unusable = |why: String| InvalidAccount::Secret(secret.name.clone(), why);
            let opened = keys
                .open_stored(account.organisation_id, &secret.name, &secret.sealed)
                .map_err(|error| unusable(error.to_string()))?;
            if secret.settings {
                let settings =
                    object(opened.expose()).map_err(|_| unusable("it is no object".to_owned()))?;
                making.settings.extend(settings);
            } else {
                making.secrets.insert(secret.credential, opened);
            }
        }
        if making.lenient {
            // A secret among an agent's settings is one of the provider's like any other.
            for (name, value) in &making.settings {
                if let Some(text) = value.as_str() {
                    let secret = || Secret::new(text);
                    making.secrets.entry(name.clone()).or_insert_with(secret);
                }
            }
        }
        Ok(making)
    }
}

/// Why there is no such account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAccount {
    /// No such provider.
    #[error("{0:?} is no provider that calls can be placed with; there are: {1}")]
    Provider(String, String),
    /// A platform knows none, and says what to do.
    #[error("{0}")]
    Missing(String),
    /// A secret cannot be opened, and why.
    #[error("{0} cannot be opened: {1}; give every dialer and platform the same secrets keys")]
    Secret(String, String),
    /// A setting is wrong.
    #[error("the settings for {0} do not fit: {1}")]
    Settings(&'static str, ringdown_provider::InvalidSettings),
}
