use ringdown_domain::ProjectId;
use ringdown_store::{Actor, Error, Page, RunFilter, Scope};

use super::{Db, PAGE, Team, at, new_agent, refused, team};

fn actor(team: &Team, request: &str, project: Option<ProjectId>) -> Actor {
    Actor {
        request_id: request.to_owned(),
        at: at(5),
        org: team.org.id,
        project,
        key: 1.into(),
        key_name: "first".to_owned(),
        operation: "POST /test_framework/v1/aiagents/".to_owned(),
        path: "/test_framework/v1/aiagents/".to_owned(),
        source: "192.0.2.1".to_owned(),
    }
}

async fn requests(db: &Db, scope: Scope) -> Vec<String> {
    let log = db.audit_log(scope, PAGE).await.unwrap();
    assert_eq!(log.count, log.rows.len() as u64);
    let rows = log.rows.into_iter();
    rows.map(|row| row.actor.request_id).collect()
}

/// What fails, or goes beyond what is allowed, leaves no row; what succeeds leaves the whole of it.
pub async fn a_change_and_its_audit_row_are_one_transaction(db: Db) {
    let team = team(&db, "team").await;
    let scope = team.scope();
    assert!(requests(&db, scope).await.is_empty(), "nobody acted");
    let who = actor(&team, "created", None);
    let new = new_agent(team.org.id, team.project.id, "audited");
    let created = who.clone().scope(db.create_agent(new, at(5))).await;
    created.unwrap();
    let log = db.audit_log(scope, PAGE).await.unwrap();
    assert_eq!(log.rows[0].actor, who);

    let again = db.add_phone_number(super::new_number(scope, team.number.number.clone()), at(6));
    let again = actor(&team, "refused", None).scope(again).await;
    refused("a number", &again);
    let missing = actor(&team, "missing", None);
    let missing = missing
        .scope(db.delete_agent(scope, 999.into(), true))
        .await;
    assert!(matches!(missing, Err(Error::NotFound { .. })));
    // The row itself cannot be written: then the change is not made either.
    let mut nobody = actor(&team, "nobody", None);
    nobody.org = 999.into();
    let new = new_agent(team.org.id, team.project.id, "not audited");
    let failed = nobody.scope(db.create_agent(new, at(6))).await;
    assert!(matches!(failed, Err(Error::Database(_))), "{failed:?}");
    let agents = db.agents(scope, ringdown_store::AgentFilter::default(), PAGE);
    let agents = agents.await.unwrap().rows;
    assert!(agents.iter().all(|agent| agent.name != "not audited"));
    assert_eq!(requests(&db, scope).await, ["created"]);
}

pub async fn one_request_is_one_row_and_reading_is_none(db: Db) {
    let (team, theirs) = (team(&db, "team").await, team(&db, "theirs").await);
    let project = team.project.id;
    let work = async {
        for name in ["a", "b"] {
            let new = new_agent(team.org.id, project, name);
            db.create_agent(new, at(5)).await.unwrap();
        }
        team.trigger(3, at(5)).await;
    };
    actor(&team, "many", Some(project)).scope(work).await;
    let reading = async {
        let runs = db.runs(team.scope(), RunFilter::default(), PAGE).await;
        runs.unwrap();
        db.queue(team.org.id, at(3)).await.unwrap();
        db.outbox(10).await.unwrap();
        db.audit_log(team.scope(), PAGE).await.unwrap();
    };
    actor(&team, "reading", None).scope(reading).await;
    let renamed = async {
        let mut agent = team.agent.clone();
        agent.name = "renamed".to_owned();
        db.update_agent(&agent, vec![], at(6)).await.unwrap();
    };
    actor(&team, "whole", None).scope(renamed).await;
    assert_eq!(requests(&db, team.scope()).await, ["whole", "many"]);
    assert!(requests(&db, theirs.scope()).await.is_empty());
    let bound = Scope {
        org: team.org.id,
        project: Some(project),
    };
    assert_eq!(requests(&db, bound).await, ["many"]);
    let second = Page { number: 2, size: 1 };
    let log = db.audit_log(team.scope(), second).await.unwrap();
    assert_eq!((log.count, log.rows.len()), (2, 1));
    assert_eq!(log.rows[0].actor.request_id, "many");
}
