//! How a weir starts, what it writes down, and how it leaves.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::Command;

use serde_json::Value;
use weir_testkit::{Endpoint, Gate, PATIENCE, Plan, Process, Raw, Reply, Signal, Weir, eventually};

use crate::support::{Setup, WEIR, ask, get, post, wait_for_words};

/// An endpoint that answers when the gate opens.
fn held() -> (Endpoint, Gate) {
    let gate = Gate::closed();
    let door = gate.clone();
    (Endpoint::start(move |_| Plan::new().wait(&door).reply(Reply::new(200).body("late"))), gate)
}

/// A client whose request waits at the gate.
fn waiting_client(weir: &Weir, gate: &Gate) -> Raw {
    let mut client = Raw::connect(weir.address());
    client.write(get("/"));
    gate.wait_for_arrivals(1);
    client
}

/// Waits until the listener takes nobody any more.
fn wait_for_refusal(weir: &Weir) {
    eventually("the listener is closed", || Raw::try_connect(weir.address(), PATIENCE).is_err());
}

#[test]
fn a_weir_that_runs_is_alive_and_ready() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let weir = Setup::before(&[&endpoint]).start();
    assert_eq!(Raw::get(weir.admin(), "/healthz").status, 200);
    assert_eq!(Raw::get(weir.admin(), "/readyz").status, 200);
    assert_eq!(Raw::get(weir.admin(), "/nothing").status, 404);
}

#[test]
fn from_the_signal_to_the_end_of_the_delay_readiness_fails_and_clients_are_served_and_sent_away() {
    for signal in [Signal::TERM, Signal::INT] {
        let endpoint = Endpoint::replying(Reply::new(200).body("still here"));
        let mut weir = Setup::before(&[&endpoint]).server("shutdown_delay = \"10m\"").start();
        let mut early = Raw::connect(weir.address());
        assert!(!ask(&mut early, get("/")).head.lists("connection", "close"));

        weir.signal(signal);
        eventually("readiness fails", || Raw::get(weir.admin(), "/readyz").status == 503);
        assert_eq!(Raw::get(weir.admin(), "/healthz").status, 200);
        for mut client in [early, Raw::connect(weir.address())] {
            let answer = ask(&mut client, get("/"));
            assert_eq!((answer.status, answer.text().as_str()), (200, "still here"));
            assert!(answer.head.lists("connection", "close"));
            assert!(client.is_ended());
        }
        assert!(weir.is_running());

        weir.signal(signal);
        assert_eq!(weir.wait(PATIENCE).code(), Some(0));
    }
}

#[test]
fn an_exchange_under_way_is_finished_after_the_listeners_have_closed_and_then_weir_leaves() {
    let (endpoint, gate) = held();
    let mut weir = Setup::before(&[&endpoint]).server("shutdown_delay = \"0s\"\nshutdown_deadline = \"10m\"").start();
    let mut client = waiting_client(&weir, &gate);
    weir.signal(Signal::TERM);
    wait_for_refusal(&weir);
    assert!(weir.is_running());
    gate.open();
    let answer = client.response();
    assert_eq!((answer.status, answer.text().as_str()), (200, "late"));
    assert!(answer.head.lists("connection", "close"));
    assert_eq!(weir.wait(PATIENCE).code(), Some(0));
    wait_for_words(&weir, "drained");
}

#[test]
fn the_deadline_cuts_off_what_still_runs() {
    let (endpoint, gate) = held();
    let mut weir = Setup::before(&[&endpoint]).server("shutdown_delay = \"0s\"\nshutdown_deadline = \"200ms\"").start();
    let mut client = waiting_client(&weir, &gate);
    weir.signal(Signal::TERM);
    weir.wait(PATIENCE);
    assert!(client.is_ended());
    wait_for_words(&weir, "cut off");
    endpoint.wait_for_close(1);
}

#[test]
fn a_second_signal_does_not_wait_for_what_runs() {
    let (endpoint, gate) = held();
    let mut weir = Setup::before(&[&endpoint]).server("shutdown_delay = \"0s\"\nshutdown_deadline = \"10m\"").start();
    let mut client = waiting_client(&weir, &gate);
    weir.signal(Signal::TERM);
    wait_for_refusal(&weir);
    weir.signal(Signal::INT);
    weir.wait(PATIENCE);
    assert!(client.is_ended());
}

#[test]
fn kept_alive_connections_without_a_request_do_not_hold_it() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let mut weir = Setup::before(&[&endpoint]).server("shutdown_delay = \"0s\"\nshutdown_deadline = \"10m\"").start();
    let mut used = Raw::connect(weir.address());
    assert_eq!(ask(&mut used, get("/")).status, 200);
    let mut silent = Raw::connect(weir.address());
    // Of the admin listener too: a scraper keeps its connection.
    let mut scraper = Raw::connect(weir.admin());
    assert_eq!(ask(&mut scraper, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").status, 200);
    weir.wait_for_metric("weir_connections", &[], |open| open >= 2.0);
    weir.signal(Signal::TERM);
    assert_eq!(weir.wait(PATIENCE).code(), Some(0));
    assert!(used.is_ended() && silent.is_ended());
    wait_for_words(&weir, "drained");
}

/// Runs weir with this configuration to its end: exit code and what it said.
fn run_to_its_end(toml: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weir.toml");
    std::fs::write(&file, toml).unwrap();
    let mut process = Process::start(WEIR, ["run".as_ref(), file.as_os_str()]);
    let code = process.wait(PATIENCE).code();
    // The process is gone, but its last lines may still be on their way through the pipe.
    process.wait_for_line("error: ");
    (code, process.output())
}

#[test]
fn a_taken_address_is_named_and_ends_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let toml = Setup::of(&[Endpoint::absent()]).toml();
    for which in ["[[listener]]\naddress", "[admin]\nlisten"] {
        let toml = toml.replace(&format!("{which} = \"127.0.0.1:0\""), &format!("{which} = \"{address}\""));
        let (code, said) = run_to_its_end(&toml);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(&format!("`{address}`")) && said.contains("in use"), "{said}");
        assert!(!said.contains("listening on"), "{said}");
    }
}

#[test]
fn an_access_log_that_cannot_be_opened_is_named_and_ends_the_start() {
    let toml = Setup::of(&[Endpoint::absent()]).log("access = \"/nowhere/at/all.log\"").toml();
    let (code, said) = run_to_its_end(&toml);
    assert_eq!(code, Some(1));
    assert!(said.contains("/nowhere/at/all.log"), "{said}");
}

#[test]
fn the_access_log_has_one_line_of_json_for_each_exchange_with_all_that_happened() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let (dead, good) = (Endpoint::absent(), Endpoint::replying(Reply::new(201).body("twelve bytes")));
    let weir = Setup::of(&[dead, good.address()])
        .route("host = \"weir.test\"")
        .log(&format!("access = \"{}\"", file.display()))
        .start();
    // Whoever scrapes keeps a connection open, which must not cost a line.
    let mut scraper = Raw::connect(weir.admin());
    assert_eq!(ask(&mut scraper, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").status, 200);
    let mut client = Raw::connect(weir.address());
    let mut request = post("/a/b?c=\"d\"", b"order");
    let at = request.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    request.splice(at..at, b"\r\nX-Request-Id: my-own-id".iter().copied());
    assert_eq!(ask(&mut client, request).status, 201);
    assert_eq!(ask(&mut client, "GET / HTTP/1.1\r\nHost: other.test\r\n\r\n").status, 404);
    assert_eq!(Raw::ask(weir.address(), "GET / HTTP/1.1\r\n\r\n").status, 400);
    assert_eq!(weir.stop().code(), Some(0));

    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3, "{text}");
    // Two connections may be noted in either order.
    let with = |status: u16| lines.iter().find(|line| line["status"] == status).unwrap();
    let (first, unrouted, malformed) = (with(201), with(404), with(400));
    assert_eq!(first["id"], "my-own-id");
    assert_eq!(first["client"], "127.0.0.1");
    assert_eq!((&first["method"], &first["host"]), (&"POST".into(), &"weir.test".into()));
    assert_eq!(first["target"], "/a/b?c=\"d\"");
    assert_eq!((&first["route"], &first["service"]), (&"weir.test/".into(), &"s".into()));
    assert_eq!(first["tried"][0]["endpoint"], dead.to_string());
    assert_eq!(first["tried"][0]["outcome"], "connect");
    assert_eq!(first["tried"][1]["endpoint"], good.address().to_string());
    assert_eq!(first["tried"][1]["outcome"], "answered");
    assert_eq!((&first["status"], &first["refusal"]), (&201.into(), &Value::Null));
    assert_eq!((&first["bytes_in"], &first["bytes_out"]), (&5.into(), &12.into()));
    for time in ["time", "connect_ms", "first_byte_ms", "total_ms"] {
        assert!(first[time].is_f64() || first[time].is_u64(), "{time}: {first}");
    }
    assert_eq!(unrouted["refusal"], "no_route");
    assert!(unrouted["id"].as_str().is_some_and(|id| !id.is_empty()), "{unrouted}");
    assert_eq!((&malformed["refusal"], &malformed["client"]), (&"bad_host".into(), &"127.0.0.1".into()));
}

#[test]
fn an_access_log_that_nobody_reads_holds_up_neither_exchanges_nor_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("access.fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // Open for both, so that it opens at all; read by nobody.
    let reader = std::fs::OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
    let mut weir = Setup::of(&[Endpoint::absent()])
        .route("host = \"weir.test\"")
        .log(&format!("access = \"{}\"", fifo.display()))
        .start();
    let mut client = Raw::connect(weir.address());
    let batch = "GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(200);
    while weir.metric("weir_access_log_dropped_total", &[]) < 1.0 {
        client.extend(PATIENCE).write(&batch);
        for _ in 0..200 {
            assert_eq!(client.response().status, 404);
        }
    }
    weir.signal(Signal::TERM);
    assert_eq!(weir.wait(PATIENCE).code(), Some(0));
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).unwrap();
    assert!(serde_json::from_str::<Value>(&line).is_ok(), "{line}");
}

#[test]
fn a_client_that_the_kernel_had_let_in_when_the_end_was_asked_for_is_served() {
    let endpoint = Endpoint::replying(Reply::new(200).body("in time"));
    let mut weir = Setup::before(&[&endpoint]).start();
    // Stopped, weir accepts nothing, but its system does; then the signal to leave is the first thing it hears of.
    weir.signal(Signal::STOP);
    let mut clients: Vec<Raw> = (0..8).map(|_| Raw::connect(weir.address())).collect();
    for client in &mut clients {
        client.write(get("/"));
    }
    weir.signal(Signal::TERM);
    weir.signal(Signal::CONT);
    for client in &mut clients {
        assert_eq!(client.response().text(), "in time");
        assert!(client.is_ended());
    }
    assert_eq!(weir.wait(PATIENCE).code(), Some(0));
}

#[test]
fn an_answer_that_the_whole_deadline_cuts_is_counted_and_logged_as_cut() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let endpoint = Endpoint::start(|_| Plan::new().part_of(&Reply::new(200).pattern(1, 1000), 500).hang());
    let weir = Setup::before(&[&endpoint])
        .route("timeout = { total = \"300ms\" }")
        .log(&format!("access = \"{}\"", file.display()))
        .start();
    assert!(!Raw::ask(weir.address(), get("/")).body.complete);
    weir.wait_for_metric("weir_answers_cut_total", &[], |cut| cut > 0.5);
    assert_eq!(weir.stop().code(), Some(0));
    let line: Value = serde_json::from_str(std::fs::read_to_string(&file).unwrap().trim()).unwrap();
    assert_eq!((&line["status"], &line["cut"]), (&200.into(), &true.into()));
}

#[test]
fn weir_serves_on_when_nobody_reads_what_it_prints() {
    let endpoint = Endpoint::replying(Reply::new(200).body("served"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weir.toml");
    let address = format!("127.0.0.1:{}", weir_testkit::free_port());
    let toml = Setup::before(&[&endpoint]).toml().replacen(
        "address = \"127.0.0.1:0\"",
        &format!("address = \"{address}\""),
        1,
    );
    std::fs::write(&file, toml).unwrap();
    // As behind `weir run FILE | true`: the reader of its standard output has gone before a line is written.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut weir = Child(Command::new(WEIR).arg("run").arg(&file).stdout(writer).spawn().unwrap());
    eventually("it answers", || {
        std::net::TcpStream::connect(&address).is_ok() && Raw::get(address.parse().unwrap(), "/").text() == "served"
    });
    let pid = weir.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(weir.0.wait().unwrap().success());
}

/// A process that does not outlive its test.
struct Child(std::process::Child);

impl Drop for Child {
    fn drop(&mut self) {
        // Ended already, if the test went well.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
