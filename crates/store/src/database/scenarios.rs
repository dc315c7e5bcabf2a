use async_trait::async_trait;
use ringdown_domain::{ScenarioId, Timestamp};

use super::Database;
use super::rows::{
    Count, changed, count, from_json, from_millis, millis, not_found, page, parsed_option, to_json,
    within, within_or_shared,
};
use crate::sql::{Row, Session, Sql, sql, storable};
use crate::{
    Error, Listing, NewScenario, Page, Result, Scenario, ScenarioFilter, Scenarios, Scope, TagMatch,
};

const SCENARIO: &str = "s.*, n.number AS number";
const SCENARIO_FROM: &str =
    " FROM scenarios s LEFT JOIN phone_numbers n ON n.id = s.phone_number_id WHERE ";

fn scenario(row: &Row) -> Result<Scenario> {
    Ok(Scenario {
        id: row.id("id")?,
        org: row.id("org_id")?,
        project: row.id("project_id")?,
        agent: row.id("agent_id")?,
        name: row.get("name")?,
        phone_number: row.maybe_id("phone_number_id")?,
        number: parsed_option("evaluator", row.get("number")?)?,
        test_profile: row.maybe_id("test_profile_id")?,
        tags: from_json("evaluator", row.get("tags")?)?,
        folder_path: row.get("folder_path")?,
        first_message: row.get("first_message")?,
        max_duration: row.get::<Option<i64>>("max_duration_ms")?.map(from_millis),
        extra: from_json("evaluator", row.get("extra")?)?,
        created_at: Timestamp::from_micros(row.get("created_at")?),
        updated_at: Timestamp::from_micros(row.get("updated_at")?),
    })
}

/// What an evaluator refers to has to be within its own project's reach.
async fn check_references(on: &mut Session, new: &Scenario) -> Result<()> {
    let scope = Scope {
        org: new.org,
        project: Some(new.project),
    };
    let references = [
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
    ];
    for (what, table, id) in references {
        let Some(id) = id else { continue };
        let mut query = sql("SELECT 1 FROM ");
        query
            .push(table)
            .push(" WHERE id = ")
            .push_bind(id)
            .push(" AND ");
        within_or_shared(&mut query, "", scope);
        if query.optional(on).await?.is_none() {
            return Err(not_found(what, id));
        }
    }
    Ok(())
}

async fn least_used_number(on: &mut Session, scope: Scope) -> Result<Option<i64>> {
    let mut query = sql(
        "SELECT n.id FROM phone_numbers n LEFT JOIN scenarios s ON s.phone_number_id = n.id WHERE ",
    );
    within_or_shared(&mut query, "n.", scope);
    query.push(" GROUP BY n.id ORDER BY count(s.id), n.id LIMIT 1");
    query
        .optional(on)
        .await?
        .map(|row| row.get("id"))
        .transpose()
}

/// Tags as both databases can store them.
fn storable_tags(tags: &[String]) -> Vec<String> {
    tags.iter().map(|tag| storable(tag)).collect()
}

pub(super) async fn insert(on: &mut Session, new: NewScenario, now: Timestamp) -> Result<Scenario> {
    let mut stored = Scenario {
        id: ScenarioId(0),
        org: new.org,
        project: new.project,
        agent: new.agent,
        name: new.name,
        phone_number: new.phone_number,
        number: None,
        test_profile: new.test_profile,
        tags: storable_tags(&new.tags),
        folder_path: new.folder_path,
        first_message: new.first_message,
        max_duration: new.max_duration,
        extra: new.extra,
        created_at: now,
        updated_at: now,
    };
    check_references(on, &stored).await?;
    if stored.phone_number.is_none() {
        let scope = Scope {
            org: new.org,
            project: Some(new.project),
        };
        stored.phone_number = least_used_number(on, scope).await?.map(Into::into);
    }
    let row = sql(
        "INSERT INTO scenarios (org_id, project_id, agent_id, name, phone_number_id, \
         test_profile_id, tags, folder_path, first_message, max_duration_ms, extra, created_at, \
         updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12) \
         RETURNING id, (SELECT number FROM phone_numbers WHERE id = $5) AS number",
    )
    .bind(stored.org.0)
    .bind(stored.project.0)
    .bind(stored.agent.0)
    .bind(&stored.name)
    .bind(stored.phone_number.map(|number| number.0))
    .bind(stored.test_profile.map(|profile| profile.0))
    .bind(to_json("evaluator", &stored.tags)?)
    .bind(&stored.folder_path)
    .bind(&stored.first_message)
    .bind(stored.max_duration.map(millis))
    .bind(to_json("evaluator", &stored.extra)?)
    .bind(now)
    .one(on)
    .await?;
    stored.id = row.id("id")?;
    stored.number = parsed_option("evaluator", row.get("number")?)?;
    Ok(stored)
}

/// Reads an evaluator.
pub(super) async fn load(on: &mut Session, scope: Scope, id: ScenarioId) -> Result<Scenario> {
    let mut query = sql("SELECT ");
    query.push(SCENARIO).push(SCENARIO_FROM);
    within(&mut query, "s.", scope);
    query.push(" AND s.id = ").push_bind(id.0);
    let row = query.optional(on).await?;
    scenario(&row.ok_or_else(|| not_found("evaluator", id))?)
}

/// Replaces an evaluator.
pub(super) async fn update(on: &mut Session, scenario: &Scenario, now: Timestamp) -> Result<()> {
    check_references(on, scenario).await?;
    let rows = sql(
        "UPDATE scenarios SET project_id = $1, agent_id = $2, name = $3, phone_number_id = $4, \
         test_profile_id = $5, tags = $6, folder_path = $7, first_message = $8, \
         max_duration_ms = $9, extra = $10, updated_at = $11 WHERE org_id = $12 AND id = $13",
    )
    .bind(scenario.project.0)
    .bind(scenario.agent.0)
    .bind(&scenario.name)
    .bind(scenario.phone_number.map(|number| number.0))
    .bind(scenario.test_profile.map(|profile| profile.0))
    .bind(to_json("evaluator", &storable_tags(&scenario.tags))?)
    .bind(&scenario.folder_path)
    .bind(&scenario.first_message)
    .bind(scenario.max_duration.map(millis))
    .bind(to_json("evaluator", &scenario.extra)?)
    .bind(now)
    .bind(scenario.org.0)
    .bind(scenario.id.0)
    .run(on)
    .await?;
    changed("evaluator", scenario.id.0, rows)
}

fn filtered(query: &mut Sql, scope: Scope, filter: &ScenarioFilter) {
    query.push(SCENARIO_FROM);
    within(query, "s.", scope);
    if let Some(agent) = filter.agent {
        query.push(" AND s.agent_id = ").push_bind(agent.0);
    }
    if let Some(project) = filter.project {
        query.push(" AND s.project_id = ").push_bind(project.0);
    }
    if let Some(ids) = &filter.ids {
        query
            .push(" AND ")
            .one_of("s.id", ids.iter().map(|id| id.0));
    }
    if let Some(folder) = &filter.folder_path {
        query.push(" AND (s.folder_path = ").push_bind(folder);
        query.push(" OR ").either("instr", "strpos");
        query
            .push("(s.folder_path, ")
            .push_bind(format!("{folder}."));
        query.push(") = 1)");
    }
    if let Some((first, rest)) = filter.tags.split_first() {
        let (open, between) = match filter.tag_match {
            TagMatch::Any => (" AND (", " OR "),
            TagMatch::All => (" AND (", " AND "),
            TagMatch::None => (" AND NOT (", " OR "),
        };
        query.push(open).list_has("s.tags", first);
        for tag in rest {
            query.push(between).list_has("s.tags", tag);
        }
        query.push(")");
    }
}

/// Locks these evaluators, all of which have to be in the scope.
async fn all_there(on: &mut Session, scope: Scope, ids: &[ScenarioId]) -> Result<Vec<Scenario>> {
    let mut query = sql("SELECT s.*, NULL AS number FROM scenarios s WHERE ");
    within(&mut query, "s.", scope);
    query
        .push(" AND ")
        .one_of("s.id", ids.iter().map(|id| id.0));
    query.push(" ORDER BY s.id").locked("s");
    let rows = query.all(on).await?;
    let found: Vec<Scenario> = rows.iter().map(scenario).collect::<Result<_>>()?;
    match ids.iter().find(|id| !found.iter().any(|s| s.id == **id)) {
        Some(missing) => Err(not_found("evaluator", missing)),
        None => Ok(found),
    }
}

#[async_trait]
impl Scenarios for Database {
    async fn create_scenario(&self, new: NewScenario, now: Timestamp) -> Result<Scenario> {
        let mut tx = self.write().await?;
        let created = insert(&mut tx, new, now).await?;
        tx.commit().await?;
        Ok(created)
    }

    async fn create_scenarios(
        &self,
        new: Vec<NewScenario>,
        now: Timestamp,
    ) -> Result<Vec<Scenario>> {
        let mut tx = self.write().await?;
        let mut created = Vec::with_capacity(new.len());
        for new in new {
            created.push(insert(&mut tx, new, now).await?);
        }
        tx.commit().await?;
        Ok(created)
    }

    async fn scenario(&self, scope: Scope, id: ScenarioId) -> Result<Scenario> {
        load(&mut self.read().await?, scope, id).await
    }

    async fn scenarios(
        &self,
        scope: Scope,
        filter: ScenarioFilter,
        wanted: Page,
    ) -> Result<Listing<Scenario>> {
        page(
            &mut self.read().await?,
            SCENARIO,
            " ORDER BY s.id",
            wanted,
            Count::Exactly,
            |query| filtered(query, scope, &filter),
            scenario,
        )
        .await
    }

    async fn update_scenario(&self, scenario: &Scenario, now: Timestamp) -> Result<()> {
        let mut tx = self.write().await?;
        update(&mut tx, scenario, now).await?;
        tx.commit().await
    }

    async fn delete_scenarios(&self, scope: Scope, ids: &[ScenarioId]) -> Result<()> {
        let mut tx = self.write().await?;
        all_there(&mut tx, scope, ids).await?;
        let mut query = sql("DELETE FROM scenarios WHERE ");
        query.one_of("id", ids.iter().map(|id| id.0));
        query.run(&mut tx).await?;
        tx.commit().await
    }

    async fn add_tags(
        &self,
        scope: Scope,
        ids: &[ScenarioId],
        tags: &[String],
        now: Timestamp,
    ) -> Result<()> {
        const MOST: usize = 100;
        let mut tx = self.write().await?;
        let tags = storable_tags(tags);
        for mut scenario in all_there(&mut tx, scope, ids).await? {
            for tag in &tags {
                if !scenario.tags.contains(tag) {
                    scenario.tags.push(tag.clone());
                }
            }
            if scenario.tags.len() > MOST {
                return Err(Error::Conflict {
                    what: "evaluator",
                    why: format!("evaluator {} would have more than {MOST} tags", scenario.id),
                });
            }
            sql("UPDATE scenarios SET tags = $1, updated_at = $2 WHERE id = $3")
                .bind(to_json("evaluator", &storable_tags(&scenario.tags))?)
                .bind(now)
                .bind(scenario.id.0)
                .run(&mut tx)
                .await?;
        }
        tx.commit().await
    }

    async fn tags(&self, scope: Scope, filter: ScenarioFilter) -> Result<Vec<(String, u64)>> {
        let mut query = sql("SELECT e.value AS tag, count(*) AS used");
        query.either(
            " FROM scenarios s, json_each(s.tags) e WHERE ",
            " FROM scenarios s, jsonb_array_elements_text(s.tags::jsonb) e (value) WHERE ",
        );
        within(&mut query, "s.", scope);
        if let Some(agent) = filter.agent {
            query.push(" AND s.agent_id = ").push_bind(agent.0);
        }
        if let Some(project) = filter.project {
            query.push(" AND s.project_id = ").push_bind(project.0);
        }
        query.push(" GROUP BY e.value ORDER BY e.value LIMIT 10000");
        let rows = query.all(&mut self.read().await?).await?;
        rows.iter()
            .map(|row| Ok((row.get("tag")?, count("tag", row.get("used")?)?)))
            .collect()
    }
}
