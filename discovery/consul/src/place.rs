//! Where a process that registers is found. Pure.
//!
//! In: the agent's address, what is to be advertised, where the process listens. Out: the address and port to register, and
//! the one that the agent can check.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::str::FromStr;

use crate::Address;

/// A host and perhaps a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertised {
    /// A name or an IP address, IPv6 without brackets.
    pub host: Box<str>,
    /// `None` is the port it listens on.
    pub port: Option<NonZeroU16>,
}

/// What is no [`Advertised`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write an address or a name, and perhaps a port: `10.0.0.5` or `10.0.0.5:3001`")]
pub struct NotAdvertised;

/// Where others and the agent find a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// `None`: at the address of the agent's node.
    pub address: Option<Box<str>>,
    /// The port.
    pub port: NonZeroU16,
    /// `host:port` for the agent's check.
    pub checked: String,
}

/// Why nobody would find it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// It listens on port 0.
    #[error("it does not listen on a port")]
    NoPort,
    /// It listens on loopback or on every address, and the agent is elsewhere: what to advertise has to be said.
    #[error("the Consul agent {agent} is on another machine, and nobody there reaches {listen}")]
    Elsewhere {
        /// The agent.
        agent: Address,
        /// Where the process listens.
        listen: SocketAddr,
    },
}

impl FromStr for Advertised {
    type Err = NotAdvertised;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        if bare.parse::<IpAddr>().is_ok() {
            return Ok(Self { host: bare.into(), port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().map_err(|_| NotAdvertised)?)),
            None => (text, None),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let named = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
        if host.is_empty() || !(named || host.parse::<IpAddr>().is_ok()) {
            return Err(NotAdvertised);
        }
        Ok(Self { host: host.into(), port })
    }
}

impl Place {
    /// What is advertised wins, then where it listens, then the agent's node.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub fn of(agent: &Address, advertised: Option<Advertised>, listen: SocketAddr) -> Result<Self, PlaceError> {
        let own_port = NonZeroU16::new(listen.port()).ok_or(PlaceError::NoPort)?;
        if let Some(Advertised { host, port }) = advertised {
            let port = port.unwrap_or(own_port);
            let checked = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
            return Ok(Self { address: Some(host), port, checked });
        }
        let ip = listen.ip();
        if !agent.is_loopback() && (ip.is_unspecified() || ip.is_loopback()) {
            return Err(PlaceError::Elsewhere { agent: agent.clone(), listen });
        }
        // On every address: others reach it at that of its node, an agent on the same machine at loopback.
        let address = (!ip.is_unspecified()).then(|| ip.to_string().into());
        let asked = match ip {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        Ok(Self { address, port: own_port, checked: SocketAddr::new(asked, listen.port()).to_string() })
    }

    /// An id that no other process of its machine has: the service, the address, the port.
    pub fn id(&self, service: &str) -> Box<str> {
        format!("{service}-{}-{}", self.address.as_deref().unwrap_or("node"), self.port).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(agent: &str, advertised: Option<&str>, listen: &str) -> Result<(Option<String>, u16, String), String> {
        let advertised = advertised.map(|text| text.parse().unwrap());
        let place = Place::of(&agent.parse().unwrap(), advertised, listen.parse().unwrap());
        let place = place.map_err(|error| error.to_string())?;
        Ok((place.address.map(Into::into), place.port.get(), place.checked))
    }

    #[test]
    fn what_is_advertised_wins_then_where_it_listens_then_the_node() {
        const LOCAL: &str = "http://localhost:8500";
        let some = |text: &str| Some(text.to_owned());
        for (advertised, listen, address, port, checked) in [
            (None, "127.0.0.1:3001", some("127.0.0.1"), 3001, "127.0.0.1:3001"),
            (None, "10.0.0.5:3001", some("10.0.0.5"), 3001, "10.0.0.5:3001"),
            (None, "0.0.0.0:3001", None, 3001, "127.0.0.1:3001"),
            (None, "[::]:3001", None, 3001, "[::1]:3001"),
            (Some("10.0.0.5"), "0.0.0.0:3001", some("10.0.0.5"), 3001, "10.0.0.5:3001"),
            (Some("opt-1.example:80"), "0.0.0.0:3001", some("opt-1.example"), 80, "opt-1.example:80"),
            (Some("fd00::5"), "[::]:3001", some("fd00::5"), 3001, "[fd00::5]:3001"),
            (Some("[fd00::5]:80"), "[::]:3001", some("fd00::5"), 80, "[fd00::5]:80"),
        ] {
            assert_eq!(
                at(LOCAL, advertised, listen),
                Ok((address, port, checked.to_owned())),
                "{advertised:?} {listen}"
            );
        }
    }

    #[test]
    fn an_agent_elsewhere_cannot_reach_loopback() {
        for listen in ["127.0.0.1:3001", "0.0.0.0:3001", "[::1]:3001"] {
            let error = at("http://10.0.0.1:8500", None, listen).unwrap_err();
            assert!(error.contains("is on another machine, and nobody there reaches"), "{error}");
            assert!(at("http://10.0.0.1:8500", Some("10.0.0.5"), listen).is_ok());
        }
        assert!(at("http://10.0.0.1:8500", None, "10.0.0.5:3001").is_ok());
    }

    #[test]
    fn what_is_no_address_is_not_advertised() {
        for text in ["", ":80", "10.0.0.5:", "10.0.0.5:0", "10.0.0.5:70000", "two words", "http://x", "a/b"] {
            assert_eq!(text.parse::<Advertised>(), Err(NotAdvertised), "{text}");
        }
    }
}
