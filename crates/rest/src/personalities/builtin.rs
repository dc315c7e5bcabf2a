//! The personalities every organisation has.

use serde_json::{Map, Value, json};

/// Ids of own personalities are above this one.
pub(crate) const LAST_BUILTIN: i64 = 1000;

/// A personality that is part of the product.
#[derive(Debug)]
pub(crate) struct Builtin {
    /// Its id, for good: evaluators are stored with it.
    pub(crate) id: i64,
    /// Its name.
    pub(crate) name: &'static str,
    /// Its language.
    pub(crate) language: &'static str,
    accent: &'static str,
    prompt: &'static str,
    noise: &'static str,
    interruptions: &'static str,
    speed: &'static str,
}

const PLAIN: Builtin = Builtin {
    id: 0,
    name: "",
    language: "en",
    accent: "American",
    prompt: "",
    noise: "off",
    interruptions: "none",
    speed: "1.0",
};

/// All of them, by id.
pub(crate) const BUILTIN: &[Builtin] = &[
    Builtin {
        id: 1,
        name: "Normal",
        prompt: "Speak calmly and clearly. Answer what is asked and let the other side finish.",
        ..PLAIN
    },
    Builtin {
        id: 2,
        name: "Elderly",
        prompt: "Speak slowly, ask for things to be repeated, and now and then lose the thread.",
        speed: "0.85",
        ..PLAIN
    },
    Builtin {
        id: 3,
        name: "Impatient",
        prompt: "You have little time. Keep answers short and press for a result.",
        interruptions: "low",
        speed: "1.1",
        ..PLAIN
    },
    Builtin {
        id: 4,
        name: "Interrupter",
        prompt: "Start to speak while the other side still does, several times in the call.",
        interruptions: "high",
        ..PLAIN
    },
    Builtin {
        id: 5,
        name: "Quiet",
        prompt: "Say as little as you can. One word is enough wherever it will do.",
        ..PLAIN
    },
    Builtin {
        id: 6,
        name: "Talkative",
        prompt: "Tell more than you are asked, and wander off the subject before you answer.",
        ..PLAIN
    },
    Builtin {
        id: 7,
        name: "Noisy line",
        prompt: "You call from a busy street and ask twice whether you can be heard.",
        noise: "street",
        ..PLAIN
    },
    Builtin {
        id: 8,
        name: "Fast speaker",
        prompt: "Speak fast and without pauses.",
        speed: "1.2",
        ..PLAIN
    },
    Builtin {
        id: 9,
        name: "Slow speaker",
        prompt: "Speak slowly and pause between sentences.",
        speed: "0.8",
        ..PLAIN
    },
    Builtin {
        id: 10,
        name: "Sceptical",
        prompt: "Doubt what you are told and ask for reasons before you agree to anything.",
        ..PLAIN
    },
    Builtin {
        id: 11,
        name: "British English",
        accent: "British",
        prompt: "Speak calmly and politely.",
        ..PLAIN
    },
    Builtin {
        id: 12,
        name: "Indian English",
        accent: "Indian",
        prompt: "Speak calmly and clearly.",
        ..PLAIN
    },
    Builtin {
        id: 13,
        name: "German",
        language: "de",
        accent: "Standard",
        prompt: "Sprich ruhig und deutlich. Beantworte, was gefragt wird.",
        ..PLAIN
    },
    Builtin {
        id: 14,
        name: "Spanish",
        language: "es",
        accent: "Latin American",
        prompt: "Habla con calma y claridad. Contesta lo que te pregunten.",
        ..PLAIN
    },
    Builtin {
        id: 15,
        name: "Hindi",
        language: "hi",
        accent: "Standard",
        prompt: "शांति से और साफ़ बोलें। जो पूछा जाए उसका उत्तर दें।",
        ..PLAIN
    },
    Builtin {
        id: 16,
        name: "French",
        language: "fr",
        accent: "Standard",
        prompt: "Parle calmement et clairement. Réponds à ce qui est demandé.",
        ..PLAIN
    },
    Builtin {
        id: 17,
        name: "Portuguese",
        language: "pt",
        accent: "Brazilian",
        prompt: "Fale com calma e clareza. Responda ao que for perguntado.",
        ..PLAIN
    },
    Builtin {
        id: 18,
        name: "Several languages",
        language: "multi",
        accent: "",
        prompt: "Answer in the language in which you are spoken to.",
        ..PLAIN
    },
];

impl Builtin {
    /// The fields of it that own personalities have too.
    pub(crate) fn fields(&self) -> Map<String, Value> {
        let fields = json!({
            "prompt": self.prompt,
            "accent": self.accent,
            "background_noise": self.noise,
            "voice_model": "default",
            "interruption_level": self.interruptions,
            "speed": self.speed,
            "end_call_enabled": true,
        });
        match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }
}

/// The built-in personality with this id.
pub(crate) fn builtin(id: i64) -> Option<&'static Builtin> {
    BUILTIN.iter().find(|builtin| builtin.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_names_are_unique_and_languages_known() {
        for (index, one) in BUILTIN.iter().enumerate() {
            assert_eq!(usize::try_from(one.id).unwrap(), index + 1);
            assert!(one.id <= LAST_BUILTIN);
            assert!(ringdown_suite::LANGUAGES.contains(&one.language));
            assert!(
                !BUILTIN
                    .iter()
                    .any(|other| other.id != one.id && other.name == one.name)
            );
            assert!(!one.prompt.is_empty(), "{}", one.name);
        }
    }
}
