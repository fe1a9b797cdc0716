//! Who is let in, and who is told why not.

use serde_json::Value;
use weir_testkit::{Endpoint, PATIENCE, Process, Raw, Weir, eventually};

use super::{action, call, endpoint, look, named, with_admin};
use crate::support::{Setup, WEIR, assert_metric, wait_for_words};

#[test]
fn a_change_without_the_token_or_with_a_wrong_one_is_refused_counted_and_logged() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "right-token\n").unwrap();
    let one = named();
    let lines = format!("listen = \"127.0.0.1:0\"\ntoken_file = \"{}\"", file.display());
    let weir = Weir::start(WEIR, &with_admin(&Setup::before(&[&one]), &lines));
    let host = format!("Host: {}\r\nContent-Type: application/json\r\n", weir.admin());
    let drain = action(one.address(), "drain");
    for (token, reason) in [("", "no_token"), ("Authorization: Bearer wrong-token\r\n", "wrong_token")] {
        let answer = call(&weir, &drain, &format!("{host}{token}"), "");
        assert_eq!((answer.status, answer.field("www-authenticate")), (401, Some("Bearer realm=\"weir\"")));
        let told: Value = serde_json::from_slice(&answer.body.kept).unwrap();
        assert!(told["error"].is_string() && told["help"].is_string(), "{told}");
        assert_metric(&weir, "weir_admin_refused_total", &[("reason", reason)], 1);
        wait_for_words(&weir, &format!("reason=\"{reason}\""));
    }
    assert_eq!(endpoint(&weir, one.address())["drained"], false, "a look needs no token here, and nothing has changed");
    assert_eq!(call(&weir, &drain, &format!("{host}Authorization: Bearer right-token\r\n"), "").status, 200);
    assert_eq!(endpoint(&weir, one.address())["drained"], true);
    wait_for_words(&weir, "admin change peer=127.0.0.1:");
    let nowhere = action("127.0.0.1:1".parse().unwrap(), "drain");
    assert_eq!(call(&weir, &nowhere, &format!("{host}Authorization: Bearer right-token\r\n"), "").status, 404);
    wait_for_words(&weir, "status=404 outcome=\"service `s` has no endpoint `127.0.0.1:1`");
    assert!(!weir.output().contains("right-token") && !weir.output().contains("wrong-token"));
    std::fs::write(&file, "another-token\n").unwrap();
    assert_eq!(call(&weir, &drain, &format!("{host}Authorization: Bearer right-token\r\n"), "").status, 401);
}

#[test]
fn where_others_can_reach_it_looks_need_the_token_too_but_not_health_and_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "right-token").unwrap();
    let one = named();
    let lines = format!("listen = \"0.0.0.0:0\"\ntoken_file = \"{}\"", file.display());
    let weir = Weir::start(WEIR, &with_admin(&Setup::before(&[&one]), &lines));
    for call in ["/api/status", "/api/recent", "/api/explain?url=/", "/api/overrides", "/api/nothing"] {
        look(&weir, call, 401);
    }
    for open in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(Raw::get(weir.admin(), open).status, 200, "{open}");
    }
    let fields = "Host: weir.internal\r\nAuthorization: Bearer right-token\r\n";
    assert_eq!(call(&weir, "GET /api/status", fields, "").status, 200);
}

/// Runs weir with this to its end: what it said, all of these words included.
fn refused_start(toml: &str, words: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weir.toml");
    std::fs::write(&file, toml).unwrap();
    let mut process = Process::start(WEIR, ["run".as_ref(), file.as_os_str()]);
    assert_eq!(process.wait(PATIENCE).code(), Some(1));
    // The last lines may come after its end.
    for words in words {
        process.wait_for_output(words);
    }
    process.output()
}

#[test]
fn weir_does_not_start_where_others_can_reach_it_without_a_token_or_without_one_in_the_file() {
    let setup = Setup::of(&[Endpoint::absent()]);
    let words = ["error: ", "needs a token", "weir.toml:4:10", "token_file"];
    refused_start(&with_admin(&setup, "listen = \"0.0.0.0:0\""), &words);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    for (text, word) in [(None, "cannot read"), (Some("  \n"), "holds no token"), (Some("two words"), "holds no token")]
    {
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let lines = format!("listen = \"127.0.0.1:0\"\ntoken_file = \"{}\"", file.display());
        let said = refused_start(&with_admin(&setup, &lines), &["error: ", word, file.to_str().unwrap()]);
        assert!(!said.contains("listening on"), "{said}");
    }
}

#[test]
fn a_web_page_from_elsewhere_changes_nothing_and_reads_nothing() {
    let one = named();
    let weir = Setup::before(&[&one]).start();
    let (own, json) = (format!("Host: {}\r\n", weir.admin()), "Content-Type: application/json\r\n");
    let drain = action(one.address(), "drain");
    let cases = [
        (format!("{own}{json}Origin: http://evil.example\r\n"), "origin"),
        (format!("{own}{json}Origin: null\r\n"), "origin"),
        (format!("Host: evil.example:{}\r\n{json}", weir.admin().port()), "host"),
        (format!("{own}Content-Type: text/plain\r\n"), "plain"),
        (own.clone(), "plain"),
    ];
    for (index, (fields, reason)) in cases.iter().enumerate() {
        assert_eq!(call(&weir, &drain, fields, "").status, 403, "{fields}");
        let line = format!("reason=\"{reason}\"");
        eventually(&line, || weir.output().matches("admin call refused").count() == index + 1);
        assert!(weir.output().contains(&line));
    }
    assert_eq!(call(&weir, "GET /api/status", "Host: evil.example\r\n", "").status, 403, "by a rebound name");
    assert_metric(&weir, "weir_admin_refused_total", &[], 6);
    assert_eq!(endpoint(&weir, one.address())["drained"], false);
    let same = format!("{own}{json}Origin: http://{}\r\n", weir.admin());
    assert_eq!(call(&weir, &drain, &same, "{}").status, 200, "weir's own page may");
}

#[test]
fn a_web_page_from_elsewhere_may_not_even_look_which_is_counted_and_logged() {
    let one = named();
    let weir = Setup::before(&[&one]).start();
    let own = format!("Host: {}\r\n", weir.admin());
    let foreign =
        ["Origin: http://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"];
    for (index, field) in foreign.iter().enumerate() {
        for look in ["/api/status", "/api/events", "/api/recent"] {
            let answer = call(&weir, &format!("GET {look}"), &format!("{own}{field}\r\n"), "");
            assert_eq!(answer.status, 403, "{look} {field}: {}", answer.text());
        }
        eventually("each is logged", || weir.output().matches("admin call refused").count() == 3 * (index + 1));
    }
    assert_metric(&weir, "weir_admin_refused_total", &[("reason", "origin")], 12);
    let script = format!("{own}Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n");
    assert_eq!(call(&weir, "GET /metrics", &script, "").status, 403, "nor have weir work for nothing");
    let link = format!("{own}Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n");
    for linked in ["/metrics", "/readyz", "/"] {
        assert_eq!(call(&weir, &format!("GET {linked}"), &link, "").status, 200, "{linked}, by a link");
    }
    for own_page in ["Sec-Fetch-Site: same-origin\r\n", "Sec-Fetch-Site: none\r\n"] {
        assert_eq!(call(&weir, "GET /api/status", &format!("{own}{own_page}"), "").status, 200, "{own_page}");
    }
    let same = format!("{own}Origin: http://{}\r\n", weir.admin());
    assert_eq!(call(&weir, "GET /api/status", &same, "").status, 200);
}

#[test]
fn on_loopback_health_and_metrics_answer_by_address_and_as_localhost_but_by_no_other_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "right-token").unwrap();
    let one = named();
    let lines = format!("listen = \"127.0.0.1:0\"\ntoken_file = \"{}\"", file.display());
    let weir = Weir::start(WEIR, &with_admin(&Setup::before(&[&one]), &lines));
    for path in ["/healthz", "/readyz", "/metrics"] {
        let by = |fields: &str| call(&weir, &format!("GET {path}"), fields, "").status;
        for own in ["127.0.0.1:9090", "localhost:9090", "LOCALHOST", "[::1]:9090", "10.0.0.7"] {
            assert_eq!(by(&format!("Host: {own}\r\n")), 200, "{path} by {own}");
        }
        assert_eq!(Raw::ask(weir.admin(), format!("GET {path} HTTP/1.0\r\n\r\n")).status, 200, "a probe of HTTP/1.0");
        assert_eq!(by("Host: evil.example:9090\r\n"), 403, "{path}");
        assert_eq!(by("Host: weir.example\r\nAuthorization: Bearer wrong-token\r\n"), 403, "{path}");
        assert_eq!(by("Host: weir.example\r\nAuthorization: Bearer right-token\r\n"), 200, "{path}");
    }
    wait_for_words(&weir, "reason=\"host\"");
    // The page holds nothing, and what it asks for then needs the token.
    assert_eq!(call(&weir, "GET /", "Host: weir.example\r\n", "").status, 200);
    assert_eq!(call(&weir, "GET /api/status", "Host: weir.example\r\n", "").status, 403);
}

/// Holds a write lease on a file: whoever opens it waits, as on a file system that hangs.
const HANG: &str = "
import fcntl, os, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
file = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print('held', flush=True)
signal.pause()
";

#[test]
fn while_the_file_system_of_the_token_hangs_the_last_token_counts_and_nobody_waits_for_it() {
    let Some(python) = weir_testkit::require("python3") else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "right-token\n").unwrap();
    let one = named();
    let lines = format!("listen = \"127.0.0.1:0\"\ntoken_file = \"{}\"", file.display());
    let setup = Setup::before(&[&one]).server("threads = 1\nshutdown_delay = \"0s\"");
    let weir = Weir::start(WEIR, &with_admin(&setup, &lines));
    let fields = |token: &str| {
        format!("Host: {}\r\nContent-Type: application/json\r\nAuthorization: Bearer {token}\r\n", weir.admin())
    };
    let drain = action(one.address(), "drain");
    let mut holder = Process::start(python, ["-c".as_ref(), HANG.as_ref(), file.as_os_str()]);
    holder.wait_for_line("held");
    for _ in 0..3 {
        assert_eq!(call(&weir, &drain, &fields("right-token"), "").status, 200);
        assert_eq!(call(&weir, &drain, &fields("wrong-token"), "").status, 401);
        assert_eq!(Raw::get(weir.address(), "/").status, 503, "the only worker is free: {one}", one = one.address());
    }
    wait_for_words(&weir, "the last token counts on");
    holder.kill();
    std::fs::write(&file, "another-token\n").unwrap();
    eventually("the new one holds", || call(&weir, &drain, &fields("another-token"), "").status == 200);
    assert_eq!(call(&weir, &drain, &fields("right-token"), "").status, 401);
}
