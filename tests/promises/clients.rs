//! The clients that people use, through weir.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use weir_testkit::{Endpoint, Plan, Raw, Reply, Weir, hash, pattern, require};

use crate::support::{Setup, assert_metric, get};

/// An endpoint that sends a request's body back, and a weir before it.
fn echo() -> (Endpoint, Weir) {
    let endpoint = Endpoint::start(|call| match call.method() {
        "GET" => Reply::new(200).body("hello").into(),
        _ => Plan::new().echo_body(),
    });
    let weir = Setup::before(&[&endpoint]).route("body = { max = \"64MiB\" }").start();
    (endpoint, weir)
}

/// Runs a program to its end and gives what it printed; panics when it fails.
fn run(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{} {arguments:?}: {}\n{said}", program.display(), output.status);
    said
}

#[test]
fn python_posts_and_gets_over_one_connection() {
    let Some(python) = require("python3") else { return };
    let (_endpoint, weir) = echo();
    let script = r"
import http.client, sys
connection = http.client.HTTPConnection('127.0.0.1', int(sys.argv[1]), timeout=10)
connection.connect()
socket = connection.sock
for turn in range(50):
    connection.request('GET', '/')
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b'hello'), turn
    body = bytes([turn]) * (turn * 3001)
    connection.request('POST', '/', body=body)
    assert connection.getresponse().read() == body, turn
    connection.request('POST', '/', body=iter([b'piece ', b'by ', b'piece']), encode_chunked=True,
                       headers={'Transfer-Encoding': 'chunked'})
    assert connection.getresponse().read() == b'piece by piece', turn
    assert connection.sock is socket, turn
print('150 answers')
";
    let said = run(&python, &["-c", script, &weir.address().port().to_string()]);
    assert_eq!(said.trim(), "150 answers");
    assert_metric(&weir, "weir_connections_total", &[], 1);
}

#[test]
fn curl_gets_its_100_continue_and_uploads_counted_and_chunked() {
    let Some(curl) = require("curl") else { return };
    let (endpoint, weir) = echo();
    let folder = tempfile::tempdir().unwrap();
    let (sent, got) = (folder.path().join("sent"), folder.path().join("got"));
    let body = pattern(1, 3_000_000);
    std::fs::write(&sent, &body).unwrap();
    let (url, upload) = (format!("http://{}/", weir.address()), format!("@{}", sent.display()));
    let forms: [&[&str]; 4] = [
        &["--data-binary", &upload],
        &["--data-binary", &upload, "-H", "Expect: 100-continue", "--expect100-timeout", "60"],
        &["--data-binary", &upload, "-H", "Transfer-Encoding: chunked"],
        &["-T", &sent.display().to_string(), "-H", "Transfer-Encoding: chunked"],
    ];
    for form in forms {
        let mut arguments = vec!["-sS", "--fail", "--max-time", "10", "-o", got.to_str().unwrap(), &url];
        arguments.extend(form);
        run(&curl, &arguments);
        let last = endpoint.requests().pop().unwrap();
        assert_eq!((last.body.length, last.body.hash), (body.len() as u64, hash(&body)), "{form:?}");
        let got = std::fs::read(&got).unwrap();
        assert_eq!((got.len(), hash(&got)), (body.len(), hash(&body)), "{form:?}");
    }
}

#[test]
fn wrk_gets_its_answers_without_an_error() {
    let Some(wrk) = require("wrk") else { return };
    let (endpoint, weir) = echo();
    let said = run(&wrk, &["-t1", "-c8", "-d1s", &format!("http://{}/", weir.address())]);
    assert!(!said.contains("Socket errors") && !said.contains("Non-2xx"), "{said}");
    assert!(endpoint.requests().len() > 8, "{said}");
}

#[test]
fn h2load_gets_its_answers_over_http_1() {
    let Some(h2load) = require("h2load") else { return };
    let (_endpoint, weir) = echo();
    let said = run(&h2load, &["--h1", "-n", "2000", "-c", "8", "-m", "4", &format!("http://{}/", weir.address())]);
    assert!(said.contains("2000 succeeded, 0 failed, 0 errored, 0 timeout"), "{said}");
    assert_metric(&weir, "weir_requests_total", &[("code", "2xx")], 2000);
}

/// A real WebSocket peer that sends back what it gets, for one connection.
fn websocket_peer() -> (std::net::SocketAddr, std::thread::JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let peer = std::thread::spawn(move || {
        let mut socket = tungstenite::accept(listener.accept().unwrap().0).unwrap();
        let mut messages = 0;
        loop {
            match socket.read() {
                Ok(message) if message.is_text() || message.is_binary() => {
                    messages += 1;
                    socket.send(message).unwrap();
                }
                Ok(_) => {}
                Err(tungstenite::Error::ConnectionClosed) => return messages,
                Err(error) => panic!("{error}"),
            }
        }
    });
    (address, peer)
}

#[test]
fn a_websocket_carries_messages_both_ways_and_its_close() {
    let (address, peer) = websocket_peer();
    // The whole deadline is over long before the last message: it is not for tunnels.
    let weir = Setup::of(&[address]).route("timeout = { total = \"200ms\", connect = \"100ms\" }").start();
    let (mut socket, answer) = tungstenite::connect(format!("ws://{}/chat", weir.address())).unwrap();
    assert_eq!(answer.status(), 101);
    for turn in 0..300_usize {
        let message = tungstenite::Message::binary(pattern(turn as u64, turn * 997));
        socket.send(message.clone()).unwrap();
        assert_eq!(socket.read().unwrap(), message);
    }
    weir.wait_for_metric("weir_in_flight", &[], |count| count > 0.5);
    socket.close(None).unwrap();
    while socket.read().is_ok() {}
    assert_eq!(peer.join().unwrap(), 300);
    weir.wait_for_metric("weir_in_flight", &[], |count| count < 0.5);
    assert_metric(&weir, "weir_ejections_total", &[], 0);
}

#[test]
fn a_thousand_requests_pipelined_in_one_go_are_all_answered_in_order() {
    let endpoint = Endpoint::start(|call| Reply::new(200).body(call.target().to_owned()).into());
    let weir = Setup::before(&[&endpoint]).route("host = \"weir.test\"").start();
    let mut client = Raw::connect(weir.address());
    let one = |n: usize| {
        if n.is_multiple_of(10) { get(&format!("/{n}")) } else { "GET / HTTP/1.1\r\nHost: x\r\n\r\n".into() }
    };
    client.write((0..1000).map(one).collect::<String>());
    for n in 0..1000_usize {
        let answer = client.response();
        if n.is_multiple_of(10) {
            assert_eq!((answer.status, answer.text()), (200, format!("/{n}")));
        } else {
            assert_eq!(answer.status, 404, "{n}");
        }
    }
}
