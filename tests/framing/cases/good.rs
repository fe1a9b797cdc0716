//! Odd, but right: to refuse these would be the fault.

use crate::case::{Case, GET, HELLO, POST, R, case, chunked, get, group, line, post};

pub(crate) fn good() -> Vec<Case> {
    group("Good", [bodies(), first_lines(), fields()].into_iter().flatten().collect())
}

fn bodies() -> Vec<Case> {
    let two = "200 200, kept: GET /1; GET /2";
    let pipelined = "GET /1 HTTP/1.1\r\nHost: a.example\r\n\r\nGET /2 HTTP/1.1\r\nHost: a.example\r\n\r\n";
    let mixed = format!("{}{}{}", post("Content-Length: 5\r\n", "hello"), chunked("5\r\nhello\r\n0\r\n\r\n"), get(""));
    let three = "200 200 200, kept: POST / hello; POST / hello; GET /";
    let expect = post("Content-Length: 5\r\nExpect: 100-continue\r\n", "hello");
    vec![
        case("plain GET", get(""), GET, GET, GET),
        case("two pipelined GETs", pipelined, two, two, two),
        case("pipelined bodies, counted and chunked", mixed, three, three, three),
        case("counted body", post("Content-Length: 5\r\n", "hello"), HELLO, HELLO, HELLO),
        case("length 0", post("Content-Length: 0\r\n", ""), POST, POST, POST),
        case("POST without length or coding", post("", ""), POST, POST, POST),
        case("length with leading zeros", post("Content-Length: 005\r\n", "hello"), HELLO, HELLO, HELLO),
        case("length with blanks around it", post("Content-Length: \t5 \t\r\n", "hello"), HELLO, R, HELLO),
        case("expectation, body sent at once", expect, HELLO, HELLO, HELLO),
        case("chunked body", chunked("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), HELLO, HELLO, HELLO),
        case(
            "coding in capitals",
            post("Transfer-Encoding: CHUNKED\r\n", "5\r\nhello\r\n0\r\n\r\n"),
            HELLO,
            HELLO,
            HELLO,
        ),
        case(
            "coding with blanks around it",
            post("Transfer-Encoding: \tchunked \t\r\n", "5\r\nhello\r\n0\r\n\r\n"),
            HELLO,
            "501, closed",
            HELLO,
        ),
        case("chunk size with leading zeros", chunked("00005\r\nhello\r\n000\r\n\r\n"), HELLO, HELLO, HELLO),
        case(
            "chunk size in capitals",
            chunked("A\r\nhellohello\r\n0\r\n\r\n"),
            "200, kept: POST / hellohello",
            "200, kept: POST / hellohello",
            "200, kept: POST / hellohello",
        ),
        case("chunk extension", chunked("5;a=b;c=\"d e\";f\r\nhello\r\n0;g\r\n\r\n"), HELLO, HELLO, HELLO),
        case("blanks before a chunk extension", chunked("5 ;a=b\r\nhello\r\n0\r\n\r\n"), HELLO, HELLO, HELLO),
        case("trailers", chunked("5\r\nhello\r\n0\r\nX-A: 1\r\nX-B: 2\r\n\r\n"), HELLO, HELLO, HELLO),
    ]
}

fn first_lines() -> Vec<Case> {
    vec![
        case(
            "absolute target that equals Host",
            line("GET http://a.example/x HTTP/1.1"),
            "200, kept: GET /x",
            "200, kept: GET /x",
            "200, kept: GET http://a.example/x",
        ),
        case(
            "absolute target that differs in case only",
            line("GET HTTP://A.Example/x HTTP/1.1"),
            "200, kept: GET /x",
            "200, kept: GET /x",
            "200, kept: GET HTTP://A.Example/x",
        ),
        case(
            "absolute target without a path",
            line("GET http://a.example HTTP/1.1"),
            GET,
            GET,
            "200, kept: GET http://a.example",
        ),
        case("`OPTIONS *`", line("OPTIONS * HTTP/1.1"), "200, kept: OPTIONS *", R, "200, kept: OPTIONS *"),
        case(
            "method nobody knows",
            line("BREW / HTTP/1.1"),
            "200, kept: BREW /",
            "200, kept: BREW /",
            "200, kept: BREW /",
        ),
        case(
            "query with odd characters",
            line("GET /?a=[1]&b={2}&c=%00 HTTP/1.1"),
            "200, kept: GET /?a=[1]&b={2}&c=%00",
            "200, kept: GET /?a=[1]&b={2}&c=%00",
            "200, kept: GET /?a=[1]&b={2}&c=%00",
        ),
        case("empty line before the request line", format!("\r\n{}", get("")), GET, GET, GET),
    ]
}

fn fields() -> Vec<Case> {
    let latin = [b"GET / HTTP/1.1\r\nHost: a.example\r\nX-A: caf\xe9\r\n\r\n".as_slice()].concat();
    let host = |value: &str| format!("GET / HTTP/1.1\r\nHost: {value}\r\n\r\n");
    vec![
        case("Host with a port", host("a.example:8080"), GET, GET, GET),
        case("Host in capitals", host("A.EXAMPLE"), GET, GET, GET),
        case("Host that is an IPv6 address", host("[::1]:80"), GET, GET, GET),
        case("Host that is an IPv4 address", host("127.0.0.1"), GET, GET, GET),
        case("Host with an underscore", host("a_b.example"), GET, GET, GET),
        case("Connection names another field", get("X-A: 1\r\nConnection: X-A\r\n"), GET, GET, GET),
        case("no blank behind the colon", get("X-A:1\r\n"), GET, GET, GET),
        case("tab inside a value", get("X-A: 1\t2\r\n"), GET, GET, GET),
        case("empty value", get("X-A:\r\n"), GET, GET, GET),
        case("byte above 127 in a value", latin, GET, GET, GET),
        case(
            "HTTP/1.1 asked to close",
            get("Connection: close\r\n"),
            "200, closed: GET /",
            "200, closed: GET /",
            "200, closed: GET /",
        ),
        case(
            "HTTP/1.0 without Host",
            "GET / HTTP/1.0\r\n\r\n",
            "200, closed: GET /",
            "200, closed: GET /",
            "200, closed: GET /",
        ),
        case(
            "HTTP/1.0 asked to stay",
            "GET / HTTP/1.0\r\nHost: a.example\r\nConnection: keep-alive\r\n\r\n",
            GET,
            GET,
            GET,
        ),
        case(
            "HTTP/1.0 with a counted body",
            "POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello",
            "200, closed: POST / hello",
            "200, closed: POST / hello",
            "200, closed: POST / hello",
        ),
    ]
}
