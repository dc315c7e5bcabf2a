//! The fakes of carriers, asked by the code that asks the carriers themselves.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod calls;
mod faults;
mod reports;
mod support;
