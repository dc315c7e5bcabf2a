use std::time::Duration;

use ringdown_domain::RunId;
use ringdown_domain::call::EndedReason;
use ringdown_domain::run::{Event, Status};
use ringdown_store::{BatchFilter, Page, RunFilter, RunPatch};

use super::{Db, PAGE, at, cancelled, ended, number, team, transition};

/// Three runs that differ in everything a filter can ask for.
pub async fn every_field_of_a_filter_selects(db: Db) {
    let team = team(&db, "team").await;
    let me = team.scope();
    let mut tagged = team.new_scenario("Zo\u{eb} 100%");
    tagged.tags = vec!["smoke".to_owned(), "en".to_owned()];
    let tagged = db.create_scenario(tagged, at(0)).await.unwrap();
    let mut new = team.new_batch(1);
    new.name = "Alpha_1".to_owned();
    new.templates[0].personality = Some(4.into());
    let (alpha, a) = db.trigger(new, at(10)).await.unwrap();
    let other = team.another_project("other").await;
    let mut new = team.new_batch(2);
    new.project = other.id;
    new.agent = 777.into();
    new.agent_name = "Omega".to_owned();
    new.name = "Beta".to_owned();
    new.templates[0].scenario = tagged.id;
    new.templates[0].scenario_name = tagged.name.clone();
    new.runs[1].number = Some(number(4_321));
    let (beta, b) = db.trigger(new, at(20)).await.unwrap();
    let [a, b, c] = [a[0].id, b[0].id, b[1].id];

    db.admit(team.org.id, at(21)).await.unwrap();
    let matched = Event::Matched {
        call: ringdown_domain::CallId("Call-ABC".to_owned()),
        max_duration: Duration::from_secs(60),
    };
    transition(&db, a, matched, at(22)).await.unwrap();
    let patch = RunPatch {
        duration: Some(Duration::from_secs(30)),
        ended_reason: Some(EndedReason::MainAgentEnded),
        ..RunPatch::default()
    };
    let over = ended("Call-ABC", EndedReason::MainAgentEnded);
    db.transition(a, over, patch, at(52)).await.unwrap();
    let scored = Event::Scored { success: true };
    transition(&db, a, scored, at(53)).await.unwrap();
    transition(&db, b, cancelled(), at(54)).await.unwrap();

    let find = async |filter: RunFilter| -> Vec<RunId> {
        let found = db.runs(me, filter, PAGE).await.unwrap();
        assert_eq!(found.count, found.rows.len() as u64);
        found.rows.iter().map(|run| run.id).collect()
    };
    type Set = Box<dyn Fn(&mut RunFilter)>;
    let some = |text: &str| Some(text.to_owned());
    let digits = some(&c.to_string());
    let reason = EndedReason::MainAgentEnded.as_str();
    let cases: Vec<(&str, Set, Vec<RunId>)> = vec![
        ("nothing", Box::new(|_| {}), vec![c, b, a]),
        (
            "result",
            Box::new(move |f| f.result = Some(alpha.id)),
            vec![a],
        ),
        (
            "project",
            Box::new(move |f| f.project = Some(other.id)),
            vec![c, b],
        ),
        (
            "agents",
            Box::new(|f| f.agents = vec![777.into(), 778.into()]),
            vec![c, b],
        ),
        (
            "statuses",
            Box::new(|f| f.statuses = vec![Status::Completed, Status::Cancelled]),
            vec![b, a],
        ),
        (
            "ids",
            Box::new(move |f| f.ids = vec![a, c, 999.into()]),
            vec![c, a],
        ),
        (
            "id_contains",
            Box::new(move |f| f.id_contains.clone_from(&digits)),
            vec![c],
        ),
        (
            "created_from",
            Box::new(|f| f.created_from = Some(at(20))),
            vec![c, b],
        ),
        (
            "created_to",
            Box::new(|f| f.created_to = Some(at(19))),
            vec![a],
        ),
        ("passed", Box::new(|f| f.success = Some(true)), vec![a]),
        ("not passed", Box::new(|f| f.success = Some(false)), vec![]),
        (
            "min_duration",
            Box::new(|f| f.min_duration = Some(Duration::from_secs(30))),
            vec![a],
        ),
        (
            "min_duration",
            Box::new(|f| f.min_duration = Some(Duration::from_secs(31))),
            vec![],
        ),
        (
            "max_duration",
            Box::new(|f| f.max_duration = Some(Duration::from_secs(30))),
            vec![a],
        ),
        (
            "call",
            Box::new(move |f| f.call = Some("Call-ABC".to_owned())),
            vec![a],
        ),
        (
            "call",
            Box::new(move |f| f.call = Some("call-abc".to_owned())),
            vec![],
        ),
        (
            "call_contains",
            Box::new(move |f| f.call_contains = Some("l-a".to_owned())),
            vec![a],
        ),
        (
            "scenarios",
            Box::new(move |f| f.scenarios = vec![tagged.id]),
            vec![c, b],
        ),
        (
            "personalities",
            Box::new(|f| f.personalities = vec![4.into()]),
            vec![a],
        ),
        (
            "tags",
            Box::new(|f| f.tags = vec!["none".to_owned(), "en".to_owned()]),
            vec![c, b],
        ),
        (
            "tags",
            Box::new(|f| f.tags = [vec![String::new(); 3000], vec!["en".to_owned()]].concat()),
            vec![c, b],
        ),
        ("tags", Box::new(|f| f.tags = vec!["e".to_owned()]), vec![]),
        (
            "evaluator",
            Box::new(|f| f.search = Some("100%".to_owned())),
            vec![c, b],
        ),
        (
            "batch",
            Box::new(|f| f.search = Some("ALPHA_".to_owned())),
            vec![a],
        ),
        (
            "agent",
            Box::new(|f| f.search = Some("omega".to_owned())),
            vec![c, b],
        ),
        (
            "number",
            Box::new(|f| f.search = Some("4321".to_owned())),
            vec![c],
        ),
        (
            "ended_reasons",
            Box::new(move |f| f.ended_reasons = vec![reason.to_owned()]),
            vec![a],
        ),
        (
            "ended_reasons",
            Box::new(|f| f.ended_reasons = vec!["x".to_owned()]),
            vec![],
        ),
        (
            "ended_reason_contains",
            Box::new(|f| f.ended_reason_contains = Some("MAIN".to_owned())),
            vec![a],
        ),
    ];
    for (what, set, expected) in &cases {
        let mut filter = RunFilter::default();
        set(&mut filter);
        assert_eq!(&find(filter).await, expected, "{what}");
        // Together with a second condition.
        let mut both = RunFilter {
            ids: vec![b, c],
            ..RunFilter::default()
        };
        set(&mut both);
        if *what != "ids" {
            let mut left = expected.clone();
            left.retain(|id| *id != a);
            assert_eq!(find(both).await, left, "{what} and ids");
        }
    }
    // All at once, on what fits all of it.
    let mut all = RunFilter::default();
    for (what, set, expected) in &cases {
        if expected.contains(&a) && !matches!(*what, "nothing" | "created_from") {
            set(&mut all);
        }
    }
    assert_eq!(find(all).await, [a]);
    let of_beta = RunFilter {
        result: Some(beta.id),
        agents: vec![team.agent.id],
        ..RunFilter::default()
    };
    assert!(find(of_beta).await.is_empty());
}

/// Counts that are kept and counts that are counted agree with the rows of all pages.
pub async fn lists_have_exact_counts_within_their_scope(db: Db) {
    let (ours, theirs) = (team(&db, "ours").await, team(&db, "theirs").await);
    let mut batches = Vec::new();
    for n in 0..7 {
        batches.push(ours.trigger(n, at(n as u64)).await.0.id);
        theirs.trigger(2, at(0)).await;
    }
    for filter in [
        RunFilter::default(),
        RunFilter {
            agents: vec![ours.agent.id, theirs.agent.id],
            ..RunFilter::default()
        },
        RunFilter {
            statuses: vec![Status::InQueue],
            ..RunFilter::default()
        },
    ] {
        let mut seen = Vec::new();
        for number in 1..=8 {
            let page = Page { number, size: 3 };
            let found = db.runs(ours.scope(), filter.clone(), page).await.unwrap();
            assert_eq!(found.count, 21);
            seen.extend(found.rows.iter().map(|run| run.id));
        }
        assert_eq!(seen.len(), 21);
        assert!(seen.is_sorted_by(|a, b| a > b));
    }
    let found = db.batches(ours.scope(), BatchFilter::default(), PAGE);
    assert_eq!(found.await.unwrap().count, 7);
    let last = *batches.last().unwrap();
    let mut after = None;
    let mut walked = 0;
    loop {
        let part = db.runs_of(ours.scope(), last, after, 4).await.unwrap();
        let Some(end) = part.last() else { break };
        after = Some(end.id);
        walked += part.len();
    }
    assert_eq!(walked, 6);
    let foreign = db.runs_of(theirs.scope(), last, None, 4).await.unwrap();
    assert!(foreign.is_empty());
}
