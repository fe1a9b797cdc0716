//! Ends: by signal for the binary, by a future for the library.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use tokio::sync::oneshot;
use weir_optimizer::{Optimizer, Options};

use super::fixture::{self, HEAVY, PHOTO, Reply, Server, post_head};

#[test]
fn after_sigterm_a_running_request_is_answered_and_the_process_exits_with_0() {
    for signal in ["-TERM", "-INT"] {
        let mut server = Server::start(&[]);
        let heavy = fixture::heavy();
        let mut stream = server.connect();
        let mut idle = server.connect();
        stream.write_all(&post_head(HEAVY, &[], heavy.len())).unwrap();
        stream.write_all(&heavy).unwrap();
        server.until("weir_optimizer_running", 1.0);
        server.signal(signal);
        assert_eq!(idle.read(&mut [0]).unwrap(), 0, "an idle connection is closed at once");
        assert!(TcpStream::connect(&server.address).is_err(), "nobody new is let in");
        let reply = Reply::read(&mut stream);
        assert_eq!(reply.status, 200);
        assert_eq!(server.process.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn with_a_delay_health_fails_first_while_requests_are_still_served_and_connections_are_told_to_close() {
    let mut server = Server::start(&["--shutdown-delay", "600s"]);
    assert_eq!(server.get("/healthz").status, 200);
    server.signal("-TERM");
    while server.get("/healthz").status != 503 {}
    let reply = server.post("", &[], PHOTO);
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
    server.signal("-TERM");
    assert_eq!(server.process.wait().unwrap().code(), Some(1), "the second signal means now");
}

#[test]
fn a_second_signal_does_not_wait_for_a_running_request() {
    let mut server = Server::start(&[]);
    let heavy = fixture::heavy();
    let mut stream = server.connect();
    let mut idle = server.connect();
    stream.write_all(&post_head(HEAVY, &[], heavy.len())).unwrap();
    stream.write_all(&heavy).unwrap();
    server.until("weir_optimizer_running", 1.0);
    server.signal("-TERM");
    // The first signal has arrived when the idle connection is closed; two at once would count as one.
    assert_eq!(idle.read(&mut [0]).unwrap(), 0);
    server.signal("-INT");
    assert_eq!(server.process.wait().unwrap().code(), Some(1));
    assert!(Reply::try_read(&mut stream).is_err());
}

#[test]
fn an_address_in_use_and_a_bad_id_are_errors_with_a_reason() {
    let server = Server::start(&[]);
    for flags in [["--listen", server.address.as_str()], ["--id", "two words"]] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_weir-optimizer")).args(flags).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_optimizers_in_one_process_count_and_end_apart() {
    let start = |id: &str| {
        let options = Options { id: Some(id.to_owned()), workers: 1, ..Options::default() };
        async {
            let optimizer = Optimizer::bind(options).await.unwrap();
            let (stop, stopped) = oneshot::channel::<()>();
            let address = optimizer.local_addr();
            let running = tokio::spawn(optimizer.run(async { drop(stopped.await) }));
            (address, stop, running)
        }
    };
    let (one, stop_one, run_one) = start("optimizer-1").await;
    let (two, stop_two, run_two) = start("optimizer-2").await;
    let ask = |address, request: &'static [u8]| async move {
        let asked = tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(request).unwrap();
            Reply::read(&mut stream)
        });
        asked.await.unwrap()
    };
    let missing = ask(one, b"GET /missing HTTP/1.1\r\nHost: o\r\n\r\n").await;
    assert_eq!((missing.status, missing.header("x-optimizer")), (404, Some("optimizer-1")));
    let counts = ask(two, b"GET /metrics HTTP/1.1\r\nHost: o\r\n\r\n").await;
    assert!(!String::from_utf8(counts.body).unwrap().contains("not_found"));

    stop_one.send(()).unwrap();
    run_one.await.unwrap();
    let still = ask(two, b"GET /healthz HTTP/1.1\r\nHost: o\r\n\r\n").await;
    assert_eq!((still.status, still.header("x-optimizer")), (200, Some("optimizer-2")));
    stop_two.send(()).unwrap();
    run_two.await.unwrap();
}
