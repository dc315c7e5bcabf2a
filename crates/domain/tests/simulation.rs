//! Admission and the state machine in virtual time: 100,000 runs of 50 projects on a database that is a few
//! counters, with platforms that die, clocks that differ, messages that come twice and limits that change.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use ringdown_domain::admission::{BatchLoad, Lag, Pace, ProjectLoad, Queue, decide};
use ringdown_domain::call::EndedReason;
use ringdown_domain::run::{Effect, Event, State};
use ringdown_domain::{CallId, ProjectId, ResultId, Timestamp};

const RUNS: u64 = 100_000;
const PROJECTS: usize = 50;
/// The first so many have no limit of their own: their shares are measured.
const MEASURED: usize = 40;
const DIAL_WINDOW: Duration = Duration::from_secs(30);
const LONGEST_CALL: u64 = 300_000;
const SWEEP: u64 = 30_000;
const PORTION: u32 = 200;

/// SplitMix64: small, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    fn once_in(&mut self, times: u64) -> bool {
        self.next().is_multiple_of(times)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    /// A platform looks at the queue.
    Admission,
    /// Every platform looks, in case all that was told is lost.
    Sweep,
    LimitsChange,
    /// A batch of this project arrives.
    Trigger(usize),
    /// Something is reported of a run.
    Report(usize, Report),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Report {
    Matched,
    NotDialed,
    WindowClosed,
    Ended,
    DeadlinePassed,
    Scored,
}

struct Run {
    state: State,
    project: usize,
    batch: ResultId,
}

/// A project's calls and what was seen of it.
struct Seen {
    /// Mean length of its calls, in milliseconds.
    mean: u64,
    queued: VecDeque<(ResultId, VecDeque<usize>)>,
    /// Slot-milliseconds it held while it was measured.
    held: u128,
    /// Since when it waits without having got a slot.
    waits_since: u64,
    longest_wait: u64,
    last_start: Option<Timestamp>,
}

struct World {
    random: Random,
    /// Milliseconds since the start.
    now: u64,
    happenings: BinaryHeap<Reverse<(u64, u64, Happening)>>,
    count: u64,
    queue: Queue,
    seen: Vec<Seen>,
    runs: Vec<Run>,
    admission_is_due: bool,
    /// Until the first of the measured projects has no queue any more.
    measuring: bool,
    ended: u64,
    deaths: u64,
    batches: i64,
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000).plus(Duration::from_millis(millis))
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            random: Random(seed),
            now: 0,
            happenings: BinaryHeap::new(),
            count: 0,
            queue: Queue {
                limit: Some(120),
                ..Queue::default()
            },
            seen: Vec::new(),
            runs: Vec::new(),
            admission_is_due: false,
            measuring: true,
            ended: 0,
            deaths: 0,
            batches: 0,
        };
        for index in 0..PROJECTS {
            let load = ProjectLoad {
                id: ProjectId(i64::try_from(index).unwrap()),
                limit: None,
                weight: u32::try_from(world.random.between(1, 10)).unwrap(),
                held: 0,
                pace: None,
                lag: Lag::NONE,
                last_start: None,
                batches: Vec::new(),
                more: false,
            };
            world.queue.projects.push(load);
            let mean = world.random.between(10_000, 100_000);
            world.seen.push(Seen {
                mean,
                queued: VecDeque::new(),
                held: 0,
                waits_since: 0,
                longest_wait: 0,
                last_start: None,
            });
        }
        for index in MEASURED..PROJECTS {
            let project = &mut world.queue.projects[index];
            if index % 2 == 0 {
                project.pace =
                    Pace::from_thousandths(u32::try_from(world.random.between(5, 5_000)).unwrap());
            } else {
                project.limit = Some(u32::try_from(world.random.between(1, 9)).unwrap());
            }
        }
        world.fill();
        world.after(1, Happening::Sweep);
        world.after(1_000, Happening::LimitsChange);
        world
    }

    /// The measured projects get so many runs that they come to an end at about the same time.
    fn fill(&mut self) {
        let time = |world: &Self, index: usize| {
            u64::from(world.queue.projects[index].weight) * 1_000_000 / world.seen[index].mean
        };
        let all: u64 = (0..MEASURED).map(|index| time(self, index)).sum();
        for index in 0..MEASURED {
            let mut left = RUNS * 9 / 10 * time(self, index) / all;
            while left > 0 {
                let runs = self.random.between(1, 3_000).min(left);
                self.trigger(index, runs, None);
                left -= runs;
            }
        }
        self.trigger_later();
    }

    /// The others get batches now and then, some with a limit of their own.
    fn trigger_later(&mut self) {
        if u64::try_from(self.runs.len()).unwrap() < RUNS {
            let project = MEASURED + usize::try_from(self.random.between(0, 9)).unwrap();
            let wait = self.random.between(1, 40_000);
            self.after(wait, Happening::Trigger(project));
        }
    }

    fn trigger(&mut self, project: usize, runs: u64, limit: Option<u32>) {
        self.batches += 1;
        let id = ResultId(self.batches);
        let first = self.runs.len();
        for _ in 0..runs {
            self.runs.push(Run {
                state: State::InQueue,
                project,
                batch: id,
            });
        }
        let queued = (first..self.runs.len()).collect();
        if self.queue.projects[project].batches.is_empty() {
            self.seen[project].waits_since = self.now;
        }
        self.seen[project].queued.push_back((id, queued));
        self.queue.projects[project].batches.push(BatchLoad {
            id,
            limit,
            held: 0,
            queued: u32::try_from(runs).unwrap(),
        });
        self.admission_is_due = true;
    }

    fn after(&mut self, millis: u64, what: Happening) {
        self.count += 1;
        self.happenings
            .push(Reverse((self.now + millis, self.count, what)));
    }

    fn run(&mut self) {
        while let Some(Reverse((then, _, what))) = self.happenings.pop() {
            self.pass(then);
            match what {
                Happening::Admission => self.admission_is_due = true,
                Happening::Sweep => {
                    self.admission_is_due = true;
                    if self.ended < RUNS {
                        self.after(SWEEP, Happening::Sweep);
                    }
                }
                Happening::LimitsChange => self.change_limits(),
                Happening::Trigger(project) => {
                    let left = RUNS.saturating_sub(u64::try_from(self.runs.len()).unwrap());
                    let runs = self.random.between(1, 40).min(left);
                    let limit = self.random.once_in(2).then_some(2);
                    if runs > 0 {
                        self.trigger(project, runs, limit);
                    }
                    self.trigger_later();
                }
                Happening::Report(run, report) => self.report(run, report),
            }
            if std::mem::take(&mut self.admission_is_due) {
                self.admit();
            }
        }
    }

    fn pass(&mut self, then: u64) {
        let elapsed = u128::from(then - self.now);
        if self.measuring {
            for (seen, load) in self.seen[..MEASURED].iter_mut().zip(&self.queue.projects) {
                seen.held += elapsed * u128::from(load.held);
            }
        }
        self.now = then;
    }

    /// Also far below what is running: that finishes, and nothing starts.
    fn change_limits(&mut self) {
        let limit = match self.random.between(0, 9) {
            0 => self.random.between(0, 20),
            _ => self.random.between(60, 180),
        };
        self.queue.limit = Some(u32::try_from(limit).unwrap());
        for index in MEASURED..PROJECTS {
            if let Some(limit) = &mut self.queue.projects[index].limit {
                *limit = u32::try_from(self.random.between(1, 9)).unwrap();
            }
        }
        self.admission_is_due = true;
        if self.ended < RUNS {
            // A limit of nearly nothing is soon taken back.
            let wait = if limit < 60 { 60_000 } else { 2_000_000 };
            let wait = self.random.between(wait / 2, wait);
            self.after(wait, Happening::LimitsChange);
        }
    }

    fn admit(&mut self) {
        // Each platform has its own clock.
        let skew = self.random.between(0, 20);
        let now = at(self.now + skew);
        let decision = decide(&self.queue, PORTION, now);
        if self.random.once_in(50) {
            // The platform dies before it commits. What it was told is lost with it.
            self.deaths += 1;
            return;
        }
        for account in &decision.accounts {
            let project = &mut self.queue.projects[usize::try_from(account.project.0).unwrap()];
            (project.lag, project.last_start) = (account.lag, account.last_start);
        }
        for grant in &decision.grants {
            let project = usize::try_from(grant.project.0).unwrap();
            self.start(project, grant.batch, now);
        }
        if !decision.grants.is_empty() {
            let (limit, held) = (self.queue.limit, self.queue.held);
            assert!(limit.is_none_or(|limit| held <= limit), "the organisation");
        }
        if decision.more {
            self.after(0, Happening::Admission);
        } else if let Some(next) = decision.next {
            let wait = now.until(next).as_micros().div_ceil(1_000);
            self.after(u64::try_from(wait).unwrap(), Happening::Admission);
        }
    }

    fn start(&mut self, project: usize, batch: ResultId, now: Timestamp) {
        let load = &mut self.queue.projects[project];
        let seen = &mut self.seen[project];
        let queued = seen.queued.iter_mut().find(|(id, _)| *id == batch);
        let run = queued.unwrap().1.pop_front().unwrap();
        let of_batch = load.batches.iter_mut().find(|b| b.id == batch).unwrap();
        of_batch.queued -= 1;
        of_batch.held += 1;
        load.held += 1;
        self.queue.held += 1;
        assert!(load.limit.is_none_or(|l| load.held <= l), "a project");
        let fits = |limit: Option<u32>| limit.is_none_or(|limit| of_batch.held <= limit);
        assert!(fits(of_batch.limit), "a batch");
        if let Some(pace) = load.pace {
            if let Some(last) = seen.last_start {
                assert!(now.since(last) >= pace.interval(), "a pace");
            }
            seen.last_start = Some(now);
        }
        seen.longest_wait = seen.longest_wait.max(self.now - seen.waits_since);
        seen.waits_since = self.now;
        if load.batches.iter().all(|batch| batch.queued == 0) && project < MEASURED {
            self.measuring = false;
        }
        let mean = seen.mean;
        let event = Event::Admitted {
            dial_window: DIAL_WINDOW,
        };
        let (state, effects) = self.runs[run].state.apply(event, now).unwrap();
        assert!(effects.is_empty());
        self.runs[run].state = state;
        let ring = self.random.between(500, 5_000);
        match self.random.between(0, 99) {
            0..3 => self.after(ring, Happening::Report(run, Report::NotDialed)),
            3..8 => {
                let window = u64::try_from(DIAL_WINDOW.as_millis()).unwrap() + 50;
                self.after(window, Happening::Report(run, Report::WindowClosed));
            }
            _ => {
                self.after(ring, Happening::Report(run, Report::Matched));
                let lost = self.random.once_in(200);
                let length = self.random.between(1, 2 * mean).min(LONGEST_CALL);
                let (wait, report) = if lost {
                    (LONGEST_CALL + 30_000, Report::DeadlinePassed)
                } else {
                    (length, Report::Ended)
                };
                self.after(ring + wait, Happening::Report(run, report));
            }
        }
    }

    fn report(&mut self, run: usize, report: Report) {
        let call = CallId(run.to_string());
        let event = match report {
            Report::Matched => Event::Matched {
                call,
                max_duration: Duration::from_millis(LONGEST_CALL),
            },
            Report::NotDialed => Event::NotDialed {
                reason: "refused".to_owned(),
            },
            Report::WindowClosed => Event::WindowClosed {
                reason: "nobody called".to_owned(),
            },
            Report::Ended => Event::CallEnded {
                call,
                ended: EndedReason::MainAgentEnded,
            },
            Report::DeadlinePassed => Event::DeadlinePassed,
            Report::Scored => Event::Scored { success: true },
        };
        let now = at(self.now);
        let before = self.runs[run].state.clone();
        let (state, effects) = before.apply(event.clone(), now).unwrap();
        // What is told twice changes nothing.
        assert!(state.apply(event, now).is_err(), "{state:?}");
        let freed = before.status().holds_slot() && !state.status().holds_slot();
        assert_eq!(effects.contains(&Effect::SlotFreed), freed);
        if freed {
            let Run { project, batch, .. } = self.runs[run];
            let load = &mut self.queue.projects[project];
            load.held -= 1;
            self.queue.held -= 1;
            let index = load.batches.iter().position(|b| b.id == batch).unwrap();
            load.batches[index].held -= 1;
            if load.batches[index].held + load.batches[index].queued == 0 {
                load.batches.remove(index);
                self.seen[project].queued.retain(|(id, _)| *id != batch);
            }
            self.admission_is_due = true;
        }
        if matches!(state, State::Evaluating { .. }) {
            self.after(2_000, Happening::Report(run, Report::Scored));
        }
        self.ended += u64::from(state.status().is_terminal());
        self.runs[run].state = state;
    }
}

fn simulate(seed: u64) {
    let mut world = World::new(seed);
    world.run();
    assert_eq!(world.ended, RUNS, "every run ends");
    assert!(world.runs.iter().all(|r| r.state.status().is_terminal()));
    assert_eq!(world.queue.held, 0);
    assert!(world.deaths > 100, "{} platforms died", world.deaths);

    let all: u128 = world.seen[..MEASURED].iter().map(|seen| seen.held).sum();
    let measured = &world.queue.projects[..MEASURED];
    let weights: u128 = measured.iter().map(|p| u128::from(p.weight)).sum();
    let all_weights: u32 = world.queue.projects.iter().map(|p| p.weight).sum();
    let all_weights = f64::from(all_weights);
    for (load, seen) in measured.iter().zip(&world.seen) {
        let fair = u128::from(load.weight) * 1_000_000 / weights;
        let got = seen.held * 1_000_000 / all;
        assert!(
            got.abs_diff(fair) * 100 <= fair * 5,
            "seed {seed}: weight {} got {got} millionths instead of {fair}",
            load.weight
        );
        // Who has had a call at a time that belonged to others waits until they had theirs: the length of
        // the call over the part of a slot that the project has under the smallest limit that lasts.
        let part = 60.0 * f64::from(load.weight) / all_weights;
        let bound = 3.0 * 400.0 / part.min(1.0);
        let waited = Duration::from_millis(seen.longest_wait).as_secs_f64();
        assert!(
            waited <= bound,
            "seed {seed}: weight {} waited {waited} s, more than {bound} s",
            load.weight,
        );
    }
}

/// One seed in CI, more for as many seconds as `RINGDOWN_SOAK` says.
#[test]
fn shares_limits_and_promises_hold_in_virtual_time() {
    let soak = std::env::var("RINGDOWN_SOAK").ok();
    let soak = soak.map_or(0, |seconds| seconds.parse().unwrap());
    let begun = Instant::now();
    let mut seed = 1;
    loop {
        simulate(seed);
        seed += 1;
        if begun.elapsed() >= Duration::from_secs(soak) {
            return;
        }
    }
}
