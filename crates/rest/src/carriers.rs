//! Carriers: accounts of an organisation at providers, with which its runs are dialed. What is stored has been
//! built once, with all of its secrets; the secrets are sealed when they come and never shown.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use axum::Json;
use axum::extract::{FromRequestParts, Path, State as Extract};
use axum::http::StatusCode;
use axum::http::request::Parts;
use ringdown_api::Page as WirePage;
use ringdown_api::own as wire;
use ringdown_bus::now;
use ringdown_domain::CarrierName;
use ringdown_egress::Target;
use ringdown_provider::{Kind as Provider, Settings};
use ringdown_store::{
    Carrier, Error as StoreError, Extra, NewCarrier, Page, Role, Scope, SecretChange, SecretOwner,
};
use ringdown_vault::Secret;
use serde_json::Value;

use super::State;
use super::body::Fields;
use super::operations::{Body, Kind, Table};
use super::pages::{Asked, time};
use super::teams;
use crate::error::{Answer, Failure};

/// Longest secret, in characters: a private key in PEM is one.
const LONGEST_SECRET: usize = 16 * 1024;

/// Least and most calls per second.
const PACES: std::ops::RangeInclusive<f64> = 0.001..=10_000.0;

/// Most calls at once.
const MOST_CALLS: i64 = 1_000_000;

/// Carriers that a refused dial route lists.
const LISTED: Page = Page {
    number: 1,
    size: 100,
};

static PROVIDERS: LazyLock<[&'static str; Provider::ALL.len()]> =
    LazyLock::new(|| Provider::ALL.map(Provider::as_str));

pub(crate) fn operations(table: &mut Table) {
    const MANY: &str = "/ringdown/v1/carriers";
    const ONE: &str = "/ringdown/v1/carriers/{name}";
    const NAME: Kind = Kind::Short(40);
    table.tag(
        "Carriers",
        "Accounts of an organisation at providers, with which its runs are dialed.",
    );
    table
        .get(MANY, list)
        .id("ringdown-carriers-list")
        .summary("List carriers")
        .whole_organisation()
        .paged()
        .answers::<WirePage<wire::Carrier>>(200);
    table
        .post(MANY, create)
        .id("ringdown-carriers-create")
        .summary("Add a carrier")
        .about("Its settings and secrets are checked together, without asking the provider.")
        .role(Role::Admin)
        .whole_organisation()
        .takes(body())
        .answers::<wire::CarrierDetail>(201);
    table
        .get(ONE, read)
        .id("ringdown-carriers-retrieve")
        .summary("Show a carrier and the agents that use it")
        .path("name", NAME, "Its name.")
        .whole_organisation()
        .answers::<wire::CarrierDetail>(200);
    table
        .patch(ONE, change)
        .id("ringdown-carriers-partial-update")
        .summary("Change a carrier")
        .about(
            "Settings are replaced as a whole. Secrets that the body leaves out stay; null or an empty \
             text forgets one. The name cannot change.",
        )
        .path("name", NAME, "Its name.")
        .role(Role::Admin)
        .whole_organisation()
        .takes(body().partly())
        .answers::<wire::CarrierDetail>(200);
    table
        .delete(ONE, delete)
        .id("ringdown-carriers-destroy")
        .summary("Take a carrier away")
        .about("Refused while agents are dialed through it.")
        .path("name", NAME, "Its name.")
        .role(Role::Admin)
        .whole_organisation()
        .answers_nothing(204);
}

fn body() -> Body {
    Body::new()
        .required(
            "name",
            Kind::Short(40),
            "1 to 40 letters, digits, '-', '_' and '.'; agents are given the dial route carrier:NAME.",
        )
        .required("provider", Kind::OneOf(&*PROVIDERS), "The provider.")
        .optional(
            "settings",
            Kind::Object,
            "What the provider needs to know, without secrets.",
        )
        .optional(
            "secrets",
            Kind::Object,
            "Credentials by name; write-only.",
        )
        .optional(
            "calls_per_second",
            Kind::Number,
            "How many calls may start with it per second, 0.001 to 10,000; null: the provider's default.",
        )
        .optional(
            "concurrent_calls",
            Kind::Range(1, MOST_CALLS),
            "How many calls may be up with it at once; null: the provider's default.",
        )
}

/// The `{name}` of a path. What cannot be a name is nobody's.
struct Named(CarrierName);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let text = Path::<String>::from_request_parts(parts, state).await;
        let unknown = || Failure::detail(StatusCode::NOT_FOUND, "The path does not hold a name.");
        let Path(text) = text.map_err(|_| unknown())?;
        text.parse().map(Self).map_err(|_| unknown())
    }
}

/// The names of the secrets among those stored for a carrier, as its provider calls them.
fn secret_names(carrier: &CarrierName, stored: &[String]) -> Vec<String> {
    let names = stored.iter().filter_map(|name| carrier.secret_of(name));
    names.map(str::to_owned).collect()
}

fn show(carrier: Carrier, stored: &[String]) -> wire::Carrier {
    wire::Carrier {
        secrets_configured: secret_names(&carrier.name, stored),
        dial_route: carrier.name.route(),
        name: carrier.name.to_string(),
        provider: carrier.provider,
        settings: carrier.settings,
        calls_per_second: carrier.calls_per_second,
        concurrent_calls: carrier.concurrent_calls,
        created_at: time(carrier.created_at),
        updated_at: time(carrier.updated_at),
    }
}

async fn detail(
    state: &State,
    scope: Scope,
    name: &CarrierName,
) -> Answer<Json<wire::CarrierDetail>> {
    let store = state.store();
    let carrier = store.carrier(scope, name).await?;
    let owner = SecretOwner::Carrier(carrier.id);
    let stored = store.secret_names(scope, owner).await?;
    let agents = store.agents_of_carrier(scope, name).await?;
    let agents = agents
        .into_iter()
        .map(|(id, name)| wire::CarrierAgent { id: id.0, name });
    Ok(Json(wire::CarrierDetail {
        agents: agents.collect(),
        carrier: show(carrier, &stored),
    }))
}

async fn list(
    Extract(state): Extract<State>,
    asked: Asked,
) -> Answer<Json<WirePage<wire::Carrier>>> {
    let (scope, page) = (asked.principal.scope, asked.page()?);
    let listing = state.store().carriers(scope, page).await?;
    let owner = |carrier: &Carrier| SecretOwner::Carrier(carrier.id);
    let owners: Vec<SecretOwner> = listing.rows.iter().map(owner).collect();
    let mut stored: HashMap<String, Vec<String>> = HashMap::new();
    for (owner, name) in state.store().secrets_of(scope, &owners).await? {
        stored.entry(owner).or_default().push(name);
    }
    let shown = asked.listing(page, listing, |carrier| {
        let names = stored.get(&owner(&carrier).to_string());
        show(carrier, names.map_or(&[], Vec::as_slice))
    })?;
    Ok(Json(shown))
}

async fn read(
    Extract(state): Extract<State>,
    Named(name): Named,
    asked: Asked,
) -> Answer<Json<wire::CarrierDetail>> {
    detail(&state, asked.principal.scope, &name).await
}

/// What a body says of a carrier; `None` where it says nothing.
#[derive(Default)]
struct Said {
    provider: Option<Provider>,
    settings: Option<Extra>,
    /// A secret to keep under its name, or to forget.
    secrets: BTreeMap<String, Option<Secret>>,
    calls_per_second: Option<Option<f64>>,
    concurrent_calls: Option<Option<u32>>,
}

/// Takes what a body says, except for the name.
fn take(state: &State, fields: &mut Fields) -> Said {
    let mut said = Said::default();
    if let Some(name) = fields.text("provider", 64) {
        said.provider = Provider::parse(&name);
        if said.provider.is_none() {
            let message = format!("Expected one of {}.", PROVIDERS.join(", "));
            fields.wrong("provider", message);
        }
    }
    if fields.has("settings") {
        let settings = fields.object("settings");
        let settings = match settings {
            Some(Value::Object(map)) => map,
            _ => Extra::new(),
        };
        urls(state, fields, &settings);
        said.settings = Some(settings);
    }
    if let Some(Value::Object(map)) = fields.object("secrets") {
        for (name, value) in map {
            match secret(value) {
                Ok(secret) => drop(said.secrets.insert(name, secret)),
                Err(why) => fields.wrong(&format!("secrets.{name}"), why),
            }
        }
    }
    if fields.has("calls_per_second") {
        let calls = fields.real("calls_per_second");
        if calls.is_some_and(|calls| !PACES.contains(&calls)) {
            fields.wrong("calls_per_second", "Expected 0.001 to 10,000.");
        }
        said.calls_per_second = Some(calls);
    }
    if fields.has("concurrent_calls") {
        let calls = fields.integer("concurrent_calls", 1, MOST_CALLS);
        said.concurrent_calls = Some(calls.and_then(|calls| u32::try_from(calls).ok()));
    }
    said
}

/// A secret as it is sent; `None` forgets it.
fn secret(value: Value) -> Result<Option<Secret>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if text.is_empty() => Ok(None),
        Value::String(text) if text.chars().count() > LONGEST_SECRET => {
            Err(format!("At most {LONGEST_SECRET} characters are allowed."))
        }
        Value::String(text) => Ok(Some(Secret::new(text))),
        _ => Err("Expected a text or null.".to_owned()),
    }
}

/// Refuses addresses that may not be called.
fn urls(state: &State, fields: &mut Fields, settings: &Extra) {
    let policy = state.egress.policy();
    for (name, value) in settings {
        if let Value::String(text) = value
            && name.ends_with("url")
            && !text.is_empty()
            && let Err(error) = Target::check(text, policy)
        {
            fields.wrong(&format!("settings.{name}"), format!("{error}."));
        }
    }
}

/// Refuses what the provider cannot be built from.
fn check(provider: Provider, settings: &Extra, secrets: BTreeMap<String, Secret>) -> Answer<()> {
    let known = provider.secrets();
    if let Some(name) = settings.keys().find(|name| known.contains(&name.as_str())) {
        let message = "This is a secret, and settings are shown: give it in secrets.";
        return Err(Failure::field(&format!("settings.{name}"), message));
    }
    let named: Vec<String> = secrets.keys().cloned().collect();
    let built = ringdown_provider::build(provider, Settings::new(settings.clone(), secrets));
    built.map(drop).map_err(|invalid| {
        let is_secret = !settings.contains_key(&invalid.field)
            && (known.contains(&invalid.field.as_str()) || named.contains(&invalid.field));
        let part = if is_secret { "secrets" } else { "settings" };
        let field = format!("{part}.{}", invalid.field);
        Failure::field(&field, format!("{}.", invalid.problem))
    })
}

/// The secrets of a carrier, opened, as they will be after these changes.
async fn opened(
    state: &State,
    carrier: &Carrier,
    changes: &BTreeMap<String, Option<Secret>>,
) -> Answer<BTreeMap<String, Secret>> {
    let (store, scope) = (state.store(), carrier.org.into());
    let owner = SecretOwner::Carrier(carrier.id);
    let stored = store.secret_names(scope, owner).await?;
    let given = changes.iter();
    let given = given.filter_map(|(name, secret)| Some((name.clone(), secret.clone()?)));
    let mut secrets: BTreeMap<String, Secret> = given.collect();
    for name in secret_names(&carrier.name, &stored) {
        if changes.contains_key(&name) {
            continue;
        }
        let stored = carrier.name.stored_secret(&name);
        // One that went meanwhile makes the change itself fail.
        if let Some(sealed) = store.secret(scope, owner, &stored).await? {
            let secret = state.keyring.open_stored(carrier.org.0, &stored, &sealed);
            let secret = secret.map_err(|error| Failure::internal(&error.to_string()))?;
            secrets.insert(name, secret);
        }
    }
    Ok(secrets)
}

/// Seals what is to be stored, and says what is to be forgotten.
fn sealed(
    state: &State,
    org: ringdown_domain::OrganisationId,
    carrier: &CarrierName,
    secrets: &BTreeMap<String, Option<Secret>>,
) -> Answer<Vec<SecretChange>> {
    let change = |(name, secret): (&String, &Option<Secret>)| {
        let name = carrier.stored_secret(name);
        match secret {
            Some(secret) => teams::seal(state, org, &name, secret),
            None => Ok(SecretChange { name, sealed: None }),
        }
    };
    secrets.iter().map(change).collect()
}

async fn create(
    Extract(state): Extract<State>,
    asked: Asked,
    mut fields: Fields,
) -> Answer<(StatusCode, Json<wire::CarrierDetail>)> {
    let scope = asked.principal.scope;
    let name: Option<CarrierName> = match fields.required_text("name", 255) {
        None => None,
        Some(text) => match text.parse() {
            Ok(name) => Some(name),
            Err(error) => {
                fields.wrong("name", format!("{error}."));
                None
            }
        },
    };
    if !fields.has("provider") {
        fields.require("provider");
    }
    let said = take(&state, &mut fields);
    fields.check_all_known()?;
    let name = name.ok_or_else(|| Failure::field("name", "This field is required."))?;
    let required = || Failure::field("provider", "This field is required.");
    let provider = said.provider.ok_or_else(required)?;
    let settings = said.settings.unwrap_or_default();
    let mut given = said.secrets;
    given.retain(|_, secret| secret.is_some());
    let secrets = given.iter();
    let secrets = secrets.filter_map(|(name, secret)| Some((name.clone(), secret.clone()?)));
    check(provider, &settings, secrets.collect())?;
    let new = NewCarrier {
        org: scope.org,
        secrets: sealed(&state, scope.org, &name, &given)?,
        name: name.clone(),
        provider: provider.as_str().to_owned(),
        settings,
        calls_per_second: said.calls_per_second.flatten(),
        concurrent_calls: said.concurrent_calls.flatten(),
    };
    match state.store().create_carrier(new, now()).await {
        Ok(_) => {}
        Err(StoreError::Conflict { why, .. }) => {
            return Err(Failure::field("name", format!("{why}.")));
        }
        Err(error) => return Err(error.into()),
    }
    Ok((StatusCode::CREATED, detail(&state, scope, &name).await?))
}

async fn change(
    Extract(state): Extract<State>,
    Named(name): Named,
    asked: Asked,
    mut fields: Fields,
) -> Answer<Json<wire::CarrierDetail>> {
    let scope = asked.principal.scope;
    let mut carrier = state.store().carrier(scope, &name).await?;
    if fields.has("name")
        && let Some(other) = fields.required_text("name", 255)
        && other != name.as_str()
    {
        let message = "A carrier keeps its name: its secrets are sealed under it. Add a new one.";
        fields.wrong("name", message);
    }
    if fields.as_sent().get("provider").is_some_and(Value::is_null) {
        fields.require("provider");
    }
    let said = take(&state, &mut fields);
    fields.check_all_known()?;
    if let Some(provider) = said.provider {
        provider.as_str().clone_into(&mut carrier.provider);
    }
    if let Some(settings) = said.settings {
        carrier.settings = settings;
    }
    if let Some(calls) = said.calls_per_second {
        carrier.calls_per_second = calls;
    }
    if let Some(calls) = said.concurrent_calls {
        carrier.concurrent_calls = calls;
    }
    let unknown = || Failure::field("provider", "It is not known any more; choose another one.");
    let provider = Provider::parse(&carrier.provider).ok_or_else(unknown)?;
    let secrets = opened(&state, &carrier, &said.secrets).await?;
    check(provider, &carrier.settings, secrets)?;
    let changes = sealed(&state, scope.org, &name, &said.secrets)?;
    state
        .store()
        .update_carrier(&carrier, changes, now())
        .await?;
    detail(&state, scope, &name).await
}

async fn delete(
    Extract(state): Extract<State>,
    Named(name): Named,
    asked: Asked,
) -> Answer<StatusCode> {
    let scope = asked.principal.scope;
    state.store().delete_carrier(scope, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Why an agent is not dialed through a carrier that its organisation has not.
pub(crate) async fn unknown(state: &State, scope: Scope, route: &str) -> Answer<Failure> {
    let listing = state.store().carriers(scope, LISTED).await?;
    let routes: Vec<String> = listing.rows.iter().map(|one| one.name.route()).collect();
    let there = match routes.as_slice() {
        [] => "it has no carriers; add one first".to_owned(),
        routes => format!("there are {}", routes.join(", ")),
    };
    let message = format!("Your organisation has no {route:?}: {there}.");
    Ok(Failure::field("route", message))
}
