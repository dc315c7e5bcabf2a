use axum::Json;
use axum::extract::State as Extract;
use ringdown_api as wire;
use ringdown_domain::{E164, PhoneNumberId};
use ringdown_store::PhoneNumber;

use super::State;
use super::operations::{Kind, Table};
use super::pages::{Asked, Id, WHOLE, time};
use crate::error::{Answer, Failure};

pub(crate) fn operations(table: &mut Table) {
    table.tag("Phone numbers", "The numbers that agents under test call.");
    table
        .get("/test_framework/v1/phone-numbers", list)
        .id("phone-numbers-list")
        .summary("List phone numbers")
        .answers::<Vec<wire::PhoneNumber>>(200);
    table
        .get("/test_framework/v1/phone-numbers/inbound", inbound)
        .id("phone-numbers-inbound-list")
        .summary("List phone numbers in short")
        .query("organization_id", Kind::Id, "Only of this organisation.")
        .answers::<Vec<wire::PhoneNumberBrief>>(200);
    table
        .get(
            "/test_framework/v1/phone-numbers/check_occupancy",
            occupancy,
        )
        .id("phone-numbers-check-occupancy-retrieve")
        .summary("Ask whether runs are pending on a number")
        .required_query("phone_number", Kind::Phone, "The number.")
        .answers::<wire::Occupancy>(200);
    table
        .get("/test_framework/v1/phone-numbers/{id}", read)
        .id("phone-numbers-retrieve")
        .summary("Show a phone number")
        .answers::<wire::PhoneNumber>(200);
}

/// Numbers of an own trunk come from no provider that the API knows.
pub(crate) const OWN: &str = "own";

fn provider(number: &PhoneNumber) -> Option<String> {
    Some(number.provider.clone()).filter(|provider| provider != OWN)
}

/// The provider's id; a number of an own trunk has only itself.
fn provider_id(number: &PhoneNumber) -> String {
    let own = || number.number.to_string();
    number.provider_id.clone().unwrap_or_else(own)
}

/// Numbers that no provider of agents runs.
const NO_AGENTS: &str = "patronus";

pub(crate) fn show(number: PhoneNumber) -> wire::PhoneNumber {
    let (provider, phone_number_id) = (provider(&number), provider_id(&number));
    let (scenario_id, scenario_name) = number
        .scenario
        .map_or_else(Default::default, |(id, name)| (id.to_string(), name));
    wire::PhoneNumber {
        id: number.id.0,
        scenario_id,
        scenario_name,
        metadata: None,
        project: number.project.map(|project| project.0),
        number: number.number.to_string(),
        phone_number_id,
        call_service_provider: NO_AGENTS.to_owned(),
        name: number.name,
        provider,
        sms_enabled: Some(number.sms_enabled),
        created_at: Some(time(number.created_at)),
        updated_at: time(number.updated_at),
        organization: Some(number.org.0),
        user: None,
    }
}

pub(crate) fn show_detail(number: PhoneNumber) -> wire::PhoneNumberDetail {
    let (provider, phone_number_id) = (provider(&number), provider_id(&number));
    wire::PhoneNumberDetail {
        id: number.id.0,
        number: number.number.to_string(),
        phone_number_id,
        call_service_provider: NO_AGENTS.to_owned(),
        name: number.name,
        provider,
        sms_enabled: Some(number.sms_enabled),
        created_at: Some(time(number.created_at)),
        updated_at: time(number.updated_at),
        organization: Some(number.org.0),
        user: None,
    }
}

pub(crate) async fn list(
    Extract(state): Extract<State>,
    asked: Asked,
) -> Answer<Json<Vec<wire::PhoneNumber>>> {
    let scope = asked.principal.scope;
    let listing = state.store().phone_numbers(scope, WHOLE).await?;
    Ok(Json(listing.rows.into_iter().map(show).collect()))
}

pub(crate) async fn inbound(
    Extract(state): Extract<State>,
    asked: Asked,
) -> Answer<Json<Vec<wire::PhoneNumberBrief>>> {
    let scope = asked.principal.scope;
    if asked
        .query_id("organization_id")?
        .is_some_and(|id| id != scope.org.0)
    {
        return Ok(Json(Vec::new()));
    }
    let listing = state.store().phone_numbers(scope, WHOLE).await?;
    let brief = |number: PhoneNumber| wire::PhoneNumberBrief {
        id: number.id.0,
        phone_number_id: provider_id(&number),
        number: number.number.to_string(),
    };
    Ok(Json(listing.rows.into_iter().map(brief).collect()))
}

pub(crate) async fn read(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
) -> Answer<Json<wire::PhoneNumber>> {
    let scope = asked.principal.scope;
    let number = state.store().phone_number(scope, PhoneNumberId(id)).await?;
    Ok(Json(show(number)))
}

pub(crate) async fn occupancy(
    Extract(state): Extract<State>,
    asked: Asked,
) -> Answer<Json<wire::Occupancy>> {
    let text = asked
        .query("phone_number")
        .ok_or_else(|| Failure::field("phone_number", "This parameter is required."))?;
    // A plus sign that was not percent-encoded arrives as a space.
    let number: E164 = text
        .trim()
        .parse()
        .or_else(|_| E164::normalise(text))
        .map_err(|_| {
            Failure::field(
                "phone_number",
                "Expected an E.164 number such as +14155550123.",
            )
        })?;
    let pending = state
        .store()
        .pending_on(asked.principal.scope, &number)
        .await?;
    let message = if pending > 0 {
        "Runs are pending on this number"
    } else {
        "No run is pending on this number"
    };
    Ok(Json(wire::Occupancy {
        phone_number: number.to_string(),
        is_occupied: pending > 0,
        message: message.to_owned(),
        pending_runs_count: pending,
    }))
}
