//! Tables of what a provider's refusals mean.

use ringdown_domain::dial::Outcome;
use ringdown_egress::Response;
use ringdown_vault::Secret;

use crate::wire::{SHORTEST_SECRET, again, ambiguous, json, refused, said};

/// What the provider's documents say of a refusal. Whatever has no row is a doubt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// The HTTP status; `None`: any of 400 to 499.
    status: Option<u16>,
    /// The provider's own code or words; `None`: any.
    code: Option<&'static str>,
    /// Whether it passes.
    passes: bool,
    /// What to do.
    advice: &'static str,
}

/// Not placed, and refused again if it is sent again.
pub(crate) const fn never(status: u16, advice: &'static str) -> Row {
    Row {
        status: Some(status),
        code: None,
        passes: false,
        advice,
    }
}

/// As [`never`], by the provider's own code with any status of 400 to 499.
pub(crate) const fn never_by(code: &'static str, advice: &'static str) -> Row {
    Row {
        status: None,
        code: Some(code),
        passes: false,
        advice,
    }
}

/// Not processed, and worth another try.
pub(crate) const fn passing(status: u16, advice: &'static str) -> Row {
    Row {
        status: Some(status),
        code: None,
        passes: true,
        advice,
    }
}

/// As [`passing`], by the provider's own code with any status of 400 to 499.
pub(crate) const fn passing_by(code: &'static str, advice: &'static str) -> Row {
    Row {
        status: None,
        code: Some(code),
        passes: true,
        advice,
    }
}

impl Row {
    /// Only with this code of the provider's.
    pub(crate) const fn coded(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }
}

/// Statuses by which a server says that it did not do what was asked (RFC 9110 section 15.5): 400 cannot be
/// processed, 401 was not applied, 403 refused, 404 there is no such thing to ask, 405 not supported, 413, 414
/// and 415 refused for the message's form, 421 the wrong server, 422 cannot be processed. Not among them: 408,
/// 409, 425 and 429, which leave open what was done before.
pub(crate) const REFUSALS: &[u16] = &[400, 401, 403, 404, 405, 413, 414, 415, 421, 422];

/// A provider's table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    /// The provider's name, for people.
    pub(crate) provider: &'static str,
    /// The header that says when its limit resets, in seconds, besides `Retry-After`.
    pub(crate) reset: &'static str,
    /// The first row that fits holds.
    pub(crate) rows: &'static [Row],
    /// Statuses that are refusals without a row: [`REFUSALS`] where the provider's documents list few and its
    /// server keeps to HTTP, else none.
    pub(crate) others: &'static [u16],
}

impl Table {
    /// The outcome of an answer, with the call it names and the code it gives.
    pub(crate) fn judge(
        &self,
        answer: &Response,
        id: Option<String>,
        code: &str,
        secret: &Secret,
    ) -> Outcome {
        if answer.status.is_success() {
            return match id {
                Some(provider_id) => Outcome::Placed { provider_id },
                None if answer.cut.is_none() && json(answer).is_err() => {
                    self.doubt(answer, secret, " and no JSON")
                }
                None => self.doubt(answer, secret, " and names no call"),
            };
        }
        let status = answer.status.as_u16();
        let fits = |row: &&Row| {
            let by_status = match row.status {
                Some(other) => other == status,
                None => answer.status.is_client_error(),
            };
            by_status && row.code.is_none_or(|other| other == code)
        };
        let Some(row) = self.rows.iter().find(fits) else {
            if self.others.contains(&status) {
                let advice = "check the settings of this account, base_url among them";
                return refused(self.told(answer, secret, advice));
            }
            return self.doubt(answer, secret, "");
        };
        let reason = self.told(answer, secret, row.advice);
        if row.passes {
            again(answer, self.reset, reason)
        } else {
            refused(reason)
        }
    }

    /// A refusal in the provider's words, and what to do.
    pub(crate) fn told(&self, answer: &Response, secret: &Secret, advice: &str) -> String {
        let (provider, status) = (self.provider, answer.status.as_u16());
        let said = said(&answer.body, secret);
        format!("{provider} refused it with status {status}: {said}; {advice}")
    }

    /// Nobody can tell.
    pub(crate) fn doubt(&self, answer: &Response, secret: &Secret, more: &str) -> Outcome {
        let (provider, status) = (self.provider, answer.status.as_u16());
        let said = match &answer.cut {
            Some(cut) => cut.to_string(),
            None => said(&answer.body, secret),
        };
        ambiguous(format!(
            "{provider} answered with status {status}{more}: {said}"
        ))
    }
}

/// The answer without a second secret that was in the request, should it repeat it.
pub(crate) fn hide(answer: &Response, secret: Option<&Secret>) -> Response {
    let mut answer = answer.clone();
    if let Some(secret) = secret.filter(|secret| secret.len() >= SHORTEST_SECRET) {
        let body = String::from_utf8_lossy(&answer.body);
        answer.body = body.replace(secret.expose(), "(hidden)").into();
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::answer;

    #[test]
    fn a_second_secret_is_hidden_too() {
        let hidden = |secret: &str| {
            let repeated = answer(400, r#"{"message": "pass-word-2 is weak"}"#);
            hide(&repeated, Some(&Secret::new(secret))).body
        };
        assert_eq!(hidden("pass-word-2"), r#"{"message": "(hidden) is weak"}"#);
        // What is too short to be a secret would break the answer.
        assert_eq!(hidden("e"), r#"{"message": "pass-word-2 is weak"}"#);
    }
}
