//! Upgrades: a connection that becomes a tunnel, or does not.

use std::io::{Read, Write};
use std::net::TcpListener;

use weir_testkit::{Endpoint, Plan, Raw, Reply, Weir, pattern};

use crate::setup::{Setup, assert_refused, get, wait_until_leases_are_back, weir};

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n";

#[test]
fn bytes_glued_to_either_head_arrive_and_a_megabyte_comes_back_exact() {
    let endpoint = Endpoint::start(|_| Plan::upgrade_echo(b"welcome"));
    let weir = weir(&endpoint);
    let mut client = Raw::connect(weir.address());
    client.write(format!("{}early", get("/chat", UPGRADE)));
    let response = client.response();
    assert_eq!(response.status, 101);
    assert_eq!(response.field("upgrade"), Some("websocket"));
    assert!(response.head.lists("connection", "upgrade"));
    assert_eq!(response.field("transfer-encoding"), None);
    assert_eq!(client.bytes(7), b"welcome");
    assert_eq!(client.bytes(5), b"early");
    let sent = pattern(4, 1 << 20);
    let mut writer = client.writer();
    let sender = std::thread::spawn({
        let sent = sent.clone();
        move || writer.write_all(&sent)
    });
    assert!(client.bytes(sent.len()) == sent, "the echo differs");
    sender.join().unwrap().unwrap();
    let requests = endpoint.wait_for_requests(1);
    let head = &requests.first().unwrap().head;
    assert!(head.lists("connection", "upgrade"));
    assert_eq!((head.field("upgrade"), head.field("sec-websocket-key")), (Some("websocket"), Some("x")));
}

#[test]
fn bytes_sent_while_the_endpoint_still_thinks_arrive_in_the_tunnel() {
    let gate = weir_testkit::Gate::closed();
    let endpoint = Endpoint::start({
        let gate = gate.clone();
        move |_| Plan::new().wait(&gate).then(|_| Plan::upgrade_echo(b""))
    });
    let weir = weir(&endpoint);
    let mut client = Raw::connect(weir.address());
    client.write(get("/chat", UPGRADE));
    gate.wait_for_arrivals(1);
    client.write_pieces(["im", "pat", "ient"]);
    gate.open();
    assert_eq!(client.response().status, 101);
    assert_eq!(client.bytes(9), b"impatient");
    client.write("more");
    assert_eq!(client.bytes(4), b"more");
}

#[test]
fn a_client_that_ends_a_tunnel_ends_the_endpoints_side() {
    let endpoint = Endpoint::start(|_| Plan::upgrade_echo(b""));
    let weir = weir(&endpoint);
    let mut client = Raw::connect(weir.address());
    client.write(get("/chat", UPGRADE));
    assert_eq!(client.response().status, 101);
    drop(client);
    endpoint.wait_for_close(1);
    wait_until_leases_are_back(&weir);
}

#[test]
fn what_a_client_sent_before_it_ended_the_tunnel_arrives_at_an_endpoint_that_reads_late() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (go, wait) = std::sync::mpsc::channel();
    let endpoint = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n").unwrap();
        wait.recv().unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        got
    });
    let toml = Setup::default().toml(&[]).replace("endpoints = []", &format!("endpoints = [\"{address}\"]"));
    let weir = Weir::start(env!("CARGO_BIN_EXE_weir"), &toml);
    let mut client = Raw::connect(weir.address());
    client.write(get("/chat", UPGRADE));
    assert_eq!(client.response().status, 101);
    let sent = pattern(1, 8 << 20);
    let mut writer = client.writer();
    let sender = std::thread::spawn({
        let sent = sent.clone();
        move || writer.write_all(&sent)
    });
    // The endpoint's buffers, and weir, are full by the time it starts to read, or soon: either way all must arrive.
    go.send(()).unwrap();
    sender.join().unwrap().unwrap();
    drop(client);
    let got = endpoint.join().unwrap();
    assert!(got == sent, "{} of {} bytes arrived", got.len(), sent.len());
    wait_until_leases_are_back(&weir);
}

#[test]
fn an_endpoint_that_ends_a_tunnel_ends_the_clients_side_behind_its_last_byte() {
    let endpoint = Endpoint::start(|_| {
        Plan::new()
            .write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
            .write(pattern(1, 300_000))
            .close()
    });
    let weir = weir(&endpoint);
    let mut client = Raw::connect(weir.address());
    client.write(get("/chat", UPGRADE));
    assert_eq!(client.response().status, 101);
    let (rest, _) = client.read_to_end();
    assert!(rest == pattern(1, 300_000), "{} bytes came", rest.len());
    wait_until_leases_are_back(&weir);
}

#[test]
fn a_tunnel_outlives_the_total_deadline() {
    let endpoint = Endpoint::start(|_| Plan::upgrade_echo(b""));
    let route = r#"timeout = { connect = "200ms", read = "10s", total = "300ms" }"#;
    let weir = Setup { route, ..Setup::default() }.start(&endpoint);
    let mut client = Raw::connect(weir.address());
    client.write(get("/chat", UPGRADE));
    assert_eq!(client.response().status, 101);
    assert!(!client.hears_within(std::time::Duration::from_millis(600)), "the tunnel was ended");
    client.write("still here");
    assert_eq!(client.bytes(10), b"still here");
}

#[test]
fn a_tunnel_in_which_nothing_moves_is_closed_in_the_end() {
    let endpoint = Endpoint::start(|_| Plan::upgrade_echo(b""));
    let weir = Setup { route: r#"timeout = { read = "300ms" }"#, ..Setup::default() }.start(&endpoint);
    let mut client = Raw::connect(weir.address());
    client.write(get("/chat", UPGRADE));
    assert_eq!(client.response().status, 101);
    assert!(client.is_ended());
    endpoint.wait_until_idle();
    wait_until_leases_are_back(&weir);
}

#[test]
fn an_upgrade_that_is_answered_200_leaves_both_connections_usable() {
    let endpoint = Endpoint::replying(Reply::new(200).body("no tunnel"));
    let weir = weir(&endpoint);
    let mut client = Raw::connect(weir.address());
    for _ in 0..3 {
        let response = client.write(get("/chat", UPGRADE)).response();
        assert_eq!((response.status, response.text()), (200, "no tunnel".to_owned()));
        assert_eq!(response.field("connection"), Some("keep-alive"));
    }
    assert_eq!(client.write(get("/", "")).response().text(), "no tunnel");
    assert_eq!(endpoint.seen().accepted, 1);
}

#[test]
fn a_101_that_nobody_asked_for_is_a_bad_answer() {
    let endpoint = Endpoint::start(|_| Plan::upgrade_echo(b""));
    let weir = Setup { route: "retry = { tries = 1 }", ..Setup::default() }.start(&endpoint);
    assert_refused(&weir, &Raw::get(weir.address(), "/"), 502, "bad_answer");
    endpoint.wait_for_close(1);
}

#[test]
fn an_upgrade_field_without_the_word_in_connection_asks_for_nothing() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let weir = weir(&endpoint);
    Raw::ask(weir.address(), get("/", "Upgrade: h2c\r\n"));
    let requests = endpoint.wait_for_requests(1);
    let head = &requests.first().unwrap().head;
    assert_eq!((head.field("upgrade"), head.field("connection")), (None, None));
}

#[test]
fn an_upgrade_to_another_http_is_served_without_the_upgrade() {
    let endpoint = Endpoint::replying(Reply::new(200).body("plain"));
    let weir = weir(&endpoint);
    let lines = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n";
    let response = Raw::ask(weir.address(), get("/", lines));
    assert_eq!((response.status, response.text()), (200, "plain".to_owned()));
    let requests = endpoint.requests();
    let head = String::from_utf8_lossy(&requests[0].head.raw).to_lowercase();
    assert!(!head.contains("upgrade") && !head.contains("http2-settings"), "{head}");
}
