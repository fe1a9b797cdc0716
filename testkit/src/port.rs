//! Loopback ports for processes that cannot be told port 0.
//!
//! In: nothing. Out: a port nobody listens on and no other test process will be given while this one lives.
//! Cost: one lock file and one bind per port. The range lies below the kernel's ephemeral ports (32768 and up), so an
//! outgoing connection of another test cannot take the port between here and the process that will use it.

use std::fs::{File, create_dir_all};
use std::net::{Ipv4Addr, TcpListener};

const FIRST: u16 = 11_000;
const COUNT: u16 = 20_000;

/// A free loopback port, reserved against other test processes for as long as this process lives.
/// Panics when 20,000 ports are taken.
pub fn free_port() -> u16 {
    let locks = std::env::temp_dir().join("weir-testkit-ports");
    create_dir_all(&locks).expect("the folder for temporary files is writable");
    // Different processes start looking at different places, to try few ports each.
    let start = u16::try_from(std::process::id().wrapping_mul(37) % u32::from(COUNT)).expect("below COUNT");
    for step in 0..COUNT {
        let port = FIRST + (start + step) % COUNT;
        let Ok(lock) = File::create(locks.join(port.to_string())) else { continue };
        // The lock is per open file, so the second call in this process fails for a port already given out.
        if lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            // Kept until the process ends: that is the reservation.
            std::mem::forget(lock);
            return port;
        }
    }
    panic!("no loopback port is free between {FIRST} and {}", FIRST + COUNT)
}
