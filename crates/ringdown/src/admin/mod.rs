//! Commands that administer a team at a service: keys, projects, agents, evaluators, numbers, carriers.

mod args;
mod carriers;
mod catalogue;
mod output;
mod team;

use std::io::IsTerminal as _;
use std::time::Duration;

use ringdown_client::{ApiKey, Client, Options};

pub(crate) use args::{Agents, Audit, Evaluators, Keys, Numbers, Organizations, Projects, Service};
pub(crate) use carriers::{Carriers, carriers};
pub(crate) use catalogue::{agents, evaluators, numbers};
pub(crate) use team::{audit, keys, organizations, projects};

use crate::exit::Failure;

/// How long a command tries to reach its service: somebody waits for it.
const PATIENCE: Duration = Duration::from_secs(15);

/// A client of the service that a command names.
fn client(service: &Service) -> Result<Client, Failure> {
    let key = service.api_key.as_deref().unwrap_or_default();
    if key.is_empty() {
        return Err(Failure::usage(
            "no API key: give --api-key, or set RINGDOWN_API_KEY",
        ));
    }
    let options = Options {
        read_deadline: PATIENCE,
        ..Options::default()
    };
    Client::new(&service.url, &ApiKey::new(key), options)
        .map_err(|error| Failure::usage(error.to_string()))
}

/// Asks on a terminal whether to go on, unless that was said already.
fn confirm(yes: bool, question: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(format!(
            "{question} Add --yes to do it without being asked"
        )));
    }
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(Failure::internal)?;
    if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
        return Ok(());
    }
    Err(Failure::usage("nothing was done"))
}
