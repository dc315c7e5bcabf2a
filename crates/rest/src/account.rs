//! Accounts at providers that runs are dialed with, opened here for what is no dial.

use std::collections::BTreeMap;

use ringdown_carrier::{Hosted, Making, SealedSecret};
use ringdown_proto::v1::AccountReply;

use crate::State;

/// The account, with its secrets opened.
///
/// # Errors
/// Why it cannot be used, and what to do.
pub(crate) fn made(state: &State, account: AccountReply) -> Result<Hosted, String> {
    if !account.problem.is_empty() {
        return Err(account.problem);
    }
    let settings = serde_json::from_str(&account.settings_json);
    let mut making = Making {
        provider: account.provider,
        settings: settings.map_err(|_| "its settings are no object".to_owned())?,
        secrets: BTreeMap::new(),
        lenient: account.lenient,
        calls_per_second: (account.calls_per_second > 0.0).then_some(account.calls_per_second),
        concurrent_calls: (account.concurrent_calls > 0).then_some(account.concurrent_calls),
        callback: account.callback_url.parse().ok(),
    };
    let sealed = account.secrets.into_iter().map(|secret| SealedSecret {
        credential: (!secret.settings).then_some(secret.credential),
        name: secret.name,
        sealed: secret.sealed,
    });
    making
        .open(&state.keyring, account.organisation_id, sealed)
        .and_then(|()| Hosted::new(making, state.egress.clone()))
        .map_err(|error| error.to_string())
}
