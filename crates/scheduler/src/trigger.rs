use ringdown_api::{RunScenarios, TriggeredResult, TriggeredRun};
use ringdown_bus::Bus;
use ringdown_client::{Client, Kind};
use ringdown_domain::Team;
use ringdown_domain::run::Status;
use ringdown_proto::v1::envelope::Fact;
use ringdown_proto::v1::{PlanFact, RunStatus, RunTransition, plan_fact};
use tracing::info;

use crate::Error;

/// A batch to trigger.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Name of the service on the bus.
    pub team: Team,
    /// The agent under test.
    pub agent: i64,
    /// Evaluators to run.
    pub scenarios: Vec<i64>,
    /// Runs per evaluator, at least 1.
    pub frequency: u32,
    /// Parallel-call limit of the batch.
    pub concurrency_limit: Option<u32>,
    /// Results of a higher priority go first inside their project; `None`: the service's default. Only
    /// Ringdown knows it.
    pub priority: Option<i32>,
    /// Name of the result.
    pub name: Option<String>,
    /// The dialer's route; empty if the agent calls by itself.
    pub dial_route: String,
    /// Caller ID to dial from; `None` for the agent's own.
    pub from: Option<String>,
}

/// A batch that was triggered.
#[derive(Clone, Debug)]
pub struct Triggered {
    /// Name of the plan on the bus.
    pub plan_id: String,
    /// The agent's name.
    pub agent_name: String,
    /// What the service answered.
    pub result: TriggeredResult,
}

/// Checks the plan, triggers it and announces it.
///
/// # Errors
/// See [`Error`]; only [`Error::Unknown`] and [`Error::Bus`] may leave runs behind.
pub async fn trigger(client: &Client, bus: &Bus, plan: &Plan) -> Result<Triggered, Error> {
    let agent = client.agent(plan.agent).await.map_err(|error| {
        if error.status() == Some(404) {
            Error::NoSuchAgent(plan.agent)
        } else {
            Error::Service(error)
        }
    })?;
    if agent.inbound {
        return Err(Error::Inbound(plan.agent));
    }
    let request = RunScenarios {
        agent_id: Some(plan.agent),
        scenarios: Some(plan.scenarios.clone()),
        frequency: Some(i64::from(plan.frequency)),
        name: plan.name.clone(),
        concurrency_limit: plan.concurrency_limit.map(i64::from),
        priority: plan.priority.map(i64::from),
        ..RunScenarios::default()
    };
    let result = client.run_scenarios(&request).await.map_err(|error| {
        if matches!(error.kind, Kind::Ambiguous(_) | Kind::Malformed(_)) {
            Error::Unknown(error)
        } else {
            Error::Service(error)
        }
    })?;
    info!(result = result.id, runs = result.runs.len(), "triggered");
    let caller_ids = match &plan.from {
        Some(from) => vec![from.clone()],
        None if !agent.outbound_numbers.is_empty() => agent.outbound_numbers.clone(),
        None if !agent.contact_number.is_empty() => vec![agent.contact_number.clone()],
        None => Vec::new(),
    };
    let plan_id = ringdown_bus::new_event_id();
    let runs = result.runs.iter();
    let fact = Fact::Plan(PlanFact {
        plan_id: plan_id.clone(),
        upstream: client.base().to_owned(),
        step: Some(plan_fact::Step::Triggered(plan_fact::Triggered {
            result_id: result.id,
            agent_id: plan.agent,
            dial_route: plan.dial_route.clone(),
            runs: runs
                .map(|run| transition(run, plan, &result, &agent.agent_name, &caller_ids))
                .collect(),
        })),
    });
    let envelope = bus.envelope(&plan.team, fact);
    bus.publish(&envelope, &format!("plan:{plan_id}:triggered"))
        .await?;
    Ok(Triggered {
        plan_id,
        agent_name: agent.agent_name,
        result,
    })
}

fn transition(
    run: &TriggeredRun,
    plan: &Plan,
    result: &TriggeredResult,
    agent_name: &str,
    caller_ids: &[String],
) -> RunTransition {
    let number = run.number.as_ref().or(run.outbound_number.as_ref());
    RunTransition {
        run_id: run.id,
        seq: 1,
        status: RunStatus::from(Status::InQueue).into(),
        number: number.cloned().unwrap_or_default(),
        caller_ids: caller_ids.to_vec(),
        dial_route: plan.dial_route.clone(),
        test_profile_json: run
            .test_profile_data
            .as_ref()
            .and_then(|profile| serde_json::to_string(profile).ok())
            .unwrap_or_default(),
        scenario_id: run.scenario.unwrap_or_default(),
        scenario_name: run.scenario_name.clone(),
        agent_id: plan.agent,
        agent_name: agent_name.to_owned(),
        result_id: result.id,
        ..RunTransition::default()
    }
}
