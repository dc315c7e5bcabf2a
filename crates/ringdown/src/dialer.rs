//! The dialer as configuration has it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;
use ringdown_bus::Bus;
use ringdown_carrier::{RouteSpec, Routes, variable_of};
use ringdown_dialer::Dialer;
use ringdown_vault::Secret;

use crate::config::Config;
use crate::exit::Failure;

/// Reads dial routes written as text.
pub(crate) fn route_specs<'a>(
    routes: impl Iterator<Item = (&'a String, &'a String)>,
) -> Result<std::collections::BTreeMap<String, RouteSpec>, Failure> {
    routes
        .map(|(name, text)| Ok((name.clone(), text.parse::<RouteSpec>()?)))
        .collect::<Result<_, ringdown_carrier::InvalidRoute>>()
        .map_err(|error| Failure::usage(format!("failed to {error}")))
}

/// A provider's secret for a route that was written by hand: no secret stands on a command line.
pub(crate) fn secret(name: &str) -> Option<Secret> {
    let found = std::env::var(variable_of(name)).ok()?;
    (!found.is_empty()).then(|| found.into())
}

/// Starts the dialer of a deployment. `sip` is the SIP endpoint beside it.
pub(crate) async fn start(
    config: &Config,
    bus: &Bus,
    sip: Option<SocketAddr>,
    registry: &Registry,
) -> Result<Dialer, Failure> {
    let specs = route_specs(config.routes.iter())?;
    let routes = Routes::build(&specs, sip, &secret)
        .await
        .map_err(Failure::unavailable)?;
    let options = ringdown_dialer::Options {
        team: None,
        concurrency: config.dial_concurrency,
        ack_wait: Duration::from_secs(10),
        min_ring: Duration::from_millis(500),
        routes,
        accounts: Some(ringdown_dialer::Access {
            keys: Arc::new(config.keyring().map_err(Failure::unavailable)?),
            client: ringdown_egress::Client::new(config.egress_policy()),
        }),
    };
    Dialer::start(bus, options, registry)
        .await
        .map_err(Failure::unavailable)
}
