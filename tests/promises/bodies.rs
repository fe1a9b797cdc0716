//! Bodies of any size: streamed in little memory, or held and sent again, and never changed.

use std::time::Duration;

use weir_testkit::{Endpoint, Plan, Raw, Reply, Weir, pattern_hash};

use crate::support::{NEVER_EJECT, Setup, assert_metric, post_head};

const MIB: u64 = 1 << 20;

/// Posts `length` bytes of the pattern of `seed`.
fn upload(weir: &Weir, seed: u64, length: u64) -> Raw {
    let mut client = Raw::connect_within(weir.address(), Duration::from_mins(1));
    client.write(post_head("/", length));
    client.try_write_pattern(seed, length).unwrap();
    client
}

#[test]
fn an_upload_of_200_mb_is_streamed_byte_exact_with_at_most_20_mb_of_memory() {
    let length = 200_000_000;
    let endpoint = Endpoint::replying(Reply::new(200).body("thanks"));
    let weir = Setup::before(&[&endpoint]).route("body = { max = \"1GiB\" }").start();
    assert_eq!(Raw::get(weir.address(), "/").status, 200);
    let before = weir.memory().peak;
    let answer = upload(&weir, 1, length).response();
    let more = weir.memory().peak - before;
    assert_eq!(answer.text(), "thanks");
    let received = endpoint.wait_for_bodies(2).remove(1).body;
    assert_eq!((received.length, received.hash), (length, pattern_hash(1, length)));
    assert!(more <= 20_000_000, "{more} bytes more than before");
    assert_metric(&weir, "weir_request_bodies_total", &[("mode", "streamed")], 1);
}

#[test]
fn an_answer_of_200_mb_is_streamed_byte_exact_with_at_most_20_mb_of_memory() {
    let length = 200_000_000;
    let endpoint = Endpoint::scripted([Reply::new(200).into(), Reply::new(200).pattern(3, length).chunked().into()]);
    let weir = Setup::before(&[&endpoint]).start();
    assert_eq!(Raw::get(weir.address(), "/").status, 200);
    let before = weir.memory().peak;
    let mut client = Raw::connect_within(weir.address(), Duration::from_mins(1));
    client.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let answer = client.response();
    let more = weir.memory().peak - before;
    assert_eq!((answer.body.length, answer.body.hash), (length, pattern_hash(3, length)));
    assert!(more <= 20_000_000, "{more} bytes more than before");
}

#[test]
fn a_post_of_20_mb_is_replayed_byte_exact_to_a_second_endpoint_after_the_first_dies_in_the_middle() {
    let length = 20 * MIB + 1;
    let dying = Endpoint::scripted([Plan::new().read_bytes(10 * MIB).reset()]);
    let good = Endpoint::replying(Reply::new(200).pattern(2, length));
    let weir = Setup::before(&[&dying, &good])
        .route("body = { max = \"32MiB\", buffer = \"32MiB\" }\nretry = { non_idempotent = true }")
        .service(NEVER_EJECT)
        .start();
    let answer = upload(&weir, 1, length).response();
    assert_eq!((answer.status, answer.body.length, answer.body.hash), (200, length, pattern_hash(2, length)));
    let received = good.wait_for_bodies(1).remove(0);
    assert_eq!((received.body.length, received.body.hash), (length, pattern_hash(1, length)));
    assert_eq!(received.head.field("content-length"), Some(length.to_string().as_str()));
    let first = dying.wait_for_requests(1).remove(0).body;
    assert!(first.length >= 10 * MIB && !first.complete);
    assert_eq!(first.kept, received.body.kept, "both got the same beginning");
    assert_metric(&weir, "weir_retries_total", &[("reason", "broken")], 1);
    weir.wait_for_metric("weir_body_memory_bytes", &[], |bytes| bytes < 1.0);
}

#[test]
fn bodies_around_every_buffer_size_arrive_byte_exact_held_or_streamed_counted_or_chunked() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let weir = Setup::before(&[&endpoint]).route("body = { max = \"8MiB\", buffer = \"128KiB\" }").start();
    let mut client = Raw::connect_within(weir.address(), Duration::from_mins(1));
    let sizes = [0, 1, 4095, 4096, 4097, 16_384, 65_535, 65_536, 65_537, 131_071, 131_072, 131_073, 1_000_000];
    let mut sent = Vec::new();
    for size in sizes {
        let body = weir_testkit::pattern(size, usize::try_from(size).unwrap());
        client.write(post_head("/", size)).write(&body);
        assert_eq!(client.response().status, 200);
        client.write("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
        for piece in body.chunks(30_011) {
            client.write(format!("{:x}\r\n", piece.len())).write(piece).write("\r\n");
        }
        client.write("0\r\n\r\n");
        assert_eq!(client.response().status, 200);
        sent.extend([(size, weir_testkit::hash(&body)); 2]);
    }
    let received: Vec<_> = endpoint
        .wait_for_bodies(sent.len())
        .into_iter()
        .map(|request| (request.body.length, request.body.hash))
        .collect();
    let received: Vec<_> = received
        .into_iter()
        .map(|(length, hash)| (length, if length == 0 { weir_testkit::hash(b"") } else { hash }))
        .collect();
    assert_eq!(received, sent);
}

#[test]
fn a_streamed_body_whose_chunks_come_torn_in_every_place_arrives_whole() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let weir = Setup::before(&[&endpoint]).route("body = { max = \"1MiB\", buffer = \"0B\" }").start();
    let whole = b"5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\n\r\n";
    let mut client = Raw::connect_within(weir.address(), Duration::from_mins(1));
    for (turn, cut) in (1..whole.len()).enumerate() {
        // No endpoint is picked before the first byte of a body of unknown length.
        client.write("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n>\r\n");
        let (before, after) = whole.split_at(cut);
        client.write(before);
        // Data goes through at once; so weir has read everything before the cut, or most of it.
        let data = 1 + (3..8).chain(19..25).filter(|at| *at < cut).count() as u64;
        endpoint.wait_for_requests(turn + 1);
        endpoint.wait_until("the first part", |seen| seen.requests[turn].body.length >= data);
        client.write(after);
        assert_eq!(client.response().status, 200, "cut at {cut}");
        let received = endpoint.wait_for_bodies(turn + 1).remove(turn).body;
        assert_eq!(received.kept, ">hello world", "cut at {cut}");
    }
}

#[test]
fn a_chunked_body_that_is_held_is_sent_again_counted() {
    let dying = Endpoint::scripted([Plan::new().read_bytes(5).reset()]);
    let good = Endpoint::replying(Reply::new(200));
    let weir = Setup::before(&[&dying, &good]).route("retry = { non_idempotent = true }").service(NEVER_EJECT).start();
    let mut client = Raw::connect(weir.address());
    client.write("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.write_pieces(["5\r\nhello\r\n", "6\r\n wor", "ld\r\n0\r\nX-Sum: 1\r\n\r\n"]);
    assert_eq!(client.response().status, 200);
    let received = good.wait_for_bodies(1).remove(0);
    assert_eq!(received.body.kept, "hello world");
    assert_eq!(received.head.field("content-length"), Some("11"));
    assert_eq!(received.head.field("transfer-encoding"), None);
}

#[test]
fn connections_to_an_endpoint_are_used_again_after_answers_and_uploads_of_any_size() {
    let endpoint = Endpoint::start(|call| Reply::new(200).pattern(1, call.target().len() as u64 * 50_000).into());
    let weir = Setup::before(&[&endpoint]).route("retry = { non_idempotent = true }").start();
    let mut client = Raw::connect_within(weir.address(), Duration::from_mins(1));
    for turn in 0..100 {
        let length = turn * 7919;
        client.write(post_head(&format!("/{}", "x".repeat(usize::try_from(turn % 9).unwrap())), length));
        client.try_write_pattern(turn, length).unwrap();
        assert!(client.response().body.complete);
    }
    assert_eq!(endpoint.seen().accepted, 1);
}

#[test]
fn one_thread_serves_many_uploads_at_once() {
    let endpoint = Endpoint::start(|_| Plan::new().echo_body());
    let weir = Setup::before(&[&endpoint])
        .server("threads = 1\nshutdown_delay = \"0s\"")
        .route("body = { max = \"8MiB\", buffer = \"64KiB\" }")
        .start();
    let (length, weir) = (2 * MIB, &weir);
    std::thread::scope(|scope| {
        for seed in 0..8 {
            scope.spawn(move || {
                let mut client = Raw::connect_within(weir.address(), Duration::from_mins(1));
                let mut writer = client.writer();
                let body = weir_testkit::pattern(seed, usize::try_from(length).unwrap());
                let uploading = std::thread::spawn(move || {
                    use std::io::Write as _;
                    writer.write_all(post_head("/", length).as_bytes()).unwrap();
                    writer.write_all(&body).unwrap();
                });
                let answer = client.response();
                uploading.join().unwrap();
                assert_eq!((answer.body.length, answer.body.hash), (length, pattern_hash(seed, length)));
            });
        }
    });
}

#[test]
fn an_answer_of_30_mb_that_begins_before_a_body_of_20_mb_is_read_does_not_hang() {
    let (question, answer) = (20 * MIB, 30 * MIB);
    let endpoint = Endpoint::scripted([Plan::new().reply(Reply::new(200).pattern(2, answer)).read_body()]);
    for buffer in ["0B", "32MiB"] {
        let weir =
            Setup::before(&[&endpoint]).route(&format!("body = {{ max = \"32MiB\", buffer = \"{buffer}\" }}")).start();
        let mut client = Raw::connect_within(weir.address(), Duration::from_mins(1));
        let mut writer = client.writer();
        let body = weir_testkit::pattern(1, usize::try_from(question).unwrap());
        let got = std::thread::scope(|scope| {
            scope.spawn(move || {
                use std::io::Write as _;
                writer.write_all(post_head("/", question).as_bytes()).unwrap();
                writer.write_all(&body).unwrap();
            });
            client.response()
        });
        assert_eq!((got.body.length, got.body.hash), (answer, pattern_hash(2, answer)), "buffer {buffer}");
    }
}
