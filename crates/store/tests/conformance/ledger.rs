use ringdown_domain::attempt::Verdict;
use ringdown_domain::dial::Ending;
use ringdown_domain::{CallerHeader, CallerValue, OrganisationId, Presented, RunId};
use ringdown_store::{AttemptFilter, AttemptKind, NewAttempt};

use super::{Db, PAGE, arrival, at, team};

fn attempt(id: &str, kind: AttemptKind, verdict: &str) -> NewAttempt {
    NewAttempt {
        attempt_id: id.to_owned(),
        kind,
        at: at(1),
        verdict: verdict.to_owned(),
        org: None,
        run: None,
        nearest: false,
        from_raw: "sip:alice@example.com".to_owned(),
        from: None,
        to_raw: "garbage".to_owned(),
        to: None,
        source: "192.0.2.7:5060".to_owned(),
        sip_call_id: "abc".to_owned(),
        response: Some(486),
        ending: None,
        explanation: "busy".to_owned(),
        route: "route".to_owned(),
        presented: Presented::default(),
    }
}

fn owned(mut row: NewAttempt, org: OrganisationId, run: Option<RunId>) -> NewAttempt {
    row.org = Some(org);
    row.run = run;
    row
}

/// Written twice, there is one row with the later content; the same name of another kind is another.
pub async fn an_attempt_written_twice_is_one_row(db: Db) {
    let team = team(&db, "team").await;
    let org = team.org.id;
    let run = team.pending(at(0)).await.id;
    let dial = |verdict| owned(attempt("a", AttemptKind::Dial, verdict), org, Some(run));
    db.record_attempt(dial("claimed")).await.unwrap();
    let mut placed = dial("placed");
    placed.explanation = "placed as CA1".to_owned();
    db.record_attempt(placed).await.unwrap();
    let invite = owned(attempt("a", AttemptKind::Invite, "at_capacity"), org, None);
    db.record_attempt(invite).await.unwrap();
    let rows = db
        .attempts(org.into(), AttemptFilter::default(), PAGE)
        .await
        .unwrap();
    assert_eq!(rows.count, 2);
    let dial = &rows.rows[1];
    assert_eq!(dial.row.verdict, "placed");
    assert_eq!(dial.row.explanation, "placed as CA1");
    assert_eq!((dial.row.run, dial.verdict()), (Some(run), None));
    assert_eq!(rows.rows[0].verdict(), Some(Verdict::AtCapacity));
    assert_eq!(rows.rows[0].row.to_raw, "garbage");
    assert_eq!(rows.rows[0].row.response, Some(486));
}

/// The trunk, the header that counted and all that was said about the caller are kept as they were.
/// What the provider says of a call's end is kept, in whatever order it comes.
pub async fn how_a_dialed_call_ended_is_kept(db: Db) {
    let team = team(&db, "team").await;
    let org = team.org.id;
    let run = team.pending(at(0)).await.id;
    let placed = |name: &str| {
        let mut row = owned(attempt(name, AttemptKind::Dial, "placed"), org, Some(run));
        row.response = None;
        row.explanation = "placed".to_owned();
        row
    };
    let ended = |name: &str| {
        let mut row = placed(name);
        row.ending = Some(Ending::Busy);
        row.response = Some(486);
        row.explanation = "busy".to_owned();
        row
    };
    for row in [placed("a"), ended("a"), ended("b"), placed("b"), ended("b")] {
        db.record_attempt(row).await.unwrap();
    }
    let rows = db
        .attempts(org.into(), AttemptFilter::default(), PAGE)
        .await;
    for row in rows.unwrap().rows {
        let row = row.row;
        let told = (row.ending, row.response, row.explanation.as_str());
        assert_eq!(
            told,
            (Some(Ending::Busy), Some(486), "busy"),
            "{}",
            row.attempt_id
        );
    }
}

pub async fn how_a_call_was_presented_is_kept(db: Db) {
    let team = team(&db, "team").await;
    let value = |header, value: &str, number: Option<&str>| CallerValue {
        header,
        value: value.to_owned(),
        number: number.map(|number| number.parse().unwrap()),
    };
    let presented = Presented {
        trunk: "berlin".to_owned(),
        header: Some(CallerHeader::PAssertedIdentity),
        values: vec![
            value(CallerHeader::From, "\"\u{e4}\" <sip:anonymous@x>", None),
            value(
                CallerHeader::PAssertedIdentity,
                "<tel:030123456>",
                Some("+4930123456"),
            ),
        ],
    };
    let (mut call, arrived) = arrival("call", "030123456", team.number.number.as_str());
    call.presented = presented.clone();
    db.match_call(call, arrived, at(1)).await.unwrap();
    let mut refused = attempt("refused", AttemptKind::Invite, "at_capacity");
    refused.to = Some(team.number.number.clone());
    refused.presented = presented.clone();
    db.refuse_call(refused, at(2)).await.unwrap();
    let dial = owned(
        attempt("dial", AttemptKind::Dial, "placed"),
        team.org.id,
        None,
    );
    db.record_attempt(dial).await.unwrap();
    let rows = db
        .attempts(team.scope(), AttemptFilter::default(), PAGE)
        .await
        .unwrap()
        .rows;
    let kept: Vec<&Presented> = rows.iter().map(|row| &row.row.presented).collect();
    assert_eq!(kept, [&Presented::default(), &presented, &presented]);
}

pub async fn attempts_are_filtered(db: Db) {
    let team = team(&db, "team").await;
    let org = team.org.id;
    let run = team.pending(at(0)).await.id;
    team.arrive("wrong", "+442071838750", team.number.number.as_str(), at(1))
        .await;
    team.call("right", at(2)).await;
    let dial = owned(attempt("d", AttemptKind::Dial, "placed"), org, Some(run));
    db.record_attempt(dial).await.unwrap();
    let names = async |filter| -> Vec<String> {
        let rows = db.attempts(org.into(), filter, PAGE).await.unwrap().rows;
        rows.into_iter().map(|row| row.row.attempt_id).collect()
    };
    let all = AttemptFilter {
        run: Some(run),
        ..AttemptFilter::default()
    };
    assert_eq!(names(all).await, ["d", "right", "wrong"]);
    let refused = AttemptFilter {
        refused: true,
        ..AttemptFilter::default()
    };
    assert_eq!(names(refused).await, ["wrong"]);
    let dials = AttemptFilter {
        kind: Some(AttemptKind::Dial),
        ..AttemptFilter::default()
    };
    assert_eq!(names(dials).await, ["d"]);
    let verdict = AttemptFilter {
        verdict: Some("matched".to_owned()),
        ..AttemptFilter::default()
    };
    assert_eq!(names(verdict).await, ["right"]);
}

/// Evidence is what concerns this run since it became pending, and nothing of other runs.
pub async fn evidence_is_what_concerns_the_run(db: Db) {
    let (ours, theirs) = (team(&db, "ours").await, team(&db, "theirs").await);
    let run = ours.pending(at(10)).await;
    let foreign = theirs.pending(at(10)).await;
    let to = ours.number.number.clone();
    ours.arrive("wrong", "+442071838750", to.as_str(), at(11))
        .await;
    theirs
        .arrive(
            "else",
            "+442071838750",
            theirs.number.number.as_str(),
            at(11),
        )
        .await;
    let mut full = owned(
        attempt("full", AttemptKind::Invite, "at_capacity"),
        ours.org.id,
        None,
    );
    full.to = Some(to.clone());
    full.at = at(12);
    db.record_attempt(full.clone()).await.unwrap();
    full.attempt_id = "before".to_owned();
    full.at = at(9);
    db.record_attempt(full).await.unwrap();
    let dial = owned(
        attempt("dial", AttemptKind::Dial, "not_placed"),
        ours.org.id,
        Some(run.id),
    );
    db.record_attempt(dial).await.unwrap();
    let names = async |run| -> Vec<String> {
        let rows = db.evidence(run).await.unwrap();
        rows.into_iter().map(|row| row.row.attempt_id).collect()
    };
    assert_eq!(names(run.id).await, ["wrong", "full", "dial"]);
    assert_eq!(names(foreign.id).await, ["else"]);
}

/// A call refused for want of capacity is written without an organisation, because the testing
/// agent knows none. The number it was for does.
pub async fn a_call_refused_without_an_organisation_reaches_the_owner_of_its_number(db: Db) {
    let team = team(&db, "team").await;
    let run = team.pending(at(0)).await;
    let mut full = attempt("full", AttemptKind::Invite, "at_capacity");
    full.to = Some(team.number.number.clone());
    db.record_attempt(full).await.unwrap();
    let rows = db
        .attempts(team.scope(), AttemptFilter::default(), PAGE)
        .await
        .unwrap();
    assert_eq!(rows.count, 1);
    assert_eq!(db.evidence(run.id).await.unwrap().len(), 1);
}
