//! Reads requests, asks the books, and answers as well or as badly as it is told.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use url::Url;

use super::adapter::{Answer, Ask, Placing, Route, form};
use super::books::{Books, FakeCall, FakeEnding, FakeState};
use super::fault::Fault;
use super::{FakeKind, Shared, livekit};

/// Most bytes of a request line that a connection is judged by before it is read.
const LONGEST_LINE: usize = 8192;

pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    // They end with this task.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(stream, shared.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    if closes_unread(&stream, &shared).await {
        return;
    }
    let service = service_fn(|request| handle(shared.clone(), request));
    // Whoever asks may leave, and faults close connections too.
    let _ = http1::Builder::new()
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// Whether the next fault is [`Fault::DropUnread`] and meets this connection. Its bytes stay unread, so that closing
/// it resets it.
async fn closes_unread(stream: &TcpStream, shared: &Shared) -> bool {
    let mut bytes = vec![0; LONGEST_LINE];
    loop {
        if !shared.books().unread_is_next() {
            return false;
        }
        let Ok(read @ 1..) = stream.peek(&mut bytes).await else {
            return false;
        };
        let text = String::from_utf8_lossy(&bytes[..read]);
        if let Some((line, _)) = text.split_once("\r\n") {
            let mut words = line.split(' ');
            let method = words.next().unwrap_or_default().parse().unwrap_or_default();
            let ask = ask(method, words.next().unwrap_or("/"), HeaderMap::new(), &[]);
            let create = matches!(shared.adapter.route(&ask), Route::Create);
            return create && shared.change(Books::take_unread);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn ask(method: Method, target: &str, headers: HeaderMap, body: &[u8]) -> Ask {
    let url: Url = format!("http://fake{target}").parse().unwrap();
    let decoded = |segment: &str| {
        // As in forms, but a plus sign is itself.
        let segment = format!("={}", segment.replace('+', "%2B"));
        let mut pairs = url::form_urlencoded::parse(segment.as_bytes()).into_owned();
        pairs.next().unwrap().1
    };
    let segments = url.path_segments().unwrap();
    let path = segments.filter(|segment| !segment.is_empty()).map(decoded);
    let media_type = headers.get("content-type");
    let media_type = media_type.map_or("", |value| value.to_str().unwrap_or_default());
    let media_type = media_type.split(';').next().unwrap_or_default().to_owned();
    let body = match media_type.as_str() {
        "application/x-www-form-urlencoded" => form(body),
        _ => serde_json::from_slice(body).unwrap_or_default(),
    };
    Ask {
        method,
        path: path.collect(),
        query: url.query_pairs().into_owned().collect(),
        headers,
        body,
        media_type,
    }
}

/// The connection is closed without an answer.
#[derive(Debug)]
struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("closed on purpose")
    }
}

impl std::error::Error for Closed {}

async fn handle(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Reply>, Closed> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Closed)?.to_bytes();
    let target = head
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let ask = ask(head.method, target, head.headers, &body);
    let (answer, manner) = shared.change(|books| decide(&shared, books, &ask));
    let mut reply = Reply {
        bytes: None,
        whole: true,
    };
    let text = match &answer.body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let mut media_type = "application/json";
    reply.bytes = Some(match manner {
        Manner::Plain => text.into(),
        Manner::Late(delay) => {
            tokio::time::sleep(delay).await;
            text.into()
        }
        Manner::Garbage => {
            media_type = "text/html";
            Bytes::from_static(b"<html><body>It works!</body></html>")
        }
        Manner::Huge => format!("{text}{}", " ".repeat(1024 * 1024)).into(),
        Manner::Half => {
            reply.whole = false;
            Bytes::copy_from_slice(&text.as_bytes()[..text.len() / 2])
        }
        Manner::Never => return Err(Closed),
    });
    let mut response = Response::builder().status(answer.status);
    if !answer.body.is_null() {
        response = response.header("content-type", media_type);
    }
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    Ok(response.body(reply).unwrap())
}

/// A body that ends, or does not.
struct Reply {
    bytes: Option<Bytes>,
    whole: bool,
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Closed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Closed>>> {
        match self.bytes.take().filter(|bytes| !bytes.is_empty()) {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            None if self.whole => Poll::Ready(None),
            // Nothing wakes it: the connection ends with the client or with the fake.
            None => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.whole && self.bytes.as_ref().is_none_or(Bytes::is_empty)
    }
}

/// How an answer goes out.
enum Manner {
    Plain,
    Late(Duration),
    Garbage,
    Huge,
    Half,
    Never,
}

fn decide(shared: &Shared, books: &mut Books, ask: &Ask) -> (Answer, Manner) {
    books.requests += 1;
    let adapter = shared.adapter;
    let route = adapter.route(ask);
    if matches!(route, Route::Create) {
        books.creates += 1;
    }
    let missing = || adapter.refusal(404, "Not Found");
    if matches!(route, Route::Nothing) {
        return (missing(), Manner::Plain);
    }
    if !adapter.allows(ask, &shared.keys) {
        return (adapter.refusal(401, "Unauthorized"), Manner::Plain);
    }
    let known = |call: &&mut FakeCall, name: &str| !call.forgotten && adapter.is(call, name);
    let answer = match route {
        Route::Create => {
            return match adapter.placing(ask) {
                Ok(placing) => create(shared, books, ask, placing),
                Err(problem) => (adapter.refusal(400, &problem), Manner::Plain),
            };
        }
        Route::Prepare => match adapter.prepares(ask) {
            Ok(answer) => {
                books.prepared.push(ask.body.clone());
                answer
            }
            Err(problem) => adapter.refusal(400, &problem),
        },
        Route::Find => {
            let calls: Vec<_> = books.calls.iter().filter(|call| !call.forgotten).collect();
            adapter.find(ask, &calls)
        }
        Route::Status(name) => match books.calls.iter_mut().find(|call| known(call, &name)) {
            Some(call) => adapter.status(call),
            None => missing(),
        },
        Route::Cancel(name) => match books.calls.iter_mut().find(|call| known(call, &name)) {
            None => missing(),
            Some(call) => match adapter.cancels(ask, call) {
                Err((status, code)) => adapter.refusal(status, code),
                Ok(()) => {
                    let ending = match call.answered() {
                        true => FakeEnding::Completed,
                        false => FakeEnding::Cancelled,
                    };
                    call.go(FakeState::Ended(ending));
                    books.cancelled.push(call.id.clone());
                    adapter.cancelled(call)
                }
            },
        },
        Route::Nothing => missing(),
    };
    (answer, Manner::Plain)
}

fn create(shared: &Shared, books: &mut Books, ask: &Ask, placing: Placing) -> (Answer, Manner) {
    let adapter = shared.adapter;
    let fault = books.next_fault();
    let answer = match &fault {
        Fault::Refuse(status, code) => Some(adapter.refusal(*status, code)),
        Fault::RateLimit { retry_after } => {
            let answer = adapter.too_fast();
            Some(match retry_after {
                Some(seconds) => answer.header(adapter.wait_header(), seconds.to_string()),
                None => answer,
            })
        }
        // The request was there before the fault was.
        Fault::DropUnread => return (adapter.refusal(500, "closed"), Manner::Never),
        _ => None,
    };
    if let Some(answer) = answer {
        return (answer, Manner::Plain);
    }
    let window = adapter.repeatable();
    let window = window.filter(|_| books.deduplicates || shared.kind != FakeKind::TriggerUrl);
    let earlier = window.and_then(|window| books.repeated(placing.key.as_deref(), window));
    let id = match earlier {
        Some(call) => call.id.clone(),
        None => {
            let call = books.accept(adapter.shape(), placing, ask.body.clone());
            call.forgotten = fault == Fault::Forget;
            let id = call.id.clone();
            if !matches!(fault, Fault::Queue | Fault::MeansFailure) {
                books.dial(&id);
            }
            id
        }
    };
    let call = books.call_mut(&id);
    let placed = adapter.placed(call, &shared.keys);
    match fault {
        Fault::MeansFailure => {
            let (answer, kept) = adapter.failure(call).expect("checked when it was set");
            call.go(FakeState::Ended(FakeEnding::NeverDialed));
            if !kept {
                books.calls.retain(|call| call.id != id);
            }
            (answer, Manner::Plain)
        }
        Fault::Sip(code) => {
            call.go(FakeState::Ended(livekit::ending(code)));
            (livekit::sip_error(code), Manner::Plain)
        }
        Fault::ErrorAfterPlacing(status) => (
            adapter.refusal(status, "Internal Server Error"),
            Manner::Plain,
        ),
        Fault::SuccessWithoutId => (nameless(placed, call), Manner::Plain),
        Fault::Delay(delay) => (placed, Manner::Late(delay)),
        Fault::DropBeforeAnswer => (placed, Manner::Never),
        Fault::Garbage => (placed, Manner::Garbage),
        Fault::HugeBody => (placed, Manner::Huge),
        Fault::SlowBody => (placed, Manner::Half),
        _ => (placed, Manner::Plain),
    }
}

/// The answer without whatever names the call.
fn nameless(mut answer: Answer, call: &FakeCall) -> Answer {
    fn strip(value: &mut Value, names: [&str; 2]) {
        let Value::Object(fields) = value else {
            return;
        };
        let names_it = |value: &Value| {
            let text = value.as_str().unwrap_or_default();
            names.iter().any(|name| text.contains(name))
        };
        fields.retain(|_, value| !names_it(value));
        fields.values_mut().for_each(|value| strip(value, names));
    }
    strip(&mut answer.body, [&call.id, &call.other]);
    answer.headers.clear();
    answer
}
