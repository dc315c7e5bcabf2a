use ringdown_domain::RunId;
use ringdown_domain::dial::Ending;

/// How a call stands, as its provider sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Accepted, and not dialed yet.
    Queued,
    /// Dialed; it may be ringing.
    Ringing,
    /// Answered.
    Answered,
    /// Over.
    Ended {
        /// How, in the words that all providers share.
        ending: Ending,
        /// The final SIP response, where the provider tells it.
        sip_code: Option<u16>,
        /// The provider's own words for it.
        said: String,
    },
}

/// What a callback says of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// The provider's own identifier of the call.
    pub provider_id: String,
    /// The run, where the provider echoes it.
    pub run: Option<RunId>,
    /// The attempt, where the provider echoes it.
    pub attempt_id: Option<String>,
    /// How the call stands.
    pub progress: Progress,
}
