//! The flags of `--consul`: this optimizer as an instance of a service.
//!
//! In: flags, and where it listens. Out: a [`Registration`], or a sentence about what to write instead.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use weir_consul::{Address, Client, Identity, Options, Registration, Secret, Service, Tls};

/// The ACL token is taken from here when no file is named, as Consul's own tools do.
pub(crate) const TOKEN_VARIABLE: &str = "CONSUL_HTTP_TOKEN";

#[derive(Args)]
pub(crate) struct Flags {
    /// Consul agent to register with once this optimizer serves, as `http://127.0.0.1:8500`
    #[arg(long = "consul", value_name = "URL", requires = "service")]
    agent: Option<Address>,
    /// Name of the service to be an instance of
    #[arg(long, value_name = "NAME", requires = "agent")]
    service: Option<Box<str>>,
    /// Tag of the instance; may be given several times
    #[arg(long = "tag", value_name = "T", requires = "agent")]
    tags: Vec<Box<str>>,
    /// Address under which others reach this optimizer, as `10.0.0.5` or `10.0.0.5:3001` [default: that of --listen]
    #[arg(long, value_name = "ADDR", requires = "agent")]
    advertise: Option<Advertised>,
    /// Share of the traffic [default: the workers]
    #[arg(long, value_name = "N", requires = "agent")]
    weight: Option<NonZeroU16>,
    /// File with the ACL token [default: the variable `CONSUL_HTTP_TOKEN`]
    #[arg(long, value_name = "F", requires = "agent")]
    consul_token_file: Option<PathBuf>,
    /// File with the CA of an https agent, PEM [default: those of this system]
    #[arg(long, value_name = "F", requires = "agent")]
    consul_ca: Option<PathBuf>,
    /// File with the client certificate for an https agent, PEM
    #[arg(long, value_name = "F", requires = "consul_key")]
    consul_cert: Option<PathBuf>,
    /// File with its key, PEM
    #[arg(long, value_name = "F", requires = "consul_cert")]
    consul_key: Option<PathBuf>,
    /// Namespace, a feature of Consul Enterprise
    #[arg(long, value_name = "NS", requires = "agent")]
    consul_namespace: Option<Box<str>>,
}

/// A host and perhaps a port.
#[derive(Clone)]
struct Advertised {
    host: Box<str>,
    port: Option<NonZeroU16>,
}

impl FromStr for Advertised {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const HELP: &str = "write an address or a name, and perhaps a port: `10.0.0.5` or `10.0.0.5:3001`";
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        if bare.parse::<IpAddr>().is_ok() {
            return Ok(Self { host: bare.into(), port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().map_err(|_| HELP)?)),
            None => (text, None),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let named = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
        if host.is_empty() || !(named || host.parse::<IpAddr>().is_ok()) {
            return Err(HELP);
        }
        Ok(Self { host: host.into(), port })
    }
}

impl Flags {
    /// What the flags ask for; `None` without `--consul`. `id` is that of the command line, `token` the variable's.
    ///
    /// # Errors
    /// A sentence, when a file cannot be used or nobody could reach the address.
    pub(crate) fn registration(
        self,
        id: Option<&str>,
        token: Option<&str>,
        listen: SocketAddr,
        workers: usize,
    ) -> Result<Option<Registration>, String> {
        let (Some(agent), Some(name)) = (self.agent, self.service) else { return Ok(None) };
        let mut options = Options::new(agent);
        options.token = match (self.consul_token_file, token.filter(|token| !token.trim().is_empty())) {
            (Some(file), _) => Some(Secret::from_file(file).map_err(|error| told(&error))?),
            (None, Some(token)) => Some(Secret::new(token).map_err(|error| format!("{TOKEN_VARIABLE}: {error}"))?),
            (None, None) => None,
        };
        options.namespace = self.consul_namespace;
        options.tls = Tls {
            authorities: self.consul_ca.as_deref().map(read).transpose()?,
            identity: match (self.consul_cert.as_deref(), self.consul_key.as_deref()) {
                (Some(cert), Some(key)) => Some(Identity { certificates: read(cert)?, key: read(key)? }),
                _ => None,
            },
        };
        let workers = u16::try_from(workers).unwrap_or(u16::MAX);
        let place = place(&options.address, self.advertise, listen)?;
        let client = Client::new(options).map_err(|error| told(&error))?;
        let own = format!("{name}-{}-{}", place.address.as_deref().unwrap_or("node"), place.port);
        let service = Service {
            id: id.map_or_else(|| own.into(), Into::into),
            name,
            address: place.address,
            port: place.port,
            tags: self.tags,
            meta: [("capacity".into(), workers.to_string().into())].into(),
            weight: self.weight.or(NonZeroU16::new(workers)).unwrap_or(NonZeroU16::MIN),
            check: format!("http://{}/healthz", place.checked).into(),
        };
        Ok(Some(Registration::new(client, service)))
    }
}

/// Where others and the agent find this optimizer.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// `None`: at the address of the agent's node.
    address: Option<Box<str>>,
    port: NonZeroU16,
    checked: String,
}

fn place(agent: &Address, advertised: Option<Advertised>, listen: SocketAddr) -> Result<Place, String> {
    let own_port = NonZeroU16::new(listen.port()).ok_or("it does not listen on a port")?;
    let local = agent.is_loopback();
    if let Some(Advertised { host, port }) = advertised {
        let port = port.unwrap_or(own_port);
        let checked = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        return Ok(Place { address: Some(host), port, checked });
    }
    let ip = listen.ip();
    if !local && (ip.is_unspecified() || ip.is_loopback()) {
        return Err(format!(
            "the Consul agent {agent} is on another machine, and nobody there reaches {listen}: \
             write `--advertise ADDRESS`, under which this optimizer is reached"
        ));
    }
    // On every address: others reach it at that of its node, an agent on the same machine at loopback.
    let address = (!ip.is_unspecified()).then(|| ip.to_string().into());
    let asked = match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Ok(Place { address, port: own_port, checked: SocketAddr::new(asked, listen.port()).to_string() })
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))
}

fn told(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(agent: &str, advertised: Option<&str>, listen: &str) -> Result<(Option<String>, u16, String), String> {
        let advertised = advertised.map(|text| text.parse().map_err(str::to_owned)).transpose()?;
        let place = place(&agent.parse().unwrap(), advertised, listen.parse().unwrap())?;
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
    fn an_agent_elsewhere_cannot_reach_loopback_and_the_error_says_what_to_write() {
        for listen in ["127.0.0.1:3001", "0.0.0.0:3001", "[::1]:3001"] {
            let error = at("http://10.0.0.1:8500", None, listen).unwrap_err();
            assert!(error.contains("write `--advertise ADDRESS`"), "{error}");
            assert!(at("http://10.0.0.1:8500", Some("10.0.0.5"), listen).is_ok());
        }
        assert!(at("http://10.0.0.1:8500", None, "10.0.0.5:3001").is_ok());
    }

    #[test]
    fn what_is_no_address_is_not_advertised() {
        for text in ["", ":80", "10.0.0.5:", "10.0.0.5:0", "10.0.0.5:70000", "two words", "http://x", "a/b"] {
            assert!(text.parse::<Advertised>().is_err(), "{text}");
        }
    }
}
