use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! numeric_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<i64> for $name {
            fn from(id: i64) -> Self {
                Self(id)
            }
        }
    )*};
}

numeric_id! {
    /// An organisation: the tenant whose members share data and a parallel-call limit.
    OrganisationId;
    /// A project inside an organisation, with its own limit and dial window.
    ProjectId;
    /// An agent under test.
    AgentId;
    /// An evaluator, which the API calls a scenario.
    ScenarioId;
    /// A set of variables handed to both sides of a call.
    TestProfileId;
    /// A way the testing agent speaks and behaves.
    PersonalityId;
    /// An API key.
    KeyId;
    /// A job that triggers runs on a schedule.
    CronJobId;
    /// A folder of evaluators.
    FolderId;
    /// An outgoing webhook.
    WebhookEventId;
    /// A phone number the product answers.
    PhoneNumberId;
    /// A carrier: an account at a provider, with which runs are dialed.
    CarrierId;
    /// A batch of runs triggered together, which the API calls a result.
    ResultId;
    /// One test call.
    RunId;
}

/// Our name for one answered or refused call, unique across the deployment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallId(pub String);

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! subject_token {
    ($($(#[$doc:meta])* $name:ident, $what:literal of at most $longest:literal, else $(#[$why:meta])* $invalid:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        $(#[$why])*
        #[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
        #[error(
            "read {what} {0:?}: use 1 to {longest} characters of a-z, 0-9 and '-', starting with a letter or digit",
            what = $what,
            longest = $longest
        )]
        pub struct $invalid(pub String);

        impl $name {
            /// The name as a subject token.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = $invalid;

            fn from_str(text: &str) -> Result<Self, $invalid> {
                let valid = (1..=$longest).contains(&text.len())
                    && !text.starts_with('-')
                    && text
                        .bytes()
                        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
                if valid {
                    Ok(Self(text.to_owned()))
                } else {
                    Err($invalid(text.chars().take(64).collect()))
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = $invalid;

            fn try_from(text: String) -> Result<Self, $invalid> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

subject_token! {
    /// The tenant as it stands in bus subjects: an organisation's slug, or the name given to a remote
    /// service. 1 to 32 characters of `a-z`, `0-9` and `-`, starting with a letter or digit, so that it
    /// is always exactly one subject token.
    Team, "team name" of at most 32, else
    /// Why a text is no team name.
    InvalidTeam;
    /// One instance of a service, which holds what it works on for as long as it is heard: another one
    /// after a restart. 1 to 64 characters like a [`Team`]'s.
    HolderId, "instance name" of at most 64, else
    /// Why a text names no instance.
    InvalidHolder;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_team_is_always_one_subject_token() {
        for good in ["a", "team-1", "0x"] {
            assert_eq!(good.parse::<Team>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "A", "a.b", "a b", "*", ">", "ü", &"x".repeat(33)] {
            assert!(bad.parse::<Team>().is_err(), "{bad:?}");
        }
        assert!("x".repeat(64).parse::<HolderId>().is_ok());
        assert!("x".repeat(65).parse::<HolderId>().is_err());
    }
}
