//! When a cron job is due: five fields and a time zone, as a pure function of a moment.
//!
//! Purpose: [`Schedule::parse`] reads `minute hour day-of-month month day-of-week` with an IANA time
//! zone, [`Schedule::next_after`] says when it fires next, [`Schedule::check_spacing`] refuses one
//! that fires too often.
//!
//! Contract: no clock and no I/O. The time zone database is compiled in, so every replica of one
//! release computes the same moment, whatever its machine has installed. Each matching local time
//! fires once: one that a clock change skips fires at the first moment after the gap, one that a
//! clock change repeats fires the first time. Everything is bounded: [`MAX_EXPRESSION`] and a search
//! of [`HORIZON_YEARS`].
//!
//! Refuses: seconds and years, `L`, `W`, `#` and `@daily` (the error says what to write instead), and
//! firing anything: that is the platform's, which keeps the next moment in its database
//! (docs/adr/0012-cron-expressions.md).

mod error;
mod field;
mod schedule;

pub use error::{Field, Invalid, TooOften};
pub use schedule::{HORIZON_YEARS, MAX_EXPRESSION, Schedule};
