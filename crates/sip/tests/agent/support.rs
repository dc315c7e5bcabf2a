//! Endpoints on free ports, tones, and a way to hear them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ringdown_sip::{
    Call, Credentials, DialRequest, Endpoint, EndpointOptions, Frame, Incoming, Media, MediaOptions,
};

/// Long enough for a loaded machine; nothing waits for it when all goes well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn endpoint() -> (Endpoint, Incoming) {
    endpoint_with_backlog(128).await
}

pub(crate) async fn endpoint_with_backlog(incoming_backlog: usize) -> (Endpoint, Incoming) {
    Endpoint::bind(EndpointOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        user_agent: "ringdown-test".to_owned(),
        advertised_ip: None,
        incoming_backlog,
    })
    .await
    .unwrap()
}

pub(crate) fn request(proxy: SocketAddr) -> DialRequest {
    DialRequest {
        proxy,
        from: "+15550100".to_owned(),
        to: "+15550199".to_owned(),
        display_name: Some("Agent \"47\"".to_owned()),
        headers: vec![("X-Run-Id".to_owned(), "run-1".to_owned())],
        ring_timeout: Duration::from_secs(10),
        media: MediaOptions::default(),
        credentials: None::<Credentials>,
    }
}

/// Places a call from `caller` to `callee` and answers it.
pub(crate) async fn connect(
    caller: &Endpoint,
    callee: &Endpoint,
    incoming: &mut Incoming,
    calling: MediaOptions,
    answering: MediaOptions,
) -> (Call, Call) {
    let mut request = request(callee.local_addr());
    request.media = calling;
    let (dialed, answered) = tokio::join!(caller.dial(request), async {
        incoming.next().await.unwrap().answer(answering).await
    });
    (dialed.unwrap(), answered.unwrap())
}

pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("{what} did not happen in time"))
}

/// Waits until an endpoint holds no dialog any more.
pub(crate) async fn forgets_every_dialog(endpoint: &Endpoint) {
    let forgotten = async {
        while endpoint.stats().dialogs > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon("forgetting every dialog", forgotten).await;
}

pub(crate) fn tone(hertz: f64, seconds: f64) -> Arc<[i16]> {
    let count = (seconds * 8_000.0) as usize;
    (0..count)
        .map(|n| ((n as f64 * hertz * std::f64::consts::TAU / 8_000.0).sin() * 8_000.0) as i16)
        .collect()
}

/// The amplitude of one frequency in these samples (Goertzel).
pub(crate) fn amplitude(samples: &[i16], hertz: f64) -> f64 {
    let coefficient = 2.0 * (hertz * std::f64::consts::TAU / 8_000.0).cos();
    let (mut last, mut before) = (0.0, 0.0);
    for sample in samples {
        let next = f64::from(*sample) + coefficient * last - before;
        before = last;
        last = next;
    }
    let power = last * last + before * before - coefficient * last * before;
    power.max(0.0).sqrt() * 2.0 / samples.len() as f64
}

/// Reads frames until one carries the tone; returns it and how many were read.
pub(crate) async fn hear(media: &Media, hertz: f64) -> (Frame, usize) {
    let listening = async {
        for read in 1.. {
            let frame = media
                .next_frame()
                .await
                .expect("the call ended before the tone was heard");
            if amplitude(&frame.samples, hertz) > 6_000.0 {
                return (frame, read);
            }
        }
        unreachable!()
    };
    soon("the tone", listening).await
}

pub(crate) struct Wav {
    pub(crate) left: Vec<i16>,
    pub(crate) right: Vec<i16>,
}

pub(crate) fn read_wav(path: &std::path::Path) -> Wav {
    let mut reader = hound::WavReader::open(path).unwrap();
    let spec = reader.spec();
    assert_eq!(
        (spec.channels, spec.sample_rate, spec.bits_per_sample),
        (2, 8_000, 16)
    );
    let samples: Vec<i16> = reader.samples::<i16>().map(Result::unwrap).collect();
    Wav {
        left: samples.iter().step_by(2).copied().collect(),
        right: samples.iter().skip(1).step_by(2).copied().collect(),
    }
}

/// The loudest 100 ms of a frequency.
pub(crate) fn loudest(samples: &[i16], hertz: f64) -> f64 {
    samples
        .chunks(800)
        .map(|chunk| amplitude(chunk, hertz))
        .fold(0.0, f64::max)
}

/// Where the first 20 ms with this tone begins, in samples.
pub(crate) fn onset(samples: &[i16], hertz: f64) -> Option<usize> {
    samples
        .chunks(160)
        .position(|chunk| amplitude(chunk, hertz) > 4_000.0)
        .map(|frame| frame * 160)
}
