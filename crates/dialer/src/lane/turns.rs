//! Moments at which calls may be started, taken for all that wait in this process with one question.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ringdown_bus::{Error, Pacer, now};
use ringdown_domain::Timestamp;
use tokio::sync::Mutex;

/// A moment that nobody used is lost after this, so that unused ones never make a burst.
const STALE: Duration = Duration::from_millis(100);

pub(super) struct Turns {
    waiting: AtomicU32,
    given: Mutex<Given>,
}

struct Given {
    pacer: Pacer,
    /// Moments that were taken for those that wait, in their order.
    left: VecDeque<Timestamp>,
}

/// Somebody waits, until dropped.
struct Waits<'a>(&'a AtomicU32);

impl<'a> Waits<'a> {
    fn on(waiting: &'a AtomicU32) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Turns {
    pub(super) fn new(pacer: Pacer) -> Self {
        Self {
            waiting: AtomicU32::new(0),
            given: Mutex::new(Given {
                pacer,
                left: VecDeque::new(),
            }),
        }
    }

    /// The next moment that is nobody else's; `None` if there is none up to `latest`.
    ///
    /// # Errors
    /// [`Error`] if the bus does not say.
    pub(super) async fn next(&self, latest: Timestamp) -> Result<Option<Timestamp>, Error> {
        let _waits = Waits::on(&self.waiting);
        let mut given = self.given.lock().await;
        let now = now();
        while let Some(at) = given.left.front().copied() {
            if at > latest {
                return Ok(None);
            }
            given.left.pop_front();
            if at.plus(STALE) > now {
                return Ok(Some(at));
            }
        }
        let most = self.waiting.load(Ordering::Relaxed);
        let moments = given.pacer.next(now, latest, most).await?;
        given.left.extend(moments);
        Ok(given.left.pop_front())
    }
}
