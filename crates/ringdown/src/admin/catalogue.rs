use std::path::Path;

use anyhow::Context as _;
use ringdown_api::own::{AddPhoneNumber, DialRoute};
use serde_json::{Map, Value, json};

use super::args::{
    AgentFields, AgentsCommand, EvaluatorFields, EvaluatorsCommand, NumbersCommand, Provider,
};
use super::{Agents, Evaluators, Numbers, client, confirm, output};
use crate::attempts::failure;
use crate::cli::Format;
use crate::exit::{Failure, Outcome};

/// The fields of `json`, if any, with those that have flags of their own.
fn fields(json: Option<&str>, flags: &[(&str, Option<Value>)]) -> Result<Value, Failure> {
    let mut fields = match json {
        None => Map::new(),
        Some(text) => serde_json::from_str(text)
            .map_err(|error| Failure::usage(format!("--json is no JSON object: {error}")))?,
    };
    for (name, value) in flags {
        if let Some(value) = value {
            fields.insert((*name).to_owned(), value.clone());
        }
    }
    Ok(Value::Object(fields))
}

impl AgentFields {
    fn read(&self) -> Result<Value, Failure> {
        fields(
            self.json.as_deref(),
            &[
                ("agent_name", self.name.clone().map(Value::from)),
                ("inbound", self.inbound.map(Value::from)),
                (
                    "contact_number",
                    self.contact_number.clone().map(Value::from),
                ),
                ("project", self.project.map(Value::from)),
            ],
        )
    }
}

impl EvaluatorFields {
    fn read(&self) -> Result<Value, Failure> {
        fields(
            self.json.as_deref(),
            &[
                ("name", self.name.clone().map(Value::from)),
                ("agent", self.agent.map(Value::from)),
                ("instructions", self.instructions.clone().map(Value::from)),
                ("first_message", self.first_message.clone().map(Value::from)),
                ("phone_number", self.phone_number.map(Value::from)),
            ],
        )
    }
}

/// `ringdown agents`
pub(crate) async fn agents(agents: Agents, format: Format) -> Outcome {
    let client = client(&agents.service)?;
    match agents.command {
        AgentsCommand::List => {
            let columns = [
                ("Id", "id"),
                ("Name", "agent_name"),
                ("Project", "project"),
                ("Takes calls", "inbound"),
                ("Calls from", "contact_number"),
            ];
            let all = client.all_agents().await.map_err(failure)?;
            output::list(&all, &columns, format)
        }
        AgentsCommand::Show { id } => {
            output::one(&client.agent(id).await.map_err(failure)?, format)
        }
        AgentsCommand::Create { fields } => {
            let mut fields = fields.read()?;
            // What this product tests, if nothing else is said.
            if let Value::Object(fields) = &mut fields {
                fields.entry("inbound").or_insert(Value::Bool(false));
            }
            let made = client.create_agent_of(&fields).await.map_err(failure)?;
            output::one(&made, format)
        }
        AgentsCommand::Update { id, fields } => {
            let changed = client.update_agent(id, &fields.read()?).await;
            output::one(&changed.map_err(failure)?, format)
        }
        AgentsCommand::DialRoute { id, route, clear } => {
            let route = route.filter(|_| !clear);
            let set = client.set_dial_route(id, &DialRoute { route }).await;
            output::one(&set.map_err(failure)?, format)
        }
        AgentsCommand::Delete { id, consent } => {
            confirm(
                consent.yes,
                &format!("Delete the agent {id} and its evaluators?"),
            )?;
            client.delete_agent(id).await.map_err(failure)?;
            output::gone("agent", id, format)
        }
    }
}

const EVALUATORS: [(&str, &str); 5] = [
    ("Id", "id"),
    ("Name", "name"),
    ("Agent", "agent_name"),
    ("Number", "phone_number"),
    ("Tags", "tags"),
];

/// `ringdown evaluators`
pub(crate) async fn evaluators(evaluators: Evaluators, format: Format) -> Outcome {
    let client = client(&evaluators.service)?;
    match evaluators.command {
        EvaluatorsCommand::List { agent } => {
            let all = client.all_scenarios(agent).await.map_err(failure)?;
            output::list(&all, &EVALUATORS, format)
        }
        EvaluatorsCommand::Show { id } => {
            output::one(&client.scenario(id).await.map_err(failure)?, format)
        }
        EvaluatorsCommand::Create { fields } => {
            let made = client.create_scenario_of(&fields.read()?).await;
            output::one(&made.map_err(failure)?, format)
        }
        EvaluatorsCommand::Update { id, fields } => {
            let changed = client.update_scenario(id, &fields.read()?).await;
            output::one(&changed.map_err(failure)?, format)
        }
        EvaluatorsCommand::Delete { id, consent } => {
            confirm(consent.yes, &format!("Delete the evaluator {id}?"))?;
            client.delete_scenario(id).await.map_err(failure)?;
            output::gone("evaluator", id, format)
        }
        EvaluatorsCommand::Import { file, agent } => {
            let mut made = Vec::new();
            for (index, evaluator) in read(&file, agent)?.iter().enumerate() {
                let one = client.create_scenario_of(evaluator).await;
                made.push(one.map_err(|error| {
                    let mut failure = failure(error);
                    failure.error = failure.error.context(format!(
                        "evaluator {} of {} was not created, {} before it were",
                        index + 1,
                        file.display(),
                        made.len()
                    ));
                    failure
                })?);
            }
            output::list(&made, &EVALUATORS, format)
        }
    }
}

/// The evaluators of a file, each an object with an agent.
fn read(file: &Path, agent: Option<i64>) -> Result<Vec<Value>, Failure> {
    let shown = file.display();
    let text = std::fs::read(file)
        .with_context(|| format!("failed to read {shown}"))
        .map_err(|error| Failure::usage(format!("{error:#}")))?;
    let content: Value = serde_json::from_slice(&text)
        .map_err(|error| Failure::usage(format!("{shown} is no JSON: {error}")))?;
    let mut all = match content {
        Value::Array(all) => all,
        one => vec![one],
    };
    for (index, evaluator) in all.iter_mut().enumerate() {
        let place = index + 1;
        let Value::Object(fields) = evaluator else {
            let message = format!("{shown}: item {place} is no JSON object");
            return Err(Failure::usage(message));
        };
        if let Some(agent) = agent {
            fields.entry("agent").or_insert(agent.into());
        }
        if !fields.contains_key("agent") {
            let message = format!("{shown}: item {place} names no agent; add it, or give --agent");
            return Err(Failure::usage(message));
        }
    }
    Ok(all)
}

/// `ringdown numbers`
pub(crate) async fn numbers(numbers: Numbers, format: Format) -> Outcome {
    let client = client(&numbers.service)?;
    match numbers.command {
        NumbersCommand::List => {
            let columns = [
                ("Id", "id"),
                ("Number", "number"),
                ("Name", "name"),
                ("Provider", "provider"),
                ("Project", "project"),
                ("Evaluator", "scenario_name"),
            ];
            let all = client.phone_numbers().await.map_err(failure)?;
            output::list(&all, &columns, format)
        }
        NumbersCommand::Add {
            number,
            name,
            project,
        } => {
            let new = AddPhoneNumber {
                number,
                name,
                project_id: project,
            };
            let made = client.add_phone_number(&new).await.map_err(failure)?;
            output::one(&made, format)
        }
        NumbersCommand::Import {
            provider,
            number,
            account,
            secret,
            name,
            project,
        } => {
            let (provider, mut form) = form(provider, &number, account.as_deref(), &secret)?;
            if let Some(fields) = form.as_object_mut() {
                fields.insert("name".to_owned(), name.into());
                fields.insert("project".to_owned(), project.into());
            }
            let made = client.import_phone_number(provider, &form).await;
            output::one(&made.map_err(failure)?, format)
        }
        NumbersCommand::Remove { id, consent } => {
            confirm(consent.yes, &format!("Take the phone number {id} away?"))?;
            client.remove_phone_number(id).await.map_err(failure)?;
            output::gone("phone number", id, format)
        }
    }
}

/// What a provider's import is asked with.
fn form(
    provider: Provider,
    number: &str,
    account: Option<&str>,
    secret: &str,
) -> Result<(&'static str, Value), Failure> {
    let account = || account.ok_or_else(|| Failure::usage("this provider needs --account"));
    Ok(match provider {
        Provider::Twilio => (
            "twilio",
            json!({"twilio_phone_number": number, "twilio_account_sid": account()?,
                   "twilio_auth_token": secret}),
        ),
        Provider::Plivo => (
            "plivo",
            json!({"plivo_phone_number": number, "plivo_auth_id": account()?,
                   "plivo_auth_token": secret}),
        ),
        Provider::Telnyx => (
            "telnyx",
            json!({"telnyx_phone_number": number, "telnyx_api_key": secret}),
        ),
    })
}
