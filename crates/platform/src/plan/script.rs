//! What the testing agent says and does on a run's call, fixed when the run is triggered.

use ringdown_store::{Agent, Project, Scenario, Script};
use serde_json::Value;

use super::casting::Pick;
use super::template;

const CLOSING: &str = "Thank you, goodbye.";

/// Bytes of a script's texts. What is spoken has to fit the bus message of 1 MiB that answers a call.
const MAX_SCRIPT: usize = 256 * 1024;

/// The script of the runs of one evaluator with one personality and one test profile; or why there can
/// be none. A personality gives the language where the evaluator names none.
pub(super) fn script(agent: &Agent, project: &Project, pick: &Pick) -> Result<Script, String> {
    let scenario = pick.scenario.as_ref();
    let profile = pick.profile.as_ref().map(|profile| &profile.information);
    let extra = |name: &str| match scenario.extra.get(name) {
        Some(Value::String(text)) => template::fill(text, profile),
        _ => String::new(),
    };
    let agent_first = agent
        .extra
        .get("agent_gives_first_message")
        .and_then(Value::as_bool)
        .unwrap_or(false);
    let (opening, replies) = conditional_actions(scenario, profile);
    let first_message = match (agent_first, opening) {
        (true, _) => String::new(),
        (false, Some(opening)) => opening,
        (false, None) => template::fill(&scenario.first_message, profile),
    };
    let longest = scenario.max_duration.unwrap_or(project.max_call_duration);
    let millis =
        |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let spoken = pick.voice.as_ref().map(|voice| voice.language.as_str());
    let language = match (extra("scenario_language"), spoken) {
        (own, _) if !own.is_empty() => own,
        (_, Some(spoken)) if !spoken.is_empty() => spoken.to_owned(),
        _ => "en".to_owned(),
    };
    let script = Script {
        first_message,
        replies,
        closing: CLOSING.to_owned(),
        max_duration_ms: millis(longest),
        silence_timeout_ms: millis(project.silence_timeout),
        language,
        instructions: extra("instructions"),
        expected_outcome: extra("expected_outcome_prompt"),
    };
    if size(&script) > MAX_SCRIPT {
        let message = format!(
            "The texts of evaluator {} are longer than {MAX_SCRIPT} bytes together once its test \
             profile is filled in.",
            scenario.id
        );
        return Err(message);
    }
    Ok(script)
}

/// Bytes of a script's texts.
pub(super) fn size(script: &Script) -> usize {
    let texts = [
        &script.first_message,
        &script.closing,
        &script.language,
        &script.instructions,
        &script.expected_outcome,
    ];
    texts
        .into_iter()
        .chain(&script.replies)
        .map(String::len)
        .sum()
}

/// The fixed messages of structured actions: what is said first, and what after each agent turn.
/// Tags are left out; conditions on what the agent says are not judged.
fn conditional_actions(
    scenario: &Scenario,
    profile: Option<&Value>,
) -> (Option<String>, Vec<String>) {
    let conditions = scenario
        .extra
        .get("conditional_actions")
        .and_then(|actions| actions.get("conditions"))
        .and_then(Value::as_array);
    let mut opening = None;
    let mut replies = Vec::new();
    for condition in conditions.into_iter().flatten() {
        let fixed = condition.get("fixed_message").and_then(Value::as_bool);
        let action = condition
            .get("action")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let said = without_tags(&template::fill(action, profile));
        if condition.get("condition").and_then(Value::as_str) == Some("FIRST_MESSAGE") {
            opening = Some(said);
        } else if fixed == Some(true) && !said.is_empty() {
            replies.push(said);
        }
    }
    (opening, replies)
}

fn without_tags(text: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in text.chars() {
        match c {
            '<' => inside = true,
            '>' if inside => inside = false,
            c if !inside => out.push(c),
            _ => {}
        }
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_not_spoken() {
        assert_eq!(without_tags("Great, thanks! <endcall />"), "Great, thanks!");
        assert_eq!(
            without_tags("<silence time=\"2s\"/>Well  then"),
            "Well then"
        );
        assert_eq!(without_tags("2 > 1"), "2 > 1");
    }
}
