//! From what is known of an agent to what is right and wrong with it. No I/O.

use std::collections::BTreeSet;
use std::time::Duration;

use ringdown_api::own::Finding;
use ringdown_carrier::Limits;
use ringdown_domain::E164;
use ringdown_store::{Agent, Checkup, Project, Scope};

/// A shorter window is hardly enough to hear of a pending run, to dial and to ring.
const SHORT_WINDOW: Duration = Duration::from_secs(20);
/// How long a call is taken to last as long as the agent has made none.
const ASSUMED_CALL: Duration = Duration::from_secs(60);

/// How the agent is made to call.
#[derive(Clone, Debug)]
pub(super) enum Route {
    /// It calls by itself.
    Manual,
    /// The dialer has the route.
    Known(String),
    /// The dialer has these routes, and not this one.
    Unknown(String, BTreeSet<String>),
    /// It is dialed with an account, which may do this much.
    Account(String, Limits),
    /// Its account cannot be used, and why.
    Unusable(String, String),
    /// The dialer is not in this process.
    Elsewhere(String),
}

/// What is known of the agent's credentials at the provider it runs at.
#[derive(Clone, Debug)]
pub(super) enum Credentials {
    /// It runs at no provider that is known.
    NotNeeded,
    /// There are none.
    Missing { provider: String, field: String },
    /// There are some, and nobody can be asked about them.
    Present { provider: String },
    /// The provider accepts them, and the caller ID is the account's.
    Accepted { provider: String, owns: E164 },
    /// The provider accepts them, and the caller ID is not the account's.
    NotOwner { provider: String, number: E164 },
    /// The provider does not accept them.
    Refused { provider: String, why: String },
    /// The provider did not say.
    Unanswered { provider: String, why: String },
}

/// Everything that is judged.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) agent: Agent,
    pub(super) project: Project,
    pub(super) organisation_limit: Option<u32>,
    pub(super) checkup: Checkup,
    /// Whose question it is: rivals outside of it are not named.
    pub(super) scope: Scope,
    /// Calls of the agent in its recent batches.
    pub(super) calls: u64,
    /// How long they were together.
    pub(super) talked: Duration,
    pub(super) route: Route,
    pub(super) credentials: Credentials,
    pub(super) runs: u32,
    pub(super) parallel: Option<u32>,
}

impl Facts {
    /// The longest call that an evaluator may have: its own limit or the project's.
    pub(super) fn longest_call(&self) -> Duration {
        let project = self.project.max_call_duration;
        self.checkup.longest.map_or(project, |own| own.max(project))
    }

    /// Calls that will run at once.
    fn at_once(&self) -> u32 {
        [
            self.parallel,
            self.organisation_limit,
            self.project.parallel_limit,
        ]
        .into_iter()
        .flatten()
        .fold(self.runs, u32::min)
        .max(1)
    }
}

/// Every finding, in the order of a batch's way.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![agent(facts)];
    caller_ids(facts, &mut findings);
    evaluators(facts, &mut findings);
    numbers(facts, &mut findings);
    limits(facts, &mut findings);
    findings.push(duration(facts));
    findings.push(window(facts));
    findings.push(route(facts));
    findings.extend(credentials(facts));
    findings
}

fn agent(facts: &Facts) -> Finding {
    let Agent { id, name, .. } = &facts.agent;
    if facts.agent.inbound {
        return Finding::error(
            "agent_inbound",
            format!("Agent {id} ({name}) takes calls instead of making them."),
            "Set its inbound to false to test outbound calls.",
        );
    }
    Finding::ok(
        "agent_outbound",
        format!("Agent {id} ({name}) makes calls."),
    )
}

fn caller_ids(facts: &Facts, findings: &mut Vec<Finding>) {
    let (agent, checkup) = (&facts.agent, &facts.checkup);
    let ids = agent.caller_ids();
    if ids.is_empty() {
        findings.push(Finding::error(
            "caller_id_missing",
            "The agent has neither outbound_numbers nor a contact_number, so no call from it can be \
             recognised.",
            "Set its contact_number to the E.164 number it calls from.",
        ));
        return;
    }
    let field = if agent.outbound_numbers.is_empty() {
        "contact_number"
    } else {
        "outbound_numbers"
    };
    findings.push(Finding::ok(
        "caller_id_present",
        format!("Calls are expected from {} ({field}).", list(ids)),
    ));
    if let Some(contact) = &agent.contact_number
        && !ids.contains(contact)
    {
        findings.push(Finding::warning(
            "caller_id_contact_ignored",
            format!("The contact_number {contact} is not among the outbound_numbers, so a call from it is refused."),
            "Add it to outbound_numbers if the agent calls from it.",
        ));
    }
    if !checkup.called_caller_ids.is_empty() {
        findings.push(Finding::warning(
            "caller_id_called",
            format!(
                "The caller ID {} is also a number that your agents call.",
                list(&checkup.called_caller_ids)
            ),
            "Set it to the number the agent calls from, not the number it is to call.",
        ));
    }
    if let Some(first) = checkup.rivals.first() {
        let seen = facts.scope.project.is_none_or(|own| own == first.project);
        let who = if seen {
            format!("agent {} ({})", first.agent, first.name)
        } else {
            "an agent of another project".to_owned()
        };
        let more = match checkup.rivals.len() {
            1 => "",
            _ => " (and there are more)",
        };
        findings.push(Finding::warning(
            "caller_id_shared",
            format!(
                "The same caller ID and the number {} are also those of {who}{more}: while both have \
                 pending runs, a call goes to the run that waits longest, whosever it is.",
                first.number
            ),
            "Give one of them another caller ID or its evaluators other numbers, or do not run them \
             at the same time.",
        ));
    }
}

fn evaluators(facts: &Facts, findings: &mut Vec<Finding>) {
    let Checkup {
        evaluators,
        with_number,
        free_numbers,
        ..
    } = facts.checkup;
    let without = evaluators.saturating_sub(with_number);
    if evaluators == 0 {
        findings.push(Finding::error(
            "evaluators_missing",
            "The agent has no evaluators, so there is nothing to run.",
            "Create one with POST /test_framework/v1/scenarios/ or `ringdown evaluators create`.",
        ));
    } else if without == 0 {
        findings.push(Finding::ok(
            "evaluators_ready",
            format!(
                "The agent has {}, each with a number.",
                counted(evaluators, "evaluator")
            ),
        ));
    } else {
        let found = format!(
            "{without} of {} no number.",
            match evaluators {
                1 => "1 evaluator has".to_owned(),
                many => format!("{many} evaluators have"),
            }
        );
        let advice = "Add a number with `ringdown numbers add`: evaluators without one get it; or run \
                      them with the mode different_numbers.";
        findings.push(if with_number == 0 && free_numbers == 0 {
            Finding::error("evaluators_without_number", found, advice)
        } else {
            Finding::warning("evaluators_without_number", found, advice)
        });
    }
}

fn numbers(facts: &Facts, findings: &mut Vec<Finding>) {
    let Checkup {
        numbers,
        free_numbers: free,
        ..
    } = facts.checkup;
    let runs = u64::from(facts.runs);
    findings.push(if numbers == 0 {
        Finding::error(
            "numbers_missing",
            "There is no number that the agent's project may use.",
            "Add one with `ringdown numbers add`, or import one from a provider.",
        )
    } else if free < runs {
        Finding::warning(
            "numbers_short",
            format!(
                "{free} of {} free, so {} with a number each (different_numbers) would be refused.",
                match numbers {
                    1 => "1 number is".to_owned(),
                    many => format!("{many} numbers are"),
                },
                counted(runs, "run")
            ),
            format!(
                "Add {}, wait for other runs to end, or use same_number.",
                counted(runs - free, "number")
            ),
        )
    } else {
        Finding::ok(
            "numbers_free",
            format!(
                "{free} of {} free, enough for {} with a number each.",
                match numbers {
                    1 => "1 number is".to_owned(),
                    many => format!("{many} numbers are"),
                },
                counted(runs, "run")
            ),
        )
    });
}

fn limits(facts: &Facts, findings: &mut Vec<Finding>) {
    let at_once = facts.at_once();
    let wanted = facts.parallel.unwrap_or(facts.runs).min(facts.runs);
    let limits = [
        ("organisation", facts.organisation_limit),
        ("project", facts.project.parallel_limit),
    ];
    let said: Vec<String> = limits
        .iter()
        .map(|(what, limit)| match limit {
            Some(limit) => format!("{what} {limit}"),
            None => format!("{what} unlimited"),
        })
        .collect();
    let said = said.join(", ");
    findings.push(match facts.parallel {
        Some(_) if at_once < wanted => Finding::warning(
            "limit_below_parallel",
            format!(
                "Only {at_once} of {wanted} calls run at once ({said}); the rest wait in the queue."
            ),
            "Raise the parallel_call_limit, or plan for the longer duration.",
        ),
        _ => Finding::ok(
            "limit_sufficient",
            format!("{} at once ({said}).", counted(at_once.into(), "call")),
        ),
    });
    let left = [
        facts
            .organisation_limit
            .map(|limit| limit.saturating_sub(facts.checkup.held_in_organisation)),
        facts
            .project
            .parallel_limit
            .map(|limit| limit.saturating_sub(facts.checkup.held_in_project)),
    ];
    if let Some(left) = left.into_iter().flatten().min()
        && left < at_once
    {
        findings.push(Finding::warning(
            "slots_busy",
            format!("{left} of {at_once} slots are free now; other runs hold the rest."),
            "Wait for them, or expect the batch to begin slowly.",
        ));
    }
}

/// An average of what was, and what it cannot exceed: a window and a longest call for every wave.
fn duration(facts: &Facts) -> Finding {
    let at_once = facts.at_once();
    let (call, source) = match u32::try_from(facts.calls) {
        Ok(calls) if calls > 0 => (
            facts.talked / calls,
            format!("as the last {} did", counted(facts.calls, "call")),
        ),
        _ => (
            ASSUMED_CALL.min(facts.longest_call()),
            "assumed, there were none yet".to_owned(),
        ),
    };
    let waves = facts.runs.div_ceil(at_once);
    let longest = facts.project.dial_window + facts.longest_call();
    // A pace keeps the last run back this long, however many slots there are.
    let (started, paced) = match facts.project.pace {
        Some(pace) => (
            pace.interval() * facts.runs.saturating_sub(1),
            format!(", {} calls started per second", pace.calls_per_second()),
        ),
        None => (Duration::ZERO, String::new()),
    };
    Finding::ok(
        "duration_estimate",
        format!(
            "{} {} about {} if a call lasts {} ({source}{paced}), and at most {}, scoring not counted.",
            counted(facts.runs.into(), "run"),
            if facts.runs == 1 { "takes" } else { "take" },
            spoken((call * waves).max(started + call)),
            spoken(call),
            spoken(longest * waves + started),
        ),
    )
}

fn window(facts: &Facts) -> Finding {
    let window = facts.project.dial_window;
    let seconds = window.as_secs();
    if window < SHORT_WINDOW {
        return Finding::warning(
            "dial_window_short",
            format!(
                "A pending run may be called for {seconds} s only, dialing and ringing included."
            ),
            "Raise the project's outbound_timeout; 300 s is the default and the most.",
        );
    }
    Finding::ok(
        "dial_window_sane",
        format!("A pending run may be called for {seconds} s."),
    )
}

fn route(facts: &Facts) -> Finding {
    match &facts.route {
        Route::Manual => Finding::ok(
            "route_manual",
            "The agent calls by itself, or `ringdown run --dial` makes it: nothing here dials for it.",
        ),
        Route::Known(name) => Finding::ok(
            "route_known",
            format!("The dialer makes it call through the route {name}."),
        ),
        Route::Unknown(name, known) => {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let known = match known.as_slice() {
                [] => "it has none".to_owned(),
                known => format!("it has {}", known.join(", ")),
            };
            Finding::error(
                "route_unknown",
                format!("The dialer has no route {name}; {known}."),
                "Start the dialer with --dial-route, or change the agent's dial route.",
            )
        }
        Route::Account(name, limits) => {
            let at_once = limits
                .concurrent_calls
                .map_or_else(|| "any number of".to_owned(), |calls| calls.to_string());
            Finding::ok(
                "route_account",
                format!(
                    "The dialer makes it call through {name}: {}, {} calls each second, {at_once} at once.",
                    limits.account, limits.calls_per_second
                ),
            )
        }
        Route::Unusable(name, why) => Finding::error(
            "route_unusable",
            format!("The agent is dialed through {name}, which cannot be used: {why}."),
            "Change the agent's provider, or its carrier; docs/carriers.md has every setting.",
        ),
        Route::Elsewhere(name) => Finding::warning(
            "route_unchecked",
            format!(
                "The agent's route is {name}; whether a dialer has it is not known in this process."
            ),
            "Check that a running `ringdown serve dialer` was given this --dial-route.",
        ),
    }
}

fn credentials(facts: &Facts) -> Option<Finding> {
    Some(match &facts.credentials {
        Credentials::NotNeeded => return None,
        Credentials::Missing { provider, field } => Finding::warning(
            "credentials_missing",
            format!("The agent runs at {provider} and has no credentials of it here."),
            format!("Set its {field} if anything is to be asked of {provider}."),
        ),
        Credentials::Present { provider } => Finding::ok(
            "credentials_present",
            format!("Credentials of {provider} are there; whether it accepts them is not asked."),
        ),
        Credentials::Accepted { provider, owns } => Finding::ok(
            "credentials_accepted",
            format!("{provider} accepts the agent's credentials; the account owns {owns}."),
        ),
        Credentials::NotOwner { provider, number } => Finding::warning(
            "credentials_other_account",
            format!(
                "{provider} accepts the agent's credentials, but the account does not own {number}."
            ),
            "Check the caller ID, or use the credentials of the account that owns it.",
        ),
        Credentials::Refused { provider, why } => Finding::error(
            "credentials_refused",
            format!("The agent's credentials of {provider} are not accepted: {why}."),
            "Copy them again from the provider's console.",
        ),
        Credentials::Unanswered { provider, why } => Finding::warning(
            "credentials_unanswered",
            format!("Whether {provider} accepts the agent's credentials is not known: {why}."),
            "Ask again later.",
        ),
    })
}

/// `1 run`, `2 runs`.
fn counted(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        many => format!("{many} {what}s"),
    }
}

/// The first numbers, and how many more there are.
fn list(numbers: &[E164]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<&str> = numbers.iter().take(SHOWN).map(E164::as_str).collect();
    match numbers.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A duration as precise as it matters.
fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}
