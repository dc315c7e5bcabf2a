//! Ends runs whose testing agent is lost.
//!
//! Testing agents are heard every few seconds. One that was silent for a whole lease, or said goodbye, is
//! gone, and a run that it held ends unless what the run waits for was reported before: then that counts,
//! read already or not. Whoever is not heard because the bus is away is judged by nobody: the platform beats
//! as well, and judges only after it has heard itself without a gap for a whole lease. Each platform judges
//! by itself; the first transition stands.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use ringdown_bus::{Error as BusError, Heard, Heartbeats, Lease, LeaseTimes, subject};
use ringdown_domain::call::EndedReason;
use ringdown_domain::run::{Event, Status};
use ringdown_domain::{HolderId, RunId};
use ringdown_store::{Error as StoreError, Run, RunPatch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::Engine;
use crate::Error;

/// Runs of one testing agent that are read at once.
const BATCH: u32 = 100;

/// Own heartbeats that may be missed before the bus counts as having been away.
const MISSED: u32 = 2;

/// The last sign of a holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    /// A heartbeat, or its name in the database of a platform that had not heard of it yet.
    Alive(Instant),
    /// Its goodbye.
    Left(Instant),
}

/// How a holder was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    Silent,
    Left,
}

/// Who was heard when. Times are those of a clock that never goes back.
#[derive(Debug)]
struct Roll {
    times: LeaseTimes,
    signs: HashMap<HolderId, Sign>,
    /// When this platform heard itself last, and since when without a gap.
    hearing: Option<(Instant, Instant)>,
}

impl Roll {
    fn new(times: LeaseTimes) -> Self {
        Self {
            times,
            signs: HashMap::new(),
            hearing: None,
        }
    }

    fn longest_gap(&self) -> Duration {
        self.times.beat().saturating_mul(MISSED)
    }

    fn hears_itself(&mut self, now: Instant) {
        let gap = self.longest_gap();
        let since = match self.hearing {
            Some((last, since)) if now.saturating_duration_since(last) <= gap => since,
            _ => now,
        };
        self.hearing = Some((now, since));
    }

    fn hears(&mut self, heard: Heard, now: Instant) {
        match heard {
            Heard::Alive(holder) => self.signs.insert(holder, Sign::Alive(now)),
            Heard::Left(holder) => self.signs.insert(holder, Sign::Left(now)),
        };
    }

    /// Whether silence means anything: everybody could be heard for a whole lease.
    fn may_judge(&self, now: Instant) -> bool {
        self.hearing.is_some_and(|(last, since)| {
            now.saturating_duration_since(last) <= self.longest_gap()
                && now.saturating_duration_since(since) >= self.times.lease()
        })
    }

    /// Which of `holders` are lost. One that was never heard of has a lease from now on; those that are
    /// silent and hold nothing are forgotten.
    fn lost(&mut self, holders: Vec<HolderId>, now: Instant) -> Vec<(HolderId, Lost)> {
        let lease = self.times.lease();
        let is_old = |at: Instant| now.saturating_duration_since(at) >= lease;
        let may_judge = self.may_judge(now);
        let mut lost = Vec::new();
        for holder in &holders {
            let sign = *self.signs.entry(holder.clone()).or_insert(Sign::Alive(now));
            match sign {
                Sign::Left(_) => lost.push((holder.clone(), Lost::Left)),
                Sign::Alive(at) if may_judge && is_old(at) => {
                    lost.push((holder.clone(), Lost::Silent));
                }
                Sign::Alive(_) => {}
            }
        }
        let holders: HashSet<HolderId> = holders.into_iter().collect();
        self.signs.retain(|holder, sign| {
            let (Sign::Alive(at) | Sign::Left(at)) = *sign;
            holders.contains(holder) || !is_old(at)
        });
        lost
    }
}

pub(super) struct Service {
    own: Lease,
    heartbeats: Heartbeats,
    roll: Roll,
    ender: Ender,
}

impl Service {
    pub(super) async fn start(engine: &Engine) -> Result<Self, Error> {
        let (bus, times) = (&engine.0.bus, engine.0.leases);
        let heartbeats = bus.heartbeats().await?;
        Ok(Self {
            own: bus.lease("platform", times)?,
            heartbeats,
            roll: Roll::new(times),
            ender: Ender {
                engine: engine.clone(),
                lease: times.lease(),
                reported: HashSet::new(),
            },
        })
    }

    /// Ends runs until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        let Self {
            own,
            mut heartbeats,
            mut roll,
            mut ender,
        } = self;
        let mut looks = tokio::time::interval(roll.times.beat());
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Ending many runs takes a while, in which the others still have to be heard.
            let lost = async {
                looks.tick().await;
                ender.engine.0.store.holders().await
            };
            let heard = hear_during(lost, &mut heartbeats, &mut roll, own.holder());
            let lost = match stop.run_until_cancelled(heard).await {
                Some(Some(Ok(holders))) => roll.lost(holders, Instant::now()),
                Some(Some(Err(error))) => {
                    warn!(%error, "cannot see who holds calls, will try again");
                    continue;
                }
                Some(None) | None => return,
            };
            let ending = ender.end_all(lost);
            let heard = hear_during(ending, &mut heartbeats, &mut roll, own.holder());
            match stop.run_until_cancelled(heard).await {
                Some(Some(Ok(()))) => {}
                Some(Some(Err(error))) => {
                    warn!(%error, "cannot end the runs of lost testing agents, will try again");
                }
                Some(None) | None => return,
            }
        }
    }
}

/// Works, and writes down meanwhile who is heard. `None` if the connection was closed for good.
async fn hear_during<T>(
    work: impl Future<Output = T>,
    heartbeats: &mut Heartbeats,
    roll: &mut Roll,
    own: &HolderId,
) -> Option<T> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            // What was heard is known before anybody is judged.
            biased;
            heard = heartbeats.next() => match heard? {
                Heard::Alive(holder) if &holder == own => roll.hears_itself(Instant::now()),
                heard => roll.hears(heard, Instant::now()),
            },
            done = &mut work => return Some(done),
        }
    }
}

/// Ends the runs of those who are lost.
struct Ender {
    engine: Engine,
    lease: Duration,
    /// Runs of lost holders that wait for a report in the stream to be applied, or for their score.
    reported: HashSet<(RunId, Status)>,
}

impl Ender {
    async fn end_all(&mut self, lost: Vec<(HolderId, Lost)>) -> Result<(), Error> {
        // Without the bus nobody can be asked what was reported.
        if !lost.is_empty() && !self.engine.0.bus.is_connected() {
            return Ok(());
        }
        let mut reported = HashSet::new();
        for (holder, how) in lost {
            self.end_held(&holder, how, &mut reported).await?;
        }
        self.reported = reported;
        Ok(())
    }

    async fn end_held(
        &self,
        holder: &HolderId,
        how: Lost,
        reported: &mut HashSet<(RunId, Status)>,
    ) -> Result<(), Error> {
        let store = &self.engine.0.store;
        let mut after = None;
        loop {
            let runs = store.held_by(holder, after, BATCH).await?;
            let Some(last) = runs.last() else {
                return Ok(());
            };
            after = Some(last.id);
            for run in &runs {
                let known = (run.id, run.status());
                if self.reported.contains(&known) || self.was_reported(run).await? {
                    reported.insert(known);
                } else {
                    self.end(run, holder, how).await?;
                }
            }
        }
    }

    /// Whether what the run waits for is in the stream.
    async fn was_reported(&self, run: &Run) -> Result<bool, Error> {
        let step = match run.status() {
            Status::InProgress => "ended",
            _ => "recorded",
        };
        let subject = subject::call(&run.team, run.id, step);
        match self.engine.0.bus.last(&subject).await {
            Ok(reported) => Ok(reported.is_some()),
            Err(BusError::Message(error)) => {
                warn!(run = %run.id, %error, "cannot read what a lost testing agent had reported");
                Ok(true)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn end(&self, run: &Run, holder: &HolderId, how: Lost) -> Result<(), Error> {
        let Some(call) = run.call.clone() else {
            return Ok(());
        };
        let live = run.status() == Status::InProgress;
        let event = Event::AgentLost {
            call,
            reason: reason(holder, how, live, self.lease),
        };
        let patch = RunPatch {
            ended_reason: live.then_some(EndedReason::TestingAgentLost),
            ..RunPatch::default()
        };
        match self.engine.apply(run.id, event, patch).await {
            Ok(_) => {
                info!(run = %run.id, %holder, ?how, "ended a run whose testing agent is lost");
                Ok(())
            }
            // Another platform was faster, or the run moved on while we looked.
            Err(StoreError::Illegal(why)) => {
                debug!(run = %run.id, %why, "the run needed no testing agent any more");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn reason(holder: &HolderId, how: Lost, live: bool, lease: Duration) -> String {
    let what = match how {
        Lost::Silent => format!(
            "{holder} was not heard for {} s: it died, or it lost the bus",
            lease.as_secs_f64()
        ),
        Lost::Left => format!("{holder} stopped"),
    };
    let missing = if live {
        "the end of the call"
    } else {
        "the recording"
    };
    format!("{what}, and had not reported {missing}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A beat of 1 s, a lease of 4 s.
    struct Watch {
        roll: Roll,
        start: Instant,
    }

    impl Watch {
        fn new() -> Self {
            Self {
                roll: Roll::new(LeaseTimes::beating_every(Duration::from_secs(1))),
                start: Instant::now(),
            }
        }

        fn at(&self, ms: u64) -> Instant {
            self.start + Duration::from_millis(ms)
        }

        fn hears_itself(&mut self, from: u64, to: u64) {
            for ms in (from..=to).step_by(1_000) {
                self.roll.hears_itself(self.at(ms));
            }
        }

        fn alive(&mut self, name: &str, ms: u64) {
            let now = self.at(ms);
            self.roll.hears(Heard::Alive(name.parse().unwrap()), now);
        }

        fn lost(&mut self, holders: &[&str], ms: u64) -> Vec<(String, Lost)> {
            let holders = holders.iter().map(|name| name.parse().unwrap()).collect();
            let now = self.at(ms);
            let lost = self.roll.lost(holders, now).into_iter();
            lost.map(|(holder, how)| (holder.to_string(), how))
                .collect()
        }
    }

    fn silent(name: &str) -> Vec<(String, Lost)> {
        vec![(name.to_owned(), Lost::Silent)]
    }

    #[test]
    fn a_holder_is_lost_after_a_silent_lease_and_not_before() {
        let mut watch = Watch::new();
        watch.hears_itself(0, 10_000);
        watch.alive("a", 6_500);
        watch.alive("b", 9_000);
        assert_eq!(watch.lost(&["a", "b"], 10_400), []);
        assert_eq!(watch.lost(&["a", "b"], 10_500), silent("a"));
        watch.alive("a", 10_600);
        assert_eq!(watch.lost(&["a", "b"], 10_700), [], "it is back");
    }

    #[test]
    fn a_holder_that_only_the_database_knows_gets_a_lease() {
        let mut watch = Watch::new();
        watch.hears_itself(0, 20_000);
        assert_eq!(watch.lost(&["a"], 10_000), []);
        assert_eq!(watch.lost(&["a"], 13_999), []);
        assert_eq!(watch.lost(&["a"], 14_000), silent("a"));
    }

    #[test]
    fn nobody_is_judged_before_the_bus_was_heard_for_a_whole_lease() {
        let mut watch = Watch::new();
        watch.alive("a", 0);
        assert_eq!(watch.lost(&["a"], 60_000), [], "never heard itself");
        watch.hears_itself(60_000, 70_000);
        watch.alive("a", 69_000);
        // Away for longer than a lease.
        assert_eq!(watch.lost(&["a"], 80_000), []);
        watch.hears_itself(80_500, 84_500);
        assert_eq!(watch.lost(&["a"], 84_400), [], "it is just back");
        watch.alive("b", 84_450);
        assert_eq!(watch.lost(&["a", "b"], 84_600), silent("a"));
    }

    #[test]
    fn a_heartbeat_that_is_late_is_no_gap_and_two_that_are_missing_are() {
        let mut watch = Watch::new();
        watch.hears_itself(0, 3_000);
        watch.roll.hears_itself(watch.at(5_000));
        assert!(watch.roll.may_judge(watch.at(5_500)));
        watch.roll.hears_itself(watch.at(7_001));
        assert!(!watch.roll.may_judge(watch.at(7_001)));
    }

    #[test]
    fn a_goodbye_needs_no_silence_and_what_holds_nothing_is_forgotten() {
        let mut watch = Watch::new();
        watch.alive("a", 0);
        watch.alive("b", 0);
        let (a, now) = ("a".parse().unwrap(), watch.at(100));
        watch.roll.hears(Heard::Left(a), now);
        let left = vec![("a".to_owned(), Lost::Left)];
        assert_eq!(watch.lost(&["a"], 200), left);
        assert_eq!(watch.roll.signs.len(), 2);
        assert_eq!(watch.lost(&[], 4_100), []);
        assert!(watch.roll.signs.is_empty());
    }

    #[test]
    fn the_reason_names_who_was_lost_how_and_what_is_missing() {
        let (holder, lease) = ("agent-1".parse().unwrap(), Duration::from_secs(12));
        assert_eq!(
            reason(&holder, Lost::Silent, true, lease),
            "agent-1 was not heard for 12 s: it died, or it lost the bus, and had not reported the end of \
             the call"
        );
        assert_eq!(
            reason(&holder, Lost::Left, false, lease),
            "agent-1 stopped, and had not reported the recording"
        );
    }
}
