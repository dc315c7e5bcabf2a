//! The rules of a suite that its structure does not say.

use std::collections::BTreeMap;

use ringdown_domain::E164;

use crate::bounds::bytes;
use crate::conditional;
use crate::document::{
    Case, Defaults, Document, InlinePersonality, InlineProfile, Kind, MetricRef, Personality,
    Profile,
};
use crate::problem::{Problems, brief, field, item};
use crate::tag;

/// Bytes of a test profile as JSON. A run carries it in every message about it.
const MAX_PROFILE: usize = 64 * 1024;

/// Headers of a call that are ours, so that no variable can have their names.
const RESERVED: &[&str] = &["X-Run-Id", "X-Scenario-Id", "X-Result-Id"];

pub(crate) fn document(document: &Document, problems: &mut Problems) {
    if let Some(Defaults {
        metrics,
        personality,
        phone_number,
        test_profile,
        ..
    }) = &document.defaults
    {
        shared(
            "defaults",
            metrics,
            personality,
            phone_number,
            test_profile,
            problems,
        );
    }
    let mut keys: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, case) in document.scenarios.iter().enumerate() {
        let at = item("scenarios", index);
        self::case(case, document.defaults.as_ref(), &at, problems);
        let key = case.key.as_deref().unwrap_or(&case.name);
        if let Some(earlier) = keys.get(key) {
            let which = if case.key.is_some() { "key" } else { "name" };
            let message = format!(
                "{} is called `{}` already: give each case a key of its own.",
                item("scenarios", *earlier),
                brief(key)
            );
            problems.add(field(&at, which), message);
        } else {
            keys.insert(key, index);
        }
    }
}

fn blank(text: Option<&String>) -> bool {
    text.is_none_or(|text| text.trim().is_empty())
}

fn case(case: &Case, defaults: Option<&Defaults>, at: &str, problems: &mut Problems) {
    if case.name.trim().is_empty() {
        problems.add(field(at, "name"), "A name cannot be blank.");
    }
    if case.key.as_ref().is_some_and(|key| key.trim().is_empty()) {
        problems.add(
            field(at, "key"),
            "A key cannot be blank: leave it out to use the name.",
        );
    }
    let actions = field(at, "conditional_actions");
    if case.kind == Some(Kind::ConditionalActions) {
        if case.conditional_actions.is_none() {
            problems.add(
                actions.clone(),
                "A case of the type conditional_actions needs them: a role and its conditions.",
            );
        }
        if !has_language(case, defaults) {
            problems.add(
                field(at, "language"),
                "A case of the type conditional_actions needs a language: set it here or in defaults.",
            );
        }
    } else {
        if case.conditional_actions.is_some() {
            problems.add(
                field(at, "type"),
                "The case has conditional_actions: write conditional_actions as its type.",
            );
        } else if blank(case.instructions.as_ref()) {
            problems.add(
                field(at, "instructions"),
                "Say what the testing agent is to do.",
            );
        }
    }
    if let Some(scripted) = &case.conditional_actions {
        conditional::rules(scripted, &actions, problems);
        for (index, condition) in scripted.conditions.iter().enumerate() {
            let clips = tag::parse(&condition.action);
            if condition.fixed_message && clips.tags().any(|tag| tag.name == "audio") {
                let at = item(&field(&actions, "conditions"), index);
                problems.add(
                    field(&at, "action"),
                    "<audio> plays a clip of a saved evaluator, and a suite has none: write the words.",
                );
            }
        }
    }
    shared(
        at,
        &case.metrics,
        &case.personality,
        &case.phone_number,
        &case.test_profile,
        problems,
    );
}

fn has_language(case: &Case, defaults: Option<&Defaults>) -> bool {
    let personality = case
        .personality
        .as_ref()
        .or_else(|| defaults?.personality.as_ref());
    let spoken = match personality {
        Some(Personality::Inline(inline)) => inline.language.is_some(),
        _ => false,
    };
    spoken || case.language.is_some() || defaults.is_some_and(|d| d.language.is_some())
}

/// Checks what both a case and the defaults can have.
fn shared(
    at: &str,
    metrics: &Option<Vec<MetricRef>>,
    personality: &Option<Personality>,
    phone_number: &Option<String>,
    test_profile: &Option<Profile>,
    problems: &mut Problems,
) {
    let list = field(at, "metrics");
    for (index, metric) in metrics.iter().flatten().enumerate() {
        if let MetricRef::Slug(slug) = metric {
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
            if !slug.bytes().all(plain) {
                let message = format!(
                    "`{}` is no short name of a metric: they have small letters, digits and \
                     underscores.",
                    brief(slug)
                );
                problems.add(item(&list, index), message);
            }
        }
    }
    match personality {
        Some(Personality::Inline(inline)) => inline_personality(inline, at, problems),
        Some(Personality::Name(name)) if name.trim().is_empty() => {
            problems.add(field(at, "personality"), "A name cannot be blank.");
        }
        _ => {}
    }
    if let Some(number) = phone_number
        && number.parse::<E164>().is_err()
    {
        let message = format!(
            "`{}` is no number in E.164 form: write a plus sign and 7 to 15 digits, such as \
             +14155550123.",
            brief(number)
        );
        problems.add(field(at, "phone_number"), message);
    }
    match test_profile {
        Some(Profile::Inline(inline)) => {
            inline_profile(inline, &field(at, "test_profile"), problems);
        }
        Some(Profile::Name(name)) if name.trim().is_empty() => {
            problems.add(field(at, "test_profile"), "A name cannot be blank.");
        }
        _ => {}
    }
}

fn inline_personality(inline: &InlinePersonality, at: &str, problems: &mut Problems) {
    if inline.base.is_some() {
        return;
    }
    let at = field(at, "personality");
    for (name, missing) in [
        ("prompt", inline.prompt.is_none()),
        ("language", inline.language.is_none()),
        ("voice_model", inline.voice_model.is_none()),
        ("voice_id", inline.voice_id.is_none()),
        ("background_noise", inline.background_noise.is_none()),
    ] {
        if missing {
            problems.add(
                field(&at, name),
                "A personality without a base needs this: set it, or name a base.",
            );
        }
    }
}

fn inline_profile(inline: &InlineProfile, at: &str, problems: &mut Problems) {
    if inline.agent_variables.is_none() && inline.caller_variables.is_none() {
        let message = "A test profile needs agent_variables or caller_variables.";
        problems.add(at, message);
    }
    let variables = field(at, "agent_variables");
    for name in inline
        .agent_variables
        .iter()
        .flatten()
        .map(|(name, _)| name)
    {
        if RESERVED
            .iter()
            .any(|reserved| reserved.eq_ignore_ascii_case(name))
        {
            let message = "This header is set on every call already: choose another name.";
            problems.add(field(&variables, name), message);
        }
    }
    if bytes(inline) > MAX_PROFILE {
        let message =
            format!("At most {MAX_PROFILE} bytes are kept of a test profile: shorten it.");
        problems.add(at, message);
    }
}
