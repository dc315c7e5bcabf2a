//! Configuration: defaults, then a TOML file, then `RINGDOWN_*` variables, then flags. One table
//! lists every setting, so that all sources, the documentation and the checks agree; all problems
//! are reported at once.

mod file;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ringdown_carrier::RouteSpec;
use ringdown_egress::Policy;
use ringdown_rest::Limits;
use ringdown_testing_agent::Network;
use ringdown_vault::{Keyring, Secret};

/// Every setting of a deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) http_listen: SocketAddr,
    pub(crate) public_url: Option<String>,
    pub(crate) sip_listen: SocketAddr,
    pub(crate) sip_advertised_ip: Option<IpAddr>,
    pub(crate) sip_trusted: Vec<String>,
    pub(crate) nats_url: Option<String>,
    pub(crate) nats_replicas: usize,
    pub(crate) database: Option<PathBuf>,
    pub(crate) database_url: Option<Secret>,
    pub(crate) database_connections: u32,
    pub(crate) secret_keys: Option<Secret>,
    pub(crate) secret_key_file: Option<PathBuf>,
    pub(crate) egress_allow: Vec<String>,
    pub(crate) accounts_url: Option<String>,
    pub(crate) limits: Limits,
    pub(crate) parallel_calls: Option<u32>,
    pub(crate) max_calls: usize,
    pub(crate) voice: Voice,
    pub(crate) dial_concurrency: usize,
    pub(crate) routes: BTreeMap<String, String>,
    pub(crate) drain: Duration,
    pub(crate) otlp_endpoint: Option<String>,
}

/// Which synthesiser speaks for the testing agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Voice {
    /// The `flite` program.
    Flite,
    /// Tone bursts; needs nothing installed.
    Tone,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: default_data_dir(),
            http_listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            public_url: None,
            sip_listen: SocketAddr::from(([127, 0, 0, 1], 5060)),
            sip_advertised_ip: None,
            sip_trusted: vec!["127.0.0.0/8".to_owned(), "::1/128".to_owned()],
            nats_url: None,
            nats_replicas: 1,
            database: None,
            database_url: None,
            database_connections: 16,
            secret_keys: None,
            secret_key_file: None,
            egress_allow: Vec::new(),
            accounts_url: None,
            limits: Limits::default(),
            parallel_calls: Some(10),
            max_calls: 2000,
            voice: Voice::Flite,
            dial_concurrency: 1000,
            routes: BTreeMap::new(),
            drain: Duration::from_secs(30),
            otlp_endpoint: None,
        }
    }
}

fn default_data_dir() -> PathBuf {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(folder) = var("XDG_DATA_HOME") {
        return PathBuf::from(folder).join("ringdown");
    }
    match var("HOME") {
        Some(home) => PathBuf::from(home).join(".local/share/ringdown"),
        None => PathBuf::from("ringdown-data"),
    }
}

/// One setting: where it is found and how it is read.
struct Setting {
    /// `section.key` in the TOML file.
    key: &'static str,
    /// What it means, its unit and range.
    doc: &'static str,
    apply: fn(&mut Config, &str) -> Result<(), String>,
}

fn read<T: std::str::FromStr>(text: &str, expected: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is not {expected}"))
}

fn within<T: std::str::FromStr + PartialOrd + Copy + std::fmt::Display>(
    text: &str,
    low: T,
    high: T,
) -> Result<T, String> {
    let value: T = read(text, &format!("a number from {low} to {high}"))?;
    if value < low || value > high {
        return Err(format!("{value} is not within {low} and {high}"));
    }
    Ok(value)
}

const SETTINGS: &[Setting] = &[
    Setting {
        key: "data_dir",
        doc: "Folder for the database, recordings and streams. Default: $XDG_DATA_HOME/ringdown, else ~/.local/share/ringdown.",
        apply: |config, text| {
            config.data_dir = PathBuf::from(text);
            Ok(())
        },
    },
    Setting {
        key: "http.listen",
        doc: "Address of the REST API, ip:port; port 0 takes a free one. Default: 127.0.0.1:8080.",
        apply: |config, text| {
            config.http_listen = read(text, "an address such as 127.0.0.1:8080")?;
            Ok(())
        },
    },
    Setting {
        key: "http.public_url",
        doc: "Where others reach the REST API, for links in webhooks. Default: http:// and the address listened on.",
        apply: |config, text| {
            if !(text.starts_with("http://") || text.starts_with("https://")) {
                return Err("it does not begin with http:// or https://".to_owned());
            }
            config.public_url = Some(text.trim_end_matches('/').to_owned());
            Ok(())
        },
    },
    Setting {
        key: "sip.listen",
        doc: "Address of the SIP endpoint (UDP), ip:port; port 0 takes a free one. Default: 127.0.0.1:5060.",
        apply: |config, text| {
            config.sip_listen = read(text, "an address such as 127.0.0.1:5060")?;
            Ok(())
        },
    },
    Setting {
        key: "sip.advertised_ip",
        doc: "IP address that callers reach us at, if it is not the one listened on.",
        apply: |config, text| {
            config.sip_advertised_ip = Some(read(text, "an IP address")?);
            Ok(())
        },
    },
    Setting {
        key: "sip.trusted",
        doc: "Networks that calls may come from, as CIDR, separated by commas. Default: loopback.",
        apply: |config, text| {
            config.sip_trusted = text.split(',').map(|t| t.trim().to_owned()).collect();
            let networks = config.sip_trusted.iter().map(|text| text.parse());
            let read: Result<Vec<Network>, _> = networks.collect();
            read.map(drop).map_err(|error| error.to_string())
        },
    },
    Setting {
        key: "nats.url",
        doc: "NATS servers, separated by commas. Unset: a supervised child.",
        apply: |config, text| {
            config.nats_url = Some(text.to_owned());
            Ok(())
        },
    },
    Setting {
        key: "nats.replicas",
        doc: "Copies of every stream, 1 to 5. Default: 1.",
        apply: |config, text| {
            config.nats_replicas = within(text, 1, 5)?;
            Ok(())
        },
    },
    Setting {
        key: "database.path",
        doc: "SQLite database file. Unset: ringdown.db in the data folder.",
        apply: |config, text| {
            config.database = Some(PathBuf::from(text));
            Ok(())
        },
    },
    Setting {
        key: "database.url",
        doc: "PostgreSQL database, postgres://user:password@host/name. Unset: the SQLite file.",
        apply: |config, text| {
            if !(text.starts_with("postgres://") || text.starts_with("postgresql://")) {
                return Err("it does not begin with postgres://".to_owned());
            }
            config.database_url = Some(Secret::new(text));
            Ok(())
        },
    },
    Setting {
        key: "database.connections",
        doc: "Connections one process keeps to PostgreSQL, 2 to 500. Default: 16.",
        apply: |config, text| {
            config.database_connections = within(text, 2, 500)?;
            Ok(())
        },
    },
    Setting {
        key: "secrets.keys",
        doc: "Keys that seal stored credentials, ID:KEY separated by commas, the first one seals. Give it by its environment variable.",
        apply: |config, text| {
            Keyring::parse(text).map_err(|error| error.to_string())?;
            config.secret_keys = Some(Secret::new(text));
            Ok(())
        },
    },
    Setting {
        key: "secrets.key_file",
        doc: "File with those keys, one per line, made if missing. Unset: secrets.key in the data folder.",
        apply: |config, text| {
            config.secret_key_file = Some(PathBuf::from(text));
            Ok(())
        },
    },
    Setting {
        key: "egress.allow",
        doc: "Private networks that webhooks and trigger URLs may reach, as CIDR, separated by commas. Default: none.",
        apply: |config, text| {
            let networks: Vec<String> = text.split(',').map(|t| t.trim().to_owned()).collect();
            Policy::allowing(&networks).map_err(|error| error.to_string())?;
            config.egress_allow = networks;
            Ok(())
        },
    },
    Setting {
        key: "providers.url",
        doc: "Server to ask about imported numbers instead of the providers' own, a URL. Its network has to be allowed too. Unset: the providers.",
        apply: |config, text| {
            if !(text.starts_with("http://") || text.starts_with("https://")) {
                return Err("it does not begin with http:// or https://".to_owned());
            }
            config.accounts_url = Some(text.to_owned());
            Ok(())
        },
    },
    Setting {
        key: "limits.requests_per_minute",
        doc: "Requests one API key may make per minute, 1 to 1000000, unless the key has its own limit. Default: 120000.",
        apply: |config, text| {
            config.limits.requests_per_minute = within(text, 1, 1_000_000)?;
            Ok(())
        },
    },
    Setting {
        key: "limits.body_seconds",
        doc: "Longest the body of a request may take to arrive, in seconds, 1 to 60. Default: 30.",
        apply: |config, text| {
            config.limits.body = Duration::from_secs(within(text, 1, 60)?);
            Ok(())
        },
    },
    Setting {
        key: "limits.parallel_calls",
        doc: "Parallel-call limit of the first organisation, 1 to 100000, when it is created. Default: 10.",
        apply: |config, text| {
            config.parallel_calls = Some(within(text, 1, 100_000)?);
            Ok(())
        },
    },
    Setting {
        key: "testing_agent.max_calls",
        doc: "Calls one testing agent takes at once, 1 to 100000; more are refused as busy. Default: 2000.",
        apply: |config, text| {
            config.max_calls = within(text, 1, 100_000)?;
            Ok(())
        },
    },
    Setting {
        key: "testing_agent.voice",
        doc: "What speaks: flite, or tone (needs nothing installed). Default: flite.",
        apply: |config, text| {
            config.voice = match text {
                "flite" => Voice::Flite,
                "tone" => Voice::Tone,
                other => return Err(format!("{other:?} is neither flite nor tone")),
            };
            Ok(())
        },
    },
    Setting {
        key: "dialer.concurrency",
        doc: "Dials one dialer has in flight at once, 1 to 10000. Default: 1000.",
        apply: |config, text| {
            config.dial_concurrency = within(text, 1, 10_000)?;
            Ok(())
        },
    },
    Setting {
        key: "drain_seconds",
        doc: "Time live calls get to finish after SIGTERM, 0 to 3600 s. Default: 30.",
        apply: |config, text| {
            config.drain = Duration::from_secs(within(text, 0, 3600)?);
            Ok(())
        },
    },
    Setting {
        key: "telemetry.otlp_endpoint",
        doc: "OTLP/HTTP endpoint for traces. Unset: OTEL_EXPORTER_OTLP_ENDPOINT, else none are sent.",
        apply: |config, text| {
            config.otlp_endpoint = Some(text.to_owned());
            Ok(())
        },
    },
];

/// Prefix of dial routes in the file: `[dialer.routes]`, name = "exec:COMMAND" or "sip:IP:PORT".
const ROUTES: &str = "dialer.routes.";

impl Config {
    /// Reads all sources. `flags` are `(key, value)` pairs of the settings' keys.
    ///
    /// # Errors
    /// Every problem found, one per line, each naming its source and what was expected.
    pub(crate) fn load(
        file: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
        flags: &[(&str, String)],
    ) -> Result<Self, Vec<String>> {
        let mut config = Self::default();
        let mut problems = Vec::new();
        if let Some(path) = file {
            match file::read(path) {
                Ok(values) => {
                    for (key, value) in values {
                        config.set(&path.display().to_string(), &key, &value, &mut problems);
                    }
                }
                Err(problem) => problems.push(problem),
            }
        }
        // Templates and compose files cannot unset a variable: an empty one says nothing.
        for (name, value) in env.filter(|(_, value)| !value.is_empty()) {
            if let Some(key) = env_key(&name) {
                config.set(&name, key, &value, &mut problems);
            }
        }
        for (key, value) in flags {
            config.set("command line", key, value, &mut problems);
        }
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(problems)
        }
    }

    fn set(&mut self, source: &str, key: &str, value: &str, problems: &mut Vec<String>) {
        if let Some(name) = key.strip_prefix(ROUTES) {
            if let Err(problem) = value.parse::<RouteSpec>() {
                problems.push(format!("{source}: {key}: failed to {problem}"));
            }
            self.routes.insert(name.to_owned(), value.to_owned());
            return;
        }
        match SETTINGS.iter().find(|setting| setting.key == key) {
            Some(setting) => {
                if let Err(problem) = (setting.apply)(self, value) {
                    problems.push(format!("{source}: {key}: {problem}"));
                }
            }
            None => problems.push(format!(
                "{source}: {key}: there is no such setting (see `ringdown config`)"
            )),
        }
    }

    /// The keys that seal stored credentials.
    ///
    /// # Errors
    /// If the keys' file cannot be read, or cannot be made.
    pub(crate) fn keyring(&self) -> Result<Keyring, ringdown_vault::Error> {
        match (&self.secret_keys, &self.secret_key_file) {
            (Some(keys), _) => Keyring::parse(keys.expose()),
            (None, Some(file)) => Keyring::from_file_or_new(file),
            (None, None) => Keyring::from_file_or_new(&self.data_dir.join("secrets.key")),
        }
    }

    /// Where requests to addresses that users name may go.
    pub(crate) fn egress_policy(&self) -> Policy {
        // Every network was checked when it was set.
        Policy::allowing(&self.egress_allow).unwrap_or_else(|_| Policy::public_only())
    }

    /// Where links to the REST API begin, which listens on `address`.
    pub(crate) fn public_url(&self, address: SocketAddr) -> String {
        let own = || format!("http://{address}");
        self.public_url.clone().unwrap_or_else(own)
    }

    /// Path of the database.
    pub(crate) fn database_path(&self) -> PathBuf {
        self.database
            .clone()
            .unwrap_or_else(|| self.data_dir.join("ringdown.db"))
    }
}

/// The documented settings: key, environment variable, meaning.
pub(crate) fn documented() -> Vec<(String, String, &'static str)> {
    let mut rows: Vec<_> = SETTINGS
        .iter()
        .map(|setting| (setting.key.to_owned(), env_name(setting.key), setting.doc))
        .collect();
    rows.push((
        format!("{ROUTES}NAME"),
        "-".to_owned(),
        "A way to make agents call: exec:COMMAND or sip:IP:PORT?play=WAV&seconds=N.",
    ));
    rows
}

fn env_name(key: &str) -> String {
    format!("RINGDOWN_{}", key.replace('.', "_").to_uppercase())
}

fn env_key(name: &str) -> Option<&'static str> {
    SETTINGS
        .iter()
        .map(|setting| setting.key)
        .find(|key| env_name(key) == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(
        file: &str,
        env: &[(&str, &str)],
        flags: &[(&str, &str)],
    ) -> Result<Config, Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ringdown.toml");
        std::fs::write(&path, file).unwrap();
        let flags: Vec<(&str, String)> = flags.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
        let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Config::load(Some(&path), env, &flags)
    }

    #[test]
    fn later_sources_win() {
        let file = "[http]\nlisten = \"127.0.0.1:1\"\n[nats]\nreplicas = 3\n[dialer.routes]\na = \"exec:true\"\n";
        let env = [
            ("RINGDOWN_HTTP_LISTEN", "127.0.0.1:2"),
            ("RINGDOWN_LOG", "debug"),
        ];
        let config = load(file, &env, &[("http.listen", "127.0.0.1:3")]).unwrap();
        assert_eq!(config.http_listen.port(), 3);
        assert_eq!(config.nats_replicas, 3);
        assert_eq!(config.routes["a"], "exec:true");
    }

    #[test]
    fn the_example_configuration_is_one() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/ringdown.toml");
        let config = Config::load(Some(&path), std::iter::empty(), &[]).unwrap();
        assert_eq!(config.routes.len(), 1);
        crate::roles::route_specs(config.routes.iter()).unwrap();
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let file = "colour = 1\n[http]\nlisten = \"nowhere\"\n[nats]\nreplicas = 9\n";
        let problems = load(file, &[("RINGDOWN_DRAIN_SECONDS", "soon")], &[]).unwrap_err();
        assert_eq!(problems.len(), 4, "{problems:?}");
        for word in [
            "colour",
            "http.listen",
            "nats.replicas",
            "RINGDOWN_DRAIN_SECONDS",
        ] {
            assert!(
                problems.iter().any(|p| p.contains(word)),
                "{word}: {problems:?}"
            );
        }
    }
}
