//! A server that a test may do anything to, unlike the one that all tests share.

use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::program;

/// Longest wait for the server: to recover, and for its predecessor's processes to be gone.
const START: Duration = Duration::from_secs(60);

/// Pause between looks.
const LOOK: Duration = Duration::from_millis(50);

/// A PostgreSQL server of one test, in a folder of its own and on a port that it keeps. It is killed and its
/// folder removed with this value.
#[derive(Debug)]
pub struct Server {
    folder: PathBuf,
    port: u16,
    password: String,
    /// User and group it runs as, if not as ours.
    owner: Option<(String, String)>,
    process: Option<Child>,
}

impl Server {
    /// Makes a server and waits until it takes connections.
    ///
    /// # Panics
    /// If PostgreSQL or `setpriv` is not installed, and if it does not start.
    pub async fn start() -> Self {
        let port = crate::port::free();
        let name = format!("ringdown-postgres-{}-{port}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let mut private = std::fs::DirBuilder::new();
        private.mode(0o700).create(&folder).unwrap();
        let mut server = Self {
            folder,
            port,
            password: uuid(),
            owner: owner().await,
            process: None,
        };
        server.initialise().await;
        server.start_again().await;
        server
    }

    /// Where its first database is: `postgres://user:password@host:port/name`.
    pub fn url(&self) -> String {
        let (port, password) = (self.port, &self.password);
        format!("postgres://ringdown:{password}@127.0.0.1:{port}/postgres")
    }

    /// Kills it as a power failure would, without its knowing.
    ///
    /// # Panics
    /// If it does not run.
    pub async fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().await.unwrap();
    }

    /// Starts it on the same port and data, and waits until it takes connections.
    ///
    /// # Panics
    /// If it does not within a minute.
    pub async fn start_again(&mut self) {
        let deadline = Instant::now() + START;
        while !self.takes_connections().await {
            assert!(Instant::now() < deadline, "PostgreSQL: {}", self.log());
            // What a killed server leaves behind holds its shared memory for a moment: a server that
            // finds that ends at once.
            let ended = match &mut self.process {
                Some(process) => process.try_wait().unwrap().is_some(),
                None => true,
            };
            if ended {
                self.process = Some(self.spawn());
            }
            sleep(LOOK).await;
        }
    }

    fn spawn(&self) -> Child {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("server.log"))
            .unwrap();
        self.command("postgres")
            .arg("-D")
            .arg(self.folder.join("data"))
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-k"])
            .arg(&self.folder)
            .args(["-c", "max_connections=200", "-c", "fsync=on"])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    async fn initialise(&self) {
        let password = self.folder.join("password");
        std::fs::write(&password, &self.password).unwrap();
        if let Some((user, _)) = &self.owner {
            let mut chown = Command::new("chown");
            chown.arg("-R").arg(user).arg(&self.folder);
            assert!(chown.status().await.unwrap().success());
        }
        let said = self
            .command("initdb")
            .arg("--pgdata")
            .arg(self.folder.join("data"))
            .arg("--pwfile")
            .arg(&password)
            .args(["--username", "ringdown", "--auth", "scram-sha-256"])
            .args(["--encoding", "UTF8", "--locale", "C", "--no-sync"])
            .output()
            .await
            .unwrap();
        assert!(
            said.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&said.stderr)
        );
    }

    async fn takes_connections(&self) -> bool {
        self.process.is_some()
            && Command::new(program("pg_isready"))
                .args(["--quiet", "--host", "127.0.0.1"])
                .args(["--port", &self.port.to_string()])
                .status()
                .await
                .unwrap()
                .success()
    }

    /// One of its programs, run by its owner and ended with this process.
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new("setpriv");
        if let Some((user, group)) = &self.owner {
            command.args(["--reuid", user, "--regid", group, "--init-groups"]);
        }
        command
            .args(["--pdeathsig", "INT"])
            .arg(program(name))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("server.log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended by itself.
            let _ = process.start_kill();
        }
        // Its processes write until they notice.
        for _ in 0..50 {
            if std::fs::remove_dir_all(&self.folder).is_ok() {
                return;
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// PostgreSQL does not run as root.
async fn owner() -> Option<(String, String)> {
    let root = Path::new("/proc/self").metadata().unwrap().uid() == 0;
    if !root {
        return None;
    }
    for user in ["postgres", "nobody"] {
        let group = Command::new("id").args(["-g", user]).output();
        let group = group.await.unwrap();
        if group.status.success() {
            let group = String::from_utf8_lossy(&group.stdout).trim().to_owned();
            return Some((user.to_owned(), group));
        }
    }
    panic!("there is no user that PostgreSQL could run as: install the package postgresql");
}

/// What nobody guesses.
fn uuid() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap();
    text.trim().to_owned()
}
