//! What an operator sees and changes through the admin listener, and who may not.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use weir_testkit::{Endpoint, Gate, PATIENCE, Plan, Process, Raw, Reply, Response, Weir, eventually};

use crate::support::{Setup, WEIR, ask, assert_metric, get, optimizer, wait_for_exchanges, wait_for_words};

/// An endpoint that says its address in each answer.
fn named() -> Endpoint {
    Endpoint::start(|_| Reply::new(200).into())
}

/// `GET target` of the admin listener, which must be answered with this status.
#[track_caller]
fn look(weir: &Weir, target: &str, status: u16) -> Value {
    let answer = Raw::get(weir.admin(), target);
    assert_eq!(answer.status, status, "{target}: {}", answer.text());
    assert_eq!(answer.field("content-type"), Some("application/json"));
    serde_json::from_slice(&answer.body.kept).unwrap()
}

/// A call with these lines of fields, as it stands.
fn call(weir: &Weir, line: &str, fields: &str, body: &str) -> Response {
    let length = body.len();
    Raw::ask(
        weir.admin(),
        format!("{line} HTTP/1.1\r\n{fields}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"),
    )
}

/// A change from here, which must be answered with this status.
#[track_caller]
fn change(weir: &Weir, line: &str, body: &str, status: u16) -> Value {
    let fields = format!("Host: {}\r\nContent-Type: application/json\r\n", weir.admin());
    let answer = call(weir, line, &fields, body);
    assert_eq!(answer.status, status, "{line}: {}", answer.text());
    serde_json::from_slice(&answer.body.kept).unwrap()
}

/// The line of an action on an endpoint of the service `s`.
fn action(endpoint: SocketAddr, action: &str) -> String {
    format!("POST /api/services/s/endpoints/{endpoint}/{action}")
}

/// How many of `count` requests, sent one after the other, each endpoint had.
fn served(weir: &Weir, endpoints: &[&Endpoint], count: usize) -> Vec<usize> {
    let before: Vec<usize> = endpoints.iter().map(|endpoint| endpoint.requests().len()).collect();
    let mut client = Raw::connect(weir.address());
    for _ in 0..count {
        assert_eq!(ask(&mut client, get("/")).status, 200);
    }
    endpoints.iter().zip(before).map(|(endpoint, before)| endpoint.requests().len() - before).collect()
}

/// Of the service `s` in the status.
fn service(weir: &Weir) -> Value {
    look(weir, "/api/status?service=s", 200)["services"][0].clone()
}

fn endpoint(weir: &Weir, address: SocketAddr) -> Value {
    let service = service(weir);
    let found = service["endpoints"].as_array().unwrap().iter().find(|found| found["address"] == address.to_string());
    found.unwrap_or_else(|| panic!("{address} is not in {service}")).clone()
}

/// With this in `[admin]`.
fn with_admin(setup: &Setup, lines: &str) -> String {
    let toml = setup.toml();
    assert!(toml.contains("[admin]\nlisten = \"127.0.0.1:0\"\n"));
    toml.replace("[admin]\nlisten = \"127.0.0.1:0\"\n", &format!("[admin]\n{lines}\n"))
}

#[test]
fn a_change_without_the_token_or_with_a_wrong_one_is_refused_counted_and_logged() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "right-token\n").unwrap();
    let one = named();
    let lines = format!("listen = \"127.0.0.1:0\"\ntoken_file = \"{}\"", file.display());
    let weir = Weir::start(WEIR, &with_admin(&Setup::before(&[&one]), &lines));
    let host = format!("Host: {}\r\nContent-Type: application/json\r\n", weir.admin());
    let drain = action(one.address(), "drain");
    for (token, reason) in [("", "no_token"), ("Authorization: Bearer wrong-token\r\n", "wrong_token")] {
        let answer = call(&weir, &drain, &format!("{host}{token}"), "");
        assert_eq!((answer.status, answer.field("www-authenticate")), (401, Some("Bearer realm=\"weir\"")));
        let told: Value = serde_json::from_slice(&answer.body.kept).unwrap();
        assert!(told["error"].is_string() && told["help"].is_string(), "{told}");
        assert_metric(&weir, "weir_admin_refused_total", &[("reason", reason)], 1);
        wait_for_words(&weir, &format!("reason=\"{reason}\""));
    }
    assert_eq!(endpoint(&weir, one.address())["drained"], false, "a look needs no token here, and nothing has changed");
    assert_eq!(call(&weir, &drain, &format!("{host}Authorization: Bearer right-token\r\n"), "").status, 200);
    assert_eq!(endpoint(&weir, one.address())["drained"], true);
    wait_for_words(&weir, "admin change peer=127.0.0.1:");
    let nowhere = action("127.0.0.1:1".parse().unwrap(), "drain");
    assert_eq!(call(&weir, &nowhere, &format!("{host}Authorization: Bearer right-token\r\n"), "").status, 404);
    wait_for_words(&weir, "status=404 outcome=\"service `s` has no endpoint `127.0.0.1:1`");
    assert!(!weir.output().contains("right-token") && !weir.output().contains("wrong-token"));
    std::fs::write(&file, "another-token\n").unwrap();
    assert_eq!(call(&weir, &drain, &format!("{host}Authorization: Bearer right-token\r\n"), "").status, 401);
}

#[test]
fn where_others_can_reach_it_looks_need_the_token_too_but_not_health_and_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "right-token").unwrap();
    let one = named();
    let lines = format!("listen = \"0.0.0.0:0\"\ntoken_file = \"{}\"", file.display());
    let weir = Weir::start(WEIR, &with_admin(&Setup::before(&[&one]), &lines));
    for call in ["/api/status", "/api/recent", "/api/explain?url=/", "/api/overrides", "/api/nothing"] {
        look(&weir, call, 401);
    }
    for open in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(Raw::get(weir.admin(), open).status, 200, "{open}");
    }
    let fields = "Host: weir.internal\r\nAuthorization: Bearer right-token\r\n";
    assert_eq!(call(&weir, "GET /api/status", fields, "").status, 200);
}

/// Runs weir with this to its end: what it said.
fn refused_start(toml: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weir.toml");
    std::fs::write(&file, toml).unwrap();
    let mut process = Process::start(WEIR, ["run".as_ref(), file.as_os_str()]);
    assert_eq!(process.wait(PATIENCE).code(), Some(1));
    process.wait_for_line("error: ");
    process.output()
}

#[test]
fn weir_does_not_start_where_others_can_reach_it_without_a_token_or_without_one_in_the_file() {
    let setup = Setup::of(&[Endpoint::absent()]);
    let said = refused_start(&with_admin(&setup, "listen = \"0.0.0.0:0\""));
    assert!(said.contains("needs a token") && said.contains("weir.toml:4:10") && said.contains("token_file"), "{said}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    for (text, word) in [(None, "cannot read"), (Some("  \n"), "holds no token"), (Some("two words"), "holds no token")]
    {
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let lines = format!("listen = \"127.0.0.1:0\"\ntoken_file = \"{}\"", file.display());
        let said = refused_start(&with_admin(&setup, &lines));
        assert!(said.contains(word) && said.contains(file.to_str().unwrap()), "{said}");
        assert!(!said.contains("listening on"), "{said}");
    }
}

#[test]
fn a_web_page_from_elsewhere_changes_nothing_and_reads_nothing() {
    let one = named();
    let weir = Setup::before(&[&one]).start();
    let (own, json) = (format!("Host: {}\r\n", weir.admin()), "Content-Type: application/json\r\n");
    let drain = action(one.address(), "drain");
    let cases = [
        (format!("{own}{json}Origin: http://evil.example\r\n"), "origin"),
        (format!("{own}{json}Origin: null\r\n"), "origin"),
        (format!("Host: evil.example:{}\r\n{json}", weir.admin().port()), "host"),
        (format!("{own}Content-Type: text/plain\r\n"), "plain"),
        (own.clone(), "plain"),
    ];
    for (index, (fields, reason)) in cases.iter().enumerate() {
        assert_eq!(call(&weir, &drain, fields, "").status, 403, "{fields}");
        let line = format!("reason=\"{reason}\"");
        eventually(&line, || weir.output().matches("admin call refused").count() == index + 1);
        assert!(weir.output().contains(&line));
    }
    assert_eq!(call(&weir, "GET /api/status", "Host: evil.example\r\n", "").status, 403, "by a rebound name");
    assert_metric(&weir, "weir_admin_refused_total", &[], 6);
    assert_eq!(endpoint(&weir, one.address())["drained"], false);
    let same = format!("{own}{json}Origin: http://{}\r\n", weir.admin());
    assert_eq!(call(&weir, &drain, &same, "{}").status, 200, "weir's own page may");
}

#[test]
fn a_drain_moves_traffic_away_and_outlasts_what_the_source_says() {
    let (one, other, third) = (named(), named(), named());
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.toml");
    let tell = |endpoints: &[&Endpoint]| {
        let all: Vec<String> = endpoints.iter().map(|endpoint| format!("\"{}\"", endpoint.address())).collect();
        let new = folder.path().join("new");
        std::fs::write(&new, format!("endpoints = [{}]", all.join(", "))).unwrap();
        std::fs::rename(new, &list).unwrap();
    };
    tell(&[&one, &other]);
    let toml = Setup::of(&[]).service(&format!("file = {{ path = \"{}\" }}", list.display())).toml();
    let weir = Weir::start(WEIR, &toml.replace("endpoints = []\n", ""));
    assert_eq!(served(&weir, &[&one, &other], 10), [5, 5]);

    let told = change(&weir, &action(one.address(), "drain"), "", 200);
    assert_eq!((&told["changed"], &told["drained"], &told["serving"]), (&true.into(), &true.into(), &1.into()));
    assert_eq!(served(&weir, &[&one, &other], 10), [0, 10]);
    assert_eq!(change(&weir, &action(one.address(), "drain"), "", 200)["changed"], false);
    tell(&[&one, &other, &third]);
    eventually("the source's list is taken over", || service(&weir)["counts"]["endpoints"] == 3);
    assert_eq!(served(&weir, &[&one, &other, &third], 10), [0, 5, 5]);

    let shown = endpoint(&weir, one.address());
    assert_eq!(
        shown["override"],
        json!({ "drained": true, "weight": 1, "believed": { "drained": false, "weight": 1 } })
    );
    assert_eq!(shown["source"], format!("file {}", list.display()));
    assert_eq!(
        service(&weir)["counts"],
        json!({ "endpoints": 3, "healthy": 2, "unproven": 0, "ejected": 0, "drained": 1 })
    );
    let said = look(&weir, "/api/overrides", 200);
    let address = one.address().to_string();
    let expected = json!([{ "service": "s", "address": address, "drain": true, "weight": null, "present": true }]);
    assert_eq!(said["overrides"], expected);

    let told = change(&weir, "DELETE /api/overrides?service=s", "", 200);
    assert_eq!(told, json!({ "overrides": [] }));
    assert_eq!(served(&weir, &[&one, &other, &third], 9), [3, 3, 3]);
    change(&weir, &action(one.address(), "drain"), "", 200);
    change(&weir, &action(one.address(), "undrain"), "", 200);
    assert_eq!(look(&weir, "/api/overrides", 200), json!({ "overrides": [] }), "what is so anyway is no override");
    wait_for_words(&weir, "1 overrides cleared");
}

#[test]
fn the_last_endpoint_may_be_drained_and_the_answer_says_what_that_means() {
    let one = named();
    let weir = Setup::before(&[&one]).start();
    let told = change(&weir, &action(one.address(), "drain"), "{}", 200);
    assert!(told["note"].as_str().unwrap().contains("refused"), "{told}");
    assert_eq!(Raw::ask(weir.address(), get("/")).status, 503);
    assert_eq!(look(&weir, "/api/status", 200)["readiness"]["state"], "not_ready");
}

#[test]
fn a_weight_shifts_traffic_at_once() {
    let (one, other) = (named(), named());
    let weir = Setup::before(&[&one, &other]).policy("weighted").start();
    assert_eq!(served(&weir, &[&one, &other], 10), [5, 5]);
    let told = change(&weir, &action(one.address(), "weight"), "{ \"weight\": 4 }", 200);
    assert_eq!((&told["weight"], &told["changed"]), (&4.into(), &true.into()));
    assert_eq!(served(&weir, &[&one, &other], 10), [8, 2]);
    assert_eq!(endpoint(&weir, one.address())["override"]["believed"]["weight"], 1);
    change(&weir, &action(one.address(), "clear"), "", 200);
    assert_eq!(served(&weir, &[&one, &other], 10), [5, 5]);
}

#[test]
fn an_ejected_endpoint_gets_nothing_until_it_is_restored() {
    let (one, other) = (named(), named());
    let weir = Setup::before(&[&one, &other]).service("health = { window = \"1h\" }").start();
    let told = change(&weir, &action(one.address(), "eject"), "", 200);
    assert_eq!((&told["state"], &told["changed"]), (&"ejected".into(), &true.into()));
    assert_eq!(served(&weir, &[&one, &other], 6), [0, 6]);
    let shown = endpoint(&weir, one.address());
    assert_eq!((&shown["state"], &shown["failures"][0]["by"]), (&"ejected".into(), &"operator".into()));
    let (since, from) = (&shown["since_unix_seconds"], &shown["trial_from_unix_seconds"]);
    assert!((from.as_f64().unwrap() - since.as_f64().unwrap() - 3600.0).abs() < 0.01, "{shown}");
    assert_metric(&weir, "weir_ejections_total", &[("cause", "operator")], 1);
    assert_eq!(change(&weir, &action(one.address(), "eject"), "", 200)["changed"], false);
    let told = change(&weir, &action(one.address(), "restore"), "", 200);
    assert_eq!((&told["state"], &told["changed"]), (&"healthy".into(), &true.into()));
    assert_eq!(served(&weir, &[&one, &other], 6), [3, 3]);
}

#[test]
fn an_endpoint_ejected_by_hand_comes_back_as_any_other_by_a_trial_or_by_its_probes() {
    for health in ["window = \"100ms\"", "kind = \"tcp\", interval = \"100ms\", timeout = \"100ms\""] {
        let (one, other) = (named(), named());
        let weir = Setup::before(&[&one, &other]).service(&format!("health = {{ {health} }}")).start();
        change(&weir, &action(one.address(), "eject"), "", 200);
        eventually("it is back", || {
            assert_eq!(Raw::ask(weir.address(), get("/")).status, 200);
            endpoint(&weir, one.address())["state"] == "healthy"
        });
    }
}

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
            // Not its moment, to the millisecond: two calls read two clocks anew.
            assert_eq!(again["recorded"]["number"], found["number"]);
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

#[test]
fn a_reload_is_waited_for_and_told_with_all_that_is_different_or_wrong() {
    let (one, other) = (named(), named());
    let setup = Setup::before(&[&one]).policy("weighted");
    let weir = setup.start();
    let told = change(&weir, "POST /api/reload", "", 200);
    assert_eq!((&told["result"], &told["changes"]), (&"unchanged".into(), &json!([])));
    change(&weir, &action(one.address(), "weight"), "{ \"weight\": 4 }", 200);

    weir.rewrite(&Setup::before(&[&one, &other]).policy("weighted").toml().replace("[log]", "recent = 7\n[log]"));
    let told = change(&weir, "POST /api/reload", "", 200);
    // weir may have seen the change by itself a moment before.
    assert!(told["result"] == "applied" || told["result"] == "unchanged", "{told}");
    assert!(told["pending"].to_string().contains("recent"), "{told}");
    assert_eq!(served(&weir, &[&one, &other], 10), [8, 2], "the override has outlasted it");
    let status = look(&weir, "/api/status", 200);
    let reloads = status["configuration"]["reloads"].as_array().unwrap();
    let applied = reloads.iter().find(|reload| reload["result"] == "applied").unwrap();
    assert!(applied["changes"].to_string().contains(&other.address().to_string()), "{status}");
    assert_eq!(status["configuration"]["pending"], told["pending"]);

    weir.rewrite(&setup.toml().replace("weighted", "wieghted"));
    let told = change(&weir, "POST /api/reload", "", 422);
    assert_eq!(told["result"], "rejected");
    let problems = told["problems"].as_str().unwrap();
    assert!(problems.contains("did you mean `\"weighted\"`?") && problems.contains("weir.toml:"), "{problems}");
    assert_eq!(served(&weir, &[&one, &other], 5), [4, 1], "nothing has changed");
    assert_eq!(look(&weir, "/api/status", 200)["configuration"]["reloads"][0]["result"], "rejected");
}

#[test]
fn calls_that_make_no_sense_are_answered_with_what_to_do_instead() {
    let one = named();
    let weir = Setup::before(&[&one]).start();
    let at = one.address();
    for (target, status) in [
        ("/api", 404),
        ("/api/", 404),
        ("/api/nothing", 404),
        ("/api/status?service=x", 404),
        ("/api/status?servic=s", 400),
        ("/api/status?service=s&service=s", 400),
        ("/api/recent?limit=many", 400),
        ("/api/explain", 400),
        ("/api/explain?url=weir.test", 400),
        ("/api/explain?url=/&client=me", 400),
        ("/api/explain?url=/&header=x", 400),
        ("/api/explain?id=x&url=/", 400),
        ("/api/explain?id=x", 404),
        ("/api/services/s/endpoints/127.0.0.1:1/drain", 405),
    ] {
        let told = look(&weir, target, status);
        assert!(told["error"].is_string() && !told["help"].as_str().unwrap().is_empty(), "{target}: {told}");
    }
    let on = |address: &str, action: &str| format!("POST /api/services/s/endpoints/{address}/{action}");
    let own = at.to_string();
    let large = "x".repeat(20_000);
    for (line, body, status) in [
        (on("127.0.0.1", "drain"), "", 400),
        (on("127.0.0.1:x", "drain"), "", 400),
        (on("%ff", "drain"), "", 400),
        (on("127.0.0.1:1", "drain"), "", 404),
        (on("127.0.0.1:1", "eject"), "", 404),
        (on("127.0.0.1:1", "clear"), "", 404),
        (on(&own, "clear"), "", 404),
        (on(&own, "explode"), "", 404),
        (on(&own, "drain"), "{ \"weight\": 3 }", 400),
        (on(&own, "weight"), "", 400),
        (on(&own, "weight"), "{", 400),
        (on(&own, "weight"), "{ \"weight\": 0 }", 400),
        (on(&own, "weight"), "{ \"weight\": 1001 }", 400),
        (on(&own, "weight"), "{ \"weight\": \"3\" }", 400),
        (on(&own, "weight"), "{ \"weight\": 3, \"more\": 1 }", 400),
        (on(&own, "weight"), "{ \"weight\": 3 }", 409),
        (on(&own, "weight"), &large, 413),
        (format!("POST /api/services/x/endpoints/{own}/drain"), "", 404),
        ("DELETE /api/overrides?address=127.0.0.1:1".to_owned(), "", 400),
        ("DELETE /api/overrides?service=s".to_owned(), "", 404),
        ("POST /api/status".to_owned(), "", 405),
        ("PUT /api/overrides".to_owned(), "", 405),
        ("POST /api/reload".to_owned(), "{ \"force\": true }", 400),
    ] {
        let told = change(&weir, &line, body, status);
        assert!(told["error"].is_string() && !told["help"].as_str().unwrap().is_empty(), "{line}: {told}");
    }
    assert_eq!(look(&weir, "/api/overrides", 200), json!({ "overrides": [] }));
    assert_eq!(endpoint(&weir, at)["state"], "healthy");
}

/// What differs between two documents as to keys and types, if anything. What is null may be anything.
fn difference(at: &str, shown: &Value, real: &Value) -> Option<String> {
    match (shown, real) {
        (Value::Null, _)
        | (_, Value::Null)
        | (Value::Bool(_), Value::Bool(_))
        | (Value::Number(_), Value::Number(_))
        | (Value::String(_), Value::String(_)) => None,
        (Value::Object(shown), Value::Object(real)) => {
            let keys = |of: &serde_json::Map<String, Value>| of.keys().cloned().collect::<Vec<_>>();
            if keys(shown) != keys(real) {
                return Some(format!("{at} has {:?}, shown {:?}", keys(real), keys(shown)));
            }
            shown.iter().find_map(|(key, value)| difference(&format!("{at}.{key}"), value, &real[key]))
        }
        (Value::Array(shown), Value::Array(real)) => match (shown.first(), real.first()) {
            (Some(shown), Some(real)) => difference(&format!("{at}[0]"), shown, real),
            (None, _) => None,
            (Some(_), None) => Some(format!("{at} is empty")),
        },
        _ => Some(format!("{at} is {real}, shown {shown}")),
    }
}

#[test]
fn the_examples_of_the_page_about_it_answer_what_they_show() {
    if weir_testkit::require("curl").is_none() {
        return;
    }
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/admin.md")).unwrap();
    let block = |kind: &str, from: &str| {
        let rest = from.split_once(&format!("```{kind}\n"))?.1;
        rest.split_once("```\n").map(|(block, rest)| (block.to_owned(), rest.to_owned()))
    };
    let (real, absent) = (SocketAddr::from(([127, 0, 0, 1], weir_testkit::free_port())), Endpoint::absent());
    let _running = optimizer(real, "one");
    let (toml, _) = block("toml", &page).unwrap();
    let ends =
        |text: &str| text.replace("127.0.0.1:3001", &real.to_string()).replace("127.0.0.1:3002", &absent.to_string());
    let toml = ends(&toml).replace("127.0.0.1:9090", "127.0.0.1:0").replace("127.0.0.1:8080", "127.0.0.1:0");
    let weir = Weir::start(WEIR, &toml);
    // Until the one that nobody listens at is out, as the page shows it.
    let mut client = Raw::connect(weir.address());
    let mut number = 0;
    eventually("it is ejected", || {
        number += 1;
        ask(&mut client, get(&format!("/healthz?{number}")));
        ask(&mut client, get(&format!("/{number}")));
        look(&weir, "/api/status", 200)["services"][0]["counts"]["ejected"] == 1
    });
    let (mut rest, mut examples) = (page.clone(), 0);
    while let Some((command, after)) = block("sh", &rest) {
        let own = |text: &str| {
            let text = ends(text).replace("127.0.0.1:9090", &weir.admin().to_string());
            text.replace("127.0.0.1:8080", &weir.address().to_string())
        };
        let command = own(&command);
        let output = Command::new("bash").args(["-ec", &command]).output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        let (shown, after) = block("json", &after).unwrap();
        let shown: Value = serde_json::from_str(&shown).unwrap();
        let real: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(difference("it", &shown, &real), None, "{command}\n{real}");
        (rest, examples) = (after, examples + 1);
    }
    assert!(examples >= 8, "{examples}");
}
