use ringdown_domain::attempt::Verdict;
use ringdown_domain::dial::Ending;
use ringdown_domain::{E164, HolderId, OrganisationId, Presented, RunId, Timestamp};

/// How a call arrived, for the ledger.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Unique name of the ledger row: the call's id.
    pub attempt_id: String,
    /// Caller as the trunk sent it.
    pub from_raw: String,
    /// Callee as the trunk sent it.
    pub to_raw: String,
    /// Address the INVITE came from.
    pub source: String,
    /// SIP Call-ID.
    pub sip_call_id: String,
    /// The testing agent that holds the call, if it can be told whether it lives.
    pub holder: Option<HolderId>,
}

/// What a ledger row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptKind {
    /// A call that arrived.
    Invite,
    /// A call a dialer made, or tried to.
    Dial,
}

impl AttemptKind {
    /// The text used on the API and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invite => "invite",
            Self::Dial => "dial",
        }
    }

    /// The kind with this text, if any.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Invite, Self::Dial]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// A row for the ledger.
#[derive(Clone, Debug)]
pub struct NewAttempt {
    /// Unique name within its kind.
    pub attempt_id: String,
    /// What it is about.
    pub kind: AttemptKind,
    /// When it happened.
    pub at: Timestamp,
    /// Verdict text: [`Verdict`] for calls that arrived, `domain::dial::Stage` for dials.
    pub verdict: String,
    /// The organisation it belongs to, if any can be told.
    pub org: Option<OrganisationId>,
    /// The matched or nearest run.
    pub run: Option<RunId>,
    /// Whether `run` is only the nearest one.
    pub nearest: bool,
    /// Caller as it was sent.
    pub from_raw: String,
    /// Caller in E.164.
    pub from: Option<E164>,
    /// Callee as it was sent.
    pub to_raw: String,
    /// Callee in E.164.
    pub to: Option<E164>,
    /// Address it came from.
    pub source: String,
    /// SIP Call-ID, or the provider's id of a dial.
    pub sip_call_id: String,
    /// Final SIP response sent; 200 for a matched call; `None` for no response. For dials the one that the provider tells.
    pub response: Option<u16>,
    /// How a dialed call ended, as its provider says; `None` for calls that arrived.
    pub ending: Option<Ending>,
    /// One sentence for a person.
    pub explanation: String,
    /// The dialer route, for dials.
    pub route: String,
    /// Which trunk brought the call and what it said about its caller; empty for dials.
    pub presented: Presented,
}

/// A row of the ledger.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Position in the ledger.
    pub id: i64,
    /// What was written.
    pub row: NewAttempt,
}

impl Attempt {
    /// The verdict, for calls that arrived.
    pub fn verdict(&self) -> Option<Verdict> {
        match self.row.kind {
            AttemptKind::Invite => Verdict::parse(&self.row.verdict),
            AttemptKind::Dial => None,
        }
    }
}

/// Which attempts to list.
#[derive(Clone, Debug, Default)]
pub struct AttemptFilter {
    /// Only of this run, matched or nearest.
    pub run: Option<RunId>,
    /// Only of this kind.
    pub kind: Option<AttemptKind>,
    /// Only with this verdict.
    pub verdict: Option<String>,
    /// Only those not matched.
    pub refused: bool,
}
