use ringdown_vault::Secret;

use crate::signed::{SKEW, fits_hex, fresh, moment, sent};
use crate::{Callback, InvalidSettings, Rejected, Settings};

/// Headers that a user may not choose for a signature, because they are long taken.
const TAKEN: [&str; 3] = ["authorization", "content-type", "content-length"];

/// How Vapi shows that a server message is its own.
#[derive(Clone, Debug)]
pub(super) enum Proof {
    Bearer(Secret),
    Shared(Secret),
    Hmac {
        secret: Secret,
        header: String,
        timestamp: Option<String>,
    },
}

impl Proof {
    /// Takes `callback_auth`, and what that scheme needs.
    pub(super) fn read(settings: &mut Settings) -> Result<Option<Self>, InvalidSettings> {
        let Some(scheme) = settings.text("callback_auth")? else {
            return Ok(None);
        };
        let secret = settings.credential("vapi_webhook_secret")?;
        Ok(Some(match scheme.as_str() {
            "bearer" => Proof::Bearer(secret),
            "secret" => Proof::Shared(secret),
            "hmac" => {
                let header = header(settings, "signature_header", "x-signature")?;
                let timestamp = header_or_none(settings)?;
                Proof::Hmac {
                    secret,
                    header,
                    timestamp,
                }
            }
            _ => {
                let problem = "expected bearer, secret or hmac";
                return Err(InvalidSettings::new("callback_auth", problem));
            }
        }))
    }

    /// Whether a message is Vapi's own.
    pub(super) fn check(&self, callback: &Callback<'_>) -> Result<(), Rejected> {
        let equal = |secret: &Secret, given: &str| {
            let equal = secret.matches(given);
            equal.then_some(()).ok_or(Rejected::Forged)
        };
        match self {
            Self::Bearer(secret) => equal(secret, sent(callback)?),
            Self::Shared(secret) => {
                const HEADER: &str = "x-vapi-secret";
                let given = callback.header(HEADER).ok_or(Rejected::Unsigned(HEADER))?;
                equal(secret, given)
            }
            Self::Hmac {
                secret,
                header,
                timestamp,
            } => {
                let given = callback
                    .header(header)
                    .ok_or(Rejected::Unsigned("that signature_header names"))?;
                let given = given.strip_prefix("sha256=").unwrap_or(given);
                let Some(timestamp) = timestamp else {
                    let good = fits_hex(secret, &[callback.body], given);
                    return good.then_some(()).ok_or(Rejected::Forged);
                };
                let time = callback
                    .header(timestamp)
                    .ok_or(Rejected::Unsigned("that timestamp_header names"))?;
                if !fits_hex(secret, &[time.as_bytes(), b".", callback.body], given) {
                    return Err(Rejected::Forged);
                }
                // Eleven digits of seconds are the year 5138; twelve of milliseconds are 2001.
                let unit = if time.len() > 11 { 1000 } else { 1_000_000 };
                fresh(callback.at, moment(time, unit)?, SKEW)
            }
        }
    }
}

fn header_or_none(settings: &mut Settings) -> Result<Option<String>, InvalidSettings> {
    let name = header(settings, "timestamp_header", "x-timestamp")?;
    Ok((name != "none").then_some(name))
}

fn header(
    settings: &mut Settings,
    field: &'static str,
    default: &str,
) -> Result<String, InvalidSettings> {
    let name = settings.text(field)?;
    let name = name.map_or_else(|| default.to_owned(), |name| name.to_ascii_lowercase());
    match ringdown_egress::header_field(&name, "") {
        Ok(_) if !TAKEN.contains(&name.as_str()) => Ok(name),
        _ => Err(InvalidSettings::new(field, "it is no name of a header")),
    }
}
