use async_trait::async_trait;
use ringdown_domain::{AgentId, CarrierId, CarrierName, OrganisationId, Timestamp};

use super::Database;
use super::rows::{Count, from_json, limit, not_found, page, parsed, to_json, within};
use super::secrets::{forget_secrets, write_secrets};
use crate::sql::{Row, Session, sql};
use crate::{
    Carrier, Carriers, Error, Listing, NewCarrier, Page, Result, Scope, SecretChange, SecretOwner,
};

/// Agents named in a refusal.
const NAMED: usize = 20;

fn carrier(row: &Row) -> Result<Carrier> {
    Ok(Carrier {
        id: row.id("id")?,
        org: row.id("org_id")?,
        name: parsed("carrier", row.get("name")?)?,
        provider: row.get("provider")?,
        settings: from_json("carrier", row.get("settings")?)?,
        calls_per_second: row.get("calls_per_second")?,
        concurrent_calls: limit("carrier", row.get("concurrent_calls")?)?,
        created_at: Timestamp::from_micros(row.get("created_at")?),
        updated_at: Timestamp::from_micros(row.get("updated_at")?),
    })
}

/// A dial route may lead through a carrier of its own organisation only, which stays at least until the end of
/// the transaction.
pub(super) async fn own_carrier(
    on: &mut Session,
    org: OrganisationId,
    route: Option<&str>,
) -> Result<()> {
    let Some(named) = route.and_then(CarrierName::of_route) else {
        return Ok(());
    };
    let name = named.map_err(|unknown| not_found("carrier", unknown.0))?;
    held(on, org, &name).await.map(|_| ())
}

/// The id of a carrier, which is held against others until the end of the transaction.
async fn held(on: &mut Session, org: OrganisationId, name: &CarrierName) -> Result<CarrierId> {
    let mut query = sql("SELECT id FROM carriers WHERE org_id = $1 AND name = $2")
        .bind(org.0)
        .bind(name.as_str());
    query.locked("carriers");
    let row = query.optional(on).await?;
    row.ok_or_else(|| not_found("carrier", name))?.id("id")
}

/// The agents in a scope that are dialed through a carrier.
async fn users(
    on: &mut Session,
    scope: Scope,
    name: &CarrierName,
) -> Result<Vec<(AgentId, String)>> {
    let mut query = sql("SELECT id, name FROM agents WHERE dial_route = $1 AND ");
    query = query.bind(name.route());
    within(&mut query, "", scope);
    query.push(" ORDER BY id LIMIT 1000");
    let rows = query.all(on).await?;
    rows.iter()
        .map(|row| Ok((row.id("id")?, row.get("name")?)))
        .collect()
}

/// Why a carrier stays.
fn in_use(name: &CarrierName, agents: &[(AgentId, String)]) -> Error {
    let named: Vec<String> = agents
        .iter()
        .take(NAMED)
        .map(|(id, name)| format!("{id} ({name})"))
        .collect();
    let more = match agents.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Error::Conflict {
        what: "carrier",
        why: format!(
            "agents are dialed through {name}: {}{more}; give them another dial route first",
            named.join(", ")
        ),
    }
}

#[async_trait]
impl Carriers for Database {
    async fn create_carrier(&self, new: NewCarrier, now: Timestamp) -> Result<Carrier> {
        let mut tx = self.write().await?;
        let row = sql(
            "INSERT INTO carriers (org_id, name, provider, settings, calls_per_second, \
             concurrent_calls, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $7) \
             ON CONFLICT (org_id, name) DO NOTHING RETURNING *",
        )
        .bind(new.org.0)
        .bind(new.name.as_str())
        .bind(&new.provider)
        .bind(to_json("carrier", &new.settings)?)
        .bind(new.calls_per_second)
        .bind(new.concurrent_calls)
        .bind(now)
        .optional(&mut tx)
        .await?;
        let Some(row) = row else {
            return Err(Error::Conflict {
                what: "carrier",
                why: format!("there is a carrier {} already", new.name),
            });
        };
        let created = carrier(&row)?;
        let owner = SecretOwner::Carrier(created.id);
        write_secrets(&mut tx, new.org, owner, &new.secrets, now).await?;
        tx.commit().await?;
        Ok(created)
    }

    async fn carrier(&self, scope: Scope, name: &CarrierName) -> Result<Carrier> {
        let row = sql("SELECT * FROM carriers WHERE org_id = $1 AND name = $2")
            .bind(scope.org.0)
            .bind(name.as_str())
            .optional(&mut self.read().await?)
            .await?;
        carrier(&row.ok_or_else(|| not_found("carrier", name))?)
    }

    async fn carriers(&self, scope: Scope, wanted: Page) -> Result<Listing<Carrier>> {
        page(
            &mut self.read().await?,
            "*",
            " ORDER BY name",
            wanted,
            Count::Exactly,
            |query| {
                query
                    .push(" FROM carriers WHERE org_id = ")
                    .push_bind(scope.org.0);
            },
            carrier,
        )
        .await
    }

    async fn agents_of_carrier(
        &self,
        scope: Scope,
        name: &CarrierName,
    ) -> Result<Vec<(AgentId, String)>> {
        users(&mut self.read().await?, scope, name).await
    }

    async fn update_carrier(
        &self,
        changed_to: &Carrier,
        secrets: Vec<SecretChange>,
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.write().await?;
        let id = held(&mut tx, changed_to.org, &changed_to.name).await?;
        let rows = sql("UPDATE carriers SET provider = $1, settings = $2, \
             calls_per_second = $3, concurrent_calls = $4, updated_at = $5 \
             WHERE id = $6 AND id = $7 AND updated_at = $8")
        .bind(&changed_to.provider)
        .bind(to_json("carrier", &changed_to.settings)?)
        .bind(changed_to.calls_per_second)
        .bind(changed_to.concurrent_calls)
        .bind(now)
        .bind(id.0)
        .bind(changed_to.id.0)
        .bind(changed_to.updated_at)
        .run(&mut tx)
        .await?;
        if rows == 0 {
            return Err(Error::Conflict {
                what: "carrier",
                why: format!(
                    "{} was changed meanwhile; read it again and repeat the change",
                    changed_to.name
                ),
            });
        }
        let owner = SecretOwner::Carrier(id);
        write_secrets(&mut tx, changed_to.org, owner, &secrets, now).await?;
        tx.commit().await
    }

    async fn delete_carrier(&self, scope: Scope, name: &CarrierName) -> Result<()> {
        if scope.project.is_some() {
            return Err(not_found("carrier", name));
        }
        let mut tx = self.write().await?;
        let id = held(&mut tx, scope.org, name).await?;
        let agents = users(&mut tx, scope, name).await?;
        if !agents.is_empty() {
            return Err(in_use(name, &agents));
        }
        sql("DELETE FROM carriers WHERE id = $1")
            .bind(id.0)
            .run(&mut tx)
            .await?;
        forget_secrets(&mut tx, SecretOwner::Carrier(id)).await?;
        tx.commit().await
    }
}
