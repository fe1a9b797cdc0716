//! `--consul`: against a real agent where there is one, and what is said about wrong flags in any case.

use std::net::SocketAddr;
use std::process::Command;

use weir_testkit::{Consul, PATIENCE, Process, Raw, Signal};

const BINARY: &str = env!("CARGO_BIN_EXE_weir-optimizer");

/// An optimizer on a free port, and where it listens.
fn start(flags: &[&str], variables: &[(&str, &str)]) -> (Process, SocketAddr) {
    let mut command = Command::new(BINARY);
    command.args(["--listen", "127.0.0.1:0", "--workers", "3"]).args(flags).envs(variables.iter().copied());
    let mut process = Process::spawn(command);
    let line = process.wait_for_line("weir-optimizer ");
    let address = line.rsplit_once("http://").unwrap().1.parse().unwrap();
    (process, address)
}

/// What the agent lists: polls until it satisfies `wanted`. The test runner's deadline ends what never happens.
fn until(api: SocketAddr, path: &str, wanted: impl Fn(&str) -> bool) -> String {
    loop {
        let text = Raw::get(api, path).text();
        if wanted(&text) {
            return text;
        }
    }
}

const SHOP: &str = "/v1/health/service/shop?passing";

#[test]
fn an_optimizer_registers_once_it_serves_and_on_sigterm_deregisters_serves_on_and_leaves() {
    let Some(program) = Consul::program() else { return };
    let consul = Consul::start(&program, "{}");
    let agent = format!("http://{}", consul.api());
    let flags = ["--consul", &agent, "--service", "shop", "--tag", "blue", "--tag", "v=1"];
    let (mut process, address) = start(&flags, &[]);

    let listed = until(consul.api(), SHOP, |text| text.contains("\"Service\": \"shop\""));
    let port = format!("\"Port\": {},", address.port());
    let id = format!("\"ID\": \"shop-127.0.0.1-{}\"", address.port());
    for part in [&id, &port, "\"blue\"", "\"v=1\"", "\"capacity\": \"3\"", "\"Passing\": 3", "\"Warning\": 1"] {
        assert!(listed.contains(part), "{part} is not in {listed}");
    }
    let checked = format!("HTTP GET http://{address}/healthz: 200 OK");
    // The agent's own view: it tells the others of an output alone only every five minutes.
    until(consul.api(), "/v1/agent/checks", |text| text.contains(&checked));

    process.signal(Signal::TERM);
    until(consul.api(), SHOP, |text| text.trim() == "[]");
    let health = Raw::get(address, "/healthz");
    assert_eq!(health.status, 200, "it serves on after it is off the list");
    assert_eq!(process.wait(PATIENCE).code(), Some(0));
}

#[test]
fn an_optimizer_whose_agent_comes_late_or_forgets_is_registered_all_the_same() {
    let Some(program) = Consul::program() else { return };
    let mut consul = Consul::start(&program, "{}");
    let agent = format!("http://{}", consul.api());
    consul.process().kill();
    let (mut process, address) = start(&["--consul", &agent, "--service", "shop"], &[]);
    let listed = |text: &str| text.contains(&address.port().to_string());
    while !process.output().contains("not registered: cannot connect to the Consul agent") {
        assert!(process.is_running());
    }
    for _ in 0..2 {
        consul.restart();
        until(consul.api(), SHOP, listed);
    }
}

#[test]
fn the_token_comes_from_a_file_or_the_environment_and_is_never_shown() {
    const TOKEN: &str = "6e5b7a0c-3a26-4f0e-9f0f-0d2f0f9b1c11";
    let Some(program) = Consul::program() else { return };
    let config =
        format!(r#"{{"acl": {{"enabled": true, "default_policy": "deny", "tokens": {{"master": "{TOKEN}"}}}}}}"#);
    let consul = Consul::start(&program, &config);
    let file = consul.folder().join("token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let agent = format!("http://{}", consul.api());
    let base = ["--consul", &agent, "--service", "shop"];
    let with_file = ["--consul", &agent, "--service", "shop", "--consul-token-file", file.to_str().unwrap()];
    for (flags, variables, said) in [
        (&with_file[..], &[("CONSUL_HTTP_TOKEN", "wrong")][..], "registered"),
        (&base, &[("CONSUL_HTTP_TOKEN", TOKEN)], "registered"),
        (&base, &[("CONSUL_HTTP_TOKEN", "wrong-token")], "ACL not found"),
        (&base, &[("CONSUL_HTTP_TOKEN", "")], "no token was given: give one in a file or in CONSUL_HTTP_TOKEN"),
    ] {
        let (mut process, _) = start(flags, variables);
        while !process.output().contains(said) {
            assert!(process.is_running(), "{}", process.output());
        }
        let output = process.output();
        assert!(!output.contains(TOKEN) && !output.contains("wrong"), "{output}");
    }
}

#[test]
fn flags_that_cannot_work_end_it_with_what_to_write() {
    for (flags, words) in [
        (&["--consul", "consul:8500", "--service", "s"][..], "write it as `http://127.0.0.1:8500`"),
        (&["--consul", "http://127.0.0.1:8500"], "--service <NAME>"),
        (&["--service", "s"], "--consul <URL>"),
        (&["--consul", "http://10.0.0.1:8500", "--service", "s"], "write `--advertise ADDRESS`"),
        (&["--consul", "http://127.0.0.1:8500", "--service", "s", "--consul-token-file", "/nowhere"], "`/nowhere`"),
        (&["--consul", "http://127.0.0.1:8500", "--service", "s", "--consul-ca", "/etc/hostname"], "write `https://…`"),
        (&["--consul", "https://127.0.0.1:1", "--service", "s", "--consul-ca", "/etc/hostname"], "must be PEM"),
        (&["--consul", "http://127.0.0.1:8500", "--service", "s", "--weight", "0"], "--weight <N>"),
    ] {
        let output = Command::new(BINARY).args(["--listen", "127.0.0.1:0"]).args(flags).output().unwrap();
        assert!(!output.status.success() && output.stdout.is_empty());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(words), "{flags:?}: {said}");
    }
}
