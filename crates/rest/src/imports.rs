//! Numbers that are imported from a provider's account.

use axum::Json;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use ringdown_api as wire;
use ringdown_bus::now;
use ringdown_carrier::account::{
    Account, Error as AccountError, InvalidCredential, Plivo, Telnyx, Twilio,
};
use ringdown_domain::PhoneNumberId;
use ringdown_store::{Error as StoreError, NewPhoneNumber, PhoneNumber, Role, Scope};
use ringdown_vault::Secret;

use super::State;
use super::body::Fields;
use super::numbers::{OWN, show_detail};
use super::operations::{Body, Kind, Table};
use super::pages::{Asked, Id, WHOLE};
use super::teams::{project_or_none, seal};
use crate::error::{Answer, Failure};

/// How one provider's numbers are named in requests.
struct Form {
    /// What the store calls the provider.
    provider: &'static str,
    number: &'static str,
    /// The credentials; the last one is the secret.
    credentials: &'static [&'static str],
}

const TWILIO: Form = Form {
    provider: "twilio",
    number: "twilio_phone_number",
    credentials: &["twilio_account_sid", "twilio_auth_token"],
};

const PLIVO: Form = Form {
    provider: "plivo",
    number: "plivo_phone_number",
    credentials: &["plivo_auth_id", "plivo_auth_token"],
};

const TELNYX: Form = Form {
    provider: "telnyx",
    number: "telnyx_phone_number",
    credentials: &["telnyx_api_key"],
};

pub(crate) fn operations(table: &mut Table) {
    table
        .get("/test_framework/v1/phone-numbers/providers/list", list)
        .id("phone-numbers-providers-list-list")
        .summary("List imported phone numbers")
        .answers::<Vec<wire::PhoneNumberDetail>>(200);
    table
        .post(
            "/test_framework/v1/phone-numbers/providers/twilio/import",
            twilio,
        )
        .id("phone-numbers-providers-twilio-import-create")
        .summary("Import a phone number from Twilio")
        .role(Role::Admin)
        .takes(body(&TWILIO))
        .answers::<wire::PhoneNumberDetail>(201);
    table
        .post(
            "/test_framework/v1/phone-numbers/providers/plivo/import",
            plivo,
        )
        .id("phone-numbers-providers-plivo-import-create")
        .summary("Import a phone number from Plivo")
        .role(Role::Admin)
        .takes(body(&PLIVO))
        .answers::<wire::PhoneNumberDetail>(201);
    table
        .post(
            "/test_framework/v1/phone-numbers/providers/telnyx/import",
            telnyx,
        )
        .id("phone-numbers-providers-telnyx-import-create")
        .summary("Import a phone number from Telnyx")
        .role(Role::Admin)
        .takes(body(&TELNYX))
        .answers::<wire::PhoneNumberDetail>(201);
    table
        .delete("/test_framework/v1/phone-numbers/providers/{id}", delete)
        .id("phone-numbers-providers-destroy")
        .summary("Take an imported phone number away")
        .about("Its credentials are forgotten. Not while unfinished runs wait on it.")
        .role(Role::Admin)
        .answers_nothing(204);
}

fn body(form: &Form) -> Body {
    let mut body = Body::new().required(form.number, Kind::Phone, "The number.");
    for name in form.credentials {
        body = body.required(
            name,
            Kind::Short(255),
            "Credential of the account; never shown.",
        );
    }
    body.optional(
        "name",
        Kind::Short(255),
        "A name; the provider's if absent.",
    )
    .optional("is_sms_enabled", Kind::Flag, "Kept and given back.")
    .optional(
        "project",
        Kind::Id,
        "The project that alone may use it (not in the compatible API).",
    )
    .lenient()
}

async fn list(
    Extract(state): Extract<State>,
    asked: Asked,
) -> Answer<Json<Vec<wire::PhoneNumberDetail>>> {
    let scope = asked.principal.scope;
    let listing = state.store().phone_numbers(scope, WHOLE).await?;
    let imported = listing.rows.into_iter().filter(is_imported);
    Ok(Json(imported.map(show_detail).collect()))
}

fn is_imported(number: &PhoneNumber) -> bool {
    number.provider != OWN
}

async fn twilio(
    state: Extract<State>,
    asked: Asked,
    fields: Fields,
) -> Answer<(StatusCode, Json<wire::PhoneNumberDetail>)> {
    let account = |credentials: &mut dyn Iterator<Item = String>| {
        let sid = credentials.next().unwrap_or_default();
        let token = Secret::new(credentials.next().unwrap_or_default());
        Twilio::new(sid, token).map(Account::Twilio)
    };
    import(state, asked, fields, &TWILIO, account).await
}

async fn plivo(
    state: Extract<State>,
    asked: Asked,
    fields: Fields,
) -> Answer<(StatusCode, Json<wire::PhoneNumberDetail>)> {
    let account = |credentials: &mut dyn Iterator<Item = String>| {
        let id = credentials.next().unwrap_or_default();
        let token = Secret::new(credentials.next().unwrap_or_default());
        Plivo::new(id, token).map(Account::Plivo)
    };
    import(state, asked, fields, &PLIVO, account).await
}

async fn telnyx(
    state: Extract<State>,
    asked: Asked,
    fields: Fields,
) -> Answer<(StatusCode, Json<wire::PhoneNumberDetail>)> {
    let account = |credentials: &mut dyn Iterator<Item = String>| {
        let key = Secret::new(credentials.next().unwrap_or_default());
        Telnyx::new(key).map(Account::Telnyx)
    };
    import(state, asked, fields, &TELNYX, account).await
}

async fn import(
    Extract(state): Extract<State>,
    asked: Asked,
    mut fields: Fields,
    form: &Form,
    account: impl Fn(&mut dyn Iterator<Item = String>) -> Result<Account, InvalidCredential> + Send,
) -> Answer<(StatusCode, Json<wire::PhoneNumberDetail>)> {
    let number = fields.number(form.number);
    if number.is_none() {
        fields.require(form.number);
    }
    let credentials: Vec<String> = form
        .credentials
        .iter()
        .map(|name| fields.required_text(name, 255).unwrap_or_default())
        .collect();
    let name = fields.text("name", 255).filter(|name| !name.is_empty());
    let sms_enabled = fields.boolean("is_sms_enabled").unwrap_or(false);
    let project = fields.id("project");
    fields.check()?;
    let scope = asked.principal.scope;
    let project = project_or_none(&state, scope, "project", project).await?;
    let account = account(&mut credentials.clone().into_iter())
        .map_err(|wrong| Failure::field(wrong.field, format!("{}.", sentence(wrong.problem))))?;
    let Some(number) = number else {
        return Err(Failure::field(form.number, "This field is required."));
    };
    let owned = state.accounts.verify(&account, &number).await;
    let owned = owned.map_err(|error| refusal(form, &error))?;
    let secrets = form
        .credentials
        .iter()
        .zip(credentials)
        .map(|(name, text)| seal(&state, scope.org, name, &Secret::new(text)))
        .collect::<Answer<_>>()?;
    let new = NewPhoneNumber {
        scope: Scope { project, ..scope },
        number,
        name: name.or(owned.friendly_name),
        provider: form.provider.to_owned(),
        provider_id: Some(owned.provider_id),
        sms_enabled,
        secrets,
    };
    match state.store().add_phone_number(new, now()).await {
        Ok(number) => Ok((StatusCode::CREATED, Json(show_detail(number)))),
        Err(StoreError::Conflict { why, .. }) => {
            Err(Failure::field(form.number, format!("{why}.")))
        }
        Err(error) => Err(error.into()),
    }
}

/// Why a number was not imported, at the field that is to blame.
fn refusal(form: &Form, error: &AccountError) -> Failure {
    let message = format!("{}.", sentence(&error.to_string()));
    match error {
        AccountError::Unauthorised { .. } => Failure::field(
            form.credentials.last().copied().unwrap_or_default(),
            message,
        ),
        AccountError::NotOwned { .. } => Failure::field(form.number, message),
        _ => Failure::detail(StatusCode::BAD_GATEWAY, message),
    }
}

/// A fragment with a capital letter.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_uppercase().collect::<String>());
    format!("{}{}", first.unwrap_or_default(), letters.as_str())
}

async fn delete(Extract(state): Extract<State>, Id(id): Id, asked: Asked) -> Answer<StatusCode> {
    let (scope, id) = (asked.principal.scope, PhoneNumberId(id));
    let number = state.store().phone_number(scope, id).await?;
    if !is_imported(&number) {
        return Err(Failure::not_found("imported phone number", id));
    }
    state.store().delete_phone_number(scope, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
