use std::fmt;

use ringdown_store::Error as StoreError;

/// Why nothing can be triggered.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Something is wrong with the request, or with what it names.
    #[error("{0}")]
    Wrong(Problems),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Refusal {
    /// One thing is wrong.
    pub fn of(field: &'static str, message: impl Into<String>) -> Self {
        let mut problems = Problems::default();
        problems.add(field, message);
        Self::Wrong(problems)
    }
}

/// One thing that is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The field, by its name in the API.
    pub field: &'static str,
    /// What is wrong and what to do, as a sentence.
    pub message: String,
}

/// Everything that was found to be wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    pub(super) fn add(&mut self, field: &'static str, message: impl Into<String>) {
        let message = message.into();
        self.0.push(Problem { field, message });
    }

    pub(super) fn check(self) -> Result<(), Refusal> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Refusal::Wrong(self))
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Problem { field, message }) in self.0.iter().enumerate() {
            let part = if index == 0 { "" } else { " " };
            write!(f, "{part}{field}: {message}")?;
        }
        Ok(())
    }
}

/// What was looked up, if it exists. Other failures of the look-up stay failures.
pub(super) fn found<T>(looked_up: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match looked_up {
        Ok(value) => Ok(Some(value)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
