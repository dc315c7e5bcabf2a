//! Who asks, and whether they may: the key, its rate, its role, and the audit row of what it changes.

mod access;
mod rate;
mod request_id;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State as Extract};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use rand::RngExt as _;
use ringdown_bus::now;
use ringdown_store::{Actor, Principal, Role};
use sha2::{Digest as _, Sha256};

pub use access::{Access, Limits};
pub(crate) use request_id::{RequestId, identify};

use super::State;
use crate::error::{Answer, Failure};

/// Characters of a path that the audit log keeps.
const AUDITED_PATH: usize = 500;

/// Where a request comes from, if it came over a socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// A new API key: 32 random bytes in hexadecimal after `rd_`. Shown once, stored only as a hash.
pub struct ApiKey(String);

impl ApiKey {
    /// Draws a key.
    pub fn generate() -> Self {
        use std::fmt::Write as _;
        let bytes: [u8; 32] = rand::rng().random();
        let mut text = "rd_".to_owned();
        for byte in bytes {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }

    /// The key itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Its last four characters, by which its holder tells it from others.
    pub fn hint(&self) -> &str {
        self.0.get(self.0.len().saturating_sub(4)..).unwrap_or("")
    }
}

/// What is stored of a key. The key has 256 random bits, so one round of SHA-256 is enough and the
/// look-up by hash leaks nothing about it through timing.
pub fn hash_key(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// What an operation asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Needs {
    /// The least role.
    pub(crate) role: Role,
    /// A key of the whole organisation, not of one project.
    pub(crate) whole_organisation: bool,
    /// A key that administers the deployment.
    pub(crate) operator: bool,
}

/// Refuses a caller who may less than an operation needs.
fn authorise(principal: &Principal, needs: Needs) -> Answer<()> {
    let message = if principal.role < needs.role {
        format!(
            "This takes the role {}; your API key has the role {}.",
            needs.role.as_str(),
            principal.role.as_str()
        )
    } else if needs.operator && !principal.operator {
        "Only the deployment's admin key may do this.".to_owned()
    } else if needs.whole_organisation && principal.scope.project.is_some() {
        "This takes a key of the whole organisation; your API key is bound to one project."
            .to_owned()
    } else {
        return Ok(());
    };
    Err(Failure::detail(StatusCode::FORBIDDEN, message))
}

/// What stands before one operation.
#[derive(Clone)]
pub(crate) struct Guard {
    pub(crate) state: State,
    pub(crate) needs: Needs,
    /// Method and path of the operation, for the audit log.
    pub(crate) operation: Arc<str>,
}

/// Lets only holders of a key that may do this through, tells the handlers who they are, and has what
/// they change written to the audit log.
pub(crate) async fn require(
    Extract(guard): Extract<Guard>,
    mut request: Request,
    next: Next,
) -> Answer<Response> {
    let source = request.extensions().get::<Peer>();
    let source = source.map(|Peer(address)| address.ip());
    let access = &guard.state.access;
    let principal = access
        .enter(guard.state.store(), request.headers(), source)
        .await?;
    authorise(&principal, guard.needs)?;
    let actor = (!request.method().is_safe()).then(|| Actor {
        request_id: RequestId::unique(request.extensions()),
        at: now(),
        org: principal.scope.org,
        project: principal.scope.project,
        key: principal.key,
        key_name: principal.key_name.clone(),
        operation: guard.operation.to_string(),
        path: request.uri().path().chars().take(AUDITED_PATH).collect(),
        source: source.map_or_else(String::new, |address| address.to_string()),
    });
    request.extensions_mut().insert(principal);
    Ok(match actor {
        Some(actor) => actor.scope(next.run(request)).await,
        None => next.run(request).await,
    })
}
