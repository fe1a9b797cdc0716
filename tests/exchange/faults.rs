//! Endpoints that do not answer, or answer with what is no answer.

use weir_testkit::{Endpoint, Plan, Raw, Reply};

use crate::setup::{Setup, assert_refused, get, post, wait_until_leases_are_back, weir};

const ONE_TRY: Setup<'static> = Setup { server: "", listener: "", route: "retry = { tries = 1 }", service: "" };

/// What becomes of a GET when the endpoint writes this and closes.
fn answered(bytes: impl Into<Vec<u8>>, status: u16, reason: &str) {
    let bytes = bytes.into();
    let endpoint = Endpoint::start({
        let bytes = bytes.clone();
        move |_| Plan::new().write(bytes.clone()).finish()
    });
    let weir = ONE_TRY.start(&endpoint);
    let mut client = Raw::connect(weir.address());
    let response = client.write(get("/", "")).response();
    assert_eq!(response.status, status, "{bytes:?}");
    assert_refused(&weir, &response, status, reason);
    assert_eq!(response.field("connection"), Some("keep-alive"), "the client did nothing wrong");
    wait_until_leases_are_back(&weir);
}

#[test]
fn an_endpoint_that_closes_or_resets_before_it_answers_is_502() {
    answered("", 502, "endpoint_broken");
    answered("HTTP/1.1 200 OK\r\nContent-Le", 502, "endpoint_broken");
    let endpoint = Endpoint::start(|_| Plan::new().reset());
    let weir = ONE_TRY.start(&endpoint);
    assert_refused(&weir, &Raw::get(weir.address(), "/"), 502, "endpoint_broken");
}

#[test]
fn an_endpoint_that_is_not_there_is_502() {
    let mut endpoint = Endpoint::replying(Reply::new(200));
    let weir = weir(&endpoint);
    endpoint.stop();
    assert_refused(&weir, &Raw::get(weir.address(), "/"), 502, "connect_failed");
}

#[test]
fn what_is_no_http_is_502() {
    answered("\0\0\0 garbage\r\n\r\n", 502, "bad_answer");
    answered("SSH-2.0-OpenSSH_9.2\r\n", 502, "bad_answer");
    answered("HTTP/1.1 abc OK\r\n\r\n", 502, "bad_answer");
    answered("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", 502, "bad_answer");
    answered("HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", 502, "bad_answer");
    answered("HTTP/1.1 200 OK\r\nBad Name: 1\r\n\r\n", 502, "bad_answer");
}

#[test]
fn an_answer_whose_end_can_be_read_in_two_ways_is_502() {
    answered("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nhello", 502, "bad_answer");
    answered("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 502, "bad_answer");
    answered("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", 502, "bad_answer");
    answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello", 502, "bad_answer");
    answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 502, "bad_answer");
    answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 502, "bad_answer");
    answered(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
        502,
        "bad_answer",
    );
    answered(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        502,
        "bad_answer",
    );
}

#[test]
fn a_length_said_twice_alike_is_passed_on_once_or_not_at_all() {
    for lines in [
        "Content-Length: 5, 5\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    ] {
        let endpoint = Endpoint::start(move |_| {
            let body = if lines.contains("chunked") { "5\r\nhello\r\n0\r\n\r\n" } else { "hello" };
            Plan::new().write(format!("HTTP/1.1 200 OK\r\n{lines}\r\n{body}"))
        });
        let weir = ONE_TRY.start(&endpoint);
        let response = Raw::connect(weir.address()).write(get("/", "")).response();
        if response.status == 200 {
            let lengths: Vec<&str> = response.head.all("content-length").collect();
            assert!(
                lengths == ["5"] || response.field("transfer-encoding") == Some("chunked") && lengths.is_empty(),
                "{:?}",
                response.head
            );
            assert_eq!(response.text(), "hello");
        } else {
            assert_refused(&weir, &response, 502, "bad_answer");
        }
    }
}

#[test]
fn an_answer_head_without_an_end_is_502() {
    answered(format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(4_000_000)), 502, "bad_answer");
    answered(format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: 1\r\n".repeat(1000)), 502, "bad_answer");
}

#[test]
fn a_counted_answer_that_breaks_off_is_seen_to_break_off() {
    for end in [Plan::close, Plan::reset, Plan::finish] {
        let endpoint =
            Endpoint::start(move |_| end(Plan::new().write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")));
        let weir = weir(&endpoint);
        let mut client = Raw::connect(weir.address());
        let response = client.write(get("/", "")).response();
        assert_eq!((response.status, response.body.complete), (200, false));
        assert!(client.is_ended());
        weir.wait_for_metric("weir_answers_cut_total", &[], |cut| cut == 1.0);
        wait_until_leases_are_back(&weir);
    }
}

#[test]
fn a_chunked_answer_that_breaks_off_gets_no_last_chunk() {
    for bytes in ["5\r\nhello\r\n", "64\r\nhello", "5\r\nhello\r\n5", "5\r\nhello\r\n0\r\n", "5\r\nhello\r\nxyz\r\n"] {
        let endpoint = Endpoint::start(move |_| {
            Plan::new().write(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{bytes}")).finish()
        });
        let weir = weir(&endpoint);
        let mut client = Raw::connect(weir.address());
        let response = client.write(get("/", "")).response();
        assert_eq!(response.status, 200);
        assert!(!response.body.complete, "{bytes:?}");
        assert!(client.is_ended());
        weir.wait_for_metric("weir_answers_cut_total", &[], |cut| cut == 1.0);
        wait_until_leases_are_back(&weir);
    }
}

#[test]
fn an_endpoint_that_dies_in_the_middle_of_an_upload_is_502_and_the_client_hears_of_it() {
    for route in [
        "retry = { tries = 1 }\nbody = { max = \"64MiB\", buffer = \"64MiB\" }",
        "body = { max = \"64MiB\", buffer = \"0B\" }",
    ] {
        let endpoint = Endpoint::start(|_| Plan::new().read_bytes(100_000).reset());
        let weir = Setup { route, ..Setup::default() }.start(&endpoint);
        let mut client = Raw::connect_within(weir.address(), std::time::Duration::from_secs(30));
        client.write(post(20_000_000, ""));
        drop(client.try_write_pattern(1, 20_000_000));
        assert_refused(&weir, &client.response(), 502, "endpoint_broken");
        wait_until_leases_are_back(&weir);
    }
}

#[test]
fn a_post_on_a_pooled_connection_that_has_died_is_not_blamed_on_the_endpoint() {
    // Every second request on a connection finds it closed as it arrives.
    let endpoint = Endpoint::start(|call| if call.nth == 0 { Reply::new(200).into() } else { Plan::new().reset() });
    let weir = Setup { service: "health = { failures = 1 }", ..Setup::default() }.start(&endpoint);
    for _ in 0..3 {
        assert_eq!(Raw::get(weir.address(), "/").status, 200);
        let status = Raw::ask(weir.address(), format!("{}hello", post(5, ""))).status;
        assert!([200, 502].contains(&status), "{status}");
        assert_eq!(weir.metric("weir_endpoint_up", &[]), 1.0);
    }
}

#[test]
fn a_get_on_a_pooled_connection_that_has_died_is_answered_and_nobody_blamed() {
    let endpoint = Endpoint::start(|call| if call.nth == 0 { Reply::new(200).into() } else { Plan::new().reset() });
    let weir = Setup { service: "health = { failures = 1 }", ..Setup::default() }.start(&endpoint);
    for _ in 0..5 {
        assert_eq!(Raw::get(weir.address(), "/").status, 200);
    }
    assert_eq!(weir.metric("weir_endpoint_up", &[]), 1.0);
    assert!(weir.metric("weir_endpoint_connections_total", &[("kind", "stale")]) >= 1.0);
}
