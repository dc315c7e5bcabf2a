use url::Url;

use crate::ask::Ring;
use crate::laml::{Dialect, Instructions, Laml, Speaks};
use crate::table::{Row, Table, never, never_by, passing_by};
use crate::{InvalidSettings, Settings, ask};

/// SignalWire, Compatibility API, Calls, error codes. A 429 without 20429, and every 5xx, is a doubt.
const ROWS: &[Row] = &[
    // Throughput limit reached.
    passing_by("20429", "it is asked again more slowly"),
    // The caller ID is not the project's and not verified.
    never_by(
        "21210",
        "verify the caller ID in the SignalWire dashboard, or set from_number to a number of the project",
    ),
    // Caller ID is not in E.164.
    never_by("21212", "set from_number to a number of the project"),
    // The number to call is not valid.
    never_by("21211", "check the number to call"),
    never_by("21217", "check the number to call"),
    // A limit of the account, or a trial that calls verified numbers only.
    never_by(
        "21219",
        "verify the number to call, or raise the limits of the space",
    ),
    never(400, "correct the settings of this account"),
    never(401, "check project_id and signalwire_api_token"),
    never(422, "correct the settings of this account"),
    // No such project at this space.
    never(404, "check project_id and space"),
];

/// SignalWire, Compatibility API, Calls.
static DIALECT: Dialect = Dialect {
    name: "signalwire",
    table: Table {
        provider: "SignalWire",
        reset: "retry-after",
        rows: ROWS,
        others: &[],
    },
    path: &["api", "laml", "2010-04-01", "Accounts"],
    suffix: "",
    ring: Ring::between(1, 600),
    signature: "X-SignalWire-Signature",
    signature_settings: None,
};

/// A project at SignalWire.
#[derive(Clone, Debug)]
pub struct SignalWire(Laml);

impl SignalWire {
    /// From these settings:
    ///
    /// * `space`: the name before `.signalwire.com`; it has to be there unless `base_url` is.
    /// * `project_id`: the project; it has to be there.
    /// * secret `signalwire_api_token`: its API token; it has to be there.
    /// * secret `signalwire_signing_key`: the key its callbacks are signed with. Without it no callbacks are asked for.
    /// * `url`: where SignalWire fetches the call's instructions, with the variables in its query; it has to be there.
    /// * `from_number`: the number to call from; by default the agent's.
    /// * `base_url`: by default `https://{space}.signalwire.com`.
    ///
    /// # Errors
    /// [`InvalidSettings`] names the first field that is wrong.
    pub fn new(mut settings: Settings) -> Result<Self, InvalidSettings> {
        let url = ask::url_setting(&mut settings, "url")?;
        let space = settings.text("space")?;
        let base = settings.url("base_url")?;
        let laml = Laml {
            dialect: &DIALECT,
            base: match (base, space) {
                (Some(base), _) => base,
                (None, Some(space)) => host(&space)?,
                (None, None) => return Err(InvalidSettings::new("space", "it is missing")),
            },
            account: ask::id_setting(&mut settings, "project_id")?,
            token: settings.credential("signalwire_api_token")?,
            signing_key: settings.secret("signalwire_signing_key"),
            shared_key: None,
            from: settings.number("from_number")?,
            instructions: Instructions::Url(url),
        };
        settings.finish()?;
        Ok(Self(laml))
    }
}

fn host(space: &str) -> Result<Url, InvalidSettings> {
    let name = space.trim_end_matches(".signalwire.com");
    let good = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') && !name.is_empty();
    let url = format!("https://{name}.signalwire.com").parse().ok();
    url.filter(|_| good).ok_or_else(|| {
        let problem = "expected the name before .signalwire.com, such as example";
        InvalidSettings::new("space", problem)
    })
}

impl Speaks for SignalWire {
    fn laml(&self) -> &Laml {
        &self.0
    }
}

#[cfg(test)]
#[path = "signalwire_tests.rs"]
mod tests;
