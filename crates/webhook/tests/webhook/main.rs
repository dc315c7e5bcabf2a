//! Deliveries against a real receiver on loopback and a real database.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

mod delivery;
mod docs;
mod gate;
mod life;
mod payload;
mod receiver;
mod world;
