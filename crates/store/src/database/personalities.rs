use async_trait::async_trait;
use ringdown_domain::{PersonalityId, ProjectId, Timestamp};

use super::Database;
use super::rows::{changed, from_json, not_found, own_project, to_json, within};
use crate::sql::{Row, sql};
use crate::{NewPersonality, Personalities, Personality, Result, Scope};

fn personality(row: &Row) -> Result<Personality> {
    Ok(Personality {
        id: row.id("id")?,
        org: row.id("org_id")?,
        project: row.id("project_id")?,
        name: row.get("name")?,
        language: row.get("language")?,
        extra: from_json("personality", row.get("body")?)?,
        created_at: Timestamp::from_micros(row.get("created_at")?),
        updated_at: Timestamp::from_micros(row.get("updated_at")?),
    })
}

#[async_trait]
impl Personalities for Database {
    async fn create_personality(&self, new: NewPersonality, now: Timestamp) -> Result<Personality> {
        let mut tx = self.write().await?;
        own_project(&mut tx, new.org, Some(new.project)).await?;
        let row = sql(
            "INSERT INTO personalities (org_id, project_id, name, language, body, created_at, \
             updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6) RETURNING *",
        )
        .bind(new.org.0)
        .bind(new.project.0)
        .bind(&new.name)
        .bind(&new.language)
        .bind(to_json("personality", &new.extra)?)
        .bind(now)
        .one(&mut tx)
        .await?;
        tx.commit().await?;
        personality(&row)
    }

    async fn personality(&self, scope: Scope, id: PersonalityId) -> Result<Personality> {
        let mut query = sql("SELECT * FROM personalities WHERE id = $1 AND ").bind(id.0);
        within(&mut query, "", scope);
        let row = query.optional(&mut self.read().await?).await?;
        personality(&row.ok_or_else(|| not_found("personality", id))?)
    }

    async fn personalities(
        &self,
        scope: Scope,
        project: Option<ProjectId>,
    ) -> Result<Vec<Personality>> {
        let mut query = sql("SELECT * FROM personalities WHERE ");
        within(&mut query, "", scope);
        if let Some(project) = project {
            query.push(" AND project_id = ").push_bind(project.0);
        }
        query.push(" ORDER BY id LIMIT 10000");
        let rows = query.all(&mut self.read().await?).await?;
        rows.iter().map(personality).collect()
    }

    async fn update_personality(&self, changed_to: &Personality, now: Timestamp) -> Result<()> {
        let mut tx = self.write().await?;
        own_project(&mut tx, changed_to.org, Some(changed_to.project)).await?;
        let rows = sql(
            "UPDATE personalities SET project_id = $1, name = $2, language = $3, body = $4, \
             updated_at = $5 WHERE org_id = $6 AND id = $7",
        )
        .bind(changed_to.project.0)
        .bind(&changed_to.name)
        .bind(&changed_to.language)
        .bind(to_json("personality", &changed_to.extra)?)
        .bind(now)
        .bind(changed_to.org.0)
        .bind(changed_to.id.0)
        .run(&mut tx)
        .await?;
        changed("personality", changed_to.id.0, rows)?;
        tx.commit().await
    }

    async fn delete_personality(&self, scope: Scope, id: PersonalityId) -> Result<()> {
        let mut tx = self.write().await?;
        let mut query = sql("DELETE FROM personalities WHERE id = $1 AND ").bind(id.0);
        within(&mut query, "", scope);
        let rows = query.run(&mut tx).await?;
        changed("personality", id.0, rows)?;
        tx.commit().await
    }
}
