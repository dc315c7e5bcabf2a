use ringdown_domain::{E164, OrganisationId, PhoneNumberId, Timestamp};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite as Driver};

use super::Sqlite;
use super::catalogue::page;
use super::rows::{parsed, unsigned};
use super::tenancy::not_found;
use crate::{Error, Listing, NewPhoneNumber, Page, PhoneNumber, Result};

const NUMBER: &str = "n.*, \
    (SELECT min(s.id) FROM scenarios s WHERE s.phone_number_id = n.id) AS scenario_id, \
    (SELECT s.name FROM scenarios s WHERE s.phone_number_id = n.id ORDER BY s.id LIMIT 1) \
    AS scenario_name";

fn phone_number(row: &SqliteRow) -> Result<PhoneNumber> {
    let scenario: Option<i64> = row.try_get("scenario_id")?;
    let scenario_name: Option<String> = row.try_get("scenario_name")?;
    Ok(PhoneNumber {
        id: row.try_get::<i64, _>("id")?.into(),
        org: row.try_get::<i64, _>("org_id")?.into(),
        number: parsed("phone number", row.try_get("number")?)?,
        name: row.try_get("name")?,
        scenario: scenario.map(Into::into).zip(scenario_name),
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
    })
}

pub(super) async fn add(db: &Sqlite, new: NewPhoneNumber, now: Timestamp) -> Result<PhoneNumber> {
    let mut tx = db.write().await?;
    let inserted = sqlx::query_scalar::<_, i64>(
        "INSERT INTO phone_numbers (org_id, number, name, created_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (number) DO NOTHING RETURNING id",
    )
    .bind(new.org.0)
    .bind(new.number.as_str())
    .bind(&new.name)
    .bind(now.as_micros())
    .fetch_optional(&mut *tx)
    .await?;
    let Some(id) = inserted else {
        return Err(Error::Conflict {
            what: "phone number",
            why: format!("{} is registered already", new.number),
        });
    };
    sqlx::query(
        "UPDATE scenarios SET phone_number_id = $1 WHERE org_id = $2 AND phone_number_id IS NULL",
    )
    .bind(id)
    .bind(new.org.0)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    by_id(db, new.org, id.into()).await
}

pub(super) async fn by_id(
    db: &Sqlite,
    org: OrganisationId,
    id: PhoneNumberId,
) -> Result<PhoneNumber> {
    let mut query = QueryBuilder::<Driver>::new("SELECT ");
    query
        .push(NUMBER)
        .push(" FROM phone_numbers n WHERE n.org_id = ");
    query.push_bind(org.0).push(" AND n.id = ").push_bind(id.0);
    let row = query.build().fetch_optional(&db.readers).await?;
    phone_number(&row.ok_or_else(|| not_found("phone number", id.0))?)
}

pub(super) async fn list(
    db: &Sqlite,
    org: OrganisationId,
    wanted: Page,
) -> Result<Listing<PhoneNumber>> {
    let select = |query: &mut QueryBuilder<Driver>| {
        query.push(" FROM phone_numbers n WHERE n.org_id = ");
        query.push_bind(org.0);
        Ok(())
    };
    let order = " ORDER BY n.id";
    page(&db.readers, NUMBER, order, wanted, select, phone_number).await
}

pub(super) async fn delete(db: &Sqlite, org: OrganisationId, id: PhoneNumberId) -> Result<()> {
    let mut tx = db.write().await?;
    let number: Option<String> =
        sqlx::query_scalar("SELECT number FROM phone_numbers WHERE org_id = $1 AND id = $2")
            .bind(org.0)
            .bind(id.0)
            .fetch_optional(&mut *tx)
            .await?;
    let number = number.ok_or_else(|| not_found("phone number", id.0))?;
    let waiting: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM runs WHERE number = $1 AND status IN ('in_queue', 'pending', 'in_progress')",
    )
    .bind(&number)
    .fetch_one(&mut *tx)
    .await?;
    if waiting > 0 {
        return Err(Error::Conflict {
            what: "phone number",
            why: format!("{waiting} unfinished runs wait on {number}"),
        });
    }
    sqlx::query("DELETE FROM phone_numbers WHERE id = $1")
        .bind(id.0)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}

pub(super) async fn pending_on(db: &Sqlite, org: OrganisationId, number: &E164) -> Result<u32> {
    let count: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM runs WHERE org_id = $1 AND number = $2 AND status = 'pending'",
    )
    .bind(org.0)
    .bind(number.as_str())
    .fetch_one(&db.readers)
    .await?;
    unsigned("phone number", count)
}
