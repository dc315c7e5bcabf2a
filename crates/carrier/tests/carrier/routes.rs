//! Ways to dial as text.

use std::collections::BTreeMap;
use std::time::Duration;

use ringdown_carrier::{RouteSpec, Routes};

/// The routes with one named `one`.
pub(crate) async fn one(text: &str) -> Routes {
    build(text, None).await.unwrap()
}

async fn build(text: &str, local: Option<&str>) -> Result<Routes, String> {
    let specs = BTreeMap::from([("one".to_owned(), text.parse().unwrap())]);
    Routes::build(&specs, local.map(|local| local.parse().unwrap()), &|_| None)
        .await
        .map_err(|error| error.to_string())
}

#[test]
fn mistakes_are_named_with_what_was_expected() {
    for (text, words) in [
        ("", "exec:COMMAND, sip:HOST:PORT or a provider"),
        ("exec", "exec:COMMAND, sip:HOST:PORT or a provider"),
        (
            "EXEC:./call.sh",
            "exec:COMMAND, sip:HOST:PORT or a provider",
        ),
        (
            "http://example.com",
            "exec:COMMAND, sip:HOST:PORT or a provider",
        ),
        ("exec:", "name a command"),
        ("exec:   ", "name a command"),
        ("exec:'./call.sh", "quote"),
        ("exec:\"./call.sh", "quote"),
        ("sip:", "\"\" is not ip:port"),
        ("sip:192.0.2.7", "\"192.0.2.7\" is not ip:port"),
        ("sip:trunk.example.com:5060", "is not ip:port"),
        ("sip:192.0.2.7:99999", "is not ip:port"),
        ("sip:192.0.2.7:0", "is not ip:port"),
        ("sip:0.0.0.0:5060", "is not ip:port"),
        ("sip:[::]:5060", "is not ip:port"),
        ("sip:Local", "is not ip:port"),
        ("sip:local?seconds=0", "1 to 3600"),
        ("sip:local?seconds=3601", "1 to 3600"),
        ("sip:local?seconds=-1", "1 to 3600"),
        ("sip:local?seconds=", "1 to 3600"),
        ("sip:local?seconds=99999999999999999999999", "1 to 3600"),
        ("sip:local?seconds", "neither play=WAV nor seconds=N"),
        ("sip:local?Play=a.wav", "neither play=WAV nor seconds=N"),
    ] {
        let error = text.parse::<RouteSpec>().unwrap_err();
        assert_eq!(error.text, text);
        assert!(error.to_string().contains(words), "{text}: {error}");
    }
}

#[test]
fn routes_are_read() {
    let sip = |proxy: Option<&str>, play: Option<&str>, seconds| RouteSpec::Sip {
        proxy: proxy.map(|proxy| proxy.parse().unwrap()),
        play: play.map(Into::into),
        hold: Duration::from_secs(seconds),
    };
    for (text, expected) in [
        ("sip:local", sip(None, None, 60)),
        ("sip:local?", sip(None, None, 60)),
        (
            "sip:192.0.2.7:5060?seconds=3600",
            sip(Some("192.0.2.7:5060"), None, 3600),
        ),
        (
            "sip:[2001:db8::1]:5060",
            sip(Some("[2001:db8::1]:5060"), None, 60),
        ),
        (
            "sip:local?play=a b.wav&seconds=1",
            sip(None, Some("a b.wav"), 1),
        ),
    ] {
        assert_eq!(text.parse::<RouteSpec>().unwrap(), expected, "{text}");
    }
}

#[tokio::test]
async fn a_route_that_cannot_be_used_is_refused_when_it_is_built() {
    let error = build("sip:local", None).await.err().unwrap();
    assert!(
        error.contains("\"one\"") && error.contains("testing agent"),
        "{error}"
    );
    let error = build("sip:local?play=/nonexistent/a.wav", Some("127.0.0.1:5060"))
        .await
        .err()
        .unwrap();
    assert!(error.contains("/nonexistent/a.wav"), "{error}");
    let routes = build("sip:local", Some("127.0.0.1:5060")).await.unwrap();
    assert_eq!(
        routes.get("one").unwrap().describe(),
        "sip through 127.0.0.1:5060"
    );
    assert!(routes.get("two").is_none());
    assert_eq!(
        (routes.names().as_str(), Routes::default().names().as_str()),
        ("one", "none")
    );
}

#[tokio::test]
async fn a_provider_gets_its_secrets_and_says_which_is_missing() {
    let spec = "retell:agent_id=a&from_number=%2B15550100002"
        .parse()
        .unwrap();
    let specs = std::collections::BTreeMap::from([("main".to_owned(), spec)]);
    let error = Routes::build(&specs, None, &|_| None).await;
    let error = error.err().unwrap().to_string();
    assert!(error.contains("RETELL_API_KEY"), "{error}");
    let secret = |name: &str| (name == "retell_api_key").then(|| "hush-hush".to_owned().into());
    let routes = Routes::build(&specs, None, &secret).await.unwrap();
    assert!(routes.get("main").unwrap().describe().contains("retell"));
}
