use std::time::Duration;

use ringdown_domain::{OrganisationId, ProjectId, ResultId, Timestamp, WebhookEventId};

/// What an outgoing webhook tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WebhookKind {
    /// Every run of a result has ended.
    ResultCompleted,
    /// A result is about to be dispatched, and waits for the answer.
    ResultPreTrigger,
    /// A call for trying the target.
    Test,
}

impl WebhookKind {
    const ALL: [Self; 3] = [Self::ResultCompleted, Self::ResultPreTrigger, Self::Test];

    /// The text used on the API and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ResultCompleted => "result.completed",
            Self::ResultPreTrigger => "result.pre_trigger",
            Self::Test => "test",
        }
    }

    /// The kind with this text, if any.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Where a webhook is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookState {
    /// Has to be told, now or after the next pause.
    Due,
    /// Was told, and its target said so.
    Delivered,
    /// Was given up.
    Failed,
    /// Nobody wanted it: its project has no target, or switched this kind off.
    Skipped,
}

impl WebhookState {
    const ALL: [Self; 4] = [Self::Due, Self::Delivered, Self::Failed, Self::Skipped];

    /// The text used on the API and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    /// The state with this text, if any.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// An outgoing webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookEvent {
    /// Its id, the same in every try and replay.
    pub id: WebhookEventId,
    /// Its organisation.
    pub org: OrganisationId,
    /// Its project.
    pub project: ProjectId,
    /// What it tells.
    pub kind: WebhookKind,
    /// The result it tells about.
    pub result: Option<ResultId>,
    /// Where it is.
    pub state: WebhookState,
    /// Where it goes, as of the last try.
    pub url: String,
    /// What it says, once that was put together; the same in every try.
    pub body: String,
    /// Tries so far; a replay starts again.
    pub tries: u32,
    /// When it is tried next.
    pub next_try_at: Option<Timestamp>,
    /// When it came to be.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// One try to tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookTry {
    /// When it began.
    pub at: Timestamp,
    /// Where it went.
    pub url: String,
    /// What the target answered, if it did.
    pub status: Option<u16>,
    /// Why it did not arrive; empty if it did.
    pub error: String,
    /// The beginning of the answer.
    pub answer: String,
    /// How long it took.
    pub duration: Duration,
}

/// What follows from a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookOutcome {
    /// The try; `None` if there was nothing to try.
    pub attempt: Option<WebhookTry>,
    /// Where the webhook is now.
    pub state: WebhookState,
    /// When it is tried next.
    pub next_try_at: Option<Timestamp>,
    /// What it said.
    pub body: String,
}

/// Which webhooks to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookFilter {
    /// Only of this project.
    pub project: Option<ProjectId>,
    /// Only of this kind.
    pub kind: Option<WebhookKind>,
    /// Only in this state.
    pub state: Option<WebhookState>,
    /// Only about this result.
    pub result: Option<ResultId>,
}
