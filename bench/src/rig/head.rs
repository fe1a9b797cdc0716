//! The little of HTTP/1.1 that a load and an endpoint of our own need.
//!
//! In: bytes from a peer. Out: where the head ends and how long the body is. Cost: one pass over the head, nothing
//! allocated. Everything else in a head is left to the tests of weir itself.

use memchr::memmem;

/// What a head says about the body behind it and about the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Length of the head in bytes, the empty line included.
    pub(crate) end: usize,
    /// Its `Content-Length`; `None` without one, or with a broken one.
    pub(crate) length: Option<usize>,
    /// Whether the sender closes the connection behind this message.
    pub(crate) close: bool,
    /// Whether it has a `Transfer-Encoding`, so that `length` says nothing.
    pub(crate) encoded: bool,
}

/// The head at the beginning of `bytes`; `None` while its end has not arrived.
pub(crate) fn parse(bytes: &[u8]) -> Option<Head> {
    let end = memmem::find(bytes, b"\r\n\r\n")? + 4;
    let mut head = Head { end, length: None, close: false, encoded: false };
    let lines = bytes.get(..end)?.split(|byte| *byte == b'\n').skip(1);
    for line in lines {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let (name, rest) = line.split_at(colon);
        let value = rest.get(1..).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            head.length = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
        } else if name.eq_ignore_ascii_case(b"connection") {
            head.close = value.eq_ignore_ascii_case(b"close");
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            head.encoded = true;
        }
    }
    Some(head)
}

/// The status of the response that begins with `bytes`; 0 when it is none.
pub(crate) fn status(bytes: &[u8]) -> u16 {
    let digits = bytes.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3));
    digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_tells_its_length_and_that_of_its_body() {
        let bytes = b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 12 \r\nConnection: Close\r\n\r\nbody";
        assert_eq!(parse(bytes), Some(Head { end: bytes.len() - 4, length: Some(12), close: true, encoded: false }));
        assert_eq!(status(bytes), 200);
    }

    #[test]
    fn a_head_without_its_empty_line_is_not_a_head_yet() {
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n"), None);
    }

    #[test]
    fn a_length_that_is_no_number_is_none() {
        let head = parse(b"GET / HTTP/1.1\r\nContent-Length: 1x\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert_eq!(head.map(|head| (head.length, head.encoded)), Some((None, true)));
    }

    #[test]
    fn what_is_no_response_of_http_1_1_has_no_status() {
        assert_eq!(status(b"HTTP/1.0 200 OK\r\n\r\n"), 0);
        assert_eq!(status(b"HTTP/1.1 "), 0);
    }
}
