//! `weir check FILE`.

use std::process::Command;

use crate::support::{Setup, WEIR};

/// Exit code and both outputs.
fn check(path: &std::path::Path) -> (Option<i32>, String, String) {
    let output = Command::new(WEIR).arg("check").arg(path).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn check_text(toml: &str) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weir.toml");
    std::fs::write(&file, toml).unwrap();
    check(&file)
}

#[test]
fn a_sound_file_is_said_to_be_so_and_exits_with_0() {
    let (code, out, err) = check_text(&Setup::of(&["127.0.0.1:3001".parse().unwrap()]).toml());
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.contains("weir.toml: ok, 1 listener(s), 1 route(s), 1 service(s)"), "{out}");
}

#[test]
fn ten_mistakes_are_ten_problems_each_with_its_place_and_its_help() {
    let toml = r#"[server]
threads = "two"
shutdown_dealy = "1s"
[admin]
listen = "0.0.0.0:9090"
[[listener]]
address = "localhost:8080"
max_head = "32"
[[route]]
path = "optimize"
service = "optimizer"
retry = { tries = 0 }
[[service]]
name = "optimizers"
policy = "least-conections"
endpoints = [{ address = "img.example.org" }, { address = "127.0.0.1:3002", weight = 2 }]
"#;
    let (code, out, err) = check_text(toml);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    let problems = err.lines().filter(|line| line.starts_with("error: ")).count();
    assert_eq!(problems, 10, "{err}");
    for place in ["2:11", "3:1", "5:10", "7:11", "8:12", "10:8", "11:11", "12:19", "15:10", "16:26"] {
        let line = place.split(':').next().unwrap();
        assert!(err.contains(&format!("weir.toml:{line}:")), "nothing about line {line}:\n{err}");
    }
    assert!(err.contains("shutdown_delay") && err.contains("least-connections") && err.contains("optimizers"), "{err}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let (code, out, err) = check("/nowhere/weir.toml".as_ref());
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("cannot read `/nowhere/weir.toml`: No such file"), "{err}");
}

#[test]
fn a_file_that_is_refused_is_not_run_either() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weir.toml");
    std::fs::write(&file, "[[listener]]\naddress = \"127.0.0.1:0\"\n").unwrap();
    let (code, _, said) = check(&file);
    assert_eq!(code, Some(1));
    let run = Command::new(WEIR).arg("run").arg(&file).output().unwrap();
    assert_eq!(run.status.code(), Some(1));
    assert_eq!(String::from_utf8(run.stderr).unwrap(), said);
}
