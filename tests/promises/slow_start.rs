//! An endpoint that joins or comes back is not given its whole share at once, and one that is alone is.
//!
//! Probes are the clock: between two starts of one endpoint's pass 180 ms at least.

use std::path::Path;

use weir_testkit::{Call, Endpoint, Raw, Reply, Weir, eventually};

use crate::support::{Setup, WEIR, ask, get};

fn endpoint() -> Endpoint {
    Endpoint::start(|_: &Call| Reply::new(200).into())
}

/// How many requests it was asked that are no probes.
fn asked(endpoint: &Endpoint) -> usize {
    endpoint.requests().iter().filter(|request| request.target() == "/").count()
}

/// Lists these as the endpoints of the service.
fn list(file: &Path, endpoints: &[&Endpoint]) {
    let addresses: Vec<String> = endpoints.iter().map(|it| format!("\"{}\"", it.address())).collect();
    let new = file.with_extension("new");
    std::fs::write(&new, format!("endpoints = [{}]", addresses.join(", "))).unwrap();
    std::fs::rename(&new, file).unwrap();
}

fn start(file: &Path, policy: &str, slow_start: &str) -> Weir {
    let toml = Setup::of(&[])
        .policy(policy)
        .service(&format!("file = {{ path = \"{}\" }}\n{slow_start}", file.display()))
        .service("health = { kind = \"http\", interval = \"200ms\", timeout = \"200ms\", failures = 100 }")
        .toml()
        .replace("endpoints = []\n", "");
    Weir::start(WEIR, &toml)
}

/// Of so many requests, one after the other, how many this endpoint gets.
fn share(weir: &Weir, endpoint: &Endpoint, requests: usize) -> usize {
    let before = asked(endpoint);
    let mut client = Raw::connect(weir.address());
    for _ in 0..requests {
        assert_eq!(ask(&mut client, get("/")).status, 200);
    }
    asked(endpoint) - before
}

/// Waits until weir knows this one and its first probe has told.
fn wait_until_it_serves(weir: &Weir, endpoint: &Endpoint) {
    let label = endpoint.address().to_string();
    weir.wait_for_metric("weir_probes_total", &[("endpoint", &label), ("result", "ok")], |probes| probes >= 1.0);
}

#[test]
fn an_endpoint_that_joins_gets_a_small_part_at_first_and_an_even_one_in_the_end() {
    let (old, new) = (endpoint(), endpoint());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("list.toml");
    list(&file, &[&old]);
    let weir = start(&file, "least-connections", "slow_start = \"3s\"");
    // Alone it gets everything, however new it is.
    assert_eq!(share(&weir, &old, 20), 20);
    let label = old.address().to_string();
    weir.wait_for_metric("weir_probes_total", &[("endpoint", &label)], |probes| probes >= 14.0);
    list(&file, &[&old, &new]);
    wait_until_it_serves(&weir, &new);
    // Two or three are due where an even share is fifteen. Few requests, so that the ramp does not end under them.
    let first = share(&weir, &new, 30);
    assert!(first <= 10, "{first} of 30");
    eventually("its share is even", || share(&weir, &new, 40) >= 18);
}

#[test]
fn without_slow_start_an_endpoint_that_joins_gets_its_share_at_once() {
    let (old, new) = (endpoint(), endpoint());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("list.toml");
    list(&file, &[&old]);
    let weir = start(&file, "round-robin", "");
    assert_eq!(share(&weir, &old, 20), 20);
    list(&file, &[&old, &new]);
    wait_until_it_serves(&weir, &new);
    assert!((49..=51).contains(&share(&weir, &new, 100)));
}

#[test]
fn a_fleet_that_starts_together_shares_as_if_nobody_had_just_come() {
    let endpoints = [endpoint(), endpoint(), endpoint()];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("list.toml");
    list(&file, &endpoints.each_ref());
    let weir = start(&file, "round-robin", "slow_start = \"1h\"");
    for endpoint in &endpoints {
        wait_until_it_serves(&weir, endpoint);
    }
    share(&weir, &endpoints[0], 90);
    assert!(
        endpoints.iter().all(|endpoint| (25..=35).contains(&asked(endpoint))),
        "{:?}",
        endpoints.each_ref().map(asked)
    );
}
