use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use ringdown_domain::dial::{Outcome, Retry};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{Carrier, Dialed, Order};

/// Output kept of each stream.
const MAX_OUTPUT: usize = 64 * 1024;

/// A command may last as long as the call it makes: until the window closes and this much more.
const AFTER_WINDOW: Duration = Duration::from_secs(3600);

/// `EX_TEMPFAIL` of `sysexits.h`: not placed, try again.
const TEMPFAIL: i32 = 75;

/// `EX_USAGE` and `EX_UNAVAILABLE`: not placed, never again.
const NEVER: [i32; 2] = [64, 69];

/// A command that places the call, the `call()` function of a test script.
///
/// It gets the order in `RINGDOWN_*` variables and as one JSON object on its standard input. Exit
/// code 0 says that the call was placed, 75 that it was not and may be tried again, 64 and 69 that
/// it was not and should not be. Every other end leaves it unknown. The command may return at once
/// or stay for the whole call; it runs in its own process group, which is ended with it.
pub struct Exec {
    program: String,
    arguments: Vec<String>,
}

impl Exec {
    /// A command with its arguments; `None` if there is not even a program.
    pub fn new(command: &[String]) -> Option<Self> {
        let (program, arguments) = command.split_first()?;
        Some(Self {
            program: program.clone(),
            arguments: arguments.to_vec(),
        })
    }

    fn command(&self, order: &Order) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        // What the operator configured is not the command's business; it may hold secrets.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("RINGDOWN_") {
                command.env_remove(name);
            }
        }
        for (name, value) in variables(order) {
            command.env(name, value);
        }
        command
    }
}

fn variables(order: &Order) -> [(&'static str, String); 9] {
    [
        ("RINGDOWN_NUMBER", order.to.to_string()),
        ("RINGDOWN_RUN_ID", order.run.to_string()),
        ("RINGDOWN_TEST_PROFILE", order.test_profile_json.clone()),
        (
            "RINGDOWN_FROM",
            order
                .from
                .as_ref()
                .map_or_else(String::new, ToString::to_string),
        ),
        ("RINGDOWN_ATTEMPT_ID", order.attempt_id.clone()),
        ("RINGDOWN_TEAM", order.team.to_string()),
        ("RINGDOWN_SCENARIO", order.scenario_name.clone()),
        ("RINGDOWN_AGENT", order.agent_name.clone()),
        (
            "RINGDOWN_SECONDS_LEFT",
            order.time_left.as_secs().to_string(),
        ),
    ]
}

fn input(order: &Order) -> Vec<u8> {
    let profile: serde_json::Value =
        serde_json::from_str(&order.test_profile_json).unwrap_or(serde_json::Value::Null);
    let object = json!({
        "number": order.to,
        "run_id": order.run.0,
        "test_profile": profile,
        "from": order.from,
        "attempt_id": order.attempt_id,
        "team": order.team,
        "scenario": order.scenario_name,
        "agent": order.agent_name,
        "seconds_left": order.time_left.as_secs(),
    });
    let mut bytes = object.to_string().into_bytes();
    bytes.push(b'\n');
    bytes
}

/// Ends the command's whole process group when dropped.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(
            child
                .id()
                .and_then(|id| i32::try_from(id).ok())
                .and_then(Pid::from_raw),
        )
    }

    /// The command ended by itself: what it left running is its own business.
    fn release(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0
            && let Err(error) = kill_process_group(group, Signal::KILL)
        {
            warn!(%error, "cannot end a dial command");
        }
    }
}

#[async_trait]
impl Carrier for Exec {
    fn describe(&self) -> String {
        format!("exec {}", self.program)
    }

    async fn dial(&self, order: &Order, stop: &CancellationToken) -> Dialed {
        let mut child = match self.command(order).spawn() {
            Ok(child) => child,
            Err(error) => {
                return Dialed::only(Outcome::NotPlaced {
                    reason: format!("cannot start {}: {error}", self.program),
                    retry: Retry::Never,
                });
            }
        };
        let mut group = Group::of(&child);
        let limit = order.time_left + AFTER_WINDOW;
        let running = Box::pin(converse(&mut child, input(order)));
        let running = tokio::time::timeout(limit, running);
        let outcome = match stop.run_until_cancelled(running).await {
            Some(Ok(Ok((status, output, errors)))) => {
                group.release();
                outcome(order, status, &output, &errors)
            }
            Some(Ok(Err(error))) => ambiguous(format!("lost the command: {error}")),
            Some(Err(_)) => ambiguous("the command did not end in time".to_owned()),
            None => ambiguous("the command was ended because the dial was called off".to_owned()),
        };
        Dialed::only(outcome)
    }
}

fn ambiguous(reason: String) -> Outcome {
    Outcome::Ambiguous { reason }
}

/// Hands the order over and waits for the end. A command that does not read its input is fine.
async fn converse(
    child: &mut Child,
    input: Vec<u8>,
) -> std::io::Result<(ExitStatus, String, String)> {
    let stdin = child.stdin.take();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let write = async move {
        if let Some(mut stdin) = stdin {
            // The command may end without having read it.
            let _ = stdin.write_all(&input).await;
        }
    };
    let exited = async {
        let status = child.wait().await;
        // Whatever it started may hold the pipes open; what it wrote itself is there by now.
        tokio::time::sleep(Duration::from_millis(50)).await;
        status
    };
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let status = {
        let reading = async {
            tokio::join!(write, keep(stdout, &mut output), keep(stderr, &mut errors));
            std::future::pending::<()>().await;
        };
        tokio::select! {
            status = exited => status?,
            () = reading => return Err(std::io::Error::other("unreachable")),
        }
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((status, text(&output), text(&errors)))
}

/// Reads a stream to its end and keeps the last part of it.
async fn keep(stream: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    let mut buffer = [0u8; 4096];
    while let Ok(read) = stream.read(&mut buffer).await {
        if read == 0 {
            return;
        }
        kept.extend_from_slice(buffer.get(..read).unwrap_or_default());
        let excess = kept.len().saturating_sub(MAX_OUTPUT);
        kept.drain(..excess);
    }
}

fn outcome(order: &Order, status: ExitStatus, output: &str, errors: &str) -> Outcome {
    match status.code() {
        Some(0) => Outcome::Placed {
            provider_id: call_id(output).unwrap_or_else(|| order.attempt_id.clone()),
        },
        Some(TEMPFAIL) => Outcome::NotPlaced {
            reason: explain(status, errors),
            retry: Retry::Later,
        },
        Some(code) if NEVER.contains(&code) => Outcome::NotPlaced {
            reason: explain(status, errors),
            retry: Retry::Never,
        },
        _ => ambiguous(explain(status, errors)),
    }
}

/// The provider's id, if the last line the command printed is a JSON object with a `call_id`.
fn call_id(output: &str) -> Option<String> {
    let last = output.lines().rev().find(|line| !line.trim().is_empty())?;
    let value: serde_json::Value = serde_json::from_str(last).ok()?;
    Some(value.get("call_id")?.as_str()?.chars().take(128).collect())
}

fn explain(status: ExitStatus, errors: &str) -> String {
    let last: String = errors
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("it wrote nothing to its standard error")
        .chars()
        .take(300)
        .collect();
    format!("the command ended with {status}: {last}")
}
