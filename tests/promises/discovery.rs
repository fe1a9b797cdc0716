//! Endpoints that come and go: Consul, files, names, and what is kept when they fail.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Mutex};

use weir_testkit::{Consul, Endpoint, Plan, Process, Raw, Reply, Weir, eventually, free_port};

use crate::support::{WEIR, wait_for_words};

/// A configuration whose service `s` has these lines.
pub(crate) fn toml(service: &str) -> String {
    format!(
        "[server]\nshutdown_delay = \"0s\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [[listener]]\naddress = \"127.0.0.1:0\"\n[[route]]\nservice = \"s\"\n\
         [[service]]\nname = \"s\"\npolicy = \"least-connections\"\n{service}\n"
    )
}

/// A weir whose service `s` has these lines.
pub(crate) fn start(service: &str) -> Weir {
    Weir::start(WEIR, &toml(service))
}

/// An endpoint that says who it is.
pub(crate) fn named(name: &'static str) -> Endpoint {
    Endpoint::start(move |_| Reply::new(200).body(name).into())
}

/// Status and text of `/readyz`.
pub(crate) fn ready(weir: &Weir) -> (u16, String) {
    let answer = Raw::get(weir.admin(), "/readyz");
    (answer.status, answer.text())
}

fn status(weir: &Weir) -> u16 {
    Raw::get(weir.address(), "/").status
}

/// Waits until exactly these answer: each is seen, and no other is in as many answers as would show it.
pub(crate) fn wait_for_names(weir: &Weir, names: &[&str]) {
    eventually(&format!("{names:?} answer"), || {
        let mut seen: Vec<String> = (0..8).map(|_| Raw::get(weir.address(), "/").text()).collect();
        seen.sort_unstable();
        seen.dedup();
        seen == names
    });
}

/// Tells the agent of an instance of `optimizer`; without an address, of its end.
fn register(agent: SocketAddr, token: &str, id: &str, address: Option<SocketAddr>) {
    let (path, body) = match address {
        Some(address) => {
            let (ip, port) = (address.ip(), address.port());
            let body = format!(r#"{{"ID": "{id}", "Name": "optimizer", "Address": "{ip}", "Port": {port}}}"#);
            ("/v1/agent/service/register".to_owned(), body)
        }
        None => (format!("/v1/agent/service/deregister/{id}"), String::new()),
    };
    let answer = Raw::ask(
        agent,
        format!(
            "PUT {path} HTTP/1.1\r\nHost: {agent}\r\nX-Consul-Token: {token}\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn an_endpoint_that_registers_in_consul_is_served_and_one_that_deregisters_is_not() {
    let Some(program) = Consul::program() else { return };
    let consul = Consul::start(&program, "{}");
    let (a, b) = (named("a"), named("b"));
    register(consul.api(), "", "a", Some(a.address()));
    let weir = start(&format!("consul = {{ address = \"http://{}\", service = \"optimizer\" }}", consul.api()));
    assert_eq!(Raw::get(weir.address(), "/").text(), "a", "the first answer of Consul is in the first snapshot");
    assert_eq!(ready(&weir), (200, "ready\n".to_owned()));
    register(consul.api(), "", "b", Some(b.address()));
    wait_for_names(&weir, &["a", "b"]);
    register(consul.api(), "", "a", None);
    wait_for_names(&weir, &["b"]);
    let labels = [("service", "s"), ("source", "consul optimizer")];
    weir.wait_for_metric("weir_discovery_endpoints", &labels, |count| (count - 1.0).abs() < f64::EPSILON);
}

#[test]
fn a_dead_agent_changes_nothing_for_clients_and_its_return_needs_no_restart() {
    let Some(program) = Consul::program() else { return };
    let mut consul = Consul::start(&program, "{}");
    let (a, b) = (named("a"), named("b"));
    register(consul.api(), "", "a", Some(a.address()));
    let weir = start(&format!("consul = {{ address = \"http://{}\", service = \"optimizer\" }}", consul.api()));
    let labels = [("service", "s"), ("source", "consul optimizer")];
    consul.process().kill();
    weir.wait_for_metric("weir_discovery_up", &labels, |up| up < 1.0);
    assert_eq!(status(&weir), 200);
    let (code, text) = ready(&weir);
    assert!(code == 200 && text.starts_with("ready (degraded)\nservice `s`, consul optimizer: no answer"), "{text}");
    assert!(weir.metric("weir_discovery_failures_total", &labels) >= 1.0);
    wait_for_words(&weir, "the source does not answer, the last good endpoints stay");

    // It has forgotten everything, and says `[]` at first.
    consul.restart();
    weir.wait_for_metric("weir_discovery_empty_total", &labels, |count| count >= 1.0);
    assert_eq!(status(&weir), 200);
    register(consul.api(), "", "b", Some(b.address()));
    wait_for_names(&weir, &["b"]);
    assert_eq!(ready(&weir), (200, "ready\n".to_owned()));
}

/// A registry that lists what it is told to.
fn registry() -> (Endpoint, Arc<Mutex<Vec<SocketAddr>>>) {
    let listed = Arc::new(Mutex::new(Vec::<SocketAddr>::new()));
    let shared = Arc::clone(&listed);
    let answering = Endpoint::start(move |_| {
        let listed = shared.lock().unwrap().clone();
        let entry = |address: &SocketAddr| {
            format!(
                r#"{{"Node": {{"Node": "n"}}, "Service": {{"ID": "{address}", "Address": "{}", "Port": {}}}, "Checks": []}}"#,
                address.ip(),
                address.port()
            )
        };
        let body = format!("[{}]", listed.iter().map(entry).collect::<Vec<_>>().join(", "));
        // It never blocks, so that a change is seen by the next question.
        Reply::new(200).header("X-Consul-Index", &format!("{}", 10 + listed.len())).body(body).into()
    });
    (answering, listed)
}

#[test]
fn an_empty_list_empties_nothing_before_its_time() {
    let ((registry, listed), a) = (registry(), named("a"));
    listed.lock().unwrap().push(a.address());
    let source = format!("consul = {{ address = \"http://{}\", service = \"optimizer\" }}", registry.address());
    let (patient, hasty) = (start(&source), start(&format!("empty_after = \"100ms\"\n{source}")));
    listed.lock().unwrap().clear();
    patient.wait_for_metric("weir_discovery_empty_total", &[("service", "s")], |count| count >= 1.0);
    eventually("the hasty one is empty", || status(&hasty) == 503);
    assert_eq!(status(&patient), 200);
    assert!(ready(&patient).1.contains("lists none for"), "{:?}", ready(&patient));
    wait_for_words(&patient, "those of before stay until it has said so for `empty_after`");
    wait_for_words(&hasty, "now there are none");
    listed.lock().unwrap().push(a.address());
    eventually("the hasty one serves again", || status(&hasty) == 200);
}

#[test]
fn a_weir_that_starts_while_its_registry_is_down_serves_what_it_kept() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("cache");
    let ((mut registry, listed), a) = (registry(), named("a"));
    listed.lock().unwrap().push(a.address());
    let text = |more: &str| {
        let source =
            format!("consul = {{ address = \"http://{}\", service = \"optimizer\"{more} }}", registry.address());
        format!("discovery.cache_dir = \"{}\"\n{}", kept.display(), toml(&source))
    };
    let (text, of_another_color) = (text(""), text(", tags = [\"green\"]"));
    let weir = Weir::start(WEIR, &text);
    assert_eq!(status(&weir), 200);
    eventually("the endpoints are kept", || kept.join("s.endpoints").is_file());
    weir.stop();
    registry.stop();

    let weir = Weir::start(WEIR, &text);
    assert_eq!(status(&weir), 200);
    let (code, text) = ready(&weir);
    assert!(code == 200 && text.contains("1 endpoints kept from before the start"), "{text}");

    // What was kept answers another question.
    let other = Weir::start(WEIR, &of_another_color);
    assert_eq!((status(&other), ready(&other).0), (503, 503));
}

#[test]
fn a_wrong_token_is_told_with_what_to_write_and_a_right_one_in_the_file_needs_no_restart() {
    const RIGHT: &str = "6e5b7a0c-3a26-4f0e-9f0f-0d2f0f9b1c11";
    const WRONG: &str = "00000000-dead-4000-8000-000000000000";
    let Some(program) = Consul::program() else { return };
    let acl = format!(
        r#"{{"primary_datacenter": "dc1",
            "acl": {{"enabled": true, "default_policy": "deny", "tokens": {{"master": "{RIGHT}"}}}}}}"#
    );
    let consul = Consul::start(&program, &acl);
    let (a, folder) = (named("a"), tempfile::tempdir().unwrap());
    register(consul.api(), RIGHT, "a", Some(a.address()));
    let token = folder.path().join("token");
    std::fs::write(&token, WRONG).unwrap();
    let weir = start(&format!(
        "consul = {{ address = \"http://{}\", service = \"optimizer\", token_file = \"{}\" }}",
        consul.api(),
        token.display()
    ));
    let (code, text) = ready(&weir);
    assert!(code == 503 && text.contains("service `s` has never had an endpoint"), "{text}");
    assert!(text.contains("ACL not found") && text.contains("`service:read`"), "{text}");
    assert_eq!(status(&weir), 503);
    std::fs::write(&token, RIGHT).unwrap();
    eventually("it is ready", || ready(&weir).0 == 200 && status(&weir) == 200);
    let output = weir.output();
    assert!(!output.contains(RIGHT) && !output.contains(WRONG), "{output}");
}

#[test]
fn an_agent_of_another_authority_is_told_with_what_to_give() {
    let Some(program) = Consul::program() else { return };
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let tool = |folder: &std::path::Path, arguments: &[&str]| {
        let made = Command::new(program.canonicalize().unwrap()).args(arguments).current_dir(folder).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    tool(folder.path(), &["tls", "ca", "create"]);
    tool(folder.path(), &["tls", "cert", "create", "-server", "-additional-ipaddress", "127.0.0.1"]);
    tool(other.path(), &["tls", "ca", "create"]);
    let file = |name: &str| folder.path().join(name).display().to_string();
    let consul = Consul::start(
        &program,
        &format!(
            r#"{{"ports": {{"http": -1, "https": {{api}}}}, "cert_file": "{}", "key_file": "{}"}}"#,
            file("dc1-server-consul-0.pem"),
            file("dc1-server-consul-0-key.pem"),
        ),
    );
    let source = |ca: &std::path::Path| {
        format!(
            "consul = {{ address = \"https://{}\", service = \"optimizer\", ca_file = \"{}\" }}",
            consul.api(),
            ca.join("consul-agent-ca.pem").display()
        )
    };
    let (code, text) = ready(&start(&source(other.path())));
    assert!(code == 503 && text.contains("give the CA file that signed the agent's certificate"), "{text}");
    let (_, text) = ready(&start(&source(folder.path())));
    assert!(text.contains("Consul lists no instance of `optimizer`"), "only the endpoints are missing: {text}");
}

#[test]
fn a_service_that_consul_does_not_know_is_told_with_what_to_check() {
    let (registry, _) = registry();
    let weir = start(&format!("consul = {{ address = \"http://{}\", service = \"optmizer\" }}", registry.address()));
    let (code, text) = ready(&weir);
    assert!(code == 503 && text.contains("Consul lists no instance of `optmizer`: is `optmizer` its name"), "{text}");
    assert_eq!(status(&weir), 503);
    wait_for_words(&weir, "Consul lists no instance of `optmizer`: is `optmizer` its name");
}

#[test]
fn a_name_that_nobody_answers_for_is_told_with_whom_to_ask() {
    let nobody = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let weir = start(&format!(
        "dns = {{ name = \"optimizer.example.\", port = 3001, resolvers = [\"{nobody}\"] }}\n\
         endpoints = [{{ address = \"{}\", backup = true }}]",
        named("backup").address()
    ));
    let (code, text) = ready(&weir);
    assert!(
        code == 200 && text.starts_with("ready (degraded)\nservice `s`, dns optimizer.example.:3001: no answer"),
        "{text}"
    );
    assert!(text.contains(&nobody.to_string()), "{text}");
}

#[test]
fn a_secret_that_cannot_be_read_stops_the_start_with_the_file_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weir.toml");
    for (line, words) in [
        ("token_file = \"/nowhere/token\"", "cannot read the Consul token from `/nowhere/token`"),
        ("token_env = \"WEIR_NO_SUCH_TOKEN\"", "the environment variable `WEIR_NO_SUCH_TOKEN` is not set"),
    ] {
        std::fs::write(&file, toml(&format!("consul = {{ service = \"optimizer\", {line} }}"))).unwrap();
        let mut process = Process::start(WEIR, ["run".as_ref(), file.as_os_str()]);
        assert_eq!(process.wait(weir_testkit::PATIENCE).code(), Some(1));
        // Its last lines may come after its end.
        process.wait_for_output("error: service `s`: cannot set up the source `consul`");
        let said = process.output();
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn a_file_renamed_over_its_place_changes_the_endpoints_and_a_wrong_one_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("endpoints.toml");
    let (a, b, backup) = (named("a"), named("b"), named("backup"));
    let rename = |text: &str| {
        let new = folder.path().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, &file).unwrap();
    };
    rename(&format!("endpoints = [\"{}\"]", a.address()));
    let weir = start(&format!(
        "empty_after = \"0s\"\nfile = {{ path = \"{}\" }}\nendpoints = [{{ address = \"{}\", backup = true }}]",
        file.display(),
        backup.address()
    ));
    wait_for_names(&weir, &["a"]);
    rename(&format!("endpoints = [\"{}\", \"{}\"]", a.address(), b.address()));
    wait_for_names(&weir, &["a", "b"]);
    rename("endpoints = [\"127.0.0.1\"]");
    wait_for_words(&weir, "endpoints.toml:1:14");
    wait_for_names(&weir, &["a", "b"]);
    rename("endpoints = []");
    wait_for_names(&weir, &["backup"]);
}

#[test]
fn a_newcomer_at_an_address_is_not_asked_over_a_connection_to_who_was_there_before() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("endpoints.toml");
    let (a, b) = (named("a"), named("b"));
    let list = |addresses: &[SocketAddr]| {
        let list: Vec<_> = addresses.iter().map(|address| format!("\"{address}\"")).collect();
        std::fs::write(&file, format!("endpoints = [{}]", list.join(", "))).unwrap();
    };
    list(&[a.address()]);
    let weir = start(&format!("file = {{ path = \"{}\" }}", file.display()));
    wait_for_names(&weir, &["a"]);
    let before = a.seen().accepted;
    list(&[b.address()]);
    wait_for_names(&weir, &["b"]);
    list(&[a.address()]);
    wait_for_names(&weir, &["a"]);
    assert!(a.seen().accepted > before, "{before} connections, all of before it left");
}

#[test]
fn an_exchange_on_an_endpoint_that_leaves_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("endpoints.toml");
    let gate = weir_testkit::Gate::closed();
    let held = gate.clone();
    let a = Endpoint::start(move |_| Plan::new().wait(&held).reply(Reply::new(200).body("a")));
    let b = named("b");
    let list = |address| std::fs::write(&file, format!("endpoints = [\"{address}\"]")).unwrap();
    list(a.address());
    let weir = start(&format!("file = {{ path = \"{}\" }}", file.display()));
    let mut client = Raw::connect(weir.address());
    client.write("GET / HTTP/1.1\r\nHost: weir.test\r\n\r\n");
    a.wait_for_requests(1);
    list(b.address());
    weir.wait_for_metric("weir_endpoint_up", &[("endpoint", &b.address().to_string())], |up| up >= 1.0);
    wait_for_names(&weir, &["b"]);
    gate.open();
    assert_eq!(client.response().text(), "a");
}
