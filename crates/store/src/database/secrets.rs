use async_trait::async_trait;
use ringdown_domain::{OrganisationId, Timestamp};

use super::Database;
use super::rows::{not_found, within_or_shared};
use crate::sql::{Session, sql};
use crate::{Result, Scope, SecretChange, SecretOwner, Secrets, StoredSecret};

/// Changes secrets inside the transaction that changes their object.
pub(super) async fn write_secrets(
    on: &mut Session,
    org: OrganisationId,
    owner: SecretOwner,
    changes: &[SecretChange],
    now: Timestamp,
) -> Result<()> {
    for change in changes {
        let statement = match &change.sealed {
            Some(sealed) => sql(
                "INSERT INTO secrets (owner, name, org_id, sealed, updated_at) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT (owner, name) DO UPDATE \
                 SET sealed = excluded.sealed, updated_at = excluded.updated_at",
            )
            .bind(owner.to_string())
            .bind(&change.name)
            .bind(org.0)
            .bind(sealed)
            .bind(now),
            None => sql("DELETE FROM secrets WHERE owner = $1 AND name = $2")
                .bind(owner.to_string())
                .bind(&change.name),
        };
        statement.run(on).await?;
    }
    Ok(())
}

/// Forgets all secrets of an object inside the transaction that deletes it.
pub(super) async fn forget_secrets(on: &mut Session, owner: SecretOwner) -> Result<()> {
    sql("DELETE FROM secrets WHERE owner = $1")
        .bind(owner.to_string())
        .run(on)
        .await?;
    Ok(())
}

/// Whether the object that secrets belong to is in a scope, or shared by its organisation.
async fn is_there(on: &mut Session, scope: Scope, owner: SecretOwner) -> Result<bool> {
    let (table, id) = match owner {
        SecretOwner::Organisation(id) => {
            return Ok(scope == Scope::from(id));
        }
        SecretOwner::Project(id) => {
            if scope.project.is_some_and(|only| only != id) {
                return Ok(false);
            }
            let query = sql("SELECT 1 FROM projects WHERE org_id = $1 AND id = $2");
            let row = query.bind(scope.org.0).bind(id.0).optional(on).await?;
            return Ok(row.is_some());
        }
        SecretOwner::Agent(id) => ("agents", id.0),
        SecretOwner::PhoneNumber(id) => ("phone_numbers", id.0),
        SecretOwner::Carrier(id) => {
            // Every project of its organisation is dialed with it.
            let query = sql("SELECT 1 FROM carriers WHERE org_id = $1 AND id = $2");
            let row = query.bind(scope.org.0).bind(id.0).optional(on).await?;
            return Ok(row.is_some());
        }
    };
    let mut query = sql("SELECT 1 FROM ");
    query
        .push(table)
        .push(" WHERE id = ")
        .push_bind(id)
        .push(" AND ");
    within_or_shared(&mut query, "", scope);
    Ok(query.optional(on).await?.is_some())
}

#[async_trait]
impl Secrets for Database {
    async fn secret_names(&self, scope: Scope, owner: SecretOwner) -> Result<Vec<String>> {
        let mut on = self.read().await?;
        if !is_there(&mut on, scope, owner).await? {
            return Ok(Vec::new());
        }
        let rows = sql("SELECT name FROM secrets WHERE owner = $1 AND org_id = $2 ORDER BY name")
            .bind(owner.to_string())
            .bind(scope.org.0)
            .all(&mut on)
            .await?;
        rows.iter().map(|row| row.get("name")).collect()
    }

    async fn secrets_of(
        &self,
        scope: Scope,
        owners: &[SecretOwner],
    ) -> Result<Vec<(String, String)>> {
        let mut query = sql("SELECT owner, name FROM secrets WHERE org_id = $1 AND ");
        query = query.bind(scope.org.0);
        query.one_of("owner", owners.iter().map(ToString::to_string));
        query.push(" ORDER BY owner, name");
        let rows = query.all(&mut self.read().await?).await?;
        rows.iter()
            .map(|row| Ok((row.get("owner")?, row.get("name")?)))
            .collect()
    }

    async fn secret(&self, scope: Scope, owner: SecretOwner, name: &str) -> Result<Option<String>> {
        let mut on = self.read().await?;
        if !is_there(&mut on, scope, owner).await? {
            return Ok(None);
        }
        let row = sql("SELECT sealed FROM secrets WHERE owner = $1 AND name = $2 AND org_id = $3")
            .bind(owner.to_string())
            .bind(name)
            .bind(scope.org.0)
            .optional(&mut on)
            .await?;
        row.map(|row| row.get("sealed")).transpose()
    }

    async fn change_secrets(
        &self,
        org: OrganisationId,
        owner: SecretOwner,
        changes: Vec<SecretChange>,
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.write().await?;
        if !is_there(&mut tx, org.into(), owner).await? {
            return Err(not_found("owner of secrets", owner));
        }
        write_secrets(&mut tx, org, owner, &changes, now).await?;
        tx.commit().await
    }

    async fn secrets_after(
        &self,
        after: Option<(String, String)>,
        limit: u32,
    ) -> Result<Vec<StoredSecret>> {
        let (owner, name) = after.unwrap_or_default();
        let rows = sql(
            "SELECT * FROM secrets WHERE owner > $1 OR (owner = $1 AND name > $2) \
             ORDER BY owner, name LIMIT $3",
        )
        .bind(owner)
        .bind(name)
        .bind(limit)
        .all(&mut self.read().await?)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(StoredSecret {
                    owner: row.get("owner")?,
                    name: row.get("name")?,
                    org: row.id("org_id")?,
                    sealed: row.get("sealed")?,
                })
            })
            .collect()
    }

    async fn reseal(&self, old: &StoredSecret, sealed: &str, now: Timestamp) -> Result<bool> {
        let mut tx = self.write().await?;
        let rows = sql("UPDATE secrets SET sealed = $1, updated_at = $2 \
             WHERE owner = $3 AND name = $4 AND sealed = $5")
        .bind(sealed)
        .bind(now)
        .bind(&old.owner)
        .bind(&old.name)
        .bind(&old.sealed)
        .run(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(rows > 0)
    }
}
