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

/// The tenant as it stands in bus subjects: an organisation's slug, or the name given to a remote
/// service. 1 to 32 characters of `a-z`, `0-9` and `-`, starting with a letter or digit, so that it
/// is always exactly one subject token.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Team(String);

/// Why a text is no team name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "read team name {0:?}: use 1 to 32 characters of a-z, 0-9 and '-', starting with a letter or digit"
)]
pub struct InvalidTeam(pub String);

impl Team {
    /// The name as a subject token.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Team {
    type Err = InvalidTeam;

    fn from_str(text: &str) -> Result<Self, InvalidTeam> {
        let valid = (1..=32).contains(&text.len())
            && !text.starts_with('-')
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidTeam(text.chars().take(64).collect()))
        }
    }
}

impl TryFrom<String> for Team {
    type Error = InvalidTeam;

    fn try_from(text: String) -> Result<Self, InvalidTeam> {
        text.parse()
    }
}

impl From<Team> for String {
    fn from(team: Team) -> Self {
        team.0
    }
}

impl fmt::Display for Team {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
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
    }
}
