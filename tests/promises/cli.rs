//! Commands beside `run` and `demo`, as people and scripts call them.

use std::process::{Command, Output};

use serde_json::Value;
use weir_testkit::{Endpoint, PATIENCE, Process, Raw, Reply, Signal, Weir, eventually, free_port};

use crate::support::{Setup, WEIR, ask, get, wait_for_exchanges};

/// Exit status, standard output, standard error.
type Said = (Option<i32>, String, String);

fn weir(arguments: &[&str]) -> Said {
    let Output { status, stdout, stderr } = Command::new(WEIR).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// A command that asks this weir.
fn asking(of: &Weir, arguments: &[&str]) -> Said {
    let admin = of.admin().to_string();
    weir(&[arguments, &["--admin", &admin]].concat())
}

/// What it says when it is done.
#[track_caller]
fn done(of: &Weir, arguments: &[&str]) -> String {
    let (code, out, err) = asking(of, arguments);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{arguments:?}: {out}");
    out
}

/// The first word of every line of `weir help` that names a command.
fn commands() -> Vec<String> {
    let (code, help, _) = weir(&["help"]);
    assert_eq!(code, Some(0));
    let list = help.split_once("Commands:\n").unwrap().1.split_once("\n\n").unwrap().0;
    let names: Vec<String> = list.lines().map(|line| line.split_whitespace().next().unwrap().to_owned()).collect();
    assert!(names.len() > 12, "{help}");
    names.into_iter().filter(|name| name != "help").collect()
}

const ASKING: [&[&str]; 10] = [
    &["status"],
    &["reload"],
    &["drain", "s", "127.0.0.1:1"],
    &["undrain", "s", "127.0.0.1:1"],
    &["weight", "s", "127.0.0.1:1", "3"],
    &["eject", "s", "127.0.0.1:1"],
    &["restore", "s", "127.0.0.1:1"],
    &["overrides"],
    &["explain", "/"],
    &["recent"],
];

#[test]
fn a_configuration_that_check_prints_is_checked_and_printed_as_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let toml = Setup::of(&["127.0.0.1:3001".parse().unwrap()]).toml();
    std::fs::write(path("a.toml"), toml).unwrap();
    let (code, printed, err) = weir(&["check", "--print", &path("a.toml")]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(printed.contains("tries = 3                      # default\n"), "{printed}");
    std::fs::write(path("b.toml"), &printed).unwrap();
    assert_eq!(weir(&["check", "--print", &path("b.toml")]), (Some(0), printed, String::new()));
}

#[test]
fn check_tells_a_script_what_is_wrong_and_where() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weir.toml").display().to_string();
    let check = |code: i32| -> Value {
        let (status, out, err) = weir(&["check", "--json", &file]);
        assert_eq!((status, err.as_str()), (Some(code), ""), "{out}");
        serde_json::from_str(&out).unwrap()
    };
    let missing = check(1);
    assert_eq!((&missing["ok"], &missing["problems"][0]["line"]), (&Value::Bool(false), &Value::Null));
    assert!(missing["problems"][0]["message"].as_str().unwrap().contains("No such file"), "{missing}");

    let toml = Setup::of(&["127.0.0.1:3001".parse().unwrap()]).toml();
    std::fs::write(&file, &toml).unwrap();
    assert_eq!(check(0), serde_json::json!({ "file": file, "ok": true, "problems": [] }));

    std::fs::write(&file, format!("nothing = 1\n{}", toml.replace("round-robin", "round-robbin"))).unwrap();
    let wrong = check(1);
    assert_eq!((&wrong["ok"], wrong["problems"].as_array().unwrap().len()), (&Value::Bool(false), 2), "{wrong}");
    let (first, second) = (&wrong["problems"][0], &wrong["problems"][1]);
    assert_eq!((&first["file"], &first["line"], &first["column"]), (&Value::from(&*file), &1.into(), &1.into()));
    assert!(first["message"].as_str().unwrap().contains("no key `nothing`"), "{wrong}");
    assert_eq!(second["help"], "did you mean `\"round-robin\"`?");
}

#[test]
fn wrong_usage_exits_with_2_and_says_so_on_standard_error() {
    for wrong in [
        &["chek"][..],
        &["check"],
        &["check", "a.toml", "--json", "--print"],
        &["drain", "s"],
        &["drain", "s", "not-an-address"],
        &["weight", "s", "127.0.0.1:1", "0"],
        &["explain"],
        &["explain", "/", "--id", "x"],
        &["status", "--admin", "nowhere"],
        &["man", "nothing"],
        &["completions", "cmd"],
    ] {
        let (code, out, err) = weir(wrong);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{wrong:?}: {err}");
        assert!(err.starts_with("error: "), "{wrong:?}: {err}");
    }
}

#[test]
fn completions_name_every_command_and_bash_can_read_them() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, script, err) = weir(&["completions", shell]);
        assert_eq!((code, err.as_str()), (Some(0), ""));
        for command in commands() {
            assert!(script.contains(&command), "{shell}: {command}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weir.bash");
    std::fs::write(&file, weir(&["completions", "bash"]).1).unwrap();
    let words = format!(
        "source {}; COMP_WORDS=(weir und); COMP_CWORD=1; _weir weir und weir; echo \"${{COMPREPLY[*]}}\"",
        file.display()
    );
    let out = Command::new("bash").args(["-c", &words]).output().unwrap();
    assert_eq!(String::from_utf8(out.stdout).unwrap(), "undrain\n", "{:?}", String::from_utf8(out.stderr));
}

#[test]
fn there_is_a_man_page_of_weir_that_names_every_command_and_one_of_each() {
    let (code, page, err) = weir(&["man"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(page.contains(".TH weir 1") && page.contains("no weir answers"), "{page}");
    let folder = tempfile::tempdir().unwrap();
    let all = folder.path().join("man1");
    assert_eq!(weir(&["man", "--all", all.to_str().unwrap()]).0, Some(0));
    for command in commands() {
        assert!(page.contains(&format!("weir\\-{command}(1)")), "{command}: {page}");
        let (code, page, err) = weir(&["man", &command]);
        assert_eq!((code, err.as_str()), (Some(0), ""));
        assert!(page.contains(&format!(".TH weir-{command} 1")), "{command}: {page}");
        let file = all.join(format!("weir-{command}.1"));
        assert!(std::fs::read_to_string(&file).unwrap().contains(".SH SYNOPSIS"), "{command}");
    }
}

#[test]
fn where_no_weir_answers_every_command_that_asks_exits_with_3_and_says_what_to_do() {
    let nowhere = format!("127.0.0.1:{}", free_port());
    let other = Endpoint::replying(Reply::new(200));
    for (admin, words) in
        [(nowhere, "nothing listens there"), (other.address().to_string(), "is no weir's admin address")]
    {
        for command in ASKING {
            let (code, out, err) = weir(&[command, &["--admin", &admin]].concat());
            assert_eq!((code, out.as_str()), (Some(3), ""), "{command:?}: {err}");
            assert!(err.contains(&admin) && err.contains(words), "{command:?}: {err}");
            assert!(err.contains("`weir run FILE`") && err.contains("`--admin ADDRESS`"), "{command:?}: {err}");
        }
    }
}

#[test]
fn status_is_a_table_for_people_and_the_document_of_the_api_for_scripts() {
    let (one, other) = (Endpoint::replying(Reply::new(200)), Endpoint::replying(Reply::new(200)));
    let weir = Setup::before(&[&one, &other]).service("queue = { capacity = 7 }").start();
    let page = done(&weir, &["status"]);
    assert!(page.contains(&format!("at {}: ready, up ", weir.admin())), "{page}");
    assert!(page.contains("s: round-robin, 2 of 2 healthy, 0 in flight, 0 of 1024 waiting\n"), "{page}");
    for endpoint in [&one, &other] {
        let row = page.lines().find(|line| line.contains(&endpoint.address().to_string())).unwrap();
        assert!(row.contains("healthy") && row.ends_with("0/7"), "{page}");
    }
    assert!(!page.contains('\u{1b}'), "no colours where there is no terminal: {page}");
    assert_eq!(done(&weir, &["status", "s"]).lines().count(), page.lines().count());

    let document: Value = serde_json::from_str(&done(&weir, &["status", "--json"])).unwrap();
    assert_eq!(document["services"][0]["endpoints"][1]["address"], other.address().to_string());
    let (code, _, err) = asking(&weir, &["status", "elsewhere"]);
    assert!(code == Some(1) && err.contains("there is no service `elsewhere`"), "{err}");
}

#[test]
fn status_that_watches_shows_what_changes_until_it_is_interrupted() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let weir = Setup::before(&[&endpoint]).start();
    let admin = weir.admin().to_string();
    let mut watching = Process::start(WEIR, ["status", "--watch", "--admin", &admin]);
    watching.wait_for_output("1 of 1 healthy");
    done(&weir, &["drain", "s", &endpoint.address().to_string()]);
    watching.wait_for_output("drained by hand");
    watching.signal(Signal::INT);
    assert_eq!(watching.wait(PATIENCE).code(), Some(0));
}

#[test]
fn endpoints_are_drained_weighed_ejected_and_restored_by_command() {
    let (one, other) = (Endpoint::replying(Reply::new(200)), Endpoint::replying(Reply::new(200)));
    let weir = Setup::before(&[&one, &other]).policy("weighted").start();
    let (first, second) = (one.address().to_string(), other.address().to_string());

    let said = done(&weir, &["drain", "s", &first]);
    assert!(said.contains(&format!("{first} of s: drained, weight 1, healthy\n")), "{said}");
    assert!(said.contains("1 endpoint of s not drained\n"), "{said}");
    assert!(done(&weir, &["drain", "s", &first]).contains(", as it was before"));
    let mut client = Raw::connect(weir.address());
    for _ in 0..5 {
        assert_eq!(ask(&mut client, get("/")).status, 200);
    }
    assert_eq!((one.requests().len(), other.requests().len()), (0, 5));
    assert!(done(&weir, &["undrain", "s", &first]).contains("not drained"));
    assert!(done(&weir, &["weight", "s", &second, "3"]).contains("weight 3"));
    assert!(done(&weir, &["eject", "s", &first]).contains("ejected"));
    assert!(done(&weir, &["status"]).contains("1 of 2 healthy"));
    assert!(done(&weir, &["restore", "s", &first]).contains("healthy"));
    assert!(done(&weir, &["status"]).contains("2 of 2 healthy"));

    // What is as it would be anyway is no override.
    assert_eq!(done(&weir, &["overrides"]).lines().count(), 2);
    done(&weir, &["drain", "s", &first]);
    let list = done(&weir, &["overrides"]);
    assert_eq!(list.lines().count(), 3, "{list}");
    assert_eq!(done(&weir, &["overrides", "--clear", "s", &first]).lines().count(), 2);
    assert_eq!(done(&weir, &["overrides", "--clear"]), "no overrides are left\n");
    assert_eq!(done(&weir, &["overrides"]), "no overrides\n");

    let (code, out, err) = asking(&weir, &["drain", "t", &first]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.starts_with("error: there is no service `t`") && err.contains("= help: `weir status` ("), "{err}");
    let document: Value = serde_json::from_str(&done(&weir, &["drain", "s", &first, "--json"])).unwrap();
    assert_eq!(document["drained"], Value::Bool(true));
}

#[test]
fn explain_says_where_a_request_would_go_and_recent_where_it_went() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let weir =
        Setup::before(&[&endpoint]).policy("consistent-hash").service("hash = { key = \"header:X-User\" }").start();
    assert_eq!(done(&weir, &["recent"]), "no exchanges\n");
    let explained =
        done(&weir, &["explain", "http://weir.test/a%20b?c", "--header", "X-User: ä", "--client", "10.1.2.3"]);
    assert!(explained.contains("from 10.1.2.3\n"), "{explained}");
    assert!(explained.contains("key      header:x-user, hash "), "{explained}");
    assert!(explained.contains(&format!("\noutcome  {}, ", endpoint.address())), "{explained}");
    assert!(done(&weir, &["explain", "/"]).contains("key      header:x-user, which the request does not have\n"));

    let request = "GET /cat.jpg HTTP/1.1\r\nHost: weir.test\r\nX-Request-Id: mine\r\nConnection: close\r\n\r\n";
    assert_eq!(Raw::ask(weir.address(), request).status, 200);
    wait_for_exchanges(&weir, 1);
    eventually("it is listed", || done(&weir, &["recent", "--limit", "1"]).contains("weir.test/cat.jpg"));
    let explained = done(&weir, &["explain", "--id", "mine"]);
    assert!(explained.starts_with("then     ") && explained.contains("weir.test/cat.jpg"), "{explained}");
    let none = done(&weir, &["recent", "--service", "s", "--status", "502"]);
    assert_eq!(none, "no exchanges\n");
    let document: Value = serde_json::from_str(&done(&weir, &["recent", "--json"])).unwrap();
    assert_eq!(document["exchanges"][0]["id"], "mine");
}

#[test]
fn reload_waits_for_the_outcome_and_prints_what_is_wrong_or_waits_for_a_restart() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let setup = Setup::before(&[&endpoint]);
    let weir = setup.start();
    let said = done(&weir, &["reload"]);
    assert!(said.starts_with("unchanged, revision "), "{said}");

    // Whoever is first: the watch of the file, or the command.
    weir.rewrite(&setup.clone().server("shutdown_delay = \"0s\"\nthreads = 3").toml());
    let said = done(&weir, &["reload"]);
    assert!(said.starts_with("applied, revision ") || said.starts_with("unchanged, revision "), "{said}");
    assert!(said.contains("  waits for a restart: ") && said.contains("threads"), "{said}");
    assert!(done(&weir, &["status"]).contains("  waits for a restart: "));
    assert!(!said.contains("needs a restart"), "it is said once: {said}");

    weir.rewrite(&setup.toml().replace("round-robin", "round-robbin"));
    let (code, out, err) = asking(&weir, &["reload"]);
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    assert!(err.contains("did you mean `\"round-robin\"`?") && err.contains("weir.toml:"), "{err}");
    assert!(err.contains("everything stays as it was"), "{err}");
    assert!(done(&weir, &["status"]).contains("the configuration was rejected"));
    let (code, out, _) = asking(&weir, &["reload", "--json"]);
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &document["result"]), (Some(1), &Value::from("rejected")));
    assert_eq!(Raw::ask(weir.address(), get("/")).status, 200);
}

#[test]
fn what_needs_the_token_says_which_option_takes_it() {
    let folder = tempfile::tempdir().unwrap();
    let (right, wrong, empty) = (folder.path().join("right"), folder.path().join("wrong"), folder.path().join("empty"));
    for (file, token) in [(&right, "s3cret\n"), (&wrong, "guess"), (&empty, " \n")] {
        std::fs::write(file, token).unwrap();
    }
    let endpoint = Endpoint::replying(Reply::new(200));
    let toml = Setup::before(&[&endpoint]).toml();
    let weir =
        Weir::start(WEIR, &toml.replace("[admin]\n", &format!("[admin]\ntoken_file = \"{}\"\n", right.display())));
    let address = endpoint.address().to_string();
    let drain = |file: Option<&std::path::Path>| {
        let file = file.map(|file| file.display().to_string());
        let more: Vec<&str> = file.iter().flat_map(|file| ["--token-file", file]).collect();
        asking(&weir, &[&["drain", "s", &address][..], &more].concat())
    };
    for file in [None, Some(wrong.as_path())] {
        let (code, _, err) = drain(file);
        assert!(code == Some(1) && err.contains("`--token-file FILE`"), "{err}");
    }
    let (code, _, err) = drain(Some(&empty));
    assert!(code == Some(1) && err.contains("holds no token"), "{err}");
    let (code, _, err) = drain(Some(&folder.path().join("none")));
    assert!(code == Some(1) && err.contains("cannot read the token file"), "{err}");
    assert_eq!(drain(Some(&right)).0, Some(0));
    assert!(done(&weir, &["status"]).contains("drained by hand"), "a look needs none on this machine");
}
