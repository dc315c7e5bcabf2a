//! The dialer against a real `nats-server`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod accounts;
mod gone;
mod heirs;
mod life;
mod once;
mod refusals;
mod world;
