//! Clients that leave: the endpoint is told at once, and its lease is returned.

use weir_testkit::{Endpoint, Gate, Plan, Raw, Reply, Weir};

use crate::setup::{HOLDS, STREAMS, Setup, get, post, wait_until_leases_are_back, weir};

#[derive(Clone, Copy, Debug)]
enum Leaving {
    Fin,
    Reset,
}

const BOTH: [Leaving; 2] = [Leaving::Fin, Leaving::Reset];

fn leave(client: Raw, how: Leaving) {
    match how {
        Leaving::Fin => drop(client),
        Leaving::Reset => client.reset(),
    }
}

/// Nobody is left behind, nobody is blamed.
fn assert_all_is_given_back(weir: &Weir, endpoint: &Endpoint, closed: usize) {
    endpoint.wait_for_close(closed);
    wait_until_leases_are_back(weir);
    assert_eq!(weir.metric("weir_ejections_total", &[]), 0.0);
    assert_eq!(weir.metric("weir_endpoint_up", &[]), 1.0);
}

#[test]
fn a_client_that_leaves_while_it_waits_for_an_answer_to_a_get() {
    let endpoint = Endpoint::start(|_| Plan::new().hang());
    let weir = weir(&endpoint);
    for (n, how) in BOTH.into_iter().enumerate() {
        let mut client = Raw::connect(weir.address());
        client.write(get("/", ""));
        endpoint.wait_for_requests(n + 1);
        leave(client, how);
        assert_all_is_given_back(&weir, &endpoint, n + 1);
    }
    weir.wait_for_metric("weir_requests_total", &[("code", "499")], |gone| gone == 2.0);
}

#[test]
fn a_client_that_leaves_while_it_waits_for_an_answer_to_its_body() {
    for setup in [HOLDS, STREAMS] {
        let endpoint = Endpoint::start(|_| Plan::new().read_body().hang());
        let weir = setup.start(&endpoint);
        for (n, how) in BOTH.into_iter().enumerate() {
            let mut client = Raw::connect(weir.address());
            client.write(post(100_000, "")).write(vec![b'x'; 100_000]);
            endpoint.wait_for_bodies(n + 1);
            leave(client, how);
            assert_all_is_given_back(&weir, &endpoint, n + 1);
        }
        weir.wait_for_metric("weir_requests_total", &[("code", "499")], |gone| gone == 2.0);
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_streamed_body() {
    let endpoint = Endpoint::start(|_| Plan::new().read_body().hang());
    let weir = STREAMS.start(&endpoint);
    for (n, how) in BOTH.into_iter().enumerate() {
        let mut client = Raw::connect(weir.address());
        client.write(post(100_000, "")).write(vec![b'x'; 50_000]);
        endpoint.wait_until("half a body", |seen| seen.requests.get(n).is_some_and(|got| got.body.length == 50_000));
        leave(client, how);
        assert_all_is_given_back(&weir, &endpoint, n + 1);
    }
    assert!(endpoint.requests().iter().all(|request| !request.body.complete), "no body was completed for them");
    weir.wait_for_metric("weir_requests_total", &[("code", "499")], |gone| gone == 2.0);
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_held_body_never_reaches_an_endpoint() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let weir = HOLDS.start(&endpoint);
    for how in BOTH {
        let mut client = Raw::connect(weir.address());
        client.write(post(100_000, "")).write(vec![b'x'; 50_000]);
        weir.wait_for_metric("weir_body_memory_bytes", &[], |held| held > 0.0);
        leave(client, how);
        weir.wait_for_metric("weir_body_memory_bytes", &[], |held| held == 0.0);
    }
    weir.wait_for_metric("weir_requests_total", &[("code", "499")], |gone| gone == 2.0);
    assert_eq!(endpoint.seen().accepted, 0);
}

#[test]
fn a_client_that_leaves_during_the_answer() {
    let gate = Gate::closed();
    let endpoint = Endpoint::start({
        let gate = gate.clone();
        move |_| Plan::new().write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello").wait(&gate).hang()
    });
    let weir = weir(&endpoint);
    for (n, how) in BOTH.into_iter().enumerate() {
        let mut client = Raw::connect(weir.address());
        client.write(get("/", ""));
        while !client.bytes(1).ends_with(b"o") || !client.received().is_empty() {}
        leave(client, how);
        assert_all_is_given_back(&weir, &endpoint, n + 1);
    }
    assert_eq!(weir.metric("weir_answers_cut_total", &[]), 0.0, "the endpoint did nothing wrong");
}

#[test]
fn a_client_that_leaves_while_an_endless_answer_is_written_to_it() {
    let endpoint = Endpoint::start(|_| Plan::new().reply(Reply::new(200).pattern(1, 1 << 40)));
    let weir = weir(&endpoint);
    for (n, how) in BOTH.into_iter().enumerate() {
        let mut client = Raw::connect(weir.address());
        client.write(get("/", ""));
        client.bytes(1_000_000);
        leave(client, how);
        assert_all_is_given_back(&weir, &endpoint, n + 1);
    }
}

#[test]
fn a_client_that_leaves_while_its_endpoint_cannot_be_reached_is_not_waited_for() {
    // A listener whose queue is full answers no SYN: connecting hangs.
    let listener = socket_with_a_full_queue();
    let toml = Setup { route: r#"timeout = { connect = "1h", total = "1h" }"#, ..Setup::default() }.toml(&[]);
    let toml = toml.replace("endpoints = []", &format!("endpoints = [\"{}\"]", listener.address));
    let weir = Weir::start(env!("CARGO_BIN_EXE_weir"), &toml);
    for how in BOTH {
        let mut client = Raw::connect(weir.address());
        client.write(get("/", ""));
        weir.wait_for_metric("weir_in_flight", &[], |in_flight| in_flight == 1.0);
        leave(client, how);
        wait_until_leases_are_back(&weir);
    }
    assert_eq!(weir.metric("weir_endpoint_up", &[]), 1.0);
}

struct FullQueue {
    address: std::net::SocketAddr,
    _listener: socket2::Socket,
    _waiting: Vec<socket2::Socket>,
}

fn socket_with_a_full_queue() -> FullQueue {
    use socket2::{Domain, Socket, Type};
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let mut waiting = Vec::new();
    // The kernel lets in one or two more than asked for; from then on a connection stays in progress.
    loop {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let made = socket.connect_timeout(&address.into(), std::time::Duration::from_millis(200)).is_ok();
        waiting.push(socket);
        if !made {
            return FullQueue { address, _listener: listener, _waiting: waiting };
        }
    }
}
