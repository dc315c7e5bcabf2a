use async_trait::async_trait;
use ringdown_domain::{TestProfileId, Timestamp};

use super::Database;
use super::rows::{
    Count, changed, from_json, not_found, own_agent, own_project, page, to_json, within,
    within_or_shared,
};
use crate::sql::{Row, sql};
use crate::{
    Listing, NewTestProfile, Page, Result, Scope, TestProfile, TestProfileFilter, TestProfiles,
};

fn test_profile(row: &Row) -> Result<TestProfile> {
    Ok(TestProfile {
        id: row.id("id")?,
        org: row.id("org_id")?,
        project: row.maybe_id("project_id")?,
        agent: row.maybe_id("agent_id")?,
        name: row.get("name")?,
        information: from_json("test profile", row.get("information")?)?,
        created_at: Timestamp::from_micros(row.get("created_at")?),
        updated_at: Timestamp::from_micros(row.get("updated_at")?),
    })
}

#[async_trait]
impl TestProfiles for Database {
    async fn create_test_profile(
        &self,
        new: NewTestProfile,
        now: Timestamp,
    ) -> Result<TestProfile> {
        let mut tx = self.write().await?;
        own_project(&mut tx, new.org, new.project).await?;
        own_agent(&mut tx, new.org, new.agent).await?;
        let row = sql(
            "INSERT INTO test_profiles (org_id, project_id, agent_id, name, information, \
             created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6) RETURNING *",
        )
        .bind(new.org.0)
        .bind(new.project.map(|project| project.0))
        .bind(new.agent.map(|agent| agent.0))
        .bind(&new.name)
        .bind(to_json("test profile", &new.information)?)
        .bind(now)
        .one(&mut tx)
        .await?;
        tx.commit().await?;
        test_profile(&row)
    }

    async fn test_profile(&self, scope: Scope, id: TestProfileId) -> Result<TestProfile> {
        let mut query = sql("SELECT * FROM test_profiles WHERE id = $1 AND ").bind(id.0);
        within_or_shared(&mut query, "", scope);
        let row = query.optional(&mut self.read().await?).await?;
        test_profile(&row.ok_or_else(|| not_found("test profile", id))?)
    }

    async fn test_profiles(
        &self,
        scope: Scope,
        filter: TestProfileFilter,
        wanted: Page,
    ) -> Result<Listing<TestProfile>> {
        page(
            &mut self.read().await?,
            "*",
            " ORDER BY id",
            wanted,
            Count::Exactly,
            |query| {
                query.push(" FROM test_profiles WHERE ");
                within_or_shared(query, "", scope);
                if let Some(project) = filter.project {
                    query.push(" AND project_id = ").push_bind(project.0);
                }
                if let Some(agent) = filter.agent {
                    query.push(" AND agent_id = ").push_bind(agent.0);
                }
            },
            test_profile,
        )
        .await
    }

    async fn test_profiles_by_id(
        &self,
        scope: Scope,
        ids: &[TestProfileId],
    ) -> Result<Vec<TestProfile>> {
        let mut query = sql("SELECT * FROM test_profiles WHERE ");
        within_or_shared(&mut query, "", scope);
        query.push(" AND ").one_of("id", ids.iter().map(|id| id.0));
        query.push(" ORDER BY id");
        let rows = query.all(&mut self.read().await?).await?;
        rows.iter().map(test_profile).collect()
    }

    async fn update_test_profile(&self, profile: &TestProfile, now: Timestamp) -> Result<()> {
        let mut tx = self.write().await?;
        own_project(&mut tx, profile.org, profile.project).await?;
        own_agent(&mut tx, profile.org, profile.agent).await?;
        let rows = sql(
            "UPDATE test_profiles SET project_id = $1, agent_id = $2, name = $3, \
             information = $4, updated_at = $5 WHERE org_id = $6 AND id = $7",
        )
        .bind(profile.project.map(|project| project.0))
        .bind(profile.agent.map(|agent| agent.0))
        .bind(&profile.name)
        .bind(to_json("test profile", &profile.information)?)
        .bind(now)
        .bind(profile.org.0)
        .bind(profile.id.0)
        .run(&mut tx)
        .await?;
        changed("test profile", profile.id.0, rows)?;
        tx.commit().await
    }

    async fn delete_test_profile(&self, scope: Scope, id: TestProfileId) -> Result<()> {
        let mut tx = self.write().await?;
        let mut query = sql("DELETE FROM test_profiles WHERE id = $1 AND ").bind(id.0);
        within(&mut query, "", scope);
        let rows = query.run(&mut tx).await?;
        changed("test profile", id.0, rows)?;
        tx.commit().await
    }
}
