//! What an operator sees and changes through the admin listener, and who may not.

mod access;
mod calls;
mod changes;
mod door;
mod events;
mod explain;
mod status;

use std::net::SocketAddr;

use serde_json::Value;
use weir_testkit::{Endpoint, Raw, Reply, Response, Weir};

use crate::support::{Setup, ask, get};

/// An endpoint that says its address in each answer.
pub(crate) fn named() -> Endpoint {
    Endpoint::start(|_| Reply::new(200).into())
}

/// `GET target` of the admin listener, which must be answered with this status.
#[track_caller]
pub(crate) fn look(weir: &Weir, target: &str, status: u16) -> Value {
    let answer = Raw::get(weir.admin(), target);
    assert_eq!(answer.status, status, "{target}: {}", answer.text());
    assert_eq!(answer.field("content-type"), Some("application/json"));
    serde_json::from_slice(&answer.body.kept).unwrap()
}

/// A call with these lines of fields, as it stands.
pub(crate) fn call(weir: &Weir, line: &str, fields: &str, body: &str) -> Response {
    let length = body.len();
    Raw::ask(
        weir.admin(),
        format!("{line} HTTP/1.1\r\n{fields}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"),
    )
}

/// A change from here, which must be answered with this status.
#[track_caller]
pub(crate) fn change(weir: &Weir, line: &str, body: &str, status: u16) -> Value {
    let fields = format!("Host: {}\r\nContent-Type: application/json\r\n", weir.admin());
    let answer = call(weir, line, &fields, body);
    assert_eq!(answer.status, status, "{line}: {}", answer.text());
    serde_json::from_slice(&answer.body.kept).unwrap()
}

/// The line of an action on an endpoint of the service `s`.
pub(crate) fn action(endpoint: SocketAddr, action: &str) -> String {
    format!("POST /api/services/s/endpoints/{endpoint}/{action}")
}

/// How many of `count` requests, sent one after the other, each endpoint had.
pub(crate) fn served(weir: &Weir, endpoints: &[&Endpoint], count: usize) -> Vec<usize> {
    let before: Vec<usize> = endpoints.iter().map(|endpoint| endpoint.requests().len()).collect();
    let mut client = Raw::connect(weir.address());
    for _ in 0..count {
        assert_eq!(ask(&mut client, get("/")).status, 200);
    }
    endpoints.iter().zip(before).map(|(endpoint, before)| endpoint.requests().len() - before).collect()
}

/// Of the service `s` in the status.
pub(crate) fn service(weir: &Weir) -> Value {
    look(weir, "/api/status?service=s", 200)["services"][0].clone()
}

pub(crate) fn endpoint(weir: &Weir, address: SocketAddr) -> Value {
    let service = service(weir);
    let found = service["endpoints"].as_array().unwrap().iter().find(|found| found["address"] == address.to_string());
    found.unwrap_or_else(|| panic!("{address} is not in {service}")).clone()
}

/// With this in `[admin]`.
pub(crate) fn with_admin(setup: &Setup, lines: &str) -> String {
    let toml = setup.toml();
    assert!(toml.contains("[admin]\nlisten = \"127.0.0.1:0\"\n"));
    toml.replace("[admin]\nlisten = \"127.0.0.1:0\"\n", &format!("[admin]\n{lines}\n"))
}
