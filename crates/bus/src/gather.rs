//! Messages of many tasks that go to the server together. It is as fast to be sure of many as of one, so what comes while
//! others are on their way waits for them and is the next batch.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::join_all;
use tokio::sync::oneshot;

use crate::connection::DEADLINE;
use crate::outgoing::{AT_ONCE, Outgoing, Sent};
use crate::{Bus, Published, Stream};

/// The server makes a store of its own for each batch, which takes it as long as a few messages.
const WORTH_A_BATCH: usize = 6;

type Waiting = (Outgoing, oneshot::Sender<Sent>);

#[derive(Debug, Default)]
struct Queue {
    /// As many as there are callers that wait.
    waiting: VecDeque<Waiting>,
    /// Somebody takes from it until it is empty.
    flowing: bool,
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

    /// The next ones that somebody still waits for; `None` once there are none, and then nobody takes any more.
    fn next(&self, stream: Stream) -> Option<Vec<Waiting>> {
        let mut queue = self.queue(stream);
        let end = queue.waiting.len().min(AT_ONCE);
        let mut next: Vec<Waiting> = queue.waiting.drain(..end).collect();
        next.retain(|(_, answer)| !answer.is_closed());
        queue.flowing = end > 0;
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
            queue.waiting.push_back((message, answer));
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
        while let Some(batch) = self.gather.next(stream) {
            let (messages, answers): (Vec<Outgoing>, Vec<_>) = batch.into_iter().unzip();
            for (answer, sent) in answers.into_iter().zip(self.send_all(messages).await) {
                // Who does not wait any more has given up.
                let _ = answer.send(sent);
            }
        }
    }

    async fn send_all(&self, messages: Vec<Outgoing>) -> Vec<Sent> {
        if messages.len() >= WORTH_A_BATCH {
            match self.atomically(&messages).await {
                Ok(Some(last)) => {
                    let first = last.saturating_add(1).saturating_sub(messages.len() as u64);
                    let stored = |sequence| {
                        Ok(Ok(Published {
                            sequence,
                            duplicate: false,
                        }))
                    };
                    return (first..=last).map(stored).collect();
                }
                Ok(None) => {}
                Err(_) => return messages.iter().map(|m| Err(m.unanswered())).collect(),
            }
        }
        join_all(messages.into_iter().map(|message| self.send(message))).await
    }
}
