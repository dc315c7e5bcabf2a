//! Exit codes. Part of the command line's contract: scripts and CI rely on them.

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Everything asked for was done, and every run passed.
    Success = 0,
    /// At least one run did not pass, failed, timed out or was cancelled; the demo saw something
    /// it did not expect; a call was not connected; the doctor found an error.
    NotPassed = 1,
    /// The command line or the configuration is wrong. Nothing was done.
    Usage = 2,
    /// A program or service that is needed is missing or cannot be reached.
    Unavailable = 3,
    /// The service refused the request, for example an unknown agent or a wrong API key.
    Refused = 4,
    /// Something failed that should not; the message says what.
    Internal = 5,
    /// Interrupted by a signal before the end.
    Interrupted = 130,
}

/// The table shown in `ringdown --help`.
pub(crate) const HELP: &str = "\
Exit codes:
  0    done, and every run passed
  1    a run did not pass, failed, timed out or was cancelled; a call was not connected;
       the doctor found an error
  2    wrong command line or configuration; nothing was done
  3    a needed program or service is missing or cannot be reached
  4    the service refused the request
  5    unexpected failure
  130  interrupted";

/// An error that knows its exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The code to end with.
    pub(crate) exit: Exit,
    /// What to tell the user.
    pub(crate) error: anyhow::Error,
}

impl Failure {
    pub(crate) fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit,
            error: error.into(),
        }
    }

    /// The error with its causes, each told once: most of our errors name their cause themselves.
    pub(crate) fn message(&self) -> String {
        let mut told = String::new();
        for cause in self.error.chain().map(ToString::to_string) {
            if told.is_empty() {
                told = cause;
            } else if !told.contains(&cause) {
                told.push_str(": ");
                told.push_str(&cause);
            }
        }
        told
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, anyhow::Error::msg(message.into()))
    }

    pub(crate) fn unavailable(error: impl Into<anyhow::Error>) -> Self {
        Self::new(Exit::Unavailable, error)
    }

    pub(crate) fn refused(error: impl Into<anyhow::Error>) -> Self {
        Self::new(Exit::Refused, error)
    }

    pub(crate) fn internal(error: impl Into<anyhow::Error>) -> Self {
        Self::new(Exit::Internal, error)
    }
}

/// What a command returns.
pub(crate) type Outcome = Result<Exit, Failure>;

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let told = anyhow!("taken").context("bind to 1: taken; choose another");
        assert_eq!(
            Failure::unavailable(told).message(),
            "bind to 1: taken; choose another"
        );
        let silent = anyhow!("no such file").context("failed to read x");
        assert_eq!(
            Failure::unavailable(silent).message(),
            "failed to read x: no such file"
        );
    }
}
