//! The real peers.

use weir_testkit::{Endpoint, HaProxy, Nginx, Raw, Reply, require};

#[test]
fn nginx_passes_a_request_on() {
    let Some(program) = require("nginx") else { return };
    let endpoint = Endpoint::replying(Reply::new(200).body("through"));
    let nginx = Nginx::in_front_of(&program, &[endpoint.address()]);
    assert_eq!(Raw::get(nginx.address(), "/a").text(), "through");
    assert_eq!(endpoint.wait_for_requests(1)[0].target(), "/a");
}

#[test]
fn haproxy_passes_a_request_on() {
    let Some(program) = require("haproxy") else { return };
    let endpoint = Endpoint::replying(Reply::new(200).body("through"));
    let haproxy = HaProxy::in_front_of(&program, &[endpoint.address()]);
    assert_eq!(Raw::get(haproxy.address(), "/a").text(), "through");
    assert_eq!(endpoint.wait_for_requests(1)[0].target(), "/a");
}
