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

pub(crate) fn show(number: PhoneNumber) -> wire::PhoneNumber {
    let at = time(number.created_at);
    wire::PhoneNumber {
        id: number.id.0,
        scenario_id: number.scenario.as_ref().map(|(id, _)| id.0),
        scenario_name: number.scenario.map(|(_, name)| name),
        phone_number_id: number.number.to_string(),
        number: number.number.to_string(),
        name: number.name,
        provider: None,
        created_at: Some(at.clone()),
        updated_at: Some(at),
        organization: Some(number.org.0),
    }
}

pub(crate) async fn list(
    Extract(state): Extract<State>,
    asked: Asked,
) -> Answer<Json<Vec<wire::PhoneNumber>>> {
    let org = asked.principal.org;
    let listing = state.store().phone_numbers(org, WHOLE).await?;
    Ok(Json(listing.rows.into_iter().map(show).collect()))
}

pub(crate) async fn inbound(
    Extract(state): Extract<State>,
    asked: Asked,
) -> Answer<Json<Vec<wire::PhoneNumberBrief>>> {
    let org = asked.principal.org;
    let listing = state.store().phone_numbers(org, WHOLE).await?;
    let brief = |number: PhoneNumber| wire::PhoneNumberBrief {
        id: number.id.0,
        phone_number_id: number.number.to_string(),
        number: number.number.to_string(),
    };
    Ok(Json(listing.rows.into_iter().map(brief).collect()))
}

pub(crate) async fn read(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
) -> Answer<Json<wire::PhoneNumber>> {
    let org = asked.principal.org;
    let number = state.store().phone_number(org, PhoneNumberId(id)).await?;
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
        .pending_on(asked.principal.org, &number)
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
