//! The product as its users run it: the real binary, the real bus, real calls.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod accounts;
mod admin;
mod backup;
mod clock;
mod demo;
mod deployment;
mod dialing;
mod doctor;
mod fleet;
mod generated;
mod history;
mod interface;
mod killed;
mod leases;
mod lifecycle;
mod limits;
mod remote;
mod seed;
mod sipp;
mod support;
