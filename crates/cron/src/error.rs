use std::fmt;
use std::time::Duration;

use thiserror::Error;

/// A field of a cron expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// 0 to 59.
    Minute,
    /// 0 to 23.
    Hour,
    /// 1 to 31.
    DayOfMonth,
    /// 1 to 12, or `jan` to `dec`.
    Month,
    /// 0 to 7, where 0 and 7 are Sunday, or `sun` to `sat`.
    DayOfWeek,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::DayOfMonth => "day of month",
            Self::Month => "month",
            Self::DayOfWeek => "day of week",
        })
    }
}

/// Why a text is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Invalid {
    /// Longer than [`crate::MAX_EXPRESSION`].
    #[error("the expression is longer than {0} bytes: shorten its lists, or make several jobs")]
    TooLong(usize),
    /// `@daily` and its like.
    #[error("`{given}` is a shorthand that is not read here: write {instead}")]
    Shorthand {
        /// What was given, shortened.
        given: String,
        /// The same as five fields.
        instead: &'static str,
    },
    /// Not five fields.
    #[error(
        "the expression has {0} fields and needs 5: minute, hour, day of month, month, day of week, \
         for example `30 6 * * 1-5`"
    )]
    Fields(usize),
    /// An item of a list is nothing that is understood.
    #[error("{field}: `{item}` is not understood, write {expected}")]
    Item {
        /// Where.
        field: Field,
        /// The item, shortened.
        item: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// A number that the field does not have.
    #[error("{field}: {value} is not between {lowest} and {highest}")]
    Range {
        /// Where.
        field: Field,
        /// The number.
        value: u32,
        /// Smallest allowed.
        lowest: u8,
        /// Largest allowed.
        highest: u8,
    },
    /// A range that runs backwards.
    #[error(
        "{field}: the range {from}-{to} runs backwards, write it as a list of two ranges around the \
         end of the field"
    )]
    Backwards {
        /// Where.
        field: Field,
        /// Its start.
        from: u8,
        /// Its end.
        to: u8,
    },
    /// `/0`, or a step longer than the field.
    #[error("{field}: the step {step} has to be between 1 and {highest}")]
    Step {
        /// Where.
        field: Field,
        /// The step.
        step: u32,
        /// Largest allowed.
        highest: u8,
    },
    /// No year has such a day.
    #[error("no month named has the day of month named, so the job would never run")]
    Never,
    /// No such time zone.
    #[error(
        "`{0}` is no time zone of the IANA database: write a name such as Europe/Berlin, Asia/Kolkata \
         or UTC"
    )]
    TimeZone(String),
}

/// A schedule fires more often than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "the job would run every {} seconds at its closest, {} are the least: thin out its minutes",
    .spacing.as_secs(),
    .least.as_secs()
)]
pub struct TooOften {
    /// The shortest time between two runs, on the local clock.
    pub spacing: Duration,
    /// The shortest that is allowed.
    pub least: Duration,
}

/// The start of a text, for messages.
pub(crate) fn brief(text: &str) -> String {
    const LONGEST: usize = 40;
    let mut brief: String = text.chars().take(LONGEST).collect();
    if text.chars().nth(LONGEST).is_some() {
        brief.push('…');
    }
    brief
}
