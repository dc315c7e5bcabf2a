//! Status callbacks, checked by the code that takes them from the carriers.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use ringdown_domain::dial::Ending;
use ringdown_provider::{Callback, News, Progress, Provider, Rejected};
use ringdown_testkit::carrier::{FakeCarrier, FakeEnding, FakeKind, Keys};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::support::{now, order, place, provider};

type Arrived = Arc<Mutex<Vec<(String, HeaderMap, Bytes)>>>;

/// Takes whatever is posted.
struct Receiver {
    address: SocketAddr,
    arrived: Arrived,
    server: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Receiver {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let arrived = Arrived::default();
        let books = arrived.clone();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = service_fn(|request| take(request, books.clone()));
                let _ = http1::Builder::new()
                    .keep_alive(false)
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            }
        });
        Self {
            address,
            arrived,
            server,
        }
    }

    /// What arrived since the last time, as the provider reads it.
    fn read(&self, provider: &dyn Provider) -> Vec<Result<Vec<News>, Rejected>> {
        let arrived = std::mem::take(&mut *self.arrived.lock().unwrap());
        let read = |(target, headers, body): (String, HeaderMap, Bytes)| {
            provider.callback(&Callback {
                url: &format!("https://ringdown.example{target}"),
                method: "POST",
                headers: &headers,
                body: &body,
                at: now(),
            })
        };
        arrived.into_iter().map(read).collect()
    }
}

async fn take(
    request: Request<Incoming>,
    books: Arrived,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let arrived = (head.uri.to_string(), head.headers, body);
    books.lock().unwrap().push(arrived);
    Ok(Response::new(Full::default()))
}

/// How a call stands, by each report in turn; the reports that say nothing are left out.
fn told(id: &str, read: Vec<Result<Vec<News>, Rejected>>) -> Vec<Progress> {
    let news = read
        .into_iter()
        .flat_map(|read| read.expect("it is believed"));
    let progress = |news: News| {
        assert_eq!(news.provider_id, id);
        assert_eq!(news.run.map(|run| run.0), Some(42));
        assert_eq!(news.attempt_id.as_deref(), Some("attempt-1"));
        news.progress
    };
    news.map(progress).collect()
}

fn ends(progress: &Progress) -> Option<Ending> {
    match progress {
        Progress::Ended { ending, .. } => Some(*ending),
        _ => None,
    }
}

async fn reporting(kind: FakeKind) -> (FakeCarrier, Box<dyn Provider>, Receiver, String) {
    let (fake, receiver) = (FakeCarrier::start(kind), Receiver::start().await);
    fake.delivers_to(receiver.address);
    // What is set at the service and not in the request: Retell, ElevenLabs, LiveKit.
    fake.reports_to("https://ringdown.example/callbacks/1");
    let provider = provider(&fake);
    let id = place(&*provider, &order("attempt-1")).await;
    (fake, provider, receiver, id)
}

/// Synthflow signs nothing that could be believed, and trigger URLs report nothing.
const SILENT: [FakeKind; 2] = [FakeKind::Synthflow, FakeKind::TriggerUrl];

#[tokio::test]
async fn what_is_reported_is_believed_and_ends_as_the_call_did() {
    for kind in FakeKind::ALL {
        for (ending, read) in [
            (FakeEnding::Completed, Ending::Completed),
            (FakeEnding::Busy, Ending::Busy),
            (FakeEnding::NoAnswer, Ending::NoAnswer),
            (FakeEnding::Rejected, Ending::Rejected),
        ] {
            let (fake, provider, receiver, id) = reporting(kind).await;
            let name = &fake.calls()[0].id;
            fake.end(name, ending);
            let statuses = fake.report(name).await;
            assert!(statuses.iter().all(|status| *status == 200));
            if SILENT.contains(&kind) {
                assert!(statuses.is_empty());
                continue;
            }
            let read = match (kind, ending) {
                // LiveKit has one word for both.
                (FakeKind::LiveKit, FakeEnding::Busy) => Ending::Rejected,
                // Bland has no word for it.
                (FakeKind::Bland, FakeEnding::Rejected) => Ending::Failed,
                _ => read,
            };
            let told = if kind == FakeKind::ElevenLabs && ending != FakeEnding::Completed {
                // A call that did not start is reported without what was said about the client.
                let news = receiver.read(&*provider).remove(0).unwrap();
                news.into_iter().map(|news| news.progress).collect()
            } else {
                told(&id, receiver.read(&*provider))
            };
            let last = told.last().and_then(ends);
            assert_eq!(last, Some(read), "{kind:?} {ending:?}: {told:?}");
        }
    }
}

#[tokio::test]
async fn reports_can_come_twice_and_in_disorder() {
    for kind in FakeKind::ALL {
        let (fake, provider, receiver, id) = reporting(kind).await;
        let name = &fake.calls()[0].id;
        fake.end(name, FakeEnding::Completed);
        fake.report(name).await;
        let once = told(&id, receiver.read(&*provider));
        fake.report_twice(name).await;
        let twice = told(&id, receiver.read(&*provider));
        fake.report_in_disorder(name).await;
        let mut turned = told(&id, receiver.read(&*provider));
        assert_eq!(twice.len(), 2 * once.len(), "{kind:?}");
        turned.reverse();
        assert_eq!(turned, once, "{kind:?}");
    }
}

#[tokio::test]
async fn what_somebody_else_signs_is_not_believed() {
    for kind in FakeKind::ALL {
        let (fake, provider, receiver, _) = reporting(kind).await;
        let name = &fake.calls()[0].id;
        fake.end(name, FakeEnding::Completed);
        let forged = Keys {
            signing: "somebody-else's-seed-of-32-bytes".to_owned(),
            ..fake.keys().clone()
        };
        let sent = fake.report_forged(name, &forged).await;
        let read = receiver.read(&*provider);
        assert_eq!(read.len(), sent.len());
        assert_eq!(read.is_empty(), SILENT.contains(&kind), "{kind:?}");
        for read in read {
            assert_eq!(read, Err(Rejected::Forged), "{kind:?}");
        }
    }
}

#[tokio::test]
async fn only_what_is_asked_for_is_reported() {
    let (fake, provider, receiver, id) = reporting(FakeKind::Twilio).await;
    let name = &fake.calls()[0].id;
    fake.end(name, FakeEnding::Completed);
    assert_eq!(fake.report(name).await.len(), 4);
    let expected = [Progress::Ringing, Progress::Ringing, Progress::Answered];
    let told = told(&id, receiver.read(&*provider));
    assert_eq!(told[..3], expected);
}
