use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Which service to talk to, and as whom.
#[derive(Debug, Args)]
pub(crate) struct Service {
    /// Address of the service.
    #[arg(
        long = "upstream",
        visible_alias = "url",
        env = "RINGDOWN_UPSTREAM",
        default_value = "http://127.0.0.1:8080",
        global = true
    )]
    pub(super) url: String,
    /// API key of the service.
    #[arg(long, env = "RINGDOWN_API_KEY", hide_env_values = true, global = true)]
    pub(super) api_key: Option<String>,
}

/// Consent to delete.
#[derive(Debug, Args)]
pub(crate) struct Consent {
    /// Do not ask.
    #[arg(long, short)]
    pub(super) yes: bool,
}

/// `ringdown keys`
#[derive(Debug, Args)]
pub(crate) struct Keys {
    #[command(flatten)]
    pub(super) service: Service,
    #[command(subcommand)]
    pub(super) command: KeysCommand,
}

/// What a key allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyRole {
    /// Read.
    Viewer,
    /// Read, change what is tested with, run tests.
    Editor,
    /// All of it, keys and settings included.
    Admin,
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// List the keys.
    List,
    /// Make a key. It is shown once.
    Create {
        /// What it is for.
        name: String,
        /// What it allows.
        #[arg(long, value_enum, default_value_t = KeyRole::Admin)]
        role: KeyRole,
        /// Project to bind it to.
        #[arg(long)]
        project: Option<i64>,
        /// Requests it may make per minute.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        rate: Option<u32>,
        /// When it stops working, for example 2030-01-31T12:00:00Z.
        #[arg(long)]
        expires: Option<String>,
    },
    /// Revoke a key.
    Revoke {
        /// The key's id.
        id: i64,
        #[command(flatten)]
        consent: Consent,
    },
}

/// `ringdown projects`
#[derive(Debug, Args)]
pub(crate) struct Projects {
    #[command(flatten)]
    pub(super) service: Service,
    #[command(subcommand)]
    pub(super) command: ProjectsCommand,
}

/// What to do with projects.
#[derive(Debug, Subcommand)]
pub(crate) enum ProjectsCommand {
    /// List the projects.
    List,
    /// Show a project.
    Show {
        /// Its id.
        id: i64,
    },
    /// Create a project.
    Create {
        /// Its name.
        name: String,
    },
    /// Change a project; what is not named stays.
    Update {
        /// Its id.
        id: i64,
        /// Its name.
        #[arg(long)]
        name: Option<String>,
        /// Parallel-call limit; 0 removes it.
        #[arg(long)]
        parallel_calls: Option<u32>,
        /// Length of the dial window in seconds, 1 to 300.
        #[arg(long)]
        outbound_timeout: Option<u64>,
        /// Longest call in seconds, 10 to 3600.
        #[arg(long)]
        max_call_duration: Option<u64>,
        /// Mutual silence in seconds that ends a call, 1 to 300.
        #[arg(long)]
        silence_timeout: Option<u64>,
        /// What refused callers hear: explicit or silent.
        #[arg(long)]
        reject: Option<String>,
        /// Share of the organisation's slots relative to its other projects, 1 to 1000.
        #[arg(long)]
        weight: Option<u32>,
        /// How many calls may start per second, 0.001 to 1000; 0 removes it.
        #[arg(long)]
        calls_per_second: Option<f64>,
        /// Days that ended results are kept with their recordings; 0 keeps them for ever.
        #[arg(long)]
        retention_days: Option<u32>,
    },
}

/// `ringdown organizations`
#[derive(Debug, Args)]
pub(crate) struct Organizations {
    #[command(flatten)]
    pub(super) service: Service,
    #[command(subcommand)]
    pub(super) command: OrganizationsCommand,
}

/// What to do with organisations.
#[derive(Debug, Subcommand)]
pub(crate) enum OrganizationsCommand {
    /// List all organisations; takes the deployment's admin key.
    List,
    /// Show the key's own organisation.
    Show,
    /// Create an organisation with its first API key, which is shown once; takes the deployment's
    /// admin key.
    Create {
        /// Its name.
        name: String,
        /// Its token on the bus: 1 to 32 characters of a-z, 0-9 and '-'.
        #[arg(long)]
        slug: String,
        /// Parallel-call limit; unlimited if absent.
        #[arg(long)]
        parallel_calls: Option<u32>,
    },
    /// Change the key's own organisation.
    Update {
        /// Parallel-call limit; 0 removes it.
        #[arg(long)]
        parallel_calls: u32,
    },
}

/// `ringdown agents`
#[derive(Debug, Args)]
pub(crate) struct Agents {
    #[command(flatten)]
    pub(super) service: Service,
    #[command(subcommand)]
    pub(super) command: AgentsCommand,
}

/// Fields of an agent.
#[derive(Debug, Args)]
pub(crate) struct AgentFields {
    /// Its name.
    #[arg(long)]
    pub(super) name: Option<String>,
    /// Whether it takes calls instead of making them.
    #[arg(long, value_name = "true|false")]
    pub(super) inbound: Option<bool>,
    /// The number it calls from, E.164.
    #[arg(long)]
    pub(super) contact_number: Option<String>,
    /// Its project.
    #[arg(long)]
    pub(super) project: Option<i64>,
    /// Further fields of the API, a JSON object.
    #[arg(long, value_name = "OBJECT")]
    pub(super) json: Option<String>,
}

/// What to do with agents.
#[derive(Debug, Subcommand)]
pub(crate) enum AgentsCommand {
    /// List the agents.
    List,
    /// Show an agent.
    Show {
        /// Its id.
        id: i64,
    },
    /// Create an agent.
    Create {
        #[command(flatten)]
        fields: AgentFields,
    },
    /// Change an agent; what is not named stays.
    Update {
        /// Its id.
        id: i64,
        #[command(flatten)]
        fields: AgentFields,
    },
    /// Say how an agent is made to call.
    DialRoute {
        /// Its id.
        id: i64,
        /// A route of the dialer, carrier:NAME, or agent for what the agent's own settings name.
        #[arg(required_unless_present = "clear", conflicts_with = "clear")]
        route: Option<String>,
        /// It calls by itself.
        #[arg(long)]
        clear: bool,
    },
    /// Delete an agent and its evaluators.
    Delete {
        /// Its id.
        id: i64,
        #[command(flatten)]
        consent: Consent,
    },
}

/// `ringdown evaluators`
#[derive(Debug, Args)]
pub(crate) struct Evaluators {
    #[command(flatten)]
    pub(super) service: Service,
    #[command(subcommand)]
    pub(super) command: EvaluatorsCommand,
}

/// Fields of an evaluator.
#[derive(Debug, Args)]
pub(crate) struct EvaluatorFields {
    /// Its name.
    #[arg(long)]
    pub(super) name: Option<String>,
    /// The agent it tests.
    #[arg(long)]
    pub(super) agent: Option<i64>,
    /// What the testing agent is to do.
    #[arg(long)]
    pub(super) instructions: Option<String>,
    /// What it says first.
    #[arg(long)]
    pub(super) first_message: Option<String>,
    /// The id of its number.
    #[arg(long)]
    pub(super) phone_number: Option<i64>,
    /// Further fields of the API, a JSON object.
    #[arg(long, value_name = "OBJECT")]
    pub(super) json: Option<String>,
}

/// What to do with evaluators.
#[derive(Debug, Subcommand)]
pub(crate) enum EvaluatorsCommand {
    /// List the evaluators.
    List {
        /// Only of this agent.
        #[arg(long)]
        agent: Option<i64>,
    },
    /// Show an evaluator.
    Show {
        /// Its id.
        id: i64,
    },
    /// Create an evaluator.
    Create {
        #[command(flatten)]
        fields: EvaluatorFields,
    },
    /// Change an evaluator; what is not named stays.
    Update {
        /// Its id.
        id: i64,
        #[command(flatten)]
        fields: EvaluatorFields,
    },
    /// Delete an evaluator.
    Delete {
        /// Its id.
        id: i64,
        #[command(flatten)]
        consent: Consent,
    },
    /// Create the evaluators of a file: a JSON object or a list of them, with the fields of the API.
    /// Those made before one is refused stay.
    Import {
        /// The file.
        file: PathBuf,
        /// The agent they test, if they name none.
        #[arg(long)]
        agent: Option<i64>,
    },
}

/// `ringdown numbers`
#[derive(Debug, Args)]
pub(crate) struct Numbers {
    #[command(flatten)]
    pub(super) service: Service,
    #[command(subcommand)]
    pub(super) command: NumbersCommand,
}

/// A provider of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Provider {
    /// Twilio: an account SID and an auth token.
    Twilio,
    /// Plivo: an auth ID and an auth token.
    Plivo,
    /// Telnyx: an API key.
    Telnyx,
}

/// What to do with phone numbers.
#[derive(Debug, Subcommand)]
pub(crate) enum NumbersCommand {
    /// List the phone numbers.
    List,
    /// Add a number of a trunk of one's own.
    Add {
        /// The number, E.164.
        number: String,
        /// A name for people.
        #[arg(long)]
        name: Option<String>,
        /// The project that alone may use it.
        #[arg(long)]
        project: Option<i64>,
    },
    /// Import a number from a provider's account.
    Import {
        /// The provider.
        #[arg(value_enum)]
        provider: Provider,
        /// The number, E.164.
        number: String,
        /// Account SID or auth ID; Telnyx has none.
        #[arg(long)]
        account: Option<String>,
        /// Auth token or API key. Better given by the environment, where other users do not see it.
        #[arg(long, env = "RINGDOWN_PROVIDER_SECRET", hide_env_values = true)]
        secret: String,
        /// A name for people; the provider's if absent.
        #[arg(long)]
        name: Option<String>,
        /// The project that alone may use it.
        #[arg(long)]
        project: Option<i64>,
    },
    /// Take a number away.
    Remove {
        /// Its id.
        id: i64,
        #[command(flatten)]
        consent: Consent,
    },
}

/// `ringdown audit`
#[derive(Debug, Args)]
pub(crate) struct Audit {
    #[command(flatten)]
    pub(super) service: Service,
    /// Lines at the most.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(super) limit: u32,
}
