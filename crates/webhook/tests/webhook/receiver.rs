//! An HTTP server that hears webhooks and answers as it is told.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};

use crate::world::within;

#[derive(Clone)]
pub enum Reply {
    /// A status line's status, header lines and a body.
    Status(&'static str, &'static str, String),
    /// The connection ends without an answer.
    Close,
    /// Nothing until [`Receiver::release`], then this.
    Hold(Box<Reply>),
}

pub fn status(status: &'static str) -> Reply {
    Reply::Status(status, "", String::new())
}

#[derive(Debug)]
pub struct Heard {
    pub head: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Heard {
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.get(&name.to_ascii_lowercase());
        found.unwrap_or_else(|| panic!("no {name} in {:?}", self.headers))
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

struct Shared {
    replies: Mutex<VecDeque<Reply>>,
    after: Reply,
    released: Notify,
    heard: mpsc::UnboundedSender<Heard>,
}

pub struct Receiver {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    heard: mpsc::UnboundedReceiver<Heard>,
}

impl Receiver {
    /// Answers with these, one after the other, and then with 200.
    pub async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::with(replies, status("200 OK")).await
    }

    /// Answers with these, one after the other, and then always with `after`.
    pub async fn with(replies: impl IntoIterator<Item = Reply>, after: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (tell, heard) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            replies: Mutex::new(replies.into_iter().collect()),
            after,
            released: Notify::new(),
            heard: tell,
        });
        let address = listener.local_addr().unwrap();
        let serving = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&serving)));
            }
        });
        Self {
            address,
            shared,
            heard,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub async fn hear(&mut self) -> Heard {
        within("a webhook is heard", self.heard.recv())
            .await
            .unwrap()
    }

    /// What was heard and not asked for yet.
    pub fn backlog(&mut self) -> usize {
        let mut count = 0;
        while self.heard.try_recv().is_ok() {
            count += 1;
        }
        count
    }

    /// Lets one held reply go.
    pub fn release(&self) {
        self.shared.released.notify_one();
    }
}

async fn answer(mut stream: TcpStream, shared: Arc<Shared>) {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap().to_owned();
    let headers: BTreeMap<String, String> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers["content-length"].parse().unwrap();
    while bytes.len() < end + 4 + length {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let body = String::from_utf8(bytes[end + 4..].to_vec()).unwrap();
    let reply = shared.replies.lock().unwrap().pop_front();
    let mut reply = reply.unwrap_or_else(|| shared.after.clone());
    let heard = Heard {
        head: first,
        headers,
        body,
    };
    let _ = shared.heard.send(heard);
    while let Reply::Hold(then) = reply {
        shared.released.notified().await;
        reply = *then;
    }
    if let Reply::Status(status, headers, body) = reply {
        let length = body.len();
        let text = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n{body}");
        let _ = stream.write_all(text.as_bytes()).await;
    }
}
