//! The ways to dial, against real commands, real sockets and fakes of providers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod account;
mod exec;
mod hosted;
mod routes;
mod sip;
mod support;
