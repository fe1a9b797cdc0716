//! `Expect: 100-continue`, and the interim answers of endpoints.

use weir_testkit::{Endpoint, Plan, Raw, Reply};

use crate::setup::{HOLDS, STREAMS, Setup, assert_refused, get, post, post_chunked, weir};

#[test]
fn a_client_that_waits_to_be_asked_for_its_body_is_asked_by_weir_and_the_endpoint_never_knows() {
    for setup in [HOLDS, STREAMS] {
        let endpoint = Endpoint::replying(Reply::new(200).body("done"));
        let weir = setup.start(&endpoint);
        let mut client = Raw::connect(weir.address());
        for (head, body) in [
            (post(5, "Expect: 100-continue\r\n"), "hello"),
            (post_chunked("Expect: 100-Continue\r\n"), "5\r\nhello\r\n0\r\n\r\n"),
        ] {
            client.write(head);
            assert_eq!(client.interim().0, 100);
            let response = client.write(body).response();
            assert_eq!((response.status, response.interim.len(), response.text()), (200, 0, "done".to_owned()));
            assert_eq!(response.field("connection"), Some("keep-alive"));
        }
        for request in endpoint.wait_for_bodies(2) {
            assert_eq!((request.head.field("expect"), &request.body.kept[..]), (None, &b"hello"[..]));
        }
    }
}

#[test]
fn a_client_that_waits_to_be_asked_is_refused_without_being_asked() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let weir = Setup { route: r#"body = { max = "1KiB" }"#, ..Setup::default() }.start(&endpoint);
    let mut client = Raw::connect(weir.address());
    let response = client.write(post(1025, "Expect: 100-continue\r\n")).response();
    assert!(response.interim.is_empty());
    assert_refused(&weir, &response, 413, "body_too_large");
    assert_eq!(endpoint.seen().accepted, 0);
}

#[test]
fn a_request_without_a_body_is_not_asked_for_one() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let weir = weir(&endpoint);
    let response = Raw::ask(weir.address(), get("/", "Expect: 100-continue\r\n"));
    assert_eq!((response.status, response.interim.len()), (200, 0));
}

#[test]
fn a_100_of_the_endpoint_goes_no_further() {
    let endpoint = Endpoint::start(|_| Plan::new().interim(100, &[]).read_body().reply(Reply::new(200).body("done")));
    let weir = weir(&endpoint);
    let mut client = Raw::connect(weir.address());
    for _ in 0..2 {
        let response = client.write(format!("{}hello", post(5, ""))).response();
        assert_eq!((response.text(), response.interim.len()), ("done".to_owned(), 0));
    }
}

#[test]
fn early_hints_are_passed_to_1_1_and_not_to_1_0() {
    let endpoint = Endpoint::start(|_| {
        let hints = [("Link", "</a.css>; rel=preload"), ("Connection", "X-Private"), ("X-Private", "1")];
        Plan::new().interim(103, &hints).interim(103, &[]).reply(Reply::new(200).body("done"))
    });
    let weir = weir(&endpoint);
    let mut client = Raw::connect(weir.address());
    for _ in 0..2 {
        let new = client.write(get("/", "")).response();
        assert_eq!((new.text(), new.interim.len()), ("done".to_owned(), 2));
        let (status, head) = new.interim.first().unwrap();
        assert_eq!((*status, head.field("link")), (103, Some("</a.css>; rel=preload")));
        assert_eq!((head.field("x-private"), head.field("transfer-encoding")), (None, None));
    }
    let old = Raw::ask(weir.address(), "GET / HTTP/1.0\r\n\r\n");
    assert_eq!((old.text(), old.interim.len()), ("done".to_owned(), 0));
}

#[test]
fn early_hints_reach_the_client_while_its_body_is_still_on_the_way() {
    let endpoint = Endpoint::start(|_| Plan::new().interim(103, &[]).read_body().reply(Reply::new(200).body("done")));
    let weir = STREAMS.start(&endpoint);
    let mut client = Raw::connect(weir.address());
    client.write(post(10, "")).write("hello");
    assert_eq!(client.interim().0, 103);
    let response = client.write("world").response();
    assert_eq!(response.text(), "done");
    assert_eq!(response.field("connection"), Some("keep-alive"), "hints cost no connection");
    assert_eq!(endpoint.wait_for_bodies(1).first().unwrap().body.kept, "helloworld");
}
