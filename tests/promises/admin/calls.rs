//! Calls that make no sense, and those that the documentation shows.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use weir_testkit::{Endpoint, Raw, Weir, eventually};

use super::{action, call, change, endpoint, look, named};
use crate::support::{Setup, WEIR, ask, get, optimizer};

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

#[test]
fn a_method_that_a_call_does_not_take_is_answered_with_those_that_it_takes() {
    let one = named();
    let weir = Setup::before(&[&one]).start();
    let fields = format!("Host: {}\r\nContent-Type: application/json\r\n", weir.admin());
    let drain = action(one.address(), "drain");
    let drain = drain.split_once(' ').unwrap().1;
    for (line, allow) in [
        ("POST /api/status", "GET,HEAD"),
        ("OPTIONS /api/overrides", "GET,HEAD,DELETE"),
        ("GET /api/reload", "POST"),
        (&format!("GET {drain}"), "POST"),
        ("BREW /metrics", "GET,HEAD"),
        ("DELETE /", "GET,HEAD"),
    ] {
        let answer = call(&weir, line, &fields, "");
        assert_eq!((answer.status, answer.field("allow")), (405, Some(allow)), "{line}");
    }
    for (line, status) in [("HEAD /api/status", 200), ("HEAD /metrics", 200), ("HEAD /", 200), ("HEAD /api/no", 404)] {
        let mut raw = Raw::connect(weir.admin());
        raw.write(format!("{line} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n"));
        let answer = raw.response_to("HEAD");
        assert_eq!((answer.status, raw.is_ended()), (status, true), "{line}: no body");
    }
    assert_eq!(call(&weir, "GET /nothing", &fields, "").status, 404);
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
