//! Field lines, Host, Connection.

use crate::case::{Case, GET, HELLO, POST, R, case, get, group, post};

pub(crate) fn lines() -> Vec<Case> {
    let cases = vec![
        case("folded value", get("X-A: 1\r\n 2\r\n"), R, R, GET),
        case("folded value, with a tab", get("X-A: 1\r\n\t2\r\n"), R, R, GET),
        case("fold of nothing but blanks", get("X-A: 1\r\n \r\nX-B: 2\r\n"), R, R, GET),
        case("folded Transfer-Encoding", post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"), R, R, POST),
        case("blank before the first field", "GET / HTTP/1.1\r\n Host: a.example\r\n\r\n", R, R, R),
        case("bare LF behind the request line", "GET / HTTP/1.1\nHost: a.example\r\n\r\n", R, GET, GET),
        case("bare LF behind a field", "GET / HTTP/1.1\r\nHost: a.example\nX-A: 1\r\n\r\n", R, GET, GET),
        case("bare LF as the empty line", "GET / HTTP/1.1\r\nHost: a.example\r\n\n", R, GET, GET),
        case("bare LF everywhere", "GET / HTTP/1.1\nHost: a.example\n\n", R, GET, GET),
        case("bare CR in a value", get("X-A: 1\r2\r\n"), R, R, R),
        case("bare CR as a line end", get("X-A: 1\rX-B: 2\r\n"), R, R, R),
        case("two CRs before the LF", get("X-A: 1\r\r\n"), R, GET, R),
        case("bare CR in the request line", "GET / HTTP/1.1\rX: 1\r\nHost: a.example\r\n\r\n", R, R, R),
        case("NUL in a value", get("X-A: 1\x002\r\n"), R, R, GET),
        case("control character in a value", get("X-A: 1\x012\r\n"), R, GET, GET),
        case("DEL in a value", get("X-A: 1\x7f2\r\n"), R, GET, GET),
        case("vertical tab before a value", get("X-A:\x0b1\r\n"), R, GET, GET),
        case("NUL in a name", get("X\0A: 1\r\n"), R, R, R),
        case("control character in a name", get("X\x01A: 1\r\n"), R, R, R),
        case("DEL in a name", get("X\x7fA: 1\r\n"), R, R, R),
        case("blank in a name", get("X A: 1\r\n"), R, R, R),
        case("parenthesis in a name", get("X(A): 1\r\n"), R, GET, R),
        case(
            "byte above 127 in a name",
            [b"GET / HTTP/1.1\r\nHost: a.example\r\nX\xffA: 1\r\n\r\n".as_slice()].concat(),
            R,
            GET,
            R,
        ),
        case("blank before the colon", get("X-A : 1\r\n"), R, R, R),
        case("tab before the colon", get("X-A\t: 1\r\n"), R, R, R),
        case(
            "blank before the colon of Transfer-Encoding",
            post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"),
            R,
            R,
            R,
        ),
        case("blank before the colon of Content-Length", post("Content-Length : 5\r\n", "hello"), R, R, R),
        case("line without a colon", get("nonsense\r\n"), R, GET, R),
        case("empty name", get(": 1\r\n"), R, R, R),
    ];
    group("Field lines", cases)
}

pub(crate) fn hosts() -> Vec<Case> {
    let host = |value: &str| format!("GET / HTTP/1.1\r\nHost: {value}\r\n\r\n");
    let bytes = [b"GET / HTTP/1.1\r\nHost: caf\xe9.example\r\n\r\n".as_slice()].concat();
    let cases = vec![
        case("no Host", "GET / HTTP/1.1\r\n\r\n", R, R, GET),
        case(
            "no Host, absolute target",
            "GET http://a.example/ HTTP/1.1\r\n\r\n",
            R,
            R,
            "200, kept: GET http://a.example/",
        ),
        case("two Hosts that agree", get("Host: a.example\r\n"), R, R, GET),
        case("two Hosts that differ", get("Host: b.example\r\n"), R, R, R),
        case("two Hosts in one field", host("a.example, b.example"), R, R, GET),
        case("empty Host", host(""), R, R, GET),
        case("Host with a blank", host("a example"), R, R, GET),
        case("Host with a tab", host("a\texample"), R, R, GET),
        case("Host with userinfo", host("user@a.example"), R, GET, GET),
        case("Host with a slash", host("a.example/x"), R, R, GET),
        case("Host with a backslash", host("a\\example"), R, GET, GET),
        case("Host with a query", host("a.example?x"), R, GET, GET),
        case("Host with a fragment", host("a.example#x"), R, GET, GET),
        case("Host with a scheme", host("http://a.example"), R, R, GET),
        case("Host with angle brackets", host("a<b>.example"), R, GET, GET),
        case("Host with a port that is no number", host("a.example:80x"), R, GET, GET),
        case("Host with a port beyond 65535", host("a.example:65536"), R, GET, GET),
        case("Host with two ports", host("a.example:80:81"), R, GET, GET),
        case("Host that is a port only", host(":80"), R, R, GET),
        case("Host with an unclosed bracket", host("[::1"), R, GET, GET),
        case("Host with a byte above 127", bytes, R, GET, GET),
        case("invalid Host on HTTP/1.0", "GET / HTTP/1.0\r\nHost: a/b\r\n\r\n", R, R, "200, closed: GET /"),
        case("two Hosts on HTTP/1.0", "GET / HTTP/1.0\r\nHost: a.example\r\nHost: b.example\r\n\r\n", R, R, R),
    ];
    group("Host", cases)
}

pub(crate) fn nominations() -> Vec<Case> {
    let chunked = "Transfer-Encoding: chunked\r\nConnection: transfer-encoding\r\n";
    let cases = vec![
        case("Connection names Host", get("Connection: Host\r\n"), R, GET, GET),
        case("Connection names Host among others", get("Connection: keep-alive, hOsT\r\n"), R, GET, GET),
        case(
            "Connection names Content-Length",
            post("Content-Length: 5\r\nConnection: Content-Length\r\n", "hello"),
            R,
            HELLO,
            HELLO,
        ),
        case("Connection names Transfer-Encoding", post(chunked, "5\r\nhello\r\n0\r\n\r\n"), R, HELLO, HELLO),
    ];
    group("Connection", cases)
}
