use std::time::Duration;

use ringdown_api::own::{Finding, Severity};
use ringdown_domain::admission::Pace;
use ringdown_domain::{E164, OrganisationId, ProjectId, Timestamp};
use ringdown_store::{Agent, Checkup, Extra, Project, Rival, Scope};

use super::judge::{Credentials, Facts, Route, judge};

fn number(last: u32) -> E164 {
    format!("+1555{last:07}").parse().unwrap()
}

/// An agent with which nothing is wrong.
fn right() -> Facts {
    let org = OrganisationId(1);
    let mut project = Project::new(org, "default");
    project.id = ProjectId(2);
    project.max_call_duration = Duration::from_secs(120);
    project.dial_window = Duration::from_secs(300);
    Facts {
        agent: Agent {
            id: 3.into(),
            org,
            project: project.id,
            name: "Reminder".to_owned(),
            inbound: false,
            contact_number: Some(number(1)),
            outbound_numbers: Vec::new(),
            dial_route: None,
            extra: Extra::new(),
            created_at: Timestamp::from_micros(0),
            updated_at: Timestamp::from_micros(0),
        },
        project,
        organisation_limit: None,
        checkup: Checkup {
            evaluators: 2,
            with_number: 2,
            first: Some(4.into()),
            numbers: 5,
            free_numbers: 5,
            ..Checkup::default()
        },
        scope: org.into(),
        calls: 0,
        talked: Duration::ZERO,
        route: Route::Known("trunk".to_owned()),
        credentials: Credentials::NotNeeded,
        runs: 4,
        parallel: Some(2),
    }
}

/// Asserts that users can look a code up.
fn documented(code: &str) {
    let documented = include_str!("../../../../docs/doctor.md");
    assert!(documented.contains(&format!("`{code}`")), "{code}");
}

/// The finding with this code, which has to be there once.
fn one<'a>(findings: &'a [Finding], code: &str) -> &'a Finding {
    let found: Vec<&Finding> = findings.iter().filter(|f| f.code == code).collect();
    assert_eq!(found.len(), 1, "{code}: {findings:#?}");
    found[0]
}

/// What is found once the right agent is changed: `code`, that bad, with these words; and nothing else
/// that is not ok.
fn only(code: &str, severity: Severity, words: &[&str], change: impl FnOnce(&mut Facts)) {
    let mut facts = right();
    change(&mut facts);
    let findings = judge(&facts);
    let found = one(&findings, code);
    assert_eq!(found.severity, severity, "{found:?}");
    documented(code);
    for word in words {
        assert!(found.found.contains(word), "{word}: {found:?}");
    }
    assert_eq!(found.advice.is_empty(), severity == Severity::Ok);
    let others: Vec<&Finding> = findings
        .iter()
        .filter(|f| f.code != code && f.severity != Severity::Ok)
        .collect();
    assert!(others.is_empty(), "{others:#?}");
}

#[test]
fn a_right_agent_is_told_so_in_order() {
    let findings = judge(&right());
    let codes: Vec<&str> = findings.iter().map(|f| f.code.as_str()).collect();
    assert_eq!(
        codes,
        [
            "agent_outbound",
            "caller_id_present",
            "evaluators_ready",
            "numbers_free",
            "limit_sufficient",
            "duration_estimate",
            "dial_window_sane",
            "route_known",
        ]
    );
    for finding in &findings {
        documented(&finding.code);
        assert_eq!(finding.severity, Severity::Ok, "{finding:?}");
        assert!(finding.found.ends_with('.'), "{finding:?}");
        assert_eq!(finding.advice, "", "{finding:?}");
    }
}

#[test]
fn an_inbound_agent_cannot_be_tested() {
    let words = ["Agent 3 (Reminder)"];
    only("agent_inbound", Severity::Error, &words, |facts| {
        facts.agent.inbound = true;
    });
}

#[test]
fn caller_ids() {
    let words = ["contact_number"];
    only("caller_id_missing", Severity::Error, &words, |facts| {
        facts.agent.contact_number = None;
    });
    let words = [
        "+15550000002, +15550000003, +15550000004 and 1 more",
        "outbound_numbers",
    ];
    only("caller_id_present", Severity::Ok, &words, |facts| {
        facts.agent.contact_number = None;
        facts.agent.outbound_numbers = (2..6).map(number).collect();
    });
    let words = ["+15550000001", "refused"];
    only(
        "caller_id_contact_ignored",
        Severity::Warning,
        &words,
        |facts| facts.agent.outbound_numbers = vec![number(2)],
    );
    only(
        "caller_id_called",
        Severity::Warning,
        &["+15550000001"],
        |facts| facts.checkup.called_caller_ids = vec![number(1)],
    );
}

#[test]
fn an_agent_that_cannot_be_told_from_this_one_is_named_to_those_who_may_see_it() {
    let rival = Rival {
        agent: 9.into(),
        name: "Twin".to_owned(),
        project: ProjectId(2),
        number: number(70),
    };
    let words = ["agent 9 (Twin)", "+15550000070"];
    only("caller_id_shared", Severity::Warning, &words, |facts| {
        facts.checkup.rivals = vec![rival.clone()];
        facts.scope.project = Some(ProjectId(2));
    });
    let words = ["agent 9 (Twin) (and there are more)"];
    only("caller_id_shared", Severity::Warning, &words, |facts| {
        facts.checkup.rivals = vec![rival.clone(), rival.clone()];
    });
    let mut facts = right();
    facts.scope = Scope {
        project: Some(ProjectId(2)),
        ..facts.scope
    };
    facts.checkup.rivals = vec![Rival {
        project: ProjectId(8),
        ..rival
    }];
    let findings = judge(&facts);
    let found = &one(&findings, "caller_id_shared").found;
    assert!(found.contains("an agent of another project"), "{found}");
    assert!(!found.contains("Twin") && !found.contains('9'), "{found}");
}

#[test]
fn evaluators_and_numbers() {
    only("evaluators_missing", Severity::Error, &[], |facts| {
        facts.checkup.evaluators = 0;
        facts.checkup.with_number = 0;
    });
    let words = ["1 of 2 evaluators have no number"];
    only(
        "evaluators_without_number",
        Severity::Warning,
        &words,
        |facts| facts.checkup.with_number = 1,
    );
    let words = ["3 of 5 numbers are free", "4 runs"];
    only("numbers_short", Severity::Warning, &words, |facts| {
        facts.checkup.free_numbers = 3;
    });
    // Without numbers neither of the two can work.
    let mut facts = right();
    facts.checkup.with_number = 0;
    facts.checkup.numbers = 0;
    facts.checkup.free_numbers = 0;
    let findings = judge(&facts);
    for code in ["evaluators_without_number", "numbers_missing"] {
        assert_eq!(one(&findings, code).severity, Severity::Error);
    }
    // A number that is free will do.
    facts.checkup.numbers = 1;
    facts.checkup.free_numbers = 1;
    facts.runs = 1;
    let findings = judge(&facts);
    assert!(findings.iter().all(|f| f.severity != Severity::Error));
}

#[test]
fn limits_against_what_is_asked() {
    let words = ["Only 1 of 2 calls", "organisation unlimited, project 1"];
    only("limit_below_parallel", Severity::Warning, &words, |facts| {
        facts.project.parallel_limit = Some(1);
    });
    let words = ["Only 1 of 2 calls", "organisation 1, project 7"];
    only("limit_below_parallel", Severity::Warning, &words, |facts| {
        facts.organisation_limit = Some(1);
        facts.project.parallel_limit = Some(7);
    });
    // Fewer runs than slots need no more, and without a wish every limit will do.
    only("limit_sufficient", Severity::Ok, &["1 call at once"], |f| {
        f.organisation_limit = Some(1);
        f.runs = 1;
    });
    only("limit_sufficient", Severity::Ok, &["3 calls"], |facts| {
        facts.organisation_limit = Some(3);
        facts.parallel = None;
    });
    only(
        "slots_busy",
        Severity::Warning,
        &["1 of 2 slots"],
        |facts| {
            facts.organisation_limit = Some(9);
            facts.checkup.held_in_organisation = 8;
        },
    );
    only(
        "slots_busy",
        Severity::Warning,
        &["0 of 2 slots"],
        |facts| {
            facts.project.parallel_limit = Some(5);
            facts.checkup.held_in_project = 7;
        },
    );
}

#[test]
fn the_duration_is_estimated_from_calls_before_and_bounded() {
    // Two waves of two; a window of 300 s and a call of 120 s each at most.
    let words = [
        "4 runs take about 2 min",
        "lasts 60 s (assumed",
        "at most 14 min",
    ];
    only("duration_estimate", Severity::Ok, &words, |_| {});
    let words = ["about 40 s if a call lasts 20 s (as the last 3 calls did)"];
    only("duration_estimate", Severity::Ok, &words, |facts| {
        facts.calls = 3;
        facts.talked = Duration::from_secs(60);
    });
    let words = [
        "about 80 s if",
        "0.05 calls started per second",
        "at most 15 min",
    ];
    only("duration_estimate", Severity::Ok, &words, |facts| {
        facts.calls = 1;
        facts.talked = Duration::from_secs(20);
        facts.project.pace = Pace::per_second(0.05);
    });
    let words = ["at most 30 min"];
    only("duration_estimate", Severity::Ok, &words, |facts| {
        facts.checkup.longest = Some(Duration::from_secs(600));
    });
    let words = ["at most 1166 h 40 min"];
    only("duration_estimate", Severity::Ok, &words, |facts| {
        facts.runs = 10_000;
        facts.parallel = Some(1);
        facts.checkup.numbers = 10_000;
        facts.checkup.free_numbers = 10_000;
    });
}

#[test]
fn a_window_has_room_to_dial_and_ring() {
    only("dial_window_short", Severity::Warning, &["19 s"], |facts| {
        facts.project.dial_window = Duration::from_secs(19);
    });
    only("dial_window_sane", Severity::Ok, &["20 s"], |facts| {
        facts.project.dial_window = Duration::from_secs(20);
    });
}

#[test]
fn how_it_is_dialed() {
    only("route_manual", Severity::Ok, &["by itself"], |facts| {
        facts.route = Route::Manual;
    });
    let words = ["no route trunk", "it has a, b"];
    only("route_unknown", Severity::Error, &words, |facts| {
        let known = ["a", "b"].map(str::to_owned).into();
        facts.route = Route::Unknown("trunk".to_owned(), known);
    });
    only("route_unknown", Severity::Error, &["has none"], |facts| {
        facts.route = Route::Unknown("trunk".to_owned(), [].into());
    });
    only(
        "route_account",
        Severity::Ok,
        &["twilio AC1", "at once"],
        |facts| {
            facts.route = Route::Account(
                "carrier:main".to_owned(),
                ringdown_carrier::Limits {
                    account: "twilio AC1".to_owned(),
                    calls_per_second: 1.0,
                    concurrent_calls: None,
                    least_ring: std::time::Duration::ZERO,
                },
            );
        },
    );
    only(
        "route_unusable",
        Severity::Error,
        &["carrier:main", "no such carrier"],
        |facts| {
            let why = "there is no such carrier".to_owned();
            facts.route = Route::Unusable("carrier:main".to_owned(), why);
        },
    );
    only("route_unchecked", Severity::Warning, &["trunk"], |facts| {
        facts.route = Route::Elsewhere("trunk".to_owned());
    });
}

#[test]
fn credentials_at_the_provider() {
    let provider = || "telnyx".to_owned();
    let why = || "it says no".to_owned();
    let number = || number(1);
    for (code, severity, credentials) in [
        (
            "credentials_missing",
            Severity::Warning,
            Credentials::Missing {
                provider: provider(),
                field: "telnyx_api_key".to_owned(),
            },
        ),
        (
            "credentials_present",
            Severity::Ok,
            Credentials::Present {
                provider: provider(),
            },
        ),
        (
            "credentials_accepted",
            Severity::Ok,
            Credentials::Accepted {
                provider: provider(),
                owns: number(),
            },
        ),
        (
            "credentials_other_account",
            Severity::Warning,
            Credentials::NotOwner {
                provider: provider(),
                number: number(),
            },
        ),
        (
            "credentials_refused",
            Severity::Error,
            Credentials::Refused {
                provider: provider(),
                why: why(),
            },
        ),
        (
            "credentials_unanswered",
            Severity::Warning,
            Credentials::Unanswered {
                provider: provider(),
                why: why(),
            },
        ),
    ] {
        only(code, severity, &["telnyx"], |facts| {
            facts.credentials = credentials;
        });
    }
}
