use async_trait::async_trait;
use ringdown_domain::{AgentId, Timestamp};

use super::Database;
use super::carriers::own_carrier;
use super::rows::{
    Count, changed, from_json, not_found, own_project, page, parsed_option, to_json, within,
};
use super::secrets::{forget_secrets, write_secrets};
use crate::sql::{Row, sql};
use crate::{
    Agent, AgentFilter, Agents, Error, Listing, NewAgent, Page, Result, Scope, SecretChange,
    SecretOwner,
};

fn agent(row: &Row) -> Result<Agent> {
    Ok(Agent {
        id: row.id("id")?,
        org: row.id("org_id")?,
        project: row.id("project_id")?,
        name: row.get("name")?,
        inbound: row.get("inbound")?,
        contact_number: parsed_option("agent", row.get("contact_number")?)?,
        outbound_numbers: from_json("agent", row.get("outbound_numbers")?)?,
        dial_route: row.get("dial_route")?,
        extra: from_json("agent", row.get("extra")?)?,
        created_at: Timestamp::from_micros(row.get("created_at")?),
        updated_at: Timestamp::from_micros(row.get("updated_at")?),
    })
}

#[async_trait]
impl Agents for Database {
    async fn create_agent(&self, new: NewAgent, now: Timestamp) -> Result<Agent> {
        let mut tx = self.write().await?;
        own_project(&mut tx, new.org, Some(new.project)).await?;
        own_carrier(&mut tx, new.org, new.dial_route.as_deref()).await?;
        let row = sql(
            "INSERT INTO agents (org_id, project_id, name, inbound, contact_number, \
             outbound_numbers, dial_route, extra, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9) RETURNING *",
        )
        .bind(new.org.0)
        .bind(new.project.0)
        .bind(&new.name)
        .bind(new.inbound)
        .bind(new.contact_number.as_ref())
        .bind(to_json("agent", &new.outbound_numbers)?)
        .bind(&new.dial_route)
        .bind(to_json("agent", &new.extra)?)
        .bind(now)
        .one(&mut tx)
        .await?;
        let created = agent(&row)?;
        let owner = SecretOwner::Agent(created.id);
        write_secrets(&mut tx, new.org, owner, &new.secrets, now).await?;
        tx.commit().await?;
        Ok(created)
    }

    async fn agent(&self, scope: Scope, id: AgentId) -> Result<Agent> {
        let mut query = sql("SELECT * FROM agents WHERE id = $1 AND ").bind(id.0);
        within(&mut query, "", scope);
        let row = query.optional(&mut self.read().await?).await?;
        agent(&row.ok_or_else(|| not_found("agent", id))?)
    }

    async fn agents(
        &self,
        scope: Scope,
        filter: AgentFilter,
        wanted: Page,
    ) -> Result<Listing<Agent>> {
        page(
            &mut self.read().await?,
            "*",
            " ORDER BY id DESC",
            wanted,
            Count::Exactly,
            |query| {
                query.push(" FROM agents WHERE ");
                within(query, "", scope);
                if let Some(project) = filter.project {
                    query.push(" AND project_id = ").push_bind(project.0);
                }
                if let Some(text) = &filter.name_contains {
                    query.push(" AND ").text_has("name", text);
                }
            },
            agent,
        )
        .await
    }

    async fn agents_by_id(&self, scope: Scope, ids: &[AgentId]) -> Result<Vec<Agent>> {
        let mut query = sql("SELECT * FROM agents WHERE ");
        within(&mut query, "", scope);
        query.push(" AND ").one_of("id", ids.iter().map(|id| id.0));
        query.push(" ORDER BY id");
        let rows = query.all(&mut self.read().await?).await?;
        rows.iter().map(agent).collect()
    }

    async fn agent_of_assistant(&self, scope: Scope, assistant: &str) -> Result<Option<Agent>> {
        let mut query = sql("SELECT * FROM agents WHERE ");
        within(&mut query, "", scope);
        query.either(
            " AND extra ->> 'assistant_id' = ",
            " AND extra::jsonb ->> 'assistant_id' = ",
        );
        query.push_bind(assistant).push(" ORDER BY id LIMIT 1");
        let row = query.optional(&mut self.read().await?).await?;
        row.as_ref().map(agent).transpose()
    }

    async fn update_agent(
        &self,
        agent: &Agent,
        secrets: Vec<SecretChange>,
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.write().await?;
        own_project(&mut tx, agent.org, Some(agent.project)).await?;
        own_carrier(&mut tx, agent.org, agent.dial_route.as_deref()).await?;
        let rows = sql(
            "UPDATE agents SET project_id = $1, name = $2, inbound = $3, contact_number = $4, \
             outbound_numbers = $5, dial_route = $6, extra = $7, updated_at = $8 \
             WHERE org_id = $9 AND id = $10",
        )
        .bind(agent.project.0)
        .bind(&agent.name)
        .bind(agent.inbound)
        .bind(agent.contact_number.as_ref())
        .bind(to_json("agent", &agent.outbound_numbers)?)
        .bind(&agent.dial_route)
        .bind(to_json("agent", &agent.extra)?)
        .bind(now)
        .bind(agent.org.0)
        .bind(agent.id.0)
        .run(&mut tx)
        .await?;
        changed("agent", agent.id.0, rows)?;
        // What belongs to an agent is in the agent's project.
        let mut move_along = sql("UPDATE scenarios SET project_id = $1 WHERE id IN (\
             SELECT id FROM scenarios WHERE org_id = $2 AND agent_id = $3 AND project_id <> $1 \
             ORDER BY id")
        .bind(agent.project.0)
        .bind(agent.org.0)
        .bind(agent.id.0);
        move_along.locked("scenarios").push(")");
        move_along.run(&mut tx).await?;
        write_secrets(
            &mut tx,
            agent.org,
            SecretOwner::Agent(agent.id),
            &secrets,
            now,
        )
        .await?;
        tx.commit().await
    }

    async fn delete_agent(&self, scope: Scope, id: AgentId, related: bool) -> Result<()> {
        let mut tx = self.write().await?;
        let mut query = sql("SELECT id FROM agents WHERE id = $1 AND ").bind(id.0);
        within(&mut query, "", scope);
        query.locked("agents");
        if query.optional(&mut tx).await?.is_none() {
            return Err(not_found("agent", id));
        }
        if !related {
            let row = sql(
                "SELECT (SELECT count(*) FROM scenarios WHERE agent_id = $1) AS scenarios, \
                 (SELECT count(*) FROM test_profiles WHERE agent_id = $1) AS profiles, \
                 (SELECT count(*) FROM cron_jobs WHERE agent_id = $1) AS jobs",
            )
            .bind(id.0)
            .one(&mut tx)
            .await?;
            let (scenarios, jobs): (i64, i64) = (row.get("scenarios")?, row.get("jobs")?);
            let profiles: i64 = row.get("profiles")?;
            if scenarios + profiles + jobs > 0 {
                return Err(Error::Conflict {
                    what: "agent",
                    why: format!(
                        "it has {scenarios} evaluators, {profiles} test profiles and {jobs} cron jobs; \
                         delete_related=true deletes them too"
                    ),
                });
            }
        }
        sql("DELETE FROM agents WHERE id = $1")
            .bind(id.0)
            .run(&mut tx)
            .await?;
        forget_secrets(&mut tx, SecretOwner::Agent(id)).await?;
        tx.commit().await
    }
}
