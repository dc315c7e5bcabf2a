//! What a [`Store`] has to do, whatever database is behind it. Each check gets an empty store. The list of
//! checks is [`every_check`], so that no database can be left out of one.

pub mod admission;
pub mod audit;
pub mod batches;
pub mod carriers;
pub mod catalogue;
pub mod checks;
pub mod checkups;
pub mod counts;
pub mod filters;
pub mod folders;
pub mod holders;
pub mod keys;
pub mod ledger;
pub mod limits;
pub mod matching;
pub mod outbox;
pub mod projects;
pub mod retention;
pub mod runs;
pub mod schedules;
pub mod secrets;
pub mod tags;
pub mod tenancy;
pub mod webhooks;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ringdown_domain::call::EndedReason;
use ringdown_domain::matching::IncomingCall;
use ringdown_domain::run::Event;
use ringdown_domain::{
    CallId, E164, Numbering, OrganisationId, Presented, ProjectId, RunId, Timestamp,
};
use ringdown_store::{
    Agent, Announcement, Arrival, Batch, Entered, Error, Extra, Matched, NewAgent, NewBatch,
    NewOrganisation, NewPhoneNumber, NewRun, NewScenario, NewTemplate, Organisation, Page,
    PhoneNumber, Project, Run, RunPatch, Scenario, Scope, Script, Store, Transition, TriggeredRun,
};

pub type Db = Arc<dyn Store>;

pub const PAGE: Page = Page {
    number: 1,
    size: 500,
};

/// A moment of the test's own clock, in seconds.
pub fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000).plus(Duration::from_secs(seconds))
}

pub fn number(last: u32) -> E164 {
    format!("+1555{last:07}").parse().unwrap()
}

/// An organisation with everything a run needs.
pub struct Team {
    pub db: Db,
    pub org: Organisation,
    pub project: Project,
    pub agent: Agent,
    pub number: PhoneNumber,
    pub scenario: Scenario,
    pub key: [u8; 32],
}

static TEAMS: AtomicU32 = AtomicU32::new(1);

/// A team with numbers of its own: its agent calls from `caller()` and is expected on `number`.
pub async fn team(db: &Db, slug: &str) -> Team {
    let index = TEAMS.fetch_add(1, Ordering::Relaxed);
    let mut key = [0; 32];
    key[..4].copy_from_slice(&index.to_be_bytes());
    let new = NewOrganisation {
        team: slug.parse().unwrap(),
        name: slug.to_owned(),
        parallel_limit: None,
        key_sha256: key,
        operator: false,
    };
    let (org, project) = db.create_organisation(new, at(0)).await.unwrap();
    let name = format!("{slug} agent");
    let mut new = new_agent(org.id, project.id, &name);
    new.contact_number = Some(number(1_000 + index));
    let agent = db.create_agent(new, at(0)).await.unwrap();
    let new = new_number(org.id, number(9_000_000 + index));
    let number = db.add_phone_number(new, at(0)).await.unwrap();
    let mut team = Team {
        db: Arc::clone(db),
        scenario: placeholder(&org, &project, &agent),
        org,
        project,
        agent,
        number,
        key,
    };
    let new = team.new_scenario("first");
    team.scenario = db.create_scenario(new, at(0)).await.unwrap();
    team
}

fn placeholder(org: &Organisation, project: &Project, agent: &Agent) -> Scenario {
    Scenario {
        id: 0.into(),
        org: org.id,
        project: project.id,
        agent: agent.id,
        name: String::new(),
        phone_number: None,
        number: None,
        test_profile: None,
        tags: vec![],
        folder_path: None,
        first_message: String::new(),
        max_duration: None,
        extra: Extra::new(),
        created_at: at(0),
        updated_at: at(0),
    }
}

pub fn new_agent(org: OrganisationId, project: ProjectId, name: &str) -> NewAgent {
    NewAgent {
        org,
        project,
        name: name.to_owned(),
        inbound: false,
        contact_number: None,
        outbound_numbers: vec![],
        dial_route: None,
        extra: Extra::new(),
        secrets: vec![],
    }
}

pub fn new_number(scope: impl Into<Scope>, number: E164) -> NewPhoneNumber {
    NewPhoneNumber {
        scope: scope.into(),
        number,
        name: None,
        provider: "own".to_owned(),
        provider_id: None,
        sms_enabled: false,
        secrets: vec![],
    }
}

impl Team {
    pub fn scope(&self) -> Scope {
        self.org.id.into()
    }

    pub fn caller(&self) -> E164 {
        self.agent.contact_number.clone().unwrap()
    }

    pub fn new_scenario(&self, name: &str) -> NewScenario {
        NewScenario {
            org: self.org.id,
            project: self.project.id,
            agent: self.agent.id,
            name: name.to_owned(),
            phone_number: None,
            test_profile: None,
            tags: vec![],
            folder_path: None,
            first_message: "hello".to_owned(),
            max_duration: None,
            extra: Extra::new(),
        }
    }

    pub fn new_template(&self) -> NewTemplate {
        NewTemplate {
            scenario: self.scenario.id,
            scenario_name: self.scenario.name.clone(),
            personality: None,
            personality_name: String::new(),
            test_profile: None,
            script: Script {
                first_message: "hello".to_owned(),
                replies: vec!["yes".to_owned()],
                closing: "bye".to_owned(),
                max_duration_ms: 60_000,
                silence_timeout_ms: 10_000,
                language: "en".to_owned(),
                instructions: String::new(),
                expected_outcome: String::new(),
            },
        }
    }

    pub fn new_run(&self) -> NewRun {
        NewRun {
            template: 0,
            number: Some(self.number.number.clone()),
        }
    }

    pub fn new_batch(&self, runs: usize) -> NewBatch {
        NewBatch {
            org: self.org.id,
            project: self.project.id,
            agent: self.agent.id,
            agent_name: self.agent.name.clone(),
            name: "batch".to_owned(),
            concurrency_limit: None,
            priority: 0,
            settings: serde_json::json!({"frequency": 1}),
            caller_ids: vec![self.caller()],
            dial_route: Some("route".to_owned()),
            gated: false,
            cron_job: None,
            idempotency: None,
            templates: vec![self.new_template()],
            runs: vec![self.new_run(); runs],
        }
    }

    pub async fn trigger(&self, runs: usize, now: Timestamp) -> (Batch, Vec<TriggeredRun>) {
        self.db.trigger(self.new_batch(runs), now).await.unwrap()
    }

    /// A second project of the team's.
    pub async fn another_project(&self, name: &str) -> Project {
        let new = Project::new(self.org.id, name);
        self.db.create_project(new, vec![], at(0)).await.unwrap()
    }

    pub async fn run(&self, id: RunId) -> Run {
        self.db.run(self.scope(), id).await.unwrap()
    }

    /// One run that is pending since `now`.
    pub async fn pending(&self, now: Timestamp) -> Run {
        let (_, runs) = self.trigger(1, now).await;
        self.db.admit(self.org.id, now).await.unwrap();
        self.run(runs[0].id).await
    }

    pub async fn limit(&self, limit: Option<u32>) {
        self.db
            .set_organisation_limit(self.org.id, limit)
            .await
            .unwrap();
    }

    /// The agent calls the team's number.
    pub async fn call(&self, name: &str, now: Timestamp) -> Matched {
        let (from, to) = (self.caller(), self.number.number.clone());
        self.arrive(name, from.as_str(), to.as_str(), now).await
    }

    /// Somebody calls some number.
    pub async fn arrive(&self, name: &str, from: &str, to: &str, now: Timestamp) -> Matched {
        let (call, arrival) = arrival(name, from, to);
        self.db.match_call(call, arrival, now).await.unwrap()
    }
}

pub fn arrival(name: &str, from: &str, to: &str) -> (IncomingCall, Arrival) {
    let call = IncomingCall {
        call: CallId(name.to_owned()),
        from: Numbering::default().read(from),
        to: E164::normalise(to).map_err(|_| to.to_owned()),
        hint: None,
        presented: Presented::default(),
    };
    let arrival = Arrival {
        attempt_id: name.to_owned(),
        from_raw: from.to_owned(),
        to_raw: to.to_owned(),
        source: "192.0.2.1:5060".to_owned(),
        sip_call_id: format!("{name}@192.0.2.1"),
        holder: None,
    };
    (call, arrival)
}

pub async fn transition(
    db: &Db,
    run: RunId,
    event: Event,
    now: Timestamp,
) -> Result<Transition, Error> {
    db.transition(run, event, RunPatch::default(), now).await
}

pub fn ended(call: &str, ended: EndedReason) -> Event {
    Event::CallEnded {
        call: CallId(call.to_owned()),
        ended,
    }
}

pub fn cancelled() -> Event {
    Event::Cancelled {
        reason: "by a user".to_owned(),
    }
}

/// Every outbox row there is, in order.
pub async fn whole_outbox(db: &Db) -> Vec<ringdown_store::OutboxRow> {
    db.outbox(1_000_000).await.unwrap()
}

/// Every transition in the outbox, in order; without the batches that were accepted.
pub async fn entered(db: &Db) -> Vec<Entered> {
    let rows = whole_outbox(db).await.into_iter();
    rows.filter_map(|row| match row.event {
        Announcement::Accepted(_) => None,
        Announcement::Entered(entered) => Some(*entered),
    })
    .collect()
}

pub fn hidden<T: std::fmt::Debug>(what: &str, answer: &Result<T, Error>) {
    assert!(
        matches!(answer, Err(Error::NotFound { .. })),
        "{what}: {answer:?}"
    );
}

pub fn refused<T: std::fmt::Debug>(what: &str, answer: &Result<T, Error>) {
    assert!(
        matches!(answer, Err(Error::Conflict { .. })),
        "{what}: {answer:?}"
    );
}
