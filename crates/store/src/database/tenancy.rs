use async_trait::async_trait;
use ringdown_domain::admission::Pace;
use ringdown_domain::{OrganisationId, ProjectId, Timestamp};

use super::keys::insert_key;
use super::rows::{
    Count, changed, corrupt, from_json, from_millis, limit, millis, not_found, page, parsed, taken,
    to_json, unsigned, within,
};
use super::secrets::write_secrets;
use super::{Database, lock};
use crate::sql::{Row, Session, sql};
use crate::{
    Actor, AuditEntry, Extra, Listing, NewApiKey, NewOrganisation, Organisation, Page, Project,
    Reject, Result, Role, Scope, SecretChange, SecretOwner, Tenancy,
};

fn organisation(row: &Row) -> Result<Organisation> {
    Ok(Organisation {
        id: row.id("id")?,
        team: parsed("organisation", row.get("slug")?)?,
        name: row.get("name")?,
        parallel_limit: limit("organisation", row.get("parallel_limit")?)?,
        extra: from_json("organisation", row.get("extra")?)?,
        created_at: Timestamp::from_micros(row.get("created_at")?),
        updated_at: Timestamp::from_micros(row.get("updated_at")?),
    })
}

fn project(row: &Row) -> Result<Project> {
    Ok(Project {
        id: row.id("id")?,
        org: row.id("org_id")?,
        name: row.get("name")?,
        parallel_limit: limit("project", row.get("parallel_limit")?)?,
        weight: unsigned("project", row.get("weight")?)?,
        pace: pace(row.get("pace")?)?,
        dial_window: from_millis(row.get("dial_window_ms")?),
        max_call_duration: from_millis(row.get("max_call_ms")?),
        silence_timeout: from_millis(row.get("silence_ms")?),
        reject: reject(row.get("reject")?)?,
        webhook_url: row.get("webhook_url")?,
        retention_days: limit("project", row.get("retention_days")?)?,
        extra: from_json("project", row.get("extra")?)?,
        created_at: Timestamp::from_micros(row.get("created_at")?),
        updated_at: Timestamp::from_micros(row.get("updated_at")?),
    })
}

pub(super) fn pace(thousandths: Option<i64>) -> Result<Option<Pace>> {
    let Some(stored) = limit("project", thousandths)? else {
        return Ok(None);
    };
    let pace = Pace::from_thousandths(stored);
    let why = || format!("{stored} thousandths of a call per second are out of range");
    pace.map(Some).ok_or_else(|| corrupt("project", why()))
}

pub(super) fn reject(text: &str) -> Result<Reject> {
    match text {
        "explicit" => Ok(Reject::Explicit),
        "silent" => Ok(Reject::Silent),
        other => Err(corrupt("project", format!("reject {other:?} is not known"))),
    }
}

fn reject_text(reject: Reject) -> &'static str {
    match reject {
        Reject::Explicit => "explicit",
        Reject::Silent => "silent",
    }
}

/// Limits are read by admission under the same lock, so that a limit is lowered before or after slots
/// are given away and not between.
pub(super) async fn lock_organisation(session: &mut Session, id: OrganisationId) -> Result<()> {
    lock(session, &format!("organisation {id}")).await
}

async fn insert_project(on: &mut Session, new: &Project, now: Timestamp) -> Result<Project> {
    let row = sql(
        "INSERT INTO projects (org_id, name, parallel_limit, weight, dial_window_ms, max_call_ms, \
         silence_ms, reject, webhook_url, retention_days, extra, created_at, updated_at, pace) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, $13) RETURNING *",
    )
    .bind(new.org.0)
    .bind(&new.name)
    .bind(new.parallel_limit)
    .bind(new.weight)
    .bind(millis(new.dial_window))
    .bind(millis(new.max_call_duration))
    .bind(millis(new.silence_timeout))
    .bind(reject_text(new.reject))
    .bind(&new.webhook_url)
    .bind(new.retention_days)
    .bind(to_json("project", &new.extra)?)
    .bind(now)
    .bind(new.pace.map(Pace::thousandths))
    .one(on)
    .await?;
    project(&row)
}

impl Project {
    /// A project with default settings, to be stored.
    pub fn new(org: OrganisationId, name: &str) -> Self {
        let minutes = |n: u64| std::time::Duration::from_secs(60 * n);
        let epoch = Timestamp::from_micros(0);
        Self {
            id: ProjectId(0),
            org,
            name: name.to_owned(),
            parallel_limit: None,
            weight: 1,
            pace: None,
            dial_window: minutes(5),
            max_call_duration: minutes(5),
            silence_timeout: std::time::Duration::from_secs(10),
            reject: Reject::Explicit,
            webhook_url: None,
            retention_days: None,
            extra: Extra::new(),
            created_at: epoch,
            updated_at: epoch,
        }
    }
}

#[async_trait]
impl Tenancy for Database {
    async fn ping(&self) -> Result<()> {
        sql("SELECT 1").all(&mut self.read().await?).await?;
        Ok(())
    }

    async fn create_organisation(
        &self,
        new: NewOrganisation,
        now: Timestamp,
    ) -> Result<(Organisation, Project)> {
        let mut tx = self.write().await?;
        let row = sql(
            "INSERT INTO organisations (slug, name, parallel_limit, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $4) RETURNING *",
        )
        .bind(new.team.as_str())
        .bind(&new.name)
        .bind(new.parallel_limit)
        .bind(now)
        .one(&mut tx)
        .await
        .map_err(|error| {
            let why = || format!("the slug {} is taken", new.team);
            taken("organisation", why, error)
        })?;
        let created = organisation(&row)?;
        let default = Project::new(created.id, "default");
        let first = insert_project(&mut tx, &default, now).await?;
        let key = NewApiKey {
            scope: created.id.into(),
            key_sha256: new.key_sha256,
            name: "first".to_owned(),
            hint: String::new(),
            role: Role::Admin,
            operator: new.operator,
            rate_per_minute: None,
            expires_at: None,
        };
        insert_key(&mut tx, &key, now).await?;
        tx.commit().await?;
        Ok((created, first))
    }

    async fn organisation_by_slug(&self, slug: &str) -> Result<Option<Organisation>> {
        let row = sql("SELECT * FROM organisations WHERE slug = $1")
            .bind(slug)
            .optional(&mut self.read().await?)
            .await?;
        row.as_ref().map(organisation).transpose()
    }

    async fn organisation(&self, id: OrganisationId) -> Result<Organisation> {
        let row = sql("SELECT * FROM organisations WHERE id = $1")
            .bind(id.0)
            .optional(&mut self.read().await?)
            .await?;
        organisation(&row.ok_or_else(|| not_found("organisation", id))?)
    }

    async fn organisations(&self, wanted: Page) -> Result<Listing<Organisation>> {
        page(
            &mut self.read().await?,
            "*",
            " ORDER BY id",
            wanted,
            Count::Exactly,
            |query| {
                query.push(" FROM organisations");
            },
            organisation,
        )
        .await
    }

    async fn update_organisation(
        &self,
        changed_to: &Organisation,
        secrets: Vec<SecretChange>,
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.write().await?;
        lock_organisation(&mut tx, changed_to.id).await?;
        let rows = sql(
            "UPDATE organisations SET name = $1, parallel_limit = $2, extra = $3, updated_at = $4 \
             WHERE id = $5",
        )
        .bind(&changed_to.name)
        .bind(changed_to.parallel_limit)
        .bind(to_json("organisation", &changed_to.extra)?)
        .bind(now)
        .bind(changed_to.id.0)
        .run(&mut tx)
        .await?;
        changed("organisation", changed_to.id.0, rows)?;
        let owner = SecretOwner::Organisation(changed_to.id);
        write_secrets(&mut tx, changed_to.id, owner, &secrets, now).await?;
        tx.commit().await
    }

    async fn set_organisation_limit(&self, id: OrganisationId, limit: Option<u32>) -> Result<()> {
        let mut tx = self.write().await?;
        lock_organisation(&mut tx, id).await?;
        let rows = sql("UPDATE organisations SET parallel_limit = $1 WHERE id = $2")
            .bind(limit)
            .bind(id.0)
            .run(&mut tx)
            .await?;
        changed("organisation", id.0, rows)?;
        tx.commit().await
    }

    async fn create_project(
        &self,
        new: Project,
        secrets: Vec<SecretChange>,
        now: Timestamp,
    ) -> Result<Project> {
        let mut tx = self.write().await?;
        let created = insert_project(&mut tx, &new, now).await?;
        let owner = SecretOwner::Project(created.id);
        write_secrets(&mut tx, created.org, owner, &secrets, now).await?;
        tx.commit().await?;
        Ok(created)
    }

    async fn projects(&self, scope: Scope) -> Result<Vec<Project>> {
        let mut query = sql("SELECT * FROM projects WHERE org_id = $1").bind(scope.org.0);
        if let Some(only) = scope.project {
            query.push(" AND id = ").push_bind(only.0);
        }
        query.push(" ORDER BY id LIMIT 10000");
        let rows = query.all(&mut self.read().await?).await?;
        rows.iter().map(project).collect()
    }

    async fn project(&self, scope: Scope, id: ProjectId) -> Result<Project> {
        if scope.project.is_some_and(|only| only != id) {
            return Err(not_found("project", id));
        }
        let row = sql("SELECT * FROM projects WHERE org_id = $1 AND id = $2")
            .bind(scope.org.0)
            .bind(id.0)
            .optional(&mut self.read().await?)
            .await?;
        project(&row.ok_or_else(|| not_found("project", id))?)
    }

    async fn update_project(
        &self,
        project: &Project,
        secrets: Vec<SecretChange>,
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.write().await?;
        lock_organisation(&mut tx, project.org).await?;
        let rows = sql(
            "UPDATE projects SET name = $1, parallel_limit = $2, weight = $3, dial_window_ms = $4, \
             max_call_ms = $5, silence_ms = $6, reject = $7, webhook_url = $8, retention_days = $9, \
             extra = $10, updated_at = $11, pace = $12 WHERE org_id = $13 AND id = $14",
        )
        .bind(&project.name)
        .bind(project.parallel_limit)
        .bind(project.weight)
        .bind(millis(project.dial_window))
        .bind(millis(project.max_call_duration))
        .bind(millis(project.silence_timeout))
        .bind(reject_text(project.reject))
        .bind(&project.webhook_url)
        .bind(project.retention_days)
        .bind(to_json("project", &project.extra)?)
        .bind(now)
        .bind(project.pace.map(Pace::thousandths))
        .bind(project.org.0)
        .bind(project.id.0)
        .run(&mut tx)
        .await?;
        changed("project", project.id.0, rows)?;
        let owner = SecretOwner::Project(project.id);
        write_secrets(&mut tx, project.org, owner, &secrets, now).await?;
        tx.commit().await
    }

    async fn audit_log(&self, scope: Scope, wanted: Page) -> Result<Listing<AuditEntry>> {
        page(
            &mut self.read().await?,
            "*",
            " ORDER BY id DESC",
            wanted,
            Count::AtMost,
            |query| {
                query.push(" FROM audit_log WHERE ");
                within(query, "", scope);
            },
            audit_entry,
        )
        .await
    }
}

fn audit_entry(row: &Row) -> Result<AuditEntry> {
    Ok(AuditEntry {
        id: row.get("id")?,
        actor: Actor {
            request_id: row.get("request_id")?,
            at: Timestamp::from_micros(row.get("at")?),
            org: row.id("org_id")?,
            project: row.maybe_id("project_id")?,
            key: row.id("key_id")?,
            key_name: row.get("key_name")?,
            operation: row.get("operation")?,
            path: row.get("path")?,
            source: row.get("source")?,
        },
    })
}
