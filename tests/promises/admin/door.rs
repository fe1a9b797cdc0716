//! Who holds a place of the admin listener, and who must let go of it.

use std::time::Duration;

use weir_testkit::{Raw, eventually};

use super::{look, named};
use crate::support::Setup;

/// As many places as there are.
const PLACES: usize = 128;
const MANY: usize = 150;

#[test]
fn an_operator_gets_in_though_silent_clients_and_half_heads_hold_every_place() {
    let one = named();
    let weir = Setup::before(&[&one]).start();
    let mut silent: Vec<Raw> = (0..MANY)
        .map(|number| {
            let mut raw = Raw::connect(weir.admin());
            if number % 2 == 0 {
                raw.write("GET /api/status HTTP/1.1\r\nHost: 127.0.0.1\r\nX-");
            }
            raw
        })
        .collect();
    look(&weir, "/api/status", 200);
    assert_eq!(Raw::get(weir.admin(), "/metrics").status, 200);
    let gone = |raw: &mut Raw| raw.hears_within(Duration::from_millis(1));
    eventually("some of them had to go", || silent.iter_mut().map(gone).filter(|gone| *gone).count() >= MANY - PLACES);
}

#[test]
fn a_connection_that_was_used_is_closed_before_one_that_asks() {
    let one = named();
    let weir = Setup::before(&[&one]).start();
    let ask = |raw: &mut Raw| {
        raw.write("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        raw.response().status
    };
    let mut events = Raw::connect(weir.admin());
    events.write("GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    let mut wait_for = |words: &str| {
        let mut text = String::new();
        eventually(words, || {
            text.push_str(&String::from_utf8_lossy(&events.bytes(1)));
            text.ends_with(words)
        });
    };
    wait_for("event: whole");
    let mut idle: Vec<Raw> = Vec::new();
    for _ in 0..MANY {
        let mut raw = Raw::connect(weir.admin());
        assert_eq!(ask(&mut raw), 200);
        idle.push(raw);
    }
    wait_for("event: change");
    wait_for("event: change");
}
