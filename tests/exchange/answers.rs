//! Answers with and without bodies, however the endpoint frames them.

use weir_testkit::{Endpoint, Plan, Raw, Reply, pattern_hash};

use crate::setup::{get, weir};

#[test]
fn answers_that_have_no_body_whatever_they_say_leave_the_connection_usable() {
    let endpoint = Endpoint::start(|call| match call.target() {
        "/204" => Reply::new(204).claim_length(5).into(),
        "/304" => Reply::new(304).claim_length(5).into(),
        _ => Reply::new(200).body("hello").into(),
    });
    let weir = weir(&endpoint);
    let mut client = Raw::connect(weir.address());
    let head = client.write("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").response_to("HEAD");
    assert_eq!((head.status, head.field("content-length"), head.body.length), (200, Some("5"), 0));
    let none = client.write(get("/204", "")).response();
    assert_eq!((none.status, none.field("content-length")), (204, None));
    let same = client.write(get("/304", "")).response();
    assert_eq!((same.status, same.field("content-length")), (304, Some("5")));
    assert_eq!(client.write(get("/", "")).response().text(), "hello");
    assert!(client.received().is_empty(), "nothing follows the answers: {:?}", client.received());
    assert_eq!(endpoint.seen().accepted, 1, "nor was the endpoint's connection lost");
}

#[test]
fn a_head_for_a_chunked_answer_leaves_the_connection_usable() {
    let endpoint = Endpoint::replying(Reply::new(200).body("hello").chunked());
    let weir = weir(&endpoint);
    let mut client = Raw::connect(weir.address());
    let head = client.write("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").response_to("HEAD");
    assert_eq!((head.status, head.body.length), (200, 0));
    assert_eq!(client.write(get("/", "")).response().text(), "hello");
}

#[test]
fn a_chunked_answer_goes_on_in_chunks_and_both_connections_stay() {
    let endpoint = Endpoint::replying(Reply::new(200).pattern(7, 300_000).trailer("Sum", "1"));
    let weir = weir(&endpoint);
    let mut client = Raw::connect(weir.address());
    for _ in 0..3 {
        let response = client.write(get("/", "")).response();
        assert!(response.body.complete);
        assert_eq!(response.field("transfer-encoding"), Some("chunked"));
        assert_eq!((response.body.length, response.body.hash), (300_000, pattern_hash(7, 300_000)));
    }
    assert_eq!(endpoint.seen().accepted, 1);
}

#[test]
fn a_counted_answer_keeps_its_length() {
    let endpoint = Endpoint::replying(Reply::new(200).pattern(7, 300_000));
    let weir = weir(&endpoint);
    let mut client = Raw::connect(weir.address());
    for _ in 0..3 {
        let response = client.write(get("/", "")).response();
        assert_eq!(response.field("content-length"), Some("300000"));
        assert_eq!(response.field("transfer-encoding"), None);
        assert_eq!(response.body.hash, pattern_hash(7, 300_000));
    }
}

#[test]
fn an_answer_that_ends_with_its_connection_reaches_1_1_in_chunks_and_the_client_stays() {
    let endpoint = Endpoint::replying(Reply::new(200).pattern(3, 100_000).until_close());
    let weir = weir(&endpoint);
    let mut client = Raw::connect(weir.address());
    for _ in 0..2 {
        let response = client.write(get("/", "")).response();
        assert_eq!(response.field("transfer-encoding"), Some("chunked"));
        assert!(response.body.complete);
        assert_eq!(response.body.hash, pattern_hash(3, 100_000));
    }
}

#[test]
fn a_client_of_1_0_gets_a_body_of_unknown_length_ended_by_the_close_even_if_it_asked_to_stay() {
    for reply in [Reply::new(200).body("hello").until_close(), Reply::new(200).body("hello").chunked()] {
        let endpoint = Endpoint::replying(reply);
        let weir = weir(&endpoint);
        for lines in ["", "Connection: keep-alive\r\n"] {
            let mut client = Raw::connect(weir.address());
            let response = client.write(format!("GET / HTTP/1.0\r\n{lines}\r\n")).response();
            assert_eq!(response.field("transfer-encoding"), None);
            assert_eq!(response.text(), "hello");
            assert_eq!(response.field("connection"), Some("close"), "{lines:?}");
        }
    }
}

#[test]
fn an_endpoint_of_1_0_is_understood() {
    let endpoint = Endpoint::start(|_| Plan::new().write("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello").close());
    let weir = weir(&endpoint);
    let mut client = Raw::connect(weir.address());
    for _ in 0..2 {
        let response = client.write(get("/", "")).response();
        assert_eq!((response.head.word(0), response.text()), ("HTTP/1.1", "hello".to_owned()));
        assert_eq!(response.field("connection"), Some("keep-alive"));
    }
    assert_eq!(endpoint.seen().accepted, 2, "a 1.0 connection without keep-alive is not used again");
}

#[test]
fn more_bytes_than_the_answer_said_are_no_part_of_any_answer() {
    let endpoint = Endpoint::start(|_| {
        Plan::new().write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 500 Evil\r\n\r\n")
    });
    let weir = weir(&endpoint);
    let mut client = Raw::connect(weir.address());
    for _ in 0..3 {
        let response = client.write(get("/", "")).response();
        assert_eq!((response.status, response.text()), (200, "hello".to_owned()));
    }
    assert_eq!(endpoint.seen().accepted, 3);
}

#[test]
fn an_answer_in_single_bytes_arrives_whole() {
    let bytes = Reply::new(200).body("hello").chunked().to_bytes("GET");
    let endpoint = Endpoint::start(move |_| Plan::new().trickle(bytes.clone(), 1, std::time::Duration::from_millis(1)));
    let weir = weir(&endpoint);
    assert_eq!(Raw::get(weir.address(), "/").text(), "hello");
}

#[test]
fn an_answer_reaches_the_client_before_it_is_complete() {
    let gate = weir_testkit::Gate::closed();
    for head in ["Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "Content-Length: 10\r\n\r\nhello", "\r\nhello"] {
        let endpoint = Endpoint::start({
            let gate = gate.clone();
            move |_| Plan::new().write(format!("HTTP/1.1 200 OK\r\n{head}")).wait(&gate)
        });
        let weir = weir(&endpoint);
        let mut client = Raw::connect(weir.address());
        client.write(get("/", ""));
        let mut seen = Vec::new();
        while !seen.windows(5).any(|part| part == b"hello") {
            seen.extend(client.bytes(1));
        }
    }
    gate.open();
}
