//! Outgoing webhooks: what they say, how they are signed, when they are tried again.
//!
//! Contract: an event is in the database before it is sent, with its body, so every try of it says
//! the same under the same id. It is delivered at least once or given up, and each try is written
//! down. Several processes on one database share the work: a taken event is leased, and whoever
//! finds a lease run out tries again. A target that is slow or dead costs its own project time and
//! no other. Events that hold a batch back ([`WebhookKind::ResultPreTrigger`]) let it go once they
//! are answered, and end its runs with the reason if they are not.
//!
//! Refuses: following redirects, addresses that `egress` does not permit, showing a secret, sending
//! an event that its project switched off.
//!
//! [`WebhookKind::ResultPreTrigger`]: ringdown_store::WebhookKind::ResultPreTrigger

mod circuit;
mod error;
mod metrics;
mod payload;
mod policy;
mod sender;
mod service;
mod sign;
mod wanted;

pub use error::{Error, Invalid};
pub use metrics::Metrics;
pub use payload::{Completed, PreTrigger, mock};
pub use policy::{Next, Outcome, Schedule, retry_after};
pub use sender::{Dispatch, PREVIOUS_SECRET, Sender, WEBHOOK_SECRET};
pub use service::{Options, Service};
pub use sign::{SIGNATURE_HEADER, signature, verify};
pub use wanted::{Toggles, wants_pre_trigger};

/// Header with the number of the event, the same in every try.
pub const EVENT_ID_HEADER: &str = "X-Ringdown-Event-Id";

/// Header with the number of the try, from 1.
pub const DELIVERY_HEADER: &str = "X-Ringdown-Delivery";

/// Header with the project's secret as it is.
pub const SECRET_HEADER: &str = "X-CEKURA-SECRET";

/// Header that names the event in the reference service's way.
pub const IDEMPOTENCY_HEADER: &str = "X-CEKURA-IDEMPOTENCY-KEY";
