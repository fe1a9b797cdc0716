//! Memory: what streams is not gathered, and what is held is bounded.

use std::io::Write;
use std::time::Duration;

use weir_testkit::{Endpoint, Gate, Plan, Raw, Reply, Weir, pattern_hash};

use crate::setup::{HOLDS, STREAMS, Setup, get, post, wait_until_leases_are_back, weir};

const PATIENCE: Duration = Duration::from_secs(30);
const MIB: u64 = 1024 * 1024;

/// How much more memory than before it has taken at most, after serving one exchange of each kind.
fn growth(weir: &Weir, before: u64) -> u64 {
    weir.memory().peak.saturating_sub(before)
}

#[test]
fn a_client_that_reads_slowly_holds_back_the_endpoint_not_memory() {
    let endpoint = Endpoint::start(|_| Plan::new().reply(Reply::new(200).pattern(1, 200 * MIB)));
    let weir = weir(&endpoint);
    let before = weir.memory().now;
    let mut client = Raw::connect_within(weir.address(), PATIENCE);
    client.write(get("/", ""));
    // Nothing is read until the endpoint, and weir, can write no more.
    client.bytes(100);
    assert!(endpoint.seen().open == 1);
    let (mut last, mut same) = (0, 0);
    while same < 20 {
        let now = weir.memory().now;
        same = if now == last { same + 1 } else { 0 };
        last = now;
    }
    assert!(growth(&weir, before) < 20 * MIB, "{} bytes", growth(&weir, before));
    drop(client);
    endpoint.wait_until_idle();
    wait_until_leases_are_back(&weir);
}

#[test]
fn two_hundred_megabytes_stream_down_in_little_memory_and_exact() {
    let endpoint = Endpoint::start(|_| Plan::new().reply(Reply::new(200).pattern(1, 200_000_000)));
    let weir = weir(&endpoint);
    let before = weir.memory().now;
    let mut client = Raw::connect_within(weir.address(), PATIENCE);
    let response = client.write(get("/", "")).response();
    assert_eq!(response.body.hash, pattern_hash(1, 200_000_000));
    assert!(growth(&weir, before) < 20 * MIB, "{} bytes", growth(&weir, before));
}

#[test]
fn two_hundred_megabytes_stream_up_in_little_memory_and_exact_whatever_the_pace_of_the_endpoint() {
    let gate = Gate::closed();
    let endpoint = Endpoint::start({
        let gate = gate.clone();
        move |_| Plan::new().read_bytes(1_000_000).wait(&gate).read_body().reply(Reply::new(200))
    });
    let weir = STREAMS.start(&endpoint);
    let before = weir.memory().now;
    let mut client = Raw::connect_within(weir.address(), PATIENCE);
    client.write(post(200_000_000, ""));
    let mut writer = client.writer();
    let sender = std::thread::spawn(move || {
        let piece = weir_testkit::pattern(6, 200_000_000);
        writer.write_all(&piece)
    });
    gate.wait_for_arrivals(1);
    // The endpoint reads no more now: what weir takes on is bounded.
    let (mut last, mut same) = (0, 0);
    while same < 20 {
        let now = weir.memory().now;
        same = if now == last { same + 1 } else { 0 };
        last = now;
    }
    assert!(growth(&weir, before) < 20 * MIB, "{} bytes while it stood", growth(&weir, before));
    gate.open();
    assert_eq!(client.response().status, 200);
    sender.join().unwrap().unwrap();
    assert_eq!(endpoint.wait_for_bodies(1).first().unwrap().body.hash, pattern_hash(6, 200_000_000));
    assert!(growth(&weir, before) < 20 * MIB, "{} bytes", growth(&weir, before));
}

#[test]
fn a_body_for_which_no_memory_is_left_is_streamed() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let setup = Setup {
        server: r#"body_memory = "1MiB""#,
        route: r#"body = { max = "8MiB", buffer = "1MiB" }"#,
        ..Setup::default()
    };
    let weir = setup.start(&endpoint);
    let modes = || ["held", "streamed"].map(|mode| weir.metric("weir_request_bodies_total", &[("mode", mode)]));
    let mut holder = Raw::connect(weir.address());
    holder.write(post(MIB, ""));
    holder.try_write_pattern(8, MIB - 1).unwrap();
    weir.wait_for_metric("weir_body_memory_bytes", &[], |held| held == 1_048_575.0);
    for length in [1000, MIB] {
        let mut client = Raw::connect(weir.address());
        client.write(post(length, ""));
        client.try_write_pattern(8, length).unwrap();
        assert_eq!(client.response().status, 200);
    }
    // The small one is there with its first read, so it is held all the same.
    assert_eq!(modes(), [1.0, 1.0]);
    drop(holder);
    weir.wait_for_metric("weir_body_memory_bytes", &[], |held| held == 0.0);
    let mut client = Raw::connect(weir.address());
    client.write(post(MIB, ""));
    client.try_write_pattern(8, MIB).unwrap();
    assert_eq!(client.response().status, 200);
    assert_eq!(modes(), [2.0, 1.0]);
    let hashes: Vec<u64> = endpoint.wait_for_bodies(3).iter().map(|got| got.body.hash).collect();
    assert_eq!(hashes, [pattern_hash(8, 1000), pattern_hash(8, MIB), pattern_hash(8, MIB)]);
}

#[test]
fn a_chunked_body_that_outgrows_the_buffer_goes_on_as_a_stream_without_losing_a_byte() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let weir = Setup { route: r#"body = { max = "64MiB", buffer = "64KiB" }"#, ..Setup::default() }.start(&endpoint);
    for length in [60_000_usize, 65_536, 65_537, 70_000, 5_000_000] {
        let mut client = Raw::connect(weir.address());
        client.write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        for chunk in weir_testkit::pattern(length as u64, length).chunks(9_999) {
            client.write([format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
        }
        assert_eq!(client.write("0\r\n\r\n").response().status, 200);
        let last = endpoint.requests().pop().unwrap().body;
        assert_eq!((last.length, last.hash), (length as u64, pattern_hash(length as u64, length as u64)));
    }
    weir.wait_for_metric("weir_body_memory_bytes", &[], |held| held == 0.0);
}

#[test]
fn a_body_in_chunks_of_one_byte_takes_no_more_memory_than_its_bytes() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let weir = Setup { route: r#"body = { max = "8MiB" , buffer = "8MiB" }"#, ..Setup::default() }.start(&endpoint);
    let before = weir.memory().now;
    let mut client = Raw::connect_within(weir.address(), PATIENCE);
    client.write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.write("1\r\nx\r\n".repeat(1_000_000)).write("0\r\n\r\n");
    assert_eq!(client.response().status, 200);
    assert_eq!(endpoint.wait_for_bodies(1).first().unwrap().body.length, 1_000_000);
    assert!(growth(&weir, before) < 10 * MIB, "{} bytes", growth(&weir, before));
}

#[test]
fn a_head_that_announces_a_body_takes_no_memory_for_it() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let weir = HOLDS.start(&endpoint);
    let mut idle = Raw::connect(weir.address());
    idle.write(post(1 << 20, "Expect: 100-continue\r\n"));
    assert_eq!(idle.interim().0, 100, "its body is waited for");
    assert!(weir.metric("weir_body_memory_bytes", &[]) < 1.0);
}
