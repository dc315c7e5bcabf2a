use std::sync::Arc;

use ringdown_domain::Presented;
use ringdown_domain::attempt::Verdict;
use ringdown_domain::run::{State, Status};
use ringdown_store::{AttemptFilter, AttemptKind, NewAttempt, Reject};

use super::{
    Db, PAGE, Team, arrival, at, cancelled, entered, new_number, number, team, transition,
};

async fn ledger(team: &Team) -> Vec<ringdown_store::Attempt> {
    let filter = AttemptFilter::default();
    let rows = team.db.attempts(team.scope(), filter, PAGE).await.unwrap();
    rows.rows
}

/// Many calls at once for one run: exactly one is matched, each is in the ledger.
pub async fn one_run_is_given_to_exactly_one_of_many_calls(db: Db) {
    let team = Arc::new(team(&db, "team").await);
    let run = team.pending(at(0)).await;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..32 {
        let team = Arc::clone(&team);
        tasks.spawn(async move {
            let matched = team.call(&format!("call-{task}"), at(1)).await;
            (format!("call-{task}"), matched)
        });
    }
    let mut winners = Vec::new();
    while let Some(done) = tasks.join_next().await {
        let (name, matched) = done.unwrap();
        assert_eq!(matched.run.as_ref().map(|run| run.id), Some(run.id));
        match matched.verdict() {
            Verdict::Matched => winners.push(name),
            other => assert_eq!(other, Verdict::Duplicate),
        }
    }
    assert_eq!(winners.len(), 1, "{winners:?}");
    let now = team.run(run.id).await;
    assert_eq!(now.call.unwrap().0, winners[0]);
    assert_eq!(now.executed_at, Some(at(1)));
    let rows = ledger(&team).await;
    assert_eq!(rows.len(), 32);
    let matched: Vec<_> = rows.iter().filter(|r| r.row.verdict == "matched").collect();
    assert_eq!(matched.len(), 1);
    assert_eq!(
        (matched[0].row.response, matched[0].row.nearest),
        (Some(200), false)
    );
    let entered = entered(&db).await;
    let live = entered.iter().filter(|r| r.status == Status::InProgress);
    assert_eq!(live.count(), 1);
}

fn refused(name: &str) -> NewAttempt {
    NewAttempt {
        attempt_id: name.to_owned(),
        kind: AttemptKind::Invite,
        at: at(2),
        verdict: Verdict::AtCapacity.to_string(),
        org: None,
        run: None,
        nearest: false,
        from_raw: String::new(),
        from: None,
        to_raw: String::new(),
        to: None,
        source: "192.0.2.1:5060".to_owned(),
        sip_call_id: String::new(),
        response: Some(503),
        ending: None,
        explanation: "refused".to_owned(),
        route: String::new(),
        presented: Presented::default(),
    }
}

/// The caller was sent away while its call was being matched: the run does not wait for it, and the
/// call is not matched afterwards.
pub async fn a_call_that_was_refused_meanwhile_ends_its_run(db: Db) {
    let team = team(&db, "team").await;
    let (first, second) = (team.pending(at(0)).await, team.pending(at(0)).await);
    let matched = team.call("call", at(1)).await;
    assert_eq!(matched.run.unwrap().id, first.id);
    let lost = db.refuse_call(refused("call"), at(2)).await.unwrap();
    let lost = lost.unwrap();
    assert_eq!((lost.run.id, lost.run.status()), (first.id, Status::Failed));
    let again = db.refuse_call(refused("call"), at(3)).await.unwrap();
    assert!(again.is_none());
    for (name, known) in [("call", true), ("early", false)] {
        if !known {
            // The refusal overtakes the question.
            assert!(
                db.refuse_call(refused(name), at(3))
                    .await
                    .unwrap()
                    .is_none()
            );
        }
        let late = team.call(name, at(4)).await;
        assert_eq!(late.verdict(), Verdict::AtCapacity, "{name}");
    }
    let other = team.run(second.id).await;
    assert_eq!(other.status(), Status::Pending);
    let rows = ledger(&team).await;
    let row = rows
        .iter()
        .find(|row| row.row.attempt_id == "call")
        .unwrap();
    assert_eq!(
        (row.row.verdict.as_str(), row.row.run),
        ("at_capacity", Some(first.id))
    );
}

/// A call asked about again gets the same answer and no second ledger row.
pub async fn asking_again_about_a_call_gives_the_same_answer(db: Db) {
    let team = team(&db, "team").await;
    let (first, second) = (team.pending(at(0)).await, team.pending(at(0)).await);
    for now in [1, 2] {
        let matched = team.call("call", at(now)).await;
        assert_eq!(matched.verdict(), Verdict::Matched);
        assert_eq!(matched.run.unwrap().id, first.id);
    }
    let other = team.call("other", at(3)).await;
    assert_eq!(other.run.unwrap().id, second.id, "oldest pending first");
    assert_eq!(ledger(&team).await.len(), 2);
}

/// The first answer was lost and the run was cancelled meanwhile: the call must not take the run that
/// waits for the next call.
pub async fn a_call_gets_no_second_run_when_its_first_is_over(db: Db) {
    let team = team(&db, "team").await;
    let (first, second) = (team.pending(at(0)).await, team.pending(at(0)).await);
    assert_eq!(team.call("call", at(1)).await.run.unwrap().id, first.id);
    transition(&db, first.id, cancelled(), at(2)).await.unwrap();
    let again = team.call("call", at(3)).await;
    assert_eq!(again.verdict(), Verdict::NoPendingRun);
    assert_eq!(again.run.unwrap().id, first.id);
    let waiting = team.run(second.id).await;
    assert_eq!(waiting.status(), Status::Pending);
    let other = team.call("other", at(4)).await;
    assert_eq!(other.run.unwrap().id, second.id);
}

pub async fn every_refusal_is_explained_in_the_ledger(db: Db) {
    let team = team(&db, "team").await;
    let ours = team.number.number.clone();
    let stranger = number(42);
    let expect = async |name: &str, from: &str, now, verdict: Verdict| {
        let matched = team.arrive(name, from, ours.as_str(), at(now)).await;
        assert_eq!(
            matched.verdict(),
            verdict,
            "{name}: {:?}",
            matched.judgement
        );
        let row = ledger(&team).await.into_iter().next().unwrap();
        assert_eq!(row.verdict(), Some(verdict), "{name}");
        assert_eq!(row.row.kind, AttemptKind::Invite);
        assert_eq!(row.row.response, verdict.sip_status(), "{name}");
        assert_eq!(row.row.explanation, matched.judgement.explanation);
        assert!(!row.row.explanation.is_empty());
        assert_eq!((row.row.at, row.row.from_raw.as_str()), (at(now), from));
        row.row
    };
    let caller = team.caller();
    let nobody = expect("nobody", caller.as_str(), 0, Verdict::NoPendingRun).await;
    assert_eq!(nobody.run, None);
    team.limit(Some(0)).await;
    let (_, runs) = team.trigger(1, at(1)).await;
    let early = expect("early", caller.as_str(), 1, Verdict::TooEarly).await;
    assert_eq!((early.run, early.nearest), (Some(runs[0].id), true));
    team.limit(None).await;
    db.admit(team.org.id, at(2)).await.unwrap();
    let wrong = expect("wrong", stranger.as_str(), 3, Verdict::CallerIdMismatch).await;
    assert!(
        wrong.explanation.contains(caller.as_str()),
        "{}",
        wrong.explanation
    );
    assert!(wrong.explanation.contains(stranger.as_str()));
    let anonymous = expect("anon", "anonymous", 4, Verdict::CallerIdMissing).await;
    assert_eq!((anonymous.run, anonymous.from), (Some(runs[0].id), None));
    let late = expect("late", caller.as_str(), 302, Verdict::TooLate).await;
    assert_eq!(late.run, Some(runs[0].id));
    assert_eq!(
        team.run(runs[0].id).await.status(),
        Status::Pending,
        "no refusal changes the run"
    );
}

/// A call to the wrong number is explained with the run it was meant for.
pub async fn a_call_to_the_wrong_number_names_the_run_it_was_meant_for(db: Db) {
    let team = team(&db, "team").await;
    let new = new_number(team.org.id, number(77));
    let other = db.add_phone_number(new, at(0)).await.unwrap();
    let run = team.pending(at(0)).await;
    let caller = team.caller();
    for (name, to, verdict) in [
        ("ours", other.number.as_str(), Verdict::NoPendingRun),
        ("nobodys", "+442071838750", Verdict::UnknownNumber),
    ] {
        let matched = team.arrive(name, caller.as_str(), to, at(1)).await;
        assert_eq!(matched.verdict(), verdict);
        assert_eq!(matched.run.as_ref().map(|run| run.id), Some(run.id));
        let why = &matched.judgement.explanation;
        let expected = format!("run {} expects", run.id);
        assert!(why.contains(&expected), "{why}");
        assert!(why.contains(team.number.number.as_str()), "{why}");
    }
    let rows = ledger(&team).await;
    assert_eq!(rows.len(), 2, "the run's organisation gets the row");
    assert!(rows.iter().all(|row| row.row.nearest));
    assert_eq!(db.evidence(run.id).await.unwrap().len(), 2);
}

/// What nobody owns is nobody's business, and not numbers are no crash.
pub async fn a_call_that_concerns_nobody_is_still_judged(db: Db) {
    let team = team(&db, "team").await;
    for (name, to) in [
        ("nobody", "+442071838750"),
        ("garbage", "'; DROP TABLE runs"),
        ("empty", ""),
    ] {
        let matched = team.arrive(name, "+442071838751", to, at(0)).await;
        assert_eq!(matched.verdict(), Verdict::UnknownNumber, "{name}");
        assert!(matched.run.is_none());
        assert_eq!(matched.reject, Reject::Explicit);
    }
    assert!(ledger(&team).await.is_empty());
}

pub async fn a_hint_chooses_among_runs_that_fit_and_no_others(db: Db) {
    let (ours, theirs) = (team(&db, "ours").await, team(&db, "theirs").await);
    let (first, second) = (ours.pending(at(0)).await, ours.pending(at(0)).await);
    let foreign = theirs.pending(at(0)).await;
    let ask = async |name: &str, hint| {
        let (from, to) = (ours.caller(), ours.number.number.clone());
        let (mut call, arrival) = arrival(name, from.as_str(), to.as_str());
        call.hint = Some(hint);
        let matched = db.match_call(call, arrival, at(1)).await.unwrap();
        matched.run.unwrap().id
    };
    assert_eq!(ask("hinted", second.id).await, second.id);
    assert_eq!(ask("foreign", foreign.id).await, first.id);
}

/// A number that many runs of other callers wait on: the one that waits for this caller is found behind all of
/// them, by itself and at the same time as the calls for the others.
pub async fn a_run_is_found_behind_many_that_wait_for_other_callers(db: Db) {
    let team = Arc::new(team(&db, "team").await);
    let (_, others) = team.trigger(60, at(0)).await;
    let mut batch = team.new_batch(2);
    let caller = number(77);
    batch.caller_ids = vec![caller.clone()];
    let (_, wanted) = db.trigger(batch, at(1)).await.unwrap();
    while db.admit(team.org.id, at(2)).await.unwrap().more {}
    let to = team.number.number.clone();
    let found = team
        .arrive("alone", caller.as_str(), to.as_str(), at(3))
        .await;
    assert_eq!(found.verdict(), Verdict::Matched);
    assert_eq!(found.run.unwrap().id, wanted[0].id);
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..=others.len() {
        let (team, caller, to) = (Arc::clone(&team), caller.clone(), to.clone());
        tasks.spawn(async move {
            let from = if task == 0 { caller } else { team.caller() };
            let name = format!("call-{task}");
            team.arrive(&name, from.as_str(), to.as_str(), at(3)).await
        });
    }
    let mut given = std::collections::BTreeSet::new();
    while let Some(done) = tasks.join_next().await {
        let matched = done.unwrap();
        assert_eq!(matched.verdict(), Verdict::Matched);
        given.insert(matched.run.unwrap().id);
    }
    let mut all: std::collections::BTreeSet<_> = others.iter().map(|run| run.id).collect();
    all.insert(wanted[1].id);
    assert_eq!(given, all);
}

/// The project decides what a refused caller hears, and the ledger says what it was.
pub async fn a_silent_project_sends_no_response(db: Db) {
    let team = team(&db, "team").await;
    let mut project = team.project.clone();
    project.reject = Reject::Silent;
    db.update_project(&project, vec![], at(0)).await.unwrap();
    let run = team.pending(at(0)).await;
    let to = team.number.number.clone();
    let refused = team
        .arrive("wrong", "+442071838750", to.as_str(), at(1))
        .await;
    assert_eq!(refused.reject, Reject::Silent);
    assert_eq!(ledger(&team).await[0].row.response, None);
    let matched = team.call("right", at(2)).await;
    assert_eq!(matched.verdict(), Verdict::Matched);
    assert_eq!(ledger(&team).await[0].row.response, Some(200));
    let state = team.run(run.id).await.state;
    assert!(matches!(state, State::InProgress { .. }), "{state:?}");
}

/// A run that has just ended still explains a call; one that ended long ago does not.
pub async fn recently_ended_runs_still_explain_a_call(db: Db) {
    let team = team(&db, "team").await;
    let run = team.pending(at(0)).await;
    transition(&db, run.id, cancelled(), at(10)).await.unwrap();
    let soon = team.call("soon", at(60)).await;
    assert_eq!(soon.verdict(), Verdict::NoPendingRun);
    assert_eq!(soon.run.map(|run| run.id), Some(run.id));
    let long_after = team.call("long after", at(10 + 16 * 60)).await;
    assert_eq!(long_after.verdict(), Verdict::NoPendingRun);
    assert!(long_after.run.is_none());
}
