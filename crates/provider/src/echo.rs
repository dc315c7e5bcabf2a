//! How a call carries the run and the attempt it belongs to, and how they are read back.

use ringdown_domain::RunId;
use serde_json::{Value, json};

use crate::Order;
use crate::signed::{field, form, query};
use crate::wire::id;

/// Under these names a call carries them among the agent's variables.
pub(crate) const RUN: &str = "ringdown_run_id";
/// See [`RUN`].
pub(crate) const ATTEMPT: &str = "ringdown_attempt_id";
/// See [`RUN`].
pub(crate) const TEAM: &str = "ringdown_team";

/// The run and the attempt, as far as a call has them.
pub(crate) type Echo = (Option<RunId>, Option<String>);

/// What the call belongs to, for its variables.
pub(crate) fn names(order: &Order) -> [(&'static str, String); 3] {
    [
        (RUN, order.run.to_string()),
        (ATTEMPT, order.attempt_id.clone()),
        (TEAM, order.team.to_string()),
    ]
}

/// What the call belongs to, for a field of ours.
pub(crate) fn tag(order: &Order) -> Value {
    json!({"run_id": order.run.0, "attempt_id": order.attempt_id})
}

/// Reads [`names`] among variables.
pub(crate) fn in_variables(variables: &Value) -> Echo {
    read(&variables[RUN], &variables[ATTEMPT])
}

/// Reads a [`tag`].
pub(crate) fn in_tag(tag: &Value) -> Echo {
    read(&tag["run_id"], &tag["attempt_id"])
}

/// Reads what [`Order::callback_with_run`] put into the query.
pub(crate) fn in_query(url: &str) -> Echo {
    let query = form(query(url).as_bytes());
    let run = field(&query, "run_id").and_then(|run| run.parse().ok());
    (
        run.map(RunId),
        field(&query, "attempt_id").map(str::to_owned),
    )
}

fn read(run: &Value, attempt: &Value) -> Echo {
    let run = match run {
        Value::String(run) => run.parse().ok(),
        run => run.as_i64(),
    };
    (run.map(RunId), id(Some(attempt)))
}
