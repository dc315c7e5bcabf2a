//! Processes, the REST API as a client sees it, and the facts on the bus.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use ringdown_api::own::{AddPhoneNumber, DialRoute, ProjectSettings, ReadyLine};
use ringdown_api::{Run, RunScenarios, TriggeredResult};
use ringdown_bus::{Bus, From, Observed, Observer, Stream};
use ringdown_client::{ApiKey, Client, NewAgent, NewScenario, Options};
use ringdown_domain::run::Status;
use ringdown_proto::v1::RunTransition;
use ringdown_proto::v1::envelope::Fact;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

/// The caller ID of the agents under test.
pub(crate) const AGENT: &str = "+15556660100";

/// Fails the test if `what` takes longer than any machine needs.
pub(crate) async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(90), work)
        .await
        .unwrap_or_else(|_| panic!("{what} did not happen within 90 s"))
}

/// Seconds of a soak, if this is one.
pub(crate) fn soak() -> Option<u64> {
    let set = std::env::var("RINGDOWN_SOAK").ok()?;
    Some(set.parse().expect("RINGDOWN_SOAK is a number of seconds"))
}

/// The `ringdown` command, ended with the test. Settings of the machine do not reach it.
pub(crate) fn ringdown(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringdown"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("RINGDOWN_") && name != "RINGDOWN_NATS_SERVER" {
            command.env_remove(name);
        }
    }
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// What a command that has ended said.
pub(crate) struct Said {
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs a command to its end.
pub(crate) async fn finished(mut command: Command) -> Said {
    let child = command.kill_on_drop(true).spawn().unwrap();
    let output = soon("the end of a command", child.wait_with_output())
        .await
        .unwrap();
    Said {
        status: output.status,
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// `ringdown up` or `ringdown serve`, ready to work.
pub(crate) struct Server {
    pub(crate) ready: ReadyLine,
    pub(crate) client: Client,
    child: Child,
    log: tokio::task::JoinHandle<String>,
}

impl Server {
    /// Starts `ringdown up` on free ports.
    pub(crate) async fn up(folder: &Path, extra: &[&str]) -> Self {
        let mut arguments = vec![
            "up",
            "--http-listen",
            "127.0.0.1:0",
            "--sip-listen",
            "127.0.0.1:0",
        ];
        arguments.extend(extra);
        Self::start(folder, &arguments).await
    }

    /// Starts a command that announces itself.
    pub(crate) async fn start(folder: &Path, arguments: &[&str]) -> Self {
        Self::announced(folder, arguments, ringdown(arguments)).await
    }

    /// Waits until a command that announces itself has done so.
    pub(crate) async fn announced(folder: &Path, arguments: &[&str], mut command: Command) -> Self {
        let data = folder.display().to_string();
        command.args(["--data-dir", &data, "--format", "json"]);
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut err = child.stderr.take().unwrap();
        let log = tokio::spawn(async move {
            let mut bytes = Vec::new();
            err.read_to_end(&mut bytes).await.unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let mut line = String::new();
        soon("the ready line", out.read_line(&mut line))
            .await
            .unwrap();
        if line.is_empty() {
            let status = child.wait().await.unwrap();
            panic!("{arguments:?} ended with {status}: {}", log.await.unwrap());
        }
        let ready: ReadyLine = serde_json::from_str(&line).unwrap();
        let base = if ready.http_url.is_empty() {
            "http://127.0.0.1:1"
        } else {
            &ready.http_url
        };
        let key = ApiKey::new(ready.admin_key.clone());
        let client = Client::new(base, &key, Options::default()).unwrap();
        Self {
            ready,
            client,
            child,
            log,
        }
    }

    /// Address of the SIP endpoint.
    pub(crate) fn sip(&self) -> &str {
        self.ready.sip_uri.trim_start_matches("sip:")
    }

    /// Sends a signal to the process.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits until the process has ended. Returns how, and its log.
    pub(crate) async fn ended(mut self) -> (ExitStatus, String) {
        let status = soon("the end of the server", self.child.wait())
            .await
            .unwrap();
        (status, self.log.await.unwrap())
    }

    /// Asks the process to end and waits for it.
    pub(crate) async fn stop(self) {
        self.signal(rustix::process::Signal::TERM);
        let (status, log) = self.ended().await;
        assert!(status.success(), "{status}: {log}");
        assert!(!log.contains("panicked"), "{log}");
    }

    /// The facts of the run state, from the first one.
    pub(crate) async fn transitions(&self) -> Facts {
        Facts::open(&self.ready.nats_url, Stream::Runs).await
    }
}

/// A stream of facts.
pub(crate) struct Facts {
    /// Kept for the observer, which ends with its connection.
    _bus: Bus,
    observer: Observer,
}

impl Facts {
    /// Reads `stream` from its beginning.
    pub(crate) async fn open(url: &str, stream: Stream) -> Self {
        Self::open_from(url, stream, From::Beginning).await
    }

    /// Reads `stream` from there.
    pub(crate) async fn open_from(url: &str, stream: Stream, from: From) -> Self {
        let bus = Bus::connect(&ringdown_bus::Options {
            url: url.to_owned(),
            name: "end-to-end-test".to_owned(),
            replicas: 1,
        })
        .await
        .unwrap();
        let observer = bus.observe(stream, stream.subjects(), from).await.unwrap();
        Self {
            _bus: bus,
            observer,
        }
    }

    /// The next fact.
    pub(crate) async fn next(&mut self) -> Observed {
        soon("a fact", self.observer.next()).await.unwrap().unwrap()
    }

    /// The next transition.
    pub(crate) async fn transition(&mut self) -> (RunTransition, Status) {
        loop {
            if let Some(Fact::Run(fact)) = self.next().await.envelope.fact {
                let status = fact.known_status().unwrap();
                return (fact, status);
            }
        }
    }

    /// The transition of `run` into `status`.
    pub(crate) async fn until(&mut self, run: i64, status: Status) -> RunTransition {
        loop {
            let (fact, entered) = self.transition().await;
            if fact.run_id == run && entered == status {
                return fact;
            }
            assert!(
                fact.run_id != run || !entered.is_terminal(),
                "run {run} ended as {entered} before it was {status}: {}",
                fact.error_message
            );
        }
    }

    /// The last transition of `run`.
    pub(crate) async fn ended(&mut self, run: i64) -> (RunTransition, Status) {
        loop {
            let (fact, entered) = self.transition().await;
            if fact.run_id == run && entered.is_terminal() {
                return (fact, entered);
            }
        }
    }
}

/// An agent with evaluators of its own numbers.
pub(crate) struct Bench {
    pub(crate) agent: i64,
    pub(crate) scenarios: Vec<i64>,
    pub(crate) numbers: Vec<String>,
}

impl Bench {
    /// Makes `count` evaluators of a new agent that calls from [`AGENT`], dialed through `route`.
    pub(crate) async fn build(client: &Client, count: usize, route: Option<&str>) -> Self {
        let agent = NewAgent {
            agent_name: "Agent under test".to_owned(),
            inbound: false,
            contact_number: AGENT.to_owned(),
            ..NewAgent::default()
        };
        let agent = client.create_agent(&agent).await.unwrap().id;
        if let Some(route) = route {
            let route = DialRoute {
                route: Some(route.to_owned()),
            };
            client.set_dial_route(agent, &route).await.unwrap();
        }
        let mut bench = Self {
            agent,
            scenarios: Vec::new(),
            numbers: Vec::new(),
        };
        for index in 0..count {
            let number = format!("+1555666{:04}", 200 + index);
            let number = AddPhoneNumber {
                number,
                ..AddPhoneNumber::default()
            };
            let number = client.add_phone_number(&number).await.unwrap();
            let scenario = NewScenario {
                name: format!("Evaluator {index}"),
                agent,
                instructions: "Be short.".to_owned(),
                first_message: "Hello?".to_owned(),
                phone_number: Some(number.id),
                ..NewScenario::default()
            };
            let scenario = client.create_scenario(&scenario).await.unwrap();
            bench.scenarios.push(scenario.id);
            bench.numbers.push(number.number);
        }
        bench
    }

    /// Triggers every evaluator `frequency` times.
    pub(crate) async fn trigger(&self, client: &Client, frequency: i64) -> TriggeredResult {
        let request = RunScenarios {
            agent_id: Some(self.agent),
            scenarios: Some(self.scenarios.clone()),
            frequency: Some(frequency),
            ..RunScenarios::default()
        };
        client.run_scenarios(&request).await.unwrap()
    }
}

/// Sets the dial window of the only project.
pub(crate) async fn set_window(client: &Client, seconds: u64) {
    let settings = ProjectSettings {
        outbound_timeout: Some(seconds),
        ..ProjectSettings::default()
    };
    change_project(client, &settings).await;
}

/// Sets what callers hear that the only project refuses.
pub(crate) async fn set_reject(client: &Client, reject: &str) {
    let settings = ProjectSettings {
        reject: Some(reject.to_owned()),
        ..ProjectSettings::default()
    };
    change_project(client, &settings).await;
}

async fn change_project(client: &Client, settings: &ProjectSettings) {
    let project = client.projects().await.unwrap()[0].id;
    client.update_project(project, settings).await.unwrap();
}

/// Asserts that a run completed with a stereo recording, scores and a verdict.
pub(crate) fn assert_scored(run: &Run, data: &Path) {
    assert_eq!(run.status.as_str(), "completed", "{}", run.error_message);
    assert!(run.success.is_some());
    let metrics = &run.evaluation.as_ref().unwrap().metrics;
    assert!(
        metrics.iter().any(|metric| metric.name == "Talk Ratio"),
        "{metrics:?}"
    );
    let wavs = recordings(data, run.id);
    assert_eq!(wavs.len(), 1, "{wavs:?}");
    let wav = hound::WavReader::open(&wavs[0]).unwrap();
    assert_eq!(wav.spec().channels, 2);
    assert!(wav.duration() > wav.spec().sample_rate);
}

fn recordings(data: &Path, run: i64) -> Vec<PathBuf> {
    let folder = data.join(format!("artefacts/recordings/default/{run}"));
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

/// The rows of the attempt ledger about `run`, as the command prints them, oldest first.
pub(crate) async fn attempts(server: &Server, run: i64) -> Vec<Value> {
    let run = run.to_string();
    let said = finished(ringdown(&[
        "attempts",
        "--upstream",
        &server.ready.http_url,
        "--api-key",
        &server.ready.admin_key,
        "--run",
        &run,
        "--format",
        "json",
    ]))
    .await;
    assert!(said.status.success(), "{}", said.err);
    let page: Value = serde_json::from_str(&said.out).unwrap();
    let mut rows = page["results"].as_array().unwrap().clone();
    rows.reverse();
    rows
}

/// The verdicts of the calls that arrived for `run`.
pub(crate) async fn verdicts(server: &Server, run: i64) -> Vec<String> {
    let rows = attempts(server, run).await;
    rows.iter()
        .filter(|row| row["kind"] == json!("invite"))
        .map(|row| row["verdict"].as_str().unwrap().to_owned())
        .collect()
}

/// A program of the tests' Python environment.
pub(crate) fn venv(name: &str) -> PathBuf {
    let program = project(&format!(".tools/venv/bin/{name}"));
    assert!(
        program.exists(),
        "{} is missing: run `make tools-test`",
        program.display()
    );
    program
}

/// A file of the project.
pub(crate) fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

/// Writes an executable shell script.
pub(crate) fn script(path: &Path, body: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// One request with a JSON body, if `body` is one; the answer's status and body.
pub(crate) async fn ask(method: &str, url: &str, key: &str, body: &Value) -> (u16, String) {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let request = format!(
        "{method} /{path} HTTP/1.1\r\nHost: {host}\r\nX-CEKURA-API-KEY: {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon("an answer", stream.read_to_string(&mut answer))
        .await
        .unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(!head.to_lowercase().contains("transfer-encoding"), "{head}");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

/// The body of a successful GET, as text.
pub(crate) async fn get(url: &str, key: &str) -> String {
    let (status, body) = ask("GET", url, key, &Value::Null).await;
    assert_eq!(status, 200, "{url}: {body}");
    body
}
