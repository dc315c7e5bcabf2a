//! Settings of the reference that this product keeps without acting on them: declared, checked,
//! stored and given back, with a default until they are set.

use jiff::tz::TimeZone;
use ringdown_store::Extra;
use serde_json::{Value, json};

use crate::body::Fields;
use crate::operations::{Body, Kind};

/// One setting with its default.
pub(super) struct Setting {
    name: &'static str,
    holds: Holds,
}

/// What a setting holds, and its default.
#[derive(Clone, Copy)]
pub(super) enum Holds {
    Flag(bool),
    /// A whole number of 32 bits.
    Whole(i64),
    Number(f64),
    /// At most 255 characters.
    MaybeText,
    /// One of these, the first by default.
    OneOf(&'static [&'static str]),
    /// A decimal number as text, with two decimals.
    Decimal,
    MaybeDecimal,
    Ids,
    /// A time zone; UTC by default.
    Zone,
    /// Any JSON; null by default.
    Any,
}

pub(super) const fn setting(name: &'static str, holds: Holds) -> Setting {
    Setting { name, holds }
}

impl Setting {
    fn kind(&self) -> Kind {
        match self.holds {
            Holds::Flag(_) => Kind::Flag,
            Holds::Whole(_) => Kind::Integer,
            Holds::Number(_) => Kind::Number,
            Holds::MaybeText | Holds::Decimal | Holds::MaybeDecimal => Kind::Short(255),
            Holds::Zone => Kind::Text,
            Holds::OneOf(texts) => Kind::OneOf(texts),
            Holds::Ids => Kind::Ids,
            Holds::Any => Kind::Any,
        }
    }

    fn default(&self) -> Value {
        match self.holds {
            Holds::Flag(flag) => flag.into(),
            Holds::Whole(number) => number.into(),
            Holds::Number(number) => number.into(),
            Holds::Decimal => "0.00".into(),
            Holds::OneOf(texts) => texts.first().copied().unwrap_or_default().into(),
            Holds::Ids => json!([]),
            Holds::Zone => "UTC".into(),
            Holds::MaybeText | Holds::MaybeDecimal | Holds::Any => Value::Null,
        }
    }

    /// Reads the value; `None` if it is absent, null or wrong.
    fn read(&self, fields: &mut Fields) -> Option<Value> {
        let name = self.name;
        match self.holds {
            Holds::Flag(_) => fields.boolean(name).map(Value::from),
            Holds::Whole(_) => fields
                .integer(name, i64::from(i32::MIN), i64::from(i32::MAX))
                .map(Value::from),
            Holds::Number(_) => fields.real(name).map(Value::from),
            Holds::MaybeText => fields.text(name, 255).map(Value::from),
            Holds::Decimal | Holds::MaybeDecimal => {
                let text = fields.text(name, 16)?;
                let two = decimal(&text);
                if two.is_none() {
                    fields.wrong(name, "Expected a decimal number such as \"12.50\".");
                }
                two.map(Value::from)
            }
            Holds::OneOf(texts) => {
                let text = fields.text(name, 255)?;
                if texts.contains(&text.as_str()) {
                    return Some(text.into());
                }
                fields.wrong(name, format!("{text:?} is not one of the choices."));
                None
            }
            Holds::Ids => fields.ids(name).map(Value::from),
            Holds::Zone => {
                let text = fields.text(name, 64)?;
                if TimeZone::get(&text).is_ok() {
                    return Some(text.into());
                }
                let message = format!("There is no time zone {text:?}; Europe/Berlin is one.");
                fields.wrong(name, message);
                None
            }
            Holds::Any => fields.any(name),
        }
    }
}

/// A decimal number of at most eight digits before the point, with its two decimals.
fn decimal(text: &str) -> Option<String> {
    let (sign, digits) = text
        .strip_prefix('-')
        .map_or(("", text), |rest| ("-", rest));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let fits = whole.len() <= 8 && part.len() <= 2 && !(whole.is_empty() && part.is_empty());
    (fits && all_digits(whole) && all_digits(part)).then(|| {
        let whole = if whole.is_empty() { "0" } else { whole };
        format!("{sign}{whole}.{part:0<2}")
    })
}

/// Declares settings as fields.
pub(super) fn declare(mut body: Body, settings: &[Setting]) -> Body {
    for setting in settings {
        body = body.optional(setting.name, setting.kind(), "Kept and given back.");
    }
    body
}

/// Takes settings out of `fields` into `kept`; null sets the default again.
pub(super) fn take(fields: &mut Fields, settings: &[Setting], kept: &mut Extra) {
    for setting in settings {
        if !fields.has(setting.name) {
            continue;
        }
        let before = fields.problems();
        match setting.read(fields) {
            Some(value) => {
                kept.insert(setting.name.to_owned(), value);
            }
            None if fields.problems() == before => {
                kept.remove(setting.name);
            }
            None => {}
        }
    }
}

/// Every setting, and what else was kept.
pub(super) fn show(settings: &[Setting], kept: &Extra) -> Extra {
    let defaults = settings
        .iter()
        .map(|setting| (setting.name.to_owned(), setting.default()));
    let mut shown: Extra = defaults.collect();
    shown.extend(kept.clone());
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_have_two_places() {
        for (text, expected) in [
            ("1", Some("1.00")),
            ("12.5", Some("12.50")),
            ("-0.05", Some("-0.05")),
            (".5", Some("0.50")),
            ("12345678.99", Some("12345678.99")),
            ("123456789", None),
            ("1.234", None),
            ("", None),
            ("-", None),
            (".", None),
            ("1e3", None),
            ("one", None),
        ] {
            assert_eq!(decimal(text).as_deref(), expected, "{text}");
        }
    }
}
