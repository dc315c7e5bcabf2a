use reqwest::Method;
use ringdown_api::{
    Agent, MAX_BULK_IDS, Page, PhoneNumber, ResultDetail, Run, RunScenarios, Scenario, TestProfile,
    TriggeredResult, own,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::client::Client;
use crate::error::Error;

/// An agent to create.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NewAgent {
    /// Its name.
    pub agent_name: String,
    /// What it is for.
    pub description: String,
    /// Whether it takes calls instead of making them.
    pub inbound: bool,
    /// The number it calls from, E.164.
    pub contact_number: String,
    /// Whether it speaks before the testing agent.
    pub agent_gives_first_message: bool,
}

/// An evaluator to create.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NewScenario {
    /// Its name.
    pub name: String,
    /// The agent it tests.
    pub agent: i64,
    /// Its personality.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub personality: Option<i64>,
    /// What the testing agent is to do.
    pub instructions: String,
    /// What it says first.
    pub first_message: String,
    /// What it says after each turn of the agent, in the reference's form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conditional_actions: Option<Value>,
    /// The id of its number; one is chosen if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<i64>,
    /// Its test profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_profile: Option<i64>,
}

/// Which rows of the attempt ledger to read.
#[derive(Clone, Debug, Default)]
pub struct AttemptQuery {
    /// Only of this run.
    pub run: Option<i64>,
    /// Only `invite` or `dial`.
    pub kind: Option<String>,
    /// Only with this verdict.
    pub verdict: Option<String>,
    /// Only calls that were not matched.
    pub refused: bool,
    /// Page, from 1.
    pub page: u32,
    /// Rows per page.
    pub page_size: u32,
}

const V1: &str = "test_framework/v1";
const OWN: &str = "ringdown/v1";

impl Client {
    /// One agent.
    ///
    /// # Errors
    /// See [`Error`]; so for every method.
    pub async fn agent(&self, id: i64) -> Result<Agent, Error> {
        self.get(&format!("{V1}/aiagents/{id}/")).await
    }

    /// One page of agents.
    pub async fn agents(&self, page: u32) -> Result<Page<Agent>, Error> {
        self.get(&format!("{V1}/aiagents/?page={page}")).await
    }

    /// Creates an agent.
    pub async fn create_agent(&self, agent: &NewAgent) -> Result<Agent, Error> {
        self.send(Method::POST, &format!("{V1}/aiagents/"), agent)
            .await
    }

    /// Changes some fields of an agent.
    pub async fn update_agent(&self, id: i64, changes: &Value) -> Result<Agent, Error> {
        self.send(Method::PATCH, &format!("{V1}/aiagents/{id}/"), changes)
            .await
    }

    /// One page of evaluators, of one agent if one is named.
    pub async fn scenarios(&self, agent: Option<i64>, page: u32) -> Result<Page<Scenario>, Error> {
        let agent = agent.map_or_else(String::new, |id| format!("&agent_id={id}"));
        self.get(&format!("{V1}/scenarios/?page={page}{agent}"))
            .await
    }

    /// Creates an evaluator.
    pub async fn create_scenario(&self, scenario: &NewScenario) -> Result<Scenario, Error> {
        self.send(Method::POST, &format!("{V1}/scenarios/"), scenario)
            .await
    }

    /// Creates a test profile of an agent.
    pub async fn create_test_profile(
        &self,
        agent: i64,
        name: &str,
        information: &Value,
    ) -> Result<TestProfile, Error> {
        let body = json!({"agent": agent, "name": name, "information": information});
        self.send(Method::POST, &format!("{V1}/test-profiles/"), &body)
            .await
    }

    /// Triggers runs. Sent once: after an [`crate::Kind::Ambiguous`] failure they may exist.
    pub async fn run_scenarios(&self, request: &RunScenarios) -> Result<TriggeredResult, Error> {
        let path = format!("{V1}/scenarios/run_scenarios/");
        self.send(Method::POST, &path, request).await
    }

    /// Runs by id, in as many requests as the service's limit needs.
    pub async fn runs_bulk(&self, ids: &[i64]) -> Result<Vec<Run>, Error> {
        let mut runs = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(MAX_BULK_IDS) {
            let list: Vec<String> = chunk.iter().map(ToString::to_string).collect();
            let path = format!("{V1}/runs/bulk/?run_ids={}", list.join(","));
            runs.extend(self.get::<Vec<Run>>(&path).await?);
        }
        Ok(runs)
    }

    /// One run.
    pub async fn run(&self, id: i64) -> Result<Run, Error> {
        self.get(&format!("{V1}/runs/{id}/")).await
    }

    /// Ends a run.
    pub async fn end_call(&self, run: i64) -> Result<(), Error> {
        let path = format!("{V1}/runs/{run}/end_call/");
        self.send::<_, Value>(Method::POST, &path, &json!({}))
            .await?;
        Ok(())
    }

    /// One result with its runs.
    pub async fn result(&self, id: i64) -> Result<ResultDetail, Error> {
        self.get(&format!("{V1}/results/{id}/")).await
    }

    /// Ends every unfinished run of a result.
    pub async fn end_calls(&self, result: i64) -> Result<(), Error> {
        let path = format!("{V1}/results/{result}/end_calls/");
        self.send::<_, Value>(Method::POST, &path, &json!({}))
            .await?;
        Ok(())
    }

    /// Every phone number.
    pub async fn phone_numbers(&self) -> Result<Vec<PhoneNumber>, Error> {
        self.get(&format!("{V1}/phone-numbers/")).await
    }

    /// Adds a number of one's own trunk (our own platform only; so for all below).
    pub async fn add_phone_number(
        &self,
        number: &own::AddPhoneNumber,
    ) -> Result<PhoneNumber, Error> {
        self.send(Method::POST, &format!("{OWN}/phone-numbers/"), number)
            .await
    }

    /// One page of the attempt ledger, newest first.
    pub async fn attempts(&self, query: &AttemptQuery) -> Result<Page<own::Attempt>, Error> {
        let mut path = format!(
            "{OWN}/attempts/?page={}&page_size={}",
            query.page.max(1),
            query.page_size.clamp(1, 500)
        );
        if let Some(run) = query.run {
            path.push_str(&format!("&run_id={run}"));
        }
        for (name, value) in [("kind", &query.kind), ("verdict", &query.verdict)] {
            if let Some(value) = value {
                let value: String =
                    url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
                path.push_str(&format!("&{name}={value}"));
            }
        }
        if query.refused {
            path.push_str("&refused=true");
        }
        self.get(&path).await
    }

    /// Creates an organisation; needs the admin key.
    pub async fn create_organization(
        &self,
        organization: &own::CreateOrganization,
    ) -> Result<own::Organization, Error> {
        self.send(Method::POST, &format!("{OWN}/organizations/"), organization)
            .await
    }

    /// The projects of the organisation.
    pub async fn projects(&self) -> Result<Vec<own::Project>, Error> {
        self.get(&format!("{OWN}/projects/")).await
    }

    /// Changes a project's settings.
    pub async fn update_project(
        &self,
        id: i64,
        settings: &own::ProjectSettings,
    ) -> Result<own::Project, Error> {
        self.send(Method::PATCH, &format!("{OWN}/projects/{id}/"), settings)
            .await
    }

    /// Says how an agent is made to call.
    pub async fn set_dial_route(
        &self,
        agent: i64,
        route: &own::DialRoute,
    ) -> Result<own::DialRoute, Error> {
        self.send(
            Method::PUT,
            &format!("{OWN}/agents/{agent}/dial-route/"),
            route,
        )
        .await
    }

    /// Why one run waits, and for how long.
    pub async fn queue_place(&self, run: i64) -> Result<own::QueuePlace, Error> {
        self.get(&format!("{OWN}/runs/{run}/queue/")).await
    }

    /// Whether a batch of an agent could work: `runs` runs, `parallel` of them at once, or as many as
    /// the limits allow.
    pub async fn doctor(
        &self,
        agent: i64,
        runs: u32,
        parallel: Option<u32>,
    ) -> Result<own::Diagnosis, Error> {
        let parallel = parallel.map_or_else(String::new, |calls| format!("&parallel={calls}"));
        self.get(&format!(
            "{OWN}/agents/{agent}/doctor/?runs={runs}{parallel}"
        ))
        .await
    }

    /// Why queued runs wait.
    pub async fn queue(&self) -> Result<Vec<own::QueueEntry>, Error> {
        self.get(&format!("{OWN}/queue/")).await
    }
}
