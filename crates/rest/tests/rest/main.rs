//! The REST API with a running engine, a real `nats-server` and a real database.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

mod bad_input;
mod bodies;
mod bounds;
mod fuzz;
mod health;
mod imports;
mod keys;
mod limits;
mod lists;
mod matrix;
mod paths;
mod provider;
mod queue;
mod seed;
mod shape;
mod socket;
mod team_keys;
mod teams;
mod world;
