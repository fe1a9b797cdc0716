//! Endpoints from DNS: a real Knot whose zone is edited, killed and brought back while clients are served.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};

use weir_testkit::{Endpoint, Knot, Raw, Reply, Weir, eventually};

use crate::discovery::{named, ready, start, toml, wait_for_names};
use crate::support::{WEIR, ask, wait_for_words};

/// A source that asks this server about `name`; `more` is added to the table.
fn source(knot: &Knot, name: &str, more: &str) -> String {
    format!("dns = {{ name = \"{name}\", {more}, resolvers = [\"{}\"] }}", knot.address())
}

/// A record of the kind SRV at `_http._tcp`, which leads to this endpoint.
fn record(priority: u16, weight: u16, endpoint: &Endpoint) -> String {
    format!("_http._tcp 1 SRV {priority} {weight} {} host", endpoint.address().port())
}

/// An endpoint that says who it is, at the port of another one.
fn beside(other: &Endpoint, ip: [u8; 4], name: &'static str) -> Endpoint {
    let address = SocketAddr::new(IpAddr::from(ip), other.address().port());
    Endpoint::start_at(address, move |_| Reply::new(200).body(name).into())
}

/// Asks over one connection all the while, and gives how many were answered; panics when one was not answered 200.
fn while_clients_ask(weir: &Weir, happens: impl FnOnce()) -> usize {
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut client = Raw::connect(weir.address());
            let mut answers = 0;
            while !over.load(Ordering::SeqCst) {
                client.extend(weir_testkit::PATIENCE);
                let answer = ask(&mut client, "GET / HTTP/1.1\r\nHost: weir.test\r\n\r\n");
                assert_eq!(answer.status, 200, "{}", answer.text());
                answers += 1;
            }
            answers
        });
        // Also when what happens fails, for the scope waits for the client.
        let over = Over(&over);
        happens();
        drop(over);
        asking.join().unwrap()
    })
}

/// Who answered how many of `count` requests.
fn shares(weir: &Weir, count: usize) -> BTreeMap<String, usize> {
    let mut seen = BTreeMap::new();
    for _ in 0..count {
        *seen.entry(Raw::get(weir.address(), "/").text()).or_default() += 1;
    }
    seen
}

fn counts<const N: usize>(names: [(&str, usize); N]) -> BTreeMap<String, usize> {
    names.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

/// The records hold for a second. Without regard to that they would be looked at again after a minute, long after a test
/// has lost its patience.
#[test]
fn an_address_that_a_zone_gains_or_loses_is_followed_while_clients_ask() {
    let Some(knot) = Knot::start("shop 1 A 127.0.0.1") else { return };
    let a = named("a");
    let b = beside(&a, [127, 0, 0, 2], "b");
    let port = format!("port = {}", a.address().port());
    let weir = start(&source(&knot, "shop.weir.test.", &port));
    assert_eq!(ready(&weir), (200, "ready\n".to_owned()));
    let answers = while_clients_ask(&weir, || {
        wait_for_names(&weir, &["a"]);
        knot.edit(&["set shop 1 A 127.0.0.2"]);
        wait_for_names(&weir, &["a", "b"]);
        knot.edit(&["unset shop A 127.0.0.1"]);
        // Not by who answers, which another client has a say in.
        weir.wait_for_metric("weir_endpoint_up", &[("endpoint", &a.address().to_string())], |up| up < 1.0);
    });
    assert!(answers > 0);
    let gone = a.seen().requests.len();
    assert_eq!(shares(&weir, 8), counts([("b", 8)]));
    assert_eq!(a.seen().requests.len(), gone);
    drop(b);
}

#[test]
fn a_dead_server_leaves_the_last_good_addresses_is_told_of_and_is_followed_again_when_it_is_back() {
    let Some(mut knot) = Knot::start("shop 1 A 127.0.0.1") else { return };
    let a = named("a");
    let _b = beside(&a, [127, 0, 0, 2], "b");
    let port = a.address().port();
    let weir = start(&source(&knot, "shop.weir.test.", &format!("port = {port}")));
    let name = format!("dns shop.weir.test.:{port}");
    let labels = [("service", "s"), ("source", name.as_str())];
    while_clients_ask(&weir, || {
        weir.wait_for_metric("weir_discovery_up", &labels, |up| up >= 1.0);
        knot.process().kill();
        // Twice, so that it was asked again since.
        weir.wait_for_metric("weir_discovery_failures_total", &labels, |count| count >= 2.0);
        assert!(weir.metric("weir_discovery_up", &labels) < 1.0);
        assert!((weir.metric("weir_discovery_endpoints", &labels) - 1.0).abs() < f64::EPSILON);
        wait_for_words(&weir, "the source does not answer, the last good endpoints stay");
        wait_for_words(&weir, "no answer about `shop.weir.test` (");
        wait_for_words(&weir, &format!("`{}` ", knot.address()));
        let (code, text) = ready(&weir);
        assert!(
            code == 200 && text.starts_with(&format!("ready (degraded)\nservice `s`, {name}: no answer")),
            "{text}"
        );
        wait_for_names(&weir, &["a"]);

        knot.restart();
        weir.wait_for_metric("weir_discovery_up", &labels, |up| up >= 1.0);
        knot.edit(&["set shop 1 A 127.0.0.2"]);
        wait_for_names(&weir, &["a", "b"]);
        assert_eq!(ready(&weir), (200, "ready\n".to_owned()));
    });
}

#[test]
fn weights_of_service_records_are_shares_of_the_requests_and_an_edit_of_them_is_followed() {
    let (a, b) = (named("a"), named("b"));
    let zone = format!("host A 127.0.0.1\n{}\n{}", record(0, 30, &a), record(0, 10, &b));
    let Some(knot) = Knot::start(&zone) else { return };
    let services = toml(&source(&knot, "_http._tcp.weir.test.", "type = \"SRV\""));
    let weir = Weir::start(WEIR, &services.replace("least-connections", "weighted"));
    // Whole turns of the schedule, wherever they begin.
    assert_eq!(shares(&weir, 40), counts([("a", 30), ("b", 10)]));
    knot.edit(&["unset _http._tcp SRV", &format!("set {}", record(0, 10, &a)), &format!("set {}", record(0, 40, &b))]);
    eventually("the new weights hold", || shares(&weir, 50) == counts([("a", 10), ("b", 40)]));
}

#[test]
fn a_higher_priority_number_serves_only_when_nobody_of_a_lower_one_can() {
    let (mut a, mut b, c, better) = (named("a"), named("b"), named("c"), named("better"));
    let records = [record(10, 1, &a), record(20, 1000, &b), record(30, 1, &c)].join("\n");
    let Some(knot) = Knot::start(&format!("host A 127.0.0.1\n{records}")) else { return };
    let weir = start(&source(&knot, "_http._tcp.weir.test.", "type = \"SRV\""));
    while_clients_ask(&weir, || {
        assert_eq!(shares(&weir, 8), counts([("a", 8)]));
        a.stop();
        wait_for_names(&weir, &["b"]);
        b.stop();
        wait_for_names(&weir, &["c"]);
        knot.edit(&[&format!("set {}", record(5, 1, &better))]);
        wait_for_names(&weir, &["better"]);
    });
}

/// The names of the system; every one knows this name.
#[test]
fn an_endpoint_that_is_written_by_name_is_looked_up() {
    let a = named("a");
    let name = format!("localhost:{}", a.address().port());
    let weir = start(&format!("endpoints = [{{ address = \"{name}\", weight = 2 }}]"));
    wait_for_names(&weir, &["a"]);
    let source = format!("dns {name}");
    weir.wait_for_metric("weir_discovery_endpoints", &[("source", &source)], |count| count >= 1.0);
}

#[test]
fn a_name_that_resolves_to_nothing_is_not_ready_and_is_told_with_what_to_check() {
    let a = named("a");
    let Some(knot) = Knot::start("text 1 TXT hi\nhost A 127.0.0.1") else { return };
    let port = format!("port = {}", a.address().port());
    for (name, more, words) in [
        ("shop.weir.test.", &*port, "`shop.weir.test.` does not exist, say the resolvers: check how it is written"),
        ("text.weir.test.", &*port, "`text.weir.test.` exists, but it has no A or AAAA record"),
        ("host.weir.test.", "type = \"SRV\"", "it has no SRV record: ask for its addresses, with a port"),
    ] {
        let weir = start(&source(&knot, name, more));
        wait_for_words(&weir, words);
        let (code, text) = ready(&weir);
        assert!(code == 503 && text.contains("`s` has never had an endpoint") && text.contains(words), "{code} {text}");
        assert_eq!(Raw::get(weir.address(), "/").status, 503);
        if name.starts_with("shop") {
            knot.edit(&["set shop 1 A 127.0.0.1"]);
            wait_for_names(&weir, &["a"]);
            assert_eq!(ready(&weir), (200, "ready\n".to_owned()));
        }
    }
}
