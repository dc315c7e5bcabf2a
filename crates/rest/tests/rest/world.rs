//! A running platform with two organisations, and a client of each that needs no socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ringdown_bus::{Bus, NatsServer, Options, ServerOptions, find_nats_server, now};
use ringdown_carrier::account::Accounts;
use ringdown_egress::Policy;
use ringdown_platform::{Engine, Error};
use ringdown_proto::v1::{MatchReply, MatchRequest};
use ringdown_rest as rest;
use ringdown_rest::{Access, Api, ApiKey, Health, Limits, hash_key};
use ringdown_store::{Artefacts, Database, NewOrganisation, Organisation, Tenancy as _};
use ringdown_testkit::postgres::Fresh;
use ringdown_vault::Keyring;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use crate::client::{Answer, CALLER, Catalogue, Client, LISTS, OWN, V1, counted, id};

pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(30), future).await {
        Ok(value) => value,
        Err(_) => panic!("did not happen within 30 s: {what}"),
    }
}

pub struct World {
    /// A client of an ordinary organisation.
    pub us: Client,
    /// A client of another one.
    pub them: Client,
    /// A client that holds the deployment's admin key.
    pub admin: Client,
    pub org: Organisation,
    pub engine: Engine,
    pub health: Arc<Health>,
    pub artefacts: Artefacts,
    pub access: Access,
    /// What seals its secrets.
    pub keyring: Arc<Keyring>,
    /// A provider of phone numbers.
    pub provider: crate::provider::Provider,
    pub store: Database,
    server: Option<NatsServer>,
    fresh: Option<Fresh>,
    api: Api,
    stop: CancellationToken,
    running: Vec<JoinHandle<Result<(), Error>>>,
    _folder: tempfile::TempDir,
}

async fn organisation(store: &Database, team: &str, admin: bool) -> (Organisation, String) {
    let key = ApiKey::generate();
    let new = NewOrganisation {
        team: team.parse().unwrap(),
        name: team.to_owned(),
        parallel_limit: None,
        key_sha256: hash_key(key.expose()),
        operator: admin,
    };
    let (made, _) = store.create_organisation(new, now()).await.unwrap();
    (made, key.expose().to_owned())
}

/// Names the kind of database that worlds are made with: `postgres`, or else SQLite.
const DATABASE: &str = "RINGDOWN_TEST_DATABASE";

/// No test but those of the limits is to run into them.
const UNLIMITED: Limits = Limits {
    requests_per_minute: 1_000_000,
    failures_per_minute: 100_000,
    body: Duration::from_secs(30),
};

fn folder() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("ringdown rest ").tempdir();
    folder.unwrap()
}

impl World {
    pub async fn start() -> Self {
        Self::start_with(UNLIMITED).await
    }

    pub async fn start_with(limits: Limits) -> Self {
        let folder = folder();
        if std::env::var(DATABASE).is_ok_and(|kind| kind == "postgres") {
            let migrate = async |url: String| {
                let migrated = Database::postgres(&url, 1).await.unwrap();
                migrated.close().await;
            };
            let fresh = Fresh::prepared(migrate).await;
            let store = Database::postgres(fresh.url(), 8).await.unwrap();
            let mut world = Self::start_in(folder, limits, store).await;
            world.fresh = Some(fresh);
            return world;
        }
        let file = folder.path().join("ringdown.db");
        let store = Database::sqlite(&file).await.unwrap();
        Self::start_in(folder, limits, store).await
    }

    async fn start_in(folder: tempfile::TempDir, limits: Limits, store: Database) -> Self {
        let server = NatsServer::start(ServerOptions {
            program: find_nats_server().unwrap(),
            folder: folder.path().join("bus"),
        })
        .await
        .unwrap();
        let options = Options {
            url: server.url().to_owned(),
            name: "test".to_owned(),
            replicas: 1,
        };
        let bus = Bus::connect(&options).await.unwrap();
        let (_, admin) = organisation(&store, "admin", true).await;
        let (org, us) = organisation(&store, "us", false).await;
        let (_, them) = organisation(&store, "them", false).await;
        let health = Arc::new(Health::new(|| "ringdown_test_total 7\n".to_owned()));
        let artefacts = Artefacts::in_folder(&folder.path().join("artefacts")).unwrap();
        let options = ringdown_platform::Options {
            artefacts: Some(artefacts.clone()),
            ..ringdown_platform::Options::default()
        };
        let engine = Engine::with_options(Arc::new(store.clone()), bus, options);
        let egress = ringdown_egress::Client::new(Policy::allowing(&["127.0.0.0/8"]).unwrap());
        let access = Access::new(limits);
        let keyring = Keyring::from_file_or_new(&folder.path().join("secrets.key")).unwrap();
        let keyring = Arc::new(keyring);
        let provider = crate::provider::Provider::start().await;
        let accounts = Accounts::new(egress.clone()).at(provider.url());
        let api = rest::api(rest::State {
            engine: engine.clone(),
            artefacts: artefacts.clone(),
            health: Arc::clone(&health),
            keyring: Arc::clone(&keyring),
            egress,
            accounts,
            access: access.clone(),
            deployment: rest::Deployment {
                sip: Some(([192, 0, 2, 7], 5060).into()),
                routes: Some(["known".to_owned()].into()),
            },
        });
        let stop = CancellationToken::new();
        let running = tokio::spawn({
            let (engine, stop) = (engine.clone(), stop.clone());
            async move { engine.run(stop).await }
        });
        let client = |key: String| Client {
            api: api.clone(),
            key: Some(key),
        };
        Self {
            us: client(us),
            them: client(them),
            admin: client(admin),
            org,
            engine,
            health,
            artefacts,
            access,
            keyring,
            provider,
            server: Some(server),
            fresh: None,
            api: api.clone(),
            store,
            stop,
            running: vec![running],
            _folder: folder,
        }
    }

    /// Serves the API on a loopback socket.
    pub async fn listen(&mut self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = rest::serve(listener, self.api.clone(), self.stop.clone());
        self.running.push(tokio::spawn(async move {
            served.await;
            Ok(())
        }));
        address
    }

    /// Asks, as the testing agent does, which run a call belongs to.
    pub async fn arrives(&self, from: &str, to: &str) -> MatchReply {
        self.try_arrives(from, to).await.unwrap()
    }

    async fn try_arrives(&self, from: &str, to: &str) -> Result<MatchReply, ringdown_bus::Error> {
        let request = MatchRequest {
            call_id: "call".to_owned(),
            sip_call_id: "call@host".to_owned(),
            from_raw: from.to_owned(),
            to_raw: to.to_owned(),
            source: "192.0.2.1:5060".to_owned(),
            ..MatchRequest::default()
        };
        let bus = self.engine.bus();
        bus.match_call(&request, Duration::from_secs(20)).await
    }

    /// Waits until every part of the engine runs: calls are answered once they all do, and nobody
    /// responds before.
    pub async fn engine_is_up(&self) {
        within("the engine answers calls", async {
            while self.try_arrives(CALLER, "+15550000000").await.is_err() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    pub async fn stop_bus(&mut self) {
        self.server.take().unwrap().stop().await;
    }

    pub async fn close_store(&self) {
        self.store.close().await;
    }

    pub async fn close(self) {
        crate::compatibility::proved();
        self.stop.cancel();
        for running in self.running {
            within("the platform stops", running)
                .await
                .unwrap()
                .unwrap();
        }
        self.store.close().await;
        if let Some(fresh) = self.fresh {
            fresh.drop_database().await;
        }
        if let Some(server) = self.server {
            server.stop().await;
        }
    }
}
