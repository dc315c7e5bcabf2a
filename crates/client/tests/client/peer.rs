//! A service that does with each connection what it is told.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ringdown_client::{ApiKey, Client, Options};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

pub(crate) const KEY: &str = "sk-very-secret-key-0123456789";

/// What to do with a connection once its request was read.
#[derive(Clone)]
pub(crate) enum Answer {
    /// Send this and close.
    Raw(String),
    /// Close without a word.
    Close,
    /// Reset the connection.
    Reset,
    /// Keep it open and say nothing.
    Silence,
    /// Send this head, then bytes without end.
    Flood(&'static str),
}

/// An answer with a status line, headers and a body.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Answer {
    let length = body.len();
    Answer::Raw(format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    ))
}

pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    requests: mpsc::UnboundedReceiver<String>,
    flooded: Arc<AtomicUsize>,
}

impl Peer {
    /// A service that treats its connections in this order, and the rest as the last.
    pub(crate) async fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = mpsc::unbounded_channel();
        let flooded = Arc::new(AtomicUsize::new(0));
        let mut answers: VecDeque<Answer> = answers.into_iter().collect();
        let count = Arc::clone(&flooded);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let answer = match answers.len() {
                    1 => answers[0].clone(),
                    _ => answers.pop_front().unwrap(),
                };
                tokio::spawn(serve(stream, answer, sender.clone(), Arc::clone(&count)));
            }
        });
        Self {
            address,
            requests,
            flooded,
        }
    }

    /// The requests so far.
    pub(crate) fn requests(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.requests.try_recv().ok()).collect()
    }

    /// Bytes of floods that the other side, or the buffers between, have taken.
    pub(crate) fn flooded(&self) -> usize {
        self.flooded.load(Ordering::Relaxed)
    }

    /// A client that tries reads once.
    pub(crate) fn client(&self) -> Client {
        self.patient_client(Duration::ZERO)
    }

    /// A client that tries reads again for so long.
    pub(crate) fn patient_client(&self, read_deadline: Duration) -> Client {
        client(self.address, read_deadline)
    }
}

pub(crate) fn client(address: SocketAddr, read_deadline: Duration) -> Client {
    let options = Options {
        connect_timeout: Duration::from_secs(10),
        request_timeout: Duration::from_secs(10),
        read_deadline,
    };
    Client::new(&format!("http://{address}"), &ApiKey::new(KEY), options).unwrap()
}

async fn serve(
    mut stream: TcpStream,
    answer: Answer,
    requests: mpsc::UnboundedSender<String>,
    flooded: Arc<AtomicUsize>,
) {
    let request = read(&mut stream).await;
    // The test may be over.
    let _ = requests.send(request);
    match answer {
        Answer::Raw(text) => {
            // The client may have seen enough.
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
        Answer::Close => {}
        Answer::Reset => {
            let socket = socket2::SockRef::from(&stream);
            socket.set_linger(Some(Duration::ZERO)).unwrap();
        }
        Answer::Silence => {
            // Ends with the client's side of the connection.
            let _ = stream.read(&mut [0]).await;
        }
        Answer::Flood(head) => {
            let mut sent = stream.write_all(head.as_bytes()).await;
            while sent.is_ok() {
                sent = stream.write_all(&[b' '; 65536]).await;
                flooded.fetch_add(65536, Ordering::Relaxed);
            }
        }
    }
}

/// A request with its body.
async fn read(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    name.eq_ignore_ascii_case("content-length").then_some(value)
                })
                .map_or(0, |value| value.trim().parse().unwrap());
            if body.len() >= length {
                return text;
            }
        }
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "{text}");
    }
}
