//! What several crates' tests need of the outside world.
//!
//! Contract: only for tests. Everything is new for each test and gone after it, and what is missing is
//! named together with the command that provides it. Fakes of carriers answer as the carriers' documents say, and
//! know nothing of the code that asks them.
//!
//! Refuses: to be part of the product, database drivers, servers that belong to somebody.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

pub mod carrier;
pub mod port;
pub mod postgres;
