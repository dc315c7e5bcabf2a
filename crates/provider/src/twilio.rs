use crate::ask::Ring;
use crate::laml::{Dialect, Instructions, Laml, Speaks};
use crate::table::{Row, Table, never, never_by, passing_by};
use crate::{InvalidSettings, Settings, ask};

/// Twilio, Error and warning dictionary. A 429 without one of these codes, and every 5xx, is a doubt: 20500 may have
/// placed the call (Calls resource).
const ROWS: &[Row] = &[
    // Too many concurrent requests: not processed, safe to send again.
    passing_by("20429", "it is asked again more slowly"),
    // Call concurrency limit exceeded: rejected.
    passing_by(
        "10004",
        "too many calls are up; raise the account's limit of concurrent calls",
    ),
    // Call queue full: rejected. It holds a day of calls, so no window is long enough.
    never_by(
        "22005",
        "the account's queue is full; empty it, and call more slowly",
    ),
    // The caller ID is not the account's and not verified.
    never_by(
        "21210",
        "verify the caller ID in the Twilio console, or set from_number to a number of the account",
    ),
    // Caller ID is no valid number.
    never_by("21212", "set from_number to a number of the account"),
    // The number to call is not valid, or cannot be reached.
    never_by("21211", "check the number to call"),
    never_by("21214", "check the number to call"),
    // No permission for that country.
    never_by(
        "21215",
        "allow the country in the account's voice geographic permissions",
    ),
    never_by(
        "13227",
        "allow the country in the account's voice geographic permissions",
    ),
    // Trial accounts call verified numbers only, and few.
    never_by(
        "21219",
        "verify the number to call, or upgrade the trial account",
    ),
    never_by("573002", "upgrade the trial account"),
    never_by("573005", "upgrade the trial account"),
    never_by("14111", "upgrade the trial account"),
    // Invalid Timeout.
    never_by("21208", "this is a fault of the dialer; report it"),
    never(400, "correct the settings of this account"),
    // Authentication error.
    never(401, "check account_sid and twilio_auth_token"),
    never(
        403,
        "check the account's state and permissions in the Twilio console",
    ),
    never(404, "check account_sid and base_url"),
    // Wrong method or media type: nothing was read.
    never(405, "check base_url"),
    never(415, "check base_url"),
];

/// Twilio, Calls resource.
static DIALECT: Dialect = Dialect {
    name: "twilio",
    table: Table {
        provider: "Twilio",
        reset: "retry-after",
        rows: ROWS,
        others: &[],
    },
    path: &["2010-04-01", "Accounts"],
    suffix: ".json",
    // Some call flows ring five seconds longer than Timeout.
    ring: Ring::between(1, 600).overtime(5),
    signature: "X-Twilio-Signature",
    signature_settings: Some("X-Twilio-Webhooks-Signature-Settings"),
};

/// An account at Twilio.
#[derive(Clone, Debug)]
pub struct Twilio(Laml);

impl Twilio {
    /// From these settings:
    ///
    /// * `account_sid`: the account; it has to be there.
    /// * secret `twilio_auth_token`: its auth token, which also signs its callbacks; it has to be there.
    /// * secret `twilio_shared_key`: the secret of the account's SharedKey, if Twilio signs callbacks with one instead
    ///   (HMAC-SHA256); by default such callbacks are refused.
    /// * One of `url` (where Twilio fetches TwiML; the variables are put into its query), `twiml` (the document
    ///   itself) and `application_sid` (a TwiML application, which reports to its own address only). The latter two
    ///   take no variables.
    /// * `from_number`: the number to call from; by default the agent's.
    /// * `base_url`: by default `https://api.twilio.com`.
    ///
    /// # Errors
    /// [`InvalidSettings`] names the first field that is wrong.
    pub fn new(mut settings: Settings) -> Result<Self, InvalidSettings> {
        let url = settings.url("url")?.map(Instructions::Url);
        let twiml = settings.text("twiml")?.map(Instructions::Twiml);
        let application = settings.text("application_sid")?;
        let mut given = [url, twiml, application.map(Instructions::Application)]
            .into_iter()
            .flatten();
        let (Some(instructions), None) = (given.next(), given.next()) else {
            let problem = "give exactly one of url, twiml and application_sid";
            return Err(InvalidSettings::new("url", problem));
        };
        let token = settings.credential("twilio_auth_token")?;
        let laml = Laml {
            dialect: &DIALECT,
            base: settings.base("https://api.twilio.com")?,
            account: ask::id_setting(&mut settings, "account_sid")?,
            signing_key: Some(token.clone()),
            shared_key: settings.secret("twilio_shared_key"),
            token,
            from: settings.number("from_number")?,
            instructions,
        };
        settings.finish()?;
        Ok(Self(laml))
    }
}

impl Speaks for Twilio {
    fn laml(&self) -> &Laml {
        &self.0
    }
}

#[cfg(test)]
#[path = "twilio_tests.rs"]
mod tests;
