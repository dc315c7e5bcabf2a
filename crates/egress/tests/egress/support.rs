use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use ringdown_egress::{Client, Method, Options, Policy, Request, Resolve};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// What a server does after it has read a request.
#[derive(Clone)]
pub(crate) enum Answer {
    /// Sends this and closes.
    Bytes(Vec<u8>),
    /// Sends this and keeps the connection open until the client leaves.
    Hang(Vec<u8>),
}

/// A server that reads requests and answers all of them alike.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    requests: mpsc::UnboundedReceiver<String>,
}

impl Server {
    pub(crate) async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        Self::start(Answer::Bytes(answer.into())).await
    }

    pub(crate) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, requests) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, seen) = (answer.clone(), seen.clone());
                tokio::spawn(serve(stream, answer, seen));
            }
        });
        Self { address, requests }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn named(&self, name: &str) -> String {
        format!("http://{name}:{}/", self.address.port())
    }

    /// The next request that arrived, head and body.
    pub(crate) async fn request(&mut self) -> String {
        self.requests.recv().await.unwrap()
    }

    /// Whether no further request has arrived.
    pub(crate) fn is_untouched(&mut self) -> bool {
        self.requests.try_recv().is_err()
    }
}

pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    answer: Answer,
    seen: mpsc::UnboundedSender<String>,
) {
    let mut read = Vec::new();
    while !is_whole(&read) {
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return,
            Ok(n) => read.extend_from_slice(&chunk[..n]),
        }
    }
    let _ = seen.send(String::from_utf8_lossy(&read).into_owned());
    let (bytes, hang) = match answer {
        Answer::Bytes(bytes) => (bytes, false),
        Answer::Hang(bytes) => (bytes, true),
    };
    // The client may have had enough before the end.
    if stream.write_all(&bytes).await.is_err() {
        return;
    }
    let _ = stream.flush().await;
    if hang {
        let _ = stream.read(&mut [0; 1]).await;
    }
    let _ = stream.shutdown().await;
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    body.len() >= length
}

/// A resolver that gives one prepared answer after the other, and counts the questions.
#[derive(Default)]
pub(crate) struct Answers {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    pub(crate) asked: AtomicUsize,
}

impl Answers {
    pub(crate) fn of(answers: &[&[&str]]) -> Arc<Self> {
        let answers = answers
            .iter()
            .map(|answer| answer.iter().map(|ip| ip.parse().unwrap()).collect());
        Arc::new(Self {
            answers: Mutex::new(answers.collect()),
            asked: AtomicUsize::new(0),
        })
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Resolve for Answers {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.answers.lock().unwrap().pop_front();
        answer.ok_or_else(|| io::Error::other(format!("no such name: {name}")))
    }
}

pub(crate) fn loopback() -> Policy {
    Policy::allowing(&["127.0.0.0/8", "::1"]).unwrap()
}

pub(crate) fn client() -> Client {
    Client::new(loopback())
}

pub(crate) fn resolving(policy: Policy, resolver: Arc<Answers>) -> Client {
    let options = Options {
        resolver,
        ..Options::default()
    };
    Client::with(policy, options)
}

pub(crate) fn get(url: impl Into<String>) -> Request {
    let mut request = Request::new(Method::GET, url);
    request.timeout = Duration::from_secs(10);
    request
}
