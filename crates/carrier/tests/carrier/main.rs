//! The ways to dial, against real commands and real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod account;
mod exec;
mod routes;
mod sip;
mod support;
