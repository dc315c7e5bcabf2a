//! `ringdown dial`: one call.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ringdown_carrier::{agent_tone, place, read_wav};
use ringdown_sip::{DialError, EndedBy, Endpoint, EndpointOptions, Incoming, MediaStats};
use serde::Serialize;

use crate::cli::{Dial, Format};
use crate::exit::{Exit, Failure, Outcome};
use crate::print;

/// What became of the call.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// `answered`, `refused`, `no_answer`, `not_sent` or `failed`.
    outcome: &'static str,
    /// Final SIP response; 200 if answered.
    status: Option<u16>,
    /// The far end's `Reason` header, or what happened here.
    reason: String,
    /// SIP Call-ID.
    call_id: String,
    /// From the INVITE to the final response.
    setup_ms: u128,
    /// From the answer to the end.
    duration_ms: u128,
    /// `us`, `far end`, `media timeout` or `error`.
    ended_by: &'static str,
    packets_sent: u64,
    packets_received: u64,
    packets_lost: u64,
}

impl Report {
    fn media(&mut self, media: &MediaStats) {
        self.packets_sent = media.packets_sent;
        self.packets_received = media.packets_received;
        self.packets_lost = media.lost;
    }
}

/// A user agent of one command, on the address that faces `target`.
pub(crate) async fn user_agent(target: SocketAddr) -> Result<(Endpoint, Incoming), Failure> {
    let local = ringdown_carrier::facing(target).map_err(Failure::unavailable)?;
    Endpoint::bind(EndpointOptions {
        listen: (local, 0).into(),
        user_agent: concat!("ringdown/", env!("CARGO_PKG_VERSION")).to_owned(),
        advertised_ip: None,
        incoming_backlog: 1,
    })
    .await
    .map_err(Failure::unavailable)
}

pub(crate) async fn dial(dial: &Dial, format: Format) -> Outcome {
    let says = match &dial.play {
        Some(path) => {
            read_wav(path).map_err(|error| Failure::usage(format!("failed to {error}")))?
        }
        None => agent_tone(),
    };
    let (endpoint, _incoming) = user_agent(dial.proxy).await?;
    let begun = Instant::now();
    let placed = place(
        &endpoint,
        dial.proxy,
        &dial.from,
        &dial.to,
        Vec::new(),
        Duration::from_secs(dial.ring),
        says,
        Duration::from_secs(dial.seconds),
    )
    .await;
    let mut report = Report {
        setup_ms: begun.elapsed().as_millis(),
        ..Report::default()
    };
    let exit = match placed {
        Ok(placed) => {
            report.outcome = "answered";
            report.status = Some(200);
            placed.call.id().clone_into(&mut report.call_id);
            let ended = placed.talk().await;
            report.duration_ms = ended.duration.as_millis();
            report.ended_by = match ended.by {
                EndedBy::Local => "us",
                EndedBy::Remote => "far end",
                EndedBy::Media => "media timeout",
                _ => "error",
            };
            report.media(&ended.media);
            Exit::Success
        }
        Err(error) => refused(&mut report, &error),
    };
    endpoint.shutdown(Duration::from_secs(2)).await;
    if format == Format::Json {
        print::json(&report)?;
    } else {
        let status = report.status.map_or_else(String::new, |s| format!(" {s}"));
        let mut text = format!("{}{status} after {} ms", report.outcome, report.setup_ms);
        if !report.reason.is_empty() {
            text.push_str(&format!(": {}", report.reason));
        }
        if exit == Exit::Success {
            text.push_str(&format!(
                "; up for {} ms, ended by {}, {} packets sent, {} received",
                report.duration_ms, report.ended_by, report.packets_sent, report.packets_received
            ));
        }
        print::line(&text)?;
    }
    Ok(exit)
}

fn refused(report: &mut Report, error: &DialError) -> Exit {
    report.reason = error.to_string();
    match error {
        DialError::Refused {
            status,
            reason_header,
            ..
        } => {
            report.outcome = "refused";
            report.status = Some(*status);
            if let Some(reason) = reason_header {
                report.reason.clone_from(reason);
            }
            Exit::NotPassed
        }
        DialError::NoAnswer => {
            report.outcome = "no_answer";
            Exit::NotPassed
        }
        error if !error.was_sent() => {
            report.outcome = "not_sent";
            Exit::Unavailable
        }
        _ => {
            report.outcome = "failed";
            Exit::NotPassed
        }
    }
}
