use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use ringdown_egress::{Client, Policy};
use ringdown_provider::Kind;
use ringdown_vault::Secret;
use serde_json::{Map, Value};

use crate::{Carrier, Exec, Hosted, InvalidAccount, Making, SipTrunk};

/// Longest a `sip` route may hold a call.
const MAX_HOLD: Duration = Duration::from_secs(3600);

/// A way to dial as written in the configuration: `exec:COMMAND`, `sip:HOST:PORT[?play=WAV&seconds=N]` or
/// `PROVIDER:SETTING=VALUE&SETTING=VALUE`; `sip:local` is this process's own SIP endpoint.
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
    /// Have a provider place the call.
    Hosted {
        /// Which.
        provider: Kind,
        /// Its settings, without secrets.
        settings: Map<String, Value>,
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
        if let Some((name, settings)) = text.split_once(':')
            && let Some(provider) = Kind::parse(name)
        {
            let settings = settings_of(settings).map_err(invalid)?;
            return Ok(Self::Hosted { provider, settings });
        }
        let Some(rest) = text.strip_prefix("sip:") else {
            return Err(invalid(format!(
                "expected exec:COMMAND, sip:HOST:PORT or a provider with its settings ({})",
                Kind::ALL.map(Kind::as_str).join(", ")
            )));
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

/// Settings as in the query of a URL: `a=1&b=2`, percent-encoded where they have to be.
fn settings_of(text: &str) -> Result<Map<String, Value>, String> {
    let mut settings = Map::new();
    for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
        if name.is_empty() {
            return Err(format!("{text:?} has a setting without a name"));
        }
        let value = match value.as_ref() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            text => text.into(),
        };
        if settings.insert(name.clone().into_owned(), value).is_some() {
            return Err(format!("{name} is set twice"));
        }
    }
    Ok(settings)
}

/// The variable of the environment that holds a secret: its name in capitals, such as `TWILIO_AUTH_TOKEN`.
pub fn variable_of(secret: &str) -> String {
    secret.to_ascii_uppercase()
}

/// An account of whoever wrote the route: it may be anywhere but at a cloud's metadata service.
fn hosted(
    provider: Kind,
    settings: &Map<String, Value>,
    secret: &dyn Fn(&str) -> Option<Secret>,
) -> Result<Hosted, String> {
    let policy = Policy::allowing(&["0.0.0.0/0", "::/0"]).map_err(|error| error.to_string())?;
    let names = provider.secrets().iter();
    let secrets = names.filter_map(|name| Some(((*name).to_owned(), secret(name)?)));
    let making = Making {
        provider: provider.as_str().to_owned(),
        settings: settings.clone(),
        secrets: secrets.collect(),
        lenient: false,
        calls_per_second: None,
        concurrent_calls: None,
        callback: None,
    };
    Hosted::new(making, Client::new(policy)).map_err(|error| match &error {
        InvalidAccount::Settings(_, field)
            if provider.secrets().contains(&field.field.as_str()) =>
        {
            let variable = variable_of(&field.field);
            format!("{error}; set the environment variable {variable}")
        }
        _ => error.to_string(),
    })
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
    /// Builds the carriers. `local` is this process's own SIP endpoint, `secret` finds a provider's secret by its name.
    ///
    /// # Errors
    /// The first route that cannot be used, with the reason.
    pub async fn build(
        specs: &BTreeMap<String, RouteSpec>,
        local: Option<SocketAddr>,
        secret: &(dyn Fn(&str) -> Option<Secret> + Send + Sync),
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
                RouteSpec::Hosted { provider, settings } => {
                    Arc::new(hosted(*provider, settings, secret).map_err(invalid)?)
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
        let vapi: RouteSpec = "vapi:assistant_id=a%20b&report_calls=true".parse().unwrap();
        let RouteSpec::Hosted { provider, settings } = vapi else {
            panic!("{vapi:?}")
        };
        assert_eq!(provider, Kind::Vapi);
        assert_eq!(settings["assistant_id"], "a b");
        assert_eq!(settings["report_calls"], true);
        for (text, word) in [
            ("pigeon:x=1", "vapi"),
            ("vapi:a=1&a=2", "twice"),
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
