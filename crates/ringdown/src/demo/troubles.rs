//! An agent that calls by itself, and gets it wrong in the ways that real ones do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ringdown_carrier::place;
use ringdown_domain::run::Status;
use ringdown_observer::Observer;
use ringdown_sip::{DialError, Endpoint, EndpointOptions};
use tokio::sync::broadcast::error::RecvError;

use super::world::Part;
use crate::exit::Failure;

/// What an agent does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It calls from a number that is not the agent's `contact_number`, and gives up.
    CallerIdMismatch,
    /// It calls before the run is pending, then again in time.
    TooEarly,
    /// It calls a number that is not the run's, and gives up.
    WrongNumber,
}

impl Trouble {
    /// What it does, for people.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::CallerIdMismatch => "a call from another caller ID",
            Self::TooEarly => "a call before the run was pending",
            Self::WrongNumber => "a call to a number that is not the run's",
        }
    }
}

/// A caller ID that is nobody's.
pub(super) const OTHER_CALLER: &str = "+14155550299";

/// A number that is in no pool.
pub(super) const OTHER_NUMBER: &str = "+14155550219";

/// The agent.
pub(super) struct Agent<'a> {
    pub(super) observer: &'a Observer,
    pub(super) proxy: SocketAddr,
    pub(super) says: Arc<[i16]>,
}

impl Agent<'_> {
    /// Makes the calls of every part whose agent calls by itself, at once.
    pub(super) async fn call_all(&self, parts: &[Part]) -> Result<(), Failure> {
        let options = EndpointOptions {
            listen: (self.proxy.ip(), 0).into(),
            user_agent: "demo-agent".to_owned(),
            advertised_ip: None,
            incoming_backlog: 1,
        };
        let (endpoint, _incoming) = Endpoint::bind(options)
            .await
            .map_err(Failure::unavailable)?;
        let mine = parts.iter().filter(|part| part.by_itself);
        let calls = mine.map(|part| self.play(&endpoint, part));
        futures::future::try_join_all(calls).await?;
        endpoint.shutdown(Duration::from_secs(2)).await;
        Ok(())
    }

    async fn play(&self, endpoint: &Endpoint, part: &Part) -> Result<(), Failure> {
        match part.trouble {
            None => self.call_when_pending(endpoint, part).await,
            Some(Trouble::CallerIdMismatch) => {
                self.until(part, Status::Pending).await?;
                let refusal = self.call(endpoint, OTHER_CALLER, &part.number).await;
                heard(part, refusal)
            }
            Some(Trouble::TooEarly) => {
                self.until(part, Status::InQueue).await?;
                let refusal = self.call(endpoint, part.contact_number, &part.number).await;
                heard(part, refusal)?;
                self.call_when_pending(endpoint, part).await
            }
            Some(Trouble::WrongNumber) => {
                self.until(part, Status::Pending).await?;
                let refusal = self.call(endpoint, part.contact_number, OTHER_NUMBER).await;
                heard(part, refusal)
            }
        }
    }

    async fn call_when_pending(&self, endpoint: &Endpoint, part: &Part) -> Result<(), Failure> {
        self.until(part, Status::Pending).await?;
        let called = self.call(endpoint, part.contact_number, &part.number).await;
        called.map_err(|error| {
            let what = format!("the call for run {} failed to {error}", part.key.run);
            Failure::internal(anyhow::Error::msg(what))
        })
    }

    /// One call, to its end.
    async fn call(&self, endpoint: &Endpoint, from: &str, to: &str) -> Result<(), DialError> {
        let placed = place(
            endpoint,
            self.proxy,
            from,
            to,
            Vec::new(),
            Duration::from_secs(10),
            Arc::clone(&self.says),
            Duration::from_secs(30),
        )
        .await?;
        placed.talk().await;
        Ok(())
    }

    /// Resolves once the run has entered `status`.
    async fn until(&self, part: &Part, status: Status) -> Result<(), Failure> {
        let mut changes = self.observer.changes();
        loop {
            let view = self.observer.run(&part.key);
            if view.is_some_and(|view| view.entered_at(status).is_some()) {
                return Ok(());
            }
            if matches!(changes.recv().await, Err(RecvError::Closed)) {
                return Err(Failure::internal(anyhow::anyhow!("the observer ended")));
            }
        }
    }
}

/// A troubled call has to be refused, and the refusal has to say why.
fn heard(part: &Part, call: Result<(), DialError>) -> Result<(), Failure> {
    let what = match call {
        Err(DialError::Refused {
            status,
            reason_header,
            ..
        }) => {
            let reason = reason_header.unwrap_or_else(|| "no reason given".to_owned());
            eprintln!(
                "☎️  {} #{}: the agent's call was refused with {status}: {reason}",
                part.key.team, part.key.run
            );
            return Ok(());
        }
        Err(error) => format!("failed to {error}"),
        Ok(()) => "was answered".to_owned(),
    };
    Err(Failure::internal(anyhow::anyhow!(
        "run {}: the call that had to be refused {what}",
        part.key.run
    )))
}
