//! `[[sip.trunk]]`: who sends calls, and what is believed of what they say.

use std::ops::RangeInclusive;

use ringdown_domain::{CallerHeader, Numbering};
use ringdown_testing_agent::{Network, Trunk};
use toml::{Table, Value};

/// Where the trunks are in the file.
pub(super) const TRUNKS: &str = "sip.trunk";

/// What a trunk has, and what it means.
pub(super) const KEYS: [(&str, &str); 7] = [
    (
        "name",
        "Name of a trunk in the ledger: 1 to 64 letters, digits, '-', '_' and '.'.",
    ),
    (
        "networks",
        "Addresses that its calls come from, a list of CIDRs. The first trunk that has the address is the call's.",
    ),
    (
        "caller_id",
        "Headers that count as the caller ID, the most telling first: from, p-asserted-identity, remote-party-id, diversion. Default: only from.",
    ),
    (
        "default_country",
        "Country calling code of numbers in national format, such as 44. Unset: numbers are international.",
    ),
    (
        "national_prefix",
        "What that country dials before a national number, as a text, such as \"0\". Default: nothing.",
    ),
    (
        "national_digits",
        "Digits of a national number without that prefix: a number, or a range such as \"9-10\".",
    ),
    (
        "run_id",
        "Whether X-Run-Id of its calls is believed: true for a trunk that brings back calls of one's own dialer. Default: false.",
    ),
];

/// Reads the tables of trunks. Those with a problem are left out.
pub(super) fn read(source: &str, tables: &[Table], problems: &mut Vec<String>) -> Vec<Trunk> {
    let mut trunks: Vec<Trunk> = Vec::new();
    for (place, table) in (1..).zip(tables) {
        let mut reader = Reader {
            table,
            found: Vec::new(),
        };
        let trunk = reader.trunk();
        if let Some(trunk) = &trunk
            && trunks.iter().any(|known| known.name == trunk.name)
        {
            let problem = format!("{:?} is the name of another trunk", trunk.name);
            reader.problem("name", problem);
        }
        if reader.found.is_empty() {
            trunks.extend(trunk);
        }
        let found = reader.found.into_iter();
        problems.extend(found.map(|found| format!("{source}: {TRUNKS} number {place}: {found}")));
    }
    trunks
}

struct Reader<'a> {
    table: &'a Table,
    found: Vec<String>,
}

impl Reader<'_> {
    fn problem(&mut self, key: &str, problem: impl std::fmt::Display) {
        self.found.push(format!("{key}: {problem}"));
    }

    /// The trunk; what is wrong with it has become problems.
    fn trunk(&mut self) -> Option<Trunk> {
        for key in self.table.keys() {
            if !KEYS.iter().any(|(known, _)| known == key) {
                self.problem(key, "there is no such setting (see `ringdown config`)");
            }
        }
        let name = self.name();
        let networks: Option<Vec<Network>> = self.list("networks");
        if !self.table.contains_key("networks") {
            self.problem("networks", "a trunk has to have one");
        }
        let caller_id: Option<Vec<CallerHeader>> = self.list("caller_id");
        if let Some(twice) = caller_id.as_deref().and_then(twice) {
            self.problem("caller_id", format!("{twice} is there twice"));
        }
        let numbering = self.numbering();
        let run_id = match self.table.get("run_id") {
            None => Some(false),
            Some(Value::Boolean(believed)) => Some(*believed),
            Some(other) => {
                self.problem("run_id", format!("{other} is neither true nor false"));
                None
            }
        };
        let mut trunk = Trunk::new(name?, networks?);
        trunk.numbering = numbering?;
        trunk.run_id = run_id?;
        if let Some(headers) = caller_id {
            trunk.caller_id = headers;
        }
        Some(trunk)
    }

    fn name(&mut self) -> Option<String> {
        let given = self.table.get("name");
        let fits = |name: &&str| {
            (1..=64).contains(&name.len())
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        if let Some(name) = given.and_then(Value::as_str).filter(fits) {
            return Some(name.to_owned());
        }
        let given = given.map_or_else(|| "nothing".to_owned(), Value::to_string);
        self.problem(
            "name",
            format!("expected 1 to 64 letters, digits, '-', '_' and '.', found {given}"),
        );
        None
    }

    /// A list of texts that is not empty; `None` if it is absent or wrong.
    fn list<T>(&mut self, key: &str) -> Option<Vec<T>>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
    {
        let value = self.table.get(key)?;
        let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
        let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
        let Some(texts) = texts.filter(|texts| !texts.is_empty()) else {
            self.problem(
                key,
                format!("expected a list of texts, not empty, found {value}"),
            );
            return None;
        };
        let list: Result<Vec<T>, T::Err> = texts.iter().map(|text| text.parse()).collect();
        list.map_err(|error| self.problem(key, error)).ok()
    }

    fn numbering(&mut self) -> Option<Numbering> {
        let prefix = self.table.get("national_prefix");
        let digits = self.table.get("national_digits");
        let Some(country) = self.table.get("default_country") else {
            if prefix.is_some() || digits.is_some() {
                self.problem(
                    "default_country",
                    "without it national_prefix and national_digits say nothing",
                );
                return None;
            }
            return Some(Numbering::default());
        };
        let prefix = match prefix {
            None => "",
            Some(Value::String(text)) => text,
            Some(other) => {
                let problem = format!("expected a text such as \"0\", found {other}");
                self.problem("national_prefix", problem);
                return None;
            }
        };
        let Some(range) = digits.and_then(range) else {
            let given = digits.map_or_else(|| "nothing".to_owned(), Value::to_string);
            self.problem(
                "national_digits",
                format!(
                    "expected how many digits numbers of the default_country have, such as 10 or \"9-10\", found {given}"
                ),
            );
            return None;
        };
        Numbering::national(&text(country), prefix, range)
            .map_err(|error| self.problem("default_country", error))
            .ok()
    }
}

fn twice(headers: &[CallerHeader]) -> Option<CallerHeader> {
    let mut seen = Vec::new();
    headers.iter().copied().find(|header| {
        let known = seen.contains(header);
        seen.push(*header);
        known
    })
}

/// A text, or a number as one.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn range(value: &Value) -> Option<RangeInclusive<usize>> {
    let text = text(value);
    let (low, high) = text.split_once('-').unwrap_or((&text, &text));
    let digits = |text: &str| text.trim().parse().ok();
    Some(digits(low)?..=digits(high)?)
}
