//! Where a request would go, and why.

use std::collections::BTreeMap;

use serde_json::Value;
use weir_testkit::{Endpoint, Gate, Plan, Raw, Reply, eventually};

use super::{action, change, look, named, service};
use crate::support::{Setup, ask, get};

#[test]
fn under_a_hash_policy_a_request_always_goes_where_explain_says() {
    let endpoints = [named(), named(), named()];
    let [a, b, c] = &endpoints;
    for policy in ["consistent-hash", "maglev", "slots"] {
        let weir = Setup::before(&[a, b, c]).policy(policy).service("hash = { key = \"header:x-user\" }").start();
        for number in 0..8 {
            let target = format!("/explain?url=http://weir.test/a&header=X-User:%20user-{number}");
            let told = look(&weir, &format!("/api{target}"), 200);
            // Others in between change nothing.
            assert_eq!(Raw::ask(weir.address(), get("/")).status, 200);
            let id = format!("{policy}-{number}");
            let fields = format!("Host: weir.test\r\nX-User: user-{number}\r\nX-Request-Id: {id}\r\n");
            assert_eq!(Raw::ask(weir.address(), format!("GET /a HTTP/1.1\r\n{fields}\r\n")).status, 200);
            let find = || look(&weir, "/api/recent", 200)["exchanges"].as_array().unwrap().clone();
            eventually("it is kept", || find().iter().any(|exchange| exchange["id"] == id));
            let found = find().into_iter().find(|exchange| exchange["id"] == id).unwrap();
            assert_eq!(told["outcome"]["endpoint"], found["tries"][0]["endpoint"], "{told}");
            assert!(told["outcome"]["why"].as_str().unwrap().contains("the key's own endpoint"), "{told}");
            // The field is not kept, but the hash of the key is.
            let again = look(&weir, &format!("/api/explain?id={id}"), 200);
            assert_eq!((&again["key"], &again["outcome"]), (&told["key"], &told["outcome"]));
            // The wall's clock and weir's own are read for each answer anew, a rounding apart.
            let timeless = |exchange: &Value| {
                let mut exchange = exchange.clone();
                exchange["arrived_unix_seconds"].take();
                exchange
            };
            assert_eq!(timeless(&again["recorded"]), timeless(&found));
        }
    }
}

#[test]
fn who_stands_in_for_a_keys_endpoint_is_explained_too() {
    let (a, b) = (named(), named());
    let weir = Setup::before(&[&a, &b]).policy("maglev").service("hash = { key = \"path\" }").start();
    let explain = || look(&weir, "/api/explain?url=/a.jpg", 200);
    let own = explain()["outcome"]["endpoint"].as_str().unwrap().to_owned();
    change(&weir, &action(own.parse().unwrap(), "drain"), "", 200);
    let told = explain();
    let other = if own == a.address().to_string() { &b } else { &a };
    assert_eq!(told["outcome"]["endpoint"], other.address().to_string());
    let why = told["outcome"]["why"].as_str().unwrap();
    assert!(why.contains(&format!("stands in for the key's own endpoint {own}, which is drained")), "{why}");
    assert_eq!(Raw::ask(weir.address(), get("/a.jpg")).status, 200);
    assert_eq!(other.requests().len(), 1);
    let candidates: BTreeMap<String, String> = told["candidates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|each| (each["address"].as_str().unwrap().to_owned(), each["why"].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(candidates[&own], "no: it is drained");
    assert_eq!(candidates[&other.address().to_string()], "yes");
}

#[test]
fn to_ask_changes_no_answer_and_with_nobody_else_about_the_next_request_goes_where_it_says() {
    let (a, b) = (named(), named());
    for policy in ["round-robin", "weighted", "least-connections", "p2c", "random", "peak-ewma"] {
        let weir = Setup::before(&[&a, &b]).policy(policy).start();
        let mut client = Raw::connect(weir.address());
        for _ in 0..10 {
            let told = look(&weir, "/api/explain?url=/", 200);
            assert_eq!(told["outcome"], look(&weir, "/api/explain?url=/", 200)["outcome"], "{policy}");
            let before = a.requests().len();
            assert_eq!(ask(&mut client, get("/")).status, 200);
            // Until the exchange before is over it counts as load.
            eventually("it is over", || {
                service(&weir)["endpoints"].as_array().unwrap().iter().all(|it| it["in_flight"] == 0)
            });
            let went = if a.requests().len() > before { &a } else { &b };
            assert_eq!(told["outcome"]["endpoint"], went.address().to_string(), "{policy}: {told}");
        }
    }
}

#[test]
fn what_would_be_refused_is_explained_with_the_refusal_that_the_client_would_get() {
    let one = named();
    let weir = Setup::before(&[&one]).route("host = \"weir.test\"\nbody = { max = \"1KiB\" }").start();
    let refused = |query: &str| {
        let told = look(&weir, &format!("/api/explain?{query}"), 200);
        assert_eq!(told["outcome"]["what"], "refused", "{told}");
        (told["outcome"]["status"].clone(), told["outcome"]["reason"].as_str().unwrap().to_owned())
    };
    assert_eq!(refused("url=http://other.test/"), (404.into(), "no_route".to_owned()));
    assert_eq!(refused("url=http://weir.test/&method=POST&length=2000"), (413.into(), "body_too_large".to_owned()));
    assert_eq!(refused("url=http://weir.test/../x"), (400.into(), "target_above_root".to_owned()));
    assert_eq!(refused("url=http://weir.test/&method=G%20T"), (400.into(), "bad_target".to_owned()));
    assert_eq!(refused("url=http://weir.test/a%0d%0aX:y"), (400.into(), "bad_request_line".to_owned()));
    change(&weir, &action(one.address(), "drain"), "", 200);
    assert_eq!(refused("url=http://weir.test/"), (503.into(), "no_endpoint".to_owned()));
    assert_eq!(one.requests().len(), 0);
}

#[test]
fn a_full_service_is_explained_as_a_wait() {
    let gate = Gate::closed();
    let door = gate.clone();
    let slow = Endpoint::start(move |_| Plan::new().wait(&door).reply(Reply::new(200)));
    let weir = Setup::before(&[&slow]).service("queue = { capacity = 1 }").start();
    let mut client = Raw::connect(weir.address());
    client.write(get("/"));
    gate.wait_for_arrivals(1);
    let told = look(&weir, "/api/explain?url=/", 200);
    assert_eq!((&told["outcome"]["what"], &told["outcome"]["ahead"]), (&"waits".into(), &0.into()));
    assert_eq!(told["candidates"][0]["why"], "no: all its permits are out");
    assert_eq!(service(&weir)["queue"]["permits_out"], 1);
    gate.open();
    assert_eq!(client.response().status, 200);
}
