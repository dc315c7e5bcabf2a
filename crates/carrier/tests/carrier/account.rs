//! Accounts, against a server on loopback that answers as the providers do, and as they do not.

use std::net::SocketAddr;
use std::time::Duration;

use ringdown_carrier::account::{
    Account, Accounts, Error, OwnedNumber, Plivo, Provider, Telnyx, Twilio,
};
use ringdown_domain::E164;
use ringdown_egress::{Client, Policy};
use ringdown_vault::Secret;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::support::{PATIENCE, within};

/// `printf AC1:s3cret-token | base64`, and the same for `MA1`.
const TWILIO_BASIC: &str = "Basic QUMxOnMzY3JldC10b2tlbg==";
const PLIVO_BASIC: &str = "Basic TUExOnMzY3JldC10b2tlbg==";

fn number() -> E164 {
    "+14155550123".parse().unwrap()
}

fn accounts() -> [Account; 3] {
    let secret = || Secret::new("s3cret-token");
    [
        Account::Twilio(Twilio::new("AC1", secret()).unwrap()),
        Account::Plivo(Plivo::new("MA1", secret()).unwrap()),
        Account::Telnyx(Telnyx::new(secret()).unwrap()),
    ]
}

/// A server for one request, which it returns. An answer that is not closed hangs.
struct Fake {
    address: SocketAddr,
    request: JoinHandle<String>,
}

impl Fake {
    async fn start(answer: Vec<u8>, close: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let request = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut read = Vec::new();
            while !read.ends_with(b"\r\n\r\n") {
                read.push(stream.read_u8().await.unwrap());
            }
            // Who asks may have read enough before the end.
            let written = stream.write_all(&answer).await;
            if written.is_ok() && !close {
                let _ = stream.read(&mut [0; 1]).await;
            }
            String::from_utf8(read).unwrap()
        });
        Self { address, request }
    }

    async fn answering(status: &str, body: &str) -> Self {
        let length = body.len();
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
        Self::start(answer.into(), true).await
    }

    async fn ask(&self, account: &Account, patience: Duration) -> Result<OwnedNumber, Error> {
        let policy = Policy::allowing(&["127.0.0.1"]).unwrap();
        let asking = Accounts::new(Client::new(policy))
            .at(format!("http://{}", self.address))
            .within(patience);
        within(asking.verify(account, &number())).await
    }

    async fn request(self) -> String {
        within(self.request).await.unwrap()
    }
}

/// The answer that means yes.
fn yes(provider: Provider) -> &'static str {
    match provider {
        Provider::Twilio => {
            r#"{"incoming_phone_numbers":[
                {"sid":"PN0","phone_number":"+141555501234","friendly_name":"longer"},
                {"sid":"PN1","phone_number":"+14155550123","friendly_name":" (415) 555-0123 "}
            ],"page":0}"#
        }
        Provider::Plivo => {
            r#"{"api_id":"x","number":"14155550123","alias":"(415) 555-0123","carrier":"Plivo"}"#
        }
        Provider::Telnyx => {
            r#"{"data":[
                {"id":"0","phone_number":"+14155550123","status":"deleted"},
                {"id":"129","phone_number":"+14155550123","status":"active",
                 "customer_reference":"(415) 555-0123"}
            ],"meta":{"total_results":2}}"#
        }
    }
}

#[tokio::test]
async fn an_owned_number_is_asked_for_and_found_in_each_providers_way() {
    for account in accounts() {
        let fake = Fake::answering("200 OK", yes(account.provider())).await;
        let owned = fake.ask(&account, PATIENCE).await.unwrap();
        let (id, line, authorization) = match account.provider() {
            Provider::Twilio => (
                "PN1",
                "GET /2010-04-01/Accounts/AC1/IncomingPhoneNumbers.json?PhoneNumber=%2B14155550123 HTTP/1.1",
                TWILIO_BASIC,
            ),
            Provider::Plivo => (
                "14155550123",
                "GET /v1/Account/MA1/Number/14155550123/ HTTP/1.1",
                PLIVO_BASIC,
            ),
            Provider::Telnyx => (
                "129",
                "GET /v2/phone_numbers?filter%5Bphone_number%5D=14155550123 HTTP/1.1",
                "Bearer s3cret-token",
            ),
        };
        assert_eq!(owned.provider_id, id);
        assert_eq!(owned.friendly_name.as_deref(), Some("(415) 555-0123"));
        let request = fake.request().await;
        assert_eq!(request.lines().next(), Some(line));
        let sent = format!("authorization: {authorization}");
        assert!(request.lines().any(|line| line == sent), "{request}");
    }
}

#[tokio::test]
async fn an_id_that_is_hard_on_urls_stays_one_segment_below_the_base() {
    let account = Twilio::new("../A%C/?#", Secret::new("t")).unwrap();
    let fake = Fake::answering("200 OK", yes(Provider::Twilio)).await;
    let policy = Policy::allowing(&["127.0.0.1"]).unwrap();
    let asking = Accounts::new(Client::new(policy)).at(format!("http://{}/mock/", fake.address));
    within(asking.verify(&Account::Twilio(account), &number()))
        .await
        .unwrap();
    let line = "GET /mock/2010-04-01/Accounts/..%2FA%25C%2F%3F%23/IncomingPhoneNumbers.json?";
    let request = fake.request().await;
    assert!(request.starts_with(line), "{request}");
}

#[tokio::test]
async fn wrong_credentials_are_told_as_such() {
    for account in accounts() {
        let fake = Fake::answering("401 Unauthorized", r#"{"message":"Authenticate"}"#).await;
        let provider = account.provider();
        let error = fake.ask(&account, PATIENCE).await.unwrap_err();
        assert_eq!(error, Error::Unauthorised { provider });
        assert!(error.to_string().contains("copy them again"), "{error}");
    }
}

#[tokio::test]
async fn a_number_that_the_answer_does_not_name_is_not_owned() {
    for account in accounts() {
        let provider = account.provider();
        let others = match provider {
            Provider::Twilio => [
                ("200 OK", r#"{"incoming_phone_numbers":[]}"#),
                (
                    "200 OK",
                    r#"{"incoming_phone_numbers":[{"sid":"PN2","phone_number":"+141555501234"}]}"#,
                ),
            ],
            Provider::Plivo => [
                ("404 Not Found", r#"{"error":"not found"}"#),
                ("200 OK", r#"{"number":"14155550124"}"#),
            ],
            Provider::Telnyx => [
                ("200 OK", r#"{"data":[]}"#),
                (
                    "200 OK",
                    r#"{"data":[{"id":"1","phone_number":"+14155550123","status":"ported_out"}]}"#,
                ),
            ],
        };
        for (status, body) in others {
            let fake = Fake::answering(status, body).await;
            let error = fake.ask(&account, PATIENCE).await.unwrap_err();
            let number = number();
            assert_eq!(error, Error::NotOwned { provider, number }, "{body}");
        }
    }
}

#[tokio::test]
async fn a_failing_provider_is_quoted_and_the_question_left_open() {
    for account in accounts() {
        for (status, code, next) in [
            ("500 Internal Server Error", 500, "try again later"),
            ("429 Too Many Requests", 429, "try again later"),
            ("403 Forbidden", 403, "permissions"),
            ("302 Found", 302, "address"),
        ] {
            let fake = Fake::answering(status, r#"{"message":"s3cret-token is tired"}"#).await;
            let error = fake.ask(&account, PATIENCE).await.unwrap_err();
            let refused = Error::Refused {
                provider: account.provider(),
                status: code,
                message: "(hidden) is tired".to_owned(),
            };
            assert_eq!(error, refused);
            assert!(error.to_string().contains(next), "{error}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_not_the_documented_one_is_no_answer() {
    let huge = format!("[{}1]", "1,".repeat(200_000));
    let deep = "[".repeat(10_000);
    for account in accounts() {
        for body in [
            "",
            "<html>hello</html>",
            "null",
            "[]",
            "1",
            r#"{"data":{},"number":5,"incoming_phone_numbers":"x"}"#,
            r#"{"data":[{"phone_number":"+14155550123"}],
                "incoming_phone_numbers":[{"phone_number":"+14155550123","sid":7}]}"#,
            &huge,
            &deep,
        ] {
            let fake = Fake::answering("200 OK", body).await;
            let error = fake.ask(&account, PATIENCE).await.unwrap_err();
            assert!(
                matches!(error, Error::Unreadable { .. }),
                "{:.60}: {error:?}",
                body
            );
        }
    }
}

#[tokio::test]
async fn a_provider_that_is_slow_or_gone_is_unreachable() {
    let short = Duration::from_millis(200);
    let begun = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"data\":";
    for account in accounts() {
        for (answer, close, patience) in [
            (&b""[..], false, short),
            (&begun[..], false, short),
            (&begun[..], true, PATIENCE),
            (&b""[..], true, PATIENCE),
        ] {
            let fake = Fake::start(answer.to_vec(), close).await;
            let error = fake.ask(&account, patience).await.unwrap_err();
            assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
        }
        let public_only = Accounts::new(Client::new(Policy::public_only()));
        for base in ["http://127.0.0.1:1", "no url", "mailto:x@example.com"] {
            let asking = public_only.clone().at(base);
            let error = within(asking.verify(&account, &number())).await;
            let error = error.unwrap_err();
            assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
        }
    }
}
