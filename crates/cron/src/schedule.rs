use std::fmt;
use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use ringdown_domain::Timestamp;

use crate::error::{Field, Invalid, TooOften, brief};
use crate::field::Values;

/// Bytes of an expression.
pub const MAX_EXPRESSION: usize = 255;

/// How far [`Schedule::next_after`] looks. The rarest day is a 29 February on a certain weekday, as in
/// `0 0 29 2 */7`: it comes every 28 years, and 40 years pass around 2100, which is no leap year.
pub const HORIZON_YEARS: i16 = 41;

const MINUTES_PER_DAY: u64 = 24 * 60;

/// A checked cron expression in its time zone.
#[derive(Clone, Debug)]
pub struct Schedule {
    expression: String,
    zone: TimeZone,
    zone_name: String,
    minute: Values,
    hour: Values,
    day_of_month: Values,
    month: Values,
    day_of_week: Values,
}

impl Schedule {
    /// Reads five fields as crontab(5) has them, and the name of a time zone, ignoring case.
    ///
    /// Names of months and days, lists, ranges, steps, and 7 for Sunday are understood. If neither
    /// day field has a `*`, a day has to match one of them; otherwise it has to match both.
    ///
    /// # Errors
    ///
    /// Says which field is wrong, how, and what to write.
    pub fn parse(expression: &str, timezone: &str) -> Result<Self, Invalid> {
        if expression.len() > MAX_EXPRESSION {
            return Err(Invalid::TooLong(MAX_EXPRESSION));
        }
        if let Some(instead) = shorthand(expression.trim()) {
            let given = brief(expression.trim());
            return Err(Invalid::Shorthand { given, instead });
        }
        let fields: Vec<&str> = expression.split_ascii_whitespace().collect();
        let [minute, hour, day_of_month, month, day_of_week] = fields.as_slice() else {
            return Err(Invalid::Fields(fields.len()));
        };
        let unknown = || Invalid::TimeZone(brief(timezone));
        let zone = TimeZoneDatabase::bundled()
            .get(timezone)
            .map_err(|_| unknown())?;
        let zone_name = zone.iana_name().ok_or_else(unknown)?.to_owned();
        let schedule = Self {
            expression: fields.join(" "),
            zone,
            zone_name,
            minute: Values::parse(Field::Minute, minute)?,
            hour: Values::parse(Field::Hour, hour)?,
            day_of_month: Values::parse(Field::DayOfMonth, day_of_month)?,
            month: Values::parse(Field::Month, month)?,
            day_of_week: Values::parse(Field::DayOfWeek, day_of_week)?,
        };
        if schedule.days_exist() {
            Ok(schedule)
        } else {
            Err(Invalid::Never)
        }
    }

    /// The expression, its fields parted by one space.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The time zone's name as the IANA database spells it.
    pub fn timezone(&self) -> &str {
        &self.zone_name
    }

    /// The first moment after `after`, never `after` itself, at which the job is due.
    ///
    /// It is a whole minute on the local clock, except after a gap that does not end on one. `None`
    /// only near the ends of the calendar, the years -9999 and 9999.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let after = jiff::Timestamp::from_microsecond(after.as_micros()).ok()?;
        let local = self.zone.to_datetime(after);
        let mut date = local.date();
        let last = date.year().checked_add(HORIZON_YEARS)?;
        // Local times up to `local` are due at `after` or earlier: `moment` never runs backwards.
        let mut passed = Some(local.time());
        while date.year() <= last {
            if self.matches_day(date) {
                for time in self.times() {
                    if passed.is_some_and(|passed| time <= passed) {
                        continue;
                    }
                    let due = self.moment(date.to_datetime(time))?;
                    // Not so in the second half of a repeated hour, whose times were due in the first.
                    if due > after {
                        return Some(Timestamp::from_micros(due.as_microsecond()));
                    }
                }
            }
            date = date.tomorrow().ok()?;
            passed = None;
        }
        None
    }

    /// Refuses a schedule with two runs closer together than `least`, on the local clock: one night a
    /// year, a clock change may bring two runs an hour closer.
    ///
    /// # Errors
    ///
    /// Says how close two runs come.
    pub fn check_spacing(&self, least: Duration) -> Result<(), TooOften> {
        match self.spacing() {
            Some(spacing) if spacing < least => Err(TooOften { spacing, least }),
            _ => Ok(()),
        }
    }

    /// The shortest time between two runs on the local clock; `None` if it is longer than a day.
    pub fn spacing(&self) -> Option<Duration> {
        let minutes: Vec<u64> = self
            .times()
            .map(|time| {
                60 * u64::from(time.hour().unsigned_abs()) + u64::from(time.minute().unsigned_abs())
            })
            .collect();
        let within = minutes
            .windows(2)
            .filter_map(|pair| match pair {
                [earlier, later] => Some(later - earlier),
                _ => None,
            })
            .min();
        let over_midnight = match (minutes.first(), minutes.last()) {
            (Some(first), Some(last)) if self.two_days_running() => {
                Some(MINUTES_PER_DAY + first - last)
            }
            _ => None,
        };
        let shortest = within.into_iter().chain(over_midnight).min()?;
        Some(Duration::from_secs(60 * shortest))
    }

    fn times(&self) -> impl Iterator<Item = Time> {
        let minutes = self.minute;
        self.hour.iter().flat_map(move |hour| {
            minutes.iter().filter_map(move |minute| {
                Time::new(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, 0, 0).ok()
            })
        })
    }

    fn matches_day(&self, date: Date) -> bool {
        let of_month = self.day_of_month.has(date.day().unsigned_abs());
        let weekday = date.weekday().to_sunday_zero_offset().unsigned_abs();
        let of_week = self.day_of_week.has(weekday);
        let day = if self.day_of_month.open || self.day_of_week.open {
            of_month && of_week
        } else {
            of_month || of_week
        };
        day && self.month.has(date.month().unsigned_abs())
    }

    /// The moment at which the local clock first shows `local` or anything later.
    fn moment(&self, local: DateTime) -> Option<jiff::Timestamp> {
        match self.zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(local).ok(),
            // The larger offset is the one before the clock goes back.
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(local).ok(),
            AmbiguousOffset::Gap { after, .. } => {
                // Read with the offset that is not valid yet, it is a moment before the change.
                let early = after.to_timestamp(local).ok()?;
                let change = self.zone.following(early).next()?;
                Some(change.timestamp())
            }
        }
    }

    fn days_exist(&self) -> bool {
        calendar().any(|date| self.matches_day(date))
    }

    /// Whether two days that follow each other ever match.
    fn two_days_running(&self) -> bool {
        let mut before = false;
        calendar().any(|date| {
            let matches = self.matches_day(date);
            let both = matches && before;
            before = matches;
            both
        })
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.expression, self.zone_name)
    }
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.expression == other.expression && self.zone_name == other.zone_name
    }
}

impl Eq for Schedule {}

/// Every kind of day: between 1901 and 2099 the weekdays of all dates repeat after 28 years.
fn calendar() -> impl Iterator<Item = Date> {
    let first = Date::new(2000, 1, 1).ok();
    std::iter::successors(first, |date| date.tomorrow().ok()).take(29 * 366)
}

fn shorthand(expression: &str) -> Option<&'static str> {
    const KNOWN: &[(&str, &str)] = &[
        ("@yearly", "`0 0 1 1 *`"),
        ("@annually", "`0 0 1 1 *`"),
        ("@monthly", "`0 0 1 * *`"),
        ("@weekly", "`0 0 * * 0`"),
        ("@daily", "`0 0 * * *`"),
        ("@midnight", "`0 0 * * *`"),
        ("@hourly", "`0 * * * *`"),
    ];
    if !expression.starts_with('@') {
        return None;
    }
    let known = KNOWN
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(expression));
    Some(
        known.map_or("five fields, for example `30 6 * * 1-5`", |(_, instead)| {
            instead
        }),
    )
}
