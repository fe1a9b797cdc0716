//! A weir that is an instance of a service in Consul itself.

use weir_testkit::{Consul, Endpoint, Process, Raw, Reply, Signal, Weir, eventually};

use crate::support::{WEIR, wait_for_words};

/// A weir that registers as `edge`, with these lines of `[register]` and this source.
fn toml(consul: &Consul, register: &str, source: &str) -> String {
    format!(
        "[server]\nshutdown_delay = \"1h\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [register]\nservice = \"edge\"\naddress = \"http://{}\"\n{register}\n\
         [[listener]]\naddress = \"127.0.0.1:0\"\n[[route]]\nservice = \"s\"\n\
         [[service]]\nname = \"s\"\npolicy = \"round-robin\"\n{source}\n",
        consul.api()
    )
}

/// What Consul lists of `edge` as well.
fn listed(consul: &Consul) -> String {
    Raw::get(consul.api(), "/v1/health/service/edge?passing").text()
}

fn endpoint() -> Endpoint {
    Endpoint::replying(Reply::new(200).body("a"))
}

#[test]
fn a_weir_is_listed_while_it_serves_and_taken_off_before_it_stops_serving() {
    let Some(program) = Consul::program() else { return };
    let (mut consul, endpoint) = (Consul::start(&program, "{}"), endpoint());
    let source = format!("endpoints = [\"{}\"]", endpoint.address());
    let weir = Weir::start(WEIR, &toml(&consul, "tags = [\"blue\"]", &source));
    let id = format!("\"ID\": \"edge-127.0.0.1-{}\"", weir.address().port());
    let known = |consul: &Consul| {
        let listed = listed(consul);
        let port = format!("\"Port\": {}", weir.address().port());
        listed.contains(&id) && listed.contains(&port) && listed.contains("\"blue\"")
    };
    eventually("it is listed", || known(&consul));
    // The agent has asked, and did not only believe.
    let passed = format!("GET http://{}/readyz: 200", weir.admin());
    eventually("its check has passed", || Raw::get(consul.api(), "/v1/agent/checks").text().contains(&passed));

    consul.restart();
    eventually("an agent that forgot it lists it again", || known(&consul));

    weir.signal(Signal::TERM);
    eventually("it is taken off", || !known(&consul));
    wait_for_words(&weir, "deregistered");
    // Whoever has not noticed yet is served all the same: the delay of an hour has begun.
    assert_eq!(Raw::get(weir.address(), "/").text(), "a");
    assert_eq!(Raw::get(weir.admin(), "/readyz").status, 503);
    weir.signal(Signal::TERM);
    let mut weir = weir;
    weir.wait(weir_testkit::PATIENCE);
}

#[test]
fn a_weir_without_endpoints_is_not_listed_before_it_has_one() {
    let Some(program) = Consul::program() else { return };
    let (consul, endpoint) = (Consul::start(&program, "{}"), endpoint());
    let file = consul.folder().join("endpoints.toml");
    std::fs::write(&file, "endpoints = []").unwrap();
    let source = format!("file = {{ path = \"{}\" }}", file.display());
    let weir = Weir::start(WEIR, &toml(&consul, "id = \"one\"", &source));
    assert_eq!(Raw::get(weir.admin(), "/readyz").status, 503);
    assert!(!weir.output().contains("registered"), "{}", weir.output());
    std::fs::write(&file, format!("endpoints = [\"{}\"]", endpoint.address())).unwrap();
    eventually("it is listed", || listed(&consul).contains("\"ID\": \"one\""));
}

#[test]
fn a_weir_that_ends_before_it_was_ready_ends_at_once() {
    let Some(program) = Consul::program() else { return };
    let consul = Consul::start(&program, "{}");
    let file = consul.folder().join("endpoints.toml");
    std::fs::write(&file, "endpoints = []").unwrap();
    let source = format!("file = {{ path = \"{}\" }}", file.display());
    let weir = Weir::start(WEIR, &toml(&consul, "", &source).replace("\"1h\"", "\"0s\""));
    assert_eq!(weir.stop().code(), Some(0));
}

#[test]
fn a_weir_that_an_agent_elsewhere_cannot_reach_does_not_start_and_says_what_to_write() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weir.toml");
    let text = "[admin]\nlisten = \"127.0.0.1:0\"\n[register]\nservice = \"edge\"\naddress = \"http://192.0.2.1:8500\"\n\
                [[listener]]\naddress = \"127.0.0.1:0\"\n[[route]]\nservice = \"s\"\n\
                [[service]]\nname = \"s\"\npolicy = \"round-robin\"\nendpoints = [\"127.0.0.1:1\"]\n";
    std::fs::write(&file, text).unwrap();
    let mut process = Process::start(WEIR, ["run".as_ref(), file.as_os_str()]);
    assert_eq!(process.wait(weir_testkit::PATIENCE).code(), Some(1));
    let said = process.output();
    assert!(said.contains("error: cannot register: the Consul agent http://192.0.2.1:8500"), "{said}");
    assert!(said.contains("write `advertise = \"ADDRESS\"` in `[register]`"), "{said}");
}
