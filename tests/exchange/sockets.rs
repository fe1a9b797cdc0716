//! Too many connections, and no file descriptor left.

use std::process::Command;
use std::time::Duration;

use weir_testkit::{Endpoint, Process, Raw, Reply};

use crate::setup::{Setup, get};

#[test]
fn a_connection_beyond_the_limit_waits_and_is_served_when_one_closes() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let weir = Setup { listener: "max_connections = 2", ..Setup::default() }.start(&endpoint);
    let mut first = Raw::connect(weir.address());
    let mut second = Raw::connect(weir.address());
    assert_eq!(first.write(get("/", "")).response().status, 200);
    assert_eq!(second.write(get("/", "")).response().status, 200);
    let mut third = Raw::connect(weir.address());
    third.write(get("/", ""));
    assert!(!third.hears_within(Duration::from_millis(300)), "there was no place for it");
    assert_eq!(weir.metric("weir_connections", &[]), 2.0);
    assert_eq!(first.write(get("/", "")).response().status, 200, "those inside are served on");
    drop(first);
    assert_eq!(third.response().status, 200);
    drop(second);
    drop(third);
    weir.wait_for_metric("weir_connections", &[], |open| open == 0.0);
}

#[test]
fn a_listener_on_all_addresses_of_ipv6_leaves_its_port_to_ipv4() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("SKIPPED: this machine has no IPv6 loopback address");
        return;
    }
    let endpoint = Endpoint::replying(Reply::new(200));
    let port = weir_testkit::free_port();
    let second = format!("[[listener]]\naddress = \"0.0.0.0:{port}\"\n[[listener]]\naddress = \"[::]:{port}\"");
    let weir = Setup { listener: &second, ..Setup::default() }.start(&endpoint);
    assert_eq!(weir.listeners().len(), 3);
    for address in [format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
        assert_eq!(Raw::get(address.parse().unwrap(), "/").status, 200, "{address}");
    }
}

/// CPU time that the process has used, in clock ticks (10 ms).
fn ticks(process: &Process) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid())).unwrap();
    let behind_name = stat.rsplit_once(')').unwrap().1;
    let field = |n: usize| behind_name.split_whitespace().nth(n).unwrap().parse::<u64>().unwrap();
    field(11) + field(12)
}

#[test]
fn a_process_without_a_descriptor_left_waits_without_burning_its_core_and_recovers() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weir.toml");
    let setup = Setup { server: "threads = 1", ..Setup::default() };
    std::fs::write(&file, setup.toml(&[&endpoint])).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 40 && exec \"$0\" run \"$1\"", env!("CARGO_BIN_EXE_weir")]).arg(&file);
    let mut weir = Process::spawn(command);
    let address = weir.wait_for_line("listening on http://").parse().unwrap();
    let said = "cannot accept";
    let mut clients: Vec<Raw> = (0..60).map(|_| Raw::connect(address)).collect();
    for client in &mut clients {
        client.write(get("/", ""));
    }
    weir.wait_for_output(said);
    let before = ticks(&weir);
    let last = clients.last_mut().unwrap();
    assert!(!last.hears_within(Duration::from_secs(1)), "there was no descriptor for it");
    let used = ticks(&weir) - before;
    assert!(used < 30, "{used} ticks of CPU in a second of waiting");
    let mut last = clients.pop().unwrap();
    drop(clients);
    let response = last.response();
    assert!([200, 502].contains(&response.status), "{}", response.status);
    assert_eq!(Raw::ask(address, get("/", "")).status, 200, "and everything is as before");
}
