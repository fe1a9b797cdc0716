//! What the system says about names: `resolv.conf` and `hosts`. Pure.
//!
//! In: their text. Out: resolvers, a search list, names that need no resolver. Cost: one pass.
//! Source: resolv.conf(5), hosts(5). What is not understood is left out, as the C library does.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use super::name::DomainName;

/// The port of DNS.
const PORT: u16 = 53;
/// More dots than this a name need not have: resolv.conf(5).
const MOST_NDOTS: usize = 15;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResolvConf {
    pub(crate) resolvers: Vec<SocketAddr>,
    pub(crate) search: Vec<DomainName>,
    /// With at least this many dots in it, a name is tried as it is before anything is appended to it.
    pub(crate) ndots: usize,
}

impl ResolvConf {
    pub(crate) fn parse(text: &str) -> Self {
        let mut conf = Self { resolvers: Vec::new(), search: Vec::new(), ndots: 1 };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                // A scope (`fe80::1%eth0`) is not kept: such a resolver is reached only where there is one link.
                Some("nameserver") => conf.resolvers.extend(
                    words
                        .next()
                        .and_then(|word| word.split('%').next()?.parse::<IpAddr>().ok())
                        .map(|ip| SocketAddr::new(ip, PORT)),
                ),
                // The last line of the two counts.
                Some("search" | "domain") => conf.search = words.filter_map(|word| word.parse().ok()).collect(),
                Some("options") => {
                    let ndots = words.filter_map(|word| word.strip_prefix("ndots:")?.parse::<usize>().ok()).next_back();
                    conf.ndots = ndots.map_or(conf.ndots, |ndots| ndots.min(MOST_NDOTS));
                }
                _ => {}
            }
        }
        conf
    }
}

/// Names in lower case, with their addresses.
pub(crate) fn hosts(text: &str) -> HashMap<String, Vec<IpAddr>> {
    let mut hosts: HashMap<String, Vec<IpAddr>> = HashMap::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(ip) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
        for name in words {
            let addresses = hosts.entry(name.trim_end_matches('.').to_ascii_lowercase()).or_default();
            if !addresses.contains(&ip) {
                addresses.push(ip);
            }
        }
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_s_resolv_conf_gives_resolver_search_list_and_dots() {
        let conf = ResolvConf::parse(
            "# made by the kubelet\nnameserver 10.96.0.10\nnameserver fe80::1%eth0\nnameserver what\n\
             search default.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5 edns0\n",
        );
        assert_eq!(conf.resolvers, ["10.96.0.10:53".parse().unwrap(), "[fe80::1]:53".parse::<SocketAddr>().unwrap()]);
        let search: Vec<_> = conf.search.iter().map(ToString::to_string).collect();
        assert_eq!(search, ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"]);
        assert_eq!(conf.ndots, 5);
    }

    #[test]
    fn an_empty_resolv_conf_names_nobody() {
        assert_eq!(ResolvConf::parse(""), ResolvConf { resolvers: Vec::new(), search: Vec::new(), ndots: 1 });
    }

    #[test]
    fn hosts_has_several_names_per_line_and_several_lines_per_name() {
        let hosts = hosts("127.0.0.1 localhost Shop.example # mine\n::1 localhost ip6-loopback\nnonsense here\n");
        assert_eq!(hosts["localhost"], ["127.0.0.1".parse::<IpAddr>().unwrap(), "::1".parse().unwrap()]);
        assert_eq!(hosts["shop.example"], ["127.0.0.1".parse::<IpAddr>().unwrap()]);
        assert!(!hosts.contains_key("here"));
    }
}
