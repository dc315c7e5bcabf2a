use prost::Message;
use ringdown_domain::run::{Status, Window};
use ringdown_domain::{RunId, Team, Timestamp, dial};

use crate::v1::{
    CallFact, DialFact, Envelope, RunStatus, RunTransition, call_fact, dial_fact, envelope::Fact,
};

/// Version of the message definitions that this build writes and reads.
pub const SCHEMA: u32 = 1;

/// Why bytes are not a usable message.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not protobuf, or not this message.
    #[error("decode a bus message: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// Written by a newer version.
    #[error("read a bus message of schema {0}: this build knows schema {SCHEMA}, upgrade it")]
    UnknownSchema(u32),
    /// The envelope carries no fact this build knows.
    #[error("read a bus message without a fact")]
    NoFact,
    /// The team is no subject token.
    #[error(transparent)]
    Team(#[from] ringdown_domain::InvalidTeam),
}

/// An envelope around `fact`, named `event_id`, that happened at `at`.
pub fn envelope(
    event_id: String,
    at: Timestamp,
    team: &Team,
    producer: &str,
    fact: Fact,
) -> Envelope {
    Envelope {
        event_id,
        at_us: at.as_micros(),
        team: team.to_string(),
        producer: producer.to_owned(),
        schema: SCHEMA,
        fact: Some(fact),
    }
}

/// The wire form of an envelope.
pub fn encode(envelope: &Envelope) -> Vec<u8> {
    envelope.encode_to_vec()
}

/// Reads an envelope.
///
/// # Errors
/// See [`Error`]; the input is never partly used.
pub fn decode(bytes: &[u8]) -> Result<Envelope, Error> {
    let envelope = Envelope::decode(bytes)?;
    if envelope.schema != SCHEMA {
        return Err(Error::UnknownSchema(envelope.schema));
    }
    if envelope.fact.is_none() {
        return Err(Error::NoFact);
    }
    envelope.team.parse::<Team>()?;
    Ok(envelope)
}

impl Envelope {
    /// When the fact happened.
    pub fn at(&self) -> Timestamp {
        Timestamp::from_micros(self.at_us)
    }
}

impl From<Status> for RunStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::InQueue => Self::InQueue,
            Status::Pending => Self::Pending,
            Status::InProgress => Self::InProgress,
            Status::Evaluating => Self::Evaluating,
            Status::Completed => Self::Completed,
            Status::Failed => Self::Failed,
            Status::Timeout => Self::Timeout,
            Status::Cancelled => Self::Cancelled,
        }
    }
}

impl RunStatus {
    /// The domain's status; `None` if unspecified.
    pub fn known(self) -> Option<Status> {
        Some(match self {
            Self::Unspecified => return None,
            Self::InQueue => Status::InQueue,
            Self::Pending => Status::Pending,
            Self::InProgress => Status::InProgress,
            Self::Evaluating => Status::Evaluating,
            Self::Completed => Status::Completed,
            Self::Failed => Status::Failed,
            Self::Timeout => Status::Timeout,
            Self::Cancelled => Status::Cancelled,
        })
    }
}

impl RunTransition {
    /// The run.
    pub fn run(&self) -> RunId {
        RunId(self.run_id)
    }

    /// The state entered; `None` if this build does not know it.
    pub fn known_status(&self) -> Option<Status> {
        RunStatus::try_from(self.status).ok()?.known()
    }

    /// The dial window, once there is one.
    pub fn window(&self) -> Option<Window> {
        (self.closes_at_us > 0).then(|| Window {
            opens_at: Timestamp::from_micros(self.opens_at_us),
            closes_at: Timestamp::from_micros(self.closes_at_us),
        })
    }
}

impl DialFact {
    /// The stage this fact puts the run's dialing in; `None` if this build does not know it.
    pub fn stage(&self) -> Option<dial::Stage> {
        Some(match self.step.as_ref()? {
            dial_fact::Step::Claimed(_) => dial::Stage::Claimed,
            dial_fact::Step::Intended(_) => dial::Stage::Intended,
            dial_fact::Step::Placed(_) => dial::Stage::Placed,
            dial_fact::Step::NotPlaced(_) => dial::Stage::NotPlaced,
            dial_fact::Step::Ambiguous(_) => dial::Stage::Ambiguous,
            dial_fact::Step::Settled(_) => dial::Stage::Settled,
        })
    }
}

impl CallFact {
    /// The fact's name as a subject token; `None` if this build does not know it.
    pub fn step_name(&self) -> Option<&'static str> {
        Some(match self.step.as_ref()? {
            call_fact::Step::Answered(_) => "answered",
            call_fact::Step::Turn(_) => "turn",
            call_fact::Step::Ended(_) => "ended",
            call_fact::Step::Recorded(_) => "recorded",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transition(status: Status) -> Envelope {
        let run = RunTransition {
            run_id: 7,
            seq: 1,
            status: RunStatus::from(status).into(),
            ..RunTransition::default()
        };
        envelope(
            "event".into(),
            Timestamp::from_micros(5),
            &"team".parse().unwrap(),
            "platform",
            Fact::Run(run),
        )
    }

    #[test]
    fn every_status_survives_the_wire() {
        for status in Status::ALL {
            let back = decode(&encode(&transition(status))).unwrap();
            let Some(Fact::Run(run)) = back.fact else {
                panic!("another fact came back")
            };
            assert_eq!(run.known_status(), Some(status));
        }
    }

    #[test]
    fn what_cannot_be_used_is_an_error() {
        assert!(matches!(
            decode(&[0xff, 0xff, 0xff]),
            Err(Error::Malformed(_))
        ));
        let mut newer = transition(Status::Pending);
        newer.schema = 2;
        assert!(matches!(
            decode(&encode(&newer)),
            Err(Error::UnknownSchema(2))
        ));
        let mut empty = transition(Status::Pending);
        empty.fact = None;
        assert!(matches!(decode(&encode(&empty)), Err(Error::NoFact)));
        let mut foreign = transition(Status::Pending);
        foreign.team = "a.b".into();
        assert!(matches!(decode(&encode(&foreign)), Err(Error::Team(_))));
    }
}
