//! The configuration changes while weir runs: what is changed holds, what is not goes on, what is wrong changes nothing.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread;

use weir_testkit::{Endpoint, Gate, Plan, Process, Raw, Reply, Script, Signal, Weir, eventually};

use crate::support::{Setup, WEIR, ask, assert_metric, get, up, wait_for_words};

/// Rewrites the file and waits until that has come to this.
fn rewrite(weir: &Weir, toml: &str, result: &str) {
    let labels = [("result", result)];
    let before = weir.metric("weir_reloads_total", &labels);
    weir.rewrite(toml);
    weir.wait_for_metric("weir_reloads_total", &labels, |count| count > before);
}

fn weighted(one: &Endpoint, other: &Endpoint, weights: [u16; 2]) -> Setup {
    let [first, second] = [one, other].map(Endpoint::address);
    let list = format!(
        "{{ address = \"{first}\", weight = {} }}, {{ address = \"{second}\", weight = {} }}",
        weights[0], weights[1]
    );
    Setup::before(&[one, other]).policy("weighted").endpoints(&list)
}

fn served(weir: &Weir, endpoints: &[&Endpoint], exchanges: usize) -> Vec<usize> {
    let before: Vec<_> = endpoints.iter().map(|endpoint| endpoint.requests().len()).collect();
    let mut client = Raw::connect(weir.address());
    for _ in 0..exchanges {
        assert_eq!(ask(&mut client, get("/")).status, 200);
    }
    endpoints.iter().zip(before).map(|(endpoint, before)| endpoint.requests().len() - before).collect()
}

#[test]
fn a_weight_changed_by_renaming_a_file_holds_at_once_and_the_log_says_what_changed() {
    let (one, other) = (Endpoint::replying(Reply::new(200)), Endpoint::replying(Reply::new(200)));
    let weir = weighted(&one, &other, [1, 1]).start();
    assert_eq!(served(&weir, &[&one, &other], 8), [4, 4]);
    rewrite(&weir, &weighted(&one, &other, [3, 1]).toml(), "applied");
    assert_eq!(served(&weir, &[&one, &other], 8), [6, 2]);
    wait_for_words(&weir, &format!("service `s`: weight of `{}` 1 → 3", one.address()));
    assert_metric(&weir, "weir_last_reload_successful", &[], 1);
}
