//! Calls that an account has up, of those that it may have over all dialers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ringdown_bus::Bus;
use tokio::sync::Notify;
use tracing::debug;

/// A dialer that is not heard for this long has no calls any more.
const LEASE: Duration = Duration::from_secs(15);

/// Others may have ended calls: it is asked again this often while somebody waits.
const AGAIN: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
struct Count {
    /// Calls of this process.
    up: u32,
    /// Calls that it may have.
    granted: u32,
    /// Calls that wait for room.
    waiting: u32,
}

#[derive(Debug)]
pub(super) struct Calls {
    bus: Bus,
    account: String,
    /// This process; another one after a restart, whose calls are entered until their lease ends.
    holder: String,
    limit: u32,
    count: Mutex<Count>,
    changed: Notify,
    /// One question at a time: an older answer must not undo a newer one.
    asking: tokio::sync::Mutex<()>,
}

/// A call that has room.
#[derive(Debug)]
pub(crate) struct Up(Arc<Calls>);

/// Somebody waits, until dropped.
struct Waits<'a>(&'a Calls);

impl<'a> Waits<'a> {
    fn on(calls: &'a Calls) -> Self {
        calls.count().waiting += 1;
        Self(calls)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.count().waiting -= 1;
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        self.0.count().up -= 1;
        self.0.changed.notify_one();
    }
}

impl Calls {
    pub(super) fn start(bus: Bus, account: String, limit: u32) -> Arc<Self> {
        let calls = Arc::new(Self {
            bus,
            account,
            holder: ringdown_bus::new_event_id(),
            limit,
            count: Mutex::default(),
            changed: Notify::new(),
            asking: tokio::sync::Mutex::default(),
        });
        let renewed = Arc::downgrade(&calls);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(LEASE / 3).await;
                let Some(calls) = renewed.upgrade() else {
                    return;
                };
                if calls.is_entered() {
                    calls.ask().await;
                }
            }
        });
        calls
    }

    fn count(&self) -> std::sync::MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_entered(&self) -> bool {
        let count = self.count();
        count.up > 0 || count.granted > 0
    }

    /// Waits for room. Dropped, it waits no more.
    pub(super) async fn take(self: &Arc<Self>) -> Up {
        let _waits = Waits::on(self);
        loop {
            if let Some(up) = self.try_take() {
                return up;
            }
            self.ask().await;
            if let Some(up) = self.try_take() {
                return up;
            }
            tokio::select! {
                () = self.changed.notified() => {}
                () = tokio::time::sleep(AGAIN) => {}
            }
        }
    }

    /// Enters a call that is up already, even above the limit. It is told to the others when this process is heard next.
    pub(super) fn enter(self: &Arc<Self>) -> Up {
        self.count().up += 1;
        Up(Arc::clone(self))
    }

    fn try_take(self: &Arc<Self>) -> Option<Up> {
        let mut count = self.count();
        if count.up >= count.granted {
            return None;
        }
        count.up += 1;
        drop(count);
        // There may be room for the next one as well.
        self.changed.notify_one();
        Some(Up(Arc::clone(self)))
    }

    async fn ask(&self) {
        let _one = self.asking.lock().await;
        let wanted = {
            let count = self.count();
            count.up.saturating_add(count.waiting)
        };
        let held = self
            .bus
            .hold(&self.account, &self.holder, wanted, self.limit, LEASE)
            .await;
        match held {
            Ok(granted) => self.count().granted = granted,
            Err(error) => {
                debug!(account = self.account, %error, "cannot ask for room for calls");
            }
        }
    }
}
