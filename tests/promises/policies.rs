//! Who gets which request, seen from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use weir_testkit::{Endpoint, Gate, Plan, Raw, Reply, Weir, eventually};

use crate::support::{Setup, ask, get, post};

/// An endpoint that says its name in each answer.
fn named(name: &str) -> Endpoint {
    Endpoint::replying(Reply::new(200).header("X-Endpoint", name))
}

/// Who answered each of these requests, sent over one connection.
fn answerers<R: AsRef<[u8]>>(weir: &Weir, requests: impl IntoIterator<Item = R>) -> Vec<String> {
    let mut client = Raw::connect_within(weir.address(), Duration::from_mins(1));
    requests
        .into_iter()
        .map(|request| {
            let answer = ask(&mut client, request);
            assert_eq!(answer.status, 200, "{}", answer.text());
            answer.field("x-endpoint").unwrap().to_owned()
        })
        .collect()
}

fn count(names: &[String]) -> BTreeMap<&str, usize> {
    names.iter().fold(BTreeMap::new(), |mut all, name| {
        *all.entry(name.as_str()).or_default() += 1;
        all
    })
}

#[test]
fn weights_of_4_2_and_1_give_exactly_4_2_and_1_in_each_cycle() {
    let endpoints = ["a", "b", "c"].map(named);
    let [heavy, middle, light] = endpoints.each_ref().map(Endpoint::address);
    let list =
        format!("{{ address = \"{heavy}\", weight = 4 }}, {{ address = \"{middle}\", weight = 2 }}, \"{light}\"");
    let weir = Setup::of(&[]).policy("weighted").endpoints(&list).start();
    let names = answerers(&weir, (0..70).map(|_| get("/")));
    for cycle in names.chunks(7) {
        assert_eq!(count(cycle), BTreeMap::from([("a", 4), ("b", 2), ("c", 1)]), "{cycle:?}");
    }
}

#[test]
fn round_robin_gives_each_endpoint_one_request_in_turn() {
    let [a, b, c] = ["a", "b", "c"].map(named);
    let weir = Setup::before(&[&a, &b, &c]).start();
    let names = answerers(&weir, (0..30).map(|_| get("/")));
    assert!(names.chunks(3).all(|turn| turn == &names[..3]), "{names:?}");
    assert_eq!(count(&names).len(), 3);
}

#[test]
fn an_endpoint_that_is_drained_gets_nothing() {
    let [a, b] = ["a", "b"].map(named);
    let (x, y) = (a.address(), b.address());
    for policy in ["round-robin", "weighted", "least-connections", "p2c", "random", "peak-ewma", "ip-hash"] {
        let list = format!("\"{x}\", {{ address = \"{y}\", drain = true }}");
        let weir = Setup::of(&[]).policy(policy).endpoints(&list).start();
        let names = answerers(&weir, (0..20).map(|_| get("/")));
        assert_eq!(count(&names), BTreeMap::from([("a", 20)]), "{policy}");
    }
    assert_eq!(b.seen().accepted, 0);
}

fn sends_nothing_more_to_an_endpoint_that_is_still_busy_while_another_is_free(policy: &str) {
    let gate = Gate::closed();
    let door = gate.clone();
    let slow = Endpoint::start(move |_| Plan::new().wait(&door).reply(Reply::new(200).header("X-Endpoint", "slow")));
    let fast = named("fast");
    let weir = Setup::before(&[&slow, &fast]).policy(policy).start();
    let label = fast.address().to_string();
    let mut held = None;
    let mut others = 0;
    for _ in 0..20 {
        let mut client = Raw::connect(weir.address());
        let before = fast.requests().len();
        let total = slow.requests().len() + before + 1;
        client.write(get("/"));
        eventually("the request arrives", || slow.requests().len() + fast.requests().len() >= total);
        if fast.requests().len() > before {
            assert_eq!(client.response().field("x-endpoint"), Some("fast"));
            // Until its lease is back, both have one.
            weir.wait_for_metric("weir_in_flight", &[("endpoint", &label)], |count| count < 1.0);
            others += 1;
        } else {
            assert!(held.replace(client).is_none(), "the slow endpoint got a second request");
        }
    }
    gate.open();
    assert_eq!(held.unwrap().response().field("x-endpoint"), Some("slow"));
    assert_eq!(others, 19);
}

#[test]
fn least_connections_sends_nothing_more_to_an_endpoint_that_is_still_busy_while_another_is_free() {
    sends_nothing_more_to_an_endpoint_that_is_still_busy_while_another_is_free("least-connections");
}

#[test]
fn of_two_choices_the_one_that_is_still_busy_gets_nothing_while_the_other_is_free() {
    sends_nothing_more_to_an_endpoint_that_is_still_busy_while_another_is_free("p2c");
}

#[test]
fn peak_ewma_asks_a_slow_endpoint_once_and_then_prefers_the_fast_ones() {
    let slow = Endpoint::start(|_| {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Endpoint: slow\r\n\r\n";
        Plan::new().trickle(answer, answer.len(), Duration::from_millis(500))
    });
    let fast = ["a", "b"].map(named);
    let weir = Setup::before(&[&slow, &fast[0], &fast[1]]).policy("peak-ewma").start();
    let names = answerers(&weir, (0..100).map(|_| get("/")));
    let counts = count(&names);
    // A fast one that hung for as long, on a busy machine, would give the slow one another request.
    assert!((1..=5).contains(&counts["slow"]) && counts["a"] >= 20 && counts["b"] >= 20, "{counts:?}");
}

#[test]
fn random_gives_shares_by_weight_in_no_order() {
    let endpoints = ["a", "b", "c"].map(named);
    let [heavy, b, c] = endpoints.each_ref().map(Endpoint::address);
    let list = format!("{{ address = \"{heavy}\", weight = 2 }}, \"{b}\", \"{c}\"");
    let weir = Setup::of(&[]).policy("random").endpoints(&list).start();
    let names = answerers(&weir, (0..1200).map(|_| get("/")));
    // Six standard deviations.
    for (name, due) in [("a", 600), ("b", 300), ("c", 300)] {
        assert!(count(&names)[name].abs_diff(due) <= 100, "{:?}", count(&names));
    }
    assert!((1..20).all(|period| names.iter().zip(&names[period..]).any(|(one, later)| one != later)));
    let again = Setup::of(&[]).policy("random").endpoints(&list).start();
    assert_ne!(answerers(&again, (0..100).map(|_| get("/"))), names[..100], "two processes drew alike");
}

/// `GET /` of a client that a trusted proxy names.
fn from_client(address: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: weir.test\r\nX-Forwarded-For: {address}\r\n\r\n")
}

#[test]
fn ip_hash_sends_the_same_client_to_the_same_endpoint_and_spreads_the_clients() {
    let [a, b, c] = ["a", "b", "c"].map(named);
    let weir = Setup::before(&[&a, &b, &c])
        .policy("ip-hash")
        .server("shutdown_delay = \"0s\"\ntrusted_proxies = [\"127.0.0.0/8\"]")
        .start();
    let clients: Vec<String> = (0..200).map(|n| format!("198.51.{}.{n}", n % 7)).collect();
    let first = answerers(&weir, clients.iter().map(|client| from_client(client)));
    let again = answerers(&weir, clients.iter().rev().map(|client| from_client(client)));
    assert!(first.iter().eq(again.iter().rev()), "a client changed its endpoint");
    let counts = count(&first);
    assert!(counts.len() == 3 && counts.values().all(|&clients| clients >= 40), "{counts:?}");
}

#[test]
fn ip_hash_believes_the_forwarded_address_from_trusted_proxies_only() {
    let [a, b, c] = ["a", "b", "c"].map(named);
    let weir = Setup::before(&[&a, &b, &c]).policy("ip-hash").start();
    let names = answerers(&weir, (0..50).map(|n| from_client(&format!("198.51.100.{n}"))));
    assert_eq!(count(&names).len(), 1, "all come from this machine, whatever they say");
}

/// The request with this number.
type Request = fn(u32) -> Vec<u8>;

#[test]
fn every_kind_of_key_keeps_a_key_on_one_endpoint_and_spreads_the_keys() {
    let endpoints = ["a", "b", "c"].map(named);
    let kinds: [(&str, Request); 6] = [
        ("path", |n| get(&format!("/{n}?other={n}")).into()),
        ("query:user", |n| get(&format!("/?x=1&user={n}&y={n}")).into()),
        ("header:X-User", |n| format!("GET / HTTP/1.1\r\nHost: h\r\nx-user: {n}\r\n\r\n").into()),
        ("cookie:sid", |n| format!("GET / HTTP/1.1\r\nHost: h\r\nCookie: a=1; sid={n}; b=2\r\n\r\n").into()),
        ("client-ip", |n| from_client(&format!("203.0.113.{n}")).into()),
        ("body", |n| post("/", format!("body number {n}").repeat(3000).as_bytes())),
    ];
    for (key, request) in kinds {
        let weir = Setup::before(&endpoints.each_ref())
            .policy("consistent-hash")
            .server("shutdown_delay = \"0s\"\ntrusted_proxies = [\"127.0.0.0/8\"]")
            .service(&format!("hash = {{ key = \"{key}\" }}"))
            .start();
        let first = answerers(&weir, (0..60).map(request));
        let again = answerers(&weir, (0..60).rev().map(request));
        assert!(first.iter().eq(again.iter().rev()), "{key}: a key changed its endpoint");
        assert_eq!(count(&first).len(), 3, "{key}: {:?}", count(&first));
    }
}

#[test]
fn a_key_that_is_in_the_body_is_the_same_however_the_body_is_framed() {
    let endpoints = ["a", "b", "c"].map(named);
    let weir =
        Setup::before(&endpoints.each_ref()).policy("consistent-hash").service("hash = { key = \"body\" }").start();
    for n in 0..12 {
        let body = format!("body {n}");
        let chunked = body
            .bytes()
            .fold("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), |all, byte| {
                format!("{all}1\r\n{}\r\n", char::from(byte))
            });
        let names = answerers(&weir, [post("/", body.as_bytes()), format!("{chunked}0\r\n\r\n").into()]);
        assert_eq!(names[0], names[1]);
    }
}

/// Who answers each of 10,000 keys.
fn owners(weir: &Weir) -> Vec<String> {
    let mut client = Raw::connect_within(weir.address(), Duration::from_mins(1));
    let mut names = Vec::new();
    for batch in (0..10_000).collect::<Vec<_>>().chunks(100) {
        // A batch is pipelined: one packet instead of a hundred.
        client.write(batch.iter().map(|key| get(&format!("/?user=key-{key}"))).collect::<String>());
        names.extend(batch.iter().map(|_| client.response().field("x-endpoint").unwrap().to_owned()));
    }
    names
}

#[test]
fn a_fourth_endpoint_takes_20_to_30_percent_of_10000_keys_and_no_other_key_moves() {
    let [a, b, c, d] = ["a", "b", "c", "d"].map(named);
    let setup = |endpoints: &[&Endpoint]| {
        Setup::before(endpoints).policy("consistent-hash").service("hash = { key = \"query:user\" }").start()
    };
    let before = owners(&setup(&[&a, &b, &c]));
    let after = owners(&setup(&[&d, &a, &b, &c]));
    let moved: Vec<_> = before.iter().zip(&after).filter(|(before, after)| before != after).collect();
    assert!((2_000..=3_000).contains(&moved.len()), "{} of 10,000 keys moved", moved.len());
    assert_eq!(moved.iter().map(|(_, after)| after.as_str()).collect::<BTreeSet<_>>(), BTreeSet::from(["d"]));
}

fn keeping(policy: &str, endpoints: &[&Endpoint]) -> Weir {
    Setup::before(endpoints).policy(policy).service("hash = { key = \"query:user\" }").start()
}

#[test]
fn under_slots_a_fourth_endpoint_takes_its_keys_and_no_other_key_moves() {
    let [a, b, c, d] = ["a", "b", "c", "d"].map(named);
    let before = owners(&keeping("slots", &[&a, &b, &c]));
    let after = owners(&keeping("slots", &[&d, &a, &b, &c]));
    let moved: Vec<_> = before.iter().zip(&after).filter(|(before, after)| before != after).collect();
    assert!((2_000..=3_000).contains(&moved.len()), "{} of 10,000 keys moved", moved.len());
    assert_eq!(moved.iter().map(|(_, after)| after.as_str()).collect::<BTreeSet<_>>(), BTreeSet::from(["d"]));
}

#[test]
fn under_maglev_shares_are_even_and_a_fourth_endpoint_moves_few_keys_of_the_others() {
    let [a, b, c, d] = ["a", "b", "c", "d"].map(named);
    let before = owners(&keeping("maglev", &[&a, &b, &c]));
    let after = owners(&keeping("maglev", &[&d, &a, &b, &c]));
    // Shares are even to within an entry of 65,537; what is left is the chance in 10,000 keys.
    assert!(count(&before).values().all(|keys| keys.abs_diff(3_333) <= 200), "{:?}", count(&before));
    assert!(count(&after).values().all(|keys| keys.abs_diff(2_500) <= 200), "{:?}", count(&after));
    let others = before.iter().zip(&after).filter(|(before, after)| before != after && *after != "d").count();
    assert!(others <= 800, "{others} keys of others moved");
}

#[test]
fn under_slots_keys_with_one_hash_tag_stay_together() {
    let endpoints = ["a", "b", "c"].map(named);
    let weir = keeping("slots", &endpoints.each_ref());
    for user in 0..20 {
        let ask = |part: &str| get(&format!("/?user={{user{user}}}.{part}"));
        let names = answerers(&weir, [ask("following"), ask("followers")]);
        assert_eq!(names[0], names[1]);
    }
}

/// Who gets each of three requests of one key that come while the ones before are unanswered, and one more afterwards.
fn of_one_key_at_once(service: &str) -> Vec<String> {
    let gate = Gate::closed();
    let endpoints = ["a", "b", "c"].map(|name| {
        let door = gate.clone();
        Endpoint::start(move |_| Plan::new().wait(&door).reply(Reply::new(200).header("X-Endpoint", name)))
    });
    let weir = Setup::before(&endpoints.each_ref()).policy("maglev").service(service).start();
    let mut clients = Vec::new();
    for count in 1..=3 {
        let mut client = Raw::connect(weir.address());
        client.write(get("/one"));
        clients.push(client);
        eventually("the request arrives", || endpoints.iter().map(|it| it.requests().len()).sum::<usize>() == count);
    }
    gate.open();
    let mut names: Vec<String> =
        clients.iter_mut().map(|client| client.response().field("x-endpoint").unwrap().to_owned()).collect();
    for endpoint in &endpoints {
        let label = endpoint.address().to_string();
        weir.wait_for_metric("weir_in_flight", &[("endpoint", &label)], |count| count < 1.0);
    }
    names.extend(answerers(&weir, [get("/one")]));
    names
}

#[test]
fn a_key_that_everybody_wants_spills_over_under_bounded_load_and_comes_back() {
    let names = of_one_key_at_once("hash = { key = \"path\", bounded_load = 1.0 }");
    assert_eq!(names[..3].iter().collect::<BTreeSet<_>>().len(), 3, "{names:?}");
    assert_eq!(names[3], names[0], "{names:?}");
}

#[test]
fn without_a_bound_a_key_that_everybody_wants_stays_on_one_endpoint() {
    let names = of_one_key_at_once("hash = { key = \"path\" }");
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 1, "{names:?}");
}
