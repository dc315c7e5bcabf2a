//! What admission promises, for queues of any shape.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::time::Duration;

use proptest::prelude::*;
use ringdown_domain::admission::{
    BatchLoad, Decision, Lag, Limit, Pace, ProjectLoad, Queue, Settled, decide,
};
use ringdown_domain::invariant::of_admission;
use ringdown_domain::{ProjectId, ResultId, Timestamp};

const MOST: u32 = 1_000;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + millis * 1_000)
}

fn batch(id: i64, queued: u32) -> BatchLoad {
    BatchLoad {
        id: ResultId(id),
        limit: None,
        held: 0,
        queued,
    }
}

fn project(id: i64, batches: &[BatchLoad]) -> ProjectLoad {
    ProjectLoad {
        id: ProjectId(id),
        limit: None,
        weight: 1,
        held: 0,
        pace: None,
        lag: Lag::NONE,
        last_start: None,
        batches: batches.to_vec(),
        more: false,
    }
}

fn queue(limit: u32, projects: Vec<ProjectLoad>) -> Queue {
    Queue {
        limit: Some(limit),
        held: projects.iter().map(|project| project.held).sum(),
        projects,
    }
}

fn batches(decision: &Decision) -> Vec<i64> {
    decision.grants.iter().map(|grant| grant.batch.0).collect()
}

#[test]
fn grants_alternate_between_projects_and_keep_the_order_inside_one() {
    let queue = queue(
        4,
        vec![
            project(1, &[batch(1, 1), batch(3, 5)]),
            project(2, &[batch(2, 2)]),
        ],
    );
    // Between equals the older batch goes first.
    assert_eq!(batches(&decide(&queue, MOST, at(0))), [1, 2, 2, 3]);
    let first = decide(&queue, 1, at(0));
    assert_eq!((batches(&first), first.more), (vec![1], true));
}

#[test]
fn a_slot_that_is_shared_goes_to_whoever_waited_longest() {
    // One slot, three projects: each has it for a third of the time.
    let mut projects = vec![
        project(1, &[batch(1, 100)]),
        project(2, &[batch(2, 100)]),
        project(3, &[batch(3, 100)]),
    ];
    let mut served = Vec::new();
    for turn in 0..6 {
        let decision = decide(&queue(1, projects.clone()), MOST, at(turn * 1_000));
        assert_eq!(decision.grants.len(), 1);
        served.push(decision.grants[0].batch.0);
        for account in decision.accounts {
            let index = usize::try_from(account.project.0 - 1).unwrap();
            projects[index].lag = account.lag;
        }
    }
    assert_eq!(served, [1, 2, 3, 1, 2, 3]);
}

#[test]
fn who_stops_waiting_is_forgotten() {
    let mut idle = project(1, &[]);
    idle.lag = Lag {
        behind: 5,
        rate: 7,
        since: at(0),
    };
    let decision = decide(&queue(1, vec![idle]), MOST, at(1));
    assert_eq!(decision.accounts[0].lag, Lag::NONE);
}

#[test]
fn a_paced_project_starts_one_run_at_a_time_and_says_when_the_next() {
    let mut paced = project(1, &[batch(1, 3)]);
    paced.pace = Pace::per_second(0.5);
    let mut queue = queue(10, vec![paced, project(2, &[batch(2, 1)])]);
    let decision = decide(&queue, MOST, at(0));
    assert_eq!(batches(&decision), [1, 2]);
    assert_eq!(decision.next, Some(at(2_000)));
    queue.projects.pop();
    queue.projects[0].last_start = Some(at(0));
    let early = decide(&queue, MOST, at(1_999));
    assert_eq!((early.grants.len(), early.next), (0, Some(at(2_000))));
    assert_eq!(decide(&queue, MOST, at(2_000)).grants.len(), 1);
    // What else keeps the run is told by its own event.
    queue.held = 10;
    assert_eq!(decide(&queue, MOST, at(1_999)).next, None);
    // A clock that was set back by an hour does not stop the project for an hour.
    queue.held = 0;
    queue.projects[0].last_start = Some(at(3_600_000));
    assert_eq!(decide(&queue, MOST, at(0)).grants.len(), 1);
}

#[test]
fn what_keeps_a_run_is_named() {
    let full = |limit, held| BatchLoad {
        limit: Some(limit),
        held,
        ..batch(2, 5)
    };
    let mut narrow = project(1, &[batch(1, 5)]);
    narrow.limit = Some(1);
    let mut paced = project(3, &[batch(3, 5)]);
    paced.pace = Pace::per_second(1.0);
    let free = project(4, &[batch(4, 1)]);
    let all = queue(10, vec![narrow, project(2, &[full(1, 1)]), paced, free]);
    let named = |queue: &Queue| -> Vec<Option<Limit>> {
        let settled = Settled::of(queue, at(0));
        let keeps = |index: usize| {
            let project = settled.project(queue.projects[index].id).unwrap();
            settled.keeps(project, &project.batches[0], at(0))
        };
        (0..queue.projects.len()).map(keeps).collect()
    };
    assert_eq!(
        named(&all),
        [
            Some(Limit::Project),
            Some(Limit::Batch),
            Some(Limit::Pace),
            None
        ]
    );
    let small = queue(1, vec![project(1, &[batch(1, 5)])]);
    assert_eq!(named(&small), [Some(Limit::Organisation)]);
}

#[test]
fn places_follow_the_weights() {
    let mut heavy = project(2, &[batch(2, 30)]);
    heavy.weight = 2;
    let settled = Settled::of(&queue(0, vec![project(1, &[batch(1, 100)]), heavy]), at(0));
    let (light, heavy) = (
        settled.project(ProjectId(1)).unwrap(),
        settled.project(ProjectId(2)).unwrap(),
    );
    assert_eq!(settled.others_before(light, 1), 2);
    assert_eq!(settled.others_before(light, 99), 30);
    assert_eq!(settled.others_before(heavy, 10), 5);
}

#[test]
fn slots_beyond_a_limit_are_seen() {
    let mut queue = queue(2, vec![project(1, &[batch(1, 5)])]);
    let decision = decide(&queue, MOST, at(0));
    assert_eq!(of_admission(&queue, &decision), None);
    queue.limit = Some(1);
    assert!(of_admission(&queue, &decision).is_some());
    queue.limit = None;
    queue.projects[0].limit = Some(1);
    assert!(of_admission(&queue, &decision).is_some());
    queue.projects[0].limit = None;
    queue.projects[0].batches[0].limit = Some(1);
    assert!(of_admission(&queue, &decision).is_some());
}

fn limits() -> impl Strategy<Value = Option<u32>> {
    proptest::option::of(0u32..6)
}

prop_compose! {
    fn loads()(
        id in 0i64..1_000,
        limit in limits(), held in 0u32..4, queued in 1u32..6,
    ) -> BatchLoad {
        BatchLoad { id: ResultId(id), limit, held, queued }
    }
}

prop_compose! {
    fn projects()(
        batches in proptest::collection::vec(loads(), 0..5),
        limit in limits(),
        weight in 1u32..5,
        other in 0u32..3,
        pace in proptest::option::of(1u32..5_000),
        last in proptest::option::of(-3_000i64..1_000),
        behind in -5_000_000i64..5_000_000,
    ) -> ProjectLoad {
        ProjectLoad {
            id: ProjectId(0),
            limit,
            weight,
            held: other + batches.iter().map(|batch| batch.held).sum::<u32>(),
            pace: pace.and_then(Pace::from_thousandths),
            lag: Lag { behind, rate: 0, since: at(0) },
            last_start: last.map(at),
            batches,
            more: false,
        }
    }
}

proptest! {
    #[test]
    fn no_limit_is_ever_exceeded_and_no_room_is_wasted(
        mut projects in proptest::collection::vec(projects(), 0..6),
        org in proptest::option::of(0u32..20),
        most in 1u32..20,
    ) {
        for (id, project) in (0i64..).zip(&mut projects) {
            project.id = ProjectId(id);
            for batch in &mut project.batches {
                batch.id = ResultId(batch.id.0 + 1_000 * id);
            }
            project.batches.sort_by_key(|batch| batch.id);
            project.batches.dedup_by_key(|batch| batch.id);
        }
        let queue = Queue {
            limit: org,
            held: projects.iter().map(|project| project.held).sum(),
            projects,
        };
        let decision = decide(&queue, most, at(0));
        prop_assert_eq!(of_admission(&queue, &decision), None);
        let given = |id: ResultId| {
            let of_batch = decision.grants.iter().filter(|grant| grant.batch == id);
            u32::try_from(of_batch.count()).unwrap()
        };
        let all = u32::try_from(decision.grants.len()).unwrap();
        prop_assert!(all <= most);
        let fits = |limit: Option<u32>, held: u32, given: u32| {
            given == 0 || limit.is_none_or(|limit| held + given <= limit)
        };
        prop_assert!(fits(org, queue.held, all));
        let org_full = org.is_some_and(|limit| queue.held + all >= limit);
        for project in &queue.projects {
            let of_project: u32 = project.batches.iter().map(|batch| given(batch.id)).sum();
            prop_assert!(fits(project.limit, project.held, of_project));
            let early = project.pace.is_some_and(|p| p.next_start(project.last_start, at(0)) > at(0));
            if project.pace.is_some() {
                prop_assert!(of_project <= u32::from(!early));
            }
            let project_full = project.limit.is_some_and(|l| project.held + of_project >= l);
            let paced = project.pace.is_some() && (early || of_project == 1);
            let mut earlier_has_room = false;
            for batch in &project.batches {
                let got = given(batch.id);
                prop_assert!(fits(batch.limit, batch.held, got));
                prop_assert!(got <= batch.queued);
                prop_assert!(got == 0 || !earlier_has_room, "an earlier batch goes first");
                let full = batch.limit.is_some_and(|l| batch.held + got >= l);
                let could = got < batch.queued && !full;
                earlier_has_room |= could;
                prop_assert!(
                    !could || decision.more || org_full || project_full || paced,
                    "room is wasted"
                );
            }
            if !org_full && !project_full && paced && earlier_has_room && !decision.more {
                prop_assert!(decision.next.is_some_and(|next| next > at(0)));
            }
        }
    }

    #[test]
    fn no_span_of_time_has_more_starts_than_the_pace(
        thousandths in 1u32..=Pace::MAX,
        looks in proptest::collection::vec(0u64..3_000_000, 1..200),
    ) {
        let pace = Pace::from_thousandths(thousandths).unwrap();
        let (mut now, mut last) = (at(0), None);
        let mut starts: Vec<Timestamp> = Vec::new();
        for wait in looks {
            now = now.plus(Duration::from_micros(wait));
            let next = pace.next_start(last, now);
            prop_assert!(next >= now);
            if next == now {
                starts.push(now);
                last = Some(now);
            }
        }
        for (first, from) in starts.iter().enumerate() {
            for (more, to) in starts[first..].iter().enumerate() {
                // `more` starts after the first one, in so much time, exactly.
                let span = to.since(*from).as_micros();
                let allowed = span * u128::from(thousandths);
                prop_assert!(u128::try_from(more).unwrap() * 1_000_000_000 <= allowed);
            }
        }
    }
}

#[test]
fn a_pace_is_kept_in_thousandths() {
    for good in [0.001, 0.5, 1.0, 2.5, 33.333, 1000.0] {
        let pace = Pace::per_second(good).unwrap();
        assert!((pace.calls_per_second() - good).abs() < 1e-9);
        assert!(pace.interval().as_secs_f64() >= 1.0 / good - 1e-9);
    }
    for bad in [0.0, -1.0, 0.0004, 1000.6, f64::NAN, f64::INFINITY] {
        assert_eq!(Pace::per_second(bad), None, "{bad}");
    }
    assert_eq!(
        Pace::per_second(3.0).unwrap().interval(),
        Duration::from_micros(333_334)
    );
}
