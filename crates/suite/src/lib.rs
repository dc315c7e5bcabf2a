//! Tests as code: a suite of evaluators as one JSON document.
//!
//! Purpose: [`Suite::parse`] checks a document and says everything that is wrong with it at once,
//! [`Request::parse`] does so for a whole request to run one, [`Request::plan`] turns it into records
//! that a server creates objects from, [`json_schema`] describes the document for editors, and
//! [`conditional`] holds the rules of structured evaluators, whether they come from a suite or not.
//!
//! Contract: pure, no I/O. Structure and bounds are written once, on the types: the schema is generated
//! from them, and the check reads that schema. So a document that the schema accepts has the structure
//! that `parse` wants; rules between fields come on top. One difference is known: a whole number has to
//! be written without a fraction, `2` and not `2.0`. Everything is bounded: [`MAX_BYTES`],
//! [`MAX_DEPTH`], [`MAX_RUNS`], [`MAX_PROBLEMS`], and the lengths that the schema gives.
//!
//! Refuses: looking anything up. Whether an agent, metric, personality, profile or number exists is for
//! the server to say.

mod bounds;
mod check;
pub mod conditional;
mod document;
mod near;
mod plan;
mod problem;
mod request;
mod schema;
mod shape;
pub mod tag;

pub use bounds::{MAX_BYTES, MAX_DEPTH};
pub use document::{
    Case, Defaults, Document, Head, InlinePersonality, InlineProfile, Kind, LANGUAGES, Language,
    MetricRef, Personality, Profile, Tool, Version,
};
pub use plan::{AgentRef, Evaluator, Plan, RunSettings, Talk, TestProfile};
pub use problem::{MAX_PROBLEMS, Problem, Problems};
pub use request::{Channel, MAX_RUNS, Mode, Request};
pub use schema::{UnknownVersion, VERSIONS, json_schema};

use serde_json::Value;

/// A checked suite.
#[derive(Clone, Debug, PartialEq)]
pub struct Suite {
    document: Document,
}

impl Suite {
    /// Checks a document and keeps it.
    ///
    /// # Errors
    ///
    /// Every problem at once, by its place in the document.
    pub fn parse(value: &Value) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let suite = Self::read(value, &mut problems);
        problems.or(suite)
    }

    fn read(value: &Value, problems: &mut Problems) -> Option<Self> {
        let document: Document = shape::read(schema::document(), value, MAX_BYTES, problems)?;
        check::document(&document, problems);
        Some(Self { document })
    }

    /// The document, as it was written: defaults are not applied.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The suite's name.
    pub fn name(&self) -> Option<&str> {
        self.document.suite.as_ref()?.name.as_deref()
    }

    /// Runs that one run of the suite makes: the sum of its cases' frequencies.
    pub fn runs(&self) -> u64 {
        self.document
            .scenarios
            .iter()
            .map(|case| u64::from(plan::frequency(&self.document, case)))
            .sum()
    }
}
