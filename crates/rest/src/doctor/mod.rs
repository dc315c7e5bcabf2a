//! Whether a batch of an agent could work, asked before anything is spent on it. Changes nothing.

mod judge;
#[cfg(test)]
mod judge_tests;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Json;
use axum::extract::State as Extract;
use ringdown_api::own as wire;
use ringdown_carrier::Hosted;
use ringdown_carrier::account::{Account, Error as AccountError, Telnyx};
use ringdown_domain::{AgentId, leads_to_account};
use ringdown_platform::plan::MAX_RUNS;
use ringdown_store::{Agent, BatchFilter, Page, Scope};

use self::judge::{Credentials, Facts, Route};
use super::State;
use super::agents::secrets;
use super::operations::{Kind, Table};
use super::pages::{Asked, Id};
use crate::error::Answer;

/// What the server's process knows of the other roles of its deployment: those that run beside it.
#[derive(Clone, Debug, Default)]
pub struct Deployment {
    /// Where the testing agent says calls go; `None` if it is another process's.
    pub sip: Option<SocketAddr>,
    /// The routes of the dialer; `None` if it is another process's.
    pub routes: Option<BTreeSet<String>>,
}

/// Most runs, and calls at once, that can be asked about.
#[expect(clippy::cast_possible_truncation, reason = "it is 10,000")]
const MOST: u32 = MAX_RUNS as u32;
/// Batches whose calls say how long one takes.
const RECENT: Page = Page {
    number: 1,
    size: 20,
};
/// Somebody waits for the answer.
const PROVIDER_DEADLINE: Duration = Duration::from_secs(5);

pub(crate) fn operations(table: &mut Table) {
    table
        .get("/ringdown/v1/agents/{id}/doctor", doctor)
        .id("ringdown-agents-doctor-retrieve")
        .summary("Say whether a batch of an agent could work")
        .about(
            "Looks at the agent, its caller IDs, evaluators, numbers, limits and dial route. Triggers \
             and changes nothing; a provider whose key the agent has may be asked about its caller ID.",
        )
        .path("id", Kind::Id, "The agent.")
        .query(
            "runs",
            Kind::Range(1, MOST as i64),
            "Runs of the batch; 1 if absent.",
        )
        .query(
            "parallel",
            Kind::Range(1, MOST as i64),
            "Calls at once; as many as the limits allow if absent.",
        )
        .answers::<wire::Diagnosis>(200);
}

async fn doctor(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
) -> Answer<Json<wire::Diagnosis>> {
    let runs = asked.query_number("runs", 1, MOST)?;
    let parallel = match asked.query("parallel") {
        Some(_) => Some(asked.query_number("parallel", 1, MOST)?),
        None => None,
    };
    let scope = asked.principal.scope;
    let store = state.store();
    let agent = store.agent(scope, AgentId(id)).await?;
    let project = store.project(scope, agent.project).await?;
    let organisation = store.organisation(scope.org).await?;
    let checkup = store.checkup(&agent).await?;
    let of_agent = BatchFilter {
        agent: Some(agent.id),
        ..BatchFilter::default()
    };
    let recent = store.batches(scope, of_agent, RECENT).await?.rows;
    let (calls, talked) = recent.iter().fold((0, Duration::ZERO), |(calls, time), b| {
        (calls + b.counts.connected, time + b.counts.duration)
    });
    let credentials = credentials(&state, scope, &agent).await?;
    let routes = state.deployment.routes.as_ref();
    let route = match (ringdown_platform::dialing::route(&agent), routes) {
        (None, _) => Route::Manual,
        (Some(name), _) if leads_to_account(&name) => {
            let account = state.engine.account(agent.org, agent.id, &name).await?;
            match Hosted::told(account, &state.keyring, state.egress.clone()) {
                Ok(account) => Route::Account(name, account.limits().clone()),
                Err(why) => Route::Unusable(name, why.to_string()),
            }
        }
        (Some(name), Some(routes)) if routes.contains(&name) => Route::Known(name),
        (Some(name), Some(routes)) => Route::Unknown(name, routes.clone()),
        (Some(name), None) => Route::Elsewhere(name),
    };
    let facts = Facts {
        agent,
        project,
        organisation_limit: organisation.parallel_limit,
        checkup,
        scope,
        calls,
        talked,
        route,
        credentials,
        runs,
        parallel,
    };
    Ok(Json(wire::Diagnosis {
        agent_id: id,
        runs,
        parallel,
        findings: judge::judge(&facts),
        dial_window_seconds: facts.project.dial_window.as_secs(),
        longest_call_seconds: facts.longest_call().as_secs(),
        evaluator_id: facts.checkup.first.map(|scenario| scenario.0),
        sip_uri: state.deployment.sip.map(|address| format!("sip:{address}")),
    }))
}

/// What is known of the agent's credentials at its provider. Only Telnyx can be asked about a number
/// with what an agent has.
async fn credentials(state: &State, scope: Scope, agent: &Agent) -> Answer<Credentials> {
    let provider = agent.extra.get("transcript_provider");
    let provider = provider.and_then(|name| name.as_str()).unwrap_or_default();
    if provider.is_empty() {
        return Ok(Credentials::NotNeeded);
    }
    let provider = provider.to_owned();
    let names = secrets::names(state, scope, std::slice::from_ref(agent)).await?;
    let of_provider = |name: &&str| name.starts_with(&provider);
    let has = names.get(&agent.id).is_some_and(|names| {
        let mut names = names.iter().map(String::as_str);
        names.any(|name| of_provider(&name))
    });
    if !has {
        let field = secrets::SECRETS.iter().copied().find(of_provider);
        let field = field.map_or_else(|| format!("{provider}_data"), str::to_owned);
        return Ok(Credentials::Missing { provider, field });
    }
    let number = agent.caller_ids().first();
    let key = match provider.as_str() {
        "telnyx" => secrets::revealed(state, agent, "telnyx_api_key").await?,
        _ => None,
    };
    let (Some(number), Some(key)) = (number, key) else {
        return Ok(Credentials::Present { provider });
    };
    let account = match Telnyx::new(key) {
        Ok(account) => Account::Telnyx(account),
        Err(wrong) => {
            return Ok(Credentials::Refused {
                provider,
                why: wrong.to_string(),
            });
        }
    };
    let accounts = state.accounts.clone().within(PROVIDER_DEADLINE);
    Ok(match accounts.verify(&account, number).await {
        Ok(_) => Credentials::Accepted {
            provider,
            owns: number.clone(),
        },
        Err(AccountError::NotOwned { .. }) => Credentials::NotOwner {
            provider,
            number: number.clone(),
        },
        Err(error @ AccountError::Unauthorised { .. }) => Credentials::Refused {
            provider,
            why: error.to_string(),
        },
        Err(error) => Credentials::Unanswered {
            provider,
            why: error.to_string(),
        },
    })
}
