mod bulk;
mod filter;
mod review;
mod show;

use axum::Json;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use ringdown_api as wire;
use ringdown_bus::now;
use ringdown_domain::RunId;
use ringdown_store::{AttemptFilter, Listing, Page, Run};
use serde_json::json;

use crate::State;
use crate::attempts;
use crate::error::{Answer, Failure};
use crate::operations::{Kind, Table};
use crate::pages::{Asked, Id};

pub(crate) use bulk::RunCache;
pub(crate) use show::{score_of, show, transcript, verdict};

pub(crate) fn operations(table: &mut Table) {
    const ONE: &str = "/test_framework/v1/runs/{id}";
    table.tag("Runs", "One evaluator, one call, one verdict.");
    let list = table
        .get("/test_framework/v1/runs", list)
        .id("runs-v1-list")
        .summary("List runs, newest first")
        .about("Every filter that is given has to hold.")
        .paged();
    filter::declare(list);
    list.answers::<wire::Page<wire::RunSummary>>(200);
    table
        .get("/test_framework/v1/runs/bulk", bulk::bulk)
        .id("runs-v1-bulk-retrieve")
        .summary("Show several runs")
        .about(
            "In the order asked for; unknown ids are left out. The ETag changes when one of the runs \
             does: with If-None-Match, an unchanged answer is 304 without a body.",
        )
        .required_query(
            "run_ids",
            Kind::Text,
            "Their ids, separated by commas; at most 5,000.",
        )
        .answers::<Vec<wire::Run>>(200)
        .answers_nothing(304);
    table
        .get(ONE, read)
        .id("runs-v1-retrieve")
        .summary("Show a run")
        .about(
            "metadata.attempts has its calls and dials from the ledger, the newest 50, as \
             /ringdown/v1/attempts/ shows them. Lists, exports and runs/bulk have none.",
        )
        .answers::<wire::Run>(200);
    table
        .put(ONE, review::change)
        .id("runs-v1-update")
        .summary("Review a run")
        .about("The same as PATCH.")
        .takes(review::body())
        .answers::<wire::Run>(200);
    table
        .patch(ONE, review::change)
        .id("runs-v1-partial-update")
        .summary("Review a run")
        .about(
            "What the engine found out stays as it is and counts; a reviewer's verdict is shown in \
             evaluation_status.",
        )
        .takes(review::body())
        .answers::<wire::Run>(200);
    table
        .delete(ONE, delete)
        .id("runs-v1-destroy")
        .summary("Delete a run that has ended, with its recording")
        .answers_nothing(204);
    table
        .post("/test_framework/v1/runs/{id}/end_call", end_call)
        .id("end-call_2")
        .summary("Cancel a run and end its call")
        .answers::<wire::Run>(200);
    table
        .get("/test_framework/v1/runs/{id}/get_listen_url", listen_url)
        .id("runs-v1-get-listen-url-retrieve")
        .summary("Say where a run's call can be listened to")
        .about(
            "A call can be listened to once it is over: 409 before, 404 if nothing was recorded.",
        )
        .answers::<wire::ListenUrl>(200);
}

async fn list(
    Extract(state): Extract<State>,
    asked: Asked,
) -> Answer<Json<wire::Page<wire::RunSummary>>> {
    let page = asked.page()?;
    let listing = match filter::read(&state, &asked).await? {
        Some(filter) => {
            state
                .store()
                .runs(asked.principal.scope, filter, page)
                .await?
        }
        None => Listing {
            count: 0,
            rows: Vec::new(),
        },
    };
    Ok(Json(
        asked.listing(page, listing, |run| show::summary(&run))?,
    ))
}

/// Attempts shown with a run: the newest.
const ATTEMPTS: u32 = 50;

/// Shows one run with its attempts. Many runs at once are shown without: their attempts would be a
/// query for each request of every poller, and no version of a run says that it has a new one.
async fn detail(state: &State, asked: &Asked, run: &Run) -> Answer<Json<wire::Run>> {
    let filter = AttemptFilter {
        run: Some(run.id),
        ..AttemptFilter::default()
    };
    let page = Page {
        number: 1,
        size: ATTEMPTS,
    };
    let scope = asked.principal.scope;
    let found = state.store().attempts(scope, filter, page).await?;
    let mut shown = show(run, &asked.base);
    let rows: Vec<_> = found.rows.into_iter().map(attempts::show).collect();
    if let Some(metadata) = shown.metadata.as_object_mut() {
        metadata.insert("attempts".to_owned(), json!(rows));
    }
    Ok(Json(shown))
}

async fn read(Extract(state): Extract<State>, Id(id): Id, asked: Asked) -> Answer<Json<wire::Run>> {
    let run = state.store().run(asked.principal.scope, RunId(id)).await?;
    detail(&state, &asked, &run).await
}

async fn delete(Extract(state): Extract<State>, Id(id): Id, asked: Asked) -> Answer<StatusCode> {
    let scope = asked.principal.scope;
    state.store().delete_run(scope, RunId(id), now()).await?;
    state.engine.deleted();
    Ok(StatusCode::NO_CONTENT)
}

async fn end_call(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
) -> Answer<Json<wire::Run>> {
    let run = state
        .engine
        .cancel_run(asked.principal.scope, RunId(id))
        .await?;
    detail(&state, &asked, &run).await
}

async fn listen_url(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
) -> Answer<Json<wire::ListenUrl>> {
    let run = state.store().run(asked.principal.scope, RunId(id)).await?;
    let Some(url) = show(&run, &asked.base).voice_recording_url else {
        if run.status().is_terminal() {
            return Err(Failure::not_found("recording of run", id));
        }
        let message = format!(
            "Run {id} is {}: its call can be listened to once it is over.",
            run.status()
        );
        return Err(Failure::detail(StatusCode::CONFLICT, message));
    };
    Ok(Json(wire::ListenUrl {
        id,
        listen_url: url.clone(),
        voice_recording_url: url,
    }))
}
