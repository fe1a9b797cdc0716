//! Where a body ends.

use crate::case::{Case, HELLO, R, case, chunked, group, post};

pub(crate) fn lengths() -> Vec<Case> {
    let hello = |lines: &str| post(lines, "hello");
    let cases = vec![
        case(
            "length, then coding",
            post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            R,
            R,
            "200, closed: POST /",
        ),
        case(
            "coding, then length",
            post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
            R,
            R,
            "200, closed: POST /",
        ),
        case(
            "length with coding `identity`",
            hello("Content-Length: 5\r\nTransfer-Encoding: identity\r\n"),
            R,
            "501, closed",
            R,
        ),
        case("length with an empty coding", hello("Content-Length: 5\r\nTransfer-Encoding:\r\n"), R, "501, closed", R),
        case(
            "bad length with coding",
            post("Content-Length: x\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            R,
            R,
            R,
        ),
        case("two lengths that agree", hello("Content-Length: 5\r\nContent-Length: 5\r\n"), R, R, HELLO),
        case("two lengths that differ", hello("Content-Length: 5\r\nContent-Length: 6\r\n"), R, R, R),
        case("two lengths in one field that agree", hello("Content-Length: 5, 5\r\n"), R, R, HELLO),
        case("two lengths in one field that differ", hello("Content-Length: 5, 6\r\n"), R, R, R),
        case("length with a comma behind it", hello("Content-Length: 5,\r\n"), R, R, R),
        case("length with a plus sign", hello("Content-Length: +5\r\n"), R, R, R),
        case("length with a minus sign", hello("Content-Length: -5\r\n"), R, R, R),
        case("length in hexadecimal", hello("Content-Length: 0x5\r\n"), R, R, R),
        case("length with a fraction", hello("Content-Length: 5.0\r\n"), R, R, R),
        case("length with a blank inside", hello("Content-Length: 5 5\r\n"), R, R, R),
        case("length that is a word", hello("Content-Length: five\r\n"), R, R, R),
        case("empty length", hello("Content-Length:\r\n"), R, R, R),
        case("length beyond 64 bits", hello("Content-Length: 18446744073709551621\r\n"), R, R, R),
    ];
    group("Content-Length", cases)
}

pub(crate) fn codings() -> Vec<Case> {
    let body = "5\r\nhello\r\n0\r\n\r\n";
    let coding = |value: &str| post(&format!("Transfer-Encoding: {value}\r\n"), body);
    let twice = |one: &str, two: &str| post(&format!("Transfer-Encoding: {one}\r\nTransfer-Encoding: {two}\r\n"), body);
    let old = |lines: &str, rest: &str| format!("POST / HTTP/1.0\r\nHost: a.example\r\n{lines}\r\n{rest}");
    let cases = vec![
        case("coding `chunked, identity`", coding("chunked, identity"), R, "501, closed", R),
        case("coding `gzip, chunked`", coding("gzip, chunked"), R, "501, closed", "422, closed"),
        case("coding `gzip`", coding("gzip"), R, "501, closed", R),
        case("coding `identity`", coding("identity"), R, "501, closed", R),
        case("coding `xchunked`", coding("xchunked"), R, "501, closed", R),
        case("coding `chunkedx`", coding("chunkedx"), R, "501, closed", R),
        case("coding `\"chunked\"`", coding("\"chunked\""), R, "501, closed", R),
        case("coding `chunked;q=1`", coding("chunked;q=1"), R, "501, closed", R),
        case("coding `chunked, chunked`", coding("chunked, chunked"), R, "501, closed", R),
        case("coding `chunked,`", coding("chunked,"), R, "501, closed", HELLO),
        case("coding `, chunked`", coding(", chunked"), R, "501, closed", "422, closed"),
        case("vertical tab before the coding", coding("\x0bchunked"), R, "501, closed", R),
        case("empty coding", coding(""), R, "501, closed", R),
        case("two codings `chunked`", twice("chunked", "chunked"), R, R, R),
        case("two codings, `chunked` first", twice("chunked", "identity"), R, R, R),
        case("two codings, `chunked` last", twice("identity", "chunked"), R, R, "422, closed"),
        case("coding on HTTP/1.0", old("Transfer-Encoding: chunked\r\n", body), R, R, "200, closed: POST / hello"),
        case(
            "coding and length on HTTP/1.0",
            old("Transfer-Encoding: chunked\r\nContent-Length: 15\r\n", body),
            R,
            R,
            "200, closed: POST / hello",
        ),
    ];
    group("Transfer-Encoding", cases)
}

pub(crate) fn chunks() -> Vec<Case> {
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(20_000));
    let cases = vec![
        case("chunk size that is a word", chunked("xyz\r\nhello\r\n0\r\n\r\n"), R, R, R),
        case("empty chunk size", chunked("\r\nhello\r\n0\r\n\r\n"), R, R, R),
        case("chunk size with a minus sign", chunked("-5\r\nhello\r\n0\r\n\r\n"), R, R, R),
        case("chunk size with a plus sign", chunked("+5\r\nhello\r\n0\r\n\r\n"), R, R, R),
        case("chunk size with 0x", chunked("0x5\r\nhello\r\n0\r\n\r\n"), R, R, R),
        case("blank before the chunk size", chunked(" 5\r\nhello\r\n0\r\n\r\n"), R, R, R),
        case("chunk size beyond 64 bits", chunked("10000000000000005\r\nhello\r\n0\r\n\r\n"), R, R, R),
        case("no line end behind the chunk", chunked("5\r\nhello0\r\n\r\n"), R, R, R),
        case("chunk longer than its size", chunked("3\r\nhello\r\n0\r\n\r\n"), R, R, R),
        case("other bytes for the line end behind the chunk", chunked("5\r\nhelloXX0\r\n\r\n"), R, R, R),
        case("bare LF behind the chunk size", chunked("5\nhello\r\n0\r\n\r\n"), R, HELLO, HELLO),
        case("bare LF behind the chunk", chunked("5\r\nhello\n0\r\n\r\n"), R, HELLO, HELLO),
        case("bare LF behind the last size", chunked("5\r\nhello\r\n0\n\r\n"), R, HELLO, HELLO),
        case("bare LF as the last line", chunked("5\r\nhello\r\n0\r\n\n"), R, HELLO, HELLO),
        case("bare CR behind the chunk size", chunked("5\rhello\r\n0\r\n\r\n"), R, R, R),
        case("bare CR behind the chunk", chunked("5\r\nhello\r0\r\n\r\n"), R, R, R),
        case("bare LF in a chunk extension", chunked("5;a\nb\r\nhello\r\n0\r\n\r\n"), R, R, R),
        case("bare CR in a chunk extension", chunked("5;a\rb\r\nhello\r\n0\r\n\r\n"), R, R, R),
        case("NUL in a chunk extension", chunked("5;a\0b\r\nhello\r\n0\r\n\r\n"), R, HELLO, HELLO),
        case("chunk extension of 20,000 bytes", chunked(&long), R, HELLO, R),
        case("trailer without a colon", chunked("5\r\nhello\r\n0\r\nnonsense\r\n\r\n"), R, HELLO, R),
        case(
            "blank before a trailer's colon",
            chunked("5\r\nhello\r\n0\r\nSum : 1\r\n\r\n"),
            R,
            HELLO,
            "400, closed or 200, kept: POST / hello",
        ),
        case("NUL in a trailer", chunked("5\r\nhello\r\n0\r\nSum: \0\r\n\r\n"), R, HELLO, HELLO),
        case("bare LF behind a trailer", chunked("5\r\nhello\r\n0\r\nSum: 1\n\r\n"), R, HELLO, HELLO),
        case("folded trailer", chunked("5\r\nhello\r\n0\r\nSum: 1\r\n 2\r\n\r\n"), R, HELLO, HELLO),
    ];
    group("Chunks", cases)
}
