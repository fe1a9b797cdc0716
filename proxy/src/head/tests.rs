use super::*;

fn limits() -> ListenerSettings {
    use weir_snapshot::{Bytes, Millis};
    ListenerSettings {
        address: ([127, 0, 0, 1], 0).into(),
        max_connections: 1,
        header_timeout: Millis::from_secs(1),
        idle_timeout: Millis::from_secs(1),
        read_timeout: Millis::from_secs(1),
        write_timeout: Millis::from_secs(1),
        max_head: Bytes::from_kib(32),
        max_fields: 100,
        max_target: Bytes::from_kib(8),
        field_names: weir_snapshot::FieldNames::Plain,
    }
}

fn outcome(text: &str) -> Result<Head, &'static str> {
    let mut buf = BytesMut::from(text);
    match read(&mut buf, &mut 0, &limits()) {
        Read::Head(head) => Ok(*head),
        Read::Refused(refusal) => Err(refusal.label()),
        Read::More => Err("more"),
    }
}

#[test]
fn a_head_is_read_the_same_however_its_bytes_are_cut() {
    let text = "POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
    for cut in 1..text.len() {
        let (mut buf, mut scanned) = (BytesMut::new(), 0);
        let mut head = None;
        for piece in [&text.as_bytes()[..cut], &text.as_bytes()[cut..]] {
            buf.extend_from_slice(piece);
            if head.is_none() {
                match read(&mut buf, &mut scanned, &limits()) {
                    Read::Head(read) => head = Some(read),
                    Read::More => {}
                    Read::Refused(refusal) => panic!("cut at {cut}: {refusal:?}"),
                }
            }
        }
        let head = head.unwrap();
        assert_eq!((head.method(), head.target(), head.framing), (&b"POST"[..], &b"/a?b=c"[..], Framing::Length(3)));
        assert_eq!(&buf[..], b"abc");
    }
}

#[test]
fn a_fault_is_named_before_the_head_ends_when_it_can_be_seen() {
    assert_eq!(outcome("GET / HTTP/1.1\n").unwrap_err(), "bare_lf");
    assert_eq!(outcome("GET / HTTP/1.1\rX").unwrap_err(), "bare_cr");
    assert_eq!(outcome("\x16\x03\x01").unwrap_err(), "bad_request_line");
    assert_eq!(outcome("GET / HTTP/1.1\r\n").unwrap_err(), "more");
}

#[test]
fn an_absolute_target_is_forwarded_as_its_path() {
    let head = outcome("GET http://X:80/a?b HTTP/1.1\r\nHost: x:80\r\n\r\n").unwrap();
    assert_eq!((head.target(), head.host()), (&b"/a?b"[..], Some("x:80")));
    let bare = outcome("GET http://x HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!(bare.path(), b"/");
    assert_eq!(outcome("GET http://u@x/ HTTP/1.1\r\nHost: x\r\n\r\n").unwrap_err(), "bad_target");
}

#[test]
fn fields_named_by_connection_are_of_one_hop() {
    let head = outcome("GET / HTTP/1.1\r\nHost: x\r\nConnection: x-a, close\r\nX-A: 1\r\n\r\n").unwrap();
    assert!(head.is_nominated(b"X-a"));
    assert!(!head.is_nominated(b"close"));
}

#[test]
fn a_path_is_matched_as_nginx_matches_it() {
    let of = |path: &str| normalised(path.as_bytes()).map(|path| String::from_utf8_lossy(&path).into_owned());
    assert_eq!(of("/a/b").as_deref(), Some("/a/b"));
    assert_eq!(of("/a//b/./c/../d").as_deref(), Some("/a/b/d"));
    assert_eq!(of("/%61dmin/").as_deref(), Some("/admin/"));
    assert_eq!(of("/a/%2e%2e/b").as_deref(), Some("/b"));
    assert_eq!(of("/a/..").as_deref(), Some("/"));
    assert_eq!(of("/../a"), None);
    assert_eq!(of("/100%").as_deref(), Some("/100%"));
}

#[test]
fn each_field_of_ours_has_a_kind_and_each_field_of_one_hop_is_one_of_them() {
    use weir_snapshot::{FRAMING, OF_ONE_HOP};
    for name in OURS {
        assert_ne!(Kind::of(name.as_bytes()), Kind::Other, "{name}");
    }
    for name in [OF_ONE_HOP, FRAMING].concat() {
        assert!(OURS.contains(&name), "{name}");
    }
}

#[test]
fn fields_that_are_dropped_count_towards_the_limit() {
    let text = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "a_b: 1\r\n".repeat(100));
    assert_eq!(outcome(&text).unwrap_err(), "too_many_fields");
}
