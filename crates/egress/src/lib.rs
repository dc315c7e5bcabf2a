//! HTTP to addresses that users name: webhook targets, trigger URLs, base addresses of providers.
//!
//! Contract: a request reaches public addresses and the networks that the operator allows, nothing
//! else. The name is resolved once, every address in the answer is checked, and the connection goes
//! to one of the addresses that were checked, so a name cannot change its mind in between. Each
//! request has its own connection, a deadline over everything, and bounds on what is read. An
//! [`Error`] says whether the request can have left this machine.
//!
//! Refuses: following redirects, proxies from the environment, credentials in URLs, other schemes
//! than http and https, metadata services of clouds even if their network is allowed, HTTP/2.

mod client;
mod error;
mod policy;
mod request;
mod resolve;
mod target;

pub use client::{Client, Options};
pub use error::{Ambiguous, Error, NotSent};
pub use hyper::header;
pub use hyper::{HeaderMap, Method, StatusCode};
pub use policy::{Class, InvalidNetwork, Policy, Refused, classify};
pub use request::{Cut, InvalidHeader, Request, Response, header_field};
pub use resolve::{Resolve, SystemResolver};
pub use rustls::pki_types::CertificateDer;
pub use target::{InvalidUrl, LONGEST_URL, Scheme, Target};
