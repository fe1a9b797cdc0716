//! What weir, nginx and HAProxy do with odd and malformed requests, as a table that is tested and not believed.
//!
//! [`cases`] is the table; [`run`] sends each case and says what became of it; [`render`] writes
//! `docs/reference/framing.md`. The columns of nginx and HAProxy are true for the versions named there, which are
//! Debian 12's; other versions print what differs and do not fail.
#![expect(clippy::unwrap_used, reason = "test code")]

mod case;
mod cases;
mod render;
mod run;

use std::panic::AssertUnwindSafe;

use case::Case;
use run::{check, differences, endpoint};
use weir_testkit::{HaProxy, Nginx, Weir, require};

#[test]
fn the_weir_column_is_what_weir_does() {
    let endpoint = endpoint();
    let toml = format!(
        r#"[admin]
listen = "127.0.0.1:0"
[[listener]]
address = "127.0.0.1:0"
[[route]]
path = "/"
service = "s"
body = {{ max = "1MiB", buffer = "1MiB" }}
[[service]]
name = "s"
policy = "round-robin"
endpoints = [{{ address = "{}" }}]
"#,
        endpoint.address()
    );
    let weir = Weir::start(env!("CARGO_BIN_EXE_weir"), &toml);
    check_weir(weir.address(), &endpoint);
}

#[test]
fn the_nginx_column_is_what_nginx_does() {
    let Some(program) = require("nginx") else { return };
    let endpoint = endpoint();
    let nginx = Nginx::in_front_of(&program, &[endpoint.address()]);
    let differences = differences(nginx.address(), &endpoint, |case| &case.nginx);
    judge(&program, render::NGINX, &differences);
}

#[test]
fn the_haproxy_column_is_what_haproxy_does() {
    let Some(program) = require("haproxy") else { return };
    let endpoint = endpoint();
    let haproxy = HaProxy::in_front_of(&program, &[endpoint.address()]);
    let differences = differences(haproxy.address(), &endpoint, |case| &case.haproxy);
    judge(&program, render::HAPROXY, &differences);
}

/// The check for weir must be able to fail: nginx behaves otherwise in exactly the cases where the columns differ.
#[test]
fn the_check_for_weir_finds_every_case_where_nginx_differs() {
    let Some(program) = require("nginx") else { return };
    let endpoint = endpoint();
    let nginx = Nginx::in_front_of(&program, &[endpoint.address()]);
    let checking = AssertUnwindSafe(|| check_weir(nginx.address(), &endpoint));
    let said = *std::panic::catch_unwind(checking).unwrap_err().downcast::<String>().unwrap();
    let stated = cases::all().iter().filter(|case| case.weir != case.nginx).count();
    assert!(!version_matches(&program, render::NGINX) || said.starts_with(&format!("{stated} cases differ")), "{said}");
}

#[test]
fn the_page_says_what_the_table_says() {
    render::compare_or_update();
}

#[test]
fn every_case_has_a_name_of_its_own() {
    let all = cases::all();
    let names: std::collections::BTreeSet<&str> = all.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), all.len());
}

/// Panics with every case in which the weir that listens on `address` does not do what its column says.
fn check_weir(address: std::net::SocketAddr, endpoint: &weir_testkit::Endpoint) {
    check(&differences(address, endpoint, |case: &Case| &case.weir));
}

/// Fails on differences when the program is the version that the page names, else shows them.
fn judge(program: &std::path::Path, named: &str, differences: &[String]) {
    if version_matches(program, named) {
        check(differences);
    } else {
        eprintln!("SKIPPED: not {named}; it differs in {} cases:\n{}", differences.len(), differences.join("\n"));
    }
}

fn version_matches(program: &std::path::Path, named: &str) -> bool {
    let output = std::process::Command::new(program).arg("-v").output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let version = named.split(' ').next_back().unwrap();
    String::from_utf8_lossy(&said).contains(version)
}
