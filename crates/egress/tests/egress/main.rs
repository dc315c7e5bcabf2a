//! The client against servers on loopback that answer, misbehave or say nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod guard;
mod limits;
mod support;
mod tls;
