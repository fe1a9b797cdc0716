//! The first line.

use crate::case::{Case, GET, R, case, group, line};

pub(crate) fn targets() -> Vec<Case> {
    let cases = vec![
        case("blank in the target", line("GET /a b HTTP/1.1"), R, R, R),
        case("two blanks before the target", line("GET  / HTTP/1.1"), R, GET, GET),
        case("two blanks behind the target", line("GET /  HTTP/1.1"), R, GET, GET),
        case("tab in the target", line("GET /a\tb HTTP/1.1"), R, R, R),
        case("tabs for blanks", line("GET\t/\tHTTP/1.1"), R, R, GET),
        case("NUL in the target", line("GET /a\0b HTTP/1.1"), R, R, R),
        case("control character in the target", line("GET /a\x01b HTTP/1.1"), R, R, R),
        case("DEL in the target", line("GET /a\x7fb HTTP/1.1"), R, R, "200, kept: GET /a\\x7fb"),
        case("target without a slash", line("GET a HTTP/1.1"), R, R, R),
        case("target `*` for GET", line("GET * HTTP/1.1"), R, R, "200, kept: GET *"),
        case(
            "absolute target with userinfo",
            line("GET http://user@a.example/ HTTP/1.1"),
            R,
            R,
            "200, kept: GET http://user@a.example/",
        ),
        case("absolute target of another host", line("GET http://b.example/ HTTP/1.1"), R, GET, R),
        case("absolute target with another port", line("GET http://a.example:81/ HTTP/1.1"), R, GET, R),
        case("absolute target without a host", line("GET http:///a HTTP/1.1"), R, R, "200, kept: GET http:///a"),
        case(
            "absolute target with a foreign scheme",
            line("GET ftp://a.example/ HTTP/1.1"),
            R,
            GET,
            "200, kept: GET ftp://a.example/",
        ),
        case(
            "CONNECT",
            "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n",
            "405, closed",
            R,
            "200, closed: CONNECT a.example:443",
        ),
    ];
    group("Target", cases)
}

pub(crate) fn request_lines() -> Vec<Case> {
    // The first bytes of a real TLS 1.2 ClientHello, cut short: record header, handshake header, version, random.
    let mut hello = b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03".to_vec();
    hello.extend_from_slice(&[0x5a; 32]);
    hello.extend_from_slice(b"\x00\x00\x04\x13\x01\x13\x02\x01\x00\r\n\r\n");
    let cases = vec![
        case("no version", line("GET /"), R, "HTTP/0.9, closed: GET /", R),
        case("no version, nothing behind it", "GET /\r\n", R, "HTTP/0.9, closed: GET /", R),
        case("no target", line("GET HTTP/1.1"), R, R, R),
        case("method alone", line("GET"), R, R, R),
        case("blank before the method", line(" GET / HTTP/1.1"), R, R, R),
        case("method that is no token", line("G@T / HTTP/1.1"), R, R, R),
        case("blank behind the version", line("GET / HTTP/1.1 "), R, GET, R),
        case("word behind the version", line("GET / HTTP/1.1 x"), R, R, R),
        case("version HTTP/0.9", line("GET / HTTP/0.9"), R, R, "200, closed: GET /"),
        case("version HTTP/1", line("GET / HTTP/1"), R, R, R),
        case("version HTTP/1.2", line("GET / HTTP/1.2"), R, GET, GET),
        case("version HTTP/1.10", line("GET / HTTP/1.10"), R, GET, R),
        case("version HTTP/01.1", line("GET / HTTP/01.1"), R, R, R),
        case("version HTTP/1.1x", line("GET / HTTP/1.1x"), R, R, R),
        case("version HTTP/2.0", line("GET / HTTP/2.0"), R, "505, closed", GET),
        case("version HTTP/3", line("GET / HTTP/3"), R, "505, closed", R),
        case("version http/1.1", line("GET / http/1.1"), R, R, R),
        case("version HTTPS/1.1", line("GET / HTTPS/1.1"), R, R, R),
        case("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", R, R, "HTTP/2, kept"),
        case("TLS ClientHello", hello, R, R, R),
        case("bytes that mean nothing", *b"\x00\x01\x02\xff\r\n\r\n", R, R, R),
    ];
    group("Request line", cases)
}
