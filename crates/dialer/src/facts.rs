use std::time::Duration;

use ringdown_bus::Bus;
use ringdown_domain::{E164, RunId, Team, Timestamp};
use ringdown_proto::v1::dial_fact::Step;
use ringdown_proto::v1::envelope::Fact;
use ringdown_proto::v1::{DialFact, Envelope, RunTransition};
use tracing::warn;

/// Longest pause between tries to publish what happened.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// A run to dial, read from its transition.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) team: Team,
    pub(crate) run: RunId,
    /// Made of the transition's event id and time: a transition that is delivered again gives the
    /// same name, the run's next announcement another one.
    pub(crate) attempt_id: String,
    pub(crate) route: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) opens_at: Timestamp,
    pub(crate) closes_at: Timestamp,
    pub(crate) transition: RunTransition,
}

impl Job {
    /// `None` if the envelope is no transition of a run that has a window.
    pub(crate) fn read(envelope: &Envelope) -> Option<Self> {
        let Some(Fact::Run(transition)) = &envelope.fact else {
            return None;
        };
        let window = transition.window()?;
        Some(Self {
            team: envelope.team.parse().ok()?,
            run: transition.run(),
            attempt_id: format!("{}-{}", envelope.event_id, envelope.at_us),
            route: transition.dial_route.clone(),
            from: transition.caller_ids.first().cloned().unwrap_or_default(),
            to: transition.number.clone(),
            opens_at: window.opens_at,
            closes_at: window.closes_at,
            transition: transition.clone(),
        })
    }

    /// Whether a fact belongs to the same attempt.
    pub(crate) fn is_of(&self, fact: &Envelope) -> bool {
        matches!(&fact.fact, Some(Fact::Dial(dial)) if dial.attempt_id == self.attempt_id)
    }

    /// Every caller ID that its agent may call from.
    pub(crate) fn caller_ids(&self) -> Vec<E164> {
        let ids = self.transition.caller_ids.iter();
        ids.filter_map(|id| id.parse().ok()).collect()
    }

    /// A fact about dialing this run.
    pub(crate) fn fact(&self, bus: &Bus, step: Step) -> Envelope {
        bus.envelope(&self.team, Fact::Dial(self.dial(step)))
    }

    fn dial(&self, step: Step) -> DialFact {
        DialFact {
            run_id: self.run.0,
            attempt_id: self.attempt_id.clone(),
            route: self.route.clone(),
            from: self.from.clone(),
            to: self.to.clone(),
            closes_at_us: self.closes_at.as_micros(),
            step: Some(step),
        }
    }

    /// Publishes a fact, trying again until it is stored: what happened must not be forgotten.
    /// Whoever shuts the dialer down bounds the wait.
    pub(crate) async fn report(&self, bus: &Bus, step: Step) {
        let dial = self.dial(step);
        let id = dial.message_id(&self.team);
        let fact = bus.envelope(&self.team, Fact::Dial(dial));
        let mut pause = Duration::from_millis(100);
        while let Err(error) = bus.publish(&fact, &id).await {
            warn!(run = %self.run, id, %error, "cannot report a dial, will try again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }
}
