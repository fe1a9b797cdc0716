//! From a host and a path to a route.
//!
//! In: the routes of a configuration. Out: [`RouteTable::find`]. Cost: no allocation; a hash look-up for the host (one
//! more for each of its labels where wildcards are configured) and a binary search among the host's paths.
//!
//! Hosts: exact before `*.example.org` (longest first; any depth below, not the name itself) before routes for any host.
//! Compared as lower-case ASCII, without the port and without a trailing dot. Paths: the longest prefix in bytes wins,
//! as nginx's `location /prefix`: `/img` takes `/img/a` and `/images`; write `/img/` for the folder alone. A route for
//! exactly one path comes before all prefixes of its host.
//! Unlike nginx, where the host alone chooses the server block, a host whose paths do not match leaves the request to
//! the less specific hosts: a route for one path of one host does not hide the routes for any host.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::{Budget, Pool, RoutePath, RouteSettings};

/// Requests for one host and path prefix, and the pool that serves them.
#[derive(Debug)]
pub struct Route {
    /// Host and path as configured, for labels: `/optimize`, or `img.example.org/optimize`.
    pub name: Arc<str>,
    /// `img.example.org`, `*.example.org`, or any host.
    pub host: Option<Box<str>>,
    /// Path prefix, starts with `/`.
    pub path: RoutePath,
    /// Whether [`Route::path`] is the whole path.
    pub exact: bool,
    /// The listeners, by their address as configured, whose requests it is for; empty for all.
    pub listeners: Box<[SocketAddr]>,
    /// Where its requests go.
    pub pool: Arc<Pool>,
    /// What is done with them.
    pub settings: RouteSettings,
    /// What its retries are paid from; outlasts reloads.
    pub budget: Arc<Budget>,
}

/// Finds the route of a request.
#[derive(Debug, Default)]
pub struct RouteTable {
    routes: Vec<Arc<Route>>,
    /// Of the routes for all listeners.
    hosts: Hosts,
    /// For each listener that a route names: its routes and those for all.
    by_listener: HashMap<SocketAddr, Hosts>,
}

impl RouteTable {
    /// A table of these routes; of two with one host and one path the first counts.
    pub fn new(routes: Vec<Arc<Route>>) -> Self {
        // Each once: a table is made for it, however many routes name it.
        let named: HashSet<SocketAddr> = routes.iter().flat_map(|route| &route.listeners).copied().collect();
        let of = |address: &SocketAddr| {
            // Those that name it come first, and so before a route for all with the same host and path.
            let own = routes.iter().filter(|route| route.listeners.contains(address));
            Hosts::new(own.chain(routes.iter().filter(|route| route.listeners.is_empty())))
        };
        let by_listener = named.into_iter().map(|address| (address, of(&address))).collect();
        let hosts = Hosts::new(routes.iter().filter(|route| route.listeners.is_empty()));
        Self { routes, hosts, by_listener }
    }

    /// All routes, in the order given.
    pub fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }

    /// The route for this host (as in the `Host` field, port and all; `None` when there is none) and this normalised
    /// path, among those for all listeners. A host longer than DNS allows, 255 bytes, is only found by routes for any
    /// host.
    pub fn find(&self, host: Option<&str>, path: &[u8]) -> Option<&Arc<Route>> {
        self.hosts.find(host, path)
    }

    /// As [`RouteTable::find`], among the routes of the listener that is configured with this address as well.
    pub fn find_on(&self, listener: SocketAddr, host: Option<&str>, path: &[u8]) -> Option<&Arc<Route>> {
        if self.by_listener.is_empty() {
            return self.hosts.find(host, path);
        }
        self.by_listener.get(&listener).unwrap_or(&self.hosts).find(host, path)
    }
}

/// The routes of one listener.
#[derive(Debug, Default)]
struct Hosts {
    exact: HashMap<Box<[u8]>, Paths>,
    /// By what follows the `*.`.
    wildcards: HashMap<Box<[u8]>, Paths>,
    any: Paths,
}

impl Hosts {
    fn new<'a>(routes: impl Iterator<Item = &'a Arc<Route>>) -> Self {
        let mut exact: HashMap<Box<[u8]>, Vec<Arc<Route>>> = HashMap::new();
        let mut wildcards = exact.clone();
        let mut any = Vec::new();
        for route in routes {
            let list = match route.host.as_deref().map(|host| (host, host.strip_prefix("*."))) {
                None => &mut any,
                Some((_, Some(suffix))) => wildcards.entry(owned(suffix)).or_default(),
                Some((host, None)) => exact.entry(owned(host)).or_default(),
            };
            list.push(Arc::clone(route));
        }
        let by_path = |lists: HashMap<_, _>| lists.into_iter().map(|(host, list)| (host, Paths::new(list))).collect();
        Self { exact: by_path(exact), wildcards: by_path(wildcards), any: Paths::new(any) }
    }

    fn find(&self, host: Option<&str>, path: &[u8]) -> Option<&Arc<Route>> {
        if !self.exact.is_empty() || !self.wildcards.is_empty() {
            let mut buffer = [0; LONGEST_HOST];
            if let Some(route) =
                host.and_then(|host| lower(host, &mut buffer)).and_then(|host| self.of_host(host, path))
            {
                return Some(route);
            }
        }
        self.any.find(path)
    }

    fn of_host(&self, host: &[u8], path: &[u8]) -> Option<&Arc<Route>> {
        if let Some(route) = self.exact.get(host).and_then(|paths| paths.find(path)) {
            return Some(route);
        }
        if self.wildcards.is_empty() {
            return None;
        }
        // Each dot but a leading one begins a suffix; the leftmost begins the longest.
        let suffixes = (1..host.len()).filter(|&at| host[at] == b'.').map(|at| &host[at + 1..]);
        suffixes.filter_map(|suffix| self.wildcards.get(suffix)).find_map(|paths| paths.find(path))
    }
}

/// The longest name in DNS; also what the lower-case copy of a host may take on the stack.
const LONGEST_HOST: usize = 255;

/// `host` without port and trailing dot.
fn bare(host: &str) -> &[u8] {
    let host = host.as_bytes();
    // The colons inside an IPv6 literal's brackets are no ports.
    let literal = host.iter().rposition(|&byte| byte == b']').unwrap_or(0);
    let name = host.iter().skip(literal).position(|&byte| byte == b':').map_or(host, |colon| &host[..literal + colon]);
    name.strip_suffix(b".").unwrap_or(name)
}

fn lower<'a>(host: &str, buffer: &'a mut [u8; LONGEST_HOST]) -> Option<&'a [u8]> {
    let host = bare(host);
    let copy = buffer.get_mut(..host.len())?;
    copy.copy_from_slice(host);
    copy.make_ascii_lowercase();
    Some(copy)
}

fn owned(host: &str) -> Box<[u8]> {
    bare(host).to_ascii_lowercase().into()
}

/// The routes of one host.
///
/// Prefixes ascend by path, each knowing the longest other one that is a prefix of its own. The longest prefix of a path P
/// sorts at or before P, and everything between the two starts with it: so it is the last entry not after P, or on that
/// entry's chain of prefixes.
#[derive(Debug, Default)]
struct Paths {
    exact: HashMap<Box<[u8]>, Arc<Route>>,
    prefixes: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    /// The route's, one pointer nearer: a search reads a dozen of them.
    path: Box<[u8]>,
    route: Arc<Route>,
    shorter: Option<usize>,
}

impl Paths {
    fn new(routes: Vec<Arc<Route>>) -> Self {
        let (whole, mut routes): (Vec<_>, Vec<_>) = routes.into_iter().partition(|route| route.exact);
        let mut exact = HashMap::new();
        for route in whole {
            exact.entry(route.path.plain().into()).or_insert(route);
        }
        // Both stable: the first of two equal paths stays.
        routes.sort_by(|a, b| a.path.plain().cmp(b.path.plain()));
        routes.dedup_by(|later, first| later.path.plain() == first.path.plain());
        let mut entries: Vec<Entry> = Vec::with_capacity(routes.len());
        for route in routes {
            let previous = entries.len().checked_sub(1);
            let path = Box::<[u8]>::from(route.path.plain());
            let shorter = Self::chain(&entries, previous, &path);
            entries.push(Entry { path, route, shorter });
        }
        Self { exact, prefixes: entries }
    }

    fn find(&self, path: &[u8]) -> Option<&Arc<Route>> {
        if !self.exact.is_empty()
            && let Some(route) = self.exact.get(path)
        {
            return Some(route);
        }
        let entries = &self.prefixes;
        let after = entries.partition_point(|entry| *entry.path <= *path);
        Self::chain(entries, after.checked_sub(1), path).and_then(|at| entries.get(at)).map(|entry| &entry.route)
    }

    /// The first on the chain from `at` that is a prefix of `path`.
    fn chain(entries: &[Entry], mut at: Option<usize>, path: &[u8]) -> Option<usize> {
        while let Some(entry) = at.and_then(|at| entries.get(at)) {
            if path.starts_with(&entry.path) {
                return at;
            }
            at = entry.shorter;
        }
        None
    }
}
