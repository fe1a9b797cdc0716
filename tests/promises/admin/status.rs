//! What is shown of endpoints and exchanges.

use serde_json::{Value, json};
use weir_testkit::{Endpoint, Plan, Raw, Reply, Weir, eventually};

use super::{endpoint, look, named, with_admin};
use crate::support::{Setup, WEIR, ask, get, wait_for_exchanges};

#[test]
fn the_status_says_why_an_endpoint_is_out_and_since_when() {
    let bad = Endpoint::scripted([Plan::new().read_body().reset()]);
    let good = named();
    let weir = Setup::before(&[&bad, &good]).start();
    let before = look(&weir, "/api/status", 200)["now_unix_seconds"].as_f64().unwrap();
    let mut client = Raw::connect(weir.address());
    let mut sent = 0;
    while endpoint(&weir, bad.address())["state"] != "ejected" {
        sent += 1;
        ask(&mut client, format!("GET / HTTP/1.1\r\nHost: weir.test\r\nX-Request-Id: number-{sent}\r\n\r\n"));
    }
    let status = look(&weir, "/api/status", 200);
    let shown = endpoint(&weir, bad.address());
    let since = shown["since_unix_seconds"].as_f64().unwrap();
    assert!((before..=status["now_unix_seconds"].as_f64().unwrap()).contains(&since), "{shown}");
    let failures = shown["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 3, "{shown}");
    assert_eq!(failures[0]["at_unix_seconds"].as_f64(), Some(since), "the last one did it");
    for failure in failures {
        assert_eq!((&failure["by"], &failure["reason"]), (&"exchange".into(), &"broken".into()));
        assert!(failure["exchange"].as_str().unwrap().starts_with("number-"), "{failure}");
    }
    assert_eq!(endpoint(&weir, good.address())["failures"], json!([]));
    assert_eq!(status["listeners"][0]["address"], weir.address().to_string());
    assert_eq!(status["listeners"][0]["open_connections"], 1);
    assert_eq!(status["readiness"]["state"], "ready");
}

#[test]
fn a_failed_probe_is_shown_with_what_it_found() {
    let ill = Endpoint::replying(Reply::new(500));
    let weir = Setup::before(&[&ill])
        .service("health = { kind = \"http\", path = \"/\", interval = \"200ms\", timeout = \"200ms\" }")
        .start();
    eventually("it is ejected", || endpoint(&weir, ill.address())["state"] == "ejected");
    // On a busy machine one may have been late instead.
    let found = || endpoint(&weir, ill.address())["failures"].as_array().unwrap().clone();
    eventually("one found the status", || found().iter().any(|failure| failure["reason"] == "status"));
    let failure = found().into_iter().find(|failure| failure["reason"] == "status").unwrap();
    assert_eq!((&failure["by"], &failure["text"]), (&"probe".into(), &"answered 500".into()));
    assert_eq!(failure["exchange"], Value::Null);
}

#[test]
fn the_newest_exchanges_are_kept_as_many_as_configured_and_without_their_queries() {
    let one = named();
    let lines = "listen = \"127.0.0.1:0\"\nrecent = 3";
    let weir = Weir::start(WEIR, &with_admin(&Setup::before(&[&one]), lines));
    let mut client = Raw::connect(weir.address());
    for number in 1..=5 {
        assert_eq!(ask(&mut client, get(&format!("/{number}?token=secret"))).status, 200);
    }
    wait_for_exchanges(&weir, 5);
    // The client has its answer a moment before the exchange is over.
    eventually("the last one is kept", || look(&weir, "/api/recent", 200)["exchanges"][0]["number"] == 5);
    let told = look(&weir, "/api/recent", 200);
    assert_eq!(told["kept"], 3);
    let paths: Vec<&str> =
        told["exchanges"].as_array().unwrap().iter().map(|exchange| exchange["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/5", "/4", "/3"]);
    assert!(!told.to_string().contains("secret"), "{told}");
    let newest = &told["exchanges"][0];
    assert_eq!(
        (&newest["status"], &newest["service"], &newest["host"]),
        (&200.into(), &"s".into(), &"weir.test".into())
    );
    assert_eq!(newest["tries"], json!([{ "endpoint": one.address().to_string(), "outcome": "answered" }]));
    assert_eq!(look(&weir, "/api/recent?limit=1", 200)["exchanges"].as_array().unwrap().len(), 1);
    assert_eq!(look(&weir, "/api/recent?status=404", 200)["exchanges"], json!([]));
    assert_eq!(look(&weir, "/api/recent?service=other", 200)["exchanges"], json!([]));

    let weir = Weir::start(WEIR, &with_admin(&Setup::before(&[&one]), "listen = \"127.0.0.1:0\"\nrecent = 0"));
    assert_eq!(Raw::ask(weir.address(), get("/")).status, 200);
    wait_for_exchanges(&weir, 1);
    assert_eq!(look(&weir, "/api/recent", 200)["exchanges"], json!([]));
    assert!(look(&weir, "/api/explain?id=x", 404)["help"].as_str().unwrap().contains("recent"));
}
