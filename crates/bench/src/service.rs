//! A provider on loopback: it notes when each request came, and answers like a trigger URL. It also says of each run
//! what a platform would, to clients that poll.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::callers::locked;

/// What it has seen.
#[derive(Default)]
pub(crate) struct Seen {
    /// When runs became pending.
    pub(crate) pending: Mutex<HashMap<i64, Instant>>,
    /// When the request for each run was read.
    pub(crate) asked: Mutex<HashMap<i64, Instant>>,
    /// A request was read.
    pub(crate) changed: Notify,
}

impl Seen {
    /// From `pending` to the request, of these runs, sorted.
    pub(crate) fn took(
        &self,
        runs: impl IntoIterator<Item = i64>,
    ) -> anyhow::Result<Vec<Duration>> {
        let (pending, asked) = (locked(&self.pending), locked(&self.asked));
        let mut took = Vec::new();
        for run in runs {
            let (Some(begun), Some(asked)) = (pending.get(&run), asked.get(&run)) else {
                anyhow::bail!("run {run} was not dialed");
            };
            took.push(asked.saturating_duration_since(*begun));
        }
        took.sort_unstable();
        Ok(took)
    }

    /// Waits until so many runs were asked for.
    pub(crate) async fn until(&self, runs: usize, most: Duration) -> anyhow::Result<()> {
        let all = async {
            loop {
                let changed = self.changed.notified();
                if locked(&self.asked).len() >= runs {
                    return;
                }
                changed.await;
            }
        };
        let in_time = tokio::time::timeout(most, all).await;
        in_time.map_err(|_| {
            anyhow::anyhow!("{} of {runs} runs were dialed", locked(&self.asked).len())
        })
    }
}

/// The provider, until it is stopped.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Seen>,
    task: JoinHandle<()>,
}

impl Service {
    /// One that answers this long after it was asked.
    pub(crate) async fn start(answers_after: Duration) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let seen = Arc::new(Seen::default());
        let shared = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let seen = Arc::clone(&shared);
                let answer = service_fn(move |request| {
                    let seen = Arc::clone(&seen);
                    async move { Ok::<_, Infallible>(answer(request, &seen, answers_after).await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
            }
        });
        Ok(Self {
            address,
            seen,
            task,
        })
    }

    pub(crate) fn stop(self) {
        self.task.abort();
    }
}

async fn answer(
    request: Request<Incoming>,
    seen: &Seen,
    answers_after: Duration,
) -> Response<Full<Bytes>> {
    if request.method() == Method::GET {
        let pending = locked(&seen.pending);
        let query = request.uri().query().unwrap_or_default();
        let ids = query.trim_start_matches("run_ids=").split(',');
        let runs = ids.filter_map(|id| id.parse::<i64>().ok()).map(|id| {
            let status = if pending.contains_key(&id) {
                "pending"
            } else {
                "in_queue"
            };
            json!({"id": id, "status": status, "outbound_number": "+15550100001"})
        });
        return body(&runs.collect());
    }
    let read = request.into_body().collect().await;
    let at = Instant::now();
    let asked: Value = read
        .ok()
        .and_then(|body| serde_json::from_slice(&body.to_bytes()).ok())
        .unwrap_or_default();
    if let Some(run) = asked["run_id"].as_i64() {
        locked(&seen.asked).insert(run, at);
        seen.changed.notify_waiters();
    }
    tokio::time::sleep(answers_after).await;
    body(&json!({"success": true}))
}

fn body(value: &Value) -> Response<Full<Bytes>> {
    Response::new(Full::new(Bytes::from(value.to_string())))
}
