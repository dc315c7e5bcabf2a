//! How the personalities that every deployment has are shown.

use ringdown_domain::personality::Builtin;
use serde_json::{Map, Value, json};

/// The fields of it that own personalities have too.
pub(crate) fn fields(builtin: &Builtin) -> Map<String, Value> {
    let fields = json!({
        "prompt": builtin.prompt,
        "accent": builtin.accent,
        "background_noise": builtin.noise,
        "voice_model": "default",
        "interruption_level": builtin.interruptions,
        "speed": builtin.speed,
        "end_call_enabled": true,
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use ringdown_domain::personality::BUILTIN;

    use super::*;

    #[test]
    fn languages_are_known_and_every_personality_is_told_how_to_behave() {
        for one in BUILTIN {
            assert!(ringdown_suite::LANGUAGES.contains(&one.language));
            assert!(
                fields(one)["prompt"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty())
            );
        }
    }
}
