use std::time::Duration;

use axum::Json;
use axum::extract::State as Extract;
use ringdown_api::Page as WirePage;
use ringdown_api::own;
use ringdown_api::teams as wire;
use ringdown_bus::now;
use ringdown_store::{Extra, Organisation, Project, Role, Scope, SecretOwner};

use super::settings::{self, Holds, Setting, setting};
use super::{State, sealed};
use crate::body::Fields;
use crate::error::{Answer, Failure};
use crate::operations::{Body, Kind, Table};
use crate::pages::{Asked, Id, time};

/// What stands for no limit: the reference has no null here.
const UNLIMITED: i64 = 2_147_483_647;

/// Highest limit that is a limit.
const MOST_PARALLEL: i64 = 1_000_000;

/// Default of both, seconds.
const DIAL_WINDOW: i64 = 300;
const LONGEST_CALL: i64 = 300;

pub(super) const SECRETS: &[&str] = &[
    "vapi_api_key",
    "vapi_public_key",
    "retell_api_key",
    "syntflow_api_key",
];

#[rustfmt::skip]
const ZONES: &[&str] = &[
    "UTC", "Africa/Abidjan", "Africa/Accra", "Africa/Addis_Ababa", "Africa/Algiers", "Africa/Asmara",
    "Africa/Bamako", "Africa/Bangui", "Africa/Banjul", "Africa/Bissau", "Africa/Blantyre",
    "Africa/Brazzaville", "Africa/Bujumbura", "Africa/Cairo", "Africa/Casablanca", "Africa/Ceuta",
    "Africa/Conakry", "Africa/Dakar", "Africa/Dar_es_Salaam", "Africa/Djibouti", "Africa/Douala",
    "Africa/El_Aaiun", "Africa/Freetown", "Africa/Gaborone", "Africa/Harare", "Africa/Johannesburg",
    "Africa/Juba", "Africa/Kampala", "Africa/Khartoum", "Africa/Kigali", "Africa/Kinshasa",
    "Africa/Lagos", "Africa/Libreville", "Africa/Lome", "Africa/Luanda", "Africa/Lubumbashi",
    "Africa/Lusaka", "Africa/Malabo", "Africa/Maputo", "Africa/Maseru", "Africa/Mbabane",
    "Africa/Mogadishu", "Africa/Monrovia", "Africa/Nairobi", "Africa/Ndjamena", "Africa/Niamey",
    "Africa/Nouakchott", "Africa/Ouagadougou", "Africa/Porto-Novo", "Africa/Sao_Tome",
    "Africa/Tripoli", "Africa/Tunis", "Africa/Windhoek", "America/Adak", "America/Anchorage",
    "America/Chicago", "America/Denver", "America/Los_Angeles", "America/New_York",
    "America/Phoenix", "America/Sao_Paulo", "Asia/Dubai", "Asia/Hong_Kong", "Asia/Kolkata",
    "Asia/Seoul", "Asia/Shanghai", "Asia/Singapore", "Asia/Tokyo", "Australia/Melbourne",
    "Australia/Perth", "Australia/Sydney", "Europe/Amsterdam", "Europe/Berlin", "Europe/London",
    "Europe/Madrid", "Europe/Moscow", "Europe/Paris", "Europe/Rome", "Pacific/Auckland",
    "Pacific/Honolulu", "US/Central", "US/Eastern", "US/Mountain", "US/Pacific",
];

const SETTINGS: &[Setting] = &[
    setting(
        "team_size",
        Holds::OneOf(&["1", "<10", "10-100", "100-500", "500+"]),
    ),
    setting("discovery_source", Holds::MaybeText),
    setting("max_concurrent_chat_runs_limit", Holds::Whole(0)),
    setting("evaluate_relevant_metrics_enabled", Holds::Flag(false)),
    setting("end_call_enabled", Holds::Flag(true)),
    setting(
        "generate_scenario_auto_assign_numbers_enabled",
        Holds::Flag(true),
    ),
    setting("notify_daily_report", Holds::Flag(false)),
    setting("notify_cron_failure", Holds::Flag(false)),
    setting("notify_cron_success", Holds::Flag(false)),
    setting("notify_no_calls", Holds::Flag(false)),
    setting("notify_result_webhook", Holds::Flag(false)),
    setting("notify_cronjob_webhook", Holds::Flag(false)),
    setting("notify_call_log_webhook", Holds::Flag(false)),
    setting("forward_vapi_webhook", Holds::Flag(false)),
    setting("forward_retell_webhook", Holds::Flag(false)),
    setting("is_send_emails_enabled", Holds::Flag(false)),
    setting("notify_frequent_calls_for_number", Holds::Flag(false)),
    setting("frequent_calls_threshold", Holds::Whole(0)),
    setting("frequent_calls_time_period", Holds::Whole(0)),
    setting("frequent_calls_cooldown", Holds::Whole(0)),
    setting("notify_metric_significant_shift", Holds::Flag(false)),
    setting("notify_low_credits", Holds::Flag(false)),
    setting("low_credits_threshold", Holds::Decimal),
    setting(
        "cronjob_low_balance_mute_days",
        Holds::OneOf(&["0", "3", "7", "14"]),
    ),
    setting("limit_to_exclusive_numbers", Holds::Flag(false)),
    setting("allow_duplicate_call_ids", Holds::Flag(false)),
    setting("allow_join_requests", Holds::Flag(false)),
    setting("conditional_actions_generation_enabled", Holds::Flag(false)),
    setting("timezone", Holds::OneOf(ZONES)),
    setting("is_2fa_required", Holds::Flag(false)),
    setting("skip_onboarding", Holds::Flag(true)),
    setting(
        "onboarding_flow",
        Holds::OneOf(&["simulation", "observability"]),
    ),
    setting("auto_refill", Holds::Flag(false)),
    setting("auto_refill_threshold", Holds::Decimal),
    setting("auto_refill_amount", Holds::Decimal),
    setting("auto_refill_max_cap", Holds::MaybeDecimal),
];

/// Fields only the server writes.
const READ_ONLY: &[&str] = &[
    "id",
    "max_agents_limit",
    "max_members_limit",
    "show_custom_dashboards",
    "vapi_api_key_configured",
    "vapi_public_key_configured",
    "retell_api_key_configured",
    "syntflow_api_key_configured",
    "members",
    "projects",
    "is_internal_view_only",
    "created_at",
    "updated_at",
    "user_onboarding",
    "phone_number_verified",
    "slack_invite_sent",
];

pub(super) fn operations(table: &mut Table) {
    const MANY: &str = "/user/organizations";
    const ONE: &str = "/user/organizations/{id}";
    table.tag("Organizations", "Teams, each apart from all others.");
    table
        .get(MANY, list)
        .id("user-organizations-list")
        .summary("List organisations")
        .about("One's own is the only one.")
        .whole_organisation()
        .query("search", Kind::Text, "Only if its name contains this.")
        .answers::<Vec<wire::Organization>>(200);
    table
        .get(ONE, read)
        .id("user-organizations-retrieve")
        .summary("Show an organisation")
        .whole_organisation()
        .answers::<wire::Organization>(200);
    table
        .patch(ONE, change)
        .id("user-organizations-partial-update")
        .summary("Change an organisation")
        .role(Role::Admin)
        .whole_organisation()
        .takes(body())
        .answers::<wire::Organization>(200);
    table
        .get("/ringdown/v1/organizations", list_all)
        .id("ringdown-organizations-list")
        .summary("List all organisations of the deployment")
        .operator()
        .paged()
        .answers::<WirePage<own::Organization>>(200);
}

fn body() -> Body {
    let body = Body::new()
        .optional("name", Kind::Short(255), "Its name.")
        .optional(
            "max_concurrent_runs_limit",
            Kind::Range(1, UNLIMITED),
            "Parallel-call limit; more than 1000000 is unlimited.",
        )
        .optional(
            "outbound_timeout",
            Kind::Range(1, 300),
            "Dial window of new projects, seconds.",
        )
        .optional(
            "max_call_duration",
            Kind::Range(10, 3600),
            "Longest call of new projects, seconds.",
        );
    sealed::declare(settings::declare(body, SETTINGS), SECRETS).lenient()
}

fn seconds(kept: &Extra, name: &str, default: i64) -> i64 {
    let set = kept.get(name).and_then(serde_json::Value::as_i64);
    set.unwrap_or(default)
}

/// Gives a new project what its organisation says.
pub(super) fn defaults(organisation: &Organisation, project: &mut Project) {
    let of = |name, default| {
        let seconds = seconds(&organisation.extra, name, default);
        Duration::from_secs(seconds.unsigned_abs())
    };
    project.dial_window = of("outbound_timeout", DIAL_WINDOW);
    project.max_call_duration = of("max_call_duration", LONGEST_CALL);
}

pub(super) fn brief(organisation: &Organisation) -> wire::Brief {
    wire::Brief {
        id: organisation.id.0,
        name: organisation.name.clone(),
        members: Vec::new(),
        created_at: time(organisation.created_at),
        updated_at: time(organisation.updated_at),
    }
}

async fn show(state: &State, organisation: Organisation) -> Answer<wire::Organization> {
    let scope = Scope::from(organisation.id);
    let projects = state.store().projects(scope).await?;
    let owner = SecretOwner::Organisation(organisation.id);
    let have = state.store().secret_names(scope, owner).await?;
    let brief = brief(&organisation);
    let kept = organisation.extra;
    let mut other = settings::show(SETTINGS, &kept);
    for name in ["max_agents_limit", "max_members_limit"] {
        other.insert(name.to_owned(), UNLIMITED.into());
    }
    for name in [
        "show_custom_dashboards",
        "is_internal_view_only",
        "phone_number_verified",
        "slack_invite_sent",
    ] {
        other.insert(name.to_owned(), false.into());
    }
    other.insert("user_onboarding".to_owned(), "".into());
    sealed::flags(SECRETS, &have, &mut other);
    // These have a place of their own.
    for name in ["outbound_timeout", "max_call_duration"] {
        other.remove(name);
    }
    Ok(wire::Organization {
        id: brief.id,
        name: brief.name,
        max_concurrent_runs_limit: organisation.parallel_limit.map_or(UNLIMITED, i64::from),
        outbound_timeout: seconds(&kept, "outbound_timeout", DIAL_WINDOW),
        max_call_duration: seconds(&kept, "max_call_duration", LONGEST_CALL),
        members: Vec::new(),
        projects: projects.iter().map(super::projects::brief).collect(),
        created_at: brief.created_at,
        updated_at: brief.updated_at,
        other,
    })
}

async fn list(
    Extract(state): Extract<State>,
    asked: Asked,
) -> Answer<Json<Vec<wire::Organization>>> {
    let organisation = state
        .store()
        .organisation(asked.principal.scope.org)
        .await?;
    let wanted = asked.query("search").unwrap_or_default().to_lowercase();
    if !organisation.name.to_lowercase().contains(&wanted) {
        return Ok(Json(Vec::new()));
    }
    Ok(Json(vec![show(&state, organisation).await?]))
}

/// One's own organisation, if that is the one asked for.
async fn own_organisation(state: &State, asked: &Asked, id: i64) -> Answer<Organisation> {
    let own = asked.principal.scope.org;
    if own.0 != id {
        return Err(Failure::not_found("organisation", id));
    }
    Ok(state.store().organisation(own).await?)
}

async fn read(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
) -> Answer<Json<wire::Organization>> {
    let organisation = own_organisation(&state, &asked, id).await?;
    Ok(Json(show(&state, organisation).await?))
}

async fn change(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
    mut fields: Fields,
) -> Answer<Json<wire::Organization>> {
    let mut organisation = own_organisation(&state, &asked, id).await?;
    if fields.has("name")
        && let Some(name) = fields.required_text("name", 255)
    {
        organisation.name = name;
    }
    if let Some(limit) = fields.integer("max_concurrent_runs_limit", 1, UNLIMITED) {
        let limit = Some(limit).filter(|limit| *limit <= MOST_PARALLEL);
        organisation.parallel_limit = limit.and_then(|limit| u32::try_from(limit).ok());
    }
    for (name, low, high) in [
        ("outbound_timeout", 1, 300),
        ("max_call_duration", 10, 3600),
    ] {
        if let Some(seconds) = fields.integer(name, low, high) {
            organisation.extra.insert(name.to_owned(), seconds.into());
        }
    }
    settings::take(&mut fields, SETTINGS, &mut organisation.extra);
    let secrets = sealed::take(&state, organisation.id, &mut fields, SECRETS)?;
    let rest = fields.rest(READ_ONLY);
    fields.keep(&mut organisation.extra, rest);
    fields.check()?;
    state
        .store()
        .update_organisation(&organisation, secrets, now())
        .await?;
    state.engine.limits_changed(organisation.id);
    let organisation = state.store().organisation(organisation.id).await?;
    Ok(Json(show(&state, organisation).await?))
}

async fn list_all(
    Extract(state): Extract<State>,
    asked: Asked,
) -> Answer<Json<WirePage<own::Organization>>> {
    let page = asked.page()?;
    let listing = state.store().organisations(page).await?;
    Ok(Json(asked.listing(
        page,
        listing,
        crate::own::show_organisation,
    )?))
}
