//! A supervised `nats-server` child for one-machine use.

mod parent_death;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tracing::{error, info, warn};

use crate::Error;

const START_DEADLINE: Duration = Duration::from_secs(15);
const STOP_DEADLINE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// How to run the child.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The program; [`find_nats_server`] finds it.
    pub program: PathBuf,
    /// Folder for streams, configuration and log. Created if missing.
    pub folder: PathBuf,
}

/// A running `nats-server` that listens on a free loopback port, asks for a password that only this
/// process knows, flushes every write to disk, and is restarted if it dies. It is stopped by
/// [`NatsServer::stop`], by dropping, and by the kernel if this process is killed.
pub struct NatsServer {
    url: String,
    pid: Arc<AtomicU32>,
    stop: Option<mpsc::Sender<()>>,
    supervisor: Option<std::thread::JoinHandle<()>>,
}

/// Finds the `nats-server` program: `RINGDOWN_NATS_SERVER`, beside this executable, `.tools/bin`
/// under the current folder, then `PATH`.
///
/// # Errors
/// [`Error::NoServer`] names the places and the command that installs it.
pub fn find_nats_server() -> Result<PathBuf, Error> {
    let mut candidates = Vec::new();
    if let Some(path) = std::env::var_os("RINGDOWN_NATS_SERVER") {
        candidates.push(PathBuf::from(path));
    }
    if let Some(folder) = std::env::current_exe()
        .ok()
        .as_deref()
        .and_then(Path::parent)
    {
        candidates.push(folder.join("nats-server"));
    }
    if let Ok(folder) = std::env::current_dir() {
        candidates.push(folder.join(".tools/bin/nats-server"));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    candidates.extend(std::env::split_paths(&path).map(|folder| folder.join("nats-server")));
    match candidates.iter().find(|candidate| candidate.is_file()) {
        Some(found) => Ok(found.clone()),
        None => Err(Error::NoServer(candidates)),
    }
}

impl NatsServer {
    /// Starts the child and waits until it takes connections.
    ///
    /// # Errors
    /// [`Error::Server`] if it does not come up within 15 s, with the end of its log.
    pub async fn start(options: ServerOptions) -> Result<Self, Error> {
        let program = options.program.clone();
        let (stop, stopped) = mpsc::channel();
        let (ready, started) = tokio::sync::oneshot::channel();
        let pid = Arc::new(AtomicU32::new(0));
        let current = Arc::clone(&pid);
        // The child is bound to the life of the thread that spawned it, so that thread has to live
        // as long as the child: a thread of its own, not one of the runtime's.
        let supervisor = std::thread::Builder::new()
            .name("nats-supervisor".to_owned())
            .spawn(move || supervise(&options, &stopped, ready, &current))
            .map_err(|error| Error::Server {
                program: program.clone(),
                reason: error.to_string(),
            })?;
        let mut server = Self {
            url: String::new(),
            pid,
            stop: Some(stop),
            supervisor: Some(supervisor),
        };
        server.url = started.await.unwrap_or_else(|_| {
            Err(Error::Server {
                program,
                reason: "its supervisor stopped".to_owned(),
            })
        })?;
        Ok(server)
    }

    /// Where it listens, with credentials.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Process id of the present child.
    pub fn pid(&self) -> u32 {
        self.pid.load(Ordering::Relaxed)
    }

    /// Stops the child and waits until it has ended.
    pub async fn stop(mut self) {
        self.stop.take();
        if let Some(supervisor) = self.supervisor.take() {
            let joined = tokio::task::spawn_blocking(move || supervisor.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                error!("the supervisor of nats-server did not end cleanly");
            }
        }
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        // Closing the channel tells the supervisor to stop the child.
        self.stop.take();
        if let Some(supervisor) = self.supervisor.take()
            && supervisor.join().is_err()
        {
            error!("the supervisor of nats-server panicked");
        }
    }
}

/// What is needed to start the child again in the same place.
struct Launch<'a> {
    options: &'a ServerOptions,
    user: &'static str,
    password: String,
    /// -1 lets the server choose; afterwards it keeps its port, so that clients find it again.
    port: i32,
}

fn supervise(
    options: &ServerOptions,
    stopped: &mpsc::Receiver<()>,
    ready: tokio::sync::oneshot::Sender<Result<String, Error>>,
    pid: &AtomicU32,
) {
    let mut launch = Launch {
        options,
        user: "ringdown",
        password: crate::new_event_id(),
        port: -1,
    };
    let mut child = match launch.start(stopped) {
        Ok((child, port)) => {
            launch.port = port;
            pid.store(child.id(), Ordering::Relaxed);
            let url = format!(
                "nats://{}:{}@127.0.0.1:{port}",
                launch.user, launch.password
            );
            if ready.send(Ok(url)).is_err() {
                stop(child);
                return;
            }
            child
        }
        Err(error) => {
            // The receiver is gone only if nobody waits for the server any more.
            let _ = ready.send(Err(error));
            return;
        }
    };
    let mut pause = Duration::from_millis(100);
    loop {
        match stopped.recv_timeout(POLL * 5) {
            Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => {
                stop(child);
                return;
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
        let status = match child.try_wait() {
            Ok(None) => continue,
            Ok(Some(status)) => status.to_string(),
            Err(error) => error.to_string(),
        };
        error!(%status, "nats-server ended, starting it again");
        child = loop {
            match launch.start(stopped) {
                Ok((child, _)) => break child,
                Err(error) => warn!(%error, "cannot start nats-server again"),
            }
            match stopped.recv_timeout(pause) {
                Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => return,
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
            pause = (pause * 2).min(Duration::from_secs(5));
        };
        pid.store(child.id(), Ordering::Relaxed);
        info!("nats-server is up again");
    }
}

impl Launch<'_> {
    fn failed(&self, reason: String) -> Error {
        Error::Server {
            program: self.options.program.clone(),
            reason,
        }
    }

    fn start(&self, stopped: &mpsc::Receiver<()>) -> Result<(Child, i32), Error> {
        let folder = &self.options.folder;
        let config = folder.join("nats-server.conf");
        let ports = folder.join("ports");
        if ports.exists() {
            std::fs::remove_dir_all(&ports).map_err(|error| self.failed(error.to_string()))?;
        }
        std::fs::create_dir_all(&ports).map_err(|error| self.failed(error.to_string()))?;
        let config_text = self.config()?;
        write_private(&config, &config_text).map_err(|error| self.failed(error.to_string()))?;
        let log = std::fs::File::create(folder.join("nats-server.out"))
            .map_err(|error| self.failed(error.to_string()))?;
        let mut command = Command::new(&self.options.program);
        command
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        parent_death::bind(&mut command);
        let mut child = command
            .spawn()
            .map_err(|error| self.failed(error.to_string()))?;
        let begun = Instant::now();
        loop {
            if let Some(port) = read_port(&ports) {
                return Ok((child, port));
            }
            let ended = child.try_wait().ok().flatten();
            let told_to_stop = matches!(
                stopped.try_recv(),
                Ok(()) | Err(mpsc::TryRecvError::Disconnected)
            );
            if ended.is_some() || told_to_stop || begun.elapsed() > START_DEADLINE {
                stop(child);
                let status = ended.map_or("it was not ready in time".to_owned(), |status| {
                    format!("it ended with {status}")
                });
                let log = end_of_log(folder);
                return Err(self.failed(format!("{status}: {log}")));
            }
            std::thread::sleep(POLL);
        }
    }

    fn config(&self) -> Result<String, Error> {
        let quote = |path: PathBuf| {
            let text = path
                .into_os_string()
                .into_string()
                .map_err(|_| self.failed("its folder has a name that is not UTF-8".to_owned()))?;
            Ok::<_, Error>(text.replace('\\', "\\\\").replace('"', "\\\""))
        };
        let folder = std::path::absolute(&self.options.folder)
            .map_err(|error| self.failed(error.to_string()))?;
        let store = quote(folder.join("jetstream"))?;
        let ports = quote(folder.join("ports"))?;
        let log = quote(folder.join("nats-server.log"))?;
        let (user, password, port) = (self.user, &self.password, self.port);
        Ok(format!(
            "listen: \"127.0.0.1:{port}\"\n\
             ports_file_dir: \"{ports}\"\n\
             log_file: \"{log}\"\n\
             max_payload: 1MB\n\
             authorization {{ user: \"{user}\", password: \"{password}\" }}\n\
             jetstream {{ store_dir: \"{store}\", sync_interval: always }}\n"
        ))
    }
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
}

/// The port in the file that the server writes once it listens.
fn read_port(ports: &Path) -> Option<i32> {
    let entry = std::fs::read_dir(ports).ok()?.flatten().next()?;
    let text = std::fs::read_to_string(entry.path()).ok()?;
    let (_, rest) = text.split_once("\"nats\"")?;
    let (_, rest) = rest.split_once("127.0.0.1:")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn end_of_log(folder: &Path) -> String {
    let mut text = String::new();
    for name in ["nats-server.out", "nats-server.log"] {
        if let Ok(mut file) = std::fs::File::open(folder.join(name)) {
            // A log that cannot be read leaves the status alone as the explanation.
            let _ = file.read_to_string(&mut text);
        }
    }
    let lines: Vec<&str> = text.lines().rev().take(3).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}

fn stop(mut child: Child) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid
        && let Err(error) = kill_process(pid, Signal::TERM)
    {
        warn!(%error, "cannot ask nats-server to stop");
    }
    let begun = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(_)) => return,
            Ok(None) if begun.elapsed() < STOP_DEADLINE => std::thread::sleep(POLL),
            _ => break,
        }
    }
    if let Err(error) = child.kill().and_then(|()| child.wait().map(drop)) {
        error!(%error, "cannot end nats-server");
    }
}
