//! Personalities that every deployment has. They are no rows of a database: their ids are fixed, and
//! those of personalities that users make are above [`LAST_BUILTIN`].

use crate::PersonalityId;

/// The largest id that a built-in personality may ever have.
pub const LAST_BUILTIN: PersonalityId = PersonalityId(1000);

/// A personality that every organisation may use and nobody may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Builtin {
    /// Its id.
    pub id: PersonalityId,
    /// What people call it.
    pub name: &'static str,
    /// The language it speaks, a code such as `en`.
    pub language: &'static str,
    /// How it behaves, in one sentence.
    pub about: &'static str,
}

const fn builtin(
    id: i64,
    name: &'static str,
    language: &'static str,
    about: &'static str,
) -> Builtin {
    Builtin {
        id: PersonalityId(id),
        name,
        language,
        about,
    }
}

/// The built-in personalities, by id.
pub const BUILTIN: &[Builtin] = &[
    builtin(
        1,
        "Standard",
        "en",
        "Speaks clearly and keeps to the point.",
    ),
    builtin(
        2,
        "Patient",
        "en",
        "Takes its time and never objects to waiting.",
    ),
    builtin(3, "Impatient", "en", "Wants to be done and says so."),
    builtin(
        4,
        "Talkative",
        "en",
        "Strays from the subject and comes back to it.",
    ),
    builtin(
        5,
        "Reserved",
        "en",
        "Answers in a few words and volunteers nothing.",
    ),
    builtin(
        6,
        "Sceptical",
        "en",
        "Questions what it is told before it agrees.",
    ),
    builtin(7, "Forgetful", "en", "Loses the thread and asks again."),
    builtin(
        8,
        "Estándar",
        "es",
        "Speaks Spanish clearly and keeps to the point.",
    ),
    builtin(
        9,
        "Standard (Deutsch)",
        "de",
        "Speaks German clearly and keeps to the point.",
    ),
    builtin(
        10,
        "Standard (français)",
        "fr",
        "Speaks French clearly and keeps to the point.",
    ),
    builtin(
        11,
        "Padrão",
        "pt",
        "Speaks Portuguese clearly and keeps to the point.",
    ),
    builtin(
        12,
        "Standard (italiano)",
        "it",
        "Speaks Italian clearly and keeps to the point.",
    ),
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
        assert_eq!(builtin_by_id(PersonalityId(1)).unwrap().name, "Standard");
        assert_eq!(builtin_by_id(PersonalityId(13)), None);
    }
}
