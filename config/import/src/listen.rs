//! `listen` and `server_name`: where requests come in, and for which hosts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::note::Notes;
use crate::tree::Directive;

/// One `listen`.
#[derive(Clone, Debug)]
pub(crate) struct Listen {
    /// Where weir listens: over TLS nginx would, so weir does on this machine alone, on another port.
    pub(crate) address: SocketAddr,
    pub(crate) tls: bool,
    pub(crate) is_default: bool,
    pub(crate) directive: Directive,
}

impl Listen {
    /// What nginx does for a server without a `listen`.
    pub(crate) fn everywhere(server: &Directive) -> Self {
        let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 80));
        Self { address, tls: false, is_default: false, directive: server.clone() }
    }
}

/// The port that nginx's clients connect to.
pub(crate) fn nginx_port(listen: &Listen) -> u16 {
    if listen.tls { tls_port_back(listen.address.port()) } else { listen.address.port() }
}

/// Where nginx speaks TLS on one port weir listens on another, so that what does speak TLS can have that.
fn tls_port(port: u16) -> u16 {
    if port < 1000 { port + 8000 } else { port.checked_add(10_000).unwrap_or(port - 10_000) }
}

fn tls_port_back(port: u16) -> u16 {
    match port {
        8000..=8999 => port - 8000,
        _ => port.checked_sub(10_000).unwrap_or(port),
    }
}

/// A `listen`, as far as weir can; `is_ssl` where the whole server is for TLS.
pub(crate) fn listens(directive: &Directive, is_ssl: bool, notes: &mut Notes) -> Vec<Listen> {
    let Some(first) = listen(directive, is_ssl, notes) else { return Vec::new() };
    // weir's `[::]` is for IPv6 alone, as nginx's is unless this is written.
    let both = first.address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        && first.directive.words.iter().any(|word| word == "ipv6only=off");
    let second = both
        .then(|| Listen { address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, first.address.port())), ..first.clone() });
    second.into_iter().chain([first]).collect()
}

fn listen(directive: &Directive, is_ssl: bool, notes: &mut Notes) -> Option<Listen> {
    let text = directive.word(0);
    let has = |word: &str| directive.words.iter().any(|other| other == word);
    if text.starts_with("unix:") {
        notes.lost(directive, "weir does not listen on Unix sockets");
        return None;
    }
    if has("proxy_protocol") {
        notes.lost(directive, "weir does not read the PROXY protocol yet: let the one in front send X-Forwarded-For");
        return None;
    }
    if has("quic") {
        notes.lost(directive, "weir does not speak HTTP/3");
        return None;
    }
    let Some(mut address) = address(text) else {
        notes.lost(directive, format!("`{text}` is no address that weir can listen on"));
        return None;
    };
    let tls = is_ssl || has("ssl");
    if tls {
        let port = address.port();
        address = SocketAddr::from((Ipv4Addr::LOCALHOST, tls_port(port)));
        notes.lost(
            directive,
            format!(
                "weir does not speak TLS yet: it listens in the clear on {address}, for this machine alone; put what speaks \
                 TLS on port {port} in front of it"
            ),
        );
    }
    if has("http2") && !tls {
        notes.lost(directive, "weir speaks HTTP/1.1 to clients");
    }
    for word in directive.words.iter().skip(1) {
        if !["default_server", "default", "ssl", "http2"].contains(&word.as_str()) && !word.starts_with("ipv6only=") {
            notes.unneeded(directive, format!("`{word}`: weir sets its sockets up itself"));
        }
    }
    let is_default = has("default_server") || has("default");
    Some(Listen { address, tls, is_default, directive: directive.clone() })
}

/// `80`, `*:80`, `127.0.0.1`, `localhost:8080`, `[::]:80`; port 80 when there is none.
fn address(text: &str) -> Option<SocketAddr> {
    let everywhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let (ip, port) = if let Some((ip, port)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let port = if port.is_empty() { 80 } else { port.strip_prefix(':')?.parse().ok()? };
        (IpAddr::V6(ip.parse::<Ipv6Addr>().ok()?), port)
    } else if let Ok(port) = text.parse::<u16>() {
        (everywhere, port)
    } else {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok()?),
            None => (text, 80),
        };
        let ip = match host {
            "*" => everywhere,
            "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            ip => IpAddr::V4(ip.parse::<Ipv4Addr>().ok()?),
        };
        (ip, port)
    };
    (port != 0).then(|| SocketAddr::new(ip, port))
}

/// Hosts as weir writes them, and the first name as nginx has it.
pub(crate) fn names(inside: &[Directive], notes: &mut Notes) -> (Vec<String>, String) {
    let (mut hosts, mut first): (Vec<String>, Option<String>) = (Vec::new(), None);
    let mut add = |host: String| {
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    };
    for directive in inside.iter().filter(|each| each.name == "server_name") {
        for name in &directive.words {
            let lower = name.to_ascii_lowercase();
            first.get_or_insert_with(|| lower.strip_prefix('.').unwrap_or(&lower).to_owned());
            match lower.as_str() {
                // Names that no request has, to say that there is none.
                "_" | "" | "-" | "--" => {}
                pattern if pattern.starts_with('~') => {
                    notes.lost(
                        directive,
                        format!("`{name}`: weir knows no patterns; write a `[[route]]` for each host"),
                    );
                }
                below if below.starts_with('.') && is_host(below.trim_start_matches('.')) => {
                    let bare = below.trim_start_matches('.');
                    add(bare.to_owned());
                    add(format!("*.{bare}"));
                }
                host if is_host(host.strip_prefix("*.").unwrap_or(host)) => add(host.to_owned()),
                _ => notes.lost(directive, format!("`{name}` is no host that weir knows: a name, or `*.` and a name")),
            }
        }
    }
    (hosts, first.unwrap_or_default())
}

/// As `host` of a route: labels of letters, digits, `-` and `_`.
fn is_host(text: &str) -> bool {
    let legal = |label: &str| {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&label.len()) && label.bytes().all(letter) && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 253 && text != "_" && text.split('.').all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_is_read_as_nginx_reads_it() {
        let of = |text: &str| address(text).map(|address| address.to_string());
        for (text, expected) in [
            ("80", "0.0.0.0:80"),
            ("*:8080", "0.0.0.0:8080"),
            ("127.0.0.1", "127.0.0.1:80"),
            ("localhost:81", "127.0.0.1:81"),
            ("[::]:80", "[::]:80"),
            ("[::1]", "[::1]:80"),
        ] {
            assert_eq!(of(text).as_deref(), Some(expected), "{text}");
        }
        for bad in ["", "0", "70000", "example.org:80", "[::", "[x]:80"] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
