//! Logs, traces and metrics of one process.
//!
//! Contract: logs go to standard error, so that standard output carries data only. Traces are sent
//! over OTLP if an endpoint is configured; an exporter that fails is logged and never blocks the
//! product. Metrics live in a registry that is handed to whoever counts: no globals.
//!
//! Refuses: deciding what is worth logging.

use std::io::IsTerminal as _;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use prometheus::{Registry, TextEncoder};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

/// What is logged unless `RINGDOWN_LOG` says otherwise. The SIP stack logs every message it sees,
/// credentials included, so it is kept to warnings whatever the default is.
const DEFAULT_FILTER: &str = "info,rsipstack=warn,async_nats=warn";

/// How logs look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Human,
    /// One JSON object per line.
    Json,
}

/// How to set up a process.
#[derive(Clone, Debug)]
pub struct Options {
    /// How logs look.
    pub format: Format,
    /// Filter in `tracing` syntax; `None` for the default.
    pub filter: Option<String>,
    /// Name of this process in traces.
    pub service: String,
    /// OTLP/HTTP endpoint, for example `http://127.0.0.1:4318`; `None` for no traces.
    pub otlp_endpoint: Option<String>,
}

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter has no meaning.
    #[error("read the log filter {filter:?}: {reason}")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong.
        reason: String,
    },
    /// The exporter cannot be built.
    #[error("set up the trace exporter for {endpoint}: {reason}")]
    Exporter {
        /// The endpoint.
        endpoint: String,
        /// What is wrong.
        reason: String,
    },
    /// It was set up before.
    #[error("set up logging: {0}")]
    Twice(String),
}

/// Sends what traces are left when dropped.
#[must_use = "traces are flushed when this is dropped"]
#[derive(Debug)]
pub struct Guard {
    provider: Option<SdkTracerProvider>,
}

/// Sets up logs and traces for the whole process. Once.
///
/// # Errors
/// See [`Error`].
pub fn init(options: &Options) -> Result<Guard, Error> {
    let text = options.filter.as_deref().unwrap_or(DEFAULT_FILTER);
    let filter = EnvFilter::try_new(text).map_err(|error| Error::Filter {
        filter: text.to_owned(),
        reason: error.to_string(),
    })?;
    let provider = match &options.otlp_endpoint {
        Some(endpoint) => Some(provider(endpoint, &options.service)?),
        None => None,
    };
    let traces = provider.as_ref().map(|provider| {
        opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
        tracing_opentelemetry::layer().with_tracer(provider.tracer("ringdown"))
    });
    // https://no-color.org: any value but an empty one switches colours off.
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let logs = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(!plain && std::io::stderr().is_terminal());
    let logs = match options.format {
        Format::Human => logs.with_target(false).boxed(),
        Format::Json => logs.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(traces)
        .with(logs)
        .try_init()
        .map_err(|error| Error::Twice(error.to_string()))?;
    Ok(Guard { provider })
}

fn provider(endpoint: &str, service: &str) -> Result<SdkTracerProvider, Error> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .build()
        .map_err(|error| Error::Exporter {
            endpoint: endpoint.to_owned(),
            reason: error.to_string(),
        })?;
    let resource = opentelemetry_sdk::Resource::builder()
        .with_service_name(service.to_owned())
        .build();
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource)
        .build())
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(provider) = self.provider.take()
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "some traces were not sent");
        }
    }
}

/// The registry in Prometheus text exposition format.
pub fn render(registry: &Registry) -> String {
    TextEncoder::new()
        .encode_to_string(&registry.gather())
        .unwrap_or_else(|error| {
            tracing::error!(%error, "cannot render metrics");
            String::new()
        })
}

#[cfg(test)]
mod tests {
    use prometheus::IntCounter;

    use super::*;

    #[test]
    fn metrics_are_rendered_as_text() {
        let registry = Registry::new();
        let counter = IntCounter::new("ringdown_test_things_total", "Things.").unwrap();
        registry.register(Box::new(counter.clone())).unwrap();
        counter.inc();
        let text = render(&registry);
        assert!(text.contains("# TYPE ringdown_test_things_total counter"));
        assert!(text.contains("ringdown_test_things_total 1"));
    }

    #[test]
    fn a_wrong_filter_is_named() {
        let options = Options {
            format: Format::Human,
            filter: Some("info,=,=".to_owned()),
            service: "test".to_owned(),
            otlp_endpoint: None,
        };
        let error = init(&options).unwrap_err().to_string();
        assert!(error.contains("info,=,="), "{error}");
    }
}
