//! What the services that place calls want to be asked, and what their answers mean.
//!
//! One module per provider, each a set of pure functions behind [`Provider`]: an order becomes a request, an
//! answer becomes an outcome by a table that cites the provider's documents, a status callback becomes news of a
//! call once its signature holds. Nothing here opens a connection or waits. Answers and callbacks are judged by the times
//! they are handed in with; only LiveKit and Vonage read the system's clock, and the system's random numbers, for the
//! short-lived token that each of their requests is signed with.
//!
//! Contract: [`Outcome::NotPlaced`] is only said where the provider's documents say that nothing was dialed.
//! Whatever leaves a doubt is [`Outcome::Ambiguous`]. Requests switch the provider's own redialing and fan-out
//! off, and let a call ring no longer than its window.
//!
//! Refuses: sending, retrying, pacing, and keeping credentials.

mod ask;
mod bandwidth;
mod bland;
mod callback;
mod echo;
mod elevenlabs;
mod ending;
mod jwt;
mod kind;
mod laml;
mod listed;
mod livekit;
mod order;
mod plivo;
mod progress;
mod retell;
mod settings;
mod signalwire;
mod signed;
mod synthflow;
mod table;
mod telnyx;
#[cfg(test)]
mod testing;
mod time;
mod trigger_url;
mod twilio;
mod vapi;
mod vonage;
pub mod wire;

use ringdown_domain::Timestamp;
use ringdown_domain::dial::{Outcome, Retry};
use ringdown_egress::{Request, Response};

pub use bandwidth::Bandwidth;
pub use bland::Bland;
pub use callback::{Callback, Rejected};
pub use elevenlabs::ElevenLabs;
pub use kind::{Kind, build};
pub use livekit::LiveKit;
pub use order::{Order, Unfit};
pub use plivo::Plivo;
pub use progress::{News, Progress};
pub use retell::Retell;
pub use settings::{InvalidSettings, Settings};
pub use signalwire::SignalWire;
pub use synthflow::Synthflow;
pub use telnyx::Telnyx;
pub use time::system as system_time;
pub use trigger_url::TriggerUrl;
pub use twilio::Twilio;
pub use vapi::Vapi;
pub use vonage::Vonage;

/// How a provider paces, and what can be asked of it. Numbers are its documented defaults; an account's own come
/// from its settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Habits {
    /// Calls that may be started each second.
    pub calls_per_second: f64,
    /// Calls that may be up at once; `None`: as many as there are.
    pub concurrent_calls: Option<u32>,
    /// Whether calls above the pace wait at the provider instead of being refused: such a call can ring after its
    /// window, unless it is cancelled.
    pub queues: bool,
    /// How long the same request can be sent again without a second call, by the order's attempt id.
    pub repeatable_for: Option<std::time::Duration>,
    /// Whether [`Provider::look_up`] finds calls.
    pub looks_up: bool,
    /// What has to be left of a window for [`Provider::request`] to have an answer other than [`Unfit`]: the least
    /// time that it can be told to let a call ring. Zero where it cannot be told.
    pub least_ring: std::time::Duration,
}

/// What a look-up among the provider's calls shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The call is there, under this name.
    Call {
        /// The provider's own identifier of it.
        provider_id: String,
    },
    /// Not there. Lists lag behind, so this alone does not prove that nothing was dialed.
    Nothing,
    /// Several calls could be it.
    Several,
    /// The answer cannot be read, and why.
    Unreadable(String),
}

/// Why a call is not placed although nothing was asked for but [`Provider::prepare`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unprepared {
    /// What was said, and what to do, for people.
    pub reason: String,
    /// Whether to try again. Nothing was dialed.
    pub retry: Retry,
}

/// A service that places calls, with one account's settings.
pub trait Provider: Send + Sync + std::fmt::Debug + 'static {
    /// Its name in settings, such as `twilio`.
    fn name(&self) -> &'static str;

    /// The account, for people and for pacing: the same text for the same limits, without a secret.
    fn account(&self) -> String;

    /// How it paces, and what can be asked of it.
    fn habits(&self) -> Habits;

    /// The number it will call from, if the settings fix one: it is compared with the agent's caller IDs before
    /// anything is dialed.
    fn caller_id(&self) -> Option<&ringdown_domain::E164> {
        None
    }

    /// A request that has to be answered well before [`Self::request`] is sent. It dials nothing. `None` where there is
    /// none.
    ///
    /// # Errors
    /// [`Unfit`] if this order cannot be placed by this account.
    fn prepare(&self, order: &Order) -> Result<Option<Request>, Unfit> {
        let _ = order;
        Ok(None)
    }

    /// Whether the call can be placed after this answer to [`Self::prepare`].
    ///
    /// # Errors
    /// [`Unprepared`] if it cannot.
    fn prepared(&self, answer: &Response) -> Result<(), Unprepared> {
        let _ = answer;
        Ok(())
    }

    /// The request that places the call.
    ///
    /// # Errors
    /// [`Unfit`] if this order cannot be placed by this account.
    fn request(&self, order: &Order) -> Result<Request, Unfit>;

    /// What the answer to [`Self::request`] says.
    fn outcome(&self, order: &Order, answer: &Response) -> Outcome;

    /// A request that looks for the call of an order whose answer got lost; `None` where there is none.
    /// `asked_at` is when it was asked for.
    fn look_up(&self, order: &Order, asked_at: Timestamp) -> Option<Request> {
        let _ = (order, asked_at);
        None
    }

    /// What the answer to [`Self::look_up`] shows.
    fn found(&self, order: &Order, asked_at: Timestamp, answer: &Response) -> Found {
        let _ = (order, asked_at, answer);
        Found::Nothing
    }

    /// A request that asks how a call stands; `None` where there is none.
    fn status(&self, provider_id: &str) -> Option<Request> {
        let _ = provider_id;
        None
    }

    /// What the answer to [`Self::status`] says of the call of that name; `None` if nothing can be told from it.
    fn progress(&self, provider_id: &str, answer: &Response) -> Option<Progress> {
        let _ = (provider_id, answer);
        None
    }

    /// A request that keeps a call that still waits at the provider from being dialed, and hangs one up that was, where
    /// that can be done; `None` where there is none.
    fn cancel(&self, provider_id: &str) -> Option<Request> {
        let _ = provider_id;
        None
    }

    /// Checks who sent a status callback, and reads it. Callbacks that say nothing of a call give no news.
    ///
    /// # Errors
    /// [`Rejected`] if the signature does not hold, or the body cannot be read.
    fn callback(&self, callback: &Callback<'_>) -> Result<Vec<News>, Rejected> {
        let _ = callback;
        Err(Rejected::NotExpected)
    }
}
