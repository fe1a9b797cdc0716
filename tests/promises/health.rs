//! When an endpoint is taken out, when it comes back, and what is never held against it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use weir_testkit::{Endpoint, Gate, Plan, Raw, Reply, Weir};

use crate::support::{Setup, ask, assert_metric, get, post, post_head, up};

fn good() -> Endpoint {
    Endpoint::replying(Reply::new(200).body("good"))
}

fn resetting() -> Endpoint {
    Endpoint::scripted([Plan::new().read_body().reset()])
}

fn status(weir: &Weir) -> u16 {
    Raw::ask(weir.address(), get("/")).status
}

#[track_caller]
fn assert_up(weir: &Weir, endpoint: &Endpoint, expected: bool) {
    assert_eq!(up(weir, endpoint.address()) > 0.5, expected);
}

#[test]
fn three_failures_eject_an_endpoint_and_two_do_not() {
    let (bad, good) = (resetting(), good());
    let weir = Setup::before(&[&bad, &good]).start();
    for failures in 1..=3 {
        assert_up(&weir, &bad, true);
        // A turn goes to the retry as well, so not every request meets the bad one first.
        while bad.requests().len() < failures {
            assert_eq!(status(&weir), 200);
        }
    }
    assert_up(&weir, &bad, false);
    assert_metric(&weir, "weir_ejections_total", &[("cause", "exchange")], 1);
    for _ in 0..10 {
        assert_eq!(status(&weir), 200);
    }
    assert_eq!(bad.requests().len(), 3, "an ejected endpoint gets nothing");
}

/// What the endpoint's `/healthz` answers: a status and a body.
#[derive(Clone, Default)]
struct Condition(Arc<AtomicU8>);

const WELL: u8 = 0;
const ILL: u8 = 1;
const STRANGE: u8 = 2;

impl Condition {
    fn set(&self, condition: u8) {
        self.0.store(condition, Ordering::SeqCst);
    }

    fn endpoint(&self) -> Endpoint {
        let condition = self.0.clone();
        Endpoint::start(move |call| match (call.target(), condition.load(Ordering::SeqCst)) {
            ("/health?deep=1", WELL) => Reply::new(299).body("I am fine, thanks").into(),
            ("/health?deep=1", STRANGE) => Reply::new(299).body("I am a teapot").into(),
            ("/health?deep=1", _) => Reply::new(500).body("fine").into(),
            _ => Reply::new(200).body("good").into(),
        })
    }
}

const HTTP_PROBE: &str = "health = { kind = \"http\", path = \"/health?deep=1\", statuses = [200, \"298-299\"], \
                          body = \"fine\", interval = \"200ms\", timeout = \"200ms\" }";

#[test]
fn http_probes_eject_an_ill_endpoint_and_one_answer_with_the_right_status_and_body_restores_it() {
    let condition = Condition::default();
    let probed = condition.endpoint();
    let label = probed.address().to_string();
    let of = |result| [("endpoint", label.as_str()), ("result", result)];
    let weir = Setup::before(&[&probed]).service(HTTP_PROBE).start();
    weir.wait_for_metric("weir_probes_total", &of("ok"), |probes| probes >= 1.0);
    assert_up(&weir, &probed, true);

    condition.set(ILL);
    weir.wait_for_metric("weir_endpoint_up", &[("endpoint", &label)], |up| up < 0.5);
    let failed = weir.metric("weir_probes_total", &[]) - weir.metric("weir_probes_total", &of("ok"));
    assert!(failed >= 3.0 && weir.metric("weir_probes_total", &of("status")) >= 1.0);
    assert_metric(&weir, "weir_ejections_total", &[("cause", "probe")], 1);

    condition.set(STRANGE);
    weir.wait_for_metric("weir_probes_total", &of("body"), |probes| probes >= 1.0);
    assert_up(&weir, &probed, false);

    condition.set(WELL);
    weir.wait_for_metric("weir_endpoint_up", &[("endpoint", &label)], |up| up > 0.5);
}

#[test]
fn tcp_probes_eject_an_endpoint_that_is_gone_and_restore_it_when_it_listens_again() {
    let (mut probed, other) = (good(), good());
    let label = probed.address().to_string();
    let weir = Setup::before(&[&probed, &other]).service("health = { kind = \"tcp\", interval = \"200ms\" }").start();
    probed.stop();
    weir.wait_for_metric("weir_endpoint_up", &[("endpoint", &label)], |up| up < 0.5);
    assert_eq!(status(&weir), 200);
    probed.restart();
    weir.wait_for_metric("weir_endpoint_up", &[("endpoint", &label)], |up| up > 0.5);
}

#[test]
fn without_probes_an_ejected_endpoint_gets_one_trial_exchange_after_the_window_and_returns() {
    let (ill, other) = (resetting(), good());
    let weir = Setup::before(&[&ill, &other]).service("health = { failures = 1, window = \"500ms\" }").start();
    while ill.requests().is_empty() {
        assert_eq!(status(&weir), 200);
    }
    assert_up(&weir, &ill, false);

    let gate = Gate::closed();
    let door = gate.clone();
    ill.follow(move |_| Plan::new().wait(&door).reply(Reply::new(200).body("well again")));
    // The window is real time, so ask until the trial is out; it is held, and so answers nobody.
    let trial = std::thread::scope(|scope| {
        let trial = scope.spawn(|| {
            loop {
                let text = Raw::ask(weir.address(), get("/")).text();
                if text == "well again" {
                    return text;
                }
            }
        });
        gate.wait_for_arrivals(1);
        for _ in 0..10 {
            assert_eq!(Raw::ask(weir.address(), get("/")).text(), "good", "one trial at a time");
        }
        assert_up(&weir, &ill, false);
        gate.open();
        trial.join().unwrap()
    });
    assert_eq!(trial, "well again");
    assert_up(&weir, &ill, true);
}

#[test]
fn when_all_are_ejected_all_are_tried_and_one_that_answers_is_back() {
    let all = [resetting(), resetting()];
    let weir = Setup::before(&all.each_ref()).service("health = { failures = 1 }").start();
    assert_eq!(status(&weir), 502);
    for endpoint in &all {
        assert_up(&weir, endpoint, false);
        endpoint.follow(|_| Reply::new(200).into());
    }
    assert_eq!(status(&weir), 200);
    assert_eq!(all.iter().filter(|endpoint| up(&weir, endpoint.address()) > 0.5).count(), 1);
}

#[test]
fn when_all_are_ejected_and_the_service_says_refuse_none_is_asked() {
    let all = [resetting(), resetting()];
    let weir = Setup::before(&all.each_ref()).service("health = { failures = 1 }\nall_ejected = \"refuse\"").start();
    assert_eq!(status(&weir), 502);
    let answer = Raw::ask(weir.address(), get("/"));
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
    assert!(answer.text().contains("\"no_endpoint\""), "{}", answer.text());
    assert_eq!(all.each_ref().map(|endpoint| endpoint.requests().len()), [1, 1]);
}

#[test]
fn a_client_that_leaves_is_not_held_against_the_endpoint_whose_connection_is_closed() {
    let gate = Gate::closed();
    let door = gate.clone();
    let endpoint = Endpoint::start(move |_| Plan::new().read_body().wait(&door).reply(Reply::new(200)));
    let weir = Setup::before(&[&endpoint]).service("health = { failures = 1 }").start();
    for (number, request) in [get("/").into_bytes(), post("/", b"order")].into_iter().enumerate() {
        let mut client = Raw::connect(weir.address());
        client.write(request);
        gate.wait_for_arrivals(number + 1);
        client.reset();
        endpoint.wait_for_close(number + 1);
    }
    weir.wait_for_metric("weir_requests_total", &[("code", "499")], |gone| gone >= 2.0);
    weir.wait_for_metric("weir_in_flight", &[], |count| count < 0.5);
    assert_up(&weir, &endpoint, true);
    assert_metric(&weir, "weir_ejections_total", &[], 0);
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_answer_is_not_held_against_the_endpoint() {
    let endpoint = Endpoint::replying(Reply::new(200).pattern(1, 50 << 20));
    let weir = Setup::before(&[&endpoint]).service("health = { failures = 1 }").start();
    let mut client = Raw::connect(weir.address());
    client.write(get("/")).bytes(1000);
    client.reset();
    endpoint.wait_for_close(1);
    weir.wait_for_metric("weir_in_flight", &[], |count| count < 0.5);
    assert_up(&weir, &endpoint, true);
    assert_metric(&weir, "weir_answers_cut_total", &[], 0);
}

#[test]
fn a_client_that_stops_in_the_middle_of_its_upload_is_told_408_and_the_endpoint_is_not_blamed() {
    let endpoint = good();
    let weir = Setup::before(&[&endpoint])
        .listener("read_timeout = \"300ms\"")
        .route("body = { max = \"1MiB\", buffer = \"0B\" }")
        .service("health = { failures = 1 }")
        .start();
    let mut client = Raw::connect(weir.address());
    client.write(post_head("/", 1000)).write("only this");
    assert_eq!(client.response().status, 408);
    endpoint.wait_for_close(1);
    assert_up(&weir, &endpoint, true);
    assert_eq!(endpoint.requests()[0].body.length, 9);
}

#[test]
fn a_client_whose_chunks_are_broken_is_not_held_against_the_endpoint() {
    let endpoint = good();
    let weir = Setup::before(&[&endpoint])
        .route("body = { max = \"1MiB\", buffer = \"0B\" }")
        .service("health = { failures = 1 }")
        .start();
    let mut client = Raw::connect(weir.address());
    client.write("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    endpoint.wait_for_requests(1);
    client.write("zz\r\n");
    assert_eq!(client.response().status, 400);
    endpoint.wait_for_close(1);
    assert_up(&weir, &endpoint, true);
    assert!(!endpoint.requests()[0].body.complete);
}

#[test]
fn statuses_count_against_an_endpoint_only_when_the_service_says_so() {
    for (rules, ejected) in [("health = { blame = [\"500-503\"] }", true), ("", false)] {
        let endpoint = Endpoint::replying(Reply::new(500).body("the endpoint's own"));
        let weir = Setup::before(&[&endpoint]).service(rules).start();
        for _ in 0..3 {
            let answer = Raw::ask(weir.address(), get("/"));
            assert_eq!((answer.status, answer.text().as_str()), (500, "the endpoint's own"));
        }
        assert_up(&weir, &endpoint, !ejected);
    }
}

#[test]
fn an_answer_that_breaks_off_counts_against_the_endpoint() {
    let endpoint = Endpoint::scripted([Plan::new().part_of(&Reply::new(200).pattern(1, 1000), 500).close()]);
    let weir = Setup::before(&[&endpoint]).service("health = { failures = 2 }").start();
    for _ in 0..2 {
        assert_up(&weir, &endpoint, true);
        assert!(!Raw::ask(weir.address(), get("/")).body.complete);
    }
    weir.wait_for_metric("weir_endpoint_up", &[], |up| up < 0.5);
}

#[test]
fn a_keep_alive_client_outlives_the_ejection_and_return_of_every_endpoint() {
    let condition = Condition::default();
    let probed = condition.endpoint();
    let weir = Setup::before(&[&probed]).service(HTTP_PROBE).start();
    let mut client = Raw::connect(weir.address());
    for (now, healthy) in [(ILL, false), (WELL, true), (ILL, false)] {
        condition.set(now);
        weir.wait_for_metric("weir_endpoint_up", &[], |up| (up > 0.5) == healthy);
        assert_eq!(ask(&mut client, get("/")).status, 200, "the only endpoint is tried all the same");
    }
}

#[test]
fn an_endpoint_that_hangs_until_the_whole_deadline_is_ejected_though_its_own_deadline_is_longer() {
    let hanging = Endpoint::start(|_| Plan::new().hang());
    let weir = Setup::before(&[&hanging]).route("timeout = { total = \"200ms\" }").start();
    for _ in 0..3 {
        assert_eq!(status(&weir), 504);
    }
    assert_up(&weir, &hanging, false);
    assert_metric(&weir, "weir_tries_total", &[("outcome", "timeout")], 3);
}
