//! The teams, their agents, evaluators and numbers, made through the REST API as a user would.

use ringdown_api::own::{AddPhoneNumber, CreateOrganization, DialRoute, ProjectSettings};
use ringdown_api::{RunScenarios, TriggeredResult};
use ringdown_client::{Client, NewAgent, NewScenario};
use ringdown_domain::Team;
use ringdown_observer::RunKey;
use serde_json::{Value, json};

use super::agents::{COMMAND_ROUTE, SIP_ROUTE};
use super::troubles::Trouble;
use crate::attempts::failure;
use crate::exit::Failure;

/// Seconds in which a run of the second team has to be called: short, so that what is not called
/// times out while one watches.
const SHORT_WINDOW: u64 = 10;

/// A team with its key.
pub(super) struct DemoTeam {
    pub(super) slug: &'static str,
    pub(super) name: Team,
    pub(super) limit: u32,
    pub(super) client: Client,
    batches: Vec<Batch>,
}

struct Batch {
    agent: i64,
    agent_name: &'static str,
    contact_number: &'static str,
    frequency: i64,
    evaluators: Vec<Evaluator>,
}

struct Evaluator {
    id: i64,
    name: &'static str,
    trouble: Option<Trouble>,
}

/// The world.
pub(super) struct World {
    pub(super) teams: Vec<DemoTeam>,
}

/// One run of the demo, and what is meant to become of it.
pub(super) struct Part {
    pub(super) key: RunKey,
    pub(super) evaluator: &'static str,
    pub(super) number: String,
    pub(super) contact_number: &'static str,
    /// Whether the agent calls by itself instead of through the dialer.
    pub(super) by_itself: bool,
    pub(super) trouble: Option<Trouble>,
}

/// An agent to make.
struct AgentPlan {
    name: &'static str,
    contact_number: &'static str,
    route: Option<&'static str>,
    frequency: i64,
    evaluators: &'static [EvaluatorPlan],
}

struct EvaluatorPlan {
    name: &'static str,
    number: &'static str,
    replies: &'static [&'static str],
    trouble: Option<Trouble>,
}

const CLINIC: [AgentPlan; 2] = [
    AgentPlan {
        name: "Appointment reminder",
        contact_number: "+14155550101",
        route: Some(SIP_ROUTE),
        frequency: 2,
        evaluators: &[
            EvaluatorPlan {
                name: "Confirms the appointment",
                number: "+14155550111",
                replies: &["Yes, I will be there.", "All right, I will."],
                trouble: None,
            },
            EvaluatorPlan {
                name: "Asks to reschedule",
                number: "+14155550112",
                replies: &["Could we move it to Friday?", "Hm, fine."],
                trouble: None,
            },
        ],
    },
    AgentPlan {
        name: "Patient survey",
        contact_number: "+14155550102",
        route: Some(COMMAND_ROUTE),
        frequency: 2,
        evaluators: &[EvaluatorPlan {
            name: "Answers the survey",
            number: "+14155550113",
            replies: &["Five, it was good."],
            trouble: None,
        }],
    },
];

const CREDIT: [AgentPlan; 1] = [AgentPlan {
    name: "Payment reminder",
    contact_number: "+14155550201",
    route: None,
    frequency: 1,
    evaluators: &[
        EvaluatorPlan {
            name: "Calls from another number",
            number: "+14155550211",
            replies: &[],
            trouble: Some(Trouble::CallerIdMismatch),
        },
        EvaluatorPlan {
            name: "Promises to pay",
            number: "+14155550212",
            replies: &["I will pay on Monday.", "All right."],
            trouble: None,
        },
        EvaluatorPlan {
            name: "Calls too early",
            number: "+14155550213",
            replies: &["I thought I had paid.", "All right."],
            trouble: Some(Trouble::TooEarly),
        },
        EvaluatorPlan {
            name: "Calls the wrong number",
            number: "+14155550214",
            replies: &[],
            trouble: Some(Trouble::WrongNumber),
        },
    ],
}];

impl World {
    /// Makes everything. `connect` gives a client for a key.
    pub(super) async fn build(
        admin: &Client,
        connect: impl Fn(String) -> Result<Client, Failure>,
    ) -> Result<Self, Failure> {
        let mut teams = Vec::new();
        for (slug, name, plans, window) in [
            ("northwind-clinics", "Northwind Clinics", &CLINIC[..], None),
            (
                "harbor-credit",
                "Harbor Credit",
                &CREDIT[..],
                Some(SHORT_WINDOW),
            ),
        ] {
            let limit = 2;
            let request = CreateOrganization {
                name: name.to_owned(),
                slug: slug.to_owned(),
                parallel_call_limit: Some(limit),
            };
            let made = admin.create_organization(&request).await.map_err(failure)?;
            let client = connect(made.api_key.unwrap_or_default())?;
            if let (Some(project), Some(_)) = (made.project_id, window) {
                let settings = ProjectSettings {
                    outbound_timeout: window,
                    ..ProjectSettings::default()
                };
                let changed = client.update_project(project, &settings).await;
                changed.map_err(failure)?;
            }
            let mut batches = Vec::new();
            for plan in plans {
                batches.push(batch(&client, plan).await?);
            }
            teams.push(DemoTeam {
                slug,
                name: slug.parse().map_err(Failure::internal)?,
                limit,
                client,
                batches,
            });
        }
        Ok(Self { teams })
    }

    /// What there is, for people.
    pub(super) fn describe(&self) -> String {
        let mut text = String::new();
        for team in &self.teams {
            text.push_str(&format!(
                "Team {}, {} parallel calls:\n",
                team.slug, team.limit
            ));
            for batch in &team.batches {
                let names: Vec<&str> = batch.evaluators.iter().map(|e| e.name).collect();
                text.push_str(&format!(
                    "  {} calls from {}, {} x: {}\n",
                    batch.agent_name,
                    batch.contact_number,
                    batch.frequency,
                    names.join(", ")
                ));
            }
        }
        text
    }

    /// Triggers every batch.
    pub(super) async fn trigger(&self) -> Result<Vec<Part>, Failure> {
        let mut parts = Vec::new();
        for team in &self.teams {
            for batch in &team.batches {
                let request = RunScenarios {
                    agent_id: Some(batch.agent),
                    scenarios: Some(batch.evaluators.iter().map(|e| e.id).collect()),
                    frequency: Some(batch.frequency),
                    name: Some(batch.agent_name.to_owned()),
                    ..RunScenarios::default()
                };
                let result = team.client.run_scenarios(&request).await;
                parts.extend(batch.parts(&team.name, result.map_err(failure)?));
            }
        }
        Ok(parts)
    }
}

impl Batch {
    fn parts(&self, team: &Team, result: TriggeredResult) -> Vec<Part> {
        let runs = result.runs.into_iter().filter_map(|run| {
            let mut evaluators = self.evaluators.iter();
            let evaluator = evaluators.find(|e| Some(e.id) == run.scenario)?;
            Some(Part {
                key: RunKey {
                    team: team.clone(),
                    run: run.id.into(),
                },
                evaluator: evaluator.name,
                number: run.outbound_number.or(run.number)?,
                contact_number: self.contact_number,
                by_itself: self.frequency == 1,
                trouble: evaluator.trouble,
            })
        });
        runs.collect()
    }
}

async fn batch(client: &Client, plan: &AgentPlan) -> Result<Batch, Failure> {
    let agent = NewAgent {
        agent_name: plan.name.to_owned(),
        description: "An agent of the demo".to_owned(),
        inbound: false,
        contact_number: plan.contact_number.to_owned(),
        agent_gives_first_message: false,
    };
    let agent = client.create_agent(&agent).await.map_err(failure)?.id;
    if let Some(route) = plan.route {
        let route = DialRoute {
            route: Some(route.to_owned()),
        };
        let set = client.set_dial_route(agent, &route).await;
        set.map_err(failure)?;
    }
    let mut evaluators = Vec::new();
    for evaluator in plan.evaluators {
        let number = AddPhoneNumber {
            number: evaluator.number.to_owned(),
            name: None,
            ..AddPhoneNumber::default()
        };
        let number = client.add_phone_number(&number).await.map_err(failure)?;
        let scenario = NewScenario {
            name: evaluator.name.to_owned(),
            agent,
            instructions: format!("{}.", evaluator.name),
            first_message: "Hello?".to_owned(),
            conditional_actions: Some(conversation(evaluator.replies)),
            phone_number: Some(number.id),
            ..NewScenario::default()
        };
        evaluators.push(Evaluator {
            id: client.create_scenario(&scenario).await.map_err(failure)?.id,
            name: evaluator.name,
            trouble: evaluator.trouble,
        });
    }
    Ok(Batch {
        agent,
        agent_name: plan.name,
        contact_number: plan.contact_number,
        frequency: plan.frequency,
        evaluators,
    })
}

/// A conversation in the reference's form: fixed answers, one after each turn of the agent.
fn conversation(replies: &[&str]) -> Value {
    let fixed = |id: usize, condition: &str, action: &str| {
        json!({
            "id": id,
            "condition": condition,
            "action": action,
            "type": "standard",
            "fixed_message": true,
        })
    };
    let mut conditions = vec![fixed(0, "FIRST_MESSAGE", "Hello?")];
    for (index, reply) in replies.iter().enumerate() {
        conditions.push(fixed(index + 1, "The agent has spoken.", reply));
    }
    json!({"role": "A customer who is called.", "conditions": conditions})
}
