//! A provider of phone numbers, all three of them at once. It owns one number, and knows one account.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use tokio::net::TcpListener;

/// The number that it owns.
pub const OWNED: &str = "+15558880001";
/// The secret of the account at each provider.
pub const SECRET: &str = "right-token";

/// `printf AC1:right-token | base64`, the same for `MA1`, and the bearer.
const ACCOUNTS: [&str; 3] = [
    "Basic QUMxOnJpZ2h0LXRva2Vu",
    "Basic TUExOnJpZ2h0LXRva2Vu",
    "Bearer right-token",
];

pub struct Provider {
    url: String,
    asked: Asked,
}

type Asked = Arc<Mutex<Vec<String>>>;

impl Provider {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Asked::default();
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&asked));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, asked }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// The paths that were asked for.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn answer(State(asked): State<Asked>, request: Request) -> Response {
    let path = request.uri().to_string();
    asked.lock().unwrap().push(path.clone());
    let given = request.headers().get(header::AUTHORIZATION);
    let given = given.and_then(|value| value.to_str().ok()).unwrap_or("");
    if !ACCOUNTS.contains(&given) {
        return (StatusCode::UNAUTHORIZED, "who are you").into_response();
    }
    let digits = &OWNED[1..];
    let is_owned = path.contains(digits);
    if path.contains("15550000000") {
        return (StatusCode::SERVICE_UNAVAILABLE, "closed").into_response();
    }
    let answer = if path.starts_with("/2010-04-01/") {
        let owned = json!([{"sid": "PN1", "phone_number": OWNED, "friendly_name": "Front desk"}]);
        json!({"incoming_phone_numbers": if is_owned { owned } else { json!([]) }})
    } else if path.starts_with("/v2/") {
        let owned = json!([{"id": "129", "phone_number": OWNED, "status": "active"}]);
        json!({"data": if is_owned { owned } else { json!([]) }})
    } else if is_owned {
        json!({"number": digits, "alias": "Plivo desk"})
    } else {
        return StatusCode::NOT_FOUND.into_response();
    };
    axum::Json(answer).into_response()
}
