//! Health pages of a process without the REST API.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use prometheus::Registry;
use ringdown_bus::Bus;
use ringdown_rest::Health;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::exit::Failure;

/// Pages that are served until they are stopped.
pub(crate) struct Probes {
    pub(crate) address: SocketAddr,
    health: Arc<Health>,
    task: JoinHandle<()>,
}

impl Probes {
    pub(crate) async fn start(
        listen: SocketAddr,
        bus: &Bus,
        registry: &Registry,
    ) -> Result<Self, Failure> {
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("failed to listen on {listen} for health pages"))
            .map_err(Failure::unavailable)?;
        let address = listener.local_addr().map_err(Failure::internal)?;
        let registry = registry.clone();
        let health = Arc::new(Health::new(move || ringdown_telemetry::render(&registry)));
        let bus = bus.clone();
        let pages = ringdown_rest::probes(Arc::clone(&health), move || bus.is_connected());
        // Nobody waits for a probe at the end.
        let never = CancellationToken::new();
        let task = tokio::spawn(ringdown_rest::serve(listener, pages, never));
        Ok(Self {
            address,
            health,
            task,
        })
    }

    /// From now on the process is not ready.
    pub(crate) fn drain(&self) {
        self.health.drain();
    }

    pub(crate) async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}
