//! Well-formed, but too much. The limits are weir's: target 8 KiB, head 32 KiB or 100 fields, and a body of 1 MiB on
//! the route that is tested (nginx's default for a body).

use crate::case::{Case, GET, R, case, get, group, line, post};

pub(crate) fn limits() -> Vec<Case> {
    let target = |length: usize| line(&format!("GET /{} HTTP/1.1", "a".repeat(length - 1)));
    // Host is one of them.
    let fields = |count: usize| get(&"X-A: 1\r\n".repeat(count - 1));
    let large = |count: usize| get(&format!("X-A: {}\r\n", "a".repeat(4096)).repeat(count));
    let body = |length: usize| post(&format!("Content-Length: {length}\r\n"), &"a".repeat(length));
    let chunk = |length: usize| {
        post("Transfer-Encoding: chunked\r\n", &format!("{length:x}\r\n{}\r\n0\r\n\r\n", "a".repeat(length)))
    };
    let limit = 1024 * 1024;
    let cases = vec![
        case("target of 8,193 bytes", target(8193), "414, closed", "414, closed", "200, kept: GET /a×8192"),
        case("target of 40,000 bytes", target(40_000), "414, closed", "414, closed", R),
        case("101 fields", fields(101), "431, closed", GET, R),
        case("100 fields", fields(100), GET, GET, GET),
        case("head of 36 KiB in 9 fields", large(9), "431, closed", R, R),
        case("head of 28 KiB in 7 fields", large(7), GET, R, R),
        case("field of 40,000 bytes", get(&format!("X-A: {}\r\n", "a".repeat(40_000))), "431, closed", R, R),
        case("field of 10,000 bytes", get(&format!("X-A: {}\r\n", "a".repeat(10_000))), GET, R, GET),
        case(
            "counted body of 1 MiB and a byte",
            body(limit + 1),
            "413, closed",
            "413, closed",
            "200, kept: POST / 1048577 bytes",
        ),
        case(
            "counted body of 1 MiB",
            body(limit),
            "200, kept: POST / 1048576 bytes",
            "200, kept: POST / 1048576 bytes",
            "200, kept: POST / 1048576 bytes",
        ),
        case(
            "chunked body of 1 MiB and a byte",
            chunk(limit + 1),
            "413, closed",
            "413, closed",
            "200, kept: POST / 1048577 bytes",
        ),
        case(
            "chunked body of 1 MiB",
            chunk(limit),
            "200, kept: POST / 1048576 bytes",
            "200, kept: POST / 1048576 bytes",
            "200, kept: POST / 1048576 bytes",
        ),
        case(
            "length of a petabyte",
            post("Content-Length: 1125899906842624\r\n", ""),
            "413, closed",
            "413, closed",
            "no answer, waits: POST / …",
        ),
    ];
    group("Limits", cases)
}
