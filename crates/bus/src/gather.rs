//! Messages of many tasks that go to the server one after the other, or together if there are many: what comes while
//! others are on their way waits for them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::connection::DEADLINE;
use crate::outgoing::{AT_ONCE, Outgoing, Sent, worth_a_batch};
use crate::{Bus, Published, Stream};

type Waiting = (Outgoing, oneshot::Sender<Sent>);

/// As many messages as there are callers that wait.
#[derive(Debug, Default)]
struct Queue {
    /// Something is begun or not by the server's word on these.
    claims: VecDeque<Waiting>,
    /// What has happened already.
    facts: VecDeque<Waiting>,
    /// Somebody takes from it until it is empty.
    flowing: bool,
}

impl Queue {
    /// What is sent next: the next claim, but many messages together before one alone.
    fn next(&mut self) -> Vec<Waiting> {
        // Nobody waits for what was given up.
        self.claims.retain(|(_, answer)| !answer.is_closed());
        self.facts.retain(|(_, answer)| !answer.is_closed());
        let (from, most) = if worth_a_batch(self.claims.len()) {
            (&mut self.claims, AT_ONCE)
        } else if worth_a_batch(self.facts.len()) {
            (&mut self.facts, AT_ONCE)
        } else if self.claims.is_empty() {
            (&mut self.facts, 1)
        } else {
            (&mut self.claims, 1)
        };
        let end = from.len().min(most);
        from.drain(..end).collect()
    }
}

/// One queue for each stream. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gather(Arc<[Mutex<Queue>; Stream::ALL.len()]>);

impl Gather {
    fn queue(&self, stream: Stream) -> MutexGuard<'_, Queue> {
        let [runs, dials, calls, scores, plans] = &*self.0;
        let queue = match stream {
            Stream::Runs => runs,
            Stream::Dials => dials,
            Stream::Calls => calls,
            Stream::Scores => scores,
            Stream::Plans => plans,
        };
        queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is sent next; `None` once there is nothing, and then nobody takes any more.
    fn next(&self, stream: Stream) -> Option<Vec<Waiting>> {
        let mut queue = self.queue(stream);
        let next = queue.next();
        queue.flowing = !next.is_empty();
        queue.flowing.then_some(next)
    }
}

impl Bus {
    /// Sends a message, with others of its stream if there are any, and waits for the server's word on it.
    pub(crate) async fn send_gathered(&self, message: Outgoing) -> Sent {
        let stream = message.stream;
        let nothing_known = message.unanswered();
        let (answer, answered) = oneshot::channel();
        let begin = {
            let mut queue = self.gather.queue(stream);
            let waiting = if message.is_claim {
                &mut queue.claims
            } else {
                &mut queue.facts
            };
            waiting.push_back((message, answer));
            !std::mem::replace(&mut queue.flowing, true)
        };
        if begin {
            // Not in the caller's own future: that may be dropped, and others wait.
            tokio::spawn(self.clone().flow(stream));
        }
        match tokio::time::timeout(DEADLINE, answered).await {
            Ok(Ok(sent)) => sent,
            Ok(Err(_)) | Err(_) => Err(nothing_known),
        }
    }

    async fn flow(self, stream: Stream) {
        while let Some(mut waiting) = self.gather.next(stream) {
            if waiting.len() > 1 {
                waiting = self.together(waiting).await;
            }
            // One after the other: on a disk that has to be asked after each, the server is several times slower with
            // some at once.
            for (message, answer) in waiting {
                if !answer.is_closed() {
                    // Who does not wait any more has given up.
                    let _ = answer.send(self.send(message).await);
                }
            }
        }
    }

    /// Sends messages as a batch. Returns those that have to be sent one by one: all of them, or none.
    async fn together(&self, waiting: Vec<Waiting>) -> Vec<Waiting> {
        let messages: Vec<&Outgoing> = waiting.iter().map(|(message, _)| message).collect();
        let last = match self.atomically(&messages).await {
            Ok(Some(last)) => Some(last),
            Ok(None) => return waiting,
            Err(_) => None,
        };
        let count = u64::try_from(messages.len()).unwrap_or(u64::MAX);
        let first = last.map(|last| last.saturating_add(1).saturating_sub(count));
        for (number, (message, answer)) in (0..).zip(waiting) {
            let stored = first.map(|first| Published {
                sequence: first.saturating_add(number),
                duplicate: false,
            });
            let _ = answer.send(stored.map(Ok).ok_or_else(|| message.unanswered()));
        }
        Vec::new()
    }
}
