//! The rules between conditions.

use std::collections::BTreeMap;

use super::actions::{Actions, Condition, ConditionType, Trigger};
use super::function::{self, Declared};
use super::tags::{self, Place};
use super::{FIRST_MESSAGE, MAX_BYTES};
use crate::bounds::bytes;
use crate::problem::{Problems, field, item};

pub(super) fn check(actions: &Actions, path: &str, problems: &mut Problems) {
    if bytes(actions) > MAX_BYTES {
        let message = format!("At most {MAX_BYTES} bytes are kept of it: shorten its texts.");
        problems.add(path, message);
    }
    if actions.role.trim().is_empty() {
        let role = field(path, "role");
        problems.add(
            role,
            "Say in a sentence who the testing agent pretends to be.",
        );
    }
    let functions = field(path, "functions");
    let declared = function::check(actions.functions.as_deref(), &functions, problems);
    let list = field(path, "conditions");
    let mut places: BTreeMap<u32, usize> = BTreeMap::new();
    for (index, condition) in actions.conditions.iter().enumerate() {
        let at = item(&list, index);
        if let Some(earlier) = places.get(&condition.id) {
            let message = format!(
                "The id {} is that of {} already: give each condition its own.",
                condition.id,
                item(&list, *earlier)
            );
            problems.add(field(&at, "id"), message);
        } else {
            places.insert(condition.id, index);
        }
        if index == 0 {
            first(condition, &at, problems);
        }
    }
    for (index, condition) in actions.conditions.iter().enumerate() {
        let at = item(&list, index);
        if index > 0 {
            trigger(condition, &at, actions, &places, problems);
        }
        action(condition, index == 0, &at, &declared, problems);
    }
}

fn first(condition: &Condition, at: &str, problems: &mut Problems) {
    if condition.id != 0 {
        problems.add(field(at, "id"), "The first condition has the id 0.");
    }
    if condition.condition != Trigger::When(FIRST_MESSAGE.to_owned()) {
        problems.add(
            field(at, "condition"),
            "The first condition opens the call: write FIRST_MESSAGE.",
        );
    }
    if !condition.fixed_message {
        problems.add(
            field(at, "fixed_message"),
            "The first message is said word for word: write true.",
        );
    }
    if condition.kind != ConditionType::Standard {
        problems.add(
            field(at, "type"),
            "The first condition follows nothing: write standard.",
        );
    }
}

fn trigger(
    condition: &Condition,
    at: &str,
    actions: &Actions,
    places: &BTreeMap<u32, usize>,
    problems: &mut Problems,
) {
    let message = match (condition.kind, &condition.condition) {
        (ConditionType::Standard, Trigger::After(id)) => format!(
            "A standard condition is a text that says what the agent does: write one, or write \
             action_followup as the type to follow condition {id}."
        ),
        (ConditionType::Standard, Trigger::When(text)) if text == FIRST_MESSAGE => {
            "Only the first condition is FIRST_MESSAGE: say what the agent does.".to_owned()
        }
        (ConditionType::Standard, Trigger::When(text)) if text.trim().is_empty() => {
            "Say what the agent does for this to be said.".to_owned()
        }
        (ConditionType::Standard, Trigger::When(_)) => return,
        (ConditionType::ActionFollowup, Trigger::When(_)) => {
            "A follow-up names the condition it follows: write that one's id, as a number."
                .to_owned()
        }
        (ConditionType::ActionFollowup, Trigger::After(id)) if !places.contains_key(id) => {
            format!("No condition has the id {id}: write the id of the one that this follows.")
        }
        (ConditionType::ActionFollowup, Trigger::After(_)) => {
            if !runs_in_a_circle(condition, actions, places) {
                return;
            }
            "These follow-ups follow each other in a circle and never begin: let one follow a \
             standard condition."
                .to_owned()
        }
    };
    problems.add(field(at, "condition"), message);
}

/// Whether following the follow-ups back never reaches a condition that begins by itself.
fn runs_in_a_circle(
    condition: &Condition,
    actions: &Actions,
    places: &BTreeMap<u32, usize>,
) -> bool {
    let mut at = condition;
    for _ in &actions.conditions {
        let (ConditionType::ActionFollowup, Trigger::After(id)) = (at.kind, &at.condition) else {
            return false;
        };
        let Some(earlier) = places.get(id).and_then(|at| actions.conditions.get(*at)) else {
            return false;
        };
        at = earlier;
    }
    true
}

fn action(
    condition: &Condition,
    first: bool,
    at: &str,
    declared: &Declared<'_>,
    problems: &mut Problems,
) {
    let path = field(at, "action");
    if condition.action.trim().is_empty() {
        if !first {
            problems.add(path, "Say what to do: only the first action may be empty.");
        }
        return;
    }
    let place = Place {
        first,
        followup: condition.kind == ConditionType::ActionFollowup,
        declared,
    };
    if condition.fixed_message {
        tags::fixed(&condition.action, &place, &path, problems);
    } else {
        tags::instruction(&condition.action, &place, &path, problems);
    }
}
