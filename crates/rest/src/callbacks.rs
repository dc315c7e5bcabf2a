//! What providers report of the calls that they place. Everybody can send something here; only what is signed with the
//! account's own secret is believed.

use axum::extract::{FromRequest, OriginalUri, Path, Request, State as Extract};
use axum::http::{HeaderMap, Method, StatusCode};
use bytes::Bytes;
use ringdown_bus::now;
use ringdown_carrier::{Callback, Hosted, News, Rejected, followed};
use ringdown_domain::{AGENT_ROUTE, AgentId, CarrierName, OrganisationId};
use ringdown_proto::v1::AccountReply;
use tracing::{info, warn};

use crate::State;
use crate::body::Whole;
use crate::error::{Answer, Failure};
use crate::operations::{Kind, Table};

/// Most calls that one report speaks of.
const MOST_NEWS: usize = 100;

pub(crate) fn operations(table: &mut Table) {
    const ABOUT: &str = "For providers: they are told this address, and sign what they send. docs/carriers.md says how.";
    table.tag(
        "Callbacks",
        "What providers report of the calls that they place.",
    );
    table
        .post("/ringdown/v1/callbacks/agents/{org}/{id}", of_agent)
        .id("ringdown-callbacks-agents-create")
        .summary("Report a call of an agent's own provider")
        .about(ABOUT)
        .path("org", Kind::Id, "The organisation.")
        .path("id", Kind::Id, "The agent.")
        .open()
        .answers_nothing(204);
    table
        .post("/ringdown/v1/callbacks/carriers/{org}/{name}", of_carrier)
        .id("ringdown-callbacks-carriers-create")
        .summary("Report a call of a carrier")
        .about(ABOUT)
        .path("org", Kind::Id, "The organisation.")
        .path("name", Kind::Short(40), "The carrier.")
        .open()
        .answers_nothing(204);
}

fn unknown() -> Failure {
    let message = "No account here takes callbacks at this address.";
    Failure::detail(StatusCode::NOT_FOUND, message)
}

/// What arrived, as it arrived.
struct Report {
    /// Path and query.
    path: String,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
}

impl<S: Send + Sync> FromRequest<S> for Report {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let uri = request.extensions().get::<OriginalUri>();
        let uri = uri.map_or_else(|| request.uri().clone(), |OriginalUri(uri)| uri.clone());
        Ok(Self {
            path: uri
                .path_and_query()
                .map_or("/", |path| path.as_str())
                .to_owned(),
            method: request.method().clone(),
            headers: request.headers().clone(),
            body: Whole::from_request(request, state).await?.0,
        })
    }
}

async fn of_agent(
    Extract(state): Extract<State>,
    Path((org, id)): Path<(i64, i64)>,
    report: Report,
) -> Answer<StatusCode> {
    let org = OrganisationId(org);
    let account = state.engine.account(org, AgentId(id), AGENT_ROUTE).await?;
    heard(&state, org, account, &report).await
}

async fn of_carrier(
    Extract(state): Extract<State>,
    Path((org, name)): Path<(i64, String)>,
    report: Report,
) -> Answer<StatusCode> {
    let name: CarrierName = name.parse().map_err(|_| unknown())?;
    let org = OrganisationId(org);
    let route = name.route();
    let account = state.engine.account(org, AgentId(0), &route).await?;
    heard(&state, org, account, &report).await
}

async fn heard(
    state: &State,
    org: OrganisationId,
    account: AccountReply,
    report: &Report,
) -> Answer<StatusCode> {
    let base = state.engine.public_url().ok_or_else(unknown)?;
    let hosted = Hosted::told(account, &state.keyring, state.egress.clone()).map_err(|why| {
        warn!(%org, %why, "a callback came for an account that cannot be used");
        unknown()
    })?;
    let callback = Callback {
        url: &format!("{base}{}", report.path),
        method: report.method.as_str(),
        headers: &report.headers,
        body: &report.body,
        at: now(),
    };
    let news = hosted.callback(&callback).map_err(|rejected| {
        info!(%org, %rejected, "a callback was not believed");
        let status = match rejected {
            Rejected::NotExpected => StatusCode::NOT_FOUND,
            Rejected::Unreadable(_) => StatusCode::BAD_REQUEST,
            Rejected::Unsigned(_) | Rejected::Forged | Rejected::Stale { .. } => {
                StatusCode::FORBIDDEN
            }
        };
        Failure::detail(status, format!("The callback is not believed: {rejected}."))
    })?;
    for News {
        provider_id,
        run,
        attempt_id,
        progress,
    } in news.into_iter().take(MOST_NEWS)
    {
        let step = followed(&provider_id, &progress);
        let known = state
            .engine
            .reported(org, run.zip(attempt_id), step)
            .await?;
        if !known {
            info!(%org, provider_id, "a callback speaks of a call that nobody dialed here");
        }
    }
    Ok(StatusCode::NO_CONTENT)
}
