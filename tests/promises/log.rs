//! The access log: rotated, sampled, in the form asked for, and on a disk that is full.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use serde_json::Value;
use weir_testkit::{Endpoint, Nginx, Raw, Reply, Signal, eventually, require};

use crate::support::{Setup, ask, assert_metric, get, wait_for_exchanges, wait_for_words};

/// `access` names this file, and further lines of `[log]`.
fn to(file: &Path, more: &str) -> String {
    format!("access = \"{}\"\n{more}", file.display())
}

fn text_of(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}

fn parsed(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn five_rotations_under_load_lose_no_line_and_tear_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let endpoint = Endpoint::replying(Reply::new(200).body("ok"));
    let weir = Setup::before(&[&endpoint]).log(&to(&file, "")).start();
    let (asked, stop) = (AtomicU32::new(0), AtomicBool::new(false));
    let rotated = |number: u32| folder.path().join(format!("access.log.{number}"));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut client = Raw::connect(weir.address());
                while !stop.load(Ordering::SeqCst) {
                    assert_eq!(ask(&mut client, get("/")).status, 200);
                    asked.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for number in 0..5 {
            eventually("there is something to rotate", || !text_of(&file).is_empty());
            std::fs::rename(&file, rotated(number)).unwrap();
            weir.signal(Signal::USR1);
        }
        eventually("the new file is written", || !text_of(&file).is_empty());
        stop.store(true, Ordering::SeqCst);
    });
    let count = asked.into_inner();
    wait_for_exchanges(&weir, count);
    assert_metric(&weir, "weir_access_log_dropped_total", &[], 0);
    assert_eq!(weir.stop().code(), Some(0));

    let files: Vec<String> = (0..5).map(|number| text_of(&rotated(number))).chain([text_of(&file)]).collect();
    assert!(files.iter().all(|text| !text.is_empty() && text.ends_with('\n')));
    let lines: usize = files.iter().map(|text| parsed(text).len()).sum();
    assert_eq!(lines, count as usize);
}

#[test]
fn a_log_that_cannot_be_opened_anew_is_written_on_under_its_old_name() {
    let folder = tempfile::tempdir().unwrap();
    let (here, moved) = (folder.path().join("log"), folder.path().join("moved"));
    std::fs::create_dir(&here).unwrap();
    let endpoint = Endpoint::replying(Reply::new(200));
    let weir = Setup::before(&[&endpoint]).log(&to(&here.join("access.log"), "")).start();
    std::fs::rename(&here, &moved).unwrap();
    weir.signal(Signal::USR1);
    wait_for_words(&weir, "the access log cannot be opened anew");
    assert!(weir.output().contains("No such file"), "{}", weir.output());
    Raw::ask(weir.address(), get("/old"));
    eventually("the line is in the old file", || text_of(&moved.join("access.log")).contains("/old"));
    std::fs::create_dir(&here).unwrap();
    weir.signal(Signal::USR1);
    eventually("it is opened anew", || here.join("access.log").exists());
    Raw::ask(weir.address(), get("/new"));
    eventually("the line is in the new file", || text_of(&here.join("access.log")).contains("/new"));
}

#[test]
fn a_full_disk_costs_lines_which_are_counted_and_no_exchange() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    symlink("/dev/full", &file).unwrap();
    let weir = Setup::of(&[Endpoint::absent()]).route("host = \"weir.test\"").log(&to(&file, "")).start();
    let mut client = Raw::connect(weir.address());
    let batch = "GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(100);
    while weir.metric("weir_access_log_dropped_total", &[]) < 1.0 {
        client.write(&batch);
        for _ in 0..100 {
            assert_eq!(client.response().status, 404);
        }
    }
    wait_for_words(&weir, "the access log cannot be written");
    assert_eq!(weir.output().matches("cannot be written").count(), 1, "said once:\n{}", weir.output());
    assert_eq!(Raw::get(weir.admin(), "/readyz").status, 200);

    // Room again: what waited is there, in whole lines, and what comes now.
    std::fs::remove_file(&file).unwrap();
    weir.signal(Signal::USR1);
    wait_for_words(&weir, "the access log is written again");
    Raw::ask(weir.address(), get("/later").replace("weir.test", "h"));
    eventually("the last line is there", || text_of(&file).contains("/later"));
    assert!(parsed(&text_of(&file)).len() > 2);
}

#[test]
fn a_sample_takes_its_share_of_what_went_well_and_all_that_did_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let endpoint = Endpoint::start(|call| Reply::new(if call.target() == "/fails" { 500 } else { 200 }).into());
    let weir =
        Setup::of(&[endpoint.address()]).route("host = \"weir.test\"").log(&to(&file, "sample = \"10%\"")).start();
    let mut client = Raw::connect(weir.address());
    for _ in 0..200 {
        assert_eq!(ask(&mut client, get("/well")).status, 200);
    }
    for _ in 0..20 {
        assert_eq!(ask(&mut client, get("/fails")).status, 500);
        assert_eq!(ask(&mut client, get("/refused").replace("weir.test", "h")).status, 404);
    }
    assert_eq!(weir.stop().code(), Some(0));
    let lines = parsed(&text_of(&file));
    let count = |target: &str| lines.iter().filter(|line| line["target"] == target).count();
    assert!((18..=22).contains(&count("/well")), "{} of 200", count("/well"));
    assert_eq!((count("/fails"), count("/refused")), (20, 20));
}

#[test]
fn a_success_that_needed_a_second_try_is_logged_whatever_the_sample() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let good = Endpoint::replying(Reply::new(200));
    let weir = Setup::of(&[Endpoint::absent(), good.address()]).log(&to(&file, "sample = \"0%\"")).start();
    let mut client = Raw::connect(weir.address());
    for _ in 0..10 {
        assert_eq!(ask(&mut client, get("/")).status, 200);
    }
    assert_eq!(weir.stop().code(), Some(0));
    let lines = parsed(&text_of(&file));
    assert!((1..10).contains(&lines.len()), "{lines:?}");
    assert!(lines.iter().all(|line| line["tried"].as_array().unwrap().len() == 2), "{lines:?}");
}

#[test]
fn a_line_has_the_fields_that_were_chosen_in_their_order_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let endpoint = Endpoint::replying(Reply::new(200).body("four"));
    let weir = Setup::before(&[&endpoint])
        .log(&to(&file, "fields = [\"status\", \"user_agent\", \"protocol\", \"bytes_out\", \"referer\", \"target\"]"))
        .start();
    Raw::ask(weir.address(), "GET /a HTTP/1.1\r\nHost: weir.test\r\nUser-Agent: a \"b\"\r\nConnection: close\r\n\r\n");
    assert_eq!(weir.stop().code(), Some(0));
    let expected =
        r#"{"status":200,"user_agent":"a \"b\"","protocol":"HTTP/1.1","bytes_out":4,"referer":null,"target":"/a"}"#;
    assert_eq!(text_of(&file), format!("{expected}\n"));
}

#[test]
fn a_combined_line_is_what_nginx_writes_of_the_same_request() {
    let Some(program) = require("nginx") else { return };
    let endpoint = Endpoint::replying(Reply::new(200).body("twelve bytes"));
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (folder.path().join("weir.log"), folder.path().join("nginx.log"));
    let site = format!(
        "server {{ listen {{address}}; access_log {} combined; location / {{ proxy_pass http://{}; }} }}",
        theirs.display(),
        endpoint.address()
    );
    let mut nginx = Nginx::start(&program, &site);
    let weir = Setup::before(&[&endpoint]).log(&to(&ours, "format = \"combined\"")).start();
    let fields = "Host: weir.test\r\nConnection: close\r\n";
    let requests = [
        format!("GET /a?b=c HTTP/1.1\r\n{fields}User-Agent: curl/8\r\nReferer: http://elsewhere/\r\n\r\n"),
        format!("GET /a HTTP/1.1\r\n{fields}User-Agent: an \"agent\" with \\ and \u{e4}\r\n\r\n"),
        "GET / HTTP/1.0\r\nHost: weir.test\r\n\r\n".to_owned(),
        format!("POST /form HTTP/1.1\r\n{fields}Content-Length: 2\r\n\r\nhi"),
    ];
    // What stands between the brackets is when the line was written.
    let without_time = |text: String| -> Vec<String> {
        let line = |line: &str| {
            let (before, rest) = line.split_once('[').unwrap();
            let (time, after) = rest.split_once(']').unwrap();
            assert_eq!(
                (time.len(), time.ends_with(" +0000") || time.contains(" +") || time.contains(" -")),
                (26, true)
            );
            format!("{before}[]{after}")
        };
        text.lines().map(line).collect()
    };
    for (at, request) in requests.iter().enumerate() {
        Raw::ask(weir.address(), request);
        Raw::ask(nginx.address(), request);
        for file in [&ours, &theirs] {
            eventually("the line is written", || text_of(file).lines().count() == at + 1);
        }
    }
    assert_eq!(without_time(text_of(&ours)), without_time(text_of(&theirs)));
    nginx.process().kill();
}

#[test]
fn a_log_is_appended_to_and_made_with_the_permissions_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let endpoint = Endpoint::replying(Reply::new(200));
    for start in 1..=2 {
        let weir = Setup::before(&[&endpoint]).log(&to(&file, "mode = \"0600\"")).start();
        assert_eq!(Raw::ask(weir.address(), get("/")).status, 200);
        assert_eq!(weir.stop().code(), Some(0));
        assert_eq!(parsed(&text_of(&file)).len(), start);
    }
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_weir_that_has_no_file_to_open_anew_says_so_and_serves_on() {
    let endpoint = Endpoint::replying(Reply::new(200));
    for (log, said) in [("", "there is no access log"), ("access = \"stdout\"", "is standard output")] {
        let weir = Setup::before(&[&endpoint]).log(log).start();
        weir.signal(Signal::USR1);
        wait_for_words(&weir, said);
        assert_eq!(Raw::ask(weir.address(), get("/")).status, 200);
    }
}
