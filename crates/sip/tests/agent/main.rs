//! The user agent against itself, against garbage, and against SIPp, over real sockets on loopback.
#![cfg(test)]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "test signals and random octets are small by construction"
)]

mod audio;
mod calls;
mod hostile;
mod probe;
mod sipp;
mod support;
