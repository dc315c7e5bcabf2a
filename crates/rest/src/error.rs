use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ringdown_api::{Detail, FieldErrors};
use ringdown_store::Error as StoreError;
use tracing::error;

/// An error answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something is wrong with fields.
    Fields(FieldErrors),
    /// Something is wrong with the request as a whole.
    Detail(StatusCode, String),
    /// Too much was asked in too short a time.
    Throttled {
        /// What was too much.
        message: String,
        /// Seconds until asking again helps.
        seconds: u64,
    },
}

pub(crate) type Answer<T> = Result<T, Failure>;

impl Failure {
    pub(crate) fn field(name: &str, message: impl Into<String>) -> Self {
        Self::Fields(FieldErrors::of(name, message))
    }

    pub(crate) fn detail(status: StatusCode, message: impl Into<String>) -> Self {
        Self::Detail(status, message.into())
    }

    /// Too much was asked; in `wait` it is not.
    pub(crate) fn throttled(what: &str, wait: std::time::Duration) -> Self {
        let seconds = wait.as_millis().div_ceil(1000).clamp(1, 86_400);
        let seconds = u64::try_from(seconds).unwrap_or(86_400);
        Self::Throttled {
            message: format!("{what}; try again in {seconds} s."),
            seconds,
        }
    }

    pub(crate) fn not_found(what: &str, id: impl std::fmt::Display) -> Self {
        Self::detail(
            StatusCode::NOT_FOUND,
            format!("There is no {what} {id} in your organisation."),
        )
    }

    /// Hides what happened from the caller and logs it under an id that the caller can quote.
    pub(crate) fn internal(what: &str) -> Self {
        let id = ringdown_bus::new_event_id();
        error!(error_id = %id, error = %what, "a request failed inside");
        Self::detail(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("Something failed inside; the log explains it under {id}."),
        )
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Self::Fields(errors) => (StatusCode::BAD_REQUEST, Json(errors)).into_response(),
            Self::Detail(status, detail) => (status, Json(Detail { detail })).into_response(),
            Self::Throttled { message, seconds } => (
                StatusCode::TOO_MANY_REQUESTS,
                [(header::RETRY_AFTER, seconds.to_string())],
                Json(Detail { detail: message }),
            )
                .into_response(),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { what, id } => Self::not_found(what, id),
            StoreError::Conflict { what, why } => Self::detail(
                StatusCode::CONFLICT,
                format!("The {what} cannot be stored or changed: {why}."),
            ),
            StoreError::TooFewNumbers { wanted, free } => Self::field(
                "mode",
                format!(
                    "{wanted} runs need a number of their own and {free} numbers are free: {} are \
                     missing. Add numbers, wait for other runs to end, or use same_number.",
                    wanted - free
                ),
            ),
            StoreError::Illegal(why) => Self::detail(StatusCode::CONFLICT, format!("{why}.")),
            other => Self::internal(&other.to_string()),
        }
    }
}

impl From<ringdown_platform::Error> for Failure {
    fn from(error: ringdown_platform::Error) -> Self {
        match error {
            ringdown_platform::Error::Store(error) => error.into(),
            other => Self::internal(&other.to_string()),
        }
    }
}

/// What was looked up, if it exists. Other failures of the look-up stay failures.
pub(crate) fn found<T>(looked_up: Result<T, StoreError>) -> Answer<Option<T>> {
    match looked_up {
        Ok(value) => Ok(Some(value)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(crate) async fn unknown_path() -> Failure {
    Failure::detail(StatusCode::NOT_FOUND, "There is no such path.")
}

pub(crate) async fn method_not_allowed() -> Failure {
    Failure::detail(
        StatusCode::METHOD_NOT_ALLOWED,
        "This path does not take that method; the Allow header names those it takes.",
    )
}

/// The answer after a panic in a handler, which is a defect.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature is the panic layer's"
)]
pub(crate) fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    Failure::internal(&format!("panic: {text}")).into_response()
}

/// Gives error answers made by libraries, which are plain text, the API's own shape.
pub(crate) async fn shape(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let json = is_json(response.headers());
    if !(status.is_client_error() || status.is_server_error()) || json {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let text = axum::body::to_bytes(body, 4096).await.unwrap_or_default();
    let mut detail = String::from_utf8_lossy(&text).into_owned();
    if detail.is_empty() {
        status
            .canonical_reason()
            .unwrap_or("error")
            .clone_into(&mut detail);
    }
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::CONTENT_TYPE);
    let mut shaped = Failure::detail(status, detail).into_response();
    for (name, value) in &parts.headers {
        shaped.headers_mut().insert(name.clone(), value.clone());
    }
    shaped
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/json"))
}
