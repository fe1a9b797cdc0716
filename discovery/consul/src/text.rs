//! Text for URLs and for messages.

use std::fmt::Write as _;

/// `text` as one part of a path or one value of a query: all but RFC 3986's unreserved characters as `%XX`.
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else if write!(out, "%{byte:02X}").is_err() {
            // A `String` takes every write.
            break;
        }
    }
    out
}

/// The start of what an agent said, on one line: it goes into messages and logs.
pub(crate) fn said(body: &[u8]) -> Box<str> {
    const LONGEST: usize = 300;
    let text = String::from_utf8_lossy(body.get(..4 * LONGEST).unwrap_or(body));
    let line: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    line.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_survives_in_a_query() {
        assert_eq!(encoded(r#"Service.Meta.zone == "a&b" "#), "Service.Meta.zone%20%3D%3D%20%22a%26b%22%20");
        assert_eq!(encoded("é/%"), "%C3%A9%2F%25");
    }

    #[test]
    fn what_an_agent_says_is_one_short_line() {
        assert_eq!(&*said(b" rpc error:\n\x1b[31mEOF\n"), "rpc error:  [31mEOF");
        assert_eq!(said("x".repeat(100_000).as_bytes()).len(), 300);
        assert!(said(&[0xff; 10_000]).chars().count() <= 300);
    }
}
