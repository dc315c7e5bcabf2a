use async_trait::async_trait;
use ringdown_domain::{KeyId, Timestamp};

use super::Database;
use super::rows::{changed, corrupt, limit, own_project, parsed, taken};
use crate::sql::{Row, Session, Sql, sql};
use crate::{ApiKeyRecord, Keys, NewApiKey, Principal, Result, Role, Scope};

fn role(text: &str) -> Result<Role> {
    Role::parse(text).ok_or_else(|| corrupt("API key", format!("role {text:?} is not known")))
}

fn scope(row: &Row) -> Result<Scope> {
    Ok(Scope {
        org: row.id("org_id")?,
        project: row.maybe_id("project_id")?,
    })
}

fn moment(row: &Row, column: &str) -> Result<Option<Timestamp>> {
    Ok(row.get::<Option<i64>>(column)?.map(Timestamp::from_micros))
}

fn record(row: &Row) -> Result<ApiKeyRecord> {
    Ok(ApiKeyRecord {
        id: row.id("id")?,
        scope: scope(row)?,
        name: row.get("name")?,
        hint: row.get("hint")?,
        role: role(row.get("role")?)?,
        operator: row.get("operator")?,
        rate_per_minute: limit("API key", row.get("rate_per_minute")?)?,
        created_at: Timestamp::from_micros(row.get("created_at")?),
        last_used_at: moment(row, "last_used_at")?,
        expires_at: moment(row, "expires_at")?,
        revoked_at: moment(row, "revoked_at")?,
    })
}

pub(super) async fn insert_key(
    on: &mut Session,
    key: &NewApiKey,
    now: Timestamp,
) -> Result<ApiKeyRecord> {
    let row = sql(
        "INSERT INTO api_keys (key_sha256, org_id, project_id, role, operator, name, hint, \
         rate_per_minute, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING *",
    )
    .bind(key.key_sha256.as_slice())
    .bind(key.scope.org.0)
    .bind(key.scope.project.map(|project| project.0))
    .bind(key.role.as_str())
    .bind(key.operator)
    .bind(&key.name)
    .bind(&key.hint)
    .bind(key.rate_per_minute)
    .bind(now)
    .bind(key.expires_at)
    .one(on)
    .await
    .map_err(|error| taken("API key", || "the key is registered".to_owned(), error))?;
    record(&row)
}

fn in_scope(query: &mut Sql, scope: Scope) {
    query.push("org_id = ").push_bind(scope.org.0);
    if let Some(project) = scope.project {
        query.push(" AND project_id = ").push_bind(project.0);
    }
}

#[async_trait]
impl Keys for Database {
    async fn add_api_key(&self, key: NewApiKey, now: Timestamp) -> Result<ApiKeyRecord> {
        let mut tx = self.write().await?;
        own_project(&mut tx, key.scope.org, key.scope.project).await?;
        let added = insert_key(&mut tx, &key, now).await?;
        tx.commit().await?;
        Ok(added)
    }

    async fn api_keys(&self, scope: Scope) -> Result<Vec<ApiKeyRecord>> {
        let mut query = sql("SELECT * FROM api_keys WHERE revoked_at IS NULL AND ");
        in_scope(&mut query, scope);
        query.push(" ORDER BY id LIMIT 10000");
        let rows = query.all(&mut self.read().await?).await?;
        rows.iter().map(record).collect()
    }

    async fn revoke_api_key(&self, scope: Scope, id: KeyId, now: Timestamp) -> Result<()> {
        let mut tx = self.write().await?;
        let mut query =
            sql("UPDATE api_keys SET revoked_at = $1 WHERE revoked_at IS NULL AND id = $2 AND ")
                .bind(now)
                .bind(id.0);
        in_scope(&mut query, scope);
        let rows = query.run(&mut tx).await?;
        changed("API key", id.0, rows)?;
        tx.commit().await
    }

    async fn authenticate(&self, key: [u8; 32], now: Timestamp) -> Result<Option<Principal>> {
        let row = sql(
            "SELECT k.*, o.slug FROM api_keys k JOIN organisations o ON o.id = k.org_id \
             WHERE k.key_sha256 = $1 AND k.revoked_at IS NULL \
             AND (k.expires_at IS NULL OR k.expires_at > $2)",
        )
        .bind(key.as_slice())
        .bind(now)
        .optional(&mut self.read().await?)
        .await?;
        row.map(|row| {
            Ok(Principal {
                key: row.id("id")?,
                key_name: row.get("name")?,
                scope: scope(&row)?,
                team: parsed("organisation", row.get("slug")?)?,
                role: role(row.get("role")?)?,
                operator: row.get("operator")?,
                rate_per_minute: limit("API key", row.get("rate_per_minute")?)?,
                expires_at: moment(&row, "expires_at")?,
            })
        })
        .transpose()
    }

    async fn keys_used(&self, used: Vec<(KeyId, Timestamp)>) -> Result<()> {
        let mut tx = self.write().await?;
        for (id, at) in used {
            sql("UPDATE api_keys SET last_used_at = $1 \
                 WHERE id = $2 AND (last_used_at IS NULL OR last_used_at < $1)")
            .bind(at)
            .bind(id.0)
            .run(&mut tx)
            .await?;
        }
        tx.commit().await
    }
}
