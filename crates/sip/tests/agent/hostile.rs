//! Whatever arrives, the endpoint goes on.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use ringdown_sip::{Endpoint, MediaOptions};

use crate::support::*;

const INVITE: &str = "INVITE sip:+15550199@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:PORT;branch=z9hG4bKBRANCH;rport\r\n\
    From: \"x\" <sip:+15550100@127.0.0.1>;tag=abc\r\nTo: <sip:+15550199@127.0.0.1>\r\nCall-ID: BRANCH@x\r\nCSeq: 1 INVITE\r\n\
    Contact: <sip:x@127.0.0.1:PORT>\r\nMax-Forwards: 70\r\nP-Asserted-Identity: <tel:+15550100>\r\nContent-Type: application/sdp\r\n\
    Content-Length: 117\r\n\r\nv=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\n";
const OTHERS: [&str; 7] = [
    "BYE sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:PORT;branch=z9hG4bKBRANCH\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: BRANCH\r\nCSeq: 2 BYE\r\n\r\n",
    "CANCEL sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:PORT;branch=z9hG4bKBRANCH\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: BRANCH\r\nCSeq: 1 CANCEL\r\n\r\n",
    "ACK sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:PORT;branch=z9hG4bKBRANCH\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=9\r\nCall-ID: BRANCH\r\nCSeq: 1 ACK\r\n\r\n",
    "REGISTER sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:PORT;branch=z9hG4bKBRANCH\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: BRANCH\r\nCSeq: 1 REGISTER\r\nContact: *\r\n\r\n",
    "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:PORT;branch=z9hG4bKBRANCH\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: BRANCH\r\nCSeq: 1 INVITE\r\n\r\n",
    "OPTIONS sip:x@127.0.0.1 SIP/2.0\r\nv: SIP/2.0/UDP 127.0.0.1:PORT;branch=z9hG4bKBRANCH;received=;rport=99999999\r\nf: <sip:%FF%zz@[::1]:99999>;tag=\r\nt: <tel:+1;x=\"<>\">\r\ni: BRANCH\r\nCSeq: 4294967295 OPTIONS\r\n\r\n",
    "INVITE tel:+1555 SIP/2.0\r\nVia: SIP/2.0/TCP [::]:0;branch=z9hG4bKBRANCH;maddr=x;ttl=9999\r\nFrom: sip:;tag=\"\\\r\nTo: \"\\\" <sip:@>;tag\r\nCall-ID: BRANCH\r\nCSeq: 1 INVITE\r\nRecord-Route: <>,<<>>,\r\nContent-Length: -1\r\n\r\n",
];

/// A generator with a fixed seed, so that a failure can be repeated.
fn rng() -> impl FnMut(usize) -> usize {
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        TestRng::deterministic_rng(RngAlgorithm::ChaCha),
    );
    move |below| {
        use proptest::prelude::Rng;
        (runner.rng().next_u64() % below as u64) as usize
    }
}

fn mutate(octets: &mut Vec<u8>, pick: &mut impl FnMut(usize) -> usize) {
    const SPICE: [&[u8]; 10] = [
        b"\r\n",
        b"<",
        b">",
        b"\"",
        b"%",
        b";tag=",
        b",",
        b"\xff\xfe",
        b"99999999999999999999",
        b"\0",
    ];
    for _ in 0..=pick(6) {
        if octets.is_empty() {
            return;
        }
        let at = pick(octets.len());
        match pick(5) {
            0 => octets[at] = pick(256) as u8,
            1 => octets.truncate(at),
            2 => {
                octets.drain(at..(at + pick(40)).min(octets.len()));
            }
            3 => {
                octets.splice(at..at, SPICE[pick(SPICE.len())].iter().copied());
            }
            _ => {
                let end = (at + pick(200)).min(octets.len());
                let copy = octets[at..end].to_vec();
                octets.splice(at..at, copy);
            }
        }
    }
}

async fn bombard(target: &Endpoint, count: usize) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port().to_string();
    let mut pick = rng();
    let before = target.stats().datagrams;
    for n in 0..count {
        let template = match pick(4) {
            0 => INVITE,
            _ => OTHERS[pick(OTHERS.len())],
        };
        let text = template
            .replace("PORT", &port)
            .replace("BRANCH", &format!("b{n}"));
        let mut octets = text.into_bytes();
        match pick(10) {
            0 => octets = (0..pick(1_400)).map(|_| pick(256) as u8).collect(),
            1 => {}
            _ => mutate(&mut octets, &mut pick),
        }
        octets.truncate(60_000);
        socket.send_to(&octets, target.local_addr()).unwrap();
        if n % 64 == 0 {
            // Not faster than it is read, or the kernel throws the hard ones away.
            let read = async {
                while target.stats().datagrams < before + n as u64 {
                    tokio::task::yield_now().await;
                }
            };
            soon("reading the garbage", read).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_on_the_sip_port_is_counted_and_calls_still_work() {
    let (caller, _) = endpoint().await;
    let (callee, mut incoming) = endpoint_with_backlog(10_000).await;
    bombard(&callee, 6_000).await;
    let stats = callee.stats();
    println!("{stats:?}");
    assert!(stats.malformed_datagrams > 500, "{stats:?}");
    assert!(
        stats.invites > 50,
        "some of the mutants must get through to be worth it: {stats:?}"
    );
    assert!(!stats.stack_failed);
    assert_eq!(stats.contained_panics, 0, "{stats:?}");

    // The mutants that passed for calls are refused; the real call is among them.
    let (ours, theirs) = tokio::join!(caller.dial(request(callee.local_addr())), async {
        loop {
            let call = soon("the real call", incoming.next()).await.unwrap();
            if call.header("X-Run-Id") == Some("run-1") {
                return call.answer(MediaOptions::default()).await.unwrap();
            }
            drop(call);
        }
    });
    let ours = ours.unwrap();
    ours.media().play(tone(440.0, 1.0));
    hear(theirs.media(), 440.0).await;
    soon("the end", ours.hang_up()).await;
    soon("their end", theirs.ended()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_on_the_rtp_port_is_counted_and_the_tone_still_heard() {
    let (callee, mut incoming) = endpoint().await;
    let (caller, _) = endpoint().await;
    let (ours, theirs) = connect(
        &caller,
        &callee,
        &mut incoming,
        MediaOptions::default(),
        MediaOptions::default(),
    )
    .await;
    hear_anything(&theirs).await;
    // Every local port in the range the kernel hands out: only the call's own one is listening.
    let ports = rtp_ports();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut pick = rng();
    for _ in 0..300 {
        let mut octets: Vec<u8> = (0..pick(200)).map(|_| pick(256) as u8).collect();
        if let Some(first) = octets.first_mut().filter(|_| pick(2) == 0) {
            *first = 0x80 | (*first & 0x3f);
        }
        for port in &ports {
            let _ = stranger.send_to(&octets, SocketAddr::from(([127, 0, 0, 1], *port)));
        }
    }
    ours.media().play(tone(440.0, 1.0));
    hear(theirs.media(), 440.0).await;
    let ended = soon("the end", theirs.hang_up()).await;
    assert!(
        ended.media.malformed + ended.media.unexpected >= 100,
        "{:?}",
        ended.media
    );
    assert_eq!(callee.stats().contained_panics, 0);
    soon("our end", ours.ended()).await;
}

async fn hear_anything(call: &ringdown_sip::Call) {
    let received = async {
        while call.media().stats().packets_received == 0 {
            call.media().next_frame().await.unwrap();
        }
    };
    soon("the first packet", received).await;
    assert!(call.media().stats().first_rx.unwrap() < Duration::from_secs(10));
}

/// The UDP ports this process listens on, from the system's own list.
fn rtp_ports() -> Vec<u16> {
    let own: Vec<String> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .filter_map(|link| {
            Some(
                link.to_str()?
                    .strip_prefix("socket:[")?
                    .strip_suffix(']')?
                    .to_owned(),
            )
        })
        .collect();
    std::fs::read_to_string("/proc/net/udp")
        .unwrap()
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let port = u16::from_str_radix(fields[1].split_once(':')?.1, 16).ok()?;
            own.iter().any(|inode| inode == fields[9]).then_some(port)
        })
        .collect()
}
