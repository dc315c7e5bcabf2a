//! Asking whether a user agent is at an address (RFC 3261 section 11).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rsipstack::sip::typed::{From, To};
use rsipstack::sip::{HostWithPort, Method, Response, SipMessage, Transport};
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use rsipstack::transaction::{Transaction, make_tag};
use rsipstack::transport::SipAddr;

use crate::Endpoint;

/// What an address answered to OPTIONS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probed {
    /// The final SIP status. Whatever it is, a user agent is there; 200 says that it takes calls.
    pub status: u16,
    /// From the first request to the answer.
    pub took: Duration,
}

/// Why nothing is known to be at an address.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// No request left this machine.
    #[error("ask {target}: nothing was sent: {reason}")]
    NotSent {
        /// The address.
        target: SocketAddr,
        /// Why.
        reason: String,
    },
    /// Nothing came back in time.
    #[error("ask {target}: no answer within {} ms", .within.as_millis())]
    NoAnswer {
        /// The address.
        target: SocketAddr,
        /// How long it was waited for.
        within: Duration,
    },
}

impl Endpoint {
    /// Sends OPTIONS to `target` over UDP, again and again as RFC 3261 section 17.1.2 has it, until there is a
    /// final answer or `deadline` has passed.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub async fn probe(
        &self,
        target: SocketAddr,
        deadline: Duration,
    ) -> Result<Probed, ProbeError> {
        let begun = Instant::now();
        match tokio::time::timeout(deadline, self.ask(target)).await {
            Ok(Ok(Some(response))) => Ok(Probed {
                status: u16::from(response.status_code),
                took: begun.elapsed(),
            }),
            Ok(Err(reason)) => Err(ProbeError::NotSent { target, reason }),
            Ok(Ok(None)) | Err(_) => Err(ProbeError::NoAnswer {
                target,
                within: deadline,
            }),
        }
    }

    /// The final response; `None` if the transaction ended without.
    async fn ask(&self, target: SocketAddr) -> Result<Option<Response>, String> {
        if target.port() == 0 || target.ip().is_unspecified() {
            return Err(format!("{target} is no address to send to"));
        }
        let inner = self.inner();
        if inner.stop.is_cancelled() {
            return Err("the endpoint was shut down".to_owned());
        }
        let failed = |error: rsipstack::Error| error.to_string();
        let stack = &inner.layer.endpoint;
        let from = From {
            display_name: None,
            uri: inner.contact(None),
            params: Vec::new(),
        };
        let to = To {
            display_name: None,
            uri: inner.uri(None, target),
            params: Vec::new(),
        };
        let request = stack.make_request(
            Method::Options,
            to.uri.clone(),
            stack.get_via(None, None).map_err(failed)?,
            from.with_tag(make_tag()),
            to,
            1,
            None,
        );
        let key = TransactionKey::from_request(&request, TransactionRole::Client);
        let key = key.map_err(failed)?;
        let mut transaction = Transaction::new_client(key, request, stack.clone(), None);
        transaction.destination = Some(SipAddr::new(Transport::Udp, HostWithPort::from(target)));
        transaction.send().await.map_err(failed)?;
        while let Some(message) = transaction.receive().await {
            if let SipMessage::Response(response) = message
                && u16::from(response.status_code.clone()) >= 200
            {
                return Ok(Some(response));
            }
        }
        Ok(None)
    }
}
