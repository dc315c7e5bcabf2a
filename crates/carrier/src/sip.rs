use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ringdown_domain::dial::{Outcome, Retry};
use ringdown_sip::{
    Call, DialError, DialRequest, Ended, Endpoint, EndpointOptions, Incoming, MediaOptions,
};
use tokio_util::sync::CancellationToken;

use crate::talk::{agent_tone, read_wav};
use crate::{Carrier, Dialed, Order};

/// Longest a far end may ring.
const MAX_RING: Duration = Duration::from_secs(60);

/// Our own user agent calling through a SIP trunk. It speaks for the agent under test.
pub struct SipTrunk {
    endpoint: Endpoint,
    // Calls to this endpoint are nobody's; keeping the receiver lets the stack refuse them.
    _incoming: tokio::sync::Mutex<Incoming>,
    proxy: SocketAddr,
    says: Arc<[i16]>,
    hold: Duration,
}

/// A call that was placed.
pub struct Placed {
    /// The call.
    pub call: Call,
    says: Arc<[i16]>,
    hold: Duration,
}

impl Placed {
    /// Says what is to be said, then listens until the far end hangs up or the time is over.
    pub async fn talk(self) -> Ended {
        let _playback = self.call.media().play(self.says);
        match tokio::time::timeout(self.hold, self.call.ended()).await {
            Ok(ended) => ended,
            Err(_) => self.call.hang_up().await,
        }
    }
}

/// The address of this machine that faces `peer`. No packet is sent.
///
/// # Errors
/// There is no route to `peer`.
pub fn facing(peer: SocketAddr) -> std::io::Result<IpAddr> {
    let any: SocketAddr = if peer.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        ([0u16; 8], 0).into()
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(peer)?;
    Ok(socket.local_addr()?.ip())
}

/// Places one call and reports it once it is answered.
///
/// # Errors
/// [`DialError`], which says whether anything was sent.
#[expect(clippy::too_many_arguments, reason = "one call has that many sides")]
pub async fn place(
    endpoint: &Endpoint,
    proxy: SocketAddr,
    from: &str,
    to: &str,
    headers: Vec<(String, String)>,
    ring: Duration,
    says: Arc<[i16]>,
    hold: Duration,
) -> Result<Placed, DialError> {
    let request = DialRequest {
        proxy,
        from: from.to_owned(),
        to: to.to_owned(),
        display_name: None,
        headers,
        ring_timeout: ring.min(MAX_RING),
        media: MediaOptions::default(),
        credentials: None,
    };
    let call = endpoint.dial(request).await?;
    Ok(Placed { call, says, hold })
}

impl SipTrunk {
    /// Binds a user agent on a free port of the address that faces `proxy`.
    ///
    /// # Errors
    /// A text saying what cannot be used: the WAV, or the network.
    pub async fn open(
        proxy: SocketAddr,
        play: Option<&Path>,
        hold: Duration,
    ) -> Result<Self, String> {
        let says = match play {
            Some(path) => read_wav(path).map_err(|error| error.to_string())?,
            None => agent_tone(),
        };
        let (endpoint, incoming) = endpoint_towards(proxy).await?;
        Ok(Self {
            endpoint,
            _incoming: tokio::sync::Mutex::new(incoming),
            proxy,
            says,
            hold,
        })
    }
}

/// A user agent on a free port of the address that faces `proxy`.
async fn endpoint_towards(proxy: SocketAddr) -> Result<(Endpoint, Incoming), String> {
    let ip = facing(proxy).map_err(|error| format!("cannot reach {proxy}: {error}"))?;
    Endpoint::bind(EndpointOptions {
        listen: SocketAddr::new(ip, 0),
        user_agent: concat!("ringdown/", env!("CARGO_PKG_VERSION")).to_owned(),
        advertised_ip: None,
        incoming_backlog: 1,
    })
    .await
    .map_err(|error| error.to_string())
}

#[async_trait]
impl Carrier for SipTrunk {
    fn describe(&self) -> String {
        format!("sip through {}", self.proxy)
    }

    async fn dial(&self, order: &Order, stop: &CancellationToken) -> Dialed {
        let Some(from) = &order.from else {
            return Dialed::only(Outcome::NotPlaced {
                reason: "the run names no caller ID to call from".to_owned(),
                retry: Retry::Never,
            });
        };
        let headers = vec![
            ("X-Run-Id".to_owned(), order.run.to_string()),
            ("X-Attempt-Id".to_owned(), order.attempt_id.clone()),
        ];
        let placing = place(
            &self.endpoint,
            self.proxy,
            from.as_str(),
            order.to.as_str(),
            headers,
            order.time_left,
            Arc::clone(&self.says),
            self.hold,
        );
        let Some(placed) = stop.run_until_cancelled(placing).await else {
            // Dropping the dial sends CANCEL; a 200 may have crossed it.
            return Dialed::only(Outcome::Ambiguous {
                reason: "given up while the far end was ringing".to_owned(),
            });
        };
        match placed {
            Ok(placed) => {
                let provider_id = placed.call.id().to_owned();
                let stop = stop.clone();
                Dialed {
                    outcome: Outcome::Placed { provider_id },
                    rest: Some(Box::pin(async move {
                        // Dropping the call hangs up.
                        stop.run_until_cancelled(placed.talk()).await;
                    })),
                }
            }
            Err(error) => Dialed::only(outcome(&error)),
        }
    }
}

/// A final refusal proves that no call came about. Without a final answer it may have.
fn outcome(error: &DialError) -> Outcome {
    match error {
        DialError::Refused { status, .. } => Outcome::NotPlaced {
            reason: error.to_string(),
            // RFC 3261 section 21.5.4: overload is temporary.
            retry: if *status == 503 {
                Retry::Later
            } else {
                Retry::Never
            },
        },
        error if !error.was_sent() => Outcome::NotPlaced {
            reason: error.to_string(),
            retry: Retry::Later,
        },
        error => Outcome::Ambiguous {
            reason: error.to_string(),
        },
    }
}
