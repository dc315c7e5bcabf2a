//! Turns from activity.

use serde::{Deserialize, Serialize};

/// A stretch of time from the beginning of the recording; `start_ms < end_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start_ms: u64,
    pub(crate) end_ms: u64,
}

impl Span {
    pub(crate) fn length_ms(&self) -> u64 {
        self.end_ms.saturating_sub(self.start_ms)
    }
}

/// One side of the call, named as transcripts name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Speaker {
    /// The agent under test.
    #[serde(rename = "Main Agent")]
    Agent,
    /// The testing agent.
    #[serde(rename = "Testing Agent")]
    TestingAgent,
}

impl Speaker {
    /// "Main Agent" or "Testing Agent".
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Agent => "Main Agent",
            Self::TestingAgent => "Testing Agent",
        }
    }
}

/// One side speaking, in milliseconds from the beginning of the recording; `start_ms < end_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Who.
    pub speaker: Speaker,
    /// Onset.
    pub start_ms: u64,
    /// Offset.
    pub end_ms: u64,
}

/// Joins stretches of `own` over pauses shorter than `pause_ms` in which the other side neither starts nor stops. What the other
/// side does in a pause makes it a change of turns. Both lists are in order and without overlap.
pub(crate) fn turns(own: &[Span], other: &[Span], pause_ms: u64) -> Vec<Span> {
    let mut turns: Vec<Span> = Vec::with_capacity(own.len());
    for &span in own {
        match turns.last_mut() {
            Some(last)
                if span.start_ms.saturating_sub(last.end_ms) < pause_ms
                    && !changes(other, last.end_ms, span.start_ms) =>
            {
                last.end_ms = span.end_ms;
            }
            _ => turns.push(span),
        }
    }
    turns
}

/// Whether a span starts or ends between `from` and `to`.
fn changes(spans: &[Span], from: u64, to: u64) -> bool {
    let first = spans.partition_point(|span| span.end_ms < from);
    spans
        .get(first)
        .is_some_and(|span| span.end_ms <= to || (from..=to).contains(&span.start_ms))
}

/// The turns of both sides by start; at equal starts the testing agent first.
pub(crate) fn merge(agent: &[Span], testing_agent: &[Span]) -> Vec<Turn> {
    let of = |spans: &[Span], speaker| {
        let turn = move |span: &Span| Turn {
            speaker,
            start_ms: span.start_ms,
            end_ms: span.end_ms,
        };
        spans.iter().map(turn).collect::<Vec<_>>()
    };
    let mut all = of(testing_agent, Speaker::TestingAgent);
    all.extend(of(agent, Speaker::Agent));
    all.sort_by_key(|turn| turn.start_ms);
    all
}
