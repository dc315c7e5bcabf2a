use async_trait::async_trait;
use ringdown_domain::{PersonalityId, ScenarioId, TestProfileId, Timestamp};

use super::rows::{changed, to_json};
use super::{Database, scenarios};
use crate::sql::{Session, sql};
use crate::{
    NewPersonality, NewScenario, NewSuite, NewTestProfile, Result, Scenario, StoredSuite, Suites,
};

#[async_trait]
impl Suites for Database {
    async fn put_suite(&self, suite: NewSuite, now: Timestamp) -> Result<StoredSuite> {
        let mut tx = self.write().await?;
        let mut stored = StoredSuite::default();
        for (id, new) in &suite.personalities {
            let id = personality(&mut tx, *id, new, now).await?;
            stored.personalities.push(id);
        }
        for (id, new) in &suite.profiles {
            stored.profiles.push(profile(&mut tx, *id, new, now).await?);
        }
        for evaluator in suite.evaluators {
            let mut scenario = evaluator.scenario;
            let own = evaluator.personality;
            if let Some(id) = own.and_then(|index| stored.personalities.get(index)) {
                scenario.extra.insert("personality".to_owned(), id.0.into());
            }
            if let Some(id) = evaluator.profile.and_then(|i| stored.profiles.get(i)) {
                scenario.test_profile = Some(*id);
            }
            let scenario = if scenario.id == ScenarioId(0) {
                scenarios::insert(&mut tx, new(scenario), now).await?
            } else {
                scenarios::update(&mut tx, &scenario, now).await?;
                scenarios::load(&mut tx, scenario.org.into(), scenario.id).await?
            };
            stored.evaluators.push(scenario);
        }
        tx.commit().await?;
        Ok(stored)
    }
}

fn new(scenario: Scenario) -> NewScenario {
    NewScenario {
        org: scenario.org,
        project: scenario.project,
        agent: scenario.agent,
        name: scenario.name,
        phone_number: scenario.phone_number,
        test_profile: scenario.test_profile,
        tags: scenario.tags,
        folder_path: scenario.folder_path,
        first_message: scenario.first_message,
        max_duration: scenario.max_duration,
        extra: scenario.extra,
    }
}

async fn personality(
    on: &mut Session,
    id: Option<PersonalityId>,
    new: &NewPersonality,
    now: Timestamp,
) -> Result<PersonalityId> {
    let extra = to_json("personality", &new.extra)?;
    let Some(id) = id else {
        let row = sql(
            "INSERT INTO personalities (org_id, project_id, name, language, body, created_at, \
             updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6) RETURNING id",
        )
        .bind(new.org.0)
        .bind(new.project.0)
        .bind(&new.name)
        .bind(&new.language)
        .bind(extra)
        .bind(now)
        .one(on)
        .await?;
        return row.id("id");
    };
    let rows = sql(
        "UPDATE personalities SET name = $1, language = $2, body = $3, updated_at = $4 \
         WHERE org_id = $5 AND project_id = $6 AND id = $7",
    )
    .bind(&new.name)
    .bind(&new.language)
    .bind(extra)
    .bind(now)
    .bind(new.org.0)
    .bind(new.project.0)
    .bind(id.0)
    .run(on)
    .await?;
    changed("personality", id.0, rows)?;
    Ok(id)
}

async fn profile(
    on: &mut Session,
    id: Option<TestProfileId>,
    new: &NewTestProfile,
    now: Timestamp,
) -> Result<TestProfileId> {
    let information = to_json("test profile", &new.information)?;
    let Some(id) = id else {
        let row = sql(
            "INSERT INTO test_profiles (org_id, project_id, agent_id, name, information, \
             created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6) RETURNING id",
        )
        .bind(new.org.0)
        .bind(new.project.map(|project| project.0))
        .bind(new.agent.map(|agent| agent.0))
        .bind(&new.name)
        .bind(information)
        .bind(now)
        .one(on)
        .await?;
        return row.id("id");
    };
    let rows = sql(
        "UPDATE test_profiles SET name = $1, information = $2, updated_at = $3 \
         WHERE org_id = $4 AND id = $5",
    )
    .bind(&new.name)
    .bind(information)
    .bind(now)
    .bind(new.org.0)
    .bind(id.0)
    .run(on)
    .await?;
    changed("test profile", id.0, rows)?;
    Ok(id)
}
