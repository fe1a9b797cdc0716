//! The raw client.

use std::time::Duration;

use weir_testkit::{Endpoint, Plan, Raw, Reply};

#[test]
fn pipelined_answers_are_read_one_by_one() {
    let endpoint = Endpoint::start(|call| Reply::new(200).body(call.target().to_owned()).into());
    let mut client = Raw::connect(endpoint.address());
    client.write(
        "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nHEAD /2 HTTP/1.1\r\nHost: x\r\n\r\nGET /3 HTTP/1.1\r\nHost: x\r\n\r\n",
    );
    assert_eq!(client.response().text(), "/1");
    let head = client.response_to("HEAD");
    assert_eq!((head.field("Content-Length"), head.body.length), (Some("2"), 0));
    assert_eq!(client.response().text(), "/3");
}

#[test]
fn a_reset_by_the_client_is_seen_as_the_peers_close() {
    let endpoint = Endpoint::start(|_| Plan::new().hang());
    let mut client = Raw::connect(endpoint.address());
    client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    endpoint.wait_for_requests(1);
    client.reset();
    endpoint.wait_for_close(1);
}

#[test]
fn silence_ends_with_a_panic_that_shows_what_came() {
    let endpoint = Endpoint::start(|_| Plan::new().write("HTTP/1.1 2").hang());
    let address = endpoint.address();
    let stuck = std::thread::spawn(move || {
        let mut client = Raw::connect_within(address, Duration::from_millis(50));
        client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n").response();
    });
    let said = *stuck.join().unwrap_err().downcast::<String>().unwrap();
    assert!(said.contains("HTTP/1.1 2"), "{said}");
}
