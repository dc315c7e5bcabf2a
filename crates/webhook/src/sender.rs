//! One event: its body, its request, what came of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rand::RngExt as _;
use ringdown_domain::{OrganisationId, ResultId, Timestamp};
use ringdown_egress::header::{LOCATION, RETRY_AFTER, USER_AGENT};
use ringdown_egress::{
    Client, Error as EgressError, Method, NotSent, Request, Response, header_field,
};
use ringdown_store::{
    Batch, Error as StoreError, Project, Run, Scope, SecretOwner, Store, WebhookEvent, WebhookKind,
    WebhookOutcome, WebhookState, WebhookTry,
};
use ringdown_vault::{Context, Keyring, Sealed, Secret};

use crate::error::Error;
use crate::payload::{Completed, PreTrigger, mock};
use crate::policy::{Next, Outcome, retry_after};
use crate::service::Options;
use crate::sign::{SIGNATURE_HEADER, signature};
use crate::wanted::{Toggles, wants_pre_trigger};
use crate::{DELIVERY_HEADER, EVENT_ID_HEADER, IDEMPOTENCY_HEADER, SECRET_HEADER};

/// Name of a project's webhook secret among its sealed secrets. They are sealed for the organisation's
/// id and this name.
pub const WEBHOOK_SECRET: &str = "webhook_secret";

/// Name of the one before, with which deliveries are signed too as long as it is kept.
pub const PREVIOUS_SECRET: &str = "webhook_secret_previous";

/// Runs that are read at once.
const PAGE: u32 = 500;

/// Characters of an answer and of an error that are kept.
const LONGEST_ANSWER: usize = 2_000;
const LONGEST_ERROR: usize = 500;

/// Bytes of an answer that are read.
const MOST_READ: usize = 8 * 1024;

/// What the platform does about answers, and how it says that there may be work.
#[async_trait]
pub trait Dispatch: Send + Sync + 'static {
    /// Lets the runs of a batch be dispatched. Harmless if they are already.
    async fn open_gate(&self, org: OrganisationId, batch: ResultId) -> Result<(), Error>;
    /// Ends every unfinished run of a batch for this reason.
    async fn refuse(&self, org: OrganisationId, batch: ResultId, why: &str) -> Result<(), Error>;
    /// Waits until an event may have been added.
    async fn wait_for_work(&self);
}

/// Delivers single events. Cheap to clone.
#[derive(Clone)]
pub struct Sender {
    store: Arc<dyn Store>,
    egress: Client,
    keyring: Arc<Keyring>,
    options: Arc<Options>,
}

/// What came of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) state: WebhookState,
    /// How the try ended, if there was one.
    pub(crate) outcome: Option<Outcome>,
}

/// What there is to send.
enum Content {
    Body(String),
    /// Nobody wants it.
    Nothing,
}

/// A try that is over.
struct Tried {
    row: WebhookTry,
    outcome: Outcome,
    asked: Option<Duration>,
}

impl Sender {
    /// A sender of these events, through this way out.
    pub fn new(
        store: Arc<dyn Store>,
        egress: Client,
        keyring: Arc<Keyring>,
        options: Options,
    ) -> Self {
        Self {
            store,
            egress,
            keyring,
            options: Arc::new(options),
        }
    }

    pub(crate) fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// Sends a mock `result.completed` to a project's target, once and now. Returns the event with
    /// its try.
    ///
    /// # Errors
    /// If the database failed. A target that fails is no error: the try says so.
    pub async fn test(&self, project: &Project) -> Result<(WebhookEvent, Vec<WebhookTry>), Error> {
        let (url, now) = (project.webhook_url.clone().unwrap_or_default(), now());
        let event = self
            .store
            .add_taken_webhook(
                project.org,
                project.id,
                WebhookKind::Test,
                None,
                &mock(now),
                now.plus(self.options.lease),
                now,
            )
            .await?;
        let tried = self.attempt(project, &event, &url, &event.body).await;
        let next = self.next(&event, &tried);
        self.conclude(&event, event.body.clone(), tried, next)
            .await?;
        let scope = Scope {
            org: project.org,
            project: Some(project.id),
        };
        Ok(self.store.webhook(scope, event.id).await?)
    }

    /// Delivers an event that was taken, and does what follows for its batch.
    pub(crate) async fn deliver(
        &self,
        event: &WebhookEvent,
        dispatch: &dyn Dispatch,
    ) -> Result<Done, Error> {
        let project = match self.store.project(event.org.into(), event.project).await {
            Ok(project) => project,
            Err(StoreError::NotFound { .. }) => return self.skip(event, dispatch).await,
            Err(error) => return Err(error.into()),
        };
        let Some(url) = project.webhook_url.clone() else {
            return self.skip(event, dispatch).await;
        };
        let body = if event.body.is_empty() {
            match self.content(&project, event).await? {
                Content::Nothing => return self.skip(event, dispatch).await,
                Content::Body(body) => self.keep(event, body).await?,
            }
        } else {
            event.body.clone()
        };
        let tried = self.attempt(&project, event, &url, &body).await;
        let next = self.next(event, &tried);
        // What the batch waits for comes before the delivery is written down: if this process dies
        // between the two, another delivers again and finds the batch let go.
        if let (WebhookKind::ResultPreTrigger, Some(batch)) = (event.kind, event.result) {
            match next {
                Next::Delivered => dispatch.open_gate(event.org, batch).await?,
                Next::GiveUp => self.refuse(event, batch, &tried, dispatch).await?,
                Next::Retry(_) => {}
            }
        }
        let outcome = Some(tried.outcome);
        let state = self.conclude(event, body, tried, next).await?;
        Ok(Done { state, outcome })
    }

    /// Writes down that there is nothing to deliver. A batch does not wait for what nobody wants.
    async fn skip(&self, event: &WebhookEvent, dispatch: &dyn Dispatch) -> Result<Done, Error> {
        if let (WebhookKind::ResultPreTrigger, Some(batch)) = (event.kind, event.result) {
            dispatch.open_gate(event.org, batch).await?;
        }
        let skipped = WebhookOutcome {
            attempt: None,
            state: WebhookState::Skipped,
            next_try_at: None,
            body: event.body.clone(),
        };
        self.store.webhook_tried(event.id, skipped, now()).await?;
        Ok(Done {
            state: WebhookState::Skipped,
            outcome: None,
        })
    }

    /// Writes the body down before it is first sent, so that every try says the same even if this
    /// process dies.
    async fn keep(&self, event: &WebhookEvent, body: String) -> Result<String, Error> {
        let now = now();
        let kept = WebhookOutcome {
            attempt: None,
            state: WebhookState::Due,
            next_try_at: Some(now.plus(self.options.lease)),
            body: body.clone(),
        };
        self.store.webhook_tried(event.id, kept, now).await?;
        Ok(body)
    }

    async fn content(&self, project: &Project, event: &WebhookEvent) -> Result<Content, Error> {
        let Some(result) = event.result else {
            return Ok(Content::Nothing);
        };
        let batch = match self.store.batch(event.org.into(), result).await {
            Ok(batch) => batch,
            // Deleted meanwhile.
            Err(StoreError::NotFound { .. }) => return Ok(Content::Nothing),
            Err(error) => return Err(error.into()),
        };
        match event.kind {
            WebhookKind::ResultCompleted => {
                if !Toggles::of(project, batch.cron_job.is_some()).want(&batch) {
                    return Ok(Content::Nothing);
                }
                let mut payload = Completed::new(&self.options.base);
                self.each_run(&batch, |run| payload.add(run)).await?;
                Ok(Content::Body(payload.finish(&batch)))
            }
            WebhookKind::ResultPreTrigger => {
                let over = batch.counts.ended() == batch.counts.total;
                if over || !wants_pre_trigger(project) {
                    return Ok(Content::Nothing);
                }
                let mut payload = PreTrigger::default();
                self.each_run(&batch, |run| payload.add(run)).await?;
                Ok(Content::Body(payload.finish(&batch)))
            }
            WebhookKind::Test => Ok(Content::Body(mock(now()))),
        }
    }

    async fn each_run(&self, batch: &Batch, mut add: impl FnMut(&Run)) -> Result<(), Error> {
        let mut after = None;
        loop {
            let runs = self
                .store
                .runs_of(batch.org.into(), batch.id, after, PAGE)
                .await?;
            let Some(last) = runs.last() else {
                return Ok(());
            };
            after = Some(last.id);
            runs.iter().for_each(&mut add);
        }
    }

    async fn secret(&self, project: &Project, name: &str) -> Result<Option<Secret>, Error> {
        let owner = SecretOwner::Project(project.id);
        let sealed = self.store.secret(project.org.into(), owner, name).await?;
        let Some(sealed) = sealed else {
            return Ok(None);
        };
        // As every secret of a project is sealed: for its organisation and its name.
        let org = project.org.to_string();
        let opened = sealed
            .parse::<Sealed>()
            .and_then(|sealed| self.keyring.open(Context(&[&org, name]), &sealed));
        opened.map(Some).map_err(|reason| Error::Secret {
            project: project.id,
            reason,
        })
    }

    /// The project's secrets, the current one first.
    async fn secrets(&self, project: &Project) -> Result<Vec<Secret>, Error> {
        let mut secrets = Vec::new();
        if let Some(secret) = self.secret(project, WEBHOOK_SECRET).await? {
            secrets.push(secret);
            secrets.extend(self.secret(project, PREVIOUS_SECRET).await?);
        }
        secrets.retain(|secret| !secret.is_empty());
        Ok(secrets)
    }

    /// Sends the event once.
    async fn attempt(
        &self,
        project: &Project,
        event: &WebhookEvent,
        url: &str,
        body: &str,
    ) -> Tried {
        let (at, started) = (now(), Instant::now());
        let (secrets, sent) = match self.secrets(project).await {
            Ok(secrets) => {
                let sent = self.send(event, url, body, &secrets, at).await;
                (secrets, sent)
            }
            Err(error) => (Vec::new(), Err((error.to_string(), Outcome::NoAnswer))),
        };
        let clean = |text: &str, most| tidy(text, &secrets, most);
        let mut row = WebhookTry {
            at,
            url: url.to_owned(),
            status: None,
            error: String::new(),
            answer: String::new(),
            duration: started.elapsed(),
        };
        let response = match sent {
            Ok(response) => response,
            Err((error, outcome)) => {
                row.error = clean(&error, LONGEST_ERROR);
                return Tried {
                    row,
                    outcome,
                    asked: None,
                };
            }
        };
        let status = response.status.as_u16();
        row.status = Some(status);
        row.error = clean(&complaint(&response), LONGEST_ERROR);
        row.answer = clean(&String::from_utf8_lossy(&response.body), LONGEST_ANSWER);
        let asked = response.headers.get(RETRY_AFTER);
        let asked = asked.and_then(|value| value.to_str().ok());
        Tried {
            row,
            outcome: Outcome::Status(status),
            asked: asked.and_then(|text| retry_after(text, now())),
        }
    }

    async fn send(
        &self,
        event: &WebhookEvent,
        url: &str,
        body: &str,
        secrets: &[Secret],
        at: Timestamp,
    ) -> Result<Response, (String, Outcome)> {
        let mut fields = vec![
            (EVENT_ID_HEADER, event.id.to_string()),
            (DELIVERY_HEADER, (event.tries + 1).to_string()),
            (IDEMPOTENCY_HEADER, idempotency_key(event)),
        ];
        if let Some(secret) = secrets.first() {
            let seconds = u64::try_from(at.as_micros() / 1_000_000).unwrap_or(0);
            let signed = signature(secrets, seconds, body.as_bytes());
            fields.push((SIGNATURE_HEADER, signed));
            fields.push((SECRET_HEADER, secret.expose().to_owned()));
        }
        let mut request = Request::new(Method::POST, url);
        request = request.body("application/json", body.to_owned());
        request.timeout = self.options.timeout;
        request.max_response_bytes = MOST_READ;
        let agent = concat!("Ringdown-Webhook/", env!("CARGO_PKG_VERSION"));
        fields.push((USER_AGENT.as_str(), agent.to_owned()));
        for (name, value) in fields {
            let (name, mut value) = header_field(name, &value)
                .map_err(|error| (error.to_string(), Outcome::Refused))?;
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        self.egress.send(request).await.map_err(|error| {
            let outcome = match &error {
                EgressError::NotSent(
                    NotSent::Url(_)
                    | NotSent::Address { .. }
                    | NotSent::Header(_)
                    | NotSent::Request(_),
                ) => Outcome::Refused,
                _ => Outcome::NoAnswer,
            };
            (error.to_string(), outcome)
        })
    }

    fn next(&self, event: &WebhookEvent, tried: &Tried) -> Next {
        let chance = rand::rng().random::<f64>();
        let tries = event.tries + 1;
        let schedule = &self.options.schedule;
        schedule.next(event.kind, tries, tried.outcome, tried.asked, chance)
    }

    /// Ends a batch that its target did not agree to. A batch that was let go earlier goes on: this
    /// was a replay.
    async fn refuse(
        &self,
        event: &WebhookEvent,
        batch: ResultId,
        tried: &Tried,
        dispatch: &dyn Dispatch,
    ) -> Result<(), Error> {
        match self.store.batch(event.org.into(), batch).await {
            Ok(batch) if batch.gated => {}
            Ok(_) | Err(StoreError::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let why = format!("the pre-run webhook was not accepted: {}", tried.row.error);
        dispatch.refuse(event.org, batch, &why).await
    }

    /// Writes a try down with what follows from it.
    async fn conclude(
        &self,
        event: &WebhookEvent,
        body: String,
        tried: Tried,
        next: Next,
    ) -> Result<WebhookState, Error> {
        let now = now();
        let (state, next_try_at) = match next {
            Next::Delivered => (WebhookState::Delivered, None),
            Next::Retry(pause) => (WebhookState::Due, Some(now.plus(pause))),
            Next::GiveUp => (WebhookState::Failed, None),
        };
        let outcome = WebhookOutcome {
            attempt: Some(tried.row),
            state,
            next_try_at,
            body,
        };
        self.store.webhook_tried(event.id, outcome, now).await?;
        Ok(state)
    }
}

fn idempotency_key(event: &WebhookEvent) -> String {
    match (event.kind, event.result) {
        (WebhookKind::ResultCompleted, Some(result)) => format!("result_completed:{result}"),
        (WebhookKind::ResultPreTrigger, Some(result)) => format!("result_pre_trigger:{result}"),
        _ => format!("test:{}", event.id),
    }
}

/// What is wrong with an answer; empty if nothing is.
fn complaint(response: &Response) -> String {
    let status = response.status;
    if status.is_success() {
        return String::new();
    }
    if !status.is_redirection() {
        return format!("the target answered {status}");
    }
    let to = response.headers.get(LOCATION);
    let to = to.and_then(|to| to.to_str().ok()).map_or_else(
        || "without saying where to".to_owned(),
        |to| format!("to {}", to.split(['?', '#']).next().unwrap_or_default()),
    );
    format!(
        "the target answered {status}, {to}; redirects are not followed, set webhook_url to where it leads"
    )
}

/// The beginning of a text, without secrets and without what a database cannot hold.
fn tidy(text: &str, secrets: &[Secret], most: usize) -> String {
    let mut text = text.replace('\0', "\u{fffd}");
    for secret in secrets {
        text = text.replace(secret.expose(), "(hidden)");
    }
    text.chars().take(most).collect()
}

/// The system's clock.
pub(crate) fn now() -> Timestamp {
    let micros = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_micros());
    Timestamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
}
