//! Preconditions: answered from the bytes of the request alone.

use weir_optimizer::kernel::Path;

use super::fixture::{PHOTO, Reply, Server, claiming};

/// Pictures made by a server so far.
fn made(server: &Server) -> f64 {
    let count = |path: Path| server.metric(&format!("weir_optimizer_paths_total{{path=\"{}\"}}", path.name()));
    Path::ALL.into_iter().map(count).sum::<f64>() + server.metric("weir_optimizer_work_seconds_count")
}

fn stages(reply: &Reply) -> Vec<&str> {
    reply.header("server-timing").unwrap().split(", ").map(|entry| entry.split_once(";dur=").unwrap().0).collect()
}

#[test]
fn a_picture_the_client_has_is_412_by_the_rfc_and_nothing_is_decoded_for_it() {
    let server = Server::start(&[]);
    let first = server.post("?quality=80", &[], PHOTO);
    let tag = first.header("etag").unwrap().to_owned();
    let before = made(&server);
    let weak = format!("W/{tag}");
    let list = format!("\"0\", {tag}");
    for value in [&tag, &weak, &list, "*"] {
        let reply = server.post("?quality=80", &[("If-None-Match", value)], PHOTO);
        assert_eq!((reply.status, reply.reason().as_str()), (412, "precondition"), "{value}");
        assert_eq!(reply.header("etag"), Some(tag.as_str()));
    }
    assert!((made(&server) - before).abs() < 0.1);
    assert!((server.metric("weir_optimizer_requests_total{status=\"412\",reason=\"precondition\"}") - 4.0).abs() < 0.1);
}

#[test]
fn with_not_modified_it_is_304_with_the_fields_of_the_200_and_nothing_is_decoded_for_it() {
    let flags = ["--not-modified", "--cache-control", "public, max-age=60"];
    let server = Server::start(&flags);
    let accept = ("Accept", "image/webp");
    let first = server.post("?format=auto", &[accept], PHOTO);
    assert_eq!(stages(&first), ["read", "wait", "decode", "draw", "encode", "work"]);
    let before = made(&server);
    let tag = first.header("etag").unwrap().to_owned();
    let reply = server.post("?format=auto", &[accept, ("If-None-Match", &tag)], PHOTO);
    assert_eq!((reply.status, reply.body.len()), (304, 0));
    for name in ["etag", "vary", "cache-control"] {
        assert!(first.header(name).is_some());
        assert_eq!(reply.header(name), first.header(name), "{name}");
    }
    assert_eq!(stages(&reply), ["read"]);
    assert!((made(&server) - before).abs() < 0.1);
    assert!((server.metric("weir_optimizer_requests_total{status=\"304\",reason=\"not_modified\"}") - 1.0).abs() < 0.1);
    let other = server.post("?format=auto", &[("Accept", "image/jpeg"), ("If-None-Match", &tag)], PHOTO);
    assert_eq!((other.status, other.header("content-type")), (200, Some("image/jpeg")), "it is another picture");
}

#[test]
fn a_picture_the_client_does_not_have_is_made() {
    let server = Server::start(&["--not-modified"]);
    let tag = server.post("", &[], PHOTO).header("etag").unwrap().to_owned();
    for (query, value) in [("?opacity=0.4", tag.as_str()), ("", "\"0\""), ("", tag.trim_matches('"')), ("", "W/\"0\"")]
    {
        assert_eq!(server.post(query, &[("If-None-Match", value)], PHOTO).status, 200, "{query} {value}");
    }
}

#[test]
fn if_match_is_412_for_another_picture_and_200_for_this_one() {
    let server = Server::start(&["--not-modified"]);
    let tag = server.post("", &[], PHOTO).header("etag").unwrap().to_owned();
    let weak = format!("W/{tag}");
    for (value, status) in [(tag.as_str(), 200), ("*", 200), ("\"0\"", 412), (weak.as_str(), 412)] {
        assert_eq!(server.post("", &[("If-Match", value)], PHOTO).status, status, "{value}");
    }
    let both = server.post("", &[("If-Match", &tag), ("If-None-Match", &tag)], PHOTO);
    assert_eq!(both.status, 304);
}

#[test]
fn what_would_be_refused_by_its_header_is_refused_all_the_same() {
    let server = Server::start(&["--not-modified"]);
    for (body, status) in [(&b"hello"[..], 415), (b"", 400), (&claiming(PHOTO, 65_535, 65_535), 413)] {
        assert_eq!(server.post("", &[("If-None-Match", "*")], body).status, status);
    }
}

#[test]
fn a_large_image_has_the_tag_of_its_bytes_as_a_small_one_does() {
    let server = Server::start(&["--not-modified"]);
    let large = [PHOTO, &vec![0; 3 << 20]].concat();
    let tag = server.post("", &[], &large).header("etag").unwrap().to_owned();
    assert_eq!(server.post("", &[("If-None-Match", &tag)], &large).status, 304);
    assert_eq!(server.post("", &[("If-None-Match", &tag)], &large[..large.len() - 1]).status, 200);
}

#[test]
fn a_cache_control_that_is_no_header_value_is_an_error_at_the_start() {
    let flags = ["--listen", "127.0.0.1:0", "--cache-control", "a\nb"];
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_weir-optimizer")).args(flags).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("Cache-Control"));
}

#[test]
fn a_412_that_depends_on_accept_says_so() {
    let server = Server::start(&[]);
    for (query, vary) in [("?format=auto", Some("Accept")), ("", None)] {
        let reply = server.post(query, &[("If-None-Match", "*")], PHOTO);
        assert_eq!((reply.status, reply.header("vary")), (412, vary), "{query}");
    }
}
