use async_trait::async_trait;
use ringdown_domain::E164;

use super::Database;
use super::rows::{count, from_millis, parsed, to_json, unsigned};
use crate::sql::{Row, Session, sql};
use crate::{Agent, Checkup, Checkups, Result, Rival};

#[async_trait]
impl Checkups for Database {
    async fn checkup(&self, agent: &Agent) -> Result<Checkup> {
        let mut on = self.read().await?;
        let mut checkup = Checkup::default();
        evaluators(&mut on, agent, &mut checkup).await?;
        numbers(&mut on, agent, &mut checkup).await?;
        slots(&mut on, agent, &mut checkup).await?;
        let mut called =
            sql("SELECT number FROM phone_numbers WHERE org_id = $1 AND ").bind(agent.org.0);
        called.one_of("number", agent.caller_ids().iter().map(E164::as_str));
        called.push(" ORDER BY number LIMIT 10");
        for row in called.all(&mut on).await? {
            let number = parsed("phone number", row.get("number")?)?;
            checkup.called_caller_ids.push(number);
        }
        checkup.rivals = rivals(&mut on, agent).await?;
        Ok(checkup)
    }
}

async fn evaluators(on: &mut Session, agent: &Agent, checkup: &mut Checkup) -> Result<()> {
    let row = sql(
        "SELECT count(*) AS evaluators, count(phone_number_id) AS with_number, \
         min(CASE WHEN phone_number_id IS NOT NULL THEN id END) AS first, \
         max(max_duration_ms) AS longest FROM scenarios WHERE org_id = $1 AND agent_id = $2",
    )
    .bind(agent.org.0)
    .bind(agent.id.0)
    .one(on)
    .await?;
    checkup.evaluators = count("evaluator", row.get("evaluators")?)?;
    checkup.with_number = count("evaluator", row.get("with_number")?)?;
    checkup.first = row.maybe_id("first")?;
    checkup.longest = row.get::<Option<i64>>("longest")?.map(from_millis);
    Ok(())
}

/// Free is what a run that has to have a number of its own may be given when it is stored.
async fn numbers(on: &mut Session, agent: &Agent, checkup: &mut Checkup) -> Result<()> {
    let row = sql(
        "SELECT count(*) AS numbers, count(CASE WHEN busy THEN NULL ELSE 1 END) AS free FROM (\
         SELECT EXISTS (SELECT 1 FROM runs r WHERE r.number = n.number \
         AND r.status IN ('in_queue', 'pending', 'in_progress')) AS busy FROM phone_numbers n \
         WHERE n.org_id = $1 AND (n.project_id IS NULL OR n.project_id = $2)) usable",
    )
    .bind(agent.org.0)
    .bind(agent.project.0)
    .one(on)
    .await?;
    checkup.numbers = count("phone number", row.get("numbers")?)?;
    checkup.free_numbers = count("phone number", row.get("free")?)?;
    Ok(())
}

async fn slots(on: &mut Session, agent: &Agent, checkup: &mut Checkup) -> Result<()> {
    let row = sql("SELECT (SELECT count(*) FROM runs WHERE org_id = $1 \
         AND status IN ('pending', 'in_progress')) AS organisation, \
         (SELECT count(*) FROM runs WHERE org_id = $1 AND project_id = $2 \
         AND status IN ('pending', 'in_progress')) AS project")
    .bind(agent.org.0)
    .bind(agent.project.0)
    .one(on)
    .await?;
    checkup.held_in_organisation = unsigned("organisation", row.get("organisation")?)?;
    checkup.held_in_project = unsigned("project", row.get("project")?)?;
    Ok(())
}

/// Matching looks for a caller ID among the pending runs on a number, so two agents that share both
/// cannot be told apart. An agent that takes calls makes none.
async fn rivals(on: &mut Session, agent: &Agent) -> Result<Vec<Rival>> {
    let mut query = sql(
        "SELECT DISTINCT a.id, a.name, a.project_id, n.number FROM scenarios s \
         JOIN agents a ON a.id = s.agent_id JOIN phone_numbers n ON n.id = s.phone_number_id \
         WHERE s.org_id = $1 AND s.agent_id <> $2 AND NOT a.inbound AND s.phone_number_id IN (\
         SELECT phone_number_id FROM scenarios WHERE org_id = $1 AND agent_id = $2) AND (",
    )
    .bind(agent.org.0)
    .bind(agent.id.0)
    .bind(to_json("agent", &agent.caller_ids())?);
    query.either(
        "EXISTS (SELECT 1 FROM json_each($3) ours WHERE \
         (a.outbound_numbers = '[]' AND a.contact_number = ours.value) OR EXISTS (SELECT 1 FROM \
         json_each(a.outbound_numbers) theirs WHERE theirs.value = ours.value))",
        "(a.outbound_numbers = '[]' AND a.contact_number IN (SELECT \
         jsonb_array_elements_text($3::jsonb))) OR a.outbound_numbers::jsonb ?| \
         ARRAY (SELECT jsonb_array_elements_text($3::jsonb))",
    );
    query.push(") ORDER BY a.id, n.number LIMIT 10");
    let rows = query.all(on).await?;
    let rival = |row: &Row| {
        Ok(Rival {
            agent: row.id("id")?,
            name: row.get("name")?,
            project: row.id("project_id")?,
            number: parsed("phone number", row.get("number")?)?,
        })
    };
    rows.iter().map(rival).collect()
}
