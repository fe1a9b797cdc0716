//! When a failed try is followed by another, and when it must not be.

use std::net::SocketAddr;

use weir_testkit::{Endpoint, Gate, Plan, Raw, Reply, Response, Weir, pattern};

use crate::support::{NEVER_EJECT, Setup, ask, assert_metric, get, post, up};

/// What an endpoint may do instead of answering: the metric's reason, what it does, and the route that retries it.
fn failures() -> [(&'static str, Plan, &'static str); 5] {
    [
        ("broken", Plan::new().read_body().reset(), ""),
        ("broken", Plan::new().read_body().write("HTTP/1.1 200 OK\r\nContent-Le").close(), ""),
        ("bad_answer", Plan::new().read_body().write("220 smtp.example.org ESMTP\r\n\r\n").close(), ""),
        ("timeout", Plan::new().read_body().hang(), "timeout = { read = \"1s\" }"),
        ("status", Reply::new(502).body("broken").into(), "retry = { on = [502] }"),
    ]
}

fn good() -> Endpoint {
    Endpoint::replying(Reply::new(200).body("good"))
}

/// Weir before these, the first of which is asked first; none is ever ejected.
fn before(endpoints: &[&Endpoint], route: &str) -> Weir {
    Setup::before(endpoints).route(route).service(NEVER_EJECT).start()
}

fn ask_once(weir: &Weir, request: impl AsRef<[u8]>) -> Response {
    Raw::ask(weir.address(), request)
}

#[test]
fn a_get_that_fails_in_any_way_is_answered_by_another_endpoint() {
    for (reason, plan, route) in failures() {
        let (bad, good) = (Endpoint::scripted([plan.clone()]), good());
        let weir = before(&[&bad, &good], route);
        let answer = ask_once(&weir, get("/"));
        assert_eq!((answer.status, answer.text().as_str()), (200, "good"), "{plan:?}");
        assert_eq!((bad.requests().len(), good.requests().len()), (1, 1), "{plan:?}");
        assert_metric(&weir, "weir_retries_total", &[("reason", reason)], 1);
    }
}

#[test]
fn a_post_is_not_sent_again_once_it_was_sent() {
    for (reason, plan, route) in failures() {
        let (bad, good) = (Endpoint::scripted([plan.clone()]), good());
        let weir = before(&[&bad, &good], route);
        let answer = ask_once(&weir, post("/", b"order"));
        let expected = if reason == "timeout" { 504 } else { 502 };
        assert_eq!(answer.status, expected, "{plan:?}");
        assert_eq!((bad.requests().len(), good.seen().accepted), (1, 0), "{plan:?}");
    }
}

#[test]
fn a_post_is_sent_again_after_any_failure_where_the_route_allows_it() {
    for (reason, plan, route) in failures() {
        let (bad, good) = (Endpoint::scripted([plan.clone()]), good());
        let on = if reason == "status" { "on = [502], " } else { "" };
        let timeout = if reason == "timeout" { route } else { "" };
        let weir = before(&[&bad, &good], &format!("{timeout}\nretry = {{ {on}non_idempotent = true }}"));
        let answer = ask_once(&weir, post("/", b"order"));
        assert_eq!((answer.status, answer.text().as_str()), (200, "good"), "{plan:?}");
        let received = good.wait_for_bodies(1).remove(0);
        assert_eq!((received.method(), &received.body.kept[..]), ("POST", &b"order"[..]));
    }
}

#[test]
fn a_request_that_never_left_is_sent_elsewhere_whatever_its_method() {
    let good = good();
    let weir = Setup::of(&[Endpoint::absent(), good.address()]).service(NEVER_EJECT).start();
    for request in [get("/").into_bytes(), post("/", b"order"), post("/", &pattern(1, 3_000_000)[..1_000_000])] {
        assert_eq!(ask_once(&weir, request).status, 200);
    }
    assert_eq!(good.wait_for_bodies(3)[1].body.kept, "order");
    assert!(weir.metric("weir_retries_total", &[("reason", "connect")]) >= 1.0);
}

#[test]
fn a_body_too_large_to_hold_is_sent_elsewhere_as_long_as_none_of_it_has_left() {
    let good = good();
    let weir = Setup::of(&[Endpoint::absent(), good.address()])
        .route("body = { max = \"4MiB\", buffer = \"1KiB\" }")
        .service(NEVER_EJECT)
        .start();
    let body = pattern(1, 1_000_000);
    assert_eq!(ask_once(&weir, post("/", &body)).status, 200);
    assert_eq!(good.wait_for_bodies(1)[0].body.hash, weir_testkit::hash(&body));
}

#[test]
fn a_body_too_large_to_hold_is_not_sent_again_once_some_of_it_has_left() {
    let (bad, good) = (Endpoint::scripted([Plan::new().read_bytes(1000).reset()]), good());
    let weir =
        before(&[&bad, &good], "body = { max = \"4MiB\", buffer = \"1KiB\" }\nretry = { non_idempotent = true }");
    let mut client = Raw::connect(weir.address());
    client.write("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
    // The endpoint is gone before the client has sent all.
    drop(client.try_write(pattern(1, 50_000)));
    assert_eq!(client.response().status, 502);
    assert_eq!(good.seen().accepted, 0);
}

#[test]
fn no_more_endpoints_are_tried_than_the_route_says() {
    let bad = || Endpoint::scripted([Plan::new().reset()]);
    let all = [bad(), bad(), bad(), bad()];
    let weir = before(&all.each_ref(), "retry = { tries = 2 }");
    assert_eq!(ask_once(&weir, get("/")).status, 502);
    let asked: usize = all.iter().map(|endpoint| endpoint.requests().len()).sum();
    assert_eq!(asked, 2);
}

#[test]
fn one_try_means_no_other() {
    let (bad, good) = (Endpoint::scripted([Plan::new().reset()]), good());
    let weir = before(&[&bad, &good], "retry = { tries = 1 }");
    assert_eq!(ask_once(&weir, get("/")).status, 502);
    assert_eq!(good.seen().accepted, 0);
}

#[test]
fn no_endpoint_is_tried_twice_for_one_request_under_any_policy() {
    for policy in ["round-robin", "weighted", "least-connections", "ip-hash", "consistent-hash"] {
        let all = [(); 3].map(|()| Endpoint::scripted([Plan::new().reset()]));
        let mut setup = Setup::before(&all.each_ref()).policy(policy).route("retry = { tries = 10 }");
        if policy == "consistent-hash" {
            setup = setup.service("hash = { key = \"path\" }");
        }
        // All are ejected by their first failure, and asked all the same: the rule must hold then too.
        let weir = setup.service("health = { failures = 1 }").start();
        for request in 1..=3 {
            assert_eq!(ask_once(&weir, get("/")).status, 502);
            let asked = all.each_ref().map(|endpoint| endpoint.requests().len());
            assert_eq!(asked, [request; 3], "{policy}");
        }
    }
}

#[test]
fn a_budget_of_nothing_allows_no_retry_and_says_so() {
    let (bad, good) = (Endpoint::scripted([Plan::new().reset()]), good());
    let weir = before(&[&bad, &good], "retry = { budget = \"0%\", budget_floor = 0 }");
    let statuses: Vec<u16> = (0..10).map(|_| ask_once(&weir, get("/")).status).collect();
    let failed = statuses.iter().filter(|&&status| status == 502).count();
    assert_eq!(failed, bad.requests().len());
    assert_eq!(10 - failed, good.requests().len());
    assert!(failed >= 3, "{statuses:?}");
    assert_metric(&weir, "weir_retry_budget_empty_total", &[], u32::try_from(failed).unwrap());
    assert_metric(&weir, "weir_retries_total", &[], 0);
}

#[test]
fn nothing_is_tried_again_once_bytes_of_an_answer_went_out() {
    let whole = Reply::new(200).pattern(1, 100_000);
    let bad = Endpoint::scripted([Plan::new().part_of(&whole, 50_000).reset()]);
    let good = good();
    let weir = before(&[&bad, &good], "retry = { non_idempotent = true }");
    let answer = ask_once(&weir, get("/"));
    assert_eq!((answer.status, answer.body.complete), (200, false), "the client can tell that it was cut");
    assert!(answer.body.length < 100_000);
    assert_eq!(good.seen().accepted, 0);
    weir.wait_for_metric("weir_answers_cut_total", &[], |cut| cut >= 1.0);
}

#[test]
fn nothing_is_tried_again_once_the_whole_deadline_has_passed() {
    let (bad, good) = (Endpoint::scripted([Plan::new().hang()]), good());
    let weir = before(&[&bad, &good], "timeout = { total = \"300ms\", connect = \"100ms\" }");
    let answer = ask_once(&weir, get("/"));
    assert_eq!(answer.status, 504);
    assert!(answer.text().contains("\"deadline\""), "{}", answer.text());
    assert_eq!(good.seen().accepted, 0);
}

/// How an endpoint says that it has too much to do.
fn busy(name: &'static str) -> Endpoint {
    Endpoint::replying(Reply::new(503).header("Retry-After", "7").body(name))
}

#[test]
fn an_endpoint_that_is_busy_is_passed_over_without_blame() {
    let (busy, good) = (busy("busy"), good());
    let weir = Setup::before(&[&busy, &good]).service("health = { failures = 1, blame = [503] }").start();
    for request in [get("/").into_bytes(), post("/", b"order")] {
        assert_eq!(ask_once(&weir, &request).text(), "good");
    }
    assert_eq!(busy.requests().len(), 2, "it was asked both times");
    assert_eq!(good.wait_for_bodies(2)[1].body.kept, "order");
    assert!((up(&weir, busy.address()) - 1.0).abs() < f64::EPSILON);
    assert_metric(&weir, "weir_retries_total", &[("reason", "busy")], 2);
}

#[test]
fn when_all_endpoints_are_busy_the_client_gets_the_503_of_one_and_none_is_blamed() {
    let all = [busy("first"), busy("second")];
    let weir = Setup::before(&all.each_ref()).service("health = { failures = 1, blame = [503] }").start();
    for _ in 0..3 {
        let answer = ask_once(&weir, post("/", b"order"));
        assert_eq!((answer.status, answer.field("retry-after")), (503, Some("7")));
        assert!(["first", "second"].contains(&answer.text().as_str()), "{}", answer.text());
    }
    assert_eq!(all.each_ref().map(|endpoint| endpoint.requests().len()), [3, 3]);
    assert_metric(&weir, "weir_ejections_total", &[], 0);
}

#[test]
fn the_last_answer_of_an_endpoint_passes_through_when_nobody_else_is_left() {
    let all = ["first", "second"].map(|name| Endpoint::replying(Reply::new(502).body(name)));
    let weir = before(&all.each_ref(), "retry = { on = [502], tries = 5 }");
    let answer = ask_once(&weir, get("/"));
    assert_eq!((answer.status, answer.text().as_str()), (502, "second"));
    assert_eq!(all.each_ref().map(|endpoint| endpoint.requests().len()), [1, 1]);
    assert_metric(&weir, "weir_refusals_total", &[], 0);
}

/// One request of each kind that tells pooled connections from dead ones.
fn kinds() -> [Vec<u8>; 3] {
    [get("/").into(), post("/", b"ten bytes!"), post("/", &pattern(1, 300_000))]
}

#[test]
fn a_pooled_connection_that_is_reset_by_the_next_request_costs_neither_the_request_nor_blame() {
    for request in kinds() {
        // Each connection serves one request, and resets on the second.
        let endpoint = Endpoint::start(|call| match call.nth {
            0 => Reply::new(200).body("good").into(),
            _ => Plan::new().reset(),
        });
        let weir = Setup::before(&[&endpoint])
            .route("retry = { non_idempotent = true }")
            .service("health = { failures = 1 }")
            .start();
        let mut client = Raw::connect(weir.address());
        for _ in 0..5 {
            assert_eq!(ask(&mut client, &request).text(), "good");
        }
        assert_metric(&weir, "weir_endpoint_connections_total", &[("kind", "stale")], 4);
        assert_metric(&weir, "weir_ejections_total", &[], 0);
        assert_metric(&weir, "weir_tries_total", &[("outcome", "answered")], 5);
    }
}

#[test]
fn a_pooled_connection_that_was_closed_while_it_rested_costs_neither_the_request_nor_blame() {
    for request in kinds() {
        let endpoint = Endpoint::start(|_| Plan::from(Reply::new(200).body("good")).close());
        let weir = Setup::before(&[&endpoint])
            .route("retry = { non_idempotent = true }")
            .service("health = { failures = 1 }")
            .start();
        let mut client = Raw::connect(weir.address());
        for _ in 0..5 {
            assert_eq!(ask(&mut client, &request).text(), "good");
            endpoint.wait_until_idle();
        }
        assert_metric(&weir, "weir_ejections_total", &[], 0);
        assert_metric(&weir, "weir_refusals_total", &[], 0);
    }
}

#[test]
fn a_post_that_must_not_be_sent_twice_and_meets_a_dead_pooled_connection_is_refused_without_blame() {
    let endpoint = Endpoint::start(|call| match call.nth {
        0 => Reply::new(200).body("good").into(),
        _ => Plan::new().reset(),
    });
    let weir = Setup::before(&[&endpoint]).service("health = { failures = 1 }").start();
    let mut client = Raw::connect(weir.address());
    assert_eq!(ask(&mut client, post("/", b"first")).status, 200);
    assert_eq!(ask(&mut client, post("/", b"second")).status, 502);
    assert_eq!(ask(&mut client, post("/", b"third")).status, 200);
    assert_eq!(endpoint.requests().len(), 3, "none was sent twice");
    assert_metric(&weir, "weir_ejections_total", &[], 0);
}

#[test]
fn a_client_that_waits_is_answered_when_the_second_endpoint_is_slow() {
    let gate = Gate::closed();
    let door = gate.clone();
    let bad: SocketAddr = Endpoint::absent();
    let slow = Endpoint::start(move |_| Plan::new().read_body().wait(&door).reply(Reply::new(200).body("slow")));
    let weir = Setup::of(&[bad, slow.address()]).start();
    let mut client = Raw::connect(weir.address());
    client.write(post("/", b"order"));
    gate.wait_for_arrivals(1);
    gate.open();
    assert_eq!(client.response().text(), "slow");
}
