//! Outgoing webhooks of a process with the platform.

use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;
use ringdown_rest::{Dispatcher, State};
use ringdown_webhook::{Metrics, Options, Sender, Service};

use crate::exit::Failure;

/// How long deliveries in flight get at the end: longer than a target may take to answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(35);

/// Starts delivering. `base` is where links to this platform begin.
pub(crate) fn start(state: &State, base: String, registry: &Registry) -> Result<Service, Failure> {
    let sender = Sender::new(
        Arc::clone(state.engine.store()),
        state.egress.clone(),
        Arc::clone(&state.keyring),
        Options::new(base),
    );
    let dispatch = Arc::new(Dispatcher(state.engine.clone()));
    let metrics = Metrics::register(registry).map_err(Failure::internal)?;
    Ok(Service::start(sender, dispatch, metrics))
}
