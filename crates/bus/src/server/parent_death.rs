//! Binds a child's life to its parent's, so that a killed Ringdown leaves no `nats-server` behind.
//!
//! The only unsafe code of the crate: `pre_exec` runs between `fork` and `exec`, where only
//! async-signal-safe calls are allowed. `prctl(PR_SET_PDEATHSIG)` is one system call, allocates
//! nothing and takes no lock.
#![allow(unsafe_code)]

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::{Signal, set_parent_process_death_signal};

/// Makes the kernel send SIGTERM to the child when the spawning thread ends.
pub(super) fn bind(command: &mut Command) {
    // SAFETY: the closure makes one async-signal-safe system call and touches no shared state.
    unsafe {
        command.pre_exec(|| {
            set_parent_process_death_signal(Some(Signal::TERM)).map_err(std::io::Error::from)
        });
    }
}
