use axum::extract::Request;
use axum::http::{Extensions, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Longest name a client may give its request, in bytes.
const LONGEST: usize = 128;

/// Between the name a client gave and ours. No sane name has one.
const BETWEEN: char = ' ';

/// What a request is called in answers and in the audit log.
#[derive(Clone, Debug)]
pub(crate) struct RequestId {
    ours: String,
    /// The client's name for it. Others may have used it too.
    given: Option<String>,
}

impl RequestId {
    /// A name that no other request has, whatever clients send: a client that repeats one must not
    /// keep its later requests out of the audit log.
    pub(crate) fn unique(of: &Extensions) -> String {
        match of.get::<Self>() {
            Some(Self {
                ours,
                given: Some(given),
            }) => format!("{given}{BETWEEN}{ours}"),
            Some(Self { ours, given: None }) => ours.clone(),
            None => ringdown_bus::new_event_id(),
        }
    }

    /// What the client was told, of a unique name.
    pub(crate) fn told(unique: &str) -> &str {
        unique.split(BETWEEN).next().unwrap_or(unique)
    }
}

fn is_sane(name: &str) -> bool {
    (1..=LONGEST).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.:/+=".contains(&b))
}

/// Names a request: as its client does, if that is sane. The answer has the name.
pub(crate) async fn identify(mut request: Request, next: Next) -> Response {
    let given = request.headers().get(&HEADER);
    let given = given.and_then(|value| value.to_str().ok());
    let id = RequestId {
        ours: ringdown_bus::new_event_id(),
        given: given.filter(|name| is_sane(name)).map(str::to_owned),
    };
    let told = id.given.as_ref().unwrap_or(&id.ours);
    let told = HeaderValue::from_str(told);
    request.extensions_mut().insert(id);
    let mut response = next.run(request).await;
    if let Ok(told) = told {
        response.headers_mut().insert(HEADER, told);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sane_names_are_taken_over_and_each_request_is_unique() {
        for sane in ["a", "7f3-1.2:x/y+z=", &"x".repeat(128)] {
            assert!(is_sane(sane), "{sane}");
        }
        for mad in ["", "a b", "\u{e9}", "a\"", "<script>", &"x".repeat(129)] {
            assert!(!is_sane(mad), "{mad}");
        }
        let named = |ours: &str, given: Option<&str>| {
            let mut extensions = Extensions::new();
            extensions.insert(RequestId {
                ours: ours.to_owned(),
                given: given.map(str::to_owned),
            });
            RequestId::unique(&extensions)
        };
        assert_ne!(named("1", Some("same")), named("2", Some("same")));
        assert_eq!(RequestId::told(&named("1", Some("same"))), "same");
        assert_eq!(RequestId::told(&named("1", None)), "1");
    }
}
