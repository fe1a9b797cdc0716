use weir_config::{Config, diff, pending};

const BASE: &str = r#"
[server]
threads = 2
trusted_proxies = ["10.0.0.0/8"]
[[listener]]
address = "0.0.0.0:8080"
[[route]]
host = "img.example.org"
path = "/x"
service = "a"
timeout = { total = "5s", read = "2s", connect = "1s" }
[[route]]
service = "b"
[[service]]
name = "a"
policy = "weighted"
endpoints = ["10.0.0.1:80", { address = "10.0.0.2:80", weight = 2 }, "shop.example:80"]
[[service]]
name = "b"
policy = "round-robin"
consul = { service = "optimizer" }
"#;

fn config(text: &str) -> Config {
    weir_config::parse("weir.toml", text).unwrap_or_else(|problems| panic!("{problems}"))
}

/// What these replacements in the text change.
#[track_caller]
fn changed(replacements: &[(&str, &str)]) -> Vec<String> {
    let text = replacements.iter().fold(BASE.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    });
    diff(&config(BASE), &config(&text)).iter().map(ToString::to_string).collect()
}

#[test]
fn the_same_configuration_written_otherwise_is_no_change() {
    assert_eq!(changed(&[("\"10.0.0.1:80\"", "{ address = \"10.0.0.1:80\", weight = 1, drain = false }")]), [""; 0]);
    assert_eq!(changed(&[("total = \"5s\"", "total = \"5000ms\"")]), [""; 0]);
}

#[test]
fn endpoints_are_named_by_their_address() {
    let to = "endpoints = [{ address = \"10.0.0.3:80\" }, { address = \"10.0.0.2:80\", weight = 3, drain = true }, \"shop.example:80\"]";
    let from = "endpoints = [\"10.0.0.1:80\", { address = \"10.0.0.2:80\", weight = 2 }, \"shop.example:80\"]";
    assert_eq!(
        changed(&[(from, to)]),
        [
            "service `a`: endpoint `10.0.0.3:80` added",
            "service `a`: endpoint `10.0.0.2:80` drained",
            "service `a`: weight of `10.0.0.2:80` 2 → 3",
            "service `a`: endpoint `10.0.0.1:80` removed",
        ]
    );
    assert_eq!(
        changed(&[("\"shop.example:80\"", "\"shop.example:81\"")]),
        ["service `a`: endpoint `shop.example:81` added", "service `a`: endpoint `shop.example:80` removed"]
    );
}

#[test]
fn keys_of_routes_and_services_are_named_as_they_are_written() {
    assert_eq!(
        changed(&[
            ("total = \"5s\"", "total = \"9s\""),
            ("policy = \"weighted\"", "policy = \"p2c\"\nqueue = { capacity = 2 }"),
            ("service = \"optimizer\"", "service = \"optimizer\", tags = [\"eu\"], wait = \"30s\""),
        ]),
        [
            "route `img.example.org/x`: `priority` set to 0",
            "route `img.example.org/x`: `timeout.total` 5s → 9s",
            "service `a`: `policy` weighted → p2c",
            "service `a`: `queue` added",
            "service `a`: `work` set to none",
            "service `b`: `consul.tags` [] → [\"eu\"]",
            "service `b`: `consul.wait` 1m → 30s",
        ]
    );
}

#[test]
fn routes_and_services_come_go_and_lead_elsewhere() {
    let b = "[[service]]\nname = \"b\"\npolicy = \"round-robin\"\nconsul = { service = \"optimizer\" }\n";
    let c = "[[service]]\nname = \"c\"\npolicy = \"random\"\nendpoints = [\"10.0.0.9:80\"]\n[[route]]\npath = \"/new\"\nservice = \"c\"\n";
    assert_eq!(
        changed(&[("[[route]]\nservice = \"b\"", "[[route]]\nservice = \"a\""), (b, c)]),
        [
            "route `/`: `service` b → a",
            "route `/new`: added, to service `c`",
            "service `c`: added, with 1 endpoint(s)",
            "service `b`: removed",
        ]
    );
}

#[test]
fn a_source_of_another_kind_is_one_added_and_one_removed() {
    assert_eq!(
        changed(&[("consul = { service = \"optimizer\" }", "file = { path = \"/etc/weir/b.toml\" }")]),
        ["service `b`: consul `optimizer` removed", "service `b`: file `/etc/weir/b.toml` added"]
    );
}

#[test]
fn what_needs_a_restart_says_so_and_why() {
    let lines = changed(&[
        ("threads = 2", "threads = 4\nshutdown_delay = \"2s\""),
        ("[\"10.0.0.0/8\"]", "[]"),
        ("address = \"0.0.0.0:8080\"", "address = \"0.0.0.0:8081\"\nmax_connections = 5"),
    ]);
    assert_eq!(
        lines,
        [
            "`server.shutdown_delay` 1s → 2s",
            "`server.threads` 2 → 4 (needs a restart: threads are started once)",
            "`server.trusted_proxies` [\"10.0.0.0/8\"] → []",
            "listener `0.0.0.0:8081`: added (needs a restart: listeners are opened at the start; nobody can connect to it before)",
            "listener `0.0.0.0:8080`: removed (needs a restart: listeners are closed at the end; it goes on to accept until then)",
        ]
    );
}

#[test]
fn only_what_needs_a_restart_is_pending() {
    let text = BASE
        .replace("threads = 2", "threads = 4\nshutdown_delay = \"2s\"")
        .replace("0.0.0.0:8080\"", "0.0.0.0:8080\"\nmax_connections = 5")
        .replace("[[listener]]", "[admin]\nlisten = \"127.0.0.1:9191\"\n[register]\nservice = \"weir\"\n[[listener]]");
    let lines: Vec<String> = pending(&config(BASE), &config(&text)).iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "`admin.listen` 127.0.0.1:9090 → 127.0.0.1:9191 (needs a restart: the admin listener is opened at the start)",
            "`register` added (needs a restart: weir registers once, at the start)",
            "`server.threads` 2 → 4 (needs a restart: threads are started once)",
        ]
    );
}
