use async_trait::async_trait;
use ringdown_domain::{E164, PhoneNumberId, Timestamp};

use super::rows::{Count, not_found, page, parsed, unsigned, within, within_or_shared};
use super::secrets::{forget_secrets, write_secrets};
use super::{Database, lock};
use crate::sql::{Row, sql};
use crate::{
    Error, Listing, NewPhoneNumber, Numbers, Page, PhoneNumber, Result, Scope, SecretOwner,
};

const NUMBER: &str = "n.*, \
    (SELECT min(s.id) FROM scenarios s WHERE s.phone_number_id = n.id) AS scenario_id, \
    (SELECT s.name FROM scenarios s WHERE s.phone_number_id = n.id ORDER BY s.id LIMIT 1) \
    AS scenario_name";

fn phone_number(row: &Row) -> Result<PhoneNumber> {
    let scenario_name: Option<String> = row.get("scenario_name")?;
    Ok(PhoneNumber {
        id: row.id("id")?,
        org: row.id("org_id")?,
        project: row.maybe_id("project_id")?,
        number: parsed("phone number", row.get("number")?)?,
        name: row.get("name")?,
        provider: row.get("provider")?,
        provider_id: row.get("provider_id")?,
        sms_enabled: row.get("sms_enabled")?,
        scenario: row.maybe_id("scenario_id")?.zip(scenario_name),
        created_at: Timestamp::from_micros(row.get("created_at")?),
        updated_at: Timestamp::from_micros(row.get("updated_at")?),
    })
}

#[async_trait]
impl Numbers for Database {
    async fn add_phone_number(&self, new: NewPhoneNumber, now: Timestamp) -> Result<PhoneNumber> {
        let mut tx = self.write().await?;
        let inserted = sql(
            "INSERT INTO phone_numbers (org_id, project_id, number, name, provider, provider_id, \
             sms_enabled, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) \
             ON CONFLICT (number) DO NOTHING RETURNING id",
        )
        .bind(new.scope.org.0)
        .bind(new.scope.project.map(|project| project.0))
        .bind(&new.number)
        .bind(&new.name)
        .bind(&new.provider)
        .bind(&new.provider_id)
        .bind(new.sms_enabled)
        .bind(now)
        .optional(&mut tx)
        .await?;
        let Some(inserted) = inserted else {
            return Err(Error::Conflict {
                what: "phone number",
                why: format!("{} is registered already", new.number),
            });
        };
        let id: PhoneNumberId = inserted.id("id")?;
        let mut give =
            sql("UPDATE scenarios SET phone_number_id = $1 WHERE phone_number_id IS NULL AND ")
                .bind(id.0);
        within(&mut give, "", new.scope);
        give.run(&mut tx).await?;
        let owner = SecretOwner::PhoneNumber(id);
        write_secrets(&mut tx, new.scope.org, owner, &new.secrets, now).await?;
        tx.commit().await?;
        self.phone_number(new.scope, id).await
    }

    async fn phone_number(&self, scope: Scope, id: PhoneNumberId) -> Result<PhoneNumber> {
        let mut query = sql("SELECT ");
        query
            .push(NUMBER)
            .push(" FROM phone_numbers n WHERE n.id = ");
        query.push_bind(id.0).push(" AND ");
        within_or_shared(&mut query, "n.", scope);
        let row = query.optional(&mut self.read().await?).await?;
        phone_number(&row.ok_or_else(|| not_found("phone number", id))?)
    }

    async fn phone_numbers(&self, scope: Scope, wanted: Page) -> Result<Listing<PhoneNumber>> {
        page(
            &mut self.read().await?,
            NUMBER,
            " ORDER BY n.id",
            wanted,
            Count::Exactly,
            |query| {
                query.push(" FROM phone_numbers n WHERE ");
                within_or_shared(query, "n.", scope);
            },
            phone_number,
        )
        .await
    }

    async fn delete_phone_number(&self, scope: Scope, id: PhoneNumberId) -> Result<()> {
        let mut tx = self.write().await?;
        let mut query = sql("SELECT number FROM phone_numbers WHERE id = $1 AND ").bind(id.0);
        within(&mut query, "", scope);
        let row = query.optional(&mut tx).await?;
        let number: String = row
            .ok_or_else(|| not_found("phone number", id))?
            .get("number")?;
        lock(&mut tx, &number).await?;
        let waiting: i64 = sql("SELECT count(*) FROM runs WHERE number = $1 \
             AND status IN ('in_queue', 'pending', 'in_progress')")
        .bind(&number)
        .one(&mut tx)
        .await?
        .first()?;
        if waiting > 0 {
            return Err(Error::Conflict {
                what: "phone number",
                why: format!("{waiting} unfinished runs wait on {number}"),
            });
        }
        sql("DELETE FROM phone_numbers WHERE id = $1")
            .bind(id.0)
            .run(&mut tx)
            .await?;
        forget_secrets(&mut tx, SecretOwner::PhoneNumber(id)).await?;
        tx.commit().await
    }

    async fn pending_on(&self, scope: Scope, number: &E164) -> Result<u32> {
        let mut query = sql(
            "SELECT count(*) FROM runs r WHERE r.number = $1 AND r.status = 'pending' \
             AND r.org_id = $2",
        )
        .bind(number)
        .bind(scope.org.0);
        if let Some(project) = scope.project {
            // Whoever shares a number has to know that it is busy. Who does not, learns nothing of it.
            query
                .push(" AND (r.project_id = ")
                .push_bind(project.0)
                .push(
                    " OR EXISTS (SELECT 1 FROM phone_numbers n WHERE n.number = r.number \
                     AND n.org_id = r.org_id AND n.project_id IS NULL))",
                );
        }
        let count: i64 = query.one(&mut self.read().await?).await?.first()?;
        unsigned("phone number", count)
    }
}
