//! Who changes something on whose behalf: a request is run inside [`Actor::scope`], and every
//! transaction committed there writes the audit row of that request in the same transaction.

use ringdown_domain::{KeyId, OrganisationId, ProjectId, Timestamp};

use crate::Result;
use crate::sql::{Session, sql};

/// Who changes something, and by what request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Unique name of the request; one request is one row, however many transactions it takes.
    pub request_id: String,
    /// When the request came.
    pub at: Timestamp,
    /// The organisation that is changed.
    pub org: OrganisationId,
    /// The project its key is bound to.
    pub project: Option<ProjectId>,
    /// Its key.
    pub key: KeyId,
    /// The key's name, kept beyond the key's life.
    pub key_name: String,
    /// What is done, for example `DELETE /test_framework/v1/aiagents/{id}`.
    pub operation: String,
    /// To what: the path of the request.
    pub path: String,
    /// Address it came from, if known.
    pub source: String,
}

tokio::task_local! {
    static ACTOR: Actor;
}

impl Actor {
    /// Runs `work`, in this task, on this actor's behalf.
    pub async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        ACTOR.scope(self, work).await
    }

    /// Who this task works for.
    pub(crate) fn current() -> Option<Self> {
        ACTOR.try_with(Clone::clone).ok()
    }
}

/// One line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Position in the log.
    pub id: i64,
    /// What was done.
    pub actor: Actor,
}

/// Writes the row of the request this task works for, if it works for one.
pub(crate) async fn record(session: &mut Session) -> Result<()> {
    if matches!(
        session,
        Session::SqliteRead(_) | Session::SqliteSnapshot(_) | Session::PostgresRead(_)
    ) {
        return Ok(());
    }
    let Some(actor) = Actor::current() else {
        return Ok(());
    };
    sql(
        "INSERT INTO audit_log (at, request_id, org_id, project_id, key_id, key_name, operation, path, \
         source) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (request_id) DO NOTHING",
    )
    .bind(actor.at)
    .bind(actor.request_id)
    .bind(actor.org.0)
    .bind(actor.project.map(|project| project.0))
    .bind(actor.key.0)
    .bind(actor.key_name)
    .bind(actor.operation)
    .bind(actor.path)
    .bind(actor.source)
    .run(session)
    .await?;
    Ok(())
}
