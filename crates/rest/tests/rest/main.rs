//! The REST API with a running engine, a real `nats-server` and a real database.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

mod agents;
mod agents_v2;
mod attempts;
mod bad_input;
mod bodies;
mod bounds;
mod bulk;
mod carriers;
mod catalogue;
mod client;
mod compatibility;
mod contract;
mod cron_jobs;
mod doctor;
mod document;
mod evaluators;
mod events;
mod exceptions;
mod fuzz;
mod health;
mod hostile;
mod imports;
mod keys;
mod limits;
mod lists;
mod matrix;
mod paths;
mod provider;
mod queue;
mod results;
mod runs;
mod seed;
mod shape;
mod sharing;
mod socket;
mod suites;
mod team_keys;
mod teams;
mod trigger;
mod webhooks;
mod world;
