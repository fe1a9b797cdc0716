//! Names and addresses written as text: sockets, networks, host names, paths, header names.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::path::PathBuf;

use ipnet::IpNet;

use crate::Advertise;
use crate::sink::Fault;

/// `ip:port`; `what` is the thing that has the address, `ip` and `port` what to show in advice, and `named` the advice
/// for a name in place of an IP address.
fn socket(text: &str, what: &str, (ip, port): (&str, u16), named: impl Fn() -> String) -> Result<SocketAddr, Fault> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let rule = format!("{what} is an IP address and a port");
    let fault = |label: &str, help: String| Err(Fault::new(&*rule, label).help(help));
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
        Ok(IpAddr::V6(ip)) => {
            return fault("the port is missing", format!("IPv6 stands in brackets, for example `\"[{ip}]:{port}\"`"));
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
        (name, Err(_)) if is_ip(name) => return Err(Fault::new(rule, "a port is between 0 and 65535")),
        _ => {}
    }
    let host = if text.contains(':') { name } else { text };
    if host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return fault("no IP address", example);
    }
    fault("this is a name", named())
}

/// Where to listen: `ip:port`, port 0 for a free one.
pub(crate) fn listener_address(text: &str) -> Result<SocketAddr, Fault> {
    socket(text, "a listener's address", ("0.0.0.0", 8080), || {
        "listen on an IP address: `0.0.0.0` for all, `127.0.0.1` for this machine only".to_owned()
    })
}

/// Where metrics and health are served: as [`listener_address`], and on this machine only.
pub(crate) fn admin_address(text: &str) -> Result<SocketAddr, Fault> {
    socket(text, "the admin address", ("127.0.0.1", 9090), || "write `\"127.0.0.1:9090\"`".to_owned())
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
    let named = text.rsplit_once(':').and_then(|(name, port)| Some((dns_name(name).ok()?, port.parse::<u16>().ok()?)));
    let no_port = || Fault::new("an endpoint's port is between 1 and 65535", "no connection can be opened to port 0");
    if let Some((name, port)) = named {
        return Ok(Place::Name(name, NonZeroU16::new(port).ok_or_else(no_port)?));
    }
    let address = socket(text, "an endpoint", ("127.0.0.1", 3001), || match text.rsplit_once(':') {
        Some(_) => "write an IP address or a name of DNS, and a port: `\"optimizer.example:3001\"`".to_owned(),
        None => format!("write the port too, for example `\"{text}:3001\"`"),
    })?;
    if address.port() == 0 { Err(no_port()) } else { Ok(Place::Socket(address)) }
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
        return Err(Fault::new(rule, "DNS has no such names"));
    }
    Ok(lower.into())
}

/// A DNS server: an IP address, perhaps with a port.
pub(crate) fn resolver(text: &str) -> Result<SocketAddr, Fault> {
    match text.parse::<IpAddr>() {
        Ok(ip) => Ok(SocketAddr::new(ip, 53)),
        Err(_) => socket(text, "a resolver", ("10.0.0.2", 53), || "write its IP address".to_owned()),
    }
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
        Some(ip) => ip.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.parse::<std::net::Ipv4Addr>().is_ok() || dns_name(host).is_ok(),
    };
    if !legal {
        return fault("no host can have this name");
    }
    visible_ascii(text).map_err(|label| Fault::new(rule, label))?;
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
    if bracketed.is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok()) {
        return Ok(lower.into());
    }
    if lower.parse::<std::net::Ipv6Addr>().is_ok() {
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
        return Err(Fault::new(rule, "`*` stands only for the whole first part"));
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
    if name.len() > 253 || !name.split('.').all(legal) {
        return Err(Fault::new(rule, "no host can have this name"));
    }
    Ok(lower.into())
}

/// A route's path prefix: normal form, as requests are brought into it before they are matched.
pub(crate) fn route_path(text: &str) -> Result<Box<str>, Fault> {
    let rule = "a route's path is a prefix that begins with `/`";
    if !text.starts_with('/') {
        let fault = Fault::new(rule, "does not begin with `/`");
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'/' | b'.');
        let help = match text {
            "" => "write `\"/\"`, or leave `path` out".to_owned(),
            plain_text if plain_text.bytes().all(plain) => format!("write `\"/{text}\"`"),
            _ => "modifiers and patterns are not known: the longest prefix wins".to_owned(),
        };
        return Err(fault.help(help));
    }
    if let Some(at) = text.find(['?', '#']) {
        let path = text.get(..at).unwrap_or_default();
        return Err(Fault::new(rule, "only the path is matched, never the query").help(format!("write `\"{path}\"`")));
    }
    if text.ends_with('*') {
        let path = text.trim_end_matches('*');
        return Err(
            Fault::new(rule, "`*` stands for itself: a path is a prefix anyway").help(format!("write `\"{path}\"`"))
        );
    }
    visible_ascii(text).map_err(|label| Fault::new(rule, label))?;
    let normal = normal_path(text);
    if normal != text {
        let label = "never matches: requests are normalised first";
        return Err(Fault::new(rule, label).help(format!("write `\"{normal}\"`")));
    }
    Ok(text.into())
}

/// Without empty, `.` and `..` segments.
fn normal_path(text: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in text.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            other => kept.push(other),
        }
    }
    let open = matches!(text.rsplit('/').next(), Some("" | "." | "..")) && !kept.is_empty();
    format!("/{}{}", kept.join("/"), if open { "/" } else { "" })
}

/// A request target for probes: a path, perhaps with a query.
pub(crate) fn probe_path(text: &str) -> Result<Box<str>, Fault> {
    let rule = "a probe's path begins with `/`";
    if !text.starts_with('/') {
        return Err(Fault::new(rule, "does not begin with `/`"));
    }
    if text.contains('#') {
        return Err(Fault::new(rule, "a fragment is never sent"));
    }
    visible_ascii(text).map_err(|label| Fault::new(rule, label))?;
    Ok(text.into())
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

fn visible_ascii(text: &str) -> Result<(), &'static str> {
    if !text.is_ascii() {
        return Err("not ASCII: write such letters as `%` and two hex digits for each byte");
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("a blank is written `%20`");
    }
    let mut escapes = text.split('%').skip(1);
    let legal = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if escapes.all(legal) { Ok(()) } else { Err("`%` is followed by two hex digits") }
}

/// A service's name: short and plain, for it is a label of every metric.
pub(crate) fn service_name(text: &str) -> Result<Box<str>, Fault> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(plain) {
        return Ok(text.into());
    }
    let rule = format!("a service's name is 1 to {MAX_NAME} of the letters `a-z`, `A-Z`, `0-9`, `-`, `_` and `.`");
    Err(Fault::new(rule, if text.is_empty() { "empty" } else { "not of that form" }))
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
    fn a_path_is_brought_into_the_form_that_requests_have() {
        assert_eq!(normal_path("/a//b/./c/../d"), "/a/b/d");
        assert_eq!(normal_path("/a/.."), "/");
        assert_eq!(normal_path("/a/b/.."), "/a/");
        assert_eq!(normal_path("/a/"), "/a/");
    }

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
