//! Who the client is, and what the endpoint is told about it.
//!
//! `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host` and `Forwarded` (RFC 7239) are believed only from trusted
//! proxies: theirs are appended to, everybody else's are replaced.

use std::net::{IpAddr, SocketAddr};

use bytes::BytesMut;
use weir_snapshot::{FieldEdits, TrustedProxies};

use crate::head::{Head, Kind, list};

/// The client of one exchange.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    /// Who opened the connection.
    pub(crate) peer: SocketAddr,
    /// The client itself: the peer, or whom trusted proxies name.
    pub(crate) address: IpAddr,
    /// Whether the peer is a trusted proxy.
    pub(crate) peer_is_trusted: bool,
}

impl Client {
    /// Reads the client from the peer and, if that is trusted, from what it forwards.
    pub(crate) fn of(peer: SocketAddr, head: &Head, trusted: &TrustedProxies) -> Self {
        let is_trusted = |address: IpAddr| trusted.0.iter().any(|network| network.contains(&address.to_canonical()));
        let direct = peer.ip().to_canonical();
        if !is_trusted(direct) {
            return Self { peer, address: direct, peer_is_trusted: false };
        }
        let mut named: Vec<Option<IpAddr>> = head.values(Kind::ForwardedFor).flat_map(list).map(address_of).collect();
        if named.is_empty() {
            named = head
                .values(Kind::Forwarded)
                .flat_map(list)
                .map(|element| for_of(element).and_then(address_of))
                .collect();
        }
        // From the right: each trusted proxy vouches for the one before it; the first that is not one is the client.
        // A name we cannot read ends the walk at the proxy that wrote it.
        let mut address = direct;
        for hop in named.into_iter().rev() {
            let Some(hop) = hop else { break };
            address = hop.to_canonical();
            if !is_trusted(address) {
                break;
            }
        }
        Self { peer, address, peer_is_trusted: true }
    }

    /// The chain of `X-Forwarded-For`: what a trusted peer says, and the peer.
    pub(crate) fn chain(&self, head: &Head) -> Vec<u8> {
        let mut chain = Vec::new();
        self.put_chain(head, &self.peer.ip().to_canonical().to_string(), &mut |bytes| chain.extend_from_slice(bytes));
        chain
    }

    fn put_chain(&self, head: &Head, peer: &str, put: &mut impl FnMut(&[u8])) {
        if let Some(earlier) = self.earlier(head, Kind::ForwardedFor) {
            put(&earlier);
            put(b", ");
        }
        put(peer.as_bytes());
    }

    /// What the peer says, if it is trusted.
    fn earlier(&self, head: &Head, kind: Kind) -> Option<Vec<u8>> {
        if self.peer_is_trusted { joined(head, kind) } else { None }
    }

    /// Appends the four forwarding fields to a request head that is being written, but for those that the route sets or
    /// takes out itself.
    pub(crate) fn describe(&self, head: &Head, touched: Option<&FieldEdits>, out: &mut BytesMut) {
        let mut put = |bytes: &[u8]| out.extend_from_slice(bytes);
        let peer = self.peer.ip().to_canonical().to_string();
        let passes = |name: &[u8]| touched.is_none_or(|edits| !edits.touches(name));
        if passes(b"X-Forwarded-For") {
            put(b"X-Forwarded-For: ");
            self.put_chain(head, &peer, &mut put);
            put(b"\r\n");
        }
        if passes(b"X-Forwarded-Proto") {
            put(b"X-Forwarded-Proto: ");
            match self.earlier(head, Kind::ForwardedProto) {
                Some(earlier) => put(&earlier),
                None => put(b"http"),
            }
            put(b"\r\n");
        }
        let earlier_host = self.earlier(head, Kind::ForwardedHost);
        if let Some(host) = earlier_host.as_deref().or(head.host().map(str::as_bytes))
            && passes(b"X-Forwarded-Host")
        {
            put(b"X-Forwarded-Host: ");
            put(host);
            put(b"\r\n");
        }
        if !passes(b"Forwarded") {
            return;
        }
        put(b"Forwarded: ");
        if let Some(earlier) = self.earlier(head, Kind::Forwarded) {
            put(&earlier);
            put(b", ");
        }
        // RFC 7239 §6: an IPv6 address is bracketed, and quoted because of its colons; so is a host with a port.
        if self.peer.ip().to_canonical().is_ipv6() {
            for part in ["for=\"[", &peer, "]\""] {
                put(part.as_bytes());
            }
        } else {
            put(b"for=");
            put(peer.as_bytes());
        }
        if let Some(host) = head.host() {
            for part in [";host=\"", host, "\""] {
                put(part.as_bytes());
            }
        }
        put(b";proto=http\r\n");
    }
}

/// All values of a field as one list; `None` without any.
fn joined(head: &Head, kind: Kind) -> Option<Vec<u8>> {
    let values: Vec<&[u8]> = head.values(kind).filter(|value| !value.is_empty()).collect();
    (!values.is_empty()).then(|| values.join(&b", "[..]))
}

/// `192.0.2.1`, `192.0.2.1:443`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:443`, quoted or not.
fn address_of(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim_matches('"');
    text.parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
}

/// The `for` parameter of one `Forwarded` element.
fn for_of(element: &[u8]) -> Option<&[u8]> {
    element.split(|&byte| byte == b';').map(<[u8]>::trim_ascii).find_map(|pair| {
        let (name, value) = pair.split_at_checked(4)?;
        name.eq_ignore_ascii_case(b"for=").then_some(value)
    })
}
