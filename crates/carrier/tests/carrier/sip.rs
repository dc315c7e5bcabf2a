//! Calls through a SIP trunk that answers as it is told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ringdown_carrier::{Carrier as _, Order, SipTrunk};
use ringdown_domain::dial::Retry;
use ringdown_sip::{EndedBy, Endpoint, EndpointOptions, MediaOptions};
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

use crate::support::{ambiguous, not_placed, order, placed, within};

/// A far end that speaks just enough SIP.
struct FarEnd {
    socket: UdpSocket,
    address: SocketAddr,
}

/// A request as it came.
struct Request {
    text: String,
    from: SocketAddr,
}

impl Request {
    fn method(&self) -> &str {
        self.text.split(' ').next().unwrap()
    }

    fn header(&self, name: &str) -> &str {
        let found = self.text.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        });
        found.unwrap_or_else(|| panic!("no {name} in {}", self.text))
    }
}

impl FarEnd {
    async fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        Self { socket, address }
    }

    async fn trunk(&self) -> SipTrunk {
        SipTrunk::open(self.address, None, Duration::from_secs(60))
            .await
            .unwrap()
    }

    /// The next request with this method; others are retransmissions or acknowledgements.
    async fn next(&self, method: &str) -> Request {
        let mut buffer = vec![0; 65536];
        loop {
            let (length, from) = within(self.socket.recv_from(&mut buffer)).await.unwrap();
            let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
            let request = Request { text, from };
            if request.method() == method {
                return request;
            }
        }
    }

    async fn answer(&self, request: &Request, status: &str) {
        let copied = ["Via", "From", "Call-ID", "CSeq"]
            .map(|name| format!("{name}: {}\r\n", request.header(name)))
            .concat();
        let to = request.header("To");
        let text =
            format!("SIP/2.0 {status}\r\n{copied}To: {to};tag=far\r\nContent-Length: 0\r\n\r\n");
        let sent = self.socket.send_to(text.as_bytes(), request.from).await;
        assert_eq!(sent.unwrap(), text.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_final_refusal_proves_that_no_call_was_placed() {
    let far = FarEnd::new().await;
    let trunk = far.trunk().await;
    for (status, retry) in [
        ("486 Busy Here", Retry::Never),
        ("503 Service Unavailable", Retry::Later),
        ("403 Forbidden", Retry::Never),
        ("404 Not Found", Retry::Never),
        ("480 Temporarily Unavailable", Retry::Never),
        ("603 Decline", Retry::Never),
    ] {
        let (order, stop) = (order(), CancellationToken::new());
        let (dialed, ()) = within(async {
            tokio::join!(trunk.dial(&order, &stop), async {
                let invite = far.next("INVITE").await;
                far.answer(&invite, status).await;
                // Acknowledged: the refusal is final on both sides.
                let ack = far.next("ACK").await;
                assert_eq!(ack.header("Call-ID"), invite.header("Call-ID"));
            })
        })
        .await;
        let (reason, decided) = not_placed(&dialed);
        assert_eq!(decided, retry, "{status}");
        assert!(reason.contains(status), "{reason}");
        assert!(dialed.rest.is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_invite_says_who_calls_whom_for_which_run() {
    let far = FarEnd::new().await;
    let trunk = far.trunk().await;
    let (order, stop) = (order(), CancellationToken::new());
    let (_, invite) = within(async {
        tokio::join!(trunk.dial(&order, &stop), async {
            let invite = far.next("INVITE").await;
            far.answer(&invite, "486 Busy Here").await;
            invite
        })
    })
    .await;
    assert!(invite.text.starts_with("INVITE sip:+15550100001@"));
    assert!(invite.header("From").contains("sip:+15550100002@"));
    assert!(invite.header("To").contains("sip:+15550100001@"));
    assert_eq!(invite.header("X-Run-Id"), "7");
    assert_eq!(invite.header("X-Attempt-Id"), "attempt-7");
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_leaves_it_unknown_whether_a_call_was_placed() {
    let far = FarEnd::new().await;
    let trunk = far.trunk().await;
    let order = Order {
        time_left: Duration::from_millis(700),
        ..order()
    };
    let stop = CancellationToken::new();
    let dialed = within(trunk.dial(&order, &stop)).await;
    assert!(ambiguous(&dialed).contains("no response"));
    let invite = far.next("INVITE").await;
    assert_eq!(invite.header("X-Run-Id"), "7", "nothing was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn ringing_until_the_window_closes_is_cancelled_and_never_tried_again() {
    let far = FarEnd::new().await;
    let trunk = far.trunk().await;
    let order = Order {
        time_left: Duration::from_millis(700),
        ..order()
    };
    let stop = CancellationToken::new();
    let (dialed, ()) = within(async {
        tokio::join!(trunk.dial(&order, &stop), async {
            let invite = far.next("INVITE").await;
            far.answer(&invite, "180 Ringing").await;
            let cancel = far.next("CANCEL").await;
            far.answer(&cancel, "200 OK").await;
            far.answer(&invite, "487 Request Terminated").await;
        })
    })
    .await;
    assert!(ambiguous(&dialed).contains("no answer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dial_that_is_called_off_stops_the_ringing() {
    let far = FarEnd::new().await;
    let trunk = far.trunk().await;
    let (order, stop) = (order(), CancellationToken::new());
    let (dialed, ()) = within(async {
        tokio::join!(trunk.dial(&order, &stop), async {
            let invite = far.next("INVITE").await;
            far.answer(&invite, "180 Ringing").await;
            stop.cancel();
            far.next("CANCEL").await;
        })
    })
    .await;
    assert!(ambiguous(&dialed).contains("given up"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_called_without_a_caller_id() {
    let far = FarEnd::new().await;
    let trunk = far.trunk().await;
    let order = Order {
        from: None,
        ..order()
    };
    let dialed = within(trunk.dial(&order, &CancellationToken::new())).await;
    let (reason, retry) = not_placed(&dialed);
    assert!(
        retry == Retry::Never && reason.contains("caller ID"),
        "{reason}"
    );
    let nothing = far.socket.try_recv(&mut [0; 16]);
    assert_eq!(nothing.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answered_call_is_placed_and_lasts_until_it_is_stopped() {
    let (far, mut incoming) = Endpoint::bind(EndpointOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        user_agent: "far".to_owned(),
        advertised_ip: None,
        incoming_backlog: 4,
    })
    .await
    .unwrap();
    let trunk = SipTrunk::open(far.local_addr(), None, Duration::from_secs(60))
        .await
        .unwrap();
    let (order, stop) = (order(), Arc::new(CancellationToken::new()));
    let (mut dialed, answered) = within(async {
        tokio::join!(trunk.dial(&order, &stop), async {
            let call = incoming.next().await.unwrap();
            assert_eq!(call.header("X-Run-Id"), Some("7"));
            call.answer(MediaOptions::default()).await.unwrap()
        })
    })
    .await;
    assert!(!placed(&dialed).is_empty());
    let rest = tokio::spawn(dialed.rest.take().unwrap());
    stop.cancel();
    within(rest).await.unwrap();
    let ended = within(answered.ended()).await;
    assert_eq!(ended.by, EndedBy::Remote);
    within(far.shutdown(Duration::from_secs(5))).await;
}
