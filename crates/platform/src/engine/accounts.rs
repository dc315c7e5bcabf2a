//! Tells dialers which account a run is dialed with. Secrets go out as they are stored, sealed: whoever dials has the
//! keys, and the bus carries nothing that it could read.

use std::sync::Arc;

use ringdown_bus::{Question, Questions};
use ringdown_domain::RunId;
use ringdown_proto::v1::{AccountReply, AccountRequest, SealedSecret};
use ringdown_store::{Error as StoreError, Run, Scope, SecretOwner};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Engine;
use crate::Error;
use crate::dialing::{AGENT_ROUTE, own_account};

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

    pub(super) async fn run(mut self, engine: Engine, stop: CancellationToken) {
        let permits = Arc::new(Semaphore::new(CONCURRENCY));
        let mut working = JoinSet::new();
        loop {
            while working.try_join_next().is_some() {}
            let next = async {
                let permit = Arc::clone(&permits).acquire_owned().await.ok()?;
                Some((permit, self.questions.next().await?))
            };
            let Some(Some((permit, asked))) = stop.run_until_cancelled(next).await else {
                break;
            };
            let engine = engine.clone();
            working.spawn(async move {
                answer(&engine, asked).await;
                drop(permit);
            });
        }
        while working.join_next().await.is_some() {}
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
    if request.route == AGENT_ROUTE {
        return of_agent(engine, &run).await;
    }
    Ok(problem(format!(
        "{:?} is no route to an account",
        request.route
    )))
}

async fn of_agent(engine: &Engine, run: &Run) -> Result<AccountReply, StoreError> {
    let scope = Scope::from(run.org);
    let agent = match engine.0.store.agent(scope, run.agent).await {
        Ok(agent) => agent,
        Err(StoreError::NotFound { .. }) => {
            return Ok(problem(format!("agent {} was deleted", run.agent)));
        }
        Err(error) => return Err(error),
    };
    let account = match own_account(&agent) {
        Ok(account) => account,
        Err(what) => return Ok(problem(what)),
    };
    let mut secrets = Vec::new();
    for (name, settings) in [(account.key, false), (account.data, true)] {
        let owner = SecretOwner::Agent(agent.id);
        if let Some(sealed) = engine.0.store.secret(scope, owner, &name).await? {
            secrets.push(SealedSecret {
                name,
                sealed,
                settings,
            });
        }
    }
    Ok(AccountReply {
        provider: account.provider,
        settings_json: serde_json::Value::from(account.settings).to_string(),
        organisation_id: run.org.0,
        secrets,
        lenient: true,
        ..AccountReply::default()
    })
}
