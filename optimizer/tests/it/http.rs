//! The real binary over real sockets.

use std::io::{Read as _, Write as _};
use std::thread;

use super::fixture::{self, HEAVY, PHOTO, Reply, Server, claiming, kind, post_head};
use weir_optimizer::kernel::Format;

fn form(name: &str, image: &[u8]) -> Vec<u8> {
    let head = format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"a.jpg\"\r\n\r\n");
    [head.as_bytes(), image, b"\r\n--XX--\r\n"].concat()
}

const FORM: [(&str, &str); 1] = [("Content-Type", "multipart/form-data; boundary=XX")];

#[test]
fn a_photo_comes_back_marked_with_all_that_the_contract_promises() {
    let server = Server::start(&["--id", "o-1"]);
    let reply = server.post("?text=hi", &[], PHOTO);
    assert_eq!((reply.status, kind(&reply.body)), (200, (Format::Jpeg, 720, 480)));
    assert_eq!(reply.body, fixture::optimize(PHOTO, "text=hi").unwrap());
    assert_eq!(reply.header("content-type"), Some("image/jpeg"));
    assert_eq!(reply.header("x-optimizer"), Some("o-1"));
    assert_eq!(reply.header("vary"), None);
    let timing = reply.header("server-timing").unwrap();
    let names: Vec<_> = timing.split(", ").map(|entry| entry.split_once(";dur=").unwrap().0).collect();
    assert_eq!(names, ["read", "wait", "splice", "work"]);
    assert_eq!(reply.header("x-optimizer-path"), Some("splice"));
    assert_eq!(reply.header("content-length"), Some(reply.body.len().to_string().as_str()));
}

#[test]
fn the_way_a_picture_was_made_is_told_timed_and_counted() {
    let server = Server::start(&[]);
    for (query, path) in [
        ("", "splice"),
        ("?quality=60", "requantise"),
        ("?quality=90", "splice"),
        ("?format=webp", "rgb"),
        ("?color=ff0000", "splice"),
    ] {
        let reply = server.post(query, &[], PHOTO);
        assert_eq!((reply.status, reply.header("x-optimizer-path")), (200, Some(path)), "{query}");
    }
    let reply = server.post("?format=jpeg&quality=90", &[], fixture::CMYK);
    let timing = reply.header("server-timing").unwrap();
    let names: Vec<_> = timing.split(", ").map(|entry| entry.split_once(";dur=").unwrap().0).collect();
    assert_eq!(names, ["read", "wait", "decode", "draw", "encode", "work"]);
    let times: Vec<f64> = timing.split(", ").map(|entry| entry.split_once('=').unwrap().1.parse().unwrap()).collect();
    assert!((times[2..5].iter().sum::<f64>() - times[5]).abs() < 0.01 && times[5] > 0.0);
    for (path, count) in [("splice", 3.0), ("transcode", 0.0), ("coefficients", 0.0), ("requantise", 1.0), ("rgb", 2.0)]
    {
        let counted = server.metric(&format!("weir_optimizer_paths_total{{path=\"{path}\"}}"));
        assert!((counted - count).abs() < 0.1, "{path}");
    }
    // The five of one size have one mark, whatever its colour.
    for (name, count) in [("drawn", 2.0), ("kept", 4.0)] {
        let counted = server.metric(&format!("weir_optimizer_marks_{name}_total"));
        assert!((counted - count).abs() < 0.1, "{name}: {counted}");
    }
}

#[test]
fn the_etag_is_strong_and_follows_the_meaning_of_the_request() {
    let (one, other) = (Server::start(&[]), Server::start(&[]));
    let tag =
        |server: &Server, query: &str, body: &[u8]| server.post(query, &[], body).header("etag").unwrap().to_owned();
    let first = tag(&one, "", PHOTO);
    assert!(first.starts_with('"') && first.len() == 34, "{first}");
    assert_eq!(tag(&other, "?opacity=0.50&text=NWS", PHOTO), first);
    assert_ne!(tag(&one, "?opacity=0.6", PHOTO), first);
    assert_ne!(tag(&one, "?format=png", PHOTO), first);
    assert_ne!(tag(&one, "", fixture::GREY), first);
}

#[test]
fn a_multipart_upload_equals_a_raw_one() {
    let server = Server::start(&[]);
    let raw = server.post("", &[], PHOTO);
    let sent = server.post("", &FORM, &form("file", PHOTO));
    assert_eq!((sent.status, sent.header("etag")), (200, raw.header("etag")));
    assert_eq!(sent.body, raw.body);
}

#[test]
fn a_form_without_exactly_one_file_is_refused() {
    let server = Server::start(&[]);
    let twice = [&form("file", PHOTO)[..form("file", PHOTO).len() - 8], &b"\r\n"[..], &form("file", PHOTO)].concat();
    for body in [form("image", PHOTO), b"--XX--\r\n".to_vec(), b"no form at all".to_vec(), twice] {
        let reply = server.post("", &FORM, &body);
        assert_eq!((reply.status, reply.reason().as_str()), (400, "bad_multipart"));
    }
    assert_eq!(server.post("", &[("Content-Type", "multipart/form-data")], PHOTO).status, 400);
}

#[test]
fn every_refusal_has_its_status_and_its_reason_and_is_counted() {
    let server = Server::start(&[]);
    let cut = &PHOTO[..PHOTO.len() / 2];
    let huge = claiming(PHOTO, 65_535, 65_535);
    let send = |query: &str, body: &[u8]| server.post(query, &[], body);
    let gzip = server.post("", &[("Content-Encoding", "gzip")], PHOTO);
    for (reply, status, reason) in [
        (send("?size=big", PHOTO), 400, "bad_option"),
        (send("?sise=1", PHOTO), 400, "bad_option"),
        (send("", b""), 400, "no_image"),
        (send("", b"hello"), 415, "not_an_image"),
        (send("", b"GIF89a...."), 415, "unsupported_image"),
        (gzip, 415, "content_encoding"),
        (send("", cut), 422, "truncated"),
        (send("", &huge), 413, "too_many_pixels"),
    ] {
        assert_eq!((reply.status, reply.reason().as_str()), (status, reason));
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert!(reply.body.starts_with(b"{\"error\":\""));
        let name = format!("weir_optimizer_requests_total{{status=\"{status}\",reason=\"{reason}\"}}");
        assert!(server.metric(&name) >= 1.0, "{name}");
    }
    assert_eq!(server.get("/nothing").status, 404);
    let wrong = server.get("/optimize");
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("POST")));
    assert_eq!(server.get("/healthz").body, b"ok\n");
}

#[test]
fn a_claim_of_65535_by_65535_costs_no_memory() {
    let server = Server::start(&[]);
    // Receiving as many bytes, on each of the threads that do, is not what is measured.
    for _ in 0..4 {
        server.post("", &[], &PHOTO[..PHOTO.len() - 2]);
    }
    let before = server.peak_memory();
    for file in [claiming(PHOTO, 65_535, 65_535), claiming(PHOTO, 8_000, 8_000)] {
        assert_ne!(server.post("", &[], &file).status, 200);
    }
    // The second claim alone is of 192 MB of pixels; code paged in and a worker's first allocations are a few.
    assert!(server.peak_memory() < before + 32 * 1024, "{} to {} KiB", before, server.peak_memory());
}

#[test]
fn accept_counts_only_with_format_auto_and_is_then_named_in_vary() {
    let server = Server::start(&[]);
    let webp = [("Accept", "image/webp,*/*")];
    let auto = server.post("?format=auto", &webp, PHOTO);
    assert_eq!((auto.header("content-type"), auto.header("vary")), (Some("image/webp"), Some("Accept")));
    assert_eq!(kind(&auto.body).0, Format::WebP);
    assert_eq!(server.post("", &webp, PHOTO).header("content-type"), Some("image/jpeg"));
    let none = server.post("?format=auto", &[], PHOTO);
    assert_eq!((none.header("content-type"), none.header("vary")), (Some("image/jpeg"), Some("Accept")));
}

#[test]
fn a_body_beyond_the_limit_gets_its_413_though_the_client_sends_it_all_first() {
    let server = Server::start(&["--max-bytes", "200000"]);
    let reply = server.post("", &[], &vec![7; 20_000_000]);
    assert_eq!((reply.status, reply.reason().as_str()), (413, "body_too_large"));

    let mut stream = server.connect();
    stream.write_all(b"POST /optimize HTTP/1.1\r\nHost: o\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    for _ in 0..100 {
        stream.write_all(b"4000\r\n").unwrap();
        stream.write_all(&[7; 0x4000]).unwrap();
        stream.write_all(b"\r\n").unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    assert_eq!(Reply::read(&mut stream).reason(), "body_too_large");
    assert_eq!(server.post("", &[], PHOTO).status, 200);
}

#[test]
fn bodies_beyond_the_memory_set_aside_for_them_are_refused_as_busy() {
    let server = Server::start(&["--body-memory", "150000"]);
    let mut first = server.connect();
    first.write_all(&post_head("", &[], PHOTO.len())).unwrap();
    first.write_all(&PHOTO[..PHOTO.len() - 1]).unwrap();
    server.until("weir_optimizer_body_memory_bytes", f64::from(u32::try_from(PHOTO.len() - 1).unwrap()));
    let reply = server.post("", &[], PHOTO);
    assert_eq!((reply.status, reply.reason().as_str(), reply.header("retry-after")), (503, "body_memory", Some("1")));
    drop(first);
    server.until("weir_optimizer_body_memory_bytes", 0.0);
    for _ in 0..20 {
        assert_eq!(server.post("", &[], fixture::GREY).status, 200, "memory is given back");
    }
}

#[test]
fn a_body_that_could_never_be_held_is_too_large_and_not_refused_as_busy_for_ever() {
    let server = Server::start(&["--body-memory", "100000"]);
    let reply = server.post("", &[], PHOTO);
    assert_eq!((reply.status, reply.reason().as_str(), reply.header("retry-after")), (413, "body_too_large", None));
    let said = String::from_utf8(reply.body).unwrap();
    assert!(said.contains("100000"), "{said}");
}

#[test]
fn a_client_that_expects_100_continue_gets_it_only_when_its_body_is_wanted() {
    let server = Server::start(&[]);
    let expect = [("Expect", "100-continue")];
    let mut stream = server.connect();
    stream.write_all(&post_head("", &expect, PHOTO.len())).unwrap();
    assert_eq!(Reply::read(&mut stream).status, 100);
    stream.write_all(PHOTO).unwrap();
    assert_eq!(Reply::read(&mut stream).status, 200);

    let mut stream = server.connect();
    stream.write_all(&post_head("?size=big", &expect, PHOTO.len())).unwrap();
    assert_eq!(Reply::read(&mut stream).status, 400);
}

#[test]
fn a_connection_is_kept_through_good_and_bad_requests() {
    let server = Server::start(&[]);
    let mut stream = server.connect();
    for (body, status) in [(fixture::GREY, 200), (b"hello", 415), (fixture::GREY, 200)] {
        stream.write_all(&post_head("", &[], body.len())).unwrap();
        stream.write_all(body).unwrap();
        assert_eq!(Reply::read(&mut stream).status, status);
    }
    stream.write_all(&post_head("?sise=1", &[], PHOTO.len())).unwrap();
    stream.write_all(PHOTO).unwrap();
    assert_eq!(Reply::read(&mut stream).status, 400);
}

#[test]
fn eight_requests_at_once_all_get_the_same_right_answer() {
    let server = Server::start(&["--workers", "2"]);
    let right = fixture::optimize(PHOTO, "").unwrap();
    thread::scope(|scope| {
        let sent: Vec<_> = (0..8).map(|_| scope.spawn(|| server.post("", &[], PHOTO))).collect();
        for reply in sent {
            let reply = reply.join().unwrap();
            assert_eq!(reply.status, 200);
            assert_eq!(reply.body, right);
        }
    });
    server.until("weir_optimizer_running", 0.0);
    assert!((server.metric("weir_optimizer_work_seconds_count") - 8.0).abs() < 0.1);
}

#[test]
fn beyond_the_queue_is_503_with_retry_after_and_those_inside_it_are_served() {
    let server = Server::start(&["--workers", "1", "--queue", "1"]);
    let heavy = fixture::heavy();
    thread::scope(|scope| {
        let runs = scope.spawn(|| server.post(HEAVY, &[], &heavy));
        server.until("weir_optimizer_running", 1.0);
        let waits = scope.spawn(|| server.post(HEAVY, &[], &heavy));
        server.until("weir_optimizer_waiting", 1.0);
        let refused = server.post("", &[], PHOTO);
        assert_eq!((refused.status, refused.reason().as_str()), (503, "queue_full"));
        assert_eq!(refused.header("retry-after"), Some("1"));
        assert_eq!(server.get("/healthz").status, 200, "busy is not broken");
        assert_eq!((runs.join().unwrap().status, waits.join().unwrap().status), (200, 200));
    });
}

#[test]
fn the_job_of_a_client_that_leaves_the_queue_is_dropped() {
    let server = Server::start(&["--workers", "1"]);
    let heavy = fixture::heavy();
    thread::scope(|scope| {
        let runs = scope.spawn(|| server.post(HEAVY, &[], &heavy));
        server.until("weir_optimizer_running", 1.0);
        let mut leaves = server.connect();
        leaves.write_all(&post_head("", &[], PHOTO.len())).unwrap();
        leaves.write_all(PHOTO).unwrap();
        server.until("weir_optimizer_waiting", 1.0);
        drop(leaves);
        server.until("weir_optimizer_abandoned_total", 1.0);
        assert!(server.metric("weir_optimizer_waiting") < 0.5);
        assert_eq!(runs.join().unwrap().status, 200);
    });
    assert!((server.metric("weir_optimizer_work_seconds_count") - 1.0).abs() < 0.1);
}

#[test]
fn a_malformed_request_costs_its_sender_the_connection_and_nobody_else_anything() {
    let server = Server::start(&[]);
    for bytes in [&b"\0\0\0\0\r\n\r\n"[..], b"POST /optimize HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"GET\r\n\r\n"] {
        let mut stream = server.connect();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        // Either a 400 or a reset is an answer here.
        drop(stream.read_to_end(&mut answer));
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }
    assert_eq!(server.post("", &[], PHOTO).status, 200);
}
