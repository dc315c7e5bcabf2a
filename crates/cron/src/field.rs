//! One field: a list of values, ranges and steps, kept as a set of bits.

use crate::error::{Field, Invalid, brief};

/// The values a field allows, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Values {
    bits: u64,
    /// Whether the field has a `*`. Decides how the two day fields combine (crontab(5)).
    pub(crate) open: bool,
}

const MONTHS: &[&str] = &[
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Field {
    /// Smallest and largest value, as written.
    const fn bounds(self) -> (u8, u8) {
        match self {
            Self::Minute => (0, 59),
            Self::Hour => (0, 23),
            Self::DayOfMonth => (1, 31),
            Self::Month => (1, 12),
            Self::DayOfWeek => (0, 7),
        }
    }

    const fn expected(self) -> &'static str {
        match self {
            Self::Minute | Self::Hour | Self::DayOfMonth => {
                "`*`, a number, a range `1-5`, a step `*/2`, or a list of them with commas"
            }
            Self::Month => {
                "`*`, a number or a name such as jan, a range `1-5`, a step `*/2`, or a list of them \
                 with commas"
            }
            Self::DayOfWeek => {
                "`*`, a number (0 is Sunday) or a name such as mon, a range `mon-fri`, or a list of \
                 them with commas"
            }
        }
    }

    fn names(self) -> (&'static [&'static str], u8) {
        match self {
            Self::Month => (MONTHS, 1),
            Self::DayOfWeek => (DAYS, 0),
            Self::Minute | Self::Hour | Self::DayOfMonth => (&[], 0),
        }
    }
}

impl Values {
    pub(crate) fn parse(field: Field, text: &str) -> Result<Self, Invalid> {
        let mut values = Self {
            bits: 0,
            open: false,
        };
        for item in text.split(',') {
            values.add(field, item)?;
        }
        // Sunday has two numbers.
        if field == Field::DayOfWeek && values.has(7) {
            values.bits |= 1;
        }
        Ok(values)
    }

    fn add(&mut self, field: Field, item: &str) -> Result<(), Invalid> {
        let unknown = || Invalid::Item {
            field,
            item: brief(item),
            expected: field.expected(),
        };
        let (lowest, highest) = field.bounds();
        let (span, step) = match item.split_once('/') {
            Some((span, step)) => (span, Some(number(step).ok_or_else(unknown)?)),
            None => (item, None),
        };
        let (from, to) = if span == "*" {
            self.open = true;
            // Seven days, not eight: Sunday once.
            let highest = if field == Field::DayOfWeek {
                6
            } else {
                highest
            };
            (lowest, highest)
        } else {
            let value = |text: &str| value(field, text).unwrap_or_else(|| Err(unknown()));
            match span.split_once('-') {
                Some((from, to)) => (value(from)?, value(to)?),
                // `5/15` starts at 5 and goes on to the end.
                None if step.is_some() => (value(span)?, highest),
                None => {
                    let only = value(span)?;
                    (only, only)
                }
            }
        };
        if from > to {
            return Err(Invalid::Backwards { field, from, to });
        }
        let step = match step {
            None => 1,
            Some(step) => u8::try_from(step)
                .ok()
                .filter(|step| (1..=highest).contains(step))
                .ok_or(Invalid::Step {
                    field,
                    step,
                    highest,
                })?,
        };
        for value in (from..=to).step_by(usize::from(step)) {
            self.bits |= 1 << value;
        }
        Ok(())
    }

    pub(crate) const fn has(self, value: u8) -> bool {
        value < 64 && self.bits & (1 << value) != 0
    }

    /// The values in ascending order.
    pub(crate) fn iter(self) -> impl Iterator<Item = u8> {
        (0..64).filter(move |value| self.has(*value))
    }
}

/// A number of at most three digits, so that nothing overflows.
fn number(text: &str) -> Option<u32> {
    let digits = (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// A number in the field's bounds, or a name; `None` if it is neither.
fn value(field: Field, text: &str) -> Option<Result<u8, Invalid>> {
    let (names, first) = field.names();
    let named = names
        .iter()
        .zip(first..)
        .find(|(name, _)| name.eq_ignore_ascii_case(text));
    if let Some((_, value)) = named {
        return Some(Ok(value));
    }
    let value = number(text)?;
    let (lowest, highest) = field.bounds();
    Some(
        u8::try_from(value)
            .ok()
            .filter(|value| (lowest..=highest).contains(value))
            .ok_or(Invalid::Range {
                field,
                value,
                lowest,
                highest,
            }),
    )
}
