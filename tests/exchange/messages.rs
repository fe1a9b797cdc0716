//! Several requests on one connection, and where each body ends.

use weir_testkit::{Endpoint, Plan, Raw, Reply, hash, pattern};

use crate::setup::{HOLDS, STREAMS, get, post, post_chunked, wait_until_leases_are_back, weir};

fn echo_target() -> Endpoint {
    Endpoint::start(|call| Reply::new(200).body(call.target().to_owned()).into())
}

#[test]
fn requests_one_after_another_on_one_connection_reach_the_endpoint_on_one_connection() {
    let endpoint = echo_target();
    let weir = weir(&endpoint);
    let mut client = Raw::connect(weir.address());
    for n in 0..5 {
        let response = client.write(get(&format!("/{n}"), "")).response();
        assert_eq!((response.status, response.text()), (200, format!("/{n}")));
        assert_eq!(response.field("connection"), Some("keep-alive"));
    }
    assert_eq!(endpoint.seen().accepted, 1);
}

#[test]
fn twenty_pipelined_requests_are_answered_in_order() {
    let endpoint = echo_target();
    let weir = weir(&endpoint);
    let mut client = Raw::connect(weir.address());
    client.write((0..20).map(|n| get(&format!("/{n}"), "")).collect::<String>());
    for n in 0..20 {
        assert_eq!(client.response().text(), format!("/{n}"));
    }
}

#[test]
fn a_pipelined_request_that_arrives_while_the_first_is_served_is_answered_second() {
    let gate = weir_testkit::Gate::closed();
    let endpoint = Endpoint::start({
        let gate = gate.clone();
        move |call| {
            let reply = Reply::new(200).body(call.target().to_owned());
            if call.index == 0 { Plan::new().wait(&gate).reply(reply) } else { reply.into() }
        }
    });
    let weir = weir(&endpoint);
    let mut client = Raw::connect(weir.address());
    client.write(get("/first", ""));
    gate.wait_for_arrivals(1);
    let second = get("/second", "");
    client.write_pieces(second.as_bytes().chunks(7));
    gate.open();
    assert_eq!(client.response().text(), "/first");
    assert_eq!(client.response().text(), "/second");
}

#[test]
fn a_post_a_chunked_post_and_a_get_in_one_packet_are_three_requests() {
    for setup in [HOLDS, STREAMS] {
        let endpoint = Endpoint::start(|_| {
            Plan::new().read_body().then(|got| {
                let said = format!("{} {:?}", got.method(), got.body.kept);
                Plan::new().reply(Reply::new(200).body(said))
            })
        });
        let weir = setup.start(&endpoint);
        let mut client = Raw::connect(weir.address());
        client.write(format!(
            "{}hello{}3;x=y\r\nwor\r\n2\r\nld\r\n0\r\nSum: 1\r\n\r\n{}",
            post(5, ""),
            post_chunked(""),
            get("/", "")
        ));
        assert_eq!(client.response().text(), "POST b\"hello\"");
        assert_eq!(client.response().text(), "POST b\"world\"");
        assert_eq!(client.response().text(), "GET b\"\"");
    }
}

#[test]
fn a_request_cut_at_every_byte_is_the_same_request() {
    let endpoint = echo_target();
    let weir = weir(&endpoint);
    let request = format!("{}2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n{}", post_chunked(""), get("/x", ""));
    let mut client = Raw::connect(weir.address());
    client.write_pieces(request.as_bytes().chunks(1));
    assert_eq!(client.response().text(), "/");
    assert_eq!(client.response().text(), "/x");
    let requests = endpoint.wait_for_bodies(2);
    assert_eq!(requests.first().unwrap().body.kept, "hello");
}

#[test]
fn a_client_of_1_0_is_answered_and_the_connection_closed() {
    let endpoint = echo_target();
    let weir = weir(&endpoint);
    let mut client = Raw::connect(weir.address());
    let response = client.write("GET /old HTTP/1.0\r\n\r\n").response();
    assert_eq!((response.status, response.text()), (200, "/old".to_owned()));
    assert_eq!(response.field("connection"), Some("close"));
    assert!(client.is_ended());
}

#[test]
fn a_client_of_1_0_that_asks_to_stay_stays() {
    let endpoint = echo_target();
    let weir = weir(&endpoint);
    let mut client = Raw::connect(weir.address());
    for n in 0..3 {
        let response = client.write(format!("GET /{n} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")).response();
        assert_eq!(response.text(), format!("/{n}"));
        assert_eq!(response.field("connection"), Some("keep-alive"));
    }
}

#[test]
fn a_client_that_asks_to_close_is_closed() {
    let endpoint = echo_target();
    let weir = weir(&endpoint);
    let mut client = Raw::connect(weir.address());
    let response = client.write(get("/last", "Connection: close\r\n")).response();
    assert_eq!((response.text(), response.field("connection")), ("/last".to_owned(), Some("close")));
    assert!(client.is_ended());
}

#[test]
fn bodies_of_every_awkward_size_arrive_whole_held_and_streamed_counted_and_chunked() {
    for setup in [HOLDS, STREAMS] {
        let endpoint = Endpoint::replying(Reply::new(200));
        let weir = setup.start(&endpoint);
        let mut client = Raw::connect(weir.address());
        let mut sent = Vec::new();
        for size in [1_usize, 4095, 4096, 4097, 16_384, 65_535, 65_536, 65_537, 1 << 20] {
            let body = pattern(size as u64, size);
            client.write(post(size as u64, "")).write(&body);
            assert_eq!(client.response().status, 200);
            client.write(post_chunked(""));
            for chunk in body.chunks(10_000) {
                client.write([format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
            }
            client.write("0\r\n\r\n");
            assert_eq!(client.response().status, 200);
            sent.extend([(size as u64, hash(&body)), (size as u64, hash(&body))]);
        }
        let received: Vec<_> =
            endpoint.wait_for_bodies(18).iter().map(|request| (request.body.length, request.body.hash)).collect();
        assert_eq!(received, sent);
    }
}

#[test]
fn a_held_chunked_body_is_forwarded_with_its_length_and_a_streamed_one_in_chunks() {
    for (setup, length, coding) in [(HOLDS, Some("5"), None), (STREAMS, None, Some("chunked"))] {
        let endpoint = Endpoint::replying(Reply::new(200));
        let weir = setup.start(&endpoint);
        Raw::ask(weir.address(), format!("{}5\r\nhello\r\n0\r\n\r\n", post_chunked("")));
        let requests = endpoint.wait_for_bodies(1);
        let request = requests.first().unwrap();
        assert_eq!(request.body.kept, "hello");
        assert_eq!(request.head.field("content-length"), length);
        assert_eq!(request.head.field("transfer-encoding"), coding);
    }
}

#[test]
fn a_last_answer_is_not_lost_when_the_client_has_sent_more_than_is_read() {
    let endpoint = Endpoint::replying(Reply::new(200).pattern(1, 1_000_000));
    let weir = weir(&endpoint);
    let mut client = Raw::connect(weir.address());
    client.write(get("/", "Connection: close\r\n"));
    // Nobody reads this, and the kernel resets a connection that is closed with unread bytes.
    client.write(vec![b'x'; 200_000]);
    wait_until_leases_are_back(&weir);
    weir.wait_for_metric("weir_requests_total", &[("code", "2xx")], |served| served == 1.0);
    let response = client.response();
    assert!(response.body.complete, "{} bytes came", response.body.length);
    assert!(client.is_ended());
}

#[test]
fn a_refused_upgrade_that_also_asked_to_close_is_closed() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let weir = weir(&endpoint);
    let mut client = Raw::connect(weir.address());
    let response = client.write(get("/", "Connection: close, upgrade\r\nUpgrade: x\r\n")).response();
    assert_eq!(response.field("connection"), Some("close"));
    assert!(client.is_ended());
}

#[test]
fn a_head_request_may_have_every_target_that_a_get_may_have() {
    let endpoint = echo_target();
    let weir = weir(&endpoint);
    let mut client = Raw::connect(weir.address());
    for target in [r#"/x?q="a""#, "/<x>", "/a`b?c>d", &format!("/{}", "a".repeat(8000))] {
        let head = get(target, "").replacen("GET", "HEAD", 1);
        let response = client.write(head).response_to("HEAD");
        assert_eq!(response.status, 200, "{target}");
        assert_eq!(response.field("content-length"), Some(target.len().to_string().as_str()));
    }
    assert_eq!(endpoint.seen().accepted, 1);
}
