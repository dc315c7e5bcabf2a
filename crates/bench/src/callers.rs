//! Everybody else on the bus, without telephones: each pending run is called at once, and each call that is over
//! is scored at once.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use ringdown_bus::{Bus, From, Stream, now, subject};
use ringdown_domain::Team;
use ringdown_domain::call::EndedReason;
use ringdown_domain::run::Status;
use ringdown_proto::v1::envelope::Fact;
use ringdown_proto::v1::{CallFact, MatchRequest, RunTransition, ScoreFact, call_fact};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::{JoinHandle, JoinSet};

use crate::world::CALLER;

/// Longest wait for the platform to say whose a call is.
const MATCH: Duration = Duration::from_secs(20);

/// Facts on their way to the bus at once.
const AT_ONCE: usize = 512;

/// What the callers have seen so far.
#[derive(Default)]
pub(crate) struct Seen {
    /// Transitions of any run, except that it was accepted.
    pub(crate) transitions: AtomicU64,
    /// Calls that are up, oldest first, if they are not ended at once.
    pub(crate) up: Mutex<VecDeque<i64>>,
    /// When slots were freed that nobody was seen to get yet, oldest first.
    pub(crate) freed: Mutex<VecDeque<Instant>>,
    /// From a freed slot to the next `pending` heard on the bus.
    pub(crate) refilled: Mutex<Vec<Duration>>,
    /// Runs that became pending: when the slot was freed that they got.
    pub(crate) given: Mutex<Vec<(i64, Instant)>>,
    /// How long the platform took to say whose a call is.
    pub(crate) matched: Mutex<Vec<Duration>>,
    /// How long the bus took to store that a call has ended.
    pub(crate) reported: Mutex<Vec<Duration>>,
    /// Calls whose end is stored, and since when.
    pub(crate) over: Mutex<HashMap<i64, Instant>>,
    /// From there until its run was heard to be evaluated.
    pub(crate) applied: Mutex<Vec<Duration>>,
    /// Something above has changed.
    pub(crate) changed: Notify,
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers for all callers and scorers until dropped.
pub(crate) struct Callers {
    pub(crate) seen: Arc<Seen>,
    bus: Bus,
    team: Team,
    listening: JoinHandle<anyhow::Result<()>>,
}

impl Drop for Callers {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

fn call_id(run: i64) -> String {
    format!("bench-{run}")
}

impl Callers {
    /// With `hang_up` every call ends as soon as it is up.
    pub(crate) async fn start(bus: &Bus, team: &Team, hang_up: bool) -> anyhow::Result<Self> {
        let seen = Arc::new(Seen::default());
        let filter = subject::runs_of(team);
        let mut heard = bus.observe(Stream::Runs, &filter, From::Now).await?;
        let (bus, team) = (bus.clone(), team.clone());
        let (errors, mut failed) = mpsc::channel::<anyhow::Error>(1);
        let worker = Worker {
            bus: bus.clone(),
            team: team.clone(),
            seen: Arc::clone(&seen),
            hang_up,
        };
        let listening = tokio::spawn(async move {
            let permits = Arc::new(Semaphore::new(AT_ONCE));
            let mut working = JoinSet::new();
            loop {
                while working.try_join_next().is_some() {}
                let envelope = tokio::select! {
                    fact = heard.next() => fact.context("the bus is gone")??.envelope,
                    Some(error) = failed.recv() => return Err(error),
                };
                let Some(Fact::Run(fact)) = envelope.fact else {
                    continue;
                };
                let status = fact.known_status().context("a status")?;
                worker.hear(&fact, status);
                let permit = Arc::clone(&permits).acquire_owned().await?;
                let (worker, errors) = (worker.clone(), errors.clone());
                working.spawn(async move {
                    if let Err(error) = worker.act(fact, status).await {
                        // One that is reported is enough.
                        let _ = errors.try_send(error);
                    }
                    drop(permit);
                });
            }
        });
        Ok(Self {
            seen,
            bus,
            team,
            listening,
        })
    }

    /// Ends the oldest call that is up; false if there is none.
    pub(crate) async fn hang_up_one(&self) -> anyhow::Result<bool> {
        let Some(run) = locked(&self.seen.up).pop_front() else {
            return Ok(false);
        };
        locked(&self.seen.freed).push_back(Instant::now());
        ended(&self.bus, &self.team, run).await?;
        Ok(true)
    }

    /// Fails if answering has failed.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(!self.listening.is_finished(), "the callers stopped");
        Ok(())
    }
}

async fn ended(bus: &Bus, team: &Team, run: i64) -> anyhow::Result<()> {
    let fact = CallFact {
        run_id: run,
        call_id: call_id(run),
        sip_call_id: String::new(),
        step: Some(call_fact::Step::Ended(call_fact::Ended {
            reason: EndedReason::MainAgentEnded.as_str().to_owned(),
            duration_ms: 1_000,
            ..Default::default()
        })),
    };
    let envelope = bus.envelope(team, Fact::Call(fact));
    bus.publish(&envelope, &format!("ended-{run}")).await?;
    Ok(())
}

#[derive(Clone)]
struct Worker {
    bus: Bus,
    team: Team,
    seen: Arc<Seen>,
    hang_up: bool,
}

impl Worker {
    fn hear(&self, fact: &RunTransition, status: Status) {
        if status != Status::InQueue {
            self.seen.transitions.fetch_add(1, Ordering::Relaxed);
        }
        if status == Status::Evaluating
            && let Some(since) = locked(&self.seen.over).remove(&fact.run_id)
        {
            locked(&self.seen.applied).push(since.elapsed());
        }
        if status == Status::Pending
            && let Some(freed) = locked(&self.seen.freed).pop_front()
        {
            locked(&self.seen.refilled).push(freed.elapsed());
            locked(&self.seen.given).push((fact.run_id, freed));
        }
    }

    async fn act(&self, fact: RunTransition, status: Status) -> anyhow::Result<()> {
        match status {
            Status::Pending => self.call(&fact).await?,
            Status::Evaluating => {
                let score = ScoreFact {
                    run_id: fact.run_id,
                    call_id: call_id(fact.run_id),
                    success: true,
                    ..ScoreFact::default()
                };
                let envelope = self.bus.envelope(&self.team, Fact::Score(score));
                let id = format!("score-{}", fact.run_id);
                self.bus.publish(&envelope, &id).await?;
            }
            _ => {}
        }
        Ok(())
    }

    async fn call(&self, fact: &RunTransition) -> anyhow::Result<()> {
        let request = MatchRequest {
            call_id: call_id(fact.run_id),
            sip_call_id: call_id(fact.run_id),
            from_raw: CALLER.to_owned(),
            to_raw: fact.number.clone(),
            source: "127.0.0.1:5060".to_owned(),
            hinted_run: fact.run_id,
            received_at_us: now().as_micros(),
            ..MatchRequest::default()
        };
        let asked = Instant::now();
        let reply = self.bus.match_call(&request, MATCH).await?;
        locked(&self.seen.matched).push(asked.elapsed());
        anyhow::ensure!(
            reply.run_id == fact.run_id && reply.script.is_some(),
            "the call of run {} was judged {}: {}",
            fact.run_id,
            reply.verdict,
            reply.explanation
        );
        if self.hang_up {
            let begun = Instant::now();
            locked(&self.seen.over).insert(fact.run_id, begun);
            ended(&self.bus, &self.team, fact.run_id).await?;
            locked(&self.seen.reported).push(begun.elapsed());
            return Ok(());
        }
        locked(&self.seen.up).push_back(fact.run_id);
        self.seen.changed.notify_one();
        Ok(())
    }
}
