use ringdown_api::own::Severity;
use ringdown_api::{RunStatus, TranscriptTurn};
use serde_json::json;

use super::*;

fn run(status: Status) -> Run {
    let turn = |role: &str| TranscriptTurn {
        role: role.to_owned(),
        ..TranscriptTurn::default()
    };
    Run {
        id: 7,
        status: RunStatus::Known(status),
        success: Some(true),
        transcript_object: vec![turn("Main Agent"), turn("Testing Agent")],
        metadata: json!({
            "ended_reason": "Main agent-ended-call",
            "call": {
                "codec": "PCMA",
                "source": "198.51.100.7:5060",
                "contact": "<sip:+15550001@198.51.100.7:5060>",
                "media_described": "198.51.100.7:4000",
                "media_seen": "198.51.100.7:4000",
                "packets_sent": 100, "packets_received": 90, "packets_lost": 1,
            },
        }),
        ..Run::default()
    }
}

fn row(kind: &str, verdict: &str) -> Attempt {
    let row = json!({
        "id": 1, "kind": kind, "attempt_id": "a", "at": "", "verdict": verdict,
        "explanation": "as explained", "run_id": 7, "nearest": verdict != "matched",
        "from_raw": "0015550001", "from": "+15550001", "to_raw": "+15550002", "to": "+15550002",
        "source": "198.51.100.7:5060", "sip_call_id": "c", "response": 200, "route": "trunk",
        "trunk": "main", "from_header": "p-asserted-identity",
    });
    serde_json::from_value(row).unwrap()
}

/// Asserts that users can look a code up.
fn documented(code: &str) {
    let documented = include_str!("../../../../docs/doctor.md");
    assert!(documented.contains(&format!("`{code}`")), "{code}");
}

/// The findings of a matched call as `change` leaves it.
fn found(change: impl FnOnce(&mut Run)) -> Vec<(String, Severity, String)> {
    let mut run = run(Status::Completed);
    change(&mut run);
    let found = judge(&run, &[row("invite", "matched"), row("dial", "placed")]);
    for finding in &found {
        let is_ok = finding.severity == Severity::Ok;
        assert_eq!(finding.advice.is_empty(), is_ok, "{finding:?}");
        documented(&finding.code);
    }
    let found = found.into_iter();
    found.map(|f| (f.code, f.severity, f.found)).collect()
}

/// Asserts that exactly one finding is not ok, and what it says.
fn only(code: &str, severity: Severity, word: &str, change: impl FnOnce(&mut Run)) {
    let found = found(change);
    let bad: Vec<_> = found.iter().filter(|f| f.1 != Severity::Ok).collect();
    assert_eq!(bad.len(), 1, "{bad:#?}");
    assert_eq!((bad[0].0.as_str(), bad[0].1), (code, severity));
    assert!(bad[0].2.contains(word), "{word}: {bad:?}");
}

#[test]
fn a_good_call_is_told_in_full() {
    let found = found(|_| {});
    let codes: Vec<&str> = found.iter().map(|f| f.0.as_str()).collect();
    assert_eq!(
        codes,
        [
            "call_matched",
            "call_codec",
            "call_direct",
            "call_two_way_audio",
            "call_run_completed"
        ]
    );
    assert!(found.iter().all(|f| f.1 == Severity::Ok), "{found:?}");
    for word in [
        "0015550001 (read as +15550001) (trunk main, header p-asserted-identity)",
        "to +15550002 from",
        "198.51.100.7:5060",
    ] {
        assert!(found[0].2.contains(word), "{word}: {found:?}");
    }
    assert!(found[1].2.contains("PCMA"));
    assert!(
        found[3]
            .2
            .contains("100 packets to the agent, 90 from it, 1 lost")
    );
}

#[test]
fn a_caller_behind_nat_is_noticed() {
    let word = "signalling comes from 198.51.100.7 and its Contact says 10.0.0.5";
    only("call_nat", Severity::Warning, word, |run| {
        run.metadata["call"]["contact"] = json!("<sip:+15550001@10.0.0.5:5062;transport=udp>");
    });
    let word = "audio comes from 198.51.100.7:61000 and its description says 198.51.100.7:4000";
    only("call_nat", Severity::Warning, word, |run| {
        run.metadata["call"]["media_seen"] = json!("198.51.100.7:61000");
    });
    // A name says nothing either way.
    let found = found(|run| {
        run.metadata["call"]["contact"] = json!("\"Agent\" <sip:trunk.example.com;lr>");
    });
    assert_eq!(found[2].0, "call_direct");
}

#[test]
fn the_host_of_a_contact_is_found() {
    for (contact, expected) in [
        ("<sip:a@10.0.0.5:5060>;expires=1", Some("10.0.0.5")),
        ("sip:10.0.0.5", Some("10.0.0.5")),
        ("sip:a@10.0.0.5;ob", Some("10.0.0.5")),
        ("\"A\" <sips:a@[fd00::1]:5061>", Some("fd00::1")),
        ("<sip:trunk.example.com>", Some("trunk.example.com")),
        ("*", None),
        ("", None),
    ] {
        assert_eq!(host(contact), expected, "{contact}");
    }
}

#[test]
fn audio_that_goes_one_way_is_an_error_and_silence_is_not() {
    only("call_one_way_audio", Severity::Error, "0 from it", |run| {
        run.metadata["call"]["packets_received"] = json!(0);
        run.metadata["call"]["media_seen"] = json!("");
    });
    only("call_one_way_audio", Severity::Error, "0 packets", |run| {
        run.metadata["call"]["packets_sent"] = json!(0);
    });
    only("call_agent_silent", Severity::Warning, "no speech", |run| {
        run.transcript_object.remove(0);
    });
    only("call_tester_silent", Severity::Warning, "nothing", |run| {
        run.transcript_object.remove(1);
    });
    only("call_silent", Severity::Warning, "nobody", |run| {
        run.transcript_object.clear();
    });
}

#[test]
fn what_is_not_known_is_said() {
    for unknown in [json!(null), json!({}), json!({"call": null})] {
        only("call_detail_unknown", Severity::Warning, "codec", |run| {
            run.metadata = unknown;
        });
    }
}

#[test]
fn the_end_of_the_run_is_told() {
    only("call_unfinished", Severity::Error, "evaluating", |run| {
        run.status = RunStatus::Known(Status::Evaluating);
    });
    let word = "failed (Main agent-ended-call): no recording";
    only("call_run_failed", Severity::Error, word, |run| {
        run.status = RunStatus::Known(Status::Failed);
        run.error_message = "no recording".to_owned();
    });
    let found = found(|run| run.success = Some(false));
    assert!(found[4].2.contains("did not pass"), "{found:?}");
    assert_eq!(found[4].1, Severity::Ok);
}

#[test]
fn a_call_that_did_not_come_through_is_explained() {
    let mut run = run(Status::Timeout);
    run.error_message = "no call arrived".to_owned();
    for (attempts, code, words) in [
        (
            vec![row("invite", "caller_id_mismatch"), row("dial", "placed")],
            "call_refused",
            [
                "A call arrived from 0015550001",
                "caller_id_mismatch: as explained",
            ],
        ),
        (
            vec![row("invite", "too_early"), row("invite", "too_early")],
            "call_refused",
            ["The last of 2 calls arrived", "too_early"],
        ),
        (
            vec![row("dial", "not_placed")],
            "call_not_arrived",
            [
                "route trunk says not_placed: as explained",
                "no call arrived",
            ],
        ),
        (vec![], "call_not_arrived", ["no dialer tried", "run 7"]),
    ] {
        let found = judge(&run, &attempts);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            (found[0].code.as_str(), found[0].severity),
            (code, Severity::Error)
        );
        for word in words {
            assert!(found[0].found.contains(word), "{word}: {found:?}");
        }
        assert!(!found[0].advice.is_empty());
        documented(code);
    }
}
