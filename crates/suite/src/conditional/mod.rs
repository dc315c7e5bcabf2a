//! Structured evaluators: what the testing agent says turn by turn, and their rules.
//!
//! The first condition opens the call. Each other one answers something that the agent under test does
//! (`standard`), or follows an earlier one on the next turn (`action_followup`). A fixed message is said
//! word for word and may hold tags and values of functions; anything else is an instruction.

mod actions;
mod function;
mod known;
mod placeholder;
mod rules;
mod tags;

pub use actions::{
    Actions, Condition, ConditionType, Config, Function, FunctionType, Method, Output, OutputOr,
    Scalar, Trigger,
};

use serde_json::Value;

use crate::problem::Problems;
use crate::{schema, shape};

/// Bytes of a `conditional_actions` object as JSON. A call's script has to fit a message of the bus.
pub const MAX_BYTES: usize = 64 * 1024;

/// Seconds that a `time` in a tag may last: as long as the longest call.
pub const MAX_SECONDS: f64 = 3600.0;

/// Digits of one `<dtmf>`.
pub const MAX_DIGITS: usize = 64;

/// What `<speed ratio>` may be.
pub const SPEED: [f64; 2] = [0.8, 1.2];

/// What `<volume ratio>` may be.
pub const VOLUME: [f64; 2] = [0.0, 2.0];

/// The first condition's trigger.
pub const FIRST_MESSAGE: &str = "FIRST_MESSAGE";

/// Checks a `conditional_actions` object.
///
/// # Errors
///
/// Every problem at once, by its place in the object.
pub fn check(value: &Value) -> Result<(), Problems> {
    parse(value).map(|_| ())
}

/// Checks a `conditional_actions` object and reads it.
///
/// # Errors
///
/// Every problem at once, by its place in the object.
pub fn parse(value: &Value) -> Result<Actions, Problems> {
    let mut problems = Problems::default();
    let actions: Option<Actions> = shape::read(schema::actions(), value, MAX_BYTES, &mut problems);
    if let Some(actions) = &actions {
        rules::check(actions, "", &mut problems);
    }
    problems.or(actions)
}

/// The rules that the structure does not say.
pub(crate) fn rules(actions: &Actions, path: &str, problems: &mut Problems) {
    rules::check(actions, path, problems);
}
