//! Where a weir's admin listener is, as an argument says it.

use std::fmt;
use std::str::FromStr;

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// A name or an IP address, the latter without brackets.
    pub(super) host: String,
    /// From 1.
    pub(super) port: u16,
}

/// As it stands in a URL.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("https://") {
            return Err("an admin address is reached without TLS: write HOST:PORT".to_owned());
        }
        let bare = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        let shape = || "write HOST:PORT such as 127.0.0.1:9090 or [::1]:9090".to_owned();
        let (host, port) = bare.rsplit_once(':').ok_or_else(shape)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(shape)?;
        let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let host = match inner {
            Some(ip) => ip.parse::<std::net::Ipv6Addr>().map_err(|_| shape())?.to_string(),
            None if !host.is_empty() && host.bytes().all(letter) => host.to_owned(),
            None => return Err(shape()),
        };
        Ok(Self { host, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_written_as_weir_prints_it() {
        for (text, shown) in [
            ("127.0.0.1:9090", "127.0.0.1:9090"),
            ("http://127.0.0.1:9090", "127.0.0.1:9090"),
            ("http://[::1]:9090/", "[::1]:9090"),
            ("weir.internal:80", "weir.internal:80"),
        ] {
            assert_eq!(text.parse::<Address>().map(|it| it.to_string()).as_deref(), Ok(shown));
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in
            ["", "9090", ":9090", "127.0.0.1", "127.0.0.1:0", "::1:9090", "[::1]", "a b:1", "https://a:1", "a/b:1"]
        {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
