//! What is too large.

use std::time::Duration;

use weir_testkit::{Endpoint, Raw, Reply};

use crate::setup::{Setup, assert_refused, get, post, post_chunked, weir};

fn ok() -> Endpoint {
    Endpoint::replying(Reply::new(200))
}

#[test]
fn a_head_beyond_its_limits_is_refused_closed_and_never_forwarded() {
    let endpoint = ok();
    let weir = weir(&endpoint);
    let fields = |count: usize| get("/", &"X: 1\r\n".repeat(count - 1));
    let size = |size: usize| {
        let line = format!("X: {}\r\n", "x".repeat((size - 100) / 4));
        get("/", &line.repeat(4))
    };
    let target = |length: usize| get(&format!("/{}", "x".repeat(length - 1)), "");
    for (request, status, reason) in [
        (fields(101), 431, "too_many_fields"),
        (size(33 * 1024), 431, "head_too_large"),
        (get("/", &format!("X: {}\r\n", "x".repeat(40_000))), 431, "head_too_large"),
        (target(8193), 414, "target_too_long"),
        (target(1_000_000), 414, "target_too_long"),
    ] {
        let mut client = Raw::connect(weir.address());
        drop(client.try_write(request));
        let response = client.response();
        assert_refused(&weir, &response, status, reason);
        assert_eq!(response.field("connection"), Some("close"));
        assert!(client.is_ended());
    }
    assert_eq!(endpoint.seen().accepted, 0);
    for request in [fields(100), size(31 * 1024), target(8192)] {
        assert_eq!(Raw::ask(weir.address(), request).status, 200);
    }
}

#[test]
fn a_head_without_an_end_is_refused_as_soon_as_it_is_too_large() {
    let endpoint = ok();
    let weir = weir(&endpoint);
    for (start, status) in [("GET / HTTP/1.1\r\nX: ", 431), ("GET /", 414), ("X", 431)] {
        let mut client = Raw::connect(weir.address());
        drop(client.try_write(format!("{start}{}", "x".repeat(100_000))));
        assert_eq!(client.response().status, status, "{start}");
    }
}

#[test]
fn configured_limits_hold_instead_of_the_defaults() {
    let endpoint = ok();
    let listener = "max_head = \"1KiB\"\nmax_fields = 3\nmax_target = \"20B\"";
    let weir = Setup { listener, ..Setup::default() }.start(&endpoint);
    assert_eq!(Raw::ask(weir.address(), get("/", "A: 1\r\nB: 2\r\n")).status, 200);
    assert_eq!(Raw::ask(weir.address(), get("/", "A: 1\r\nB: 2\r\nC: 3\r\n")).status, 431);
    assert_eq!(Raw::ask(weir.address(), get("/", &format!("A: {}\r\n", "x".repeat(1000)))).status, 431);
    assert_eq!(Raw::ask(weir.address(), get(&format!("/{}", "x".repeat(20)), "")).status, 414);
}

#[test]
fn a_body_beyond_its_limit_is_refused_and_the_client_hears_of_it_however_much_it_sends() {
    for route in [r#"body = { max = "1MiB" }"#, r#"body = { max = "1MiB", buffer = "0B" }"#] {
        let endpoint = ok();
        let weir = Setup { route, ..Setup::default() }.start(&endpoint);
        for length in [1024 * 1024 + 1, 50_000_000] {
            let mut counted = Raw::connect_within(weir.address(), Duration::from_secs(30));
            counted.write(post(length, ""));
            counted.try_write_pattern(1, length).unwrap();
            assert_refused(&weir, &counted.response(), 413, "body_too_large");
            let mut chunked = Raw::connect_within(weir.address(), Duration::from_secs(30));
            chunked.write(post_chunked("")).write(format!("{length:x}\r\n"));
            chunked.try_write_pattern(1, length).unwrap();
            chunked.write("\r\n0\r\n\r\n");
            assert_refused(&weir, &chunked.response(), 413, "body_too_large");
        }
        assert!(endpoint.requests().iter().all(|request| !request.body.complete), "no such body was completed");
        assert_eq!(Raw::ask(weir.address(), format!("{}hello", post(5, ""))).status, 200);
        let up = weir.metric("weir_endpoint_up", &[]);
        assert_eq!(up, 1.0, "a client's large body is no fault of the endpoint");
    }
}

#[test]
fn a_body_of_exactly_the_limit_is_served_counted_and_chunked_held_and_streamed() {
    for route in [r#"body = { max = "100KiB" }"#, r#"body = { max = "100KiB", buffer = "0B" }"#] {
        let endpoint = ok();
        let weir = Setup { route, ..Setup::default() }.start(&endpoint);
        let body = "x".repeat(100 * 1024);
        assert_eq!(Raw::ask(weir.address(), post(100 * 1024, "") + &body).status, 200);
        assert_eq!(Raw::ask(weir.address(), format!("{}19000\r\n{body}\r\n0\r\n\r\n", post_chunked(""))).status, 200);
    }
}

#[test]
fn a_broken_chunk_is_refused_wherever_it_stands_and_the_body_never_completed() {
    for route in [r#"body = { max = "1MiB" }"#, r#"body = { max = "1MiB", buffer = "0B" }"#] {
        let endpoint = ok();
        let weir = Setup { route, ..Setup::default() }.start(&endpoint);
        for broken in ["x\r\n", "5\r\nhelloX", "5;a\nb\r\n", "0\r\nno colon\r\n\r\n", "\r\n"] {
            for first in ["", "5\r\nhello\r\n"] {
                for pieces in [1, 2] {
                    let mut client = Raw::connect(weir.address());
                    client.write(post_chunked(""));
                    if pieces == 1 {
                        client.write(format!("{first}{broken}"));
                    } else {
                        client.write(first);
                        drop(client.try_write(broken));
                    }
                    let response = client.response();
                    assert_refused(&weir, &response, 400, "bad_body");
                    assert_eq!(response.field("connection"), Some("close"));
                }
            }
        }
        endpoint.wait_until_idle();
        assert!(endpoint.requests().iter().all(|request| !request.body.complete));
        assert_eq!(weir.metric("weir_endpoint_up", &[]), 1.0);
    }
}
