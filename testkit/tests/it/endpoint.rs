//! The scripted endpoint.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use weir_testkit::{End, Endpoint, Gate, Plan, Raw, Reply, Script, hash, pattern, pattern_hash};

#[test]
fn requests_are_recorded_with_head_body_and_trailers() {
    let endpoint = Endpoint::replying(Reply::new(200).body("hello"));
    let mut client = Raw::connect(endpoint.address());
    client.write("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(client.response().text(), "hello");
    client.write("POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.write_pieces(["2\r\nde\r", "\n1;x=y\r\nf\r\n0\r\n", "Sum: 6\r\n\r\n"]);
    assert_eq!(client.response().status, 200);

    let requests = endpoint.wait_for_bodies(2);
    let (first, second) = (&requests[0], &requests[1]);
    assert_eq!((first.method(), first.target(), &first.body.kept[..]), ("POST", "/a", &b"abc"[..]));
    assert_eq!(first.head.raw, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n");
    assert_eq!((second.target(), &second.body.kept[..], second.body.hash), ("/b", &b"def"[..], hash(b"def")));
    assert_eq!(second.body.trailers, ["Sum: 6"]);
    assert_eq!(endpoint.seen().accepted, 1);
}

#[test]
fn a_large_body_is_checked_without_being_held() {
    let length = 20 * 1024 * 1024 + 1;
    let endpoint = Endpoint::replying(Reply::new(200).pattern(2, length));
    let mut client = Raw::connect(endpoint.address());
    client.write(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"));
    client.try_write_pattern(1, length).unwrap();
    let answer = client.response();
    assert_eq!((answer.body.length, answer.body.hash), (length, pattern_hash(2, length)));
    let received = endpoint.wait_for_bodies(1).remove(0).body;
    assert_eq!((received.length, received.hash), (length, pattern_hash(1, length)));
    assert_eq!(received.kept, pattern(1, 1024 * 1024));
}

#[test]
fn the_first_connection_can_be_reset_in_the_middle_of_a_body() {
    let endpoint = Endpoint::start(|call| match call.connection {
        0 => Plan::new().read_bytes(5).reset(),
        _ => Reply::new(200).into(),
    });
    let request = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234";
    let mut client = Raw::connect(endpoint.address());
    client.write(request);
    assert_eq!(client.try_response("POST").unwrap_err(), End::Reset);
    assert_eq!(Raw::ask(endpoint.address(), format!("{request}56789")).status, 200);
    let requests = endpoint.wait_for_requests(2);
    assert_eq!((requests[0].body.length, requests[0].body.complete), (5, false));
}

#[test]
fn an_answer_waits_for_its_gate_and_a_client_that_leaves_is_seen() {
    let gate = Gate::closed();
    let door = gate.clone();
    let endpoint = Endpoint::start(move |_| Plan::new().read_body().wait(&door).reply(Reply::new(204)));
    let get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut patient = Raw::connect(endpoint.address());
    patient.write(get);
    let mut leaving = Raw::connect(endpoint.address());
    leaving.write(get);
    gate.wait_for_arrivals(2);
    drop(leaving);
    endpoint.wait_for_close(1);
    gate.open();
    assert_eq!(patient.response().status, 204);
}

#[test]
fn faults_look_like_faults() {
    let whole = Reply::new(200).body("0123456789");
    let cut = whole.to_bytes("GET").len() - 4;
    let faults = [
        Plan::new().part_of(&whole, cut).close(),
        Plan::new().part_of(&whole, 12).reset(),
        Plan::new().close(),
        Plan::from(Reply::new(200).body("short").claim_length(9)).close(),
        Plan::from(Reply::new(200).body("to the end").until_close()),
        Plan::new().interim(103, &[("Link", "</a>")]).reply(Reply::new(200).body("hints").chunked()),
        Plan::new().trickle(whole.to_bytes("GET"), 7, Duration::from_millis(1)),
    ];
    let endpoint = Endpoint::scripted(faults);
    let ask = || {
        let mut client = Raw::connect(endpoint.address());
        client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n").try_response("GET")
    };
    let answer = ask().unwrap();
    assert_eq!((answer.text().as_str(), answer.body.complete), ("012345", false));
    assert_eq!(ask().unwrap_err(), End::Reset);
    assert_eq!(ask().unwrap_err(), End::Eof);
    assert!(!ask().unwrap().body.complete);
    assert_eq!(ask().unwrap().text(), "to the end");
    let hinted = ask().unwrap();
    assert_eq!((hinted.interim[0].0, hinted.text().as_str()), (103, "hints"));
    assert_eq!(ask().unwrap().text(), "0123456789");
}

#[test]
fn a_connection_can_be_reset_before_its_first_request() {
    let script = Script::new(|_| Reply::new(200).into());
    let endpoint = Endpoint::with(script.on_accept(|n| if n == 0 { Plan::new().reset() } else { Plan::new() }));
    let mut client = Raw::connect(endpoint.address());
    assert_eq!(client.try_response("GET").unwrap_err(), End::Reset);
    assert_eq!(Raw::get(endpoint.address(), "/").status, 200);
}

#[test]
fn an_early_answer_does_not_wait_for_the_body() {
    let endpoint = Endpoint::start(|_| Plan::new().reply(Reply::new(413)).hang());
    let mut client = Raw::connect(endpoint.address());
    client.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nab");
    assert_eq!(client.response().status, 413);
    assert_eq!(endpoint.requests()[0].body.length, 0);
}

#[test]
fn bodies_and_tunnels_are_echoed_both_ways_at_once() {
    let endpoint = Endpoint::start(|call| match call.target() {
        "/echo" => Plan::new().echo_body(),
        _ => Plan::upgrade_echo(b"glued"),
    });
    let length = 5 * 1024 * 1024;
    let mut client = Raw::connect(endpoint.address());
    client.write(format!("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"));
    let body = pattern(7, length);
    let mut writer: TcpStream = client.writer();
    let writing = std::thread::spawn(move || writer.write_all(&body));
    assert_eq!(client.response().body.hash, pattern_hash(7, length as u64));
    writing.join().unwrap().unwrap();

    client.write("GET /up HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(client.response().status, 101);
    assert_eq!(client.write("ping").bytes(9), b"gluedping");
    assert!(client.half_close().is_ended());
}

#[test]
fn a_stopped_endpoint_refuses_and_comes_back_on_its_port() {
    let mut endpoint = Endpoint::replying(Reply::new(200));
    let mut kept = Raw::connect(endpoint.address());
    kept.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n").response();
    endpoint.stop();
    assert!(kept.is_ended());
    assert!(Raw::try_connect(endpoint.address(), Duration::from_secs(1)).is_err());
    endpoint.restart();
    assert_eq!(Raw::get(endpoint.address(), "/").status, 200);
    assert_eq!(endpoint.requests().len(), 2);
}

#[test]
fn bytes_that_are_no_request_are_shown() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let mut client = Raw::connect(endpoint.address());
    client.write("GET / HTT").half_close();
    assert!(client.is_ended());
    assert_eq!(endpoint.wait_until_idle().stray, ["GET / HTT"]);
}
