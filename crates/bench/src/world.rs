use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::ValueEnum;
use ringdown_bus::{Bus, NatsServer, Options, ServerOptions, find_nats_server, now};
use ringdown_carrier::account::Accounts;
use ringdown_domain::{OrganisationId, Team};
use ringdown_egress::Policy;
use ringdown_platform::Engine;
use ringdown_rest::{Access, ApiKey, Health, Limits, hash_key};
use ringdown_store::{Artefacts, Database, NewOrganisation, Outbox as _, Tenancy as _};
use ringdown_testkit::postgres::Fresh;
use ringdown_vault::Keyring;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::http::Client;

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// The embedded one.
    Sqlite,
    /// A server.
    Postgres,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        })
    }
}

/// The caller ID of the agent under test.
pub(crate) const CALLER: &str = "+14155550101";

/// Evaluators with a number of their own that runs are spread over.
const SPREAD: usize = 100;

/// A platform's REST server on a database of its own, with one organisation that has an agent and an
/// evaluator. Nothing is dialed, and nothing published unless the engine is run.
pub(crate) struct World {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    pub(crate) key: String,
    pub(crate) scenario: i64,
    pub(crate) profile: i64,
    pub(crate) bus: Bus,
    pub(crate) team: Team,
    pub(crate) org: OrganisationId,
    engine: Engine,
    running: Option<JoinHandle<()>>,
    /// Evaluators with a number of their own; empty until they are needed.
    spread: Vec<i64>,
    agent: i64,
    database: Database,
    fresh: Option<Fresh>,
    server: NatsServer,
    stop: CancellationToken,
    served: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl World {
    pub(crate) async fn start(kind: Kind) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("ringdown bench ")
            .tempdir()?;
        let program = find_nats_server()?;
        let bus_folder = folder.path().join("bus");
        let server = NatsServer::start(ServerOptions {
            program,
            folder: bus_folder,
        })
        .await?;
        let bus = Bus::connect(&Options {
            url: server.url().to_owned(),
            name: "bench".to_owned(),
            replicas: 1,
        })
        .await?;
        let (database, fresh) = match kind {
            Kind::Sqlite => (
                Database::sqlite(&folder.path().join("bench.db")).await?,
                None,
            ),
            Kind::Postgres => {
                let fresh = Fresh::create().await;
                (Database::postgres(fresh.url(), 16).await?, Some(fresh))
            }
        };
        let key = ApiKey::generate();
        let new = NewOrganisation {
            team: "bench".parse().map_err(anyhow::Error::msg)?,
            name: "Bench".to_owned(),
            parallel_limit: Some(10),
            key_sha256: hash_key(key.expose()),
            operator: true,
        };
        let (organisation, _) = database.create_organisation(new, now()).await?;
        let engine = Engine::new(Arc::new(database.clone()), bus.clone());
        let egress = ringdown_egress::Client::new(Policy::public_only());
        let api = ringdown_rest::api(ringdown_rest::State {
            engine: engine.clone(),
            artefacts: Artefacts::in_folder(&folder.path().join("artefacts"))?,
            health: Arc::new(Health::new(String::new)),
            keyring: Arc::new(Keyring::from_file_or_new(
                &folder.path().join("secrets.key"),
            )?),
            egress: egress.clone(),
            accounts: Accounts::new(egress),
            // What is measured is not how fast too many requests are refused.
            access: Access::new(Limits {
                requests_per_minute: u32::MAX,
                ..Limits::default()
            }),
            deployment: ringdown_rest::Deployment::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let served = tokio::spawn(ringdown_rest::serve(listener, api, stop.clone()));
        let mut world = Self {
            kind,
            address,
            key: key.expose().to_owned(),
            scenario: 0,
            profile: 0,
            bus,
            team: organisation.team,
            org: organisation.id,
            engine,
            running: None,
            spread: Vec::new(),
            agent: 0,
            database,
            fresh,
            server,
            stop,
            served,
            _folder: folder,
        };
        world
            .furnish()
            .await
            .context("failed to make an evaluator")?;
        Ok(world)
    }

    async fn furnish(&mut self) -> anyhow::Result<()> {
        let mut client = self.client().await?;
        let number = json!({"number": "+14155550111"});
        client
            .ok("POST", "/ringdown/v1/phone-numbers/", Some(&number))
            .await?;
        let agent = json!({"agent_name": "Reminder", "inbound": false, "contact_number": CALLER});
        let agent = client
            .ok("POST", "/test_framework/v1/aiagents/", Some(&agent))
            .await?;
        let scenario = json!({"name": "Confirms", "agent": agent["id"], "personality": 1,
            "instructions": "Confirm the appointment."});
        let scenario = client
            .ok("POST", "/test_framework/v1/scenarios/", Some(&scenario))
            .await?;
        self.agent = agent["id"].as_i64().context("an id")?;
        self.scenario = scenario["id"].as_i64().context("an id")?;
        let profile = json!({"name": "Somebody", "agent": agent["id"], "information": {}});
        let profile = client
            .ok("POST", "/test_framework/v1/test-profiles/", Some(&profile))
            .await?;
        self.profile = profile["id"].as_i64().context("an id")?;
        Ok(())
    }

    pub(crate) async fn client(&self) -> anyhow::Result<Client> {
        Client::connect(self.address, &self.key).await
    }

    /// Triggers runs in one request; their ids.
    pub(crate) async fn trigger(
        &self,
        client: &mut Client,
        runs: usize,
    ) -> anyhow::Result<Vec<i64>> {
        let body = json!({"scenarios": [self.scenario], "frequency": runs});
        let path = "/test_framework/v1/scenarios/run_scenarios/";
        let result = client.ok("POST", path, Some(&body)).await?;
        let runs = result["runs"].as_array().context("runs")?;
        Ok(runs.iter().filter_map(|run| run["id"].as_i64()).collect())
    }

    /// Triggers runs in one request that call different numbers; their ids.
    pub(crate) async fn trigger_spread(
        &mut self,
        client: &mut Client,
        runs: usize,
    ) -> anyhow::Result<Vec<i64>> {
        while self.spread.len() < SPREAD {
            let number = format!("+1415556{:04}", self.spread.len());
            let number = json!({"number": number});
            let path = "/ringdown/v1/phone-numbers/";
            let number = client.ok("POST", path, Some(&number)).await?;
            let scenario = json!({"name": "Confirms", "agent": self.agent, "personality": 1,
                "instructions": "Confirm the appointment.", "phone_number": number["id"]});
            let path = "/test_framework/v1/scenarios/";
            let scenario = client.ok("POST", path, Some(&scenario)).await?;
            self.spread.push(scenario["id"].as_i64().context("an id")?);
        }
        let wide = runs.min(SPREAD);
        let body = json!({"scenarios": self.spread.get(..wide), "frequency": runs / wide});
        let path = "/test_framework/v1/scenarios/run_scenarios/";
        let result = client.ok("POST", path, Some(&body)).await?;
        let runs = result["runs"].as_array().context("runs")?;
        Ok(runs.iter().filter_map(|run| run["id"].as_i64()).collect())
    }

    /// Sets how many runs may hold a slot.
    pub(crate) async fn limit(&self, slots: u32) -> anyhow::Result<()> {
        self.database
            .set_organisation_limit(self.org, Some(slots))
            .await?;
        self.engine.limits_changed(self.org);
        Ok(())
    }

    /// Admits, matches, publishes and applies facts from now on.
    pub(crate) fn run_engine(&mut self) {
        let (engine, stop) = (self.engine.clone(), self.stop.clone());
        self.running = Some(tokio::spawn(async move {
            if let Err(error) = engine.run(stop).await {
                eprintln!("the engine failed: {error}");
            }
        }));
    }

    /// Waits until the outbox is empty.
    pub(crate) async fn published(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(600);
        while !self.database.outbox(1).await?.is_empty() {
            anyhow::ensure!(Instant::now() < deadline, "the outbox is not drained");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// Lets PostgreSQL do now what it would do in the background some time later, so that it does not while
    /// something is measured.
    pub(crate) async fn settle(&self) -> anyhow::Result<()> {
        if let Some(fresh) = &self.fresh {
            for work in ["VACUUM (ANALYZE)", "CHECKPOINT"] {
                ringdown_testkit::postgres::query(fresh.url(), work)
                    .await
                    .map_err(anyhow::Error::msg)?;
            }
        }
        Ok(())
    }

    pub(crate) fn store(&self) -> &Database {
        &self.database
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        if let Some(running) = self.running {
            running.await?;
        }
        self.served.await?;
        self.database.close().await;
        if let Some(fresh) = self.fresh {
            fresh.drop_database().await;
        }
        self.server.stop().await;
        Ok(())
    }
}
