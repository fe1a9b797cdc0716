//! What the live page is told, second by second: first everything, then what is another than before.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};
use weir_testkit::{Endpoint, PATIENCE, Raw, Reply, Weir};

use crate::support::Setup;

/// The events of a weir, name and data, one after the other.
fn events(weir: &Weir) -> impl Iterator<Item = (String, Value)> {
    let mut stream = TcpStream::connect(weir.admin()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET /api/events HTTP/1.1\r\nHost: {}\r\n\r\n", weir.admin()).unwrap();
    // An event is one piece, so that no other line begins as its lines do.
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    std::iter::from_fn(move || {
        let name = lines.find_map(|line| line.strip_prefix("event: ").map(str::to_owned))?;
        let data = lines.find_map(|line| line.strip_prefix("data: ").map(str::to_owned))?;
        Some((name, serde_json::from_str(&data).unwrap()))
    })
}

/// The keys of an object.
fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn a_second_in_which_nothing_happens_is_told_in_a_few_bytes() {
    let list: Vec<_> = (0..1000).map(|n| format!("\"127.0.{}.{}:9\"", n / 250 + 1, n % 250 + 1)).collect();
    let weir = Setup::of(&[]).endpoints(&list.join(", ")).start();
    let mut events = events(&weir);
    let (name, whole) = events.next().unwrap();
    assert_eq!((&*name, whole["services"][0]["endpoints"].as_array().unwrap().len()), ("whole", 1000));
    for _ in 0..2 {
        let (name, quiet) = events.next().unwrap();
        assert_eq!((&*name, keys(&quiet)), ("change", vec!["now_unix_seconds", "uptime_seconds"]));
    }
}

#[test]
fn of_what_changes_only_that_is_told() {
    let (one, other) = (Endpoint::replying(Reply::new(200)), Endpoint::replying(Reply::new(200)));
    let weir = Setup::before(&[&one, &other]).start();
    let mut events = events(&weir);
    let (_, whole) = events.next().unwrap();
    assert_eq!(whole["services"][0]["traffic"]["requests"], 0);
    let action = format!("/api/services/s/endpoints/{}/drain", one.address());
    let head = format!("POST {action} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n", weir.admin());
    let answer = Raw::ask(weir.admin(), format!("{head}Content-Length: 0\r\nConnection: close\r\n\r\n"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let (_, change) = events.find(|(_, change)| !change["services"].is_null()).unwrap();
    assert_eq!(keys(&change), ["now_unix_seconds", "revision", "services", "uptime_seconds"]);
    let [service] = &*change["services"].as_array().unwrap().clone() else { panic!("{change}") };
    assert_eq!(keys(service), ["counts", "endpoints", "name"]);
    let [endpoint] = &*service["endpoints"].as_array().unwrap().clone() else { panic!("{change}") };
    assert_eq!(keys(endpoint), ["address", "drained", "override"]);
    assert_eq!((&endpoint["address"], &endpoint["drained"]), (&json!(one.address().to_string()), &json!(true)));
    weir.rewrite(&Setup::before(&[&other]).toml());
    let (_, change) = events.find(|(_, change)| !change["gone"].is_null()).unwrap();
    assert_eq!(change["gone"], json!([{ "service": "s", "address": one.address().to_string() }]));
}
