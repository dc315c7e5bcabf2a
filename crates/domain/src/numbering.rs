//! What a trunk means by the numbers it sends.

use std::fmt;
use std::ops::RangeInclusive;

use crate::E164;

/// How a trunk writes numbers: always the international forms, and the national form of one country if
/// its numbering plan is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbering {
    national: Option<Plan>,
}

/// The national numbering plan of one country.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plan {
    /// Country calling code, 1 to 3 digits.
    country: String,
    /// What is dialed before a national number; empty where nothing is.
    prefix: String,
    /// Lengths of national (significant) numbers, which have neither country code nor prefix.
    digits: RangeInclusive<usize>,
}

/// Why there is no such numbering plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNumbering {
    /// The country code is none.
    #[error("the country code {0:?} is not 1 to 3 digits such as 44")]
    Country(String),
    /// The national prefix is none.
    #[error("the national prefix {0:?} is not up to 4 digits such as 0")]
    Prefix(String),
    /// No number of that country would fit into E.164.
    #[error(
        "national numbers of {low} to {high} digits do not make E.164 numbers of 7 to 15 with country code {country}"
    )]
    Digits {
        /// The country code.
        country: String,
        /// Shortest national number.
        low: usize,
        /// Longest national number.
        high: usize,
    },
}

/// Why what was sent is no number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoNumber {
    /// There was nothing.
    Absent,
    /// The caller withheld its number, or the network did not know it (RFC 3323, RFC 3325).
    Withheld(String),
    /// There was something else.
    Unreadable(String),
}

impl NoNumber {
    /// What `raw`, which is no number, says instead.
    pub fn of(raw: &str) -> Self {
        let user = user(raw.trim());
        if user.number.is_empty() {
            Self::Absent
        } else if WITHHELD.contains(&user.number.to_ascii_lowercase().as_str()) {
            Self::Withheld(shortened(raw))
        } else {
            Self::Unreadable(shortened(raw))
        }
    }
}

impl fmt::Display for NoNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("the call carried no caller ID"),
            Self::Withheld(raw) => write!(f, "the caller ID is withheld ({raw:?})"),
            Self::Unreadable(raw) => write!(f, "the caller ID {raw:?} is not an E.164 number"),
        }
    }
}

/// What stands where the number of a caller would be that is withheld or not known.
const WITHHELD: [&str; 7] = [
    "anonymous",
    "restricted",
    "unavailable",
    "unknown",
    "private",
    "withheld",
    "blocked",
];

/// Longest text kept in an error, in characters.
const SHOWN: usize = 64;

fn shortened(raw: &str) -> String {
    raw.trim().chars().take(SHOWN).collect()
}

impl Numbering {
    /// The plan of a country: its calling code (`44` or `+44`), the national prefix (`0`; empty if its
    /// numbers are dialed without one), and the lengths of its numbers without both.
    ///
    /// # Errors
    /// [`InvalidNumbering`].
    pub fn national(
        country: &str,
        prefix: &str,
        digits: RangeInclusive<usize>,
    ) -> Result<Self, InvalidNumbering> {
        let code = country.strip_prefix('+').unwrap_or(country);
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !(1..=3).contains(&code.len()) || !all_digits(code) || code.starts_with('0') {
            return Err(InvalidNumbering::Country(shortened(country)));
        }
        if prefix.len() > 4 || !all_digits(prefix) {
            return Err(InvalidNumbering::Prefix(shortened(prefix)));
        }
        let (low, high) = (*digits.start(), *digits.end());
        if low > high || low.saturating_add(code.len()) < 7 || high.saturating_add(code.len()) > 15
        {
            return Err(InvalidNumbering::Digits {
                country: code.to_owned(),
                low,
                high,
            });
        }
        Ok(Self {
            national: Some(Plan {
                country: code.to_owned(),
                prefix: prefix.to_owned(),
                digits,
            }),
        })
    }

    /// The number that is meant by `raw`: a `tel:`, `sip:` or `sips:` URI, the user part of one, or a bare
    /// text. Parameters, a password and visual separators (RFC 3966 section 5.1.1) are dropped, percent
    /// escapes read. In this order:
    ///
    /// 1. `+` and `00` begin an international number, and so does `011` unless another country's plan is
    ///    given.
    /// 2. With a plan: prefix and national number; country code and national number; a national number
    ///    alone. A number that is both of the last two is the first of them, unless the country has no
    ///    prefix. What is longer than every number of the country is an international number.
    /// 3. Without one, digits are a full international number: a national number cannot be told from that.
    ///
    /// A `phone-context` (RFC 3966 section 5.1.5) that is a country code takes the country's place.
    ///
    /// # Errors
    /// [`NoNumber`].
    pub fn read(&self, raw: &str) -> Result<E164, NoNumber> {
        let user = user(raw.trim());
        let digits: String = user
            .number
            .chars()
            .filter(|c| !matches!(c, '-' | '.' | '(' | ')' | ' '))
            .collect();
        self.international(&digits, user.country.as_deref())
            .and_then(|number| number.parse().ok())
            .ok_or_else(|| NoNumber::of(raw))
    }

    /// The digits with a plus sign and their country code, if it is clear which they are.
    fn international(&self, digits: &str, context: Option<&str>) -> Option<String> {
        if digits.starts_with('+') {
            return Some(digits.to_owned());
        }
        if let Some(rest) = digits.strip_prefix("00") {
            return Some(format!("+{rest}"));
        }
        let plan = self.national.as_ref();
        let own = plan.map(|plan| plan.country.as_str());
        if let Some(context) = context.filter(|context| own != Some(context)) {
            // Somebody else's plan is not known: only its country is.
            return (!digits.starts_with('0')).then(|| format!("+{context}{digits}"));
        }
        if plan.is_none_or(|plan| plan.country == "1")
            && let Some(rest) = digits.strip_prefix("011")
        {
            return Some(format!("+{rest}"));
        }
        match plan {
            Some(plan) => plan.international(digits),
            None => Some(format!("+{digits}")),
        }
    }
}

impl Plan {
    fn international(&self, digits: &str) -> Option<String> {
        let Self {
            country, prefix, ..
        } = self;
        // Behind a prefix no number begins with zero; where there is none, as in Italy, it may.
        let national = |number: &str| {
            self.digits.contains(&number.len()) && (prefix.is_empty() || !number.starts_with('0'))
        };
        let after = |start: &str| digits.strip_prefix(start).filter(|rest| national(rest));
        if prefix.is_empty() && national(digits) {
            return Some(format!("+{country}{digits}"));
        }
        if let Some(number) = after(prefix).or_else(|| after(country)) {
            return Some(format!("+{country}{number}"));
        }
        if national(digits) {
            return Some(format!("+{country}{digits}"));
        }
        (digits.len() > *self.digits.end()).then(|| format!("+{digits}"))
    }
}

/// The user of a URI.
struct User {
    number: String,
    /// The country code that its `phone-context` is.
    country: Option<String>,
}

fn user(text: &str) -> User {
    let tel = after_scheme(text, "tel:");
    let sip = after_scheme(text, "sips:").or_else(|| after_scheme(text, "sip:"));
    // A user may hold parameters but no unescaped `@`; a SIP URI without one has no user.
    let rest = match sip {
        Some(sip) => sip.split_once('@').map_or("", |(user, _)| user),
        None => tel.unwrap_or(text).split('@').next().unwrap_or_default(),
    };
    let mut parts = rest.split(';');
    let number = parts.next().unwrap_or_default();
    let number = number.split([':', '?']).next().unwrap_or_default();
    let country = parts.find_map(|parameter| {
        let context = after_scheme(parameter, "phone-context=")?;
        country_code(&percent_decoded(context))
    });
    User {
        number: percent_decoded(number).trim().to_owned(),
        country,
    }
}

/// The text after `start`, whose case does not matter.
fn after_scheme<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    let head = text.get(..start.len())?;
    head.eq_ignore_ascii_case(start)
        .then(|| text.get(start.len()..))
        .flatten()
}

fn country_code(context: &str) -> Option<String> {
    let digits = context.trim().strip_prefix('+')?;
    let code = (1..=3).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && !digits.starts_with('0');
    code.then(|| digits.to_owned())
}

/// The text with its percent escapes (RFC 3986 section 2.1) read; what is no escape stays.
pub fn percent_decoded(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let pair = (ahead.next(), ahead.next());
        if let (b'%', (Some(high), Some(low))) = (byte, pair)
            && let (Some(high), Some(low)) = (hex(high), hex(low))
        {
            out.push(high << 4 | low);
            bytes = ahead;
        } else {
            out.push(byte);
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
#[path = "numbering_tests.rs"]
mod tests;
