//! Endpoints that answer before they have read the request.

use std::io::Write;
use std::time::Duration;

use weir_testkit::{Endpoint, Plan, Raw, Reply, pattern, pattern_hash};

use crate::setup::{HOLDS, STREAMS, post, wait_until_leases_are_back};

const KB_100: u64 = 100_000;
const MB_20: u64 = 20_000_000;
const PATIENCE: Duration = Duration::from_secs(30);

fn no() -> Reply {
    Reply::new(413).body("too much")
}

/// Sends a body of this size to an endpoint that follows `plan` and expects its 413, held and streamed.
fn the_answer_arrives(length: u64, plan: &Plan) {
    for setup in [HOLDS, STREAMS] {
        let plan = plan.clone();
        let endpoint = Endpoint::start(move |_| plan.clone());
        let weir = setup.start(&endpoint);
        let mut client = Raw::connect_within(weir.address(), PATIENCE);
        client.write(post(length, ""));
        // What it does not take any more, it has answered.
        drop(client.try_write_pattern(1, length));
        let response = client.response();
        assert_eq!((response.status, response.text()), (413, "too much".to_owned()), "{:?}", setup.route);
        assert!(response.body.complete);
        wait_until_leases_are_back(&weir);
    }
}

#[test]
fn an_answer_to_a_small_body_followed_by_a_close_arrives() {
    the_answer_arrives(KB_100, &Plan::new().reply(no()).finish());
}

#[test]
fn an_answer_to_a_small_body_followed_by_silence_arrives() {
    the_answer_arrives(KB_100, &Plan::new().reply(no()).hang());
}

#[test]
fn an_answer_to_a_large_body_followed_by_a_close_arrives() {
    the_answer_arrives(MB_20, &Plan::new().reply(no()).finish());
}

#[test]
fn an_answer_to_a_large_body_followed_by_silence_arrives() {
    the_answer_arrives(MB_20, &Plan::new().reply(no()).hang());
}

#[test]
fn an_answer_followed_by_a_reset_arrives() {
    // The endpoint closes with unread bytes, which the kernel makes a reset; what came before it still counts.
    the_answer_arrives(KB_100, &Plan::new().reply(no()).close());
    the_answer_arrives(MB_20, &Plan::new().reply(no()).close());
}

#[test]
fn an_answer_after_part_of_a_large_body_arrives() {
    the_answer_arrives(MB_20, &Plan::new().read_bytes(1_000_000).reply(no()).finish());
}

#[test]
fn a_client_that_stops_sending_at_an_early_answer_has_it_whole() {
    let endpoint = Endpoint::start(|_| Plan::new().reply(Reply::new(413).pattern(5, 1_000_000)).hang());
    let weir = STREAMS.start(&endpoint);
    let mut client = Raw::connect(weir.address());
    client.write(post(MB_20, "")).write(pattern(1, 1000));
    let response = client.response();
    assert_eq!((response.status, response.body.hash), (413, pattern_hash(5, 1_000_000)));
    assert_eq!(response.field("connection"), Some("close"));
    wait_until_leases_are_back(&weir);
}

#[test]
fn an_answer_written_before_the_body_is_read_does_not_deadlock() {
    const MB_30: u64 = 30_000_000;
    for setup in [HOLDS, STREAMS] {
        let endpoint = Endpoint::start(|_| Plan::new().reply(Reply::new(200).pattern(2, MB_30)).read_body());
        let weir = setup.start(&endpoint);
        let mut client = Raw::connect_within(weir.address(), PATIENCE);
        client.write(post(MB_20, ""));
        let mut writer = client.writer();
        let sender = std::thread::spawn(move || writer.write_all(&pattern(1, 20_000_000)));
        let response = client.response();
        assert!(response.body.complete);
        assert_eq!((response.body.length, response.body.hash), (MB_30, pattern_hash(2, MB_30)));
        drop(sender.join().unwrap());
        wait_until_leases_are_back(&weir);
    }
}

#[test]
fn a_body_echoed_while_it_is_sent_is_exact() {
    let endpoint = Endpoint::start(|_| Plan::new().echo_body());
    let weir = STREAMS.start(&endpoint);
    let mut client = Raw::connect_within(weir.address(), PATIENCE);
    client.write(post(MB_20, ""));
    let mut writer = client.writer();
    let sender = std::thread::spawn(move || writer.write_all(&pattern(9, 20_000_000)));
    let response = client.response();
    sender.join().unwrap().unwrap();
    assert_eq!((response.body.length, response.body.hash), (MB_20, pattern_hash(9, MB_20)));
}
