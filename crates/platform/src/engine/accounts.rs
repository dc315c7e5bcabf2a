//! Tells dialers which account a run is dialed with. Secrets go out as they are stored, sealed: whoever dials has the
//! keys, and the bus carries nothing that it could read.

use ringdown_bus::{Question, Questions};
use ringdown_domain::{AGENT_ROUTE, AgentId, CarrierName, OrganisationId, RunId};
use ringdown_proto::v1::dial_fact::{Followed, Step};
use ringdown_proto::v1::envelope::Fact;
use ringdown_proto::v1::{AccountReply, AccountRequest, DialFact, SealedSecret};
use ringdown_store::{Error as StoreError, Scope, SecretOwner};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Engine;
use super::questions::answer_all;
use crate::Error;
use crate::dialing::own_account;

/// Questions worked on at once; more wait in the connection.
const CONCURRENCY: usize = 16;

type Asked = Question<AccountRequest, AccountReply>;

pub(super) struct Service {
    questions: Questions<AccountRequest, AccountReply>,
}

impl Service {
    pub(super) async fn start(engine: &Engine) -> Result<Self, Error> {
        Ok(Self {
            questions: engine.0.bus.accounts().await?,
        })
    }

    pub(super) async fn run(self, engine: Engine, stop: CancellationToken) {
        answer_all(self.questions, CONCURRENCY, stop, |asked| {
            let engine = engine.clone();
            async move { answer(&engine, asked).await }
        })
        .await;
    }
}

async fn answer(engine: &Engine, asked: Asked) {
    let reply = match find(engine, &asked.request).await {
        Ok(reply) => reply,
        // No reply: the dialer asks again.
        Err(error) => {
            warn!(%error, "cannot look up an account");
            return;
        }
    };
    if let Err(error) = asked.reply(&reply).await {
        warn!(%error, "cannot tell a dialer an account");
    }
}

fn problem(what: String) -> AccountReply {
    AccountReply {
        problem: what,
        ..AccountReply::default()
    }
}

async fn find(engine: &Engine, request: &AccountRequest) -> Result<AccountReply, StoreError> {
    let run = match engine.0.store.run_unscoped(RunId(request.run_id)).await {
        Ok(run) if run.team.as_str() == request.team => run,
        Ok(_) | Err(StoreError::NotFound { .. }) => {
            return Ok(problem(format!(
                "run {} is not this platform's, so its agent's settings are not known here; dial it by a route of the \
                 dialer instead",
                request.run_id
            )));
        }
        Err(error) => return Err(error),
    };
    engine.account(run.org, run.agent, &request.route).await
}

impl Engine {
    /// The account that runs of an agent are dialed with by this route, with its secrets sealed. Where there is none,
    /// the answer says why.
    ///
    /// # Errors
    /// [`StoreError`] if the database could not be asked.
    pub async fn account(
        &self,
        org: OrganisationId,
        agent: AgentId,
        route: &str,
    ) -> Result<AccountReply, StoreError> {
        if route == AGENT_ROUTE {
            return of_agent(self, org, agent).await;
        }
        match CarrierName::of_route(route) {
            Some(Ok(name)) => of_carrier(self, org, &name).await,
            Some(Err(error)) => Ok(problem(error.to_string())),
            None => Ok(problem(format!("{route:?} is no route to an account"))),
        }
    }

    /// Publishes what a provider reports of a call of `org`. The call is known by the run and the attempt that the provider
    /// echoes, else by the provider's own name for it. Returns whether there is such a call.
    ///
    /// # Errors
    /// [`Error`] if the database or the bus could not be asked: the provider reports again.
    pub async fn reported(
        &self,
        org: OrganisationId,
        echoed: Option<(RunId, String)>,
        step: Followed,
    ) -> Result<bool, Error> {
        let known = match echoed {
            Some(echoed) => Some(echoed),
            None => {
                let dial = self.0.store.dial_of_provider(org, &step.provider_id);
                let row = dial.await?.map(|attempt| attempt.row);
                row.and_then(|row| Some((row.run?, row.attempt_id)))
            }
        };
        let Some((run, attempt_id)) = known else {
            return Ok(false);
        };
        let run = match self.0.store.run(org.into(), run).await {
            Ok(run) => run,
            Err(StoreError::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let fact = DialFact {
            run_id: run.id.0,
            attempt_id,
            route: run.dial_route.unwrap_or_default(),
            to: run.number.to_string(),
            closes_at_us: run.window.map_or(0, |window| window.closes_at.as_micros()),
            step: Some(Step::Followed(step)),
            ..DialFact::default()
        };
        let id = fact.message_id(&run.team);
        let envelope = self.0.bus.envelope(&run.team, Fact::Dial(fact));
        self.0.bus.publish(&envelope, &id).await?;
        Ok(true)
    }

    /// Where providers may report to about an account; empty without a public address.
    fn callback_url(&self, account: &str) -> String {
        let base = self.0.public_url.as_ref();
        base.map_or_else(String::new, |base| {
            format!("{base}/ringdown/v1/callbacks/{account}")
        })
    }
}

async fn of_agent(
    engine: &Engine,
    org: OrganisationId,
    agent: AgentId,
) -> Result<AccountReply, StoreError> {
    let scope = Scope::from(org);
    let agent = match engine.0.store.agent(scope, agent).await {
        Ok(agent) => agent,
        Err(StoreError::NotFound { .. }) => {
            return Ok(problem(format!("agent {agent} was deleted")));
        }
        Err(error) => return Err(error),
    };
    let account = match own_account(&agent) {
        Ok(account) => account,
        Err(what) => return Ok(problem(what)),
    };
    let owner = SecretOwner::Agent(agent.id);
    let mut secrets = Vec::new();
    let key = account.key.map(|key| (key, false));
    for (name, settings) in key.into_iter().chain([(account.data, true)]) {
        if let Some(sealed) = engine.0.store.secret(scope, owner, &name).await? {
            secrets.push(SealedSecret {
                credential: name.clone(),
                name,
                sealed,
                settings,
            });
        }
    }
    Ok(AccountReply {
        provider: account.provider,
        settings_json: Value::from(account.settings).to_string(),
        organisation_id: org.0,
        secrets,
        lenient: true,
        callback_url: engine.callback_url(&format!("agents/{org}/{}", agent.id)),
        ..AccountReply::default()
    })
}

async fn of_carrier(
    engine: &Engine,
    org: OrganisationId,
    name: &CarrierName,
) -> Result<AccountReply, StoreError> {
    let scope = Scope::from(org);
    let carrier = match engine.0.store.carrier(scope, name).await {
        Ok(carrier) => carrier,
        Err(StoreError::NotFound { .. }) => {
            return Ok(problem(format!(
                "there is no carrier {name}: add it, or give the agent another dial route"
            )));
        }
        Err(error) => return Err(error),
    };
    let owner = SecretOwner::Carrier(carrier.id);
    let mut secrets = Vec::new();
    for stored in engine.0.store.secret_names(scope, owner).await? {
        let (Some(credential), Some(sealed)) = (
            carrier.name.secret_of(&stored),
            engine.0.store.secret(scope, owner, &stored).await?,
        ) else {
            continue;
        };
        secrets.push(SealedSecret {
            credential: credential.to_owned(),
            name: stored,
            sealed,
            settings: false,
        });
    }
    Ok(AccountReply {
        provider: carrier.provider,
        settings_json: Value::from(carrier.settings).to_string(),
        organisation_id: org.0,
        secrets,
        calls_per_second: carrier.calls_per_second.unwrap_or_default(),
        concurrent_calls: carrier.concurrent_calls.unwrap_or_default(),
        callback_url: engine.callback_url(&format!("carriers/{org}/{name}")),
        ..AccountReply::default()
    })
}
