//! The testing agent against a real bus and a real SIP peer on loopback.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

mod conversations;
mod endings;
mod refusals;
mod support;
