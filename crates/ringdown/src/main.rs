//! The `ringdown` command: one binary, every role.

mod admin;
mod admin_key;
mod attempts;
mod backup;
mod cli;
mod config;
mod delivery;
mod demo;
mod dial;
mod dialer;
mod doctor;
mod exit;
mod print;
mod probes;
mod progress;
mod queue;
mod roles;
mod run;
mod secrets;
mod up;
mod webhooks;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use cli::{Cli, Command, Format};
use exit::{Exit, Failure, Outcome};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let code = match start(cli) {
        Ok(exit) => exit,
        Err(failure) => {
            eprintln!("ringdown: {}", failure.message());
            failure.exit
        }
    };
    ExitCode::from(code as u8)
}

fn start(cli: Cli) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::internal)?;
    // The exporter's client needs the runtime.
    let _inside = runtime.enter();
    let quiet = matches!(
        cli.command,
        Command::Demo(_) | Command::Run(_) | Command::Dial(_) | Command::Doctor(_)
    );
    let config = match &cli.command {
        Command::Up(cli::Up { settings })
        | Command::Serve(cli::Serve { settings, .. })
        | Command::Backup(cli::Backup { settings, .. })
        | Command::Restore(cli::Restore { settings, .. }) => up::load(settings)?,
        Command::Secrets(secrets::Secrets {
            command: secrets::Command::Rotate { settings },
        }) => up::load(settings)?,
        _ => config::Config::default(),
    };
    let filter = std::env::var("RINGDOWN_LOG").ok();
    let _telemetry = ringdown_telemetry::init(&ringdown_telemetry::Options {
        format: match cli.log_format {
            Format::Human => ringdown_telemetry::Format::Human,
            Format::Json => ringdown_telemetry::Format::Json,
        },
        // Commands that show progress themselves only log what is wrong.
        filter: filter.or_else(|| quiet.then(|| "warn,rsipstack=error".to_owned())),
        service: "ringdown".to_owned(),
        otlp_endpoint: config
            .otlp_endpoint
            .clone()
            .or_else(|| std::env::var("OTEL_EXPORTER_OTLP_ENDPOINT").ok()),
    })
    .map_err(|error| Failure::usage(format!("failed to {error}")))?;
    let outcome = runtime.block_on(command(cli, config));
    // Blocking work that is still going on, such as a slow disk, must not hold the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    outcome
}

async fn command(cli: Cli, config: config::Config) -> Outcome {
    let format = cli.format;
    match cli.command {
        Command::Up(_) => up::up(&config, &roles::Role::ALL, format).await,
        Command::Serve(serve) => up::up(&config, &serve.roles, format).await,
        Command::Dial(dial) => dial::dial(&dial, format).await,
        Command::Doctor(doctor) => Box::pin(doctor::doctor(&doctor, format)).await,
        Command::Attempts(attempts) => attempts::attempts(&attempts, format).await,
        Command::Queue(queue) => queue::queue(&queue, format).await,
        Command::Webhooks(webhooks) => webhooks::webhooks(webhooks, format).await,
        Command::Run(run) => Box::pin(run::run(run, format)).await,
        Command::Demo(demo) => Box::pin(demo::demo(&demo, format)).await,
        Command::Backup(backup) => backup::backup(&config, &backup.file, format).await,
        Command::Restore(restore) => backup::restore(&config, &restore.file, format).await,
        Command::Keys(keys) => admin::keys(keys, format).await,
        Command::Projects(projects) => admin::projects(projects, format).await,
        Command::Organizations(all) => admin::organizations(all, format).await,
        Command::Agents(agents) => admin::agents(agents, format).await,
        Command::Evaluators(evaluators) => admin::evaluators(evaluators, format).await,
        Command::Numbers(numbers) => admin::numbers(numbers, format).await,
        Command::Carriers(carriers) => admin::carriers(carriers, format).await,
        Command::Audit(audit) => admin::audit(audit, format).await,
        Command::Secrets(secrets) => match secrets.command {
            secrets::Command::NewKey => secrets::new_key(format),
            secrets::Command::Rotate { .. } => secrets::rotate(&config, format).await,
        },
        Command::Config => {
            print::config(format)?;
            Ok(Exit::Success)
        }
        Command::Openapi => {
            let document = ringdown_rest::openapi(ringdown_rest::DOCUMENTED_BASE);
            let text = serde_json::to_string_pretty(&document).map_err(Failure::internal)?;
            print::line(&text)?;
            Ok(Exit::Success)
        }
        Command::Completions { shell } => {
            let mut out = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "ringdown", &mut out);
            print::raw(&out)?;
            Ok(Exit::Success)
        }
        Command::Man => {
            let mut out = Vec::new();
            clap_mangen::Man::new(Cli::command())
                .render(&mut out)
                .map_err(Failure::internal)?;
            print::raw(&out)?;
            Ok(Exit::Success)
        }
    }
}
