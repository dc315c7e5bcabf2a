//! The rules of Ringdown, as values and pure functions.
//!
//! Purpose: identifiers, E.164 numbers, the run state machine, call matching, admission under the
//! parallel-call limits, and the vocabulary of dial outcomes and call endings.
//!
//! Contract: no I/O, no async, no clock. Time comes in as a [`Timestamp`]; what must happen in the
//! world goes out as data ([`run::Effect`], [`matching::Judgement`], [`admission::Decision`]).
//!
//! Refuses: wire formats (crate `proto`, crate `api`), persistence (crate `store`).

pub mod admission;
pub mod attempt;
pub mod call;
mod caller;
mod carrier;
pub mod dial;
mod e164;
mod ids;
pub mod invariant;
pub mod matching;
mod numbering;
pub mod personality;
pub mod run;
mod time;

pub use caller::{CallerHeader, CallerValue, InvalidCallerHeader, Presented};
pub use carrier::{AGENT_ROUTE, CarrierName, InvalidCarrierName, leads_to_account};
pub use e164::{E164, InvalidNumber};
pub use ids::{
    AgentId, CallId, CarrierId, CronJobId, FolderId, HolderId, InvalidHolder, InvalidTeam, KeyId,
    OrganisationId, PersonalityId, PhoneNumberId, ProjectId, ResultId, RunId, ScenarioId, Team,
    TestProfileId, WebhookEventId,
};
pub use numbering::{InvalidNumbering, NoNumber, Numbering, percent_decoded};
pub use time::Timestamp;
