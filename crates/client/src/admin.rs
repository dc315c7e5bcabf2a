use reqwest::Method;
use ringdown_api::teams::{AuditEntry, Key, NewKey};
use ringdown_api::{Agent, Page, PhoneNumberDetail, Scenario, own};
use ringdown_domain::CarrierName;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::client::Client;
use crate::error::Error;

const V1: &str = "test_framework/v1";
const OWN: &str = "ringdown/v1";

/// Items of one page when all of a list is read.
const PAGE: u32 = 500;

/// Most pages that are read of one list.
const MOST_PAGES: u32 = 100;

/// What administers a team. Lists are whole, up to 50,000 items.
impl Client {
    async fn whole<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, Error> {
        let joint = if path.contains('?') { '&' } else { '?' };
        let mut all = Vec::new();
        for page in 1..=MOST_PAGES {
            let path = format!("{path}{joint}page={page}&page_size={PAGE}");
            let page: Page<T> = self.get(&path).await?;
            let is_last = page.next.is_none();
            all.extend(page.results);
            if is_last {
                break;
            }
        }
        Ok(all)
    }

    async fn delete(&self, path: &str) -> Result<(), Error> {
        self.send(Method::DELETE, path, &json!({})).await
    }

    /// The keys that are not revoked.
    ///
    /// # Errors
    /// See [`Error`]; so for every method.
    pub async fn keys(&self) -> Result<Vec<Key>, Error> {
        self.get(&format!("{OWN}/keys/")).await
    }

    /// Makes a key; the answer holds it.
    pub async fn create_key(&self, key: &NewKey) -> Result<Key, Error> {
        self.send(Method::POST, &format!("{OWN}/keys/"), key).await
    }

    /// Revokes a key.
    pub async fn revoke_key(&self, id: i64) -> Result<(), Error> {
        self.delete(&format!("{OWN}/keys/{id}/")).await
    }

    /// One project.
    pub async fn project(&self, id: i64) -> Result<own::Project, Error> {
        self.get(&format!("{OWN}/projects/{id}/")).await
    }

    /// Creates a project.
    pub async fn create_project(&self, name: &str) -> Result<own::Project, Error> {
        let body = json!({"name": name});
        self.send(Method::POST, &format!("{OWN}/projects/"), &body)
            .await
    }

    /// All organisations of the deployment; needs the admin key.
    pub async fn organizations(&self) -> Result<Vec<own::Organization>, Error> {
        self.whole(&format!("{OWN}/organizations/")).await
    }

    /// The key's own organisation.
    pub async fn organization(&self) -> Result<own::Organization, Error> {
        self.get(&format!("{OWN}/organizations/current/")).await
    }

    /// Changes the key's own organisation.
    pub async fn update_organization(
        &self,
        settings: &own::OrganizationSettings,
    ) -> Result<own::Organization, Error> {
        let path = format!("{OWN}/organizations/current/");
        self.send(Method::PATCH, &path, settings).await
    }

    /// Every agent.
    pub async fn all_agents(&self) -> Result<Vec<Agent>, Error> {
        self.whole(&format!("{V1}/aiagents/")).await
    }

    /// Creates an agent from the fields of the API.
    pub async fn create_agent_of(&self, fields: &Value) -> Result<Agent, Error> {
        self.send(Method::POST, &format!("{V1}/aiagents/"), fields)
            .await
    }

    /// Deletes an agent with its evaluators.
    pub async fn delete_agent(&self, id: i64) -> Result<(), Error> {
        self.delete(&format!("{V1}/aiagents/{id}/?delete_related=true"))
            .await
    }

    /// Every evaluator, of one agent if one is named.
    pub async fn all_scenarios(&self, agent: Option<i64>) -> Result<Vec<Scenario>, Error> {
        let agent = agent.map_or_else(String::new, |id| format!("?agent_id={id}"));
        self.whole(&format!("{V1}/scenarios/{agent}")).await
    }

    /// One evaluator.
    pub async fn scenario(&self, id: i64) -> Result<Scenario, Error> {
        self.get(&format!("{V1}/scenarios/{id}/")).await
    }

    /// Creates an evaluator from the fields of the API.
    pub async fn create_scenario_of(&self, fields: &Value) -> Result<Scenario, Error> {
        self.send(Method::POST, &format!("{V1}/scenarios/"), fields)
            .await
    }

    /// Changes some fields of an evaluator.
    pub async fn update_scenario(&self, id: i64, changes: &Value) -> Result<Scenario, Error> {
        self.send(Method::PATCH, &format!("{V1}/scenarios/{id}/"), changes)
            .await
    }

    /// Deletes an evaluator.
    pub async fn delete_scenario(&self, id: i64) -> Result<(), Error> {
        self.delete(&format!("{V1}/scenarios/{id}/")).await
    }

    /// Imports a number from `provider`: `twilio`, `plivo` or `telnyx`, with the fields of its form.
    pub async fn import_phone_number(
        &self,
        provider: &str,
        fields: &Value,
    ) -> Result<PhoneNumberDetail, Error> {
        let path = format!("{V1}/phone-numbers/providers/{provider}/import/");
        self.send(Method::POST, &path, fields).await
    }

    /// Takes a number away, wherever it came from.
    pub async fn remove_phone_number(&self, id: i64) -> Result<(), Error> {
        self.delete(&format!("{OWN}/phone-numbers/{id}/")).await
    }

    /// Every carrier, by name.
    pub async fn carriers(&self) -> Result<Vec<own::Carrier>, Error> {
        self.whole(&format!("{OWN}/carriers/")).await
    }

    /// One carrier.
    pub async fn carrier(&self, name: &CarrierName) -> Result<own::CarrierDetail, Error> {
        self.get(&format!("{OWN}/carriers/{name}/")).await
    }

    /// Adds a carrier from the fields of the API.
    pub async fn create_carrier(&self, fields: &Value) -> Result<own::CarrierDetail, Error> {
        self.send(Method::POST, &format!("{OWN}/carriers/"), fields)
            .await
    }

    /// Changes some fields of a carrier.
    pub async fn update_carrier(
        &self,
        name: &CarrierName,
        changes: &Value,
    ) -> Result<own::CarrierDetail, Error> {
        self.send(Method::PATCH, &format!("{OWN}/carriers/{name}/"), changes)
            .await
    }

    /// Takes a carrier away.
    pub async fn delete_carrier(&self, name: &CarrierName) -> Result<(), Error> {
        self.delete(&format!("{OWN}/carriers/{name}/")).await
    }

    /// The newest lines of the audit log, at most 500.
    pub async fn audit_log(&self, limit: u32) -> Result<Page<AuditEntry>, Error> {
        let size = limit.clamp(1, 500);
        self.get(&format!("{OWN}/audit-log/?page_size={size}"))
            .await
    }
}
