//! Endings by SIP response.

use ringdown_domain::dial::Ending;

/// What a final SIP response says of a call (RFC 3261 section 21, RFC 8197, RFC 8688); `None` if it says nothing of
/// its own.
pub(crate) fn by_sip(code: u16) -> Option<Ending> {
    match code {
        // Forbidden, decline, unwanted, rejected.
        403 | 603 | 607 | 608 => Some(Ending::Rejected),
        // Not found, gone, address incomplete, exists nowhere.
        404 | 410 | 484 | 604 => Some(Ending::InvalidNumber),
        // Request timeout, temporarily unavailable, terminated because nobody answered.
        408 | 480 | 487 => Some(Ending::NoAnswer),
        // Busy here, busy everywhere.
        486 | 600 => Some(Ending::Busy),
        _ => None,
    }
}

/// How a call ended of which only its final SIP response is known.
pub(crate) fn by_sip_alone(code: Option<u16>) -> Ending {
    match code {
        Some(200..=299) => Ending::Completed,
        code => code.and_then(by_sip).unwrap_or(Ending::Failed),
    }
}

/// A final SIP response in a field of its own; what is none is left out.
pub(crate) fn sip_code(text: &str) -> Option<u16> {
    let code = text.trim().parse().ok()?;
    (200..700).contains(&code).then_some(code)
}
