use ringdown_domain::{AgentId, OrganisationId, ScenarioId, TestProfileId, Timestamp};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite as Driver, SqliteConnection, SqlitePool};

use super::Sqlite;
use super::rows::{from_json, from_millis, millis, parsed_option, to_json};
use super::tenancy::{changed, not_found};
use crate::{
    Agent, AgentFilter, Listing, NewAgent, NewScenario, NewTestProfile, Page, Result, Scenario,
    ScenarioFilter, TagMatch, TestProfile, TestProfileFilter,
};

const SCENARIO: &str = "s.*, n.number AS number";
const SCENARIO_FROM: &str =
    " FROM scenarios s LEFT JOIN phone_numbers n ON n.id = s.phone_number_id WHERE s.org_id = ";

fn agent(row: &SqliteRow) -> Result<Agent> {
    Ok(Agent {
        id: row.try_get::<i64, _>("id")?.into(),
        org: row.try_get::<i64, _>("org_id")?.into(),
        project: row.try_get::<i64, _>("project_id")?.into(),
        name: row.try_get("name")?,
        inbound: row.try_get("inbound")?,
        contact_number: parsed_option("agent", row.try_get("contact_number")?)?,
        outbound_numbers: from_json("agent", row.try_get("outbound_numbers")?)?,
        dial_route: row.try_get("dial_route")?,
        extra: from_json("agent", row.try_get("extra")?)?,
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
        updated_at: Timestamp::from_micros(row.try_get("updated_at")?),
    })
}

fn scenario(row: &SqliteRow) -> Result<Scenario> {
    Ok(Scenario {
        id: row.try_get::<i64, _>("id")?.into(),
        org: row.try_get::<i64, _>("org_id")?.into(),
        project: row.try_get::<i64, _>("project_id")?.into(),
        agent: row.try_get::<i64, _>("agent_id")?.into(),
        name: row.try_get("name")?,
        phone_number: row
            .try_get::<Option<i64>, _>("phone_number_id")?
            .map(Into::into),
        number: parsed_option("evaluator", row.try_get("number")?)?,
        test_profile: row
            .try_get::<Option<i64>, _>("test_profile_id")?
            .map(Into::into),
        tags: from_json("evaluator", row.try_get("tags")?)?,
        folder_path: row.try_get("folder_path")?,
        first_message: row.try_get("first_message")?,
        max_duration: row
            .try_get::<Option<i64>, _>("max_duration_ms")?
            .map(from_millis),
        extra: from_json("evaluator", row.try_get("extra")?)?,
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
        updated_at: Timestamp::from_micros(row.try_get("updated_at")?),
    })
}

fn test_profile(row: &SqliteRow) -> Result<TestProfile> {
    Ok(TestProfile {
        id: row.try_get::<i64, _>("id")?.into(),
        org: row.try_get::<i64, _>("org_id")?.into(),
        project: row.try_get::<Option<i64>, _>("project_id")?.map(Into::into),
        agent: row.try_get::<Option<i64>, _>("agent_id")?.map(Into::into),
        name: row.try_get("name")?,
        information: from_json("test profile", row.try_get("information")?)?,
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
        updated_at: Timestamp::from_micros(row.try_get("updated_at")?),
    })
}

/// Runs `select` for one page, and for the count over all pages.
///
/// `select` pushes everything after the column list, up to but not including the order.
pub(super) async fn page<T>(
    pool: &SqlitePool,
    columns: &str,
    order: &str,
    page: Page,
    select: impl Fn(&mut QueryBuilder<Driver>) -> Result<()>,
    read: impl Fn(&SqliteRow) -> Result<T>,
) -> Result<Listing<T>> {
    let mut count = QueryBuilder::new("SELECT count(*)");
    select(&mut count)?;
    let count: i64 = count.build_query_scalar().fetch_one(pool).await?;
    let mut query = QueryBuilder::new("SELECT ");
    query.push(columns);
    select(&mut query)?;
    query.push(order);
    let skipped = i64::from(page.number.saturating_sub(1)) * i64::from(page.size);
    query.push(" LIMIT ").push_bind(i64::from(page.size));
    query.push(" OFFSET ").push_bind(skipped);
    let rows = query.build().fetch_all(pool).await?;
    Ok(Listing {
        count: u64::try_from(count).unwrap_or(0),
        rows: rows.iter().map(read).collect::<Result<_>>()?,
    })
}

pub(super) async fn create_agent(db: &Sqlite, new: NewAgent, now: Timestamp) -> Result<Agent> {
    let row = sqlx::query(
        "INSERT INTO agents (org_id, project_id, name, inbound, contact_number, \
         outbound_numbers, dial_route, extra, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9) RETURNING *",
    )
    .bind(new.org.0)
    .bind(new.project.0)
    .bind(&new.name)
    .bind(new.inbound)
    .bind(new.contact_number.as_ref().map(ToString::to_string))
    .bind(to_json("agent", &new.outbound_numbers)?)
    .bind(&new.dial_route)
    .bind(to_json("agent", &new.extra)?)
    .bind(now.as_micros())
    .fetch_one(&db.writer)
    .await?;
    agent(&row)
}

pub(super) async fn agent_by_id(db: &Sqlite, org: OrganisationId, id: AgentId) -> Result<Agent> {
    let row = sqlx::query("SELECT * FROM agents WHERE org_id = $1 AND id = $2")
        .bind(org.0)
        .bind(id.0)
        .fetch_optional(&db.readers)
        .await?;
    agent(&row.ok_or_else(|| not_found("agent", id.0))?)
}

pub(super) async fn agents(
    db: &Sqlite,
    org: OrganisationId,
    filter: AgentFilter,
    wanted: Page,
) -> Result<Listing<Agent>> {
    let select = |query: &mut QueryBuilder<Driver>| {
        query.push(" FROM agents WHERE org_id = ").push_bind(org.0);
        if let Some(project) = filter.project {
            query.push(" AND project_id = ").push_bind(project.0);
        }
        if let Some(text) = &filter.name_contains {
            query.push(" AND instr(lower(name), lower(");
            query.push_bind(text.clone()).push(")) > 0");
        }
        Ok(())
    };
    page(&db.readers, "*", " ORDER BY id DESC", wanted, select, agent).await
}

pub(super) async fn update_agent(db: &Sqlite, agent: &Agent, now: Timestamp) -> Result<()> {
    let done = sqlx::query(
        "UPDATE agents SET project_id = $1, name = $2, inbound = $3, contact_number = $4, \
         outbound_numbers = $5, dial_route = $6, extra = $7, updated_at = $8 \
         WHERE org_id = $9 AND id = $10",
    )
    .bind(agent.project.0)
    .bind(&agent.name)
    .bind(agent.inbound)
    .bind(agent.contact_number.as_ref().map(ToString::to_string))
    .bind(to_json("agent", &agent.outbound_numbers)?)
    .bind(&agent.dial_route)
    .bind(to_json("agent", &agent.extra)?)
    .bind(now.as_micros())
    .bind(agent.org.0)
    .bind(agent.id.0)
    .execute(&db.writer)
    .await?;
    changed("agent", agent.id.0, done.rows_affected())
}

/// A table whose rows belong to an organisation and are deleted by id.
#[derive(Clone, Copy)]
pub(super) enum Owned {
    Agent,
    Scenario,
    TestProfile,
}

pub(super) async fn delete(db: &Sqlite, org: OrganisationId, what: Owned, id: i64) -> Result<()> {
    let (name, sql) = match what {
        Owned::Agent => ("agent", "DELETE FROM agents WHERE org_id = $1 AND id = $2"),
        Owned::Scenario => (
            "evaluator",
            "DELETE FROM scenarios WHERE org_id = $1 AND id = $2",
        ),
        Owned::TestProfile => (
            "test profile",
            "DELETE FROM test_profiles WHERE org_id = $1 AND id = $2",
        ),
    };
    let done = sqlx::query(sql)
        .bind(org.0)
        .bind(id)
        .execute(&db.writer)
        .await?;
    changed(name, id, done.rows_affected())
}

pub(super) async fn create_scenario(
    db: &Sqlite,
    new: NewScenario,
    now: Timestamp,
) -> Result<Scenario> {
    let mut tx = db.write().await?;
    check_references(
        &mut tx,
        new.org,
        [
            ("agent", "agents", Some(new.agent.0)),
            (
                "phone number",
                "phone_numbers",
                new.phone_number.map(|id| id.0),
            ),
            (
                "test profile",
                "test_profiles",
                new.test_profile.map(|id| id.0),
            ),
        ],
    )
    .await?;
    let number: Option<i64> = match new.phone_number {
        Some(number) => Some(number.0),
        None => least_used_number(&mut tx, new.org).await?,
    };
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO scenarios (org_id, project_id, agent_id, name, phone_number_id, \
         test_profile_id, tags, folder_path, first_message, max_duration_ms, extra, created_at, \
         updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12) RETURNING id",
    )
    .bind(new.org.0)
    .bind(new.project.0)
    .bind(new.agent.0)
    .bind(&new.name)
    .bind(number)
    .bind(new.test_profile.map(|profile| profile.0))
    .bind(to_json("evaluator", &new.tags)?)
    .bind(&new.folder_path)
    .bind(&new.first_message)
    .bind(new.max_duration.map(millis))
    .bind(to_json("evaluator", &new.extra)?)
    .bind(now.as_micros())
    .fetch_one(&mut *tx)
    .await?;
    let mut query = QueryBuilder::<Driver>::new("SELECT ");
    query
        .push(SCENARIO)
        .push(SCENARIO_FROM)
        .push_bind(new.org.0);
    query.push(" AND s.id = ").push_bind(id);
    let row = query.build().fetch_one(&mut *tx).await?;
    let created = scenario(&row)?;
    tx.commit().await?;
    Ok(created)
}

/// What an evaluator refers to has to be its own organisation's.
async fn check_references(
    db: &mut SqliteConnection,
    org: OrganisationId,
    references: [(&'static str, &str, Option<i64>); 3],
) -> Result<()> {
    for (what, table, id) in references {
        let Some(id) = id else { continue };
        let mut query = QueryBuilder::<Driver>::new("SELECT count(*) FROM ");
        query.push(table).push(" WHERE org_id = ").push_bind(org.0);
        query.push(" AND id = ").push_bind(id);
        let found: i64 = query.build_query_scalar().fetch_one(&mut *db).await?;
        if found == 0 {
            return Err(not_found(what, id));
        }
    }
    Ok(())
}

async fn least_used_number(db: &mut SqliteConnection, org: OrganisationId) -> Result<Option<i64>> {
    Ok(sqlx::query_scalar(
        "SELECT n.id FROM phone_numbers n LEFT JOIN scenarios s ON s.phone_number_id = n.id \
         WHERE n.org_id = $1 GROUP BY n.id ORDER BY count(s.id), n.id LIMIT 1",
    )
    .bind(org.0)
    .fetch_optional(db)
    .await?)
}

pub(super) async fn scenario_by_id(
    db: &Sqlite,
    org: OrganisationId,
    id: ScenarioId,
) -> Result<Scenario> {
    let mut query = QueryBuilder::<Driver>::new("SELECT ");
    query.push(SCENARIO).push(SCENARIO_FROM).push_bind(org.0);
    query.push(" AND s.id = ").push_bind(id.0);
    let row = query.build().fetch_optional(&db.readers).await?;
    scenario(&row.ok_or_else(|| not_found("evaluator", id.0))?)
}

pub(super) async fn scenarios(
    db: &Sqlite,
    org: OrganisationId,
    filter: ScenarioFilter,
    wanted: Page,
) -> Result<Listing<Scenario>> {
    let select = |query: &mut QueryBuilder<Driver>| filter_scenarios(query, org, &filter);
    let order = " ORDER BY s.id";
    page(&db.readers, SCENARIO, order, wanted, select, scenario).await
}

fn filter_scenarios(
    query: &mut QueryBuilder<Driver>,
    org: OrganisationId,
    filter: &ScenarioFilter,
) -> Result<()> {
    query.push(SCENARIO_FROM).push_bind(org.0);
    if let Some(agent) = filter.agent {
        query.push(" AND s.agent_id = ").push_bind(agent.0);
    }
    if let Some(project) = filter.project {
        query.push(" AND s.project_id = ").push_bind(project.0);
    }
    if let Some(ids) = &filter.ids {
        let ids = to_json("evaluator", ids)?;
        query.push(" AND s.id IN (SELECT value FROM json_each(");
        query.push_bind(ids).push("))");
    }
    if let Some(folder) = &filter.folder_path {
        query
            .push(" AND (s.folder_path = ")
            .push_bind(folder.clone());
        query.push(" OR instr(s.folder_path, ");
        query.push_bind(format!("{folder}.")).push(") = 1)");
    }
    let has = " EXISTS (SELECT 1 FROM json_each(s.tags) t WHERE t.value = ";
    let mut tags = filter.tags.iter();
    if let Some(first) = tags.next() {
        let (open, between) = match filter.tag_match {
            TagMatch::Any => (" AND (", " OR"),
            TagMatch::All => (" AND (", " AND"),
            TagMatch::None => (" AND NOT (", " OR"),
        };
        query
            .push(open)
            .push(has)
            .push_bind(first.clone())
            .push(")");
        for tag in tags {
            query.push(between).push(has);
            query.push_bind(tag.clone()).push(")");
        }
        query.push(")");
    }
    Ok(())
}

pub(super) async fn update_scenario(
    db: &Sqlite,
    scenario: &Scenario,
    now: Timestamp,
) -> Result<()> {
    let mut tx = db.write().await?;
    check_references(
        &mut tx,
        scenario.org,
        [
            ("agent", "agents", Some(scenario.agent.0)),
            (
                "phone number",
                "phone_numbers",
                scenario.phone_number.map(|id| id.0),
            ),
            (
                "test profile",
                "test_profiles",
                scenario.test_profile.map(|id| id.0),
            ),
        ],
    )
    .await?;
    let done = sqlx::query(
        "UPDATE scenarios SET project_id = $1, agent_id = $2, name = $3, phone_number_id = $4, \
         test_profile_id = $5, tags = $6, folder_path = $7, first_message = $8, \
         max_duration_ms = $9, extra = $10, updated_at = $11 WHERE org_id = $12 AND id = $13",
    )
    .bind(scenario.project.0)
    .bind(scenario.agent.0)
    .bind(&scenario.name)
    .bind(scenario.phone_number.map(|number| number.0))
    .bind(scenario.test_profile.map(|profile| profile.0))
    .bind(to_json("evaluator", &scenario.tags)?)
    .bind(&scenario.folder_path)
    .bind(&scenario.first_message)
    .bind(scenario.max_duration.map(millis))
    .bind(to_json("evaluator", &scenario.extra)?)
    .bind(now.as_micros())
    .bind(scenario.org.0)
    .bind(scenario.id.0)
    .execute(&mut *tx)
    .await?;
    changed("evaluator", scenario.id.0, done.rows_affected())?;
    tx.commit().await?;
    Ok(())
}

pub(super) async fn create_test_profile(
    db: &Sqlite,
    new: NewTestProfile,
    now: Timestamp,
) -> Result<TestProfile> {
    let row = sqlx::query(
        "INSERT INTO test_profiles (org_id, project_id, agent_id, name, information, created_at, \
         updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6) RETURNING *",
    )
    .bind(new.org.0)
    .bind(new.project.map(|project| project.0))
    .bind(new.agent.map(|agent| agent.0))
    .bind(&new.name)
    .bind(to_json("test profile", &new.information)?)
    .bind(now.as_micros())
    .fetch_one(&db.writer)
    .await?;
    test_profile(&row)
}

pub(super) async fn test_profile_by_id(
    db: &Sqlite,
    org: OrganisationId,
    id: TestProfileId,
) -> Result<TestProfile> {
    let row = sqlx::query("SELECT * FROM test_profiles WHERE org_id = $1 AND id = $2")
        .bind(org.0)
        .bind(id.0)
        .fetch_optional(&db.readers)
        .await?;
    test_profile(&row.ok_or_else(|| not_found("test profile", id.0))?)
}

pub(super) async fn test_profiles(
    db: &Sqlite,
    org: OrganisationId,
    filter: TestProfileFilter,
    wanted: Page,
) -> Result<Listing<TestProfile>> {
    let select = |query: &mut QueryBuilder<Driver>| {
        query.push(" FROM test_profiles WHERE org_id = ");
        query.push_bind(org.0);
        if let Some(project) = filter.project {
            query.push(" AND project_id = ").push_bind(project.0);
        }
        if let Some(agent) = filter.agent {
            query.push(" AND agent_id = ").push_bind(agent.0);
        }
        Ok(())
    };
    page(
        &db.readers,
        "*",
        " ORDER BY id",
        wanted,
        select,
        test_profile,
    )
    .await
}

pub(super) async fn update_test_profile(
    db: &Sqlite,
    profile: &TestProfile,
    now: Timestamp,
) -> Result<()> {
    let done = sqlx::query(
        "UPDATE test_profiles SET project_id = $1, agent_id = $2, name = $3, information = $4, \
         updated_at = $5 WHERE org_id = $6 AND id = $7",
    )
    .bind(profile.project.map(|project| project.0))
    .bind(profile.agent.map(|agent| agent.0))
    .bind(&profile.name)
    .bind(to_json("test profile", &profile.information)?)
    .bind(now.as_micros())
    .bind(profile.org.0)
    .bind(profile.id.0)
    .execute(&db.writer)
    .await?;
    changed("test profile", profile.id.0, done.rows_affected())
}
