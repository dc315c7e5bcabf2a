use std::time::Duration;

use ringdown_store::Agent;

use super::{Db, Team, at, cancelled, new_agent, new_number, number, team, transition};

pub async fn a_checkup_counts_what_a_batch_would_find(db: Db) {
    let team = team(&db, "team").await;
    let other = super::team(&db, "other").await;
    other.pending(at(1)).await;
    let checkup = db.checkup(&team.agent).await.unwrap();
    assert_eq!((checkup.evaluators, checkup.with_number), (1, 1));
    assert_eq!(checkup.first, Some(team.scenario.id));
    assert_eq!(checkup.longest, None);
    assert_eq!((checkup.numbers, checkup.free_numbers), (1, 1));
    assert_eq!(
        (checkup.held_in_organisation, checkup.held_in_project),
        (0, 0)
    );
    assert!(checkup.called_caller_ids.is_empty() && checkup.rivals.is_empty());

    let second = team.another_project("second").await;
    let mut scope = team.scope();
    scope.project = Some(second.id);
    db.add_phone_number(new_number(scope, number(5_000_001)), at(2))
        .await
        .unwrap();
    let mut long = team.new_scenario("long");
    long.max_duration = Some(Duration::from_secs(90));
    db.create_scenario(long, at(2)).await.unwrap();
    let run = team.pending(at(3)).await;
    let checkup = db.checkup(&team.agent).await.unwrap();
    assert_eq!((checkup.evaluators, checkup.with_number), (2, 2));
    assert_eq!(checkup.longest, Some(Duration::from_secs(90)));
    assert_eq!(
        (checkup.numbers, checkup.free_numbers),
        (1, 0),
        "the number of another project is not for this agent"
    );
    assert_eq!(
        (checkup.held_in_organisation, checkup.held_in_project),
        (1, 1)
    );
    transition(&db, run.id, cancelled(), at(4)).await.unwrap();
    assert_eq!(db.checkup(&team.agent).await.unwrap().free_numbers, 1);

    let lonely = new_agent(team.org.id, second.id, "lonely");
    let lonely = db.create_agent(lonely, at(5)).await.unwrap();
    let checkup = db.checkup(&lonely).await.unwrap();
    assert_eq!((checkup.evaluators, checkup.first), (0, None));
    assert_eq!(
        (checkup.numbers, checkup.free_numbers),
        (2, 2),
        "its project's own and what the organisation shares"
    );
}

/// Another agent of the team's with an evaluator on the team's number.
async fn neighbour(team: &Team, name: &str, caller_ids: &[u32], inbound: bool) -> Agent {
    let mut new = new_agent(team.org.id, team.project.id, name);
    new.inbound = inbound;
    match caller_ids {
        [one] => new.contact_number = Some(number(*one)),
        many => new.outbound_numbers = many.iter().copied().map(number).collect(),
    }
    let agent = team.db.create_agent(new, at(1)).await.unwrap();
    let mut scenario = team.new_scenario(name);
    scenario.agent = agent.id;
    scenario.phone_number = Some(team.number.id);
    team.db.create_scenario(scenario, at(1)).await.unwrap();
    agent
}

pub async fn rivals_share_a_caller_id_and_a_number(db: Db) {
    let mut team = team(&db, "team").await;
    team.agent.contact_number = Some(number(7));
    db.update_agent(&team.agent, vec![], at(1)).await.unwrap();
    neighbour(&team, "another caller", &[8], false).await;
    neighbour(&team, "takes calls", &[7], true).await;
    let same = neighbour(&team, "same", &[7], false).await;
    let one_of_many = neighbour(&team, "one of many", &[9, 7], false).await;
    // Its contact number does not count once it has others.
    let mut moved = neighbour(&team, "moved", &[7], false).await;
    moved.outbound_numbers = vec![number(9)];
    db.update_agent(&moved, vec![], at(2)).await.unwrap();
    // The same caller ID on another number is told apart by the number.
    let elsewhere = new_number(team.scope(), number(5_000_002));
    let elsewhere = db.add_phone_number(elsewhere, at(2)).await.unwrap();
    let mut apart = new_agent(team.org.id, team.project.id, "apart");
    apart.contact_number = Some(number(7));
    let apart = db.create_agent(apart, at(2)).await.unwrap();
    let mut scenario = team.new_scenario("apart");
    (scenario.agent, scenario.phone_number) = (apart.id, Some(elsewhere.id));
    db.create_scenario(scenario, at(2)).await.unwrap();

    let rivals = db.checkup(&team.agent).await.unwrap().rivals;
    let found: Vec<_> = rivals.iter().map(|rival| rival.agent).collect();
    assert_eq!(found, [same.id, one_of_many.id]);
    assert!(rivals.iter().all(|r| r.number == team.number.number));
    assert_eq!(rivals[0].name, "same");
    assert!(db.checkup(&apart).await.unwrap().rivals.is_empty());

    // Many of its own are compared as well, and one that is called is noticed.
    team.agent.outbound_numbers = vec![number(9), number(5_000_002)];
    db.update_agent(&team.agent, vec![], at(3)).await.unwrap();
    let checkup = db.checkup(&team.agent).await.unwrap();
    let found: Vec<_> = checkup.rivals.iter().map(|rival| rival.agent).collect();
    assert_eq!(found, [one_of_many.id, moved.id]);
    assert_eq!(checkup.called_caller_ids, [number(5_000_002)]);
}
