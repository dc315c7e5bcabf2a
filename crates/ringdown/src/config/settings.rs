//! The settings that are one value each, which any source may give.

use std::path::PathBuf;
use std::time::Duration;

use ringdown_egress::Policy;
use ringdown_testing_agent::Network;
use ringdown_vault::{Keyring, Secret};

use super::{Config, Voice};

/// One setting: where it is found and how it is read.
pub(super) struct Setting {
    /// `section.key` in the TOML file.
    pub(super) key: &'static str,
    /// What it means, its unit and range.
    pub(super) doc: &'static str,
    pub(super) apply: fn(&mut Config, &str) -> Result<(), String>,
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

pub(super) const SETTINGS: &[Setting] = &[
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
        key: "health.listen",
        doc: "Address of /healthz, /readyz and /metrics in a process without the REST API, ip:port; port 0 takes a free one. Default: none.",
        apply: |config, text| {
            config.health_listen = Some(read(text, "an address such as 127.0.0.1:9090")?);
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
        doc: "Networks besides those of the trunks that calls may come from, as CIDR, separated by commas. Default: loopback.",
        apply: |config, text| {
            let texts = text
                .split(',')
                .map(str::trim)
                .filter(|text| !text.is_empty());
            let networks: Result<Vec<Network>, _> = texts.map(str::parse).collect();
            config.sip_trusted = networks.map_err(|error| error.to_string())?;
            Ok(())
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

/// The environment variable of a setting.
pub(super) fn env_name(key: &str) -> String {
    format!("RINGDOWN_{}", key.replace('.', "_").to_uppercase())
}

/// The setting of an environment variable.
pub(super) fn env_key(name: &str) -> Option<&'static str> {
    SETTINGS
        .iter()
        .map(|setting| setting.key)
        .find(|key| env_name(key) == name)
}
