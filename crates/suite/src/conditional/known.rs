//! The tags that are known, with their attributes.

use super::{SPEED, VOLUME};

/// What the value of an attribute has to be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Any text that is not blank.
    Text,
    /// Seconds: `2s`, `1.5s`.
    Seconds,
    /// A number in a range.
    Number([f64; 2]),
    /// Keys of a telephone.
    Digits,
    /// The name of a sound.
    Sound,
    /// The name of a sound, or where one is.
    SoundOrUrl,
    /// A name of letters, digits, `_` and `-`.
    Name,
}

/// A tag that is known.
pub(super) struct Known {
    pub(super) name: &'static str,
    /// It may stand alone, `<x/>`.
    pub(super) alone: bool,
    /// It may stand around something, `<x>...</x>`.
    pub(super) around: bool,
    /// Attributes: name, whether it is needed, its value.
    pub(super) attributes: &'static [(&'static str, bool, Kind)],
}

const fn alone(name: &'static str, attributes: &'static [(&'static str, bool, Kind)]) -> Known {
    Known {
        name,
        alone: true,
        around: false,
        attributes,
    }
}

const fn around(name: &'static str, attributes: &'static [(&'static str, bool, Kind)]) -> Known {
    Known {
        name,
        alone: false,
        around: true,
        attributes,
    }
}

const UNIT: [f64; 2] = [0.0, 1.0];
const MILLISECONDS: [f64; 2] = [0.0, 600_000.0];

pub(super) const KNOWN: &[Known] = &[
    alone("audio", &[("id", true, Kind::Name)]),
    around(
        "background_noise",
        &[
            ("sound", true, Kind::Sound),
            ("volume", false, Kind::Number(UNIT)),
        ],
    ),
    alone(
        "client_message",
        &[("t", true, Kind::Text), ("d", false, Kind::Text)],
    ),
    alone("dtmf", &[("digits", true, Kind::Digits)]),
    alone("endcall", &[]),
    alone("function", &[("name", true, Kind::Name)]),
    alone("hold", &[("time", true, Kind::Seconds)]),
    around("ignore_interruptions", &[]),
    alone("interruption", &[("time", true, Kind::Seconds)]),
    alone("ivr", &[("text", true, Kind::Text)]),
    alone(
        "network_simulation",
        &[
            ("packet_loss", true, Kind::Number([0.0, 100.0])),
            ("jitter", false, Kind::Number([0.0, 10_000.0])),
            ("latency", false, Kind::Number([0.0, 10_000.0])),
        ],
    ),
    alone(
        "noise",
        &[
            ("sound", true, Kind::SoundOrUrl),
            ("volume", false, Kind::Number(UNIT)),
            ("time", false, Kind::Number(MILLISECONDS)),
        ],
    ),
    alone("send_sms", &[("text", true, Kind::Text)]),
    alone("silence", &[("time", true, Kind::Seconds)]),
    alone(
        "speed",
        &[
            ("ratio", true, Kind::Number(SPEED)),
            ("text", false, Kind::Text),
        ],
    ),
    around("spell", &[]),
    Known {
        name: "voice",
        alone: true,
        around: true,
        attributes: &[
            ("provider", true, Kind::Name),
            ("id", true, Kind::Name),
            ("model", false, Kind::Text),
            ("text", false, Kind::Text),
        ],
    },
    alone("voicemail", &[("text", false, Kind::Text)]),
    alone(
        "volume",
        &[
            ("ratio", true, Kind::Number(VOLUME)),
            ("text", false, Kind::Text),
        ],
    ),
];

/// The sounds there are.
pub(super) const SOUNDS: &[&str] = &[
    "air-conditioner",
    "airport-boarding",
    "baby-crying",
    "background-printer",
    "beep",
    "busy-street",
    "coffee-shop",
    "construction-site",
    "cough1",
    "cough2",
    "coughing",
    "dog-barking",
    "fan-buzz",
    "female-crying",
    "holding-on-song",
    "home-chatter",
    "inside-car",
    "inside-train",
    "keyboard-typing",
    "kitchen-noise",
    "male-crying",
    "office",
    "office-ambience",
    "public-park",
    "quiet-room",
    "rain-thunder",
    "restaurant",
    "ringback",
    "ship-humming",
    "shopping-mall",
    "stadium-crowd",
    "standard-hiss",
    "static-radio",
    "train-station",
    "two-people-talking",
    "vacuum-cleaner",
    "windy-day",
];

/// The tag of this name.
pub(super) fn known(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.name == name)
}
