//! Who looks at what happens, and for how long.

use serde_json::Value;
use weir_testkit::{Raw, Weir, eventually};

use super::{look, named, with_admin};
use crate::support::{Setup, WEIR};

/// As many may look at once.
const LOOKERS: usize = 16;

/// One who looks: the head of the answer has come.
fn looker(weir: &Weir) -> Raw {
    looker_with(weir, "")
}

/// As [`looker`], with these lines of fields.
fn looker_with(weir: &Weir, fields: &str) -> Raw {
    let mut raw = Raw::connect(weir.admin());
    raw.write(format!("GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}\r\n"));
    let mut seen = String::new();
    while !seen.ends_with("\r\n\r\n") {
        seen.push_str(&String::from_utf8_lossy(&raw.bytes(1)));
    }
    assert!(seen.starts_with("HTTP/1.1 200") && seen.contains("text/event-stream"), "{seen}");
    raw
}

#[test]
fn only_so_many_look_at_once_and_who_leaves_makes_room() {
    let one = named();
    let weir = Setup::before(&[&one]).start();
    let mut lookers: Vec<Raw> = (0..LOOKERS).map(|_| looker(&weir)).collect();
    let told = look(&weir, "/api/events", 503);
    assert!(told["error"].as_str().unwrap().contains("16"), "{told}");
    drop(lookers.pop());
    eventually("its place is free", || {
        let mut raw = Raw::connect(weir.admin());
        raw.write("GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        raw.bytes(12) == b"HTTP/1.1 200"
    });
}

#[test]
fn who_looks_is_told_whole_once_and_then_what_changed_until_weir_leaves() {
    let one = named();
    let weir = Setup::before(&[&one]).start();
    let mut events = looker(&weir);
    super::change(&weir, &super::action(one.address(), "drain"), "", 200);
    assert!(weir.stop().success());
    // The framing says so, too: nothing is cut off.
    let (rest, _) = events.read_to_end();
    let text = String::from_utf8_lossy(&rest);
    assert!(text.ends_with("0\r\n\r\n"), "{text}");
    let first = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    let first: Value = serde_json::from_str(first).unwrap();
    assert_eq!(first["services"][0]["name"], "s", "{first}");
    assert_eq!(text.matches("event: whole").count(), 1);
}

#[test]
fn who_looks_with_a_token_that_is_replaced_sees_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "leaked-token").unwrap();
    let one = named();
    let lines = format!("listen = \"0.0.0.0:0\"\ntoken_file = \"{}\"", file.display());
    let weir = Weir::start(WEIR, &with_admin(&Setup::before(&[&one]), &lines));
    let mut events = looker_with(&weir, "Authorization: Bearer leaked-token\r\n");
    std::fs::write(&file, "another-token").unwrap();
    let mut text = String::new();
    eventually("the answer ends", || {
        text.push_str(&String::from_utf8_lossy(&events.bytes(1)));
        text.ends_with("0\r\n\r\n")
    });
    let mut goes_on = looker_with(&weir, "Authorization: Bearer another-token\r\n");
    let mut text = String::new();
    eventually("with the new one it goes on", || {
        text.push_str(&String::from_utf8_lossy(&goes_on.bytes(1)));
        text.ends_with("event: change")
    });
}
