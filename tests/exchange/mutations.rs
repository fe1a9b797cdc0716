//! Thousands of messages with something wrong in them, from a fixed seed: nothing panics, and nobody is confused.
//!
//! That nothing panics is checked when the process is dropped.

use std::time::Duration;

use weir_testkit::{Endpoint, Plan, Raw, Reply, hash};

use crate::setup::{Setup, get, post, post_chunked, wait_until_leases_are_back};

/// What is put in, or in place of something.
const ODD: [&[u8]; 20] = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\0",
    b" ",
    b"\t",
    b":",
    b";",
    b",",
    b"0",
    b"ffffffffffffffff",
    b"-1",
    b"\xff",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Upgrade: x\r\nConnection: upgrade\r\n",
    b"HTTP/1.0",
    b"0\r\n\r\n",
];

/// Numbers from a seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 += 1;
        usize::try_from(hash(&self.0.to_le_bytes()) % limit as u64).unwrap()
    }

    /// The message with one to three things done to it.
    fn mutated(&mut self, message: &[u8]) -> Vec<u8> {
        let mut bytes = message.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            let odd = ODD[self.below(ODD.len())];
            match self.below(5) {
                0 => drop(bytes.splice(at..at, odd.iter().copied())),
                1 => drop(bytes.splice(at..=at, odd.iter().copied())),
                2 => drop(bytes.remove(at)),
                3 => bytes.truncate(at.max(1)),
                _ => bytes.extend_from_within(at..),
            }
            bytes.truncate(4000);
            if bytes.is_empty() {
                bytes.push(b'x');
            }
        }
        bytes
    }
}

const HASTY: &str = r#"header_timeout = "100ms"
read_timeout = "100ms"
idle_timeout = "100ms""#;

#[test]
fn mutated_requests_reach_the_endpoint_as_whole_requests_or_not_at_all() {
    for route in [r#"body = { buffer = "1MiB" }"#, r#"body = { buffer = "0B" }"#] {
        let endpoint = Endpoint::replying(Reply::new(200).body("done"));
        let weir = Setup { listener: HASTY, route, ..Setup::default() }.start(&endpoint);
        let good = [
            get("/a?b=c", "X-A: 1\r\nConnection: X-A\r\n"),
            format!("{}hello{}", post(5, "Expect: 100-continue\r\n"), get("/", "")),
            format!("{}5;a=b\r\nhello\r\n0\r\nSum: 1\r\n\r\n{}", post_chunked(""), get("/", "")),
            get("/", "Connection: upgrade\r\nUpgrade: x\r\n"),
            "HEAD http://a.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n".to_owned(),
        ];
        let mut numbers = Numbers(1);
        for _ in 0..50 {
            // Many at once, so that those which wait for more wait together.
            let mut clients: Vec<Raw> = Vec::new();
            for _ in 0..40 {
                let which = numbers.below(good.len());
                let message = numbers.mutated(good[which].as_bytes());
                let mut client = Raw::connect(weir.address());
                let cut = numbers.below(message.len());
                drop(client.try_write(&message[..cut]));
                drop(client.try_write(&message[cut..]));
                clients.push(client);
            }
            for mut client in clients {
                client.half_close();
                client.read_to_end();
            }
        }
        wait_until_leases_are_back(&weir);
        assert_eq!(Raw::get(weir.address(), "/").status, 200);
        let seen = endpoint.seen();
        assert!(seen.stray.is_empty(), "{:?}", seen.stray);
        assert!(seen.requests.len() > 500, "only {} came through", seen.requests.len());
        for request in &seen.requests {
            let head = &request.head;
            assert_eq!(head.word(2), "HTTP/1.1", "{head:?}");
            assert!(head.word(1).starts_with(['/', '*']), "{head:?}");
            assert_eq!(head.all("host").count(), 1, "{head:?}");
            assert!(head.all("content-length").count() + head.all("transfer-encoding").count() <= 1, "{head:?}");
            assert!(head.all("x-request-id").count() == 1, "a request that weir did not write: {head:?}");
        }
        assert_eq!(weir.metric("weir_endpoint_up", &[]), 1.0);
    }
}

#[test]
fn mutated_answers_reach_the_client_as_whole_answers_or_broken_off_for_all_to_see() {
    let good: [Vec<u8>; 5] = [
        Reply::new(200).body("hello").to_bytes("GET"),
        Reply::new(200).header("Connection", "X-A").header("X-A", "1").body("hello").chunked().to_bytes("GET"),
        [Reply::new(103).header("Link", "x").head().into_bytes(), Reply::new(200).body("hello").to_bytes("GET")]
            .concat(),
        Reply::new(304).claim_length(5).head().into_bytes(),
        b"HTTP/1.0 200 OK\r\n\r\nhello".to_vec(),
    ];
    let endpoint = Endpoint::start(move |call| {
        let mut numbers = Numbers(1_000_000 + 100 * call.index as u64);
        let which = numbers.below(good.len());
        Plan::new().write(numbers.mutated(&good[which])).finish()
    });
    let route = r#"timeout = { read = "100ms" }
retry = { tries = 1 }"#;
    let weir = Setup { route, service: r#"health = { failures = 100, window = "10ms" }"#, ..Setup::default() }
        .start(&endpoint);
    let mut served = 0;
    for n in 0..1000 {
        let mut client = Raw::connect_within(weir.address(), Duration::from_secs(10));
        client.write(if n % 2 == 0 { get("/", "") } else { "GET / HTTP/1.0\r\n\r\n".to_owned() });
        let Ok(response) = client.try_response("GET") else { continue };
        served += usize::from(response.status == 200);
        assert!(response.head.line.starts_with("HTTP/1.1 "), "{:?}", response.head);
        assert_eq!(response.head.all("connection").count(), 1, "{:?}", response.head);
        assert!(response.head.all("content-length").count() + response.head.all("transfer-encoding").count() <= 1);
        if response.body.complete && response.head.lists("connection", "keep-alive") {
            // Whatever came, the connection's next answer is its own.
            let next = client.write("GET /none HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n").response();
            assert_eq!(next.status, 400, "behind {:?}", response.head);
        }
    }
    assert!(served > 250, "only {served} were served");
    wait_until_leases_are_back(&weir);
}
