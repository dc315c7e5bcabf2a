//! The messages on the bus, generated from `proto/ringdown/v1`, and their conversion to and from
//! the domain.
//!
//! Contract: [`decode`] accepts only envelopes of a schema it knows that carry a fact and a valid
//! team; everything else is an [`Error`] to be counted and dropped by the consumer.
//!
//! Refuses: transport (crate `bus`) and meaning (crate `domain`).

mod convert;

/// Generated message types of package `ringdown.v1`. Documented in the `.proto` file.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/ringdown.v1.rs"));
}

pub use convert::{Error, SCHEMA, decode, encode, envelope};
