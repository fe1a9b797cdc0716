//! Who may take how long.

use std::time::Duration;

use weir_testkit::{Endpoint, Gate, Plan, Raw, Reply};

use crate::setup::{HOLDS, STREAMS, Setup, assert_refused, get, post, wait_until_leases_are_back};

fn ok() -> Endpoint {
    Endpoint::replying(Reply::new(200).body("done"))
}

#[test]
fn a_head_that_drips_in_is_refused_when_its_time_is_over_in_all() {
    let endpoint = ok();
    let weir =
        Setup { listener: "header_timeout = \"300ms\"\nidle_timeout = \"1h\"", ..Setup::default() }.start(&endpoint);
    let mut client = Raw::connect(weir.address());
    client.write("GET / HTTP/1.1\r\nHost: a\r\nX: ");
    // Every byte is well within the limit; together they are not.
    while !client.hears_within(Duration::from_millis(20)) {
        client.write("x");
    }
    let response = client.response();
    assert_refused(&weir, &response, 408, "head_timeout");
    assert_eq!(response.field("connection"), Some("close"));
    assert_eq!(endpoint.seen().accepted, 0);
}

#[test]
fn a_second_head_has_a_deadline_of_its_own_that_starts_with_its_first_byte() {
    let endpoint = ok();
    let weir =
        Setup { listener: "header_timeout = \"300ms\"\nidle_timeout = \"1h\"", ..Setup::default() }.start(&endpoint);
    let mut client = Raw::connect(weir.address());
    assert_eq!(client.write(get("/", "")).response().status, 200);
    assert!(!client.hears_within(Duration::from_millis(600)), "an idle connection is not late");
    assert_eq!(client.write(get("/", "")).response().status, 200);
    client.write("G");
    assert_refused(&weir, &client.response(), 408, "head_timeout");
}

#[test]
fn an_idle_connection_is_closed_without_a_word_when_its_own_time_is_over() {
    let endpoint = ok();
    let weir =
        Setup { listener: "header_timeout = \"1h\"\nidle_timeout = \"300ms\"", ..Setup::default() }.start(&endpoint);
    let mut fresh = Raw::connect(weir.address());
    let mut used = Raw::connect(weir.address());
    assert_eq!(used.write(get("/", "")).response().status, 200);
    assert!(fresh.is_ended());
    assert!(used.is_ended());
    let mut blank = Raw::connect(weir.address());
    blank.write("\r\n");
    assert!(blank.is_ended(), "a blank line starts no head");
    assert_eq!(weir.metric("weir_refusals_total", &[]), 0.0);
}

#[test]
fn a_body_that_stops_coming_is_refused() {
    for setup in [HOLDS, STREAMS] {
        let endpoint = ok();
        let weir = Setup { listener: "read_timeout = \"300ms\"", ..setup }.start(&endpoint);
        let mut client = Raw::connect(weir.address());
        client.write(post(10, "")).write("hello");
        let response = client.response();
        assert_refused(&weir, &response, 408, "body_timeout");
        assert_eq!(response.field("connection"), Some("close"));
        wait_until_leases_are_back(&weir);
        assert_eq!(weir.metric("weir_endpoint_up", &[]), 1.0, "a slow client is not the endpoint's fault");
    }
}

#[test]
fn a_body_that_drips_in_faster_than_the_deadline_is_served() {
    for setup in [HOLDS, STREAMS] {
        let endpoint = ok();
        let weir = Setup { listener: "read_timeout = \"400ms\"", ..setup }.start(&endpoint);
        let mut client = Raw::connect(weir.address());
        client.write(post(40, ""));
        for _ in 0..40 {
            // Silence is what is waited for here: 40 pauses are longer than the deadline together.
            assert!(!client.hears_within(Duration::from_millis(20)));
            client.write("x");
        }
        assert_eq!(client.response().text(), "done");
    }
}

#[test]
fn a_client_that_does_not_take_its_answer_is_closed_and_the_lease_returned() {
    let endpoint = Endpoint::start(|_| Plan::new().reply(Reply::new(200).pattern(1, 1 << 40)));
    let weir = Setup { listener: "write_timeout = \"300ms\"", ..Setup::default() }.start(&endpoint);
    let mut client = Raw::connect(weir.address());
    client.write(get("/", ""));
    client.bytes(1000);
    endpoint.wait_for_close(1);
    wait_until_leases_are_back(&weir);
    assert_eq!(weir.metric("weir_endpoint_up", &[]), 1.0);
    // What is in the kernel's buffers still comes, the end behind it.
    client.read_to_end();
}

#[test]
fn a_client_that_takes_its_answer_slowly_but_steadily_is_served() {
    let endpoint = Endpoint::start(|_| Plan::new().reply(Reply::new(200).pattern(1, 1 << 40)));
    let weir = Setup { listener: "write_timeout = \"600ms\"", ..Setup::default() }.start(&endpoint);
    let mut client = Raw::connect(weir.address());
    client.write(get("/", ""));
    let mut silence = Raw::connect(weir.address());
    for _ in 0..150 {
        client.bytes(500_000);
        // Nothing comes here: this is a pause, far shorter than the deadline, and long enough for buffers to fill.
        silence.hears_within(Duration::from_millis(20));
    }
    assert_eq!(endpoint.seen().open, 1, "it was not given up");
}

#[test]
fn an_endpoint_that_takes_the_request_slowly_but_steadily_is_waited_for() {
    const LENGTH: u64 = 50_000_000;
    let endpoint = Endpoint::start(|_| {
        let hint = "HTTP/1.1 103 Early Hints\r\n\r\n";
        let slowly = |plan: Plan, _| plan.read_bytes(500_000).trickle(hint, hint.len(), Duration::from_millis(20));
        (0..100).fold(Plan::new(), slowly).read_body().reply(Reply::new(200))
    });
    let route = "body = { max = \"1GiB\", buffer = \"0B\" }\ntimeout = { write = \"600ms\" }";
    let weir = Setup { route, ..Setup::default() }.start(&endpoint);
    let mut client = Raw::connect(weir.address());
    client.write(post(LENGTH, ""));
    client.try_write_pattern(1, LENGTH).unwrap();
    assert_eq!(client.response().status, 200);
}

#[test]
fn an_endpoint_that_does_not_answer_in_time_is_504() {
    let endpoint = Endpoint::start(|_| Plan::new().hang());
    let weir =
        Setup { route: "timeout = { read = \"300ms\" }\nretry = { tries = 1 }", ..Setup::default() }.start(&endpoint);
    let mut client = Raw::connect(weir.address());
    for n in 1..=2 {
        let response = client.write(get("/", "")).response();
        assert_refused(&weir, &response, 504, "endpoint_timeout");
        assert_eq!(response.field("connection"), Some("keep-alive"), "the client did nothing wrong");
        endpoint.wait_for_close(n);
    }
    wait_until_leases_are_back(&weir);
}

#[test]
fn an_endpoint_that_stops_in_the_middle_of_its_answer_is_cut_off() {
    let endpoint = Endpoint::start(|_| {
        Plan::new().write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").hang()
    });
    let weir = Setup { route: "timeout = { read = \"300ms\" }", ..Setup::default() }.start(&endpoint);
    let response = Raw::ask(weir.address(), get("/", ""));
    assert_eq!((response.status, response.body.length, response.body.complete), (200, 5, false));
    endpoint.wait_for_close(1);
    weir.wait_for_metric("weir_answers_cut_total", &[], |cut| cut == 1.0);
    wait_until_leases_are_back(&weir);
}

#[test]
fn an_answer_that_drips_out_faster_than_the_deadline_is_served() {
    let endpoint = Endpoint::start(|_| {
        let head = Reply::new(200).claim_length(40).head();
        Plan::new().write(head).trickle(vec![b'x'; 40], 1, Duration::from_millis(10))
    });
    let weir = Setup { route: "timeout = { read = \"200ms\" }", ..Setup::default() }.start(&endpoint);
    assert_eq!(Raw::ask(weir.address(), get("/", "")).body.length, 40);
}

#[test]
fn an_endpoint_that_does_not_take_the_request_is_504() {
    for setup in [HOLDS, STREAMS] {
        let endpoint = Endpoint::start(|_| Plan::new().hang());
        let route = format!("{}\ntimeout = {{ write = \"300ms\" }}\nretry = {{ tries = 1 }}", setup.route);
        let weir = Setup { route: &route, ..Setup::default() }.start(&endpoint);
        let mut client = Raw::connect(weir.address());
        client.write(post(30_000_000, ""));
        drop(client.try_write_pattern(1, 30_000_000));
        assert_refused(&weir, &client.response(), 504, "endpoint_timeout");
        wait_until_leases_are_back(&weir);
    }
}

#[test]
fn the_whole_exchange_has_a_deadline_whoever_is_slow() {
    let route = |body: &str| format!("timeout = {{ connect = \"200ms\", total = \"300ms\" }}\nbody = {{ {body} }}");
    for body in [r#"buffer = "1MiB""#, r#"buffer = "0B""#] {
        let gate = Gate::closed();
        let endpoint = Endpoint::start({
            let gate = gate.clone();
            move |_| Plan::new().read_body().wait(&gate).reply(Reply::new(200))
        });
        let weir = Setup { route: &route(body), ..Setup::default() }.start(&endpoint);
        let mut waiting = Raw::connect(weir.address());
        assert_refused(&weir, &waiting.write(format!("{}hello", post(5, ""))).response(), 504, "deadline");
        let mut sending = Raw::connect(weir.address());
        assert_refused(&weir, &sending.write(post(5, "")).response(), 504, "deadline");
        wait_until_leases_are_back(&weir);
        gate.open();
    }
}

#[test]
fn the_deadline_cuts_an_answer_that_never_ends() {
    let endpoint = Endpoint::start(|_| {
        let head = Reply::new(200).claim_length(1000).head();
        Plan::new().write(head).trickle(vec![b'x'; 1000], 1, Duration::from_millis(10))
    });
    let weir =
        Setup { route: r#"timeout = { connect = "200ms", total = "500ms" }"#, ..Setup::default() }.start(&endpoint);
    let response = Raw::ask(weir.address(), get("/", ""));
    assert_eq!((response.status, response.body.complete), (200, false));
    endpoint.wait_for_close(1);
    wait_until_leases_are_back(&weir);
}

#[test]
fn a_blank_line_left_over_from_the_last_request_starts_no_deadline() {
    let endpoint = ok();
    let weir =
        Setup { listener: "header_timeout = \"300ms\"\nidle_timeout = \"1h\"", ..Setup::default() }.start(&endpoint);
    let mut client = Raw::connect(weir.address());
    assert_eq!(client.write(get("/", "")).response().status, 200);
    client.write("\r\n");
    assert!(!client.hears_within(Duration::from_millis(600)), "nothing has begun");
    let head = get("/", "");
    let (first, second) = head.split_at(10);
    client.write(first);
    client.write(second);
    assert_eq!(client.response().status, 200);
}
