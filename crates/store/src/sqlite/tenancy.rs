use ringdown_domain::{OrganisationId, ProjectId, Timestamp};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use super::Sqlite;
use super::rows::{corrupt, from_millis, limit, millis, parsed, unsigned};
use crate::{Error, NewApiKey, NewOrganisation, Organisation, Principal, Project, Reject, Result};

fn organisation(row: &SqliteRow) -> Result<Organisation> {
    Ok(Organisation {
        id: row.try_get::<i64, _>("id")?.into(),
        team: parsed("organisation", row.try_get("slug")?)?,
        name: row.try_get("name")?,
        parallel_limit: limit("organisation", row.try_get("parallel_limit")?)?,
    })
}

pub(super) fn project(row: &SqliteRow) -> Result<Project> {
    Ok(Project {
        id: row.try_get::<i64, _>("id")?.into(),
        org: row.try_get::<i64, _>("org_id")?.into(),
        name: row.try_get("name")?,
        parallel_limit: limit("project", row.try_get("parallel_limit")?)?,
        weight: unsigned("project", row.try_get("weight")?)?,
        dial_window: from_millis(row.try_get("dial_window_ms")?),
        max_call_duration: from_millis(row.try_get("max_call_ms")?),
        silence_timeout: from_millis(row.try_get("silence_ms")?),
        reject: reject(row.try_get("reject")?)?,
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
    })
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

fn taken(what: &'static str, why: String, error: sqlx::Error) -> Error {
    let unique = error
        .as_database_error()
        .is_some_and(sqlx::error::DatabaseError::is_unique_violation);
    if unique {
        Error::Conflict { what, why }
    } else {
        error.into()
    }
}

pub(super) async fn create_organisation(
    db: &Sqlite,
    new: NewOrganisation,
    now: Timestamp,
) -> Result<(Organisation, Project)> {
    let mut tx = db.write().await?;
    let row = sqlx::query(
        "INSERT INTO organisations (slug, name, parallel_limit, created_at) \
         VALUES ($1, $2, $3, $4) RETURNING *",
    )
    .bind(new.team.as_str())
    .bind(&new.name)
    .bind(new.parallel_limit)
    .bind(now.as_micros())
    .fetch_one(&mut *tx)
    .await
    .map_err(|error| {
        let why = format!("the slug {} is taken", new.team);
        taken("organisation", why, error)
    })?;
    let created = organisation(&row)?;
    let first = insert_project(&mut tx, created.id, "default", now).await?;
    let key = NewApiKey {
        org: created.id,
        key_sha256: new.key_sha256,
        label: "first".to_owned(),
        admin: new.admin,
    };
    insert_key(&mut tx, &key, now).await?;
    tx.commit().await?;
    Ok((created, first))
}

async fn insert_key(db: &mut SqliteConnection, key: &NewApiKey, now: Timestamp) -> Result<()> {
    sqlx::query(
        "INSERT INTO api_keys (key_sha256, org_id, label, admin, created_at) \
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(key.key_sha256.as_slice())
    .bind(key.org.0)
    .bind(&key.label)
    .bind(key.admin)
    .bind(now.as_micros())
    .execute(db)
    .await
    .map_err(|error| taken("API key", "the key is registered".to_owned(), error))?;
    Ok(())
}

async fn insert_project(
    db: &mut SqliteConnection,
    org: OrganisationId,
    name: &str,
    now: Timestamp,
) -> Result<Project> {
    let row = sqlx::query(
        "INSERT INTO projects (org_id, name, created_at) VALUES ($1, $2, $3) RETURNING *",
    )
    .bind(org.0)
    .bind(name)
    .bind(now.as_micros())
    .fetch_one(db)
    .await?;
    project(&row)
}

pub(super) async fn organisation_by_slug(db: &Sqlite, slug: &str) -> Result<Option<Organisation>> {
    let row = sqlx::query("SELECT * FROM organisations WHERE slug = $1")
        .bind(slug)
        .fetch_optional(&db.readers)
        .await?;
    row.as_ref().map(organisation).transpose()
}

pub(super) async fn organisation_by_id(db: &Sqlite, id: OrganisationId) -> Result<Organisation> {
    let row = sqlx::query("SELECT * FROM organisations WHERE id = $1")
        .bind(id.0)
        .fetch_optional(&db.readers)
        .await?;
    let row = row.ok_or_else(|| not_found("organisation", id.0))?;
    organisation(&row)
}

pub(super) fn not_found(what: &'static str, id: i64) -> Error {
    Error::NotFound {
        what,
        id: id.to_string(),
    }
}

pub(super) async fn set_organisation_limit(
    db: &Sqlite,
    id: OrganisationId,
    limit: Option<u32>,
) -> Result<()> {
    let done = sqlx::query("UPDATE organisations SET parallel_limit = $1 WHERE id = $2")
        .bind(limit)
        .bind(id.0)
        .execute(&db.writer)
        .await?;
    changed("organisation", id.0, done.rows_affected())
}

/// `NotFound` unless exactly the row asked for was there.
pub(super) fn changed(what: &'static str, id: i64, rows: u64) -> Result<()> {
    if rows == 0 {
        return Err(not_found(what, id));
    }
    Ok(())
}

pub(super) async fn add_api_key(db: &Sqlite, key: NewApiKey, now: Timestamp) -> Result<()> {
    let mut tx = db.write().await?;
    insert_key(&mut tx, &key, now).await?;
    tx.commit().await?;
    Ok(())
}

pub(super) async fn authenticate(db: &Sqlite, key: [u8; 32]) -> Result<Option<Principal>> {
    let row = sqlx::query(
        "SELECT k.org_id, k.admin, o.slug FROM api_keys k \
         JOIN organisations o ON o.id = k.org_id WHERE k.key_sha256 = $1",
    )
    .bind(key.as_slice())
    .fetch_optional(&db.readers)
    .await?;
    row.map(|row| {
        Ok(Principal {
            org: row.try_get::<i64, _>("org_id")?.into(),
            team: parsed("organisation", row.try_get("slug")?)?,
            admin: row.try_get("admin")?,
        })
    })
    .transpose()
}

pub(super) async fn create_project(
    db: &Sqlite,
    org: OrganisationId,
    name: &str,
    now: Timestamp,
) -> Result<Project> {
    let mut tx = db.write().await?;
    let created = insert_project(&mut tx, org, name, now).await?;
    tx.commit().await?;
    Ok(created)
}

pub(super) async fn projects(db: &Sqlite, org: OrganisationId) -> Result<Vec<Project>> {
    let rows = sqlx::query("SELECT * FROM projects WHERE org_id = $1 ORDER BY id")
        .bind(org.0)
        .fetch_all(&db.readers)
        .await?;
    rows.iter().map(project).collect()
}

pub(super) async fn project_by_id(
    db: &Sqlite,
    org: OrganisationId,
    id: ProjectId,
) -> Result<Project> {
    let row = sqlx::query("SELECT * FROM projects WHERE org_id = $1 AND id = $2")
        .bind(org.0)
        .bind(id.0)
        .fetch_optional(&db.readers)
        .await?;
    project(&row.ok_or_else(|| not_found("project", id.0))?)
}

pub(super) async fn update_project(db: &Sqlite, project: &Project) -> Result<()> {
    let done = sqlx::query(
        "UPDATE projects SET name = $1, parallel_limit = $2, weight = $3, dial_window_ms = $4, \
         max_call_ms = $5, silence_ms = $6, reject = $7 WHERE org_id = $8 AND id = $9",
    )
    .bind(&project.name)
    .bind(project.parallel_limit)
    .bind(project.weight)
    .bind(millis(project.dial_window))
    .bind(millis(project.max_call_duration))
    .bind(millis(project.silence_timeout))
    .bind(reject_text(project.reject))
    .bind(project.org.0)
    .bind(project.id.0)
    .execute(&db.writer)
    .await?;
    changed("project", project.id.0, done.rows_affected())
}
