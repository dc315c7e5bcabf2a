//! A team with a project whose webhooks go to a receiver.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ringdown_domain::call::EndedReason;
use ringdown_domain::run::Event;
use ringdown_domain::{CallId, E164, OrganisationId, PersonalityId, ResultId, RunId, Timestamp};
use ringdown_egress::{Client, Policy};
use ringdown_store::{
    Agent, Batch, Database, Extra, NewAgent, NewBatch, NewOrganisation, NewPhoneNumber, NewRun,
    NewScenario, NewTemplate, Organisation, ProfileSnapshot, Project, RunPatch, Scenario, Script,
    SecretChange, SecretOwner, Store, TriggeredRun, WebhookEvent, WebhookFilter, WebhookKind,
    WebhookState, WebhookTry,
};
use ringdown_vault::{Context, Keyring, Secret};
use ringdown_webhook::{Dispatch, Error, Metrics, Options, Schedule, Sender, Service};
use tokio::sync::Notify;

pub const SECRET: &str = "a secret of the project";

pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(60), future).await {
        Ok(value) => value,
        Err(_) => panic!("did not happen within 60 s: {what}"),
    }
}

pub fn now() -> Timestamp {
    let micros = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_micros();
    Timestamp::from_micros(micros.try_into().unwrap())
}

/// Does what the platform's engine does, and nothing by itself.
pub struct Platform {
    store: Arc<dyn Store>,
    work: Notify,
}

#[async_trait]
impl Dispatch for Platform {
    async fn open_gate(&self, _: OrganisationId, batch: ResultId) -> Result<(), Error> {
        Ok(self.store.open_gate(batch).await?)
    }

    async fn refuse(&self, org: OrganisationId, batch: ResultId, why: &str) -> Result<(), Error> {
        let ended = self
            .store
            .cancel_batch(org.into(), batch, why, 1_000, now())
            .await?;
        assert!(!ended.is_empty());
        self.work.notify_one();
        Ok(())
    }

    async fn wait_for_work(&self) {
        self.work.notified().await;
    }
}

pub struct World {
    pub store: Arc<dyn Store>,
    pub org: Organisation,
    pub project: Project,
    agent: Agent,
    scenario: Scenario,
    number: E164,
    keyring: Arc<Keyring>,
    platform: Arc<Platform>,
    folder: tempfile::TempDir,
}

/// Options that wait for milliseconds where the documented ones wait for longer.
pub fn quick() -> Options {
    let pauses = |count| vec![Duration::from_millis(20); count];
    Options {
        schedule: Schedule {
            completed: pauses(7),
            pre_trigger: pauses(3),
        },
        ..Options::new("https://ringdown.test")
    }
}

pub fn anywhere() -> Policy {
    Policy::allowing(&["127.0.0.0/8"]).unwrap()
}

impl World {
    pub async fn start(target: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Database::sqlite(&folder.path().join("ringdown.db"))
            .await
            .unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        let new = NewOrganisation {
            team: "team".parse().unwrap(),
            name: "team".to_owned(),
            parallel_limit: None,
            key_sha256: [7; 32],
            operator: false,
        };
        let (org, project) = store.create_organisation(new, now()).await.unwrap();
        let number: E164 = "+15550001000".parse().unwrap();
        let new = NewAgent {
            org: org.id,
            project: project.id,
            name: "agent".to_owned(),
            inbound: false,
            contact_number: Some("+15550002000".parse().unwrap()),
            outbound_numbers: vec![],
            dial_route: None,
            extra: Extra::new(),
            secrets: vec![],
        };
        let agent = store.create_agent(new, now()).await.unwrap();
        let new = NewPhoneNumber {
            scope: org.id.into(),
            number: number.clone(),
            name: None,
            provider: "own".to_owned(),
            provider_id: None,
            sms_enabled: false,
            secrets: vec![],
        };
        store.add_phone_number(new, now()).await.unwrap();
        let new = NewScenario {
            org: org.id,
            project: project.id,
            agent: agent.id,
            name: "evaluator".to_owned(),
            phone_number: None,
            test_profile: None,
            tags: vec![],
            folder_path: None,
            first_message: "hello".to_owned(),
            max_duration: None,
            extra: Extra::new(),
        };
        let scenario = store.create_scenario(new, now()).await.unwrap();
        let keyring = Keyring::from_file_or_new(&folder.path().join("secrets.key")).unwrap();
        let platform = Arc::new(Platform {
            store: Arc::clone(&store),
            work: Notify::new(),
        });
        let mut world = Self {
            store,
            org,
            project,
            agent,
            scenario,
            number,
            keyring: Arc::new(keyring),
            platform,
            folder,
        };
        world.project.webhook_url = Some(target.to_owned());
        world.set(&world.project.clone()).await;
        world.seal("webhook_secret", SECRET).await;
        world
    }

    /// Stores a project.
    pub async fn set(&self, project: &Project) {
        self.store
            .update_project(project, vec![], now())
            .await
            .unwrap();
    }

    /// Another project with this target.
    pub async fn another(&self, target: &str) -> Project {
        let mut new = Project::new(self.org.id, "another");
        new.webhook_url = Some(target.to_owned());
        self.store.create_project(new, vec![], now()).await.unwrap()
    }

    pub async fn seal(&self, name: &str, secret: &str) {
        let org = self.org.id.to_string();
        let context = Context(&[&org, name]);
        let sealed = self.keyring.seal(context, &Secret::new(secret)).unwrap();
        let change = SecretChange {
            name: name.to_owned(),
            sealed: Some(sealed.to_string()),
        };
        let owner = SecretOwner::Project(self.project.id);
        self.store
            .change_secrets(self.org.id, owner, vec![change], now())
            .await
            .unwrap();
    }

    pub fn sender(&self, options: Options, policy: Policy) -> Sender {
        let store = Arc::clone(&self.store);
        let keyring = Arc::clone(&self.keyring);
        Sender::new(store, Client::new(policy), keyring, options)
    }

    pub fn serve(&self, options: Options) -> Service {
        self.serve_with(options, anywhere())
    }

    pub fn serve_with(&self, options: Options, policy: Policy) -> Service {
        let registry = prometheus::Registry::new();
        let metrics = Metrics::register(&registry).unwrap();
        let platform: Arc<Platform> = Arc::clone(&self.platform);
        Service::start(self.sender(options, policy), platform, metrics)
    }

    /// Says that there is work, as the engine does.
    pub fn wake(&self) {
        self.platform.work.notify_one();
    }

    pub async fn trigger(&self, runs: usize, gated: bool) -> (Batch, Vec<TriggeredRun>) {
        let template = NewTemplate {
            scenario: self.scenario.id,
            scenario_name: self.scenario.name.clone(),
            personality: Some(PersonalityId(1)),
            personality_name: "Calm".to_owned(),
            test_profile: Some(ProfileSnapshot {
                id: 5,
                name: "profile".to_owned(),
                information: serde_json::json!({"main_agent_variables": {"a": "b"}}),
            }),
            script: Script {
                first_message: "hello".to_owned(),
                replies: vec![],
                closing: "bye".to_owned(),
                max_duration_ms: 60_000,
                silence_timeout_ms: 10_000,
                language: "en".to_owned(),
                instructions: String::new(),
                expected_outcome: "The agent says when.".to_owned(),
            },
        };
        let run = NewRun {
            template: 0,
            number: Some(self.number.clone()),
        };
        let new = NewBatch {
            org: self.org.id,
            project: self.project.id,
            agent: self.agent.id,
            agent_name: self.agent.name.clone(),
            name: "batch".to_owned(),
            concurrency_limit: None,
            priority: 0,
            settings: serde_json::json!({}),
            caller_ids: vec!["+15550002000".parse().unwrap()],
            dial_route: None,
            gated,
            cron_job: None,
            idempotency: None,
            templates: vec![template],
            runs: vec![run; runs],
        };
        let triggered = self.store.trigger(new, now()).await.unwrap();
        self.wake();
        triggered
    }

    pub async fn event(&self, run: RunId, event: Event, patch: RunPatch) {
        let moved = self.store.transition(run, event, patch, now()).await;
        moved.unwrap();
    }

    /// Ends a run that nobody called.
    pub async fn cancel(&self, run: RunId) {
        let reason = "enough".to_owned();
        self.event(run, Event::Cancelled { reason }, RunPatch::default())
            .await;
    }

    /// Takes a pending run through its call.
    pub async fn complete(&self, run: RunId, success: bool, patch: RunPatch) {
        let call = CallId(format!("call-{run}"));
        let matched = Event::Matched {
            call: call.clone(),
            max_duration: Duration::from_secs(60),
        };
        self.event(run, matched, RunPatch::default()).await;
        let ended = Event::CallEnded {
            call,
            ended: EndedReason::TestingAgentEnded,
        };
        self.event(run, ended, RunPatch::default()).await;
        self.event(run, Event::Scored { success }, patch).await;
    }

    /// A result of one run that has ended, and its webhook.
    pub async fn ended(&self) -> WebhookEvent {
        let (batch, runs) = self.trigger(1, false).await;
        self.cancel(runs[0].id).await;
        let events = self.events().await;
        let told = events.into_iter().find(|e| e.result == Some(batch.id));
        self.wake();
        told.unwrap()
    }

    /// Adds a webhook about nothing.
    pub async fn add(&self, project: &Project) -> WebhookEvent {
        let kind = WebhookKind::ResultCompleted;
        let added = self
            .store
            .add_webhook(project.org, project.id, kind, None, "{}", now())
            .await;
        self.wake();
        added.unwrap()
    }

    /// Every webhook, newest first.
    pub async fn events(&self) -> Vec<WebhookEvent> {
        let page = ringdown_store::Page {
            number: 1,
            size: 500,
        };
        let all = WebhookFilter::default();
        let found = self.store.webhooks(self.org.id.into(), all, page).await;
        found.unwrap().rows
    }

    pub async fn read(&self, event: &WebhookEvent) -> (WebhookEvent, Vec<WebhookTry>) {
        self.store
            .webhook(self.org.id.into(), event.id)
            .await
            .unwrap()
    }

    /// Waits until a webhook is in this state and has been tried so often.
    pub async fn until(
        &self,
        event: &WebhookEvent,
        state: WebhookState,
        tries: usize,
    ) -> (WebhookEvent, Vec<WebhookTry>) {
        within(&format!("{} is {state:?}", event.id), async {
            loop {
                let read = self.read(event).await;
                if read.0.state == state && read.1.len() == tries {
                    // The event may have been read before its last try was written down.
                    return self.read(event).await;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }

    pub async fn close(self, service: Service) {
        service.drain(Duration::from_secs(40)).await;
        drop(self.folder);
    }
}
