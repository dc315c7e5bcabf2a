//! Configuration: defaults, then a TOML file, then `RINGDOWN_*` variables, then flags. One table
//! lists every setting, so that all sources, the documentation and the checks agree; all problems
//! are reported at once. Trunks and dial routes have names, so they are in the file (routes also in flags).

mod file;
mod settings;
mod trunk;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ringdown_carrier::RouteSpec;
use ringdown_egress::Policy;
use ringdown_rest::Limits;
use ringdown_testing_agent::{Network, Trunk};
use ringdown_vault::{Keyring, Secret};

use settings::{SETTINGS, env_key, env_name};

/// Every setting of a deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) http_listen: SocketAddr,
    pub(crate) health_listen: Option<SocketAddr>,
    pub(crate) public_url: Option<String>,
    pub(crate) sip_listen: SocketAddr,
    pub(crate) sip_advertised_ip: Option<IpAddr>,
    pub(crate) sip_trusted: Vec<Network>,
    pub(crate) sip_trunks: Vec<Trunk>,
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
            health_listen: None,
            public_url: None,
            sip_listen: SocketAddr::from(([127, 0, 0, 1], 5060)),
            sip_advertised_ip: None,
            sip_trusted: vec![Network::LOOPBACK_V4, Network::LOOPBACK_V6],
            sip_trunks: Vec::new(),
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
                Ok(read) => {
                    let source = path.display().to_string();
                    for (key, value) in read.values {
                        config.set(&source, &key, &value, &mut problems);
                    }
                    config.sip_trunks = trunk::read(&source, &read.trunks, &mut problems);
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

    /// Where calls may come from: the trunks, then the networks that are only trusted.
    pub(crate) fn trunks(&self) -> Vec<Trunk> {
        let trusted = Trunk::trusted(self.sip_trusted.clone());
        self.sip_trunks.iter().cloned().chain([trusted]).collect()
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
    let trunk = trunk::KEYS.iter().map(|(key, doc)| {
        let key = format!("{}[].{key}", trunk::TRUNKS);
        (key, "-".to_owned(), *doc)
    });
    rows.extend(trunk);
    rows
}

#[cfg(test)]
mod tests {
    use ringdown_domain::CallerHeader;

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
        crate::dialer::route_specs(config.routes.iter()).unwrap();
    }

    #[test]
    fn trunks_are_read_in_their_order_and_loopback_stays_trusted() {
        let file = r#"
            [[sip.trunk]]
            name = "london"
            networks = ["192.0.2.0/28", "2001:db8::7"]
            caller_id = ["P-Asserted-Identity", "from"]
            default_country = "+44"
            national_prefix = "0"
            national_digits = "9-10"
            run_id = true
            [[sip.trunk]]
            name = "oslo"
            networks = ["198.51.100.1"]
            default_country = 47
            national_digits = 8
        "#;
        let trunks = load(file, &[], &[]).unwrap().trunks();
        let names: Vec<&str> = trunks.iter().map(|trunk| trunk.name.as_str()).collect();
        assert_eq!(names, ["london", "oslo", ""]);
        let (london, oslo) = (&trunks[0], &trunks[1]);
        assert_eq!(
            london.caller_id,
            [CallerHeader::PAssertedIdentity, CallerHeader::From]
        );
        assert!(london.run_id && london.contains("2001:db8::7".parse().unwrap()));
        let number = london.numbering.read("02071838750").unwrap();
        assert_eq!(number.as_str(), "+442071838750");
        assert_eq!(
            (&oslo.caller_id[..], oslo.run_id),
            (&[CallerHeader::From][..], false)
        );
        assert_eq!(
            oslo.numbering.read("21234567").unwrap().as_str(),
            "+4721234567"
        );
        assert_eq!(trunks[2], Trunk::trusted(Config::default().sip_trusted));
    }

    #[test]
    fn what_is_wrong_with_a_trunk_is_said() {
        let trunk = |lines: &str| {
            format!("[[sip.trunk]]\nname = \"a\"\nnetworks = [\"192.0.2.1\"]\n{lines}")
        };
        for (file, expected) in [
            (
                "[[sip.trunk]]\nnetworks = [\"192.0.2.1\"]".to_owned(),
                "name",
            ),
            (
                "[[sip.trunk]]\nname = \"a b\"\nnetworks = [\"192.0.2.1\"]".to_owned(),
                "a b",
            ),
            ("[[sip.trunk]]\nname = \"a\"".to_owned(), "networks"),
            (
                "[[sip.trunk]]\nname = \"a\"\nnetworks = []".to_owned(),
                "networks",
            ),
            (
                "[[sip.trunk]]\nname = \"a\"\nnetworks = [\"192.0.2.1/40\"]".to_owned(),
                "192.0.2.1/40",
            ),
            (trunk("colour = 1"), "colour"),
            (trunk("caller_id = \"from\""), "caller_id"),
            (trunk("caller_id = []"), "caller_id"),
            (trunk("caller_id = [\"to\"]"), "\"to\""),
            (trunk("caller_id = [\"from\", \"From\"]"), "twice"),
            (trunk("run_id = \"yes\""), "run_id"),
            (trunk("default_country = \"44\""), "national_digits"),
            (trunk("national_prefix = \"0\""), "default_country"),
            (
                trunk("default_country = \"44\"\nnational_digits = \"10-9\""),
                "10 to 9",
            ),
            (
                trunk("default_country = \"44\"\nnational_digits = \"ten\""),
                "ten",
            ),
            (
                trunk("default_country = \"44\"\nnational_digits = 20"),
                "20",
            ),
            (
                trunk("default_country = \"44\"\nnational_prefix = 0\nnational_digits = 10"),
                "national_prefix",
            ),
            (trunk(&trunk("")), "name"),
            ("[sip.trunk]\nname = \"a\"".to_owned(), "[[sip.trunk]]"),
        ] {
            let problems = load(&file, &[], &[]).unwrap_err();
            assert_eq!(problems.len(), 1, "{file}: {problems:?}");
            assert!(problems[0].contains("sip.trunk"), "{problems:?}");
            assert!(problems[0].contains(expected), "{expected}: {problems:?}");
        }
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
