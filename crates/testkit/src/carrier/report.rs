//! Status callbacks: sent as the service sends them, in order, twice, in disorder, or signed by somebody else.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::Url;

use super::adapter::Report;
use super::keys::Keys;
use super::{FakeCall, FakeCarrier};

/// Longest that a receiver may take.
const LONGEST: Duration = Duration::from_secs(30);

impl FakeCarrier {
    /// Where calls report whose request does not say where, as a service has it in its settings.
    pub fn reports_to(&self, url: &str) {
        self.shared
            .change(|books| books.callback = Some(url.to_owned()));
    }

    /// Where reports are delivered over plain HTTP, whatever their address says: it is signed as it is, so a
    /// receiver on loopback can be known under a public one.
    pub fn delivers_to(&self, receiver: SocketAddr) {
        self.shared.change(|books| books.receiver = Some(receiver));
    }

    /// Reports all that happened to a call until now, in order; the statuses that the receiver answered with.
    ///
    /// # Panics
    /// If nobody takes it.
    pub async fn report(&self, id: &str) -> Vec<u16> {
        let reports = self.reports(id);
        self.send(&self.call(id), &self.shared.keys, reports).await
    }

    /// As [`Self::report`], each report twice.
    pub async fn report_twice(&self, id: &str) -> Vec<u16> {
        let reports = self.reports(id).into_iter();
        let twice = reports
            .flat_map(|report| [report.clone(), report])
            .collect();
        self.send(&self.call(id), &self.shared.keys, twice).await
    }

    /// As [`Self::report`], the last one first.
    pub async fn report_in_disorder(&self, id: &str) -> Vec<u16> {
        let mut reports = self.reports(id);
        reports.reverse();
        self.send(&self.call(id), &self.shared.keys, reports).await
    }

    /// As [`Self::report`], signed with keys that are not the account's.
    pub async fn report_forged(&self, id: &str, keys: &Keys) -> Vec<u16> {
        let reports = self.reports(id);
        let mut call = self.call(id);
        // Bandwidth shows what the request said.
        if let Some(password) = call.asked.get_mut("password") {
            *password = keys.signing.as_str().into();
        }
        self.send(&call, keys, reports).await
    }

    fn reports(&self, id: &str) -> Vec<Report> {
        let books = self.shared.books();
        let call = books.call(id);
        let Some(url) = call.callback.as_ref().or(books.callback.as_ref()) else {
            return Vec::new();
        };
        let states = call.history.iter();
        states
            .flat_map(|state| self.shared.adapter.reports(call, *state, url))
            .collect()
    }

    async fn send(&self, call: &FakeCall, keys: &Keys, reports: Vec<Report>) -> Vec<u16> {
        let receiver = self.shared.books().receiver;
        let mut statuses = Vec::new();
        for report in reports {
            let signed = self.shared.adapter.sign(&report, call, keys);
            let sent = tokio::time::timeout(LONGEST, post(&report, signed, receiver));
            statuses.push(sent.await.expect("the receiver answers in time"));
        }
        statuses
    }
}

async fn post(
    report: &Report,
    signed: Vec<(&'static str, String)>,
    receiver: Option<SocketAddr>,
) -> u16 {
    let url: Url = report.url.parse().unwrap();
    let address = receiver.unwrap_or_else(|| {
        assert_eq!(url.scheme(), "http", "say where {url} is: delivers_to");
        url.socket_addrs(|| None).unwrap()[0]
    });
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(target)
        .header(HOST, host)
        .header(CONTENT_TYPE, report.media_type);
    for (name, value) in signed {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::from(report.body.clone())));
    let response = sender.send_request(request.unwrap()).await.unwrap();
    connection.abort();
    response.status().as_u16()
}
