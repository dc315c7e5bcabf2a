use prost::Message;
use ringdown_domain::run::{Status, Window};
use ringdown_domain::{
    CallerHeader, E164, NoNumber, Numbering, Presented, RunId, Team, Timestamp, dial,
};

use crate::v1::{
    CallFact, CallerValue, DialFact, Envelope, MatchRequest, RunStatus, RunTransition, call_fact,
    dial_fact, envelope::Fact,
};

/// Values of headers that name the caller which are kept of one request.
const MAX_CALLERS: usize = 16;

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
            dial_fact::Step::Followed(_) => dial::Stage::Followed,
        })
    }

    /// The id under which the bus stores this fact once, whoever publishes it. A call is followed by any number of facts,
    /// one for each state.
    pub fn message_id(&self, team: &Team) -> String {
        let stage = self.stage().map_or("unknown", dial::Stage::as_str);
        let id = format!("dial:{team}:{}:{}:{stage}", self.run_id, self.attempt_id);
        match &self.step {
            Some(dial_fact::Step::Followed(step)) => format!("{id}:{}", step.state),
            _ => id,
        }
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

impl MatchRequest {
    /// The caller ID, or what there was instead of one.
    ///
    /// # Errors
    /// [`NoNumber`].
    pub fn caller(&self) -> Result<E164, NoNumber> {
        read(self.from.as_deref(), &self.from_raw)
    }

    /// The number that was called, or what there was instead of one.
    ///
    /// # Errors
    /// What was sent.
    pub fn callee(&self) -> Result<E164, String> {
        read(self.to.as_deref(), &self.to_raw).map_err(|_| self.to_raw.clone())
    }

    /// How the call was presented. Headers that this build does not know are left out.
    pub fn presented(&self) -> Presented {
        Presented {
            trunk: self.trunk.clone(),
            header: CallerHeader::parse(&self.from_header),
            values: self
                .callers
                .iter()
                .take(MAX_CALLERS)
                .filter_map(CallerValue::known)
                .collect(),
        }
    }
}

fn read(number: Option<&str>, raw: &str) -> Result<E164, NoNumber> {
    match number {
        Some(number) => number.parse().map_err(|_| NoNumber::of(raw)),
        None => Numbering::default().read(raw),
    }
}

impl CallerValue {
    /// The domain's value; `None` if this build does not know its header.
    pub fn known(&self) -> Option<ringdown_domain::CallerValue> {
        Some(ringdown_domain::CallerValue {
            header: CallerHeader::parse(&self.header)?,
            value: self.value.clone(),
            number: self.number.parse().ok(),
        })
    }
}

impl From<ringdown_domain::CallerValue> for CallerValue {
    fn from(value: ringdown_domain::CallerValue) -> Self {
        Self {
            header: value.header.to_string(),
            value: value.value,
            number: value.number.map_or_else(String::new, String::from),
        }
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

    #[test]
    fn a_caller_is_read_by_the_trunk_or_else_as_an_international_number() {
        let request = |raw: &str, number: Option<&str>| MatchRequest {
            from_raw: raw.to_owned(),
            from: number.map(str::to_owned),
            ..MatchRequest::default()
        };
        let read = request("02071838750", Some("+442071838750")).caller();
        assert_eq!(read.unwrap().as_str(), "+442071838750");
        let read = request("15550100", Some("")).caller();
        assert_eq!(read, Err(NoNumber::Unreadable("15550100".to_owned())));
        let read = request("15550100", None).caller();
        assert_eq!(read.unwrap().as_str(), "+15550100");
        let read = request("anonymous", Some("")).caller();
        assert_eq!(read, Err(NoNumber::Withheld("anonymous".to_owned())));
        assert_eq!(request("", Some("")).caller(), Err(NoNumber::Absent));
    }

    #[test]
    fn what_was_said_of_a_caller_survives_the_wire() {
        let value = ringdown_domain::CallerValue {
            header: CallerHeader::Diversion,
            value: "<sip:+15550100@host>;reason=unconditional".to_owned(),
            number: Some("+15550100".parse().unwrap()),
        };
        let mut request = MatchRequest {
            trunk: "berlin".to_owned(),
            from_header: "diversion".to_owned(),
            callers: vec![value.clone().into(); 40],
            ..MatchRequest::default()
        };
        request.callers.insert(0, CallerValue::default());
        let presented = request.presented();
        assert_eq!(presented.trunk, "berlin");
        assert_eq!(presented.header, Some(CallerHeader::Diversion));
        assert_eq!(presented.values, vec![value; MAX_CALLERS - 1]);
    }
}
