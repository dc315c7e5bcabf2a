use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::{Carrier, Exec, SipTrunk};

/// Longest a `sip` route may hold a call.
const MAX_HOLD: Duration = Duration::from_secs(3600);

/// A way to dial as written in the configuration: `exec:COMMAND` or
/// `sip:HOST:PORT[?play=WAV&seconds=N]`; `sip:local` is this process's own SIP endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteSpec {
    /// Run a command.
    Exec {
        /// The program and its arguments.
        command: Vec<String>,
    },
    /// Call through a SIP trunk.
    Sip {
        /// The trunk's address; `None` is this process's own endpoint.
        proxy: Option<SocketAddr>,
        /// What the caller says, an 8 kHz mono WAV; tones if there is none.
        play: Option<PathBuf>,
        /// Longest to stay on the line.
        hold: Duration,
    },
}

/// Why a text is no way to dial.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read dial route {text:?}: {why}")]
pub struct InvalidRoute {
    /// What was given.
    pub text: String,
    /// What is wrong with it, and what was expected.
    pub why: String,
}

impl FromStr for RouteSpec {
    type Err = InvalidRoute;

    fn from_str(text: &str) -> Result<Self, InvalidRoute> {
        let invalid = |why: String| InvalidRoute {
            text: text.to_owned(),
            why,
        };
        if let Some(line) = text.strip_prefix("exec:") {
            let command = shell_words::split(line).map_err(|error| invalid(error.to_string()))?;
            if command.is_empty() {
                return Err(invalid("name a command, such as exec:./call.sh".to_owned()));
            }
            return Ok(Self::Exec { command });
        }
        let Some(rest) = text.strip_prefix("sip:") else {
            return Err(invalid("expected exec:COMMAND or sip:HOST:PORT".to_owned()));
        };
        let (host, query) = rest.split_once('?').unwrap_or((rest, ""));
        let proxy = match host {
            "local" => None,
            host => Some(trunk(host).ok_or_else(|| {
                invalid(format!("{host:?} is not ip:port, such as 192.0.2.7:5060"))
            })?),
        };
        let (mut play, mut hold) = (None, Duration::from_secs(60));
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("play", path)) => play = Some(PathBuf::from(path)),
                Some(("seconds", seconds)) => {
                    let seconds: Option<u64> = seconds.parse().ok();
                    hold = seconds
                        .map(Duration::from_secs)
                        .filter(|hold| *hold > Duration::ZERO && *hold <= MAX_HOLD)
                        .ok_or_else(|| invalid("seconds has to be 1 to 3600".to_owned()))?;
                }
                _ => {
                    return Err(invalid(format!(
                        "{pair:?} is neither play=WAV nor seconds=N"
                    )));
                }
            }
        }
        Ok(Self::Sip { proxy, play, hold })
    }
}

/// An address that something can be sent to.
fn trunk(host: &str) -> Option<SocketAddr> {
    let address: SocketAddr = host.parse().ok()?;
    (address.port() != 0 && !address.ip().is_unspecified()).then_some(address)
}

/// The ways to dial of one dialer, by name.
#[derive(Clone, Default)]
pub struct Routes {
    carriers: BTreeMap<String, Arc<dyn Carrier>>,
}

impl Routes {
    /// Builds the carriers. `local` is this process's own SIP endpoint.
    ///
    /// # Errors
    /// The first route that cannot be used, with the reason.
    pub async fn build(
        specs: &BTreeMap<String, RouteSpec>,
        local: Option<SocketAddr>,
    ) -> Result<Self, InvalidRoute> {
        let mut routes = Self::default();
        for (name, spec) in specs {
            let invalid = |why: String| InvalidRoute {
                text: name.clone(),
                why,
            };
            let carrier: Arc<dyn Carrier> = match spec {
                RouteSpec::Exec { command } => {
                    Arc::new(Exec::new(command).ok_or_else(|| invalid("no command".to_owned()))?)
                }
                RouteSpec::Sip { proxy, play, hold } => {
                    let proxy = proxy.or(local).ok_or_else(|| {
                        invalid("sip:local needs a testing agent in this process".to_owned())
                    })?;
                    let trunk = SipTrunk::open(proxy, play.as_deref(), *hold).await;
                    Arc::new(trunk.map_err(|error| invalid(error.to_string()))?)
                }
            };
            routes.insert(name, carrier);
        }
        Ok(routes)
    }

    /// Adds a carrier.
    pub fn insert(&mut self, name: &str, carrier: Arc<dyn Carrier>) {
        self.carriers.insert(name.to_owned(), carrier);
    }

    /// The carrier with this name.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Carrier>> {
        self.carriers.get(name)
    }

    /// Every name, for messages.
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.carriers.keys().map(String::as_str).collect();
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_read_and_mistakes_are_named() {
        let exec: RouteSpec = "exec:./call.sh --to 'a b'".parse().unwrap();
        let command = ["./call.sh", "--to", "a b"].map(str::to_owned).to_vec();
        assert_eq!(exec, RouteSpec::Exec { command });
        let sip: RouteSpec = "sip:127.0.0.1:5060?play=a.wav&seconds=5".parse().unwrap();
        let expected = RouteSpec::Sip {
            proxy: Some("127.0.0.1:5060".parse().unwrap()),
            play: Some("a.wav".into()),
            hold: Duration::from_secs(5),
        };
        assert_eq!(sip, expected);
        for (text, word) in [
            ("call.sh", "exec:COMMAND"),
            ("exec:", "command"),
            ("exec:'open", "quote"),
            ("sip:nowhere", "ip:port"),
            ("sip:local?seconds=0", "3600"),
            ("sip:local?colour=red", "colour"),
        ] {
            let error = text.parse::<RouteSpec>().unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
