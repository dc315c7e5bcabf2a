use ringdown_api::own::{CreateOrganization, OrganizationSettings, ProjectSettings};
use ringdown_api::teams::NewKey;

use super::args::{KeyRole, KeysCommand, OrganizationsCommand, ProjectsCommand};
use super::{Audit, Keys, Organizations, Projects, client, confirm, output};
use crate::attempts::failure;
use crate::cli::Format;
use crate::exit::{Exit, Outcome};

/// `ringdown keys`
pub(crate) async fn keys(keys: Keys, format: Format) -> Outcome {
    let client = client(&keys.service)?;
    match keys.command {
        KeysCommand::List => {
            let columns = [
                ("Id", "id"),
                ("Name", "name"),
                ("Role", "role"),
                ("Project", "project_id"),
                ("Ends in", "hint"),
                ("Per minute", "rate_per_minute"),
                ("Last used", "last_used_at"),
                ("Expires", "expires_at"),
            ];
            output::list(&client.keys().await.map_err(failure)?, &columns, format)
        }
        KeysCommand::Create {
            name,
            role,
            project,
            rate,
            expires,
        } => {
            let role = match role {
                KeyRole::Viewer => "viewer",
                KeyRole::Editor => "editor",
                KeyRole::Admin => "admin",
            };
            let new = NewKey {
                name,
                role: Some(role.to_owned()),
                project_id: project,
                rate_per_minute: rate,
                expires_at: expires,
            };
            let made = client.create_key(&new).await.map_err(failure)?;
            if format == Format::Human {
                eprintln!("this key is shown now and never again");
            }
            output::one(&made, format)
        }
        KeysCommand::Revoke { id, consent } => {
            confirm(consent.yes, &format!("Revoke the key {id}?"))?;
            client.revoke_key(id).await.map_err(failure)?;
            output::gone("key", id, format)
        }
    }
}

/// `ringdown projects`
pub(crate) async fn projects(projects: Projects, format: Format) -> Outcome {
    let client = client(&projects.service)?;
    match projects.command {
        ProjectsCommand::List => {
            let columns = [
                ("Id", "id"),
                ("Name", "name"),
                ("Parallel calls", "parallel_call_limit"),
                ("Dial window", "outbound_timeout"),
                ("Longest call", "max_call_duration"),
            ];
            output::list(&client.projects().await.map_err(failure)?, &columns, format)
        }
        ProjectsCommand::Show { id } => {
            output::one(&client.project(id).await.map_err(failure)?, format)
        }
        ProjectsCommand::Create { name } => {
            let made = client.create_project(&name).await.map_err(failure)?;
            output::one(&made, format)
        }
        ProjectsCommand::Update {
            id,
            name,
            parallel_calls,
            outbound_timeout,
            max_call_duration,
            silence_timeout,
            reject,
            weight,
            calls_per_second,
            retention_days,
        } => {
            let settings = ProjectSettings {
                name,
                parallel_call_limit: parallel_calls,
                outbound_timeout,
                max_call_duration,
                silence_timeout,
                reject,
                weight,
                calls_per_second,
                retention_days,
            };
            let changed = client.update_project(id, &settings).await;
            output::one(&changed.map_err(failure)?, format)
        }
    }
}

/// `ringdown organizations`
pub(crate) async fn organizations(organizations: Organizations, format: Format) -> Outcome {
    let client = client(&organizations.service)?;
    match organizations.command {
        OrganizationsCommand::List => {
            let columns = [
                ("Id", "id"),
                ("Name", "name"),
                ("Slug", "slug"),
                ("Parallel calls", "parallel_call_limit"),
            ];
            let all = client.organizations().await.map_err(failure)?;
            output::list(&all, &columns, format)
        }
        OrganizationsCommand::Show => {
            output::one(&client.organization().await.map_err(failure)?, format)
        }
        OrganizationsCommand::Create {
            name,
            slug,
            parallel_calls,
        } => {
            let new = CreateOrganization {
                name,
                slug,
                parallel_call_limit: parallel_calls,
            };
            let made = client.create_organization(&new).await.map_err(failure)?;
            if format == Format::Human {
                eprintln!("its API key is shown now and never again");
            }
            output::one(&made, format)
        }
        OrganizationsCommand::Update { parallel_calls } => {
            let settings = OrganizationSettings {
                parallel_call_limit: Some(parallel_calls),
            };
            let changed = client.update_organization(&settings).await;
            output::one(&changed.map_err(failure)?, format)
        }
    }
}

/// `ringdown audit`
pub(crate) async fn audit(audit: Audit, format: Format) -> Outcome {
    let client = client(&audit.service)?;
    let page = client.audit_log(audit.limit).await.map_err(failure)?;
    let columns = [
        ("At", "at"),
        ("Key", "key_name"),
        ("What", "operation"),
        ("Path", "path"),
        ("From", "source"),
        ("Request", "request_id"),
    ];
    output::list(&page.results, &columns, format)?;
    Ok(Exit::Success)
}
