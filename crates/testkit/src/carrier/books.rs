use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::adapter::Placing;
use super::fault::Fault;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FakeEnding {
    /// It was answered, and one side hung up.
    Completed,
    /// Busy (SIP 486).
    Busy,
    /// Nobody answered (SIP 480).
    NoAnswer,
    /// The callee or a network said no (SIP 603).
    Rejected,
    /// There is no such number (SIP 404).
    InvalidNumber,
    /// A fault on the way (SIP 503).
    Failed,
    /// Called off before it was answered (SIP 487).
    Cancelled,
    /// Accepted, and never dialed.
    NeverDialed,
}

impl FakeEnding {
    /// The final SIP response; `None` where there is none.
    pub fn sip(self) -> Option<u16> {
        Some(match self {
            Self::Completed => 200,
            Self::Busy => 486,
            Self::NoAnswer => 480,
            Self::Rejected => 603,
            Self::InvalidNumber => 404,
            Self::Failed => 503,
            Self::Cancelled => 487,
            Self::NeverDialed => return None,
        })
    }
}

/// How a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FakeState {
    /// Accepted, and not dialed.
    Queued,
    /// Dialed.
    Ringing,
    /// Answered.
    Answered,
    /// Over.
    Ended(FakeEnding),
}

/// A call in a fake's books.
#[derive(Clone, Debug)]
pub struct FakeCall {
    /// The name that the request was answered with.
    pub id: String,
    /// A second name, where the service has two.
    pub(super) other: String,
    /// Who calls: the number in E.164, or the service's name for it.
    pub from: String,
    /// Who is called, in E.164.
    pub to: String,
    /// How it stands.
    pub state: FakeState,
    /// How it stood, one after the other.
    pub history: Vec<FakeState>,
    /// What the request said, as JSON: what the service echoes is a part of it.
    pub asked: Value,
    /// Where its status is reported to, if the request said so.
    pub callback: Option<String>,
    /// The key of the request, where the service deduplicates by one.
    pub key: Option<String>,
    /// When it was accepted.
    pub(super) created: Timestamp,
    /// When it ended, if it did.
    pub(super) ended: Option<Timestamp>,
    pub(super) forgotten: bool,
}

impl FakeCall {
    pub(super) fn none() -> Self {
        let placing = Placing::new("", "");
        Self::new(String::new(), String::new(), placing, Value::Null)
    }

    fn new(id: String, other: String, placing: Placing, asked: Value) -> Self {
        Self {
            id,
            other,
            from: placing.from,
            to: placing.to,
            state: FakeState::Queued,
            history: vec![FakeState::Queued],
            asked,
            callback: placing.callback,
            key: placing.key,
            created: Timestamp::now(),
            ended: None,
            forgotten: false,
        }
    }

    /// The next state; none comes after the end.
    pub(super) fn go(&mut self, state: FakeState) {
        if self.ending().is_none() && self.state != state {
            self.state = state;
            self.history.push(state);
            self.ended = self.ending().map(|_| Timestamp::now());
        }
    }

    /// How it ended, if it did.
    pub fn ending(&self) -> Option<FakeEnding> {
        match self.state {
            FakeState::Ended(ending) => Some(ending),
            _ => None,
        }
    }

    /// Whether it rang.
    pub fn rang(&self) -> bool {
        self.history.contains(&FakeState::Ringing)
    }

    /// Whether it was answered.
    pub fn answered(&self) -> bool {
        self.history.contains(&FakeState::Answered)
    }
}

/// What a fake remembers.
pub(super) struct Books {
    pub(super) calls: Vec<FakeCall>,
    pub(super) rings: BTreeMap<String, u32>,
    pub(super) script: VecDeque<Fault>,
    pub(super) default: Fault,
    pub(super) requests: u64,
    pub(super) creates: u64,
    pub(super) cancelled: Vec<String>,
    /// What was asked for, before calls were.
    pub(super) prepared: Vec<Value>,
    pub(super) deduplicates: bool,
    /// Where calls report whose request says nothing of it.
    pub(super) callback: Option<String>,
    /// Where reports are sent, whatever their address says.
    pub(super) receiver: Option<SocketAddr>,
    /// Different in every fake, so that no two of them give the same names.
    random: RandomState,
    named: u64,
}

impl Books {
    pub(super) fn new() -> Self {
        Self {
            calls: Vec::new(),
            rings: BTreeMap::new(),
            script: VecDeque::new(),
            default: Fault::Accept,
            requests: 0,
            creates: 0,
            cancelled: Vec::new(),
            prepared: Vec::new(),
            deduplicates: false,
            callback: None,
            receiver: None,
            random: RandomState::new(),
            named: 0,
        }
    }

    /// 32 hexadecimal digits that were not there before.
    pub(super) fn name(&mut self) -> String {
        let mut half = || {
            self.named += 1;
            let mut hasher = self.random.build_hasher();
            hasher.write_u64(self.named);
            hasher.finish()
        };
        format!("{:016x}{:016x}", half(), half())
    }

    /// What the next request that places a call meets.
    pub(super) fn next_fault(&mut self) -> Fault {
        self.script
            .pop_front()
            .unwrap_or_else(|| self.default.clone())
    }

    pub(super) fn unread_is_next(&self) -> bool {
        self.script.front().unwrap_or(&self.default) == &Fault::DropUnread
    }

    /// Takes that fault, unless another request was faster.
    pub(super) fn take_unread(&mut self) -> bool {
        let is_next = self.unread_is_next();
        if is_next {
            self.script.pop_front();
        }
        is_next
    }

    /// The call that was asked for with the same key, within the time in which the service knows it.
    pub(super) fn repeated(&self, key: Option<&str>, window: Duration) -> Option<&FakeCall> {
        let key = key?;
        let fresh = |call: &&FakeCall| {
            let age = Timestamp::now().duration_since(call.created).unsigned_abs();
            call.key.as_deref() == Some(key) && age <= window
        };
        self.calls.iter().find(fresh)
    }

    /// Writes a call down, which does not ring yet.
    pub(super) fn accept(
        &mut self,
        shape: fn(&str) -> String,
        placing: Placing,
        asked: Value,
    ) -> &mut FakeCall {
        let (id, other) = (shape(&self.name()), shape(&self.name()));
        self.calls.push(FakeCall::new(id, other, placing, asked));
        self.calls.last_mut().unwrap()
    }

    /// Dials a call that waits.
    pub(super) fn dial(&mut self, id: &str) {
        let call = self.call_mut(id);
        if call.state == FakeState::Queued {
            call.go(FakeState::Ringing);
            let to = call.to.clone();
            *self.rings.entry(to).or_default() += 1;
        }
    }

    pub(super) fn release(&mut self) {
        let ids: Vec<String> = self.calls.iter().map(|call| call.id.clone()).collect();
        for id in ids {
            self.dial(&id);
        }
    }

    pub(super) fn call(&self, id: &str) -> &FakeCall {
        let call = self.calls.iter().find(|call| call.id == id);
        call.unwrap_or_else(|| panic!("there is no call {id}"))
    }

    pub(super) fn call_mut(&mut self, id: &str) -> &mut FakeCall {
        let call = self.calls.iter_mut().find(|call| call.id == id);
        call.unwrap_or_else(|| panic!("there is no call {id}"))
    }
}
