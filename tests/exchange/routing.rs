//! Which route takes a request.

use std::fmt::Write as _;

use weir_testkit::{Endpoint, Raw, Reply, Weir};

use crate::setup::assert_refused;

struct Routed {
    weir: Weir,
    _endpoints: Vec<Endpoint>,
}

/// A weir with these routes, each to an endpoint that answers with the route's number.
fn routes(tables: &[&str]) -> Routed {
    let endpoints: Vec<Endpoint> =
        (0..tables.len()).map(|n| Endpoint::replying(Reply::new(200).body(n.to_string()))).collect();
    let mut toml = "[admin]\nlisten = \"127.0.0.1:0\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n".to_owned();
    for (n, (table, endpoint)) in tables.iter().zip(&endpoints).enumerate() {
        let address = endpoint.address();
        write!(
            toml,
            "[[route]]\n{table}\nservice = \"s{n}\"\n[[service]]\nname = \"s{n}\"\npolicy = \"round-robin\"\nendpoints = [\"{address}\"]\n"
        )
        .unwrap();
    }
    Routed { weir: Weir::start(env!("CARGO_BIN_EXE_weir"), &toml), _endpoints: endpoints }
}

impl Routed {
    /// Which route takes it.
    fn of(&self, host: &str, target: &str) -> String {
        self.ask(&format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).text()
    }

    fn ask(&self, request: &str) -> weir_testkit::Response {
        Raw::ask(self.weir.address(), request)
    }
}

#[test]
fn the_most_specific_host_wins_then_the_longest_path() {
    let routed = routes(&[
        r#"path = "/""#,
        r#"path = "/images""#,
        r#"path = "/images/large/""#,
        r#"host = "*.example.org""#,
        r#"host = "img.example.org""#,
        "host = \"img.example.org\"\npath = \"/v2\"",
    ]);
    for (host, target, route) in [
        ("other", "/", "0"),
        ("other", "/images", "1"),
        ("other", "/imagesque", "1"),
        ("other", "/images/large", "1"),
        ("other", "/images/large/1", "2"),
        ("other", "/Images", "0"),
        ("a.example.org", "/images", "3"),
        ("a.b.example.org", "/", "3"),
        ("example.org", "/", "0"),
        ("img.example.org", "/images", "4"),
        ("IMG.Example.ORG", "/", "4"),
        ("img.example.org:8443", "/v2/x", "5"),
        ("img.example.org", "/v1?/v2", "4"),
    ] {
        assert_eq!(routed.of(host, target), route, "{host}{target}");
    }
}

#[test]
fn a_path_is_matched_as_it_will_be_understood_not_as_it_is_written() {
    let routed = routes(&[r#"path = "/""#, r#"path = "/admin""#]);
    for target in ["/admin", "//admin", "/./admin", "/x/../admin", "/%61dmin", "/x/%2e%2e/admin", "/x/..%2fadmin"] {
        assert_eq!(routed.of("a", target), "1", "{target}");
    }
    assert_eq!(routed.of("a", "/admin/../public"), "0");
}

#[test]
fn a_route_is_written_with_escapes_and_takes_every_spelling_of_its_path() {
    let routed = routes(&[
        r#"path = "/""#,
        r#"path = "/a%20b""#,
        r#"path = "/caf%c3%a9/""#,
        "path = \"/100%25\"\nmatch = \"exact\"",
        "path = \"/new%20one/\"\nreplace = \"/v1/\"",
    ]);
    for (target, route) in [
        ("/a%20b", "1"),
        ("/%61%20b/c", "1"),
        ("/a%2520b", "0"),
        ("/a+b", "0"),
        ("/caf%C3%A9/x", "2"),
        ("/caf%C3%A9%2Fx", "2"),
        ("/caf\u{e9}/x", "2"),
        ("/cafe/x", "0"),
        ("/100%25", "3"),
        ("/100%25/", "0"),
        ("/new%20one/c%20d", "4"),
    ] {
        assert_eq!(routed.of("a", target), route, "{target}");
    }
}

#[test]
fn a_path_that_leads_above_the_root_is_refused() {
    let routed = routes(&[r#"path = "/""#]);
    for target in ["/..", "/../etc/passwd", "/a/../../b", "/%2e%2e/x"] {
        let response = routed.ask(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_refused(&routed.weir, &response, 400, "target_above_root");
        assert_eq!(response.field("connection"), Some("close"), "{target}");
    }
}

#[test]
fn options_of_everything_goes_to_the_route_of_the_root() {
    let routed = routes(&[r#"path = "/""#, r#"path = "/images""#]);
    let response = routed.ask("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((response.status, response.text()), (200, "0".to_owned()));
}

#[test]
fn a_request_that_no_route_takes_is_told_so_and_may_ask_again() {
    let routed = routes(&["host = \"a.example\"\npath = \"/images\""]);
    let mut client = Raw::connect(routed.weir.address());
    for (host, target) in [("a.example", "/"), ("b.example", "/images"), ("a.example", "/image")] {
        let response = client.write(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).response();
        assert_refused(&routed.weir, &response, 404, "no_route");
    }
    let head = client.write("HEAD / HTTP/1.1\r\nHost: a.example\r\n\r\n").response_to("HEAD");
    assert_eq!((head.status, head.body.length), (404, 0));
    let response = client.write("GET /images HTTP/1.1\r\nHost: a.example\r\n\r\n").response();
    assert_eq!((response.status, response.text()), (200, "0".to_owned()));
}
