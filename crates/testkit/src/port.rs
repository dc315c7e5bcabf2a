//! Ports that are kept over the life of a process.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// Below what Linux gives to clients and to whoever asks for port 0 (32768 and above,
/// `net.ipv4.ip_local_port_range`): while the process that has the port is down, nobody gets it by chance.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port of 127.0.0.1 that is free for TCP and UDP, for a process that has to come back to it.
///
/// # Panics
/// If a hundred of them are taken.
pub fn free() -> u16 {
    for _ in 0..100 {
        let random = RandomState::new().build_hasher().finish() % u64::from(COUNT);
        let port = FIRST + u16::try_from(random).unwrap();
        let address = (Ipv4Addr::LOCALHOST, port);
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return port;
        }
    }
    panic!("a hundred ports from {FIRST} on are taken");
}
