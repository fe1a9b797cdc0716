//! The path of a route, as it is written and as it is compared.
//!
//! In: a path as in a URL, `/caf%C3%A9/`. Out: the same, and the bytes that a request's path is compared with once its
//! escapes are decoded. Cost: two short allocations when a route is made, none for a request.
//! As nginx has it: requests are compared decoded, `%2F` as the `/` that most programs take it for, so that no spelling
//! slips past a route. What a text cannot say plainly, a blank or a `%`, is written as an escape.

use std::fmt::{self, Write as _};

/// A route's path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RoutePath {
    written: Box<str>,
    plain: Box<[u8]>,
}

impl RoutePath {
    /// The path that is written so; `%` without two hex digits behind it stands for itself.
    pub fn new(written: &str) -> Self {
        Self { written: written.into(), plain: decoded(written.as_bytes()).into() }
    }

    /// The path of these bytes, its escapes in the one spelling that [`RoutePath::written`] then has: upper-case, for what
    /// is no visible ASCII, for `%`, `?` and `#`, and for a `*` at the end, which reads like a pattern.
    pub fn of_plain(plain: &[u8]) -> Self {
        let mut written = String::with_capacity(plain.len());
        for (at, &byte) in plain.iter().enumerate() {
            let star = byte == b'*' && plain.get(at..).is_some_and(|rest| rest.iter().all(|&byte| byte == b'*'));
            if byte.is_ascii_graphic() && !matches!(byte, b'%' | b'?' | b'#') && !star {
                written.push(char::from(byte));
            } else {
                // Writing to a String does not fail.
                write!(written, "%{byte:02X}").unwrap_or_default();
            }
        }
        Self { written: written.into(), plain: plain.into() }
    }

    /// As in a URL.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// What a request's path, decoded, is compared with.
    pub fn plain(&self) -> &[u8] {
        &self.plain
    }
}

impl From<&str> for RoutePath {
    fn from(written: &str) -> Self {
        Self::new(written)
    }
}

impl From<String> for RoutePath {
    fn from(written: String) -> Self {
        Self::new(&written)
    }
}

impl fmt::Display for RoutePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// `path` with each `%` and two hex digits as the byte that they stand for.
pub fn decoded(path: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| {
        byte.and_then(|&byte| char::from(byte).to_digit(16)).and_then(|value| u8::try_from(value).ok())
    };
    let mut out = Vec::with_capacity(path.len());
    let mut at = 0;
    while let Some(&byte) = path.get(at) {
        let escape = if byte == b'%' { digit(path.get(at + 1)).zip(digit(path.get(at + 2))) } else { None };
        if let Some((high, low)) = escape {
            out.push(high << 4 | low);
            at += 3;
        } else {
            out.push(byte);
            at += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_is_written_with_escapes_and_compared_without() {
        for (written, plain) in [("/a%20b", "/a b"), ("/100%25", "/100%"), ("/100%", "/100%"), ("/caf%c3%A9", "/café")]
        {
            assert_eq!(RoutePath::new(written).plain(), plain.as_bytes(), "{written}");
        }
        assert_eq!(RoutePath::of_plain("/a b/é%2F?#*/**".as_bytes()).written(), "/a%20b/%C3%A9%252F%3F%23*/%2A%2A");
    }

    proptest! {
        #[test]
        fn what_was_written_for_some_bytes_stands_for_them(plain in prop::collection::vec(any::<u8>(), 0..40)) {
            let path = RoutePath::of_plain(&plain);
            prop_assert_eq!(&RoutePath::new(path.written()), &path);
            prop_assert_eq!(path.plain(), &*plain);
        }
    }
}
