//! The engine with a real `nats-server` and a real database.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

mod cancel;
mod cron;
mod late;
mod leases;
mod life;
mod outages;
mod pace;
mod plan;
mod retention;
mod scale;
mod world;
