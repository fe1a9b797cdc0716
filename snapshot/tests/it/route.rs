use std::sync::Arc;

use proptest::prelude::*;
use weir_snapshot::{Route, RouteTable};

use crate::support::route;

fn table(routes: &[(Option<&str>, &str)]) -> RouteTable {
    RouteTable::new(routes.iter().map(|&(host, path)| route(host, path)).collect())
}

fn find<'a>(table: &'a RouteTable, host: &str, path: &str) -> Option<&'a str> {
    table.find(Some(host), path.as_bytes()).map(|route| &*route.name)
}

#[test]
fn the_longest_path_prefix_wins() {
    let table = table(&[(None, "/"), (None, "/img"), (None, "/img/large"), (None, "/img/largest/b")]);
    assert_eq!(find(&table, "x", "/img/large/1"), Some("/img/large"));
    assert_eq!(find(&table, "x", "/img/largest/a"), Some("/img/large"));
    assert_eq!(find(&table, "x", "/img/largest/b"), Some("/img/largest/b"));
    assert_eq!(find(&table, "x", "/images"), Some("/"));
    assert_eq!(find(&table, "x", "/imgs"), Some("/img"));
}

#[test]
fn nothing_matches_a_path_that_no_route_begins() {
    let table = table(&[(None, "/optimize")]);
    assert_eq!(find(&table, "x", "/optimiz"), None);
    assert_eq!(find(&table, "x", ""), None);
    assert_eq!(find(&RouteTable::default(), "x", "/"), None);
}

#[test]
fn an_exact_host_goes_before_the_longest_wildcard_before_any_host() {
    let table =
        table(&[(None, "/"), (Some("*.org"), "/"), (Some("*.example.org"), "/"), (Some("img.example.org"), "/")]);
    assert_eq!(find(&table, "img.example.org", "/a"), Some("img.example.org/"));
    assert_eq!(find(&table, "a.b.example.org", "/a"), Some("*.example.org/"));
    assert_eq!(find(&table, "example.org", "/a"), Some("*.org/"));
    assert_eq!(find(&table, "org", "/a"), Some("/"));
    assert_eq!(table.find(None, b"/a").map(|route| &*route.name), Some("/"));
}

#[test]
fn a_host_is_compared_in_lower_case_without_port_and_trailing_dot() {
    let table = table(&[(Some("Img.Example.org"), "/"), (Some("*.EXAMPLE.net"), "/"), (Some("[::1]"), "/")]);
    for host in ["img.example.org", "IMG.example.ORG:8080", "img.example.org.", "img.example.org.:80"] {
        assert_eq!(find(&table, host, "/"), Some("Img.Example.org/"), "{host}");
    }
    assert_eq!(find(&table, "a.Example.Net.:1", "/"), Some("*.EXAMPLE.net/"));
    assert_eq!(find(&table, "[::1]:8080", "/"), Some("[::1]/"));
    assert_eq!(find(&table, "[::1]", "/"), Some("[::1]/"));
    assert_eq!(find(&table, "[::2]", "/"), None);
}

#[test]
fn a_host_without_a_matching_path_leaves_the_request_to_less_specific_hosts() {
    let table = table(&[(Some("img.example.org"), "/only"), (Some("*.example.org"), "/wild"), (None, "/")]);
    assert_eq!(find(&table, "img.example.org", "/only/1"), Some("img.example.org/only"));
    assert_eq!(find(&table, "img.example.org", "/wild/1"), Some("*.example.org/wild"));
    assert_eq!(find(&table, "img.example.org", "/else"), Some("/"));
}

#[test]
fn hosts_that_are_no_names_match_routes_for_any_host_only() {
    let table = table(&[(Some("*.example.org"), "/"), (None, "/")]);
    let long = format!("{}.example.org", "a.".repeat(200));
    for host in ["", ".", ":", "]", "]:", "..", ".example.org", "\u{e9}", &long] {
        assert_eq!(find(&table, host, "/"), Some("/"), "{host}");
    }
}

#[test]
fn of_two_equal_routes_the_first_counts() {
    let routes = vec![route(Some("a"), "/x"), route(Some("A"), "/x")];
    let table = RouteTable::new(routes);
    assert_eq!(find(&table, "a", "/x"), Some("a/x"));
    assert_eq!(table.routes().len(), 2);
}

/// The rule as it is told, looked up the long way.
fn naive<'a>(routes: &'a [Arc<Route>], host: &str, path: &str) -> Option<&'a Arc<Route>> {
    let rank = |route: &Route| match route.host.as_deref() {
        None => Some(0),
        Some(pattern) => match pattern.strip_prefix('*') {
            Some(suffix) => (host.ends_with(suffix) && host.len() > suffix.len()).then_some(suffix.len()),
            None => (pattern == host).then_some(usize::MAX),
        },
    };
    let matching = routes.iter().filter(|route| path.as_bytes().starts_with(route.path.plain()));
    let ranked = matching.filter_map(|route| Some(((rank(route)?, route.path.plain().len()), route)));
    ranked.rev().max_by_key(|&(rank, _)| rank).map(|(_, route)| route)
}

proptest! {
    #[test]
    fn a_table_finds_what_a_naive_search_finds(
        routes in prop::collection::vec((prop::option::of("(\\*\\.)?[ab](\\.[ab]){0,2}"), "/[ab/]{0,4}"), 0..20),
        asks in prop::collection::vec(("[ab](\\.[ab]){0,3}", "/[ab/]{0,6}"), 1..20),
    ) {
        let routes: Vec<_> = routes.iter().map(|(host, path)| route(host.as_deref(), path)).collect();
        let table = RouteTable::new(routes.clone());
        for (host, path) in asks {
            let expected = naive(&routes, &host, &path);
            let found = table.find(Some(&host), path.as_bytes());
            prop_assert_eq!(found.map(Arc::as_ptr), expected.map(Arc::as_ptr), "{} {}", host, path);
        }
    }

    #[test]
    fn no_host_and_no_path_is_too_strange_to_look_up(host in ".{0,300}", path in prop::collection::vec(any::<u8>(), 0..50)) {
        let table = table(&[(Some("a.b"), "/"), (Some("*.b"), "/"), (Some("[::1]"), "/")]);
        table.find(Some(&host), &path);
    }
}
