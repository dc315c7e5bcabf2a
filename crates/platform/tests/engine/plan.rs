//! From a request to a batch: what is looked up, combined, ordered and refused.

use ringdown_bus::now;
use ringdown_domain::{AgentId, PersonalityId, ProjectId, ScenarioId, TestProfileId};
use ringdown_platform::plan::{Case, MAX_RUNS, Mode, Problem, Refusal, Request, Selection};
use ringdown_store::{NewBatch, NewOrganisation, NewPersonality, Scope};
use serde_json::json;

use crate::world::{NUMBER, World, number};

fn scope(world: &World) -> Scope {
    world.org.id.into()
}

async fn plan(world: &World, request: &Request) -> NewBatch {
    world.engine.plan(scope(world), request).await.unwrap()
}

async fn refused(world: &World, request: &Request) -> Vec<Problem> {
    match world.engine.plan(scope(world), request).await {
        Err(Refusal::Wrong(problems)) => problems.0,
        other => panic!("not refused: {other:?}"),
    }
}

/// Evaluator, personality and test profile of every run, in queue order.
fn order(batch: &NewBatch) -> Vec<(i64, Option<i64>, Option<i64>)> {
    let of_run = batch.runs.iter().map(|run| {
        let template = &batch.templates[run.template];
        let profile = template.test_profile.as_ref().map(|profile| profile.id);
        (
            template.scenario.0,
            template.personality.map(|id| id.0),
            profile,
        )
    });
    of_run.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_evaluator_runs_with_every_personality_and_profile_in_turn() {
    let world = World::start().await;
    let a = world.scenario("a", json!({"personality": 3})).await.id;
    let b = world
        .scenario("b", json!({"scenario_language": "it"}))
        .await
        .id;
    let (p, q) = (world.profile("Pat").await, world.profile("Quinn").await);
    let mut request = Request::of(Selection::Scenarios(vec![b, a]));

    let own = plan(&world, &request).await;
    assert_eq!(order(&own), [(b.0, None, None), (a.0, Some(3), None)]);
    assert_eq!(own.templates[1].personality_name, "Impatient");
    assert_eq!(own.runs[0].number, Some(number(NUMBER)));
    assert!(own.name.starts_with("agent 20"), "{}", own.name);

    request.frequency = 2;
    request.personality_ids = vec![PersonalityId(14), PersonalityId(1)];
    request.test_profile_ids = vec![p, q];
    let all = plan(&world, &request).await;
    assert_eq!((all.templates.len(), all.runs.len()), (8, 16));
    let round = [
        (b.0, Some(14), Some(p.0)),
        (b.0, Some(1), Some(p.0)),
        (b.0, Some(14), Some(q.0)),
        (b.0, Some(1), Some(q.0)),
        (a.0, Some(14), Some(p.0)),
        (a.0, Some(1), Some(p.0)),
        (a.0, Some(14), Some(q.0)),
        (a.0, Some(1), Some(q.0)),
    ];
    assert_eq!(order(&all), [round, round].concat());
    let script = |index: usize| &all.templates[index].script;
    assert_eq!(script(0).language, "it", "the evaluator's own comes first");
    assert_eq!(script(4).language, "es", "else the personality's");
    assert_eq!(script(6).first_message, "I am Quinn");
    assert_eq!(all.settings["personality_ids"], json!([14, 1]));
    assert_eq!(all.settings["frequency"], 2);

    let named_twice = Request::of(Selection::Scenarios(vec![a, b, a]));
    let twice = plan(&world, &named_twice).await;
    assert_eq!(twice.templates.len(), 2);
    let order: Vec<i64> = order(&twice).into_iter().map(|run| run.0).collect();
    assert_eq!(order, [a.0, b.0, a.0]);

    let case = |scenario, runs| Case {
        scenario,
        personality: Some(PersonalityId(2)),
        test_profile: Some(p),
        runs,
    };
    let cases = Request::of(Selection::Cases(vec![case(a, 3), case(b, 1)]));
    let again = plan(&world, &cases).await;
    let mine = |id: ScenarioId| (id.0, Some(2), Some(p.0));
    assert_eq!(self::order(&again), [mine(a), mine(b), mine(a), mine(a)]);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_at_once_and_by_field() {
    let world = World::start().await;
    let a = world.scenario("a", json!({"personality": 999})).await.id;
    let mut request = Request::of(Selection::Scenarios(vec![a, ScenarioId(7_000)]));
    request.agent_id = Some(world.agent.id);
    request.personality_ids = vec![PersonalityId(999)];
    request.test_profile_ids = vec![TestProfileId(55)];
    let problems = refused(&world, &request).await;
    let fields: Vec<&str> = problems.iter().map(|problem| problem.field).collect();
    assert_eq!(fields, ["scenarios", "personality_ids", "test_profile_ids"]);
    assert!(problems[0].message.contains("7000"), "{problems:?}");
    assert_eq!(problems[1].message, "Invalid personalities provided.");

    let of = |selection| Request::of(selection);
    let scenarios = Selection::Scenarios(vec![a]);
    for (request, field) in [
        (of(Selection::Scenarios(vec![])), "scenarios"),
        (of(Selection::Tags(vec![])), "tags"),
        (of(Selection::Tags(vec!["none".to_owned()])), "tags"),
        (of(Selection::FolderPath("Sal".to_owned())), "folder_path"),
        (
            Request {
                agent_id: Some(AgentId(99)),
                ..of(scenarios.clone())
            },
            "agent_id",
        ),
        (
            Request {
                assistant_id: Some("nobody".to_owned()),
                ..of(scenarios.clone())
            },
            "assistant_id",
        ),
        (
            Request {
                frequency: 10_001,
                ..of(scenarios.clone())
            },
            "frequency",
        ),
        (
            Request {
                outbound_phone_number: Some(number("+15550001111")),
                ..of(scenarios.clone())
            },
            "outbound_phone_number",
        ),
        (
            Request {
                project_id: Some(ProjectId(99)),
                ..of(Selection::Tags(vec!["night".to_owned()]))
            },
            "tags",
        ),
    ] {
        let problems = refused(&world, &request).await;
        assert_eq!(problems[0].field, field, "{problems:?}");
    }

    // An evaluator whose personality is gone runs without one.
    let plain = plan(&world, &of(scenarios.clone())).await;
    assert_eq!(plain.templates[0].personality, None);
    let most = Request {
        frequency: u32::try_from(MAX_RUNS).unwrap(),
        ..of(scenarios)
    };
    assert_eq!(plan(&world, &most).await.runs.len(), MAX_RUNS);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_teams_things_do_not_exist_and_a_projects_number_is_its_own() {
    let world = World::start().await;
    let a = world.scenario("a", json!({})).await.id;
    let new = NewOrganisation {
        team: "other".parse().unwrap(),
        name: "other".to_owned(),
        parallel_limit: None,
        key_sha256: [9; 32],
        operator: false,
    };
    let (other, project) = world.db.create_organisation(new, now()).await.unwrap();
    let made = NewPersonality {
        org: other.id,
        project: project.id,
        name: "theirs".to_owned(),
        language: "en".to_owned(),
        extra: ringdown_store::Extra::new(),
    };
    let theirs = world.db.create_personality(made, now()).await.unwrap();
    let mut request = Request::of(Selection::Scenarios(vec![a]));
    let foreign = world.engine.plan(other.id.into(), &request).await;
    assert!(matches!(foreign, Err(Refusal::Wrong(_))), "{foreign:?}");
    request.personality_ids = vec![theirs.id];
    assert_eq!(refused(&world, &request).await[0].field, "personality_ids");

    request.personality_ids.clear();
    request.mode = Mode::DifferentNumbers;
    let spread = plan(&world, &request).await;
    assert!(spread.runs.iter().all(|run| run.number.is_none()));

    let mut project = world.project.clone();
    assert!(!spread.gated);
    let gate = ("notify_pre_run_webhook".to_owned(), json!(true));
    project.extra.extend([gate]);
    for (url, gated) in [(None, false), (Some("https://example.com/"), true)] {
        project.webhook_url = url.map(str::to_owned);
        let updated = world.db.update_project(&project, vec![], now());
        updated.await.unwrap();
        assert_eq!(plan(&world, &request).await.gated, gated);
    }
    world.close().await;
}
