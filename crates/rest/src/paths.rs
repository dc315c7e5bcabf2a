use axum::extract::Request;
use axum::http::Uri;
use axum::http::uri::PathAndQuery;

/// The path as the client wrote it, for links to further pages.
#[derive(Clone, Debug)]
pub(crate) struct AsAsked(pub(crate) String);

/// Resources that the reference serves a second time with `-external` after their name.
const RESOURCES: [&str; 12] = [
    "aiagents",
    "scenarios",
    "test-profiles",
    "phone-numbers",
    "runs",
    "results",
    "personalities",
    "metrics",
    "predefined-metrics",
    "cron-jobs",
    "projects",
    "organizations",
];

/// Rewrites a request to the one form that is routed: no `-external`, no trailing slash.
pub(crate) fn normalise(mut request: Request) -> Request {
    let asked = request.uri().path().to_owned();
    let path = canonical(&asked);
    if path != asked
        && let Some(uri) = with_path(request.uri(), &path)
    {
        *request.uri_mut() = uri;
    }
    request.extensions_mut().insert(AsAsked(asked));
    request
}

fn canonical(path: &str) -> String {
    let mut segments: Vec<&str> = path.split('/').collect();
    for segment in &mut segments {
        if let Some(name) = segment.strip_suffix("-external")
            && RESOURCES.contains(&name)
        {
            *segment = name;
        }
    }
    if segments.len() > 2 && segments.last() == Some(&"") {
        segments.pop();
    }
    segments.join("/")
}

fn with_path(uri: &Uri, path: &str) -> Option<Uri> {
    let text = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(text).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variant_has_one_canonical_form() {
        for path in [
            "/test_framework/v1/scenarios",
            "/test_framework/v1/scenarios/",
            "/test_framework/v1/scenarios-external",
            "/test_framework/v1/scenarios-external/",
        ] {
            assert_eq!(canonical(path), "/test_framework/v1/scenarios");
        }
        assert_eq!(canonical("/"), "/");
        assert_eq!(canonical("/x-external/"), "/x-external");
    }
}
