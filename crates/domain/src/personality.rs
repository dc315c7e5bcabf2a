//! Personalities that every deployment has. They are no rows of a database: their ids are fixed, and
//! those of personalities that users make are above [`LAST_BUILTIN`].

use crate::PersonalityId;

/// The largest id that a built-in personality may ever have.
pub const LAST_BUILTIN: PersonalityId = PersonalityId(1000);

/// A personality that every organisation may use and nobody may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Builtin {
    /// Its id, for good: evaluators are stored with it.
    pub id: PersonalityId,
    /// What people call it.
    pub name: &'static str,
    /// The language it speaks, a code such as `en`.
    pub language: &'static str,
    /// How it sounds.
    pub accent: &'static str,
    /// How it behaves, as an instruction to it.
    pub prompt: &'static str,
    /// What is heard behind it, or `off`.
    pub noise: &'static str,
    /// How often it interrupts: `none`, `low` or `high`.
    pub interruptions: &'static str,
    /// How fast it speaks, 1.0 being usual.
    pub speed: &'static str,
}

const PLAIN: Builtin = Builtin {
    id: PersonalityId(0),
    name: "",
    language: "en",
    accent: "American",
    prompt: "",
    noise: "off",
    interruptions: "none",
    speed: "1.0",
};

/// The built-in personalities, by id.
pub const BUILTIN: &[Builtin] = &[
    Builtin {
        id: PersonalityId(1),
        name: "Normal",
        prompt: "Speak calmly and clearly. Answer what is asked and let the other side finish.",
        ..PLAIN
    },
    Builtin {
        id: PersonalityId(2),
        name: "Elderly",
        prompt: "Speak slowly, ask for things to be repeated, and now and then lose the thread.",
        speed: "0.85",
        ..PLAIN
    },
    Builtin {
        id: PersonalityId(3),
        name: "Impatient",
        prompt: "You have little time. Keep answers short and press for a result.",
        interruptions: "low",
        speed: "1.1",
        ..PLAIN
    },
    Builtin {
        id: PersonalityId(4),
        name: "Interrupter",
        prompt: "Start to speak while the other side still does, several times in the call.",
        interruptions: "high",
        ..PLAIN
    },
    Builtin {
        id: PersonalityId(5),
        name: "Quiet",
        prompt: "Say as little as you can. One word is enough wherever it will do.",
        ..PLAIN
    },
    Builtin {
        id: PersonalityId(6),
        name: "Talkative",
        prompt: "Tell more than you are asked, and wander off the subject before you answer.",
        ..PLAIN
    },
    Builtin {
        id: PersonalityId(7),
        name: "Noisy line",
        prompt: "You call from a busy street and ask twice whether you can be heard.",
        noise: "street",
        ..PLAIN
    },
    Builtin {
        id: PersonalityId(8),
        name: "Fast speaker",
        prompt: "Speak fast and without pauses.",
        speed: "1.2",
        ..PLAIN
    },
    Builtin {
        id: PersonalityId(9),
        name: "Slow speaker",
        prompt: "Speak slowly and pause between sentences.",
        speed: "0.8",
        ..PLAIN
    },
    Builtin {
        id: PersonalityId(10),
        name: "Sceptical",
        prompt: "Doubt what you are told and ask for reasons before you agree to anything.",
        ..PLAIN
    },
    Builtin {
        id: PersonalityId(11),
        name: "British English",
        accent: "British",
        prompt: "Speak calmly and politely.",
        ..PLAIN
    },
    Builtin {
        id: PersonalityId(12),
        name: "Indian English",
        accent: "Indian",
        prompt: "Speak calmly and clearly.",
        ..PLAIN
    },
    Builtin {
        id: PersonalityId(13),
        name: "German",
        language: "de",
        accent: "Standard",
        prompt: "Sprich ruhig und deutlich. Beantworte, was gefragt wird.",
        ..PLAIN
    },
    Builtin {
        id: PersonalityId(14),
        name: "Spanish",
        language: "es",
        accent: "Latin American",
        prompt: "Habla con calma y claridad. Contesta lo que te pregunten.",
        ..PLAIN
    },
    Builtin {
        id: PersonalityId(15),
        name: "Hindi",
        language: "hi",
        accent: "Standard",
        prompt: "शांति से और साफ़ बोलें। जो पूछा जाए उसका उत्तर दें।",
        ..PLAIN
    },
    Builtin {
        id: PersonalityId(16),
        name: "French",
        language: "fr",
        accent: "Standard",
        prompt: "Parle calmement et clairement. Réponds à ce qui est demandé.",
        ..PLAIN
    },
    Builtin {
        id: PersonalityId(17),
        name: "Portuguese",
        language: "pt",
        accent: "Brazilian",
        prompt: "Fale com calma e clareza. Responda ao que for perguntado.",
        ..PLAIN
    },
    Builtin {
        id: PersonalityId(18),
        name: "Several languages",
        language: "multi",
        accent: "",
        prompt: "Answer in the language in which you are spoken to.",
        ..PLAIN
    },
];

/// The built-in personality with this id, if there is one.
pub fn builtin_by_id(id: PersonalityId) -> Option<&'static Builtin> {
    BUILTIN.iter().find(|builtin| builtin.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_grow_below_those_of_users_and_names_are_unique() {
        for pair in BUILTIN.windows(2) {
            assert!(pair[0].id < pair[1].id);
        }
        assert!(BUILTIN.iter().all(|builtin| builtin.id <= LAST_BUILTIN));
        let mut names: Vec<&str> = BUILTIN.iter().map(|builtin| builtin.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), BUILTIN.len());
        assert_eq!(builtin_by_id(PersonalityId(1)).unwrap().name, "Normal");
        assert_eq!(builtin_by_id(PersonalityId(0)), None);
    }
}
