//! A Consul that fails in every way a real one was seen to: traffic flows on, what happens is said, and nothing needs a
//! restart afterwards.

use weir_testkit::{Consul, Raw, Signal, Weir, eventually};

use crate::load::under_load;
use crate::support::{
    WEIR, assert_metric, call, consul_toml, optimizer_token, registered, wait_for_words, wait_until_ready,
};

/// A wait so short that a frozen agent is found out within the time a test has.
const WAIT: &str = "wait = \"1s\"";
const MANAGEMENT: &str = "6e5b7a0c-3a26-4f0e-9f0f-0d2f0f9b1c11";
const LIMITED: &str = "7f1d0c52-92d3-47d5-9a30-5a8f5f0f7a22";

#[test]
fn an_agent_that_dies_and_forgets_everything_costs_no_request_and_newcomers_are_found_when_it_is_back() {
    let Some(program) = Consul::program() else { return };
    let mut consul = Consul::start(&program, "{}");
    let _fleet = [registered(&consul, "first"), registered(&consul, "second")];
    let weir = Weir::start(WEIR, &consul_toml(&consul, WAIT, ""));
    wait_until_ready(&weir);
    let mut third = None;
    under_load(weir.address(), 2, |seen| {
        seen.wait_for("first", 1);
        seen.wait_for("second", 1);
        consul.process().kill();
        weir.wait_for_metric("weir_discovery_failures_total", &[("service", "s")], |count| count >= 1.0);
        // The answer that was waited for is cut, maybe. As long as the agent is gone, the next question finds nobody.
        wait_for_words(&weir, "cannot connect to the Consul agent");
        seen.wait_for("first", 5);
        seen.wait_for("second", 5);

        // It comes back empty: those that serve are registered again by themselves. Who registers first may be alone on the
        // list for a second, and costs nobody a request either.
        consul.restart();
        third = Some(registered(&consul, "third"));
        seen.wait_for("third", 3);
        seen.wait_for("first", 3);
        seen.wait_for("second", 3);
    });
    drop(third);
    assert_metric(&weir, "weir_refusals_total", &[], 0);
}

#[test]
fn a_frozen_agent_is_found_out_and_costs_no_request() {
    let Some(program) = Consul::program() else { return };
    let mut consul = Consul::start(&program, "{}");
    let _fleet = [registered(&consul, "first"), registered(&consul, "second")];
    let weir = Weir::start(WEIR, &consul_toml(&consul, WAIT, ""));
    wait_until_ready(&weir);
    let mut third = None;
    under_load(weir.address(), 1, |seen| {
        seen.wait_for("first", 1);
        seen.wait_for("second", 1);
        consul.process().signal(Signal::STOP);
        // The wait, a sixteenth more, and ten seconds of slack.
        while weir.metric("weir_discovery_failures_total", &[("service", "s")]) < 1.0 {
            seen.wait_for("", 20);
        }
        seen.wait_for("first", 3);
        seen.wait_for("second", 3);
        consul.process().signal(Signal::CONT);
        third = Some(registered(&consul, "third"));
        seen.wait_for("third", 3);
    });
    drop(third);
    assert_metric(&weir, "weir_refusals_total", &[], 0);
}

#[test]
fn a_lost_leader_and_a_lost_quorum_cost_no_request() {
    let Some(program) = Consul::program() else { return };
    let mut servers = Consul::cluster(&program, 3);
    let place = loop {
        // Empty between two elections, of which a loaded machine may need several.
        let leader = Raw::get(servers[0].api(), "/v1/status/leader").text();
        if let Some(place) = servers.iter().position(|one| leader.contains(&one.server().to_string())) {
            break place;
        }
    };
    let mut leader = servers.remove(place);
    let _fleet = [registered(&servers[0], "first"), registered(&servers[0], "second")];
    let weir = Weir::start(WEIR, &consul_toml(&servers[0], WAIT, ""));
    wait_until_ready(&weir);
    let mut third = None;
    under_load(weir.address(), 1, |seen| {
        seen.wait_for("first", 1);
        seen.wait_for("second", 1);
        leader.process().kill();
        third = Some(registered(&servers[0], "third"));
        seen.wait_for("third", 3);

        // Else the last server may know less than was told, and is rightly not believed.
        while !Raw::get(servers[0].api(), "/v1/health/service/shop?stale").text().contains("third") {}
        servers[1].process().kill();
        // It takes the last server seconds to give up on the others.
        while weir.metric("weir_discovery_known_leader", &[("service", "s")]) > 0.0 {
            seen.wait_for("", 20);
        }
        for id in ["first", "second", "third"] {
            seen.wait_for(id, 3);
        }
    });
    drop(third);
    assert_metric(&weir, "weir_refusals_total", &[], 0);
}

#[test]
fn a_revoked_token_costs_no_request_is_said_and_a_new_one_is_enough() {
    let Some(program) = Consul::program() else { return };
    let config = format!(
        r#"{{"primary_datacenter": "dc1",
            "acl": {{"enabled": true, "default_policy": "deny", "tokens": {{"master": "{MANAGEMENT}"}}}}}}"#
    );
    let consul = Consul::start(&program, &config);
    // An agent that has a leader may take some more milliseconds to have its ACLs.
    let path = format!("/v1/acl/tokens?token={MANAGEMENT}");
    eventually("the agent has its ACLs", || Raw::get(consul.api(), &path).status == 200);
    let create = || {
        let body = format!(r#"{{"SecretID": "{LIMITED}", "Policies": [{{"Name": "global-management"}}]}}"#);
        let token = call(consul.api(), "PUT", MANAGEMENT, "/v1/acl/token", &body);
        token.split_once(r#""AccessorID": ""#).unwrap().1.split_once('"').unwrap().0.to_owned()
    };
    let accessor = create();
    let file = consul.folder().join("token");
    std::fs::write(&file, LIMITED).unwrap();
    let _first = optimizer_token(&consul, "first", MANAGEMENT);
    let source = format!("{WAIT}, token_file = \"{}\"", file.display());
    let weir = Weir::start(WEIR, &consul_toml(&consul, &source, ""));
    wait_until_ready(&weir);
    let mut second = None;
    under_load(weir.address(), 1, |seen| {
        seen.wait_for("first", 1);
        call(consul.api(), "DELETE", MANAGEMENT, &format!("/v1/acl/token/{accessor}"), "");
        weir.wait_for_metric("weir_discovery_failures_total", &[("service", "s")], |count| count >= 1.0);
        seen.wait_for("first", 5);
        create();
        second = Some(optimizer_token(&consul, "second", MANAGEMENT));
        seen.wait_for("second", 3);
    });
    drop(second);
    assert_metric(&weir, "weir_refusals_total", &[], 0);
    wait_for_words(&weir, "`service:read`");
    assert!(!weir.output().contains(LIMITED), "the token is not for the log");
}
