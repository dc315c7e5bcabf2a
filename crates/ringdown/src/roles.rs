//! Starts the roles of a deployment in this process, and ends them in the right order.

use std::fs::{DirBuilder, File};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use async_trait::async_trait;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use ringdown_bus::{Bus, From, NatsServer, ServerOptions, find_nats_server};
use ringdown_carrier::account::Accounts;
use ringdown_dialer::Dialer;
use ringdown_observer::Observer;
use ringdown_platform::Engine;
use ringdown_rest as rest;
use ringdown_rest::{Access, Health};
use ringdown_scoring::{Scorer, ScorerOptions};
use ringdown_store::{Artefacts, Database, Retention as _};
use ringdown_testing_agent::{RecordingSink, SinkError};
use ringdown_voice::{CacheOptions, Cached, Flite, Synthesizer, Tone};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::config::{Config, Voice};
use crate::exit::Failure;
use crate::probes::Probes;

/// A role of the deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Role {
    /// REST API, run queue, matching, deadlines.
    Platform,
    /// Answers calls.
    TestingAgent,
    /// Makes agents call.
    Dialer,
    /// Scores recordings.
    Scoring,
    /// Follows events and counts them.
    Observer,
}

impl Role {
    pub(crate) const ALL: [Self; 5] = [
        Self::Platform,
        Self::TestingAgent,
        Self::Dialer,
        Self::Scoring,
        Self::Observer,
    ];
}

/// Roles running in this process.
pub(crate) struct Running {
    pub(crate) http: Option<SocketAddr>,
    pub(crate) sip: Option<SocketAddr>,
    pub(crate) nats_url: String,
    pub(crate) admin_key: Option<String>,
    pub(crate) observer: Option<Observer>,
    pub(crate) artefacts: Artefacts,
    pub(crate) registry: Registry,
    bus: Bus,
    platform: Option<Platform>,
    pub(crate) probes: Option<Probes>,
    testing_agent: Option<ringdown_testing_agent::Handle>,
    dialer: Option<Dialer>,
    scorer: Option<Scorer>,
    nats: Option<NatsServer>,
    drain: Duration,
    _locks: Vec<File>,
}

struct Platform {
    health: Arc<Health>,
    store: Database,
    engine_stop: CancellationToken,
    engine: tokio::task::JoinHandle<Result<(), ringdown_platform::Error>>,
    http_stop: CancellationToken,
    http: tokio::task::JoinHandle<()>,
    webhooks: ringdown_webhook::Service,
}

/// Hands finished recordings to the artefact store.
struct Sink(Artefacts);

#[async_trait]
impl RecordingSink for Sink {
    async fn store(&self, key: &str, file: &Path) -> Result<(), SinkError> {
        Ok(self.0.put_file(key, file).await?)
    }
}

/// Starts `roles`.
pub(crate) async fn start(config: &Config, roles: &[Role]) -> Result<Running, Failure> {
    let has = |role| roles.contains(&role);
    let locks = lock_folder(config, roles)?;
    let registry = Registry::new();
    let (nats, nats_url) = nats(config).await?;
    let bus = Bus::connect(&ringdown_bus::Options {
        url: nats_url.clone(),
        name: format!("ringdown-{}", std::process::id()),
        replicas: config.nats_replicas,
    })
    .await
    .map_err(Failure::unavailable)?;
    let artefacts = open_artefacts(config)?;
    let mut running = Running {
        http: None,
        sip: None,
        nats_url,
        admin_key: None,
        observer: None,
        artefacts,
        registry,
        bus,
        platform: None,
        probes: None,
        testing_agent: None,
        dialer: None,
        scorer: None,
        nats,
        drain: config.drain,
        _locks: locks,
    };
    if has(Role::Observer) {
        let options = ringdown_observer::Options {
            team: None,
            from: From::Beginning,
            capacity: 10_000,
        };
        let observer = Observer::start(&running.bus, options, &running.registry).await;
        running.observer = Some(observer.map_err(Failure::unavailable)?);
    }
    if has(Role::Scoring) {
        let options = ScorerOptions {
            concurrency: 2,
            scoring: ringdown_scoring::Options::default(),
        };
        let scorer = Scorer::start(&running.bus, running.artefacts.clone(), options).await;
        running.scorer = Some(scorer.map_err(Failure::unavailable)?);
    }
    if has(Role::TestingAgent) {
        let agent = testing_agent(config, &running).await?;
        running.sip = Some(agent.local_addr());
        running.testing_agent = Some(agent);
    }
    if has(Role::Dialer) {
        running.dialer =
            Some(crate::dialer::start(config, &running.bus, running.sip, &running.registry).await?);
    }
    if has(Role::Platform) {
        start_platform(config, &mut running).await?;
    } else if let Some(listen) = config.health_listen {
        let probes = Probes::start(listen, &running.bus, &running.registry).await?;
        running.probes = Some(probes);
    }
    Ok(running)
}

/// Makes the data folder, readable by its owner only, and takes what no two processes may share in
/// it: the streams of an own NATS server, and the keys and the database of the platform. The testing
/// agent guards its recordings itself.
fn lock_folder(config: &Config, roles: &[Role]) -> Result<Vec<File>, Failure> {
    lock_files(
        &config.data_dir,
        &[
            (config.nats_url.is_none(), "lock"),
            (roles.contains(&Role::Platform), "platform.lock"),
        ],
    )
}

/// Takes the place of a platform, so that none runs in the data folder meanwhile.
pub(crate) fn lock_platform(config: &Config) -> Result<Vec<File>, Failure> {
    lock_files(&config.data_dir, &[(true, "platform.lock")])
}

/// The recordings of the data folder.
pub(crate) fn open_artefacts(config: &Config) -> Result<Artefacts, Failure> {
    Artefacts::in_folder(&config.data_dir.join("artefacts")).map_err(Failure::unavailable)
}

fn lock_files(folder: &Path, owned: &[(bool, &str)]) -> Result<Vec<File>, Failure> {
    let lock = |name: &str| -> anyhow::Result<File> {
        let path = folder.join(name);
        let file =
            File::create(&path).with_context(|| format!("failed to create {}", path.display()))?;
        file.try_lock().map_err(|_| {
            anyhow!(
                "the data folder {} is used by another ringdown: stop it, or choose another --data-dir",
                folder.display()
            )
        })?;
        Ok(file)
    };
    let locks = || -> anyhow::Result<Vec<File>> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("failed to create the data folder {}", folder.display()))?;
        let owned = owned.iter().filter(|(owns, _)| *owns);
        owned.map(|(_, name)| lock(name)).collect()
    };
    locks().map_err(Failure::unavailable)
}

async fn nats(config: &Config) -> Result<(Option<NatsServer>, String), Failure> {
    if let Some(url) = &config.nats_url {
        return Ok((None, url.clone()));
    }
    let options = ServerOptions {
        program: find_nats_server().map_err(Failure::unavailable)?,
        folder: config.data_dir.join("nats"),
    };
    let server = NatsServer::start(options)
        .await
        .map_err(Failure::unavailable)?;
    let url = server.url().to_owned();
    Ok((Some(server), url))
}

async fn synthesizer(config: &Config) -> Result<Arc<dyn Synthesizer>, Failure> {
    match config.voice {
        Voice::Tone => Ok(Arc::new(Tone)),
        Voice::Flite => {
            let options = CacheOptions {
                folder: Some(config.data_dir.join("voice")),
                ..CacheOptions::default()
            };
            let voice = Cached::new(Flite::default(), options);
            voice.probe().await.map_err(Failure::unavailable)?;
            Ok(Arc::new(voice))
        }
    }
}

async fn testing_agent(
    config: &Config,
    running: &Running,
) -> Result<ringdown_testing_agent::Handle, Failure> {
    let folder = config.data_dir.join("testing-agent");
    let mut options = ringdown_testing_agent::Options::new(config.sip_listen, folder);
    options.advertised_ip = config.sip_advertised_ip;
    options.max_calls = config.max_calls;
    options.trunks = config.trunks();
    let voice = synthesizer(config).await?;
    let sink = Arc::new(Sink(running.artefacts.clone()));
    ringdown_testing_agent::Service::start(
        options,
        running.bus.clone(),
        voice,
        sink,
        &running.registry,
    )
    .await
    .map_err(Failure::unavailable)
}

async fn start_platform(config: &Config, running: &mut Running) -> Result<(), Failure> {
    let store = open_database(config).await?;
    let unfinished = store
        .remove_unfinished()
        .await
        .map_err(Failure::unavailable)?;
    if unfinished > 0 {
        tracing::info!(
            batches = unfinished,
            "removed batches that were being stored when the process ended"
        );
    }
    let key = crate::admin_key::admin_key(config, &store).await?;
    let engine = Engine::with_options(
        Arc::new(store.clone()),
        running.bus.clone(),
        ringdown_platform::Options {
            artefacts: Some(running.artefacts.clone()),
            // Only an address that was given is one that others are known to reach.
            public_url: config.public_url.clone(),
            ..ringdown_platform::Options::default()
        },
    );
    let registry = running.registry.clone();
    let unusable = IntGauge::new(
        "ringdown_bus_unusable_messages",
        "Messages from the bus that could not be used and were dropped since the start.",
    )
    .map_err(Failure::internal)?;
    registry
        .register(Box::new(unusable.clone()))
        .map_err(Failure::internal)?;
    let missed = IntCounter::new(
        "ringdown_platform_missed_admissions_total",
        "Runs that got a slot only because a sweep looked for them.",
    )
    .map_err(Failure::internal)?;
    registry
        .register(Box::new(missed.clone()))
        .map_err(Failure::internal)?;
    let violations = IntCounterVec::new(
        Opts::new(
            "ringdown_invariant_violations_total",
            "Promises that were not kept, by invariant; each is in the log as well.",
        ),
        &["invariant"],
    )
    .map_err(Failure::internal)?;
    registry
        .register(Box::new(violations.clone()))
        .map_err(Failure::internal)?;
    let (bus, counted) = (running.bus.clone(), engine.clone());
    let health = Arc::new(Health::new(move || {
        for (invariant, count) in counted.violations() {
            let counter = violations.with_label_values(&[invariant.as_str()]);
            counter.inc_by(count.saturating_sub(counter.get()));
        }
        missed.inc_by(counted.missed_admissions().saturating_sub(missed.get()));
        unusable.set(i64::try_from(bus.unusable_messages()).unwrap_or(i64::MAX));
        ringdown_telemetry::render(&registry)
    }));
    let listener = TcpListener::bind(config.http_listen)
        .await
        .with_context(|| format!("failed to listen on {} for HTTP", config.http_listen))
        .map_err(Failure::unavailable)?;
    let address = listener.local_addr().map_err(Failure::internal)?;
    let egress = ringdown_egress::Client::new(config.egress_policy());
    let mut accounts = Accounts::new(egress.clone());
    if let Some(url) = &config.accounts_url {
        accounts = accounts.at(url);
    }
    let access = Access::new(config.limits);
    let state = rest::State {
        engine: engine.clone(),
        artefacts: running.artefacts.clone(),
        health: Arc::clone(&health),
        keyring: Arc::new(config.keyring().map_err(Failure::unavailable)?),
        egress,
        accounts,
        access: access.clone(),
        deployment: deployment(config, running),
    };
    let base = config.public_url(address);
    let webhooks = crate::delivery::start(&state, base, &running.registry)?;
    let api = rest::api(state);
    let (engine_stop, http_stop) = (CancellationToken::new(), CancellationToken::new());
    let engine_task = {
        let stop = engine_stop.clone();
        tokio::spawn(async move { engine.run(stop).await })
    };
    let http_task = tokio::spawn({
        let (store, stop) = (Arc::new(store.clone()), http_stop.clone());
        async move {
            // The books are closed once the last request is answered.
            let served = CancellationToken::new();
            let books = access.keep_books(store, served.clone());
            let serve = async {
                rest::serve(listener, api, stop).await;
                served.cancel();
            };
            tokio::join!(serve, books);
        }
    });
    running.http = Some(address);
    running.admin_key = Some(key);
    running.platform = Some(Platform {
        health,
        store,
        engine_stop,
        engine: engine_task,
        http_stop,
        http: http_task,
        webhooks,
    });
    Ok(())
}

/// What the REST API may say of the roles that run beside it.
fn deployment(config: &Config, running: &Running) -> rest::Deployment {
    let routes = || config.routes.keys().cloned().collect();
    rest::Deployment {
        sip: running.sip.map(|local| announced(config, local)),
        routes: running.dialer.is_some().then(routes),
    }
}

/// Where callers reach the SIP endpoint that listens on `local`.
fn announced(config: &Config, local: SocketAddr) -> SocketAddr {
    let ip = config.sip_advertised_ip.unwrap_or(local.ip());
    SocketAddr::new(ip, local.port())
}

/// The database of the configuration, migrated.
pub(crate) async fn open_database(config: &Config) -> Result<Database, Failure> {
    let opened = match &config.database_url {
        Some(url) => Database::postgres(url.expose(), config.database_connections).await,
        None => Database::sqlite(&config.database_path()).await,
    };
    opened.map_err(Failure::unavailable)
}

impl Running {
    /// Resolves when a part that must not end has ended by itself, with the reason.
    pub(crate) async fn broken(&mut self) -> String {
        let Some(platform) = &mut self.platform else {
            return std::future::pending().await;
        };
        let (part, ended) = tokio::select! {
            ended = &mut platform.engine => ("platform engine", ended),
            ended = &mut platform.http => ("REST server", ended.map(Ok)),
        };
        match ended {
            Ok(Ok(())) => format!("the {part} ended"),
            Ok(Err(error)) => format!("the {part} failed to {error}"),
            Err(panic) => format!("the {part} panicked: {panic}"),
        }
    }

    /// Ends everything: no new work, live calls finish or are ended at the deadline, what happened
    /// is scored, stored and published.
    pub(crate) async fn drain(mut self) {
        let deadline = self.drain;
        info!(seconds = deadline.as_secs(), "draining");
        if let Some(platform) = &self.platform {
            platform.health.drain();
        }
        if let Some(probes) = &self.probes {
            probes.drain();
        }
        let dialer = self.dialer.take();
        let agent = self.testing_agent.take();
        tokio::join!(
            async {
                if let Some(dialer) = dialer {
                    dialer.drain(deadline).await;
                }
            },
            async {
                if let Some(agent) = agent {
                    agent.drain(deadline).await;
                }
            }
        );
        if let Some(scorer) = self.scorer.take() {
            scorer.drain(Duration::from_secs(30)).await;
        }
        if let Some(platform) = self.platform.take() {
            end_platform(platform).await;
        }
        if let Some(probes) = self.probes.take() {
            probes.stop().await;
        }
        self.observer.take();
        if let Err(error) = self.bus.close().await {
            warn!(%error, "the bus was not closed cleanly");
        }
        if let Some(nats) = self.nats.take() {
            nats.stop().await;
        }
        info!("drained");
    }
}

async fn end_platform(platform: Platform) {
    let patience = Duration::from_secs(10);
    platform.webhooks.drain(crate::delivery::PATIENCE).await;
    platform.engine_stop.cancel();
    let mut engine = platform.engine;
    if tokio::time::timeout(patience, &mut engine).await.is_err() {
        error!(
            "the platform engine did not end in time; its outbox is published after the next start"
        );
        engine.abort();
    }
    platform.http_stop.cancel();
    let mut http = platform.http;
    if tokio::time::timeout(patience, &mut http).await.is_err() {
        warn!("some requests did not end in time");
        http.abort();
    }
    platform.store.close().await;
}
