//! `ringdown up` and `ringdown serve`.

use clap::ValueEnum as _;
use ringdown_api::own::ReadyLine;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info};

use crate::cli::{Format, Settings};
use crate::config::Config;
use crate::exit::{Exit, Failure, Outcome};
use crate::print;
use crate::roles::{self, Role, Running};

/// Reads the configuration of a command.
pub(crate) fn load(settings: &Settings) -> Result<Config, Failure> {
    let flags = settings.flags().map_err(Failure::usage)?;
    let flags: Vec<(&str, String)> = flags
        .iter()
        .map(|(key, value)| (key.as_str(), value.clone()))
        .collect();
    let env = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let file = settings.config.as_deref();
    let file = file.filter(|path| !path.as_os_str().is_empty());
    Config::load(file, env, &flags).map_err(|problems| {
        Failure::usage(format!("failed to configure:\n  {}", problems.join("\n  ")))
    })
}

/// SIGTERM and SIGINT.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn listen() -> Result<Self, Failure> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(Failure::internal)?,
            interrupt: signal(SignalKind::interrupt()).map_err(Failure::internal)?,
        })
    }

    /// The next signal that asks to end.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

pub(crate) async fn up(config: &Config, roles: &[Role], format: Format) -> Outcome {
    if config.nats_url.is_none() && !roles.contains(&Role::Platform) {
        return Err(Failure::usage(
            "these roles hear of work from the platform: name its NATS server with --nats-url",
        ));
    }
    let mut signals = Signals::listen()?;
    let mut running = tokio::select! {
        started = Box::pin(roles::start(config, roles)) => started?,
        () = signals.next() => return Ok(Exit::Interrupted),
    };
    announce(&running, roles, format)?;
    let broken = tokio::select! {
        () = signals.next() => None,
        why = running.broken() => Some(why),
    };
    if let Some(why) = &broken {
        error!(%why, "stopping");
    }
    tokio::select! {
        () = Box::pin(running.drain()) => {}
        () = signals.next() => {
            info!("second signal: ending at once");
            return Ok(Exit::Interrupted);
        }
    }
    match broken {
        Some(why) => Err(Failure::internal(anyhow::Error::msg(why))),
        None => Ok(Exit::Success),
    }
}

/// The first line on standard output, printed once work can be taken.
fn announce(running: &Running, roles: &[Role], format: Format) -> Result<(), Failure> {
    let line = ReadyLine {
        ready: true,
        http_url: running
            .http
            .map_or_else(String::new, |address| format!("http://{address}")),
        health_url: (running.probes.as_ref())
            .map_or_else(String::new, |probes| format!("http://{}", probes.address)),
        sip_uri: running
            .sip
            .map_or_else(String::new, |address| format!("sip:{address}")),
        nats_url: running.nats_url.clone(),
        admin_key: running.admin_key.clone().unwrap_or_default(),
    };
    if format == Format::Json {
        return print::json(&line);
    }
    let names: Vec<String> = roles
        .iter()
        .filter_map(Role::to_possible_value)
        .map(|role| role.get_name().to_owned())
        .collect();
    let mut text = format!("ringdown is ready ({})\n", names.join(", "));
    for (name, value) in [
        ("REST API", &line.http_url),
        ("health", &line.health_url),
        ("SIP", &line.sip_uri),
        ("NATS", &line.nats_url),
        ("API key", &line.admin_key),
    ] {
        if !value.is_empty() {
            text.push_str(&format!("  {name:<9} {value}\n"));
        }
    }
    print::raw(text.as_bytes())
}
