use std::sync::Arc;

use ringdown_egress::{CertificateDer, Client, Error, NotSent, Options};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use crate::support::{Answer, Answers, OK, get, loopback, serve};

const AUTHORITY: &[u8] = include_bytes!("certificates/ca.pem");
const CERTIFICATE: &[u8] = include_bytes!("certificates/server.pem");
const KEY: &[u8] = include_bytes!("certificates/server.key");

/// A server with a certificate for `hook.test` and `127.0.0.1`; returns its port.
async fn secure_server() -> u16 {
    let chain = vec![CertificateDer::from_pem_slice(CERTIFICATE).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (seen, _requests) = mpsc::unbounded_channel();
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream, Answer::Bytes(OK.into()), seen).await;
            }
        }
    });
    port
}

fn client(extra_roots: Vec<CertificateDer<'static>>, answers: &[&[&str]]) -> Client {
    let options = Options {
        extra_roots,
        resolver: Answers::of(answers),
        ..Options::default()
    };
    Client::with(loopback(), options)
}

fn authority() -> Vec<CertificateDer<'static>> {
    vec![CertificateDer::from_pem_slice(AUTHORITY).unwrap()]
}

#[tokio::test]
async fn a_server_with_the_right_certificate_is_spoken_to_by_name_and_address() {
    let port = secure_server().await;
    let client = client(authority(), &[&["127.0.0.1"], &["127.0.0.1"]]);
    for host in ["hook.test", "hook.test.", "127.0.0.1"] {
        let response = client.send(get(format!("https://{host}:{port}/"))).await;
        assert_eq!(&response.unwrap().body[..], b"ok", "{host}");
    }
}

#[tokio::test]
async fn a_server_that_is_someone_else_gets_no_request() {
    let port = secure_server().await;
    let trusting = client(authority(), &[&["127.0.0.1"]]);
    let doubting = client(Vec::new(), &[&["127.0.0.1"]]);
    for (client, host) in [(trusting, "other.test"), (doubting, "hook.test")] {
        let error = client.send(get(format!("https://{host}:{port}/"))).await;
        let error = error.unwrap_err();
        assert!(
            matches!(error, Error::NotSent(NotSent::Tls { .. })),
            "{error:?}"
        );
        assert!(error.to_string().contains("certificate"), "{error}");
    }
}

#[tokio::test]
async fn a_server_without_tls_gets_no_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let plain = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        stream.readable().await.unwrap();
        stream
            .try_write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
        stream
    });
    let client = client(authority(), &[]);
    let error = client.send(get(format!("https://127.0.0.1:{port}/"))).await;
    let error = error.unwrap_err();
    assert!(
        matches!(error, Error::NotSent(NotSent::Tls { .. })),
        "{error:?}"
    );
    plain.await.unwrap();
}
