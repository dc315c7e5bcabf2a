//! Which numbers are called, and from which.

use ringdown_domain::E164;
use ringdown_store::{Agent, Error as StoreError, Page, Scope, Store};

use super::casting::Pick;
use super::refusal::Problems;
use super::{Mode, Request};

/// Numbers that are looked through.
const WHOLE: Page = Page {
    number: 1,
    size: 100_000,
};

/// The caller IDs that the agent may call from.
pub(super) fn caller_ids(agent: &Agent, request: &Request, problems: &mut Problems) -> Vec<E164> {
    if let Some(number) = &request.agent_number {
        return vec![number.clone()];
    }
    if agent.caller_ids().is_empty() {
        let message = format!(
            "Agent {} has no contact_number, so no call from it could be recognised: set it to the \
             E.164 number it calls from.",
            agent.id
        );
        problems.add("contact_number", message);
    }
    agent.caller_ids().to_vec()
}

/// The number of every pick; `None` if each of its runs gets one when it is stored.
pub(super) async fn of_picks(
    store: &dyn Store,
    scope: Scope,
    agent: &Agent,
    request: &Request,
    picks: &[Pick],
    problems: &mut Problems,
) -> Result<Vec<Option<E164>>, StoreError> {
    if let Some(number) = &request.outbound_phone_number {
        let owned = store.phone_numbers(scope, WHOLE).await?.rows;
        let usable = owned.iter().any(|owned| {
            owned.number == *number && owned.project.is_none_or(|own| own == agent.project)
        });
        if !usable {
            let message = format!("{number} is no number that the agent's project may use.");
            problems.add("outbound_phone_number", message);
        }
        return Ok(vec![Some(number.clone()); picks.len()]);
    }
    if request.mode == Mode::DifferentNumbers {
        return Ok(vec![None; picks.len()]);
    }
    if let Some(without) = picks.iter().find(|pick| pick.scenario.number.is_none()) {
        let message = format!(
            "Evaluator {} has no phone number: add one with POST /ringdown/v1/phone-numbers/.",
            without.scenario.id
        );
        problems.add("scenarios", message);
    }
    Ok(picks
        .iter()
        .map(|pick| pick.scenario.number.clone())
        .collect())
}
