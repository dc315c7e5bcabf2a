//! A deployment of many processes, each of which can be killed and started again in its place.

use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use ringdown_client::Client;
use ringdown_testkit::{port, postgres};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::support::{Server, soon, venv};

/// One process of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Nats,
    Postgres,
    Platform(usize),
    TestingAgent,
    Scoring,
    Dialer(usize),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nats => f.write_str("nats-server"),
            Self::Postgres => f.write_str("postgres"),
            Self::Platform(number) => write!(f, "platform-{number}"),
            Self::TestingAgent => f.write_str("testing-agent"),
            Self::Scoring => f.write_str("scoring"),
            Self::Dialer(number) => write!(f, "dialer-{number}"),
        }
    }
}

/// What is deployed.
pub(crate) struct Setup {
    /// Two platforms on a PostgreSQL server of their own, or one on SQLite.
    pub(crate) postgres: bool,
    /// Parallel-call limit of the organisation.
    pub(crate) limit: usize,
    /// How long the agent under test stays on the line, in seconds.
    pub(crate) call: u64,
}

/// Roles of the real binary, each in a process of its own, with their bus and their database.
pub(crate) struct Deployment {
    folder: tempfile::TempDir,
    nats: Nats,
    postgres: Option<postgres::Server>,
    roles: Vec<Role>,
    /// What processes said that have ended.
    logs: Vec<(Part, String)>,
    /// Processes that ended otherwise than they were made to.
    strange: Vec<String>,
}

struct Role {
    part: Part,
    folder: PathBuf,
    arguments: Vec<String>,
    /// `None` while it is down.
    server: Option<Server>,
}

impl Role {
    async fn start(&mut self) {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        self.server = Some(Server::start(&self.folder, &arguments).await);
    }
}

impl Deployment {
    /// Starts everything and waits until it can work. The dialers have a route `own`.
    pub(crate) async fn start(setup: &Setup) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let nats = Nats::start(&folder.path().join("nats")).await;
        let postgres = match setup.postgres {
            true => Some(postgres::Server::start().await),
            false => None,
        };
        let sip = format!("127.0.0.1:{}", port::free());
        let limit = setup.limit.to_string();
        let route = format!("own=sip:{sip}?seconds={}", setup.call);
        let mut platform = vec!["--http-listen", "127.0.0.1:0", "--parallel-calls", &limit];
        let url = postgres.as_ref().map(postgres::Server::url);
        if let Some(url) = &url {
            platform.extend(["--database-url", url]);
        }
        let agent = ["--sip-listen", &sip, "--voice", "tone"];
        let dialer = ["--drain-seconds", "0", "--dial-route", &route];
        // Who works with recordings shares their folder.
        let mut planned: Vec<(Part, &str, &str, &[&str])> = vec![
            (Part::Platform(0), "platform", "shared", &platform),
            (Part::TestingAgent, "testing-agent", "shared", &agent),
            (Part::Scoring, "scoring", "shared", &[]),
            (Part::Dialer(0), "dialer", "dialer-0", &dialer),
            (Part::Dialer(1), "dialer", "dialer-1", &dialer),
        ];
        if setup.postgres {
            planned.insert(1, (Part::Platform(1), "platform", "platform-1", &platform));
        }
        let mut deployment = Self {
            folder,
            nats,
            postgres,
            roles: Vec::new(),
            logs: Vec::new(),
            strange: Vec::new(),
        };
        for (part, role, folder, own) in planned {
            let mut arguments = vec!["serve", role, "--nats-url", &deployment.nats.url];
            arguments.extend(own);
            let mut role = Role {
                part,
                folder: deployment.folder.path().join(folder),
                arguments: arguments.into_iter().map(str::to_owned).collect(),
                server: None,
            };
            role.start().await;
            deployment.roles.push(role);
        }
        deployment
    }

    /// Every process.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let mut parts: Vec<Part> = self.roles.iter().map(|role| role.part).collect();
        parts.push(Part::Nats);
        parts.extend(self.postgres.is_some().then_some(Part::Postgres));
        parts
    }

    /// Ends a process without its knowing.
    pub(crate) async fn kill(&mut self, part: Part) {
        match part {
            Part::Nats => self.nats.kill().await,
            Part::Postgres => self.postgres.as_mut().unwrap().kill().await,
            part => {
                let killed = self.role(part).server.take().unwrap();
                killed.signal(Signal::KILL);
                let (status, log) = killed.ended().await;
                // It has to have lived until then.
                if status.signal() != Some(9) {
                    self.strange
                        .push(format!("{part} ended by itself: {status}"));
                }
                self.logs.push((part, log));
            }
        }
    }

    /// Starts a process that was killed, in its place, and waits until it can work.
    pub(crate) async fn start_again(&mut self, part: Part) {
        match part {
            Part::Nats => self.nats.start_again().await,
            Part::Postgres => self.postgres.as_mut().unwrap().start_again().await,
            part => self.role(part).start().await,
        }
    }

    /// Makes the bus neither answer nor end, or work again.
    pub(crate) fn signal_nats(&self, signal: Signal) {
        let child = self.nats.child.as_ref().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Address of the bus.
    pub(crate) fn nats_url(&self) -> &str {
        &self.nats.url
    }

    /// The first platform, as its users see it.
    pub(crate) fn client(&self) -> &Client {
        let first = self
            .roles
            .iter()
            .find(|role| role.part == Part::Platform(0));
        &first.unwrap().server.as_ref().unwrap().client
    }

    fn role(&mut self, part: Part) -> &mut Role {
        let mut roles = self.roles.iter_mut();
        roles.find(|role| role.part == part).unwrap()
    }

    /// Waits until nothing is left in the outbox.
    pub(crate) async fn outbox_drained(&self) {
        const COUNT: &str = "SELECT count(*) FROM outbox";
        soon("an empty outbox", async {
            loop {
                let count = match &self.postgres {
                    Some(postgres) => postgres::query(&postgres.url(), COUNT).await.unwrap(),
                    None => {
                        let database = self.folder.path().join("shared/ringdown.db");
                        sqlite(&database, COUNT).await
                    }
                };
                if count.trim() == "0" {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        })
        .await;
    }

    /// Stops everything politely, and fails the test if something was found, with what every process said in
    /// files.
    pub(crate) async fn stop(mut self, mut found: Vec<String>) {
        while let Some(role) = self.roles.pop() {
            let server = role.server.unwrap();
            server.signal(Signal::TERM);
            let (status, log) = server.ended().await;
            if !status.success() {
                found.push(format!("{} did not stop politely: {status}", role.part));
            }
            self.logs.push((role.part, log));
        }
        found.append(&mut self.strange);
        for (part, log) in &self.logs {
            let panics = log.lines().filter(|line| line.contains("panicked"));
            found.extend(panics.map(|line| format!("{part}: {line}")));
        }
        if found.is_empty() {
            return;
        }
        let folder = tempfile::Builder::new()
            .prefix("killed-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .unwrap()
            .keep();
        for (number, (part, log)) in self.logs.iter().enumerate() {
            std::fs::write(folder.join(format!("{part}.{number}.log")), log).unwrap();
        }
        panic!("{}\nlogs: {}", found.join("\n"), folder.display());
    }
}

/// What SQLite answers, while somebody else uses the file.
async fn sqlite(database: &Path, sql: &str) -> String {
    const ASK: &str = "import sqlite3, sys\n\
        print(sqlite3.connect(sys.argv[1], timeout=30).execute(sys.argv[2]).fetchone()[0])";
    let mut python = Command::new(venv("python3"));
    python.args(["-c", ASK]).arg(database).arg(sql);
    let said = soon("SQLite's answer", python.output()).await.unwrap();
    assert!(said.status.success(), "{said:?}");
    String::from_utf8_lossy(&said.stdout).into_owned()
}

/// A bus that nobody supervises. Every write is on disk before it is acknowledged.
struct Nats {
    url: String,
    config: PathBuf,
    /// `None` while it is down.
    child: Option<Child>,
}

impl Nats {
    async fn start(folder: &Path) -> Self {
        std::fs::create_dir(folder).unwrap();
        let config = folder.join("nats-server.conf");
        let listen = format!("127.0.0.1:{}", port::free());
        let text = format!(
            "listen: \"{listen}\"\n\
             log_file: \"{folder}/log\"\n\
             max_payload: 1MB\n\
             jetstream {{ store_dir: \"{folder}/jetstream\", sync_interval: always }}\n",
            folder = folder.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut nats = Self {
            url: format!("nats://{listen}"),
            config,
            child: None,
        };
        nats.start_again().await;
        nats
    }

    async fn start_again(&mut self) {
        let mut child = Command::new(ringdown_bus::find_nats_server().unwrap())
            .arg("--config")
            .arg(&self.config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        soon("nats-server", async {
            while !self.greets().await {
                let ended = child.try_wait().unwrap();
                assert!(ended.is_none(), "nats-server ended: {ended:?}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        self.child = Some(child);
    }

    /// Whether it takes clients, which it does once its streams are there.
    async fn greets(&self) -> bool {
        let address = self.url.trim_start_matches("nats://");
        let Ok(mut stream) = TcpStream::connect(address).await else {
            return false;
        };
        let mut greeting = [0; 4];
        stream.read_exact(&mut greeting).await.is_ok() && &greeting == b"INFO"
    }

    async fn kill(&mut self) {
        self.child.take().unwrap().kill().await.unwrap();
    }
}
