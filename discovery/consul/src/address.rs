//! The address of an agent's HTTP API.
//!
//! In: `http://HOST[:PORT][/PREFIX]` or the same with `https`. Out: its parts, legal by construction.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;

/// Where an agent's HTTP API is. Written as a URL; prints as one.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    https: bool,
    host: Box<str>,
    port: u16,
    /// Without a slash at its end; empty for none.
    prefix: Box<str>,
}

/// Why a text is not the address of an agent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Neither `http` nor `https`, or no URL at all.
    #[error("`{text}` is not the address of a Consul agent: write it as `http://127.0.0.1:8500`")]
    NotUrl {
        /// What was written.
        text: Box<str>,
    },
    /// There is a user, a query or a fragment in it. What was written is not repeated: it may hold a password.
    #[error("the address of a Consul agent takes no user, query or fragment: write it as `http://127.0.0.1:8500`")]
    TooMuch,
}

impl Address {
    /// Whether connections to it are TLS.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// The host: a name or an IP address, IPv6 without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 80 or 443 when none was written.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the agent is on this machine, by its name alone: `localhost` or a loopback address.
    pub fn is_loopback(&self) -> bool {
        self.host.parse::<IpAddr>().map_or(&*self.host == "localhost", |ip| ip.is_loopback())
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The value of a `Host` header.
    pub(crate) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.contains(['@', '?', '#']) {
            return Err(AddressError::TooMuch);
        }
        let not_url = || AddressError::NotUrl { text: text.into() };
        let uri: Uri = text.parse().map_err(|_| not_url())?;
        let https = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(not_url()),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(not_url)?;
        let port = match uri.authority().map(http::uri::Authority::as_str).and_then(port_text) {
            Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or_else(not_url)?,
            None if https => 443,
            None => 80,
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').into();
        Ok(Self { https, host, port, prefix: uri.path().trim_end_matches('/').into() })
    }
}

/// What follows the colon of a port. The `http` crate says `None` to a port of 70000 as to none at all.
fn port_text(authority: &str) -> Option<&str> {
    authority.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.ends_with(']'))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.prefix)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_a_host_a_port_and_perhaps_a_prefix() {
        for (text, shown, loopback) in [
            ("http://127.0.0.1:8500", "http://127.0.0.1:8500", true),
            ("http://localhost:8500/", "http://localhost:8500", true),
            ("https://consul.example", "https://consul.example:443", false),
            ("http://consul", "http://consul:80", false),
            ("http://[::1]:8500", "http://[::1]:8500", true),
            ("https://gate.example:8443/consul/", "https://gate.example:8443/consul", false),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.to_string().as_str(), address.is_loopback()), (shown, loopback), "{text}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused_with_what_to_write() {
        for text in ["", "127.0.0.1:8500", "consul:8500", "ftp://x", "http://", "http://x:0", "http://x:70000", "/x"] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.to_string().contains("`http://127.0.0.1:8500`"), "{text}");
        }
    }

    #[test]
    fn a_password_in_the_address_is_refused_and_not_repeated() {
        let error = "http://admin:hunter2@consul:8500".parse::<Address>().unwrap_err();
        assert_eq!(error, AddressError::TooMuch);
        assert!(!error.to_string().contains("hunter2"));
    }
}
