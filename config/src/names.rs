//! Names and addresses written as text: sockets, networks, host names, paths, header names.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::path::PathBuf;

use ipnet::IpNet;

use crate::Advertise;
use crate::sink::Fault;

mod paths;

use paths::visible_ascii;
pub(crate) use paths::{new_path, probe_path, route_path};

/// `ip:port`; `ip` and `port` are what to show in advice, and `named` is the advice for a name in place of an IP address.
fn socket(text: &str, rule: &str, (ip, port): (&str, u16), named: impl Fn() -> String) -> Result<SocketAddr, Fault> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let fault = |label: &str, help: String| Err(Fault::new(rule, label).help(help));
    let example = format!("write for example `\"{ip}:{port}\"`");
    if let Some((_, rest)) = text.split_once("://") {
        let authority = rest.split('/').next().unwrap_or(rest);
        return fault("this is a URL", format!("write `\"{authority}\"`"));
    }
    if text.starts_with('/') || text.starts_with("unix:") {
        return fault("this is a Unix socket", example);
    }
    match text.parse() {
        Ok(IpAddr::V4(ip)) => return fault("the port is missing", format!("write for example `\"{ip}:{port}\"`")),
        Ok(IpAddr::V6(whole)) => {
            let meant = text.rsplit_once(':').and_then(|(ip, port)| Some((ip.parse::<Ipv6Addr>().ok()?, port)));
            let help = match meant {
                Some((ip, last)) => {
                    format!("write `\"[{ip}]:{last}\"` if {last} is the port, or `\"[{whole}]:{port}\"`")
                }
                None => format!("write for example `\"[{whole}]:{port}\"`"),
            };
            return fault("the port is missing, or the brackets around IPv6 are", help);
        }
        Err(_) => {}
    }
    let is_ip = |text: &str| text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
    if is_ip(text) {
        return fault("the port is missing", format!("write for example `\"{text}:{port}\"`"));
    }
    let (name, last) = text.rsplit_once(':').unwrap_or(("", text));
    match (name, last.parse::<u16>()) {
        ("" | "*", Ok(port)) => return fault("the IP address is missing", format!("write `\"{ip}:{port}\"`")),
        (name, Ok(port)) if is_ip(name) => {
            return fault("IPv6 stands in brackets", format!("write `\"[{name}]:{port}\"`"));
        }
        (name, Err(_)) if is_ip(name) => {
            return fault(NO_PORT, format!("write for example `\"{name}:{port}\"`"));
        }
        _ => {}
    }
    let host = if text.contains(':') { name } else { text };
    if text.is_empty() {
        return fault("empty", example);
    }
    if host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return fault("no IP address: that is four numbers up to 255", example);
    }
    fault("this is a name", named())
}

const NO_PORT: &str = "a port is a number up to 65535";

/// Where to listen: `ip:port`, port 0 for a free one.
pub(crate) fn listener_address(text: &str) -> Result<SocketAddr, Fault> {
    socket(text, "a listener's address is an IP address and a port", ("0.0.0.0", 8080), || {
        "listen on an IP address: `0.0.0.0` for all, `127.0.0.1` for this machine only".to_owned()
    })
}

/// Where metrics and health are served: as [`listener_address`], and on this machine only.
pub(crate) fn admin_address(text: &str) -> Result<SocketAddr, Fault> {
    let rule = "the admin address is an IP address and a port";
    socket(text, rule, ("127.0.0.1", 9090), || "write `\"127.0.0.1:9090\"`".to_owned())
}

/// Where an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Socket(SocketAddr),
    /// For DNS.
    Name(Box<str>, NonZeroU16),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => address.fmt(f),
            Self::Name(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

/// Where to connect to: `ip:port` or `name:port`, not port 0.
pub(crate) fn endpoint_place(text: &str) -> Result<Place, Fault> {
    let rule = "an endpoint is an IP address or a name of DNS, and a port";
    let fault =
        |label: &str, host: &str| Err(Fault::new(rule, label).help(format!("write for example `\"{host}:3001\"`")));
    let nowhere = "no connection can be opened to port 0";
    let (host, port) = text.rsplit_once(':').unzip();
    match (dns_name(host.unwrap_or(text)), port.map(str::parse::<u16>)) {
        (Ok(name), Some(Ok(port))) => match NonZeroU16::new(port) {
            Some(port) => return Ok(Place::Name(name, port)),
            None => return fault(nowhere, &name),
        },
        (Ok(name), Some(Err(_))) if !text.contains('/') => return fault(NO_PORT, &name),
        (Ok(name), None) => return fault("the port is missing", &name),
        _ => {}
    }
    let address =
        socket(text, rule, ("127.0.0.1", 3001), || "write for example `\"optimizer.example:3001\"`".to_owned())?;
    match address.port() {
        0 => fault(nowhere, host.unwrap_or("127.0.0.1")),
        _ => Ok(Place::Socket(address)),
    }
}

/// A name to look up, in lower case: letters, digits, `-` and `_` between dots, not an IP address. It may end with a dot.
pub(crate) fn dns_name(text: &str) -> Result<Box<str>, Fault> {
    let rule = "a name of DNS is letters, digits, `-` and `_` between dots";
    let lower = text.to_ascii_lowercase();
    if let Some((_, rest)) = lower.split_once("://") {
        let name = rest.split(['/', ':']).next().unwrap_or(rest);
        return Err(Fault::new(rule, "this is a URL").help(format!("write `\"{name}\"`")));
    }
    let name = lower.strip_suffix('.').unwrap_or(&lower);
    if name.parse::<IpAddr>().is_ok() || name.split('.').next_back().is_some_and(|last| last.parse::<u64>().is_ok()) {
        return Err(Fault::new(rule, "this is an IP address").help("write it in `endpoints`, with a port"));
    }
    if let Some((name, port)) = name.rsplit_once(':') {
        let fault = Fault::new(rule, "this has a port");
        return Err(fault.help(format!("write `name = \"{name}\"` and `port = {port}`")));
    }
    if !name.is_ascii() {
        return Err(Fault::new(rule, "not ASCII").help("write the name as DNS has it, beginning with `xn--`"));
    }
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let legal = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(letter) && !label.starts_with('-') && !label.ends_with('-')
    };
    if name.len() > 253 || !name.split('.').all(legal) {
        let fault = Fault::new(rule, "DNS has no such names");
        return Err(fault.help("write for example `\"optimizer.example\"`"));
    }
    Ok(lower.into())
}

/// A DNS server: an IP address, perhaps with a port.
pub(crate) fn resolver(text: &str) -> Result<SocketAddr, Fault> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, 53));
    }
    let rule = "a resolver is an IP address, with or without a port";
    socket(text, rule, ("10.0.0.2", 53), || "write its IP address, for example `\"10.0.0.2\"`".to_owned())
}

/// The address of a Consul agent's HTTP API.
pub(crate) fn agent_url(text: &str) -> Result<Box<str>, Fault> {
    let rule = "the address of a Consul agent is a URL";
    let fault = |label: &str| Err(Fault::new(rule, label).help("write for example `\"http://127.0.0.1:8500\"`"));
    let Some((scheme, rest)) = text.split_once("://") else {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        let near = if !text.is_empty() && text.bytes().all(plain) { text } else { "127.0.0.1:8500" };
        return Err(Fault::new(rule, "`http://` is missing").help(format!("write `\"http://{near}\"`")));
    };
    if scheme != "http" && scheme != "https" {
        return fault("neither `http` nor `https`");
    }
    // What is written is not repeated: it may be a password.
    if rest.contains(['@', '?', '#']) {
        return fault("takes no user, query or fragment");
    }
    let authority = rest.split('/').next().unwrap_or(rest);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !authority.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    if port.is_some_and(|port| !port.parse::<u16>().is_ok_and(|port| port != 0)) {
        return fault("a port is between 1 and 65535");
    }
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let legal = match bracketed {
        Some(ip) => ip.parse::<Ipv6Addr>().is_ok(),
        None => host.parse::<std::net::Ipv4Addr>().is_ok() || dns_name(host).is_ok(),
    };
    if !legal {
        return fault("no host can have this name");
    }
    visible_ascii(text, rule)?;
    Ok(text.into())
}

/// Where others reach something: an IP address or a name, perhaps with a port from 1.
pub(crate) fn advertised(text: &str) -> Result<Advertise, Fault> {
    let fault = |label: &str| {
        let rule = "an advertised address is an IP address or a name, perhaps with a port";
        Fault::new(rule, label).help("write for example `\"10.0.0.5\"` or `\"10.0.0.5:8080\"`")
    };
    let bare = |text: &str| text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text).to_owned();
    let (host, port) = match text.rsplit_once(':') {
        // Colons without a port behind them.
        _ if bare(text).parse::<IpAddr>().is_ok() => (text, None),
        Some((host, port)) => match port.parse::<NonZeroU16>() {
            Ok(port) => (host, Some(port)),
            Err(_) => return Err(fault("a port is between 1 and 65535")),
        },
        None => (text, None),
    };
    let ip = bare(host).parse::<IpAddr>();
    match ip {
        Ok(ip) if ip.is_unspecified() => Err(fault("nobody can connect to this address")),
        Ok(ip) => Ok(Advertise { host: ip.to_string().into(), port }),
        Err(_) => dns_name(host).map(|host| Advertise { host, port }).map_err(|_| fault("neither of the two")),
    }
}

/// Any text but none.
pub(crate) fn some_text(text: &str) -> Result<Box<str>, Fault> {
    if text.trim().is_empty() { Err(Fault::new("an empty text says nothing", "empty")) } else { Ok(text.into()) }
}

/// The name of an environment variable.
pub(crate) fn variable(text: &str) -> Result<Box<str>, Fault> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !text.is_empty() && text.bytes().all(legal) && !text.starts_with(|first: char| first.is_ascii_digit()) {
        return Ok(text.into());
    }
    let fault = Fault::new("an environment variable's name is letters, digits and `_`", "not of that form");
    Err(fault.help("write the name of the variable, never the token itself: `\"CONSUL_HTTP_TOKEN\"`"))
}

/// A path, relative to the folder that weir is started in.
pub(crate) fn path(text: &str) -> Result<PathBuf, Fault> {
    if text.is_empty() { Err(Fault::new("a path is not empty", "empty")) } else { Ok(PathBuf::from(text)) }
}

#[expect(clippy::ptr_arg, reason = "it shows the values of a key, which are owned")]
pub(crate) fn show_path(path: &PathBuf) -> String {
    path.display().to_string()
}

/// A network: `10.0.0.0/8`, or one address without a prefix.
pub(crate) fn network(text: &str) -> Result<IpNet, Fault> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.into());
    }
    let rule = "a network is an IP address, with or without `/` and a prefix length";
    match text.parse::<IpNet>() {
        Ok(network) if network.addr() == network.network() => Ok(network),
        Ok(network) => Err(Fault::new(
            "a network's address ends where its prefix does",
            format!("more than /{}", network.prefix_len()),
        )
        .help(format!("write `\"{}\"`, or `\"{}\"` for the one address", network.trunc(), network.addr()))),
        Err(_) if text.parse::<SocketAddr>().is_ok() => Err(Fault::new(rule, "this has a port")),
        Err(_) => Err(Fault::new(rule, "neither of them").help("write for example `\"10.0.0.0/8\"`")),
    }
}

/// A route's host in lower case: a name, `*.` and a name, or an IP address as it stands in a `Host` field.
pub(crate) fn host(text: &str) -> Result<Box<str>, Fault> {
    let rule = "a host is a name such as `example.org`, or `*.example.org` for all below it";
    let lower = text.to_ascii_lowercase();
    if let Some((_, rest)) = lower.split_once("://") {
        let name = rest.split(['/', ':']).next().unwrap_or(rest);
        return Err(Fault::new(rule, "this is a URL").help(format!("write `\"{name}\"`")));
    }
    if lower == "*" || lower.is_empty() || lower == "_" {
        return Err(Fault::new(rule, "no name").help("leave `host` out to take requests for every host"));
    }
    let bracketed = lower.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if bracketed.is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok()) {
        return Ok(lower.into());
    }
    if lower.parse::<Ipv6Addr>().is_ok() {
        return Err(Fault::new(rule, "IPv6 stands in brackets").help(format!("write `\"[{lower}]\"`")));
    }
    if let Some((name, port)) =
        lower.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
    {
        return Err(Fault::new(rule, format!("`:{port}` is a port"))
            .help(format!("write `\"{name}\"`: a host matches on every port")));
    }
    if let Some(name) = lower.strip_suffix('.') {
        return Err(Fault::new(rule, "ends with a dot").help(format!("write `\"{name}\"`")));
    }
    let name = lower.strip_prefix("*.").unwrap_or(&lower);
    if name.contains('*') {
        let fault = Fault::new(rule, "`*` stands only for the whole first part");
        let below = lower.rsplit_once('*').map_or("", |(_, rest)| rest.trim_start_matches(|letter| letter != '.'));
        let below = if below.len() > 1 { below } else { ".example.org" };
        return Err(fault.help(format!("write `\"*{below}\"`")));
    }
    if !name.is_ascii() {
        return Err(Fault::new(rule, "not ASCII").help("write the name as browsers send it, beginning with `xn--`"));
    }
    let legal = |label: &str| {
        let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte != b'-');
        (1..=63).contains(&label.len())
            && ends(label.bytes().next())
            && ends(label.bytes().last())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if let Some(first) = name.split([' ', ',', '\t']).find(|first| !first.is_empty() && first.len() < name.len()) {
        let help = format!("write `\"{first}\"`, and a `[[route]]` for each other one");
        return Err(Fault::new(rule, "more than one name").help(help));
    }
    if name.len() > 253 || !name.split('.').all(legal) {
        return Err(Fault::new(rule, "no host can have this name"));
    }
    Ok(lower.into())
}

/// The value of a probe's `Host` field.
pub(crate) fn probe_host(text: &str) -> Result<Box<str>, Fault> {
    let rule = "a probe's host is a name, with or without a port";
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'[' | b']');
    if text.is_empty() || !text.bytes().all(plain) {
        return Err(Fault::new(rule, "no `Host` field can hold this"));
    }
    Ok(text.into())
}

/// A service's name: short and plain, for it is a label of every metric.
pub(crate) fn service_name(text: &str) -> Result<Box<str>, Fault> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(plain) {
        return Ok(text.into());
    }
    let rule = format!("a service's name is 1 to {MAX_NAME} of the letters `a-z`, `A-Z`, `0-9`, `-`, `_` and `.`");
    if text.is_empty() {
        return Err(Fault::new(rule, "empty").help("write for example `\"optimizers\"`"));
    }
    let near = text.chars().map(|letter| if plain(letter.try_into().unwrap_or(b' ')) { letter } else { '-' });
    let label = if text.len() > MAX_NAME { "too long" } else { "not of that form" };
    Err(Fault::new(rule, label).help(format!("write `\"{}\"`", near.take(MAX_NAME).collect::<String>())))
}

/// As long as a DNS label, so that discovery can look a service up by its name.
const MAX_NAME: usize = 63;

/// Whether `text` is a token of HTTP, as field names and cookie names are.
pub(crate) fn is_token(text: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_lower_case_and_may_be_an_address() {
        assert_eq!(host("Example.ORG").as_deref(), Ok("example.org"));
        assert_eq!(host("*.Example.org").as_deref(), Ok("*.example.org"));
        assert_eq!(host("[::1]").as_deref(), Ok("[::1]"));
        assert_eq!(host("127.0.0.1").as_deref(), Ok("127.0.0.1"));
        assert!(host("a..b").is_err());
        assert!(host("-a").is_err());
        assert!(host("a.*.b").is_err());
    }
}
