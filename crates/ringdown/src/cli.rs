//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::admin;
use crate::doctor::Doctor;
use crate::exit;
use crate::roles::Role;
use crate::secrets::Secrets;

/// Tests voice agents that place outbound calls.
#[derive(Debug, Parser)]
#[command(name = "ringdown", version, propagate_version = true, after_help = exit::HELP)]
pub(crate) struct Cli {
    /// How results are printed.
    #[arg(long, global = true, value_enum, default_value_t = Format::Human)]
    pub(crate) format: Format,
    /// How logs are printed, on standard error: for people, or one JSON object per line.
    #[arg(long, global = true, value_enum, hide_possible_values = true,
          value_name = "human|json", default_value_t = Format::Human)]
    pub(crate) log_format: Format,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How something is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Human,
    /// JSON, one document.
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build a small world, run it with real calls on loopback and show what happened.
    Demo(Demo),
    /// Run every role in this process, with its own NATS server and database.
    Up(Up),
    /// Run chosen roles against a given NATS server and data folder.
    Serve(Serve),
    /// Trigger runs at a service, dial each the moment it is pending, and report.
    Run(Run),
    /// Place one call and report what happened.
    Dial(Dial),
    /// Check, before anything is spent, that a batch of an agent could work: caller IDs, evaluators,
    /// numbers, limits, dial route, SIP address; with --call by one real call.
    Doctor(Doctor),
    /// List the attempt ledger: every call that arrived, every call that was made, and why each
    /// went as it did.
    Attempts(Attempts),
    /// Say why a run waits: its place in the queue, the limit, who has the slots, when it starts.
    Queue(Queue),
    /// Write everything the platform knows, recordings included, to one file.
    Backup(Backup),
    /// Fill an empty database from a backup, of either kind of database.
    Restore(Restore),
    /// Show what was told to webhook targets and what came of it, and tell it again.
    #[command(subcommand)]
    Webhooks(Webhooks),
    /// Make, list and revoke API keys.
    Keys(admin::Keys),
    /// List, make and change projects.
    Projects(admin::Projects),
    /// List, make and change organisations.
    Organizations(admin::Organizations),
    /// List, make, change and delete agents.
    Agents(admin::Agents),
    /// List, make, change, delete and import evaluators.
    Evaluators(admin::Evaluators),
    /// List, add, import and remove phone numbers.
    Numbers(admin::Numbers),
    /// List, add, change and remove carriers: accounts at providers, with which runs are dialed.
    Carriers(admin::Carriers),
    /// List who changed what.
    Audit(admin::Audit),
    /// Rotate the keys that seal stored credentials.
    Secrets(Secrets),
    /// List every setting, its environment variable and its meaning.
    Config,
    /// Print the OpenAPI document of the REST API.
    Openapi,
    /// Print a completion script.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man,
}

/// Settings that most commands share; they win over the environment and the file.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// Configuration file (TOML).
    #[arg(long, env = "RINGDOWN_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Folder for the database, recordings and streams.
    #[arg(long)]
    pub(crate) data_dir: Option<PathBuf>,
    /// Address of the REST API; port 0 takes a free one.
    #[arg(long)]
    pub(crate) http_listen: Option<String>,
    /// Address of the health pages in a process without the REST API; port 0 takes a free one.
    #[arg(long)]
    pub(crate) health_listen: Option<String>,
    /// Address of the SIP endpoint; port 0 takes a free one.
    #[arg(long)]
    pub(crate) sip_listen: Option<String>,
    /// NATS servers; without it a supervised child is started.
    #[arg(long)]
    pub(crate) nats_url: Option<String>,
    /// SQLite database file.
    #[arg(long)]
    pub(crate) database: Option<PathBuf>,
    /// PostgreSQL database, postgres://user:password@host/name, instead of the SQLite file.
    #[arg(long, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// Parallel-call limit of the first organisation, when it is created.
    #[arg(long)]
    pub(crate) parallel_calls: Option<u32>,
    /// What speaks for the testing agent: flite or tone.
    #[arg(long)]
    pub(crate) voice: Option<String>,
    /// A way to make agents call, NAME=exec:COMMAND, NAME=sip:IP:PORT?play=WAV&seconds=N or
    /// NAME=PROVIDER:SETTING=VALUE&...;
    /// `sip:local` is this process's own SIP endpoint. May be repeated.
    #[arg(long = "dial-route", value_name = "NAME=SPEC")]
    pub(crate) dial_routes: Vec<String>,
    /// Seconds that live calls get to finish after SIGTERM.
    #[arg(long)]
    pub(crate) drain_seconds: Option<u64>,
}

impl Settings {
    /// The flags as `(key, value)` pairs of the settings' keys.
    pub(crate) fn flags(&self) -> Result<Vec<(String, String)>, String> {
        let text = |path: &PathBuf| path.display().to_string();
        let mut flags = Vec::new();
        let mut add = |key: &str, value: Option<String>| {
            flags.extend(value.map(|value| (key.to_owned(), value)));
        };
        add("data_dir", self.data_dir.as_ref().map(text));
        add("http.listen", self.http_listen.clone());
        add("health.listen", self.health_listen.clone());
        add("sip.listen", self.sip_listen.clone());
        add("nats.url", self.nats_url.clone());
        add("database.path", self.database.as_ref().map(text));
        add("database.url", self.database_url.clone());
        add(
            "limits.parallel_calls",
            self.parallel_calls.map(|n| n.to_string()),
        );
        add("testing_agent.voice", self.voice.clone());
        add("drain_seconds", self.drain_seconds.map(|n| n.to_string()));
        for route in &self.dial_routes {
            let (name, spec) = route
                .split_once('=')
                .ok_or_else(|| format!("--dial-route {route}: expected NAME=SPEC"))?;
            add(&format!("dialer.routes.{name}"), Some(spec.to_owned()));
        }
        Ok(flags)
    }
}

/// `ringdown demo`
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Folder for the reports and recordings; replaced if a demo made it.
    #[arg(long, default_value = "demo-output")]
    pub(crate) output: PathBuf,
}

/// `ringdown up`
#[derive(Debug, Args)]
pub(crate) struct Up {
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// `ringdown serve`
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The roles to run.
    #[arg(required = true, value_enum)]
    pub(crate) roles: Vec<Role>,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// Which service to talk to.
#[derive(Debug, Args)]
pub(crate) struct Upstream {
    /// Address of the service.
    #[arg(
        long = "upstream",
        env = "RINGDOWN_UPSTREAM",
        default_value = "http://127.0.0.1:8080"
    )]
    pub(crate) url: String,
    /// API key of the service.
    #[arg(long, env = "RINGDOWN_API_KEY", hide_env_values = true)]
    pub(crate) api_key: String,
}

/// `ringdown run`
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) upstream: Upstream,
    /// The agent under test.
    #[arg(long)]
    pub(crate) agent_id: i64,
    /// An evaluator to run; may be repeated.
    #[arg(long = "scenario", required = true)]
    pub(crate) scenarios: Vec<i64>,
    /// Runs per evaluator.
    #[arg(long, default_value_t = 1)]
    pub(crate) frequency: u32,
    /// Parallel-call limit of this batch.
    #[arg(long)]
    pub(crate) concurrency_limit: Option<u32>,
    /// Results of a higher priority go first inside their project, -100 to 100.
    #[arg(long, allow_negative_numbers = true,
          value_parser = clap::value_parser!(i32).range(-100..=100))]
    pub(crate) priority: Option<i32>,
    /// Name of the result.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// How to dial: exec:COMMAND, sip:IP:PORT?play=WAV&seconds=N or PROVIDER:SETTING=VALUE&...
    /// Without it the agent calls by itself.
    #[arg(long)]
    pub(crate) dial: Option<String>,
    /// Caller ID that `sip:` dials from; `exec` gets it as RINGDOWN_FROM. Default: the agent's
    /// contact_number.
    #[arg(long)]
    pub(crate) from: Option<String>,
    /// NATS servers; without it a supervised child is started.
    #[arg(long, env = "RINGDOWN_NATS_URL")]
    pub(crate) nats_url: Option<String>,
    /// Dials in flight at once.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) dial_concurrency: u16,
    /// Write a JUnit report here.
    #[arg(long)]
    pub(crate) junit: Option<PathBuf>,
    /// Write an HTML report here.
    #[arg(long)]
    pub(crate) html: Option<PathBuf>,
    /// Give up after this many seconds; runs that are not finished count as not passed.
    #[arg(long, default_value_t = 3600)]
    pub(crate) timeout: u64,
    /// Give up when the service has not answered for this many seconds.
    #[arg(long, default_value_t = 300)]
    pub(crate) unanswered: u64,
}

/// `ringdown dial`
#[derive(Debug, Args)]
pub(crate) struct Dial {
    /// Where the INVITE goes, ip:port.
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) proxy: SocketAddr,
    /// Caller ID.
    #[arg(long)]
    pub(crate) from: String,
    /// Number to call.
    #[arg(long)]
    pub(crate) to: String,
    /// What to say: an 8 kHz mono 16-bit WAV. Default: tones.
    #[arg(long)]
    pub(crate) play: Option<PathBuf>,
    /// Longest to stay on the line.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) seconds: u64,
    /// Longest to let it ring, in seconds.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=300))]
    pub(crate) ring: u64,
}

/// `ringdown attempts`
#[derive(Debug, Args)]
pub(crate) struct Attempts {
    #[command(flatten)]
    pub(crate) upstream: Upstream,
    /// Only of this run, matched or nearest.
    #[arg(long)]
    pub(crate) run: Option<i64>,
    /// Only invite or dial.
    #[arg(long)]
    pub(crate) kind: Option<String>,
    /// Only with this verdict, for example caller_id_mismatch.
    #[arg(long)]
    pub(crate) verdict: Option<String>,
    /// Only calls that were not matched.
    #[arg(long)]
    pub(crate) refused: bool,
    /// Rows at the most.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) limit: u32,
}

/// `ringdown queue`
#[derive(Debug, Args)]
pub(crate) struct Queue {
    /// The run.
    pub(crate) run_id: i64,
    #[command(flatten)]
    pub(crate) upstream: Upstream,
}

/// `ringdown backup`
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// The file to write, a .tar.gz; it must not exist.
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// `ringdown restore`
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The file that `ringdown backup` wrote.
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// `ringdown webhooks`
#[derive(Debug, Subcommand)]
pub(crate) enum Webhooks {
    /// List outgoing webhooks, newest first.
    List(WebhookList),
    /// Show a webhook, its body and every try.
    Show(OneWebhook),
    /// Send a webhook again, with the same id and body.
    Replay(OneWebhook),
    /// Send a test to a project's target at once and show what came of it.
    Test(WebhookTest),
}

/// `ringdown webhooks list`
#[derive(Debug, Args)]
pub(crate) struct WebhookList {
    #[command(flatten)]
    pub(crate) upstream: Upstream,
    /// Only of this project.
    #[arg(long)]
    pub(crate) project: Option<i64>,
    /// Only result.completed, result.pre_trigger or test.
    #[arg(long)]
    pub(crate) kind: Option<String>,
    /// Only due, delivered, failed or skipped.
    #[arg(long)]
    pub(crate) state: Option<String>,
    /// Only about this result.
    #[arg(long)]
    pub(crate) result: Option<i64>,
    /// Rows at the most.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) limit: u32,
}

/// `ringdown webhooks show` and `replay`
#[derive(Debug, Args)]
pub(crate) struct OneWebhook {
    /// The webhook.
    pub(crate) id: i64,
    #[command(flatten)]
    pub(crate) upstream: Upstream,
}

/// `ringdown webhooks test`
#[derive(Debug, Args)]
pub(crate) struct WebhookTest {
    /// The project.
    #[arg(long)]
    pub(crate) project: i64,
    #[command(flatten)]
    pub(crate) upstream: Upstream,
}
