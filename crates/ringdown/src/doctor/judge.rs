//! What a test call showed: from the run and its rows of the ledger to findings. No I/O.

use std::net::{IpAddr, SocketAddr};

use ringdown_api::Run;
use ringdown_api::own::{Attempt, CallDetail, Finding};
use ringdown_domain::run::Status;

use serde::Deserialize as _;

use super::call::is_over;

/// Every finding about the call of `run`; `attempts` are its rows of the ledger, newest first.
pub(super) fn judge(run: &Run, attempts: &[Attempt]) -> Vec<Finding> {
    let invites = || attempts.iter().filter(|row| row.kind == "invite");
    let matched = invites().find(|row| row.verdict == "matched" && !row.nearest);
    let Some(matched) = matched else {
        return vec![match invites().next() {
            Some(last) => refused(run, last, invites().count()),
            None => not_arrived(run, attempts),
        }];
    };
    let mut findings = vec![arrived(matched)];
    let detail = run.metadata.get("call").filter(|detail| detail.is_object());
    let detail = detail.and_then(|detail| CallDetail::deserialize(detail).ok());
    match detail {
        Some(detail) => {
            findings.push(Finding::ok(
                "call_codec",
                format!("Audio was {} both ways.", detail.codec),
            ));
            findings.push(nat(&detail));
            findings.push(audio(run, &detail));
        }
        None => findings.push(Finding::warning(
            "call_detail_unknown",
            "The platform does not know codec, addresses and packets of the call: it was not answered, \
             or its testing agent is an older one.",
            "Look at the run and at the log of the testing agent.",
        )),
    }
    findings.push(end(run));
    findings
}

/// Caller and callee as they came and as they were read.
fn numbers(row: &Attempt) -> String {
    let side = |raw: &str, number: &Option<String>| match (raw, number) {
        ("", _) => "nobody".to_owned(),
        (raw, Some(number)) if raw == number => raw.to_owned(),
        (raw, Some(number)) => format!("{raw} (read as {number})"),
        (raw, None) => format!("{raw} (no number)"),
    };
    let via = match (row.trunk.as_str(), row.from_header.as_deref()) {
        ("", None) => String::new(),
        ("", Some(header)) => format!(" (header {header})"),
        (trunk, None) => format!(" (trunk {trunk})"),
        (trunk, Some(header)) => format!(" (trunk {trunk}, header {header})"),
    };
    format!(
        "from {}{via} to {} from the address {}",
        side(&row.from_raw, &row.from),
        side(&row.to_raw, &row.to),
        row.source
    )
}

fn arrived(row: &Attempt) -> Finding {
    Finding::ok(
        "call_matched",
        format!("The call arrived {} and was matched.", numbers(row)),
    )
}

fn refused(run: &Run, last: &Attempt, count: usize) -> Finding {
    let calls = match count {
        1 => "A call".to_owned(),
        many => format!("The last of {many} calls"),
    };
    let advice = match last.verdict.as_str() {
        "caller_id_mismatch" => {
            "Set the agent's contact_number or outbound_numbers to what arrives, or call from them."
                .to_owned()
        }
        "caller_id_missing" => {
            "Make the trunk send the caller ID, or say which of its headers names the caller."
                .to_owned()
        }
        "untrusted_source" => "Add the trunk's addresses to sip.trusted.".to_owned(),
        _ => format!("See `ringdown attempts --run {}`.", run.id),
    };
    Finding::error(
        "call_refused",
        format!(
            "{calls} arrived {} and was refused as {}: {}.",
            numbers(last),
            last.verdict,
            last.explanation.trim_end_matches('.')
        ),
        advice,
    )
}

fn not_arrived(run: &Run, attempts: &[Attempt]) -> Finding {
    let dial = attempts.iter().find(|row| row.kind == "dial");
    let dialed = match dial {
        Some(row) => format!(
            "; the dialer's route {} says {}: {}",
            row.route, row.verdict, row.explanation
        ),
        None => "; no dialer tried to make it".to_owned(),
    };
    let why = match run.error_message.as_str() {
        "" => String::new(),
        why => format!(" The run says: {why}."),
    };
    let advice = match dial.map(|row| row.verdict.as_str()) {
        Some("placed") => "Check that the trunk leads calls to the SIP address.",
        Some(_) => "Mend the dial route.",
        None => {
            "Make the agent call the run's number once the run is pending, or give it a dial route."
        }
    };
    Finding::error(
        "call_not_arrived",
        format!(
            "No call arrived for run {}{}.{why}",
            run.id,
            dialed.trim_end_matches('.')
        ),
        advice,
    )
}

/// Where the caller says it is, against where it is seen.
fn nat(detail: &CallDetail) -> Finding {
    let mut differ = Vec::new();
    let source: Option<SocketAddr> = detail.source.parse().ok();
    let contact = host(&detail.contact).and_then(|host| host.parse::<IpAddr>().ok());
    if let (Some(source), Some(contact)) = (source, contact)
        && source.ip() != contact
    {
        differ.push(format!(
            "signalling comes from {} and its Contact says {contact}",
            source.ip()
        ));
    }
    if !detail.media_seen.is_empty() && detail.media_seen != detail.media_described {
        differ.push(format!(
            "audio comes from {} and its description says {}",
            detail.media_seen, detail.media_described
        ));
    }
    if differ.is_empty() {
        return Finding::ok(
            "call_direct",
            format!(
                "Signalling and audio come from where the caller says it is ({}).",
                detail.source
            ),
        );
    }
    Finding::warning(
        "call_nat",
        format!("The caller is behind NAT: {}.", differ.join("; ")),
        "Audio follows the address it comes from; make the caller announce its public address, so that \
         requests to its Contact arrive too.",
    )
}

/// The host of the first URI in a Contact header, without its port.
fn host(contact: &str) -> Option<&str> {
    let uri = match contact.split_once('<') {
        Some((_, rest)) => rest.split('>').next()?,
        None => contact,
    };
    let (_, rest) = uri.split_once(':')?;
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    if let Some(v6) = place.strip_prefix('[') {
        return v6.split(']').next();
    }
    place.split([':', ';', '?', ',']).next().map(str::trim)
}

/// Packets both ways, and a voice on each side.
fn audio(run: &Run, detail: &CallDetail) -> Finding {
    let packets = format!(
        "{} packets to the agent, {} from it, {} lost",
        detail.packets_sent, detail.packets_received, detail.packets_lost
    );
    let one_way = |what: &str, advice: &str| {
        Finding::error("call_one_way_audio", format!("{what}: {packets}."), advice)
    };
    if detail.packets_received == 0 {
        return one_way(
            "Nothing was heard of the agent",
            "Open the RTP ports to this machine, and announce an address that the agent can send to \
             (sip.advertised_ip).",
        );
    }
    if detail.packets_sent == 0 {
        return one_way(
            "Nothing was sent to the agent",
            "Check whether the agent put the call on hold.",
        );
    }
    let speaks = |who: &str| run.transcript_object.iter().any(|turn| turn.role == who);
    match (speaks("Main Agent"), speaks("Testing Agent")) {
        (true, true) => Finding::ok(
            "call_two_way_audio",
            format!("Both sides were heard: {packets}."),
        ),
        (true, false) => Finding::warning(
            "call_tester_silent",
            format!("The testing agent said nothing: {packets}."),
            "Give the evaluator a first_message, or a longer call.",
        ),
        (false, true) => Finding::warning(
            "call_agent_silent",
            format!("The agent sent audio and no speech was found in it: {packets}."),
            "Listen to the recording; check that the agent speaks and hears.",
        ),
        (false, false) => Finding::warning(
            "call_silent",
            format!("Audio flowed and nobody was found to speak: {packets}."),
            "Listen to the recording; without one nothing could be scored.",
        ),
    }
}

fn end(run: &Run) -> Finding {
    let id = run.id;
    if !is_over(run) {
        return Finding::error(
            "call_unfinished",
            format!(
                "Run {id} was still {} when its time was over, and was ended.",
                run.status
            ),
            "Look at the log of the platform and of its scoring role.",
        );
    }
    let reason = run.metadata.get("ended_reason");
    let reason = reason
        .and_then(|reason| reason.as_str())
        .unwrap_or("unknown");
    if run.status.known() != Some(Status::Completed) {
        return Finding::error(
            "call_run_failed",
            format!(
                "Run {id} ended as {} ({reason}): {}.",
                run.status, run.error_message
            ),
            "Mend what it names and ask again.",
        );
    }
    let verdict = match run.success {
        Some(true) => "it passed",
        _ => "it did not pass, which says nothing about the way of the call",
    };
    Finding::ok(
        "call_run_completed",
        format!("Run {id} was completed; {verdict}. The call ended by {reason}."),
    )
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
