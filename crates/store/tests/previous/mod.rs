//! Databases of earlier versions, as dumps in this folder: `sqlite-VERSION.sql`, `postgres-VERSION.sql`.

use std::path::{Path, PathBuf};

use ringdown_domain::run::Status;
use ringdown_store::{AgentFilter, Run, RunFilter, ScenarioFilter, Scope};

use crate::conformance::counts::counted;
use crate::conformance::{Db, PAGE, at, cancelled, new_number, number, team, transition};

/// The dumps of one database, by version.
pub fn dumps(database: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/previous");
    let files = std::fs::read_dir(folder).unwrap();
    let mut found: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    found.retain(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with(&format!("{database}-")) && name.ends_with(".sql")
    });
    found.sort();
    found
}

/// Reads all runs, and holds what is counted against them.
pub async fn all_runs(db: &Db) -> Vec<Run> {
    let mut all = Vec::new();
    let organisations = db.organisations(PAGE).await.unwrap();
    assert_eq!(organisations.count, organisations.rows.len() as u64);
    for org in organisations.rows {
        let scope = Scope::from(org.id);
        let runs = db.runs(scope, RunFilter::default(), PAGE).await.unwrap();
        assert_eq!(runs.count, runs.rows.len() as u64);
        let batches = db.batches(scope, Default::default(), PAGE).await.unwrap();
        assert_eq!(batches.count, batches.rows.len() as u64);
        for batch in batches.rows {
            let of_batch: Vec<Run> = runs
                .rows
                .iter()
                .filter(|run| run.result == batch.id)
                .cloned()
                .collect();
            assert_eq!(batch.counts, counted(&of_batch), "batch {}", batch.id);
        }
        all.extend(runs.rows);
    }
    all.sort_by_key(|run| run.id);
    all
}

/// Old agents and new teams can be worked with.
pub async fn work_goes_on(db: &Db) {
    let before = all_runs(db).await;
    let last = before.last().unwrap().id;
    let fresh = team(db, "after-the-migration").await;
    let run = fresh.pending(at(1)).await;
    assert!(run.id > last, "ids are never used again");
    let matched = fresh.call("call", at(2)).await;
    assert_eq!(matched.run.unwrap().id, run.id);
    transition(db, run.id, cancelled(), at(3)).await.unwrap();

    for org in db.organisations(PAGE).await.unwrap().rows {
        let scope = Scope::from(org.id);
        let agents = db.agents(scope, AgentFilter::default(), PAGE).await;
        for agent in agents.unwrap().rows {
            db.update_agent(&agent, vec![], at(4)).await.unwrap();
            let filter = ScenarioFilter {
                agent: Some(agent.id),
                ..ScenarioFilter::default()
            };
            for scenario in db.scenarios(scope, filter, PAGE).await.unwrap().rows {
                let mut batch = fresh.new_batch(2);
                (batch.org, batch.project) = (org.id, agent.project);
                (batch.agent, batch.templates[0].scenario) = (agent.id, scenario.id);
                for run in &mut batch.runs {
                    run.number.clone_from(&scenario.number);
                }
                let (batch, runs) = db.trigger(batch, at(5)).await.unwrap();
                db.admit(org.id, at(6)).await.unwrap();
                for run in &runs {
                    let ended = transition(db, run.id, cancelled(), at(7)).await;
                    assert_eq!(ended.unwrap().run.status(), Status::Cancelled);
                }
                db.delete_batch(scope, batch.id, 10, at(8)).await.unwrap();
            }
        }
        let new = new_number(scope, number(800 + u32::try_from(org.id.0).unwrap()));
        db.add_phone_number(new, at(9)).await.unwrap();
    }
    let after = all_runs(db).await;
    assert_eq!(after[..before.len()], before);
}
