//! Whether the testing agent answers where calls are to go.

use std::net::SocketAddr;
use std::time::Duration;

use ringdown_api::own::Finding;
use ringdown_egress::{Class, classify};
use ringdown_sip::{ProbeError, Probed};

use crate::dial::user_agent;
use crate::exit::Failure;

/// How long an answer is waited for.
const DEADLINE: Duration = Duration::from_secs(3);

/// Looks at the address that calls go to: the one that was `named`, or else the one that is announced.
pub(super) async fn look(
    named: Option<SocketAddr>,
    announced: Option<&str>,
) -> Result<Vec<Finding>, Failure> {
    let announced = announced.and_then(|uri| uri.strip_prefix("sip:")?.parse().ok());
    let Some(target) = named.or(announced) else {
        return Ok(vec![Finding::warning(
            "sip_address_unknown",
            "The platform does not say where calls go: its testing agent is another process.",
            "Name the address of the testing agent with --sip.",
        )]);
    };
    if target.ip().is_unspecified() {
        return Ok(vec![Finding::warning(
            "sip_address_unspecified",
            format!("The testing agent listens on every address and announces none ({target})."),
            "Set sip.advertised_ip, and name the address here with --sip.",
        )]);
    }
    let (endpoint, _incoming) = user_agent(target).await?;
    let probed = endpoint.probe(target, DEADLINE).await;
    endpoint.shutdown(Duration::ZERO).await;
    Ok(judge(target, &probed))
}

fn judge(target: SocketAddr, probed: &Result<Probed, ProbeError>) -> Vec<Finding> {
    let class = classify(target.ip());
    let address = match class {
        Class::Public => Finding::ok(
            "sip_address_public",
            format!("Calls go to {target}, a public address."),
        ),
        class => Finding::warning(
            "sip_address_private",
            format!(
                "Calls go to {target}, which is {class}: callers from elsewhere cannot reach it."
            ),
            "Unless the agent's calls come from the same machine or network, set sip.listen and \
             sip.advertised_ip to a public address.",
        ),
    };
    let answer = match probed {
        Ok(Probed { status: 200, took }) => Finding::ok(
            "sip_reachable",
            format!(
                "A user agent answers at {target} after {} ms.",
                took.as_millis()
            ),
        ),
        Ok(Probed { status, .. }) => Finding::warning(
            "sip_answer_odd",
            format!("What is at {target} answers OPTIONS with {status}, a testing agent with 200."),
            "Check that the address is that of the testing agent.",
        ),
        Err(ProbeError::NoAnswer { within, .. }) => Finding::error(
            "sip_silent",
            format!(
                "Nothing answers at {target} over UDP within {} s.",
                within.as_secs()
            ),
            "Start the testing agent, open the port, or correct the address; if only your trunk may \
             reach it, ask from a host that may as well.",
        ),
        Err(error) => Finding::error(
            "sip_unreachable",
            format!("The testing agent cannot be asked: failed to {error}."),
            "Check the address and this machine's network.",
        ),
    };
    vec![address, answer]
}

#[cfg(test)]
mod tests {
    use ringdown_api::own::Severity;
    use ringdown_sip::{Endpoint, EndpointOptions};

    use super::*;

    fn codes(target: &str, probed: &Result<Probed, ProbeError>) -> Vec<(String, Severity)> {
        let found = judge(target.parse().unwrap(), probed);
        found.into_iter().map(|f| (f.code, f.severity)).collect()
    }

    fn answered(status: u16) -> Result<Probed, ProbeError> {
        Ok(Probed {
            status,
            took: Duration::from_millis(2),
        })
    }

    #[test]
    fn an_address_is_judged_by_whom_it_is_for_and_what_answers() {
        let (ok, warning, error) = (Severity::Ok, Severity::Warning, Severity::Error);
        for (target, expected, severity) in [
            ("8.8.8.8:5060", "sip_address_public", ok),
            ("127.0.0.1:5060", "sip_address_private", warning),
            ("10.1.2.3:5060", "sip_address_private", warning),
            ("100.64.0.1:5060", "sip_address_private", warning),
            ("[::1]:5060", "sip_address_private", warning),
            ("[fd12::1]:5060", "sip_address_private", warning),
        ] {
            let found = codes(target, &answered(200));
            assert_eq!(found[0], (expected.to_owned(), severity), "{target}");
            assert_eq!(found[1], ("sip_reachable".to_owned(), ok));
        }
        let target: SocketAddr = "8.8.8.8:5060".parse().unwrap();
        let silent = ProbeError::NoAnswer {
            target,
            within: DEADLINE,
        };
        let unsent = ProbeError::NotSent {
            target,
            reason: "no route".to_owned(),
        };
        for (probed, expected, severity) in [
            (answered(405), "sip_answer_odd", warning),
            (Err(silent), "sip_silent", error),
            (Err(unsent), "sip_unreachable", error),
        ] {
            let found = codes("8.8.8.8:5060", &probed);
            assert_eq!(found[1], (expected.to_owned(), severity));
        }
    }

    #[tokio::test]
    async fn an_address_that_is_not_there_is_not_asked() {
        for (announced, expected) in [
            (None, "sip_address_unknown"),
            (Some("sip:nowhere"), "sip_address_unknown"),
            (Some("sip:0.0.0.0:5060"), "sip_address_unspecified"),
            (Some("sip:[::]:5060"), "sip_address_unspecified"),
        ] {
            let found = look(None, announced).await.unwrap();
            assert_eq!((found.len(), found[0].code.as_str()), (1, expected));
        }
    }

    #[tokio::test]
    async fn a_user_agent_answers() {
        let options = EndpointOptions {
            listen: "127.0.0.1:0".parse().unwrap(),
            user_agent: "test".to_owned(),
            advertised_ip: None,
            incoming_backlog: 1,
        };
        let (there, _incoming) = Endpoint::bind(options).await.unwrap();
        let found = look(Some(there.local_addr()), Some("sip:192.0.2.1:9"))
            .await
            .unwrap();
        assert_eq!(found[1].code, "sip_reachable", "{found:?}");
    }
}
