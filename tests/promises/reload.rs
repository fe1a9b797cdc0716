//! The configuration changes while weir runs: what is changed holds, what is not goes on, what is wrong changes nothing.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread;

use weir_testkit::{Endpoint, Gate, Plan, Process, Raw, Reply, Signal, Weir, eventually};

use crate::support::{Setup, WEIR, ask, assert_metric, get, up, wait_for_words};

/// Rewrites the file and waits until that has come to this.
fn rewrite(weir: &Weir, toml: &str, result: &str) {
    let labels = [("result", result)];
    let before = weir.metric("weir_reloads_total", &labels);
    weir.rewrite(toml);
    weir.wait_for_metric("weir_reloads_total", &labels, |count| count > before);
}

fn weighted(one: &Endpoint, other: &Endpoint, weights: [u16; 2]) -> Setup {
    let [first, second] = [one, other].map(Endpoint::address);
    let list = format!(
        "{{ address = \"{first}\", weight = {} }}, {{ address = \"{second}\", weight = {} }}",
        weights[0], weights[1]
    );
    Setup::before(&[one, other]).policy("weighted").endpoints(&list)
}

fn served(weir: &Weir, endpoints: &[&Endpoint], exchanges: usize) -> Vec<usize> {
    let before: Vec<_> = endpoints.iter().map(|endpoint| endpoint.requests().len()).collect();
    let mut client = Raw::connect(weir.address());
    for _ in 0..exchanges {
        assert_eq!(ask(&mut client, get("/")).status, 200);
    }
    endpoints.iter().zip(before).map(|(endpoint, before)| endpoint.requests().len() - before).collect()
}

#[test]
fn a_weight_changed_by_renaming_a_file_holds_at_once_and_the_log_says_what_changed() {
    let (one, other) = (Endpoint::replying(Reply::new(200)), Endpoint::replying(Reply::new(200)));
    let weir = weighted(&one, &other, [1, 1]).start();
    assert_eq!(served(&weir, &[&one, &other], 8), [4, 4]);
    rewrite(&weir, &weighted(&one, &other, [3, 1]).toml(), "applied");
    assert_eq!(served(&weir, &[&one, &other], 8), [6, 2]);
    wait_for_words(&weir, &format!("service `s`: weight of `{}` 1 → 3", one.address()));
    assert_metric(&weir, "weir_last_reload_successful", &[], 1);
}

#[test]
fn a_config_map_whose_symlink_is_swapped_is_taken_over() {
    let endpoints = [Endpoint::replying(Reply::new(200)), Endpoint::replying(Reply::new(200))];
    let toml = |weights| weighted(&endpoints[0], &endpoints[1], weights).toml();
    let weir = Weir::start(WEIR, &toml([1, 1]));
    // As the kubelet does it: the file is a link to one through `..data`, which is a link to the newest folder.
    let folder = weir.file().parent().unwrap().to_owned();
    let publish = |version: &str, toml: &str| {
        fs::create_dir(folder.join(version)).unwrap();
        fs::write(folder.join(version).join("weir.toml"), toml).unwrap();
        symlink(version, folder.join("..data_tmp")).unwrap();
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    };
    publish("..1", &toml([1, 1]));
    symlink("..data/weir.toml", folder.join("link")).unwrap();
    fs::rename(folder.join("link"), weir.file()).unwrap();
    for (version, weights, expected) in [("..2", [3, 1], vec![6, 2]), ("..3", [1, 3], vec![2, 6])] {
        let before = weir.metric("weir_reloads_total", &[("result", "applied")]);
        publish(version, &toml(weights));
        weir.wait_for_metric("weir_reloads_total", &[("result", "applied")], |count| count > before);
        assert_eq!(served(&weir, &[&endpoints[0], &endpoints[1]], 8), expected);
    }
}

#[test]
fn a_broken_file_changes_nothing_and_every_problem_is_told() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let setup = Setup::before(&[&endpoint]);
    let weir = setup.start();
    let revision = weir.metric("weir_snapshot_revision", &[]);
    rewrite(
        &weir,
        &setup.toml().replace("path = \"/\"", "path = \"x\"\nport = 1").replace("round-robin", "robin"),
        "rejected",
    );
    for problem in ["begins with `/`", "has no key `port`", "policy = \"robin\"", "3 problems"] {
        wait_for_words(&weir, problem);
    }
    assert_eq!(Raw::get(weir.address(), "/").status, 200);
    assert_metric(&weir, "weir_last_reload_successful", &[], 0);
    assert!((weir.metric("weir_snapshot_revision", &[]) - revision).abs() < f64::EPSILON);
    rewrite(&weir, &setup.toml(), "unchanged");
    assert_metric(&weir, "weir_last_reload_successful", &[], 1);
}

#[test]
fn a_source_that_cannot_be_set_up_or_a_log_that_cannot_be_opened_rejects_the_whole_file() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let setup = Setup::before(&[&endpoint]);
    let weir = setup.start();
    let away = setup.clone().route("host = \"elsewhere.test\"");
    let consul = "consul = { service = \"x\", token_file = \"/nowhere/token\" }";
    rewrite(&weir, &away.clone().service(consul).toml(), "rejected");
    wait_for_words(&weir, "/nowhere/token");
    rewrite(&weir, &away.log("access = \"/nowhere/access.log\"").toml(), "rejected");
    wait_for_words(&weir, "/nowhere/access.log");
    assert_eq!(Raw::get(weir.address(), "/").status, 200, "the route of before is there");
}

#[test]
fn sighup_reads_the_file_again_and_ends_nothing() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let weir = Setup::before(&[&endpoint]).start();
    let mut client = Raw::connect(weir.address());
    assert_eq!(ask(&mut client, get("/")).status, 200);
    weir.signal(Signal::HUP);
    weir.wait_for_metric("weir_reloads_total", &[("result", "unchanged")], |count| count >= 1.0);
    wait_for_words(&weir, "trigger=signal");
    assert_eq!(ask(&mut client, get("/")).status, 200, "on the same connection");
}

#[test]
fn the_demo_has_no_file_and_says_so_on_sighup() {
    let mut demo =
        Process::start(WEIR, ["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--optimizers", "1"]);
    let address: SocketAddr = demo.wait_for_line("listening on http://").parse().unwrap();
    demo.wait_for_line("\u{20}\u{20}curl");
    demo.signal(Signal::HUP);
    demo.wait_for_output("there is no file to be read again");
    assert_eq!(Raw::get(address, "/healthz").status, 200);
}

#[test]
fn an_unchanged_service_keeps_its_connections_and_a_changed_one_those_to_endpoints_that_stay() {
    let [stays, leaves] = [Endpoint::replying(Reply::new(200)), Endpoint::replying(Reply::new(200))];
    let setup = Setup::before(&[&stays, &leaves]).policy("weighted");
    let weir = setup.start();
    served(&weir, &[&stays, &leaves], 4);
    rewrite(&weir, &setup.clone().route("timeout = { read = \"9s\" }").toml(), "applied");
    served(&weir, &[&stays, &leaves], 4);
    assert_eq!((stays.seen().accepted, leaves.seen().accepted), (1, 1));
    let alone = format!("{{ address = \"{}\", weight = 5 }}", stays.address());
    rewrite(&weir, &setup.endpoints(&alone).toml(), "applied");
    assert_eq!(served(&weir, &[&stays, &leaves], 4), [4, 0]);
    assert_eq!(stays.seen().accepted, 1);
    leaves.wait_for_close(1);
}

#[test]
fn an_ejected_endpoint_stays_ejected_across_a_reload() {
    let dead = Endpoint::absent();
    let good = Endpoint::replying(Reply::new(200));
    let setup = Setup::of(&[dead, good.address()]).policy("weighted").service("health = { failures = 1 }");
    let weir = setup.start();
    let mut client = Raw::connect(weir.address());
    while up(&weir, dead) > 0.0 {
        assert_eq!(ask(&mut client, get("/")).status, 200);
    }
    let heavy = format!("{{ address = \"{dead}\", weight = 9 }}, \"{}\"", good.address());
    rewrite(&weir, &setup.endpoints(&heavy).toml(), "applied");
    assert_metric(&weir, "weir_endpoint_up", &[("endpoint", &dead.to_string())], 0);
    let tries = weir.metric("weir_tries_total", &[("endpoint", &dead.to_string())]);
    for _ in 0..10 {
        assert_eq!(ask(&mut client, get("/")).status, 200);
    }
    assert!((weir.metric("weir_tries_total", &[("endpoint", &dead.to_string())]) - tries).abs() < f64::EPSILON);
}

#[test]
fn who_waits_in_a_queue_is_served_after_a_reload_by_an_endpoint_that_came_with_it() {
    let gate = Gate::closed();
    let door = gate.clone();
    let busy = Endpoint::start(move |_| Plan::new().wait(&door).reply(Reply::new(200)));
    let fresh = Endpoint::replying(Reply::new(200));
    let setup = Setup::before(&[&busy]).policy("least-connections");
    let setup = setup.service("queue = { capacity = 1, timeout = \"60s\" }");
    let weir = setup.start();
    let mut first = Raw::connect(weir.address());
    first.write(get("/1"));
    gate.wait_for_arrivals(1);
    let mut waits = Raw::connect(weir.address());
    waits.write(get("/2"));
    weir.wait_for_metric("weir_queue_waiting", &[], |waiting| waiting >= 1.0);
    rewrite(
        &weir,
        &setup.clone().endpoints(&format!("\"{}\", \"{}\"", busy.address(), fresh.address())).toml(),
        "applied",
    );
    assert_eq!(waits.response().status, 200);
    assert_eq!(fresh.requests().len(), 1);
    gate.open();
    assert_eq!(first.response().status, 200);
}

#[test]
fn what_needs_a_restart_is_named_and_the_rest_is_applied() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let setup = Setup::before(&[&endpoint]);
    let weir = setup.start();
    let listening = "[[listener]]\naddress = \"127.0.0.1:1\"\n[[route]]\npath = \"/new\"\nservice = \"s\"\n[[service]]";
    let toml = setup.clone().route("host = \"weir.test\"").server("threads = 3\nshutdown_delay = \"0s\"").toml();
    rewrite(&weir, &toml.replace("[[service]]", listening), "applied");
    for words in ["listener `127.0.0.1:1`: added (needs a restart", "`server.threads` 0 → 3 (needs a restart"] {
        wait_for_words(&weir, words);
    }
    assert_eq!(Raw::ask(weir.address(), "GET /new HTTP/1.1\r\nHost: other\r\n\r\n").status, 200);
    assert_eq!(Raw::ask(weir.address(), "GET / HTTP/1.1\r\nHost: other\r\n\r\n").status, 404);
    assert_eq!(Raw::ask(weir.address(), get("/")).status, 200);
}

#[test]
fn limits_of_a_listener_the_access_log_and_who_is_trusted_change_for_connections_that_are_open() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let setup = Setup::before(&[&endpoint]);
    let weir = setup.start();
    let [mut client, mut waits] = [(); 2].map(|()| Raw::connect(weir.address()));
    assert_eq!(ask(&mut waits, get("/")).status, 200);
    let forwarded = "GET / HTTP/1.1\r\nHost: weir.test\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n";
    assert_eq!(ask(&mut client, forwarded).status, 200);
    let log = weir.file().with_file_name("access.log");
    let changed = setup
        .server("shutdown_delay = \"0s\"\ntrusted_proxies = [\"127.0.0.0/8\"]")
        .log(&format!("access = \"{}\"", log.display()))
        .listener("max_target = \"64B\"");
    rewrite(&weir, &changed.toml(), "applied");
    assert_eq!(ask(&mut client, forwarded).status, 200);
    eventually("the exchange is noted", || fs::read_to_string(&log).is_ok_and(|text| text.ends_with('\n')));
    let line = fs::read_to_string(&log).unwrap();
    assert!(line.contains("\"client\":\"192.0.2.7\"") && line.lines().count() == 1, "{line}");
    let long = format!("/{}", "x".repeat(100));
    for mut client in [client, waits] {
        assert_eq!(ask(&mut client, get(&long)).status, 414);
    }
}

#[test]
fn a_lower_limit_of_connections_holds_for_new_ones_and_closes_none() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let setup = Setup::before(&[&endpoint]);
    let weir = setup.start();
    let mut clients: Vec<Raw> = (0..3).map(|_| Raw::connect(weir.address())).collect();
    for client in &mut clients {
        assert_eq!(ask(client, get("/")).status, 200);
    }
    rewrite(&weir, &setup.clone().listener("max_connections = 1").toml(), "applied");
    for client in &mut clients {
        assert_eq!(ask(client, get("/")).status, 200);
    }
    let accepted = || weir.metric("weir_connections_total", &[]);
    let before = accepted();
    drop(clients);
    let mut alone = Raw::connect(weir.address());
    assert_eq!(ask(&mut alone, get("/")).status, 200);
    let mut waits = Raw::connect(weir.address());
    waits.write(get("/"));
    rewrite(&weir, &setup.listener("max_connections = 2").toml(), "applied");
    assert_eq!(waits.response().status, 200);
    assert!(accepted() - before > 1.5);
}

/// Two services, and to which of them the route leads.
fn two(first: &Endpoint, second: &Endpoint, routed: &str, services: &str) -> String {
    let service = |name: &str, endpoint: &Endpoint| {
        let address = endpoint.address();
        format!("[[service]]\nname = \"{name}\"\npolicy = \"random\"\nendpoints = [\"{address}\"]\n")
    };
    let all = [("a", first), ("b", second)].into_iter().filter(|(name, _)| services.contains(name));
    let all: String = all.map(|(name, endpoint)| service(name, endpoint)).collect();
    format!(
        "[server]\nshutdown_delay = \"0s\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[[listener]]\n\
         address = \"127.0.0.1:0\"\n[[route]]\nservice = \"{routed}\"\n{all}"
    )
}

#[test]
fn a_route_leads_to_another_service_and_an_exchange_that_runs_on_a_removed_one_ends_as_it_began() {
    let gate = Gate::closed();
    let door = gate.clone();
    let slow = Endpoint::start(move |_| Plan::new().wait(&door).reply(Reply::new(200).body("slow")));
    let quick = Endpoint::replying(Reply::new(200).body("quick"));
    let weir = Weir::start(WEIR, &two(&slow, &quick, "a", "ab"));
    let mut running = Raw::connect(weir.address());
    running.write(get("/"));
    gate.wait_for_arrivals(1);
    rewrite(&weir, &two(&slow, &quick, "b", "ab"), "applied");
    assert_eq!(Raw::get(weir.address(), "/").text(), "quick");
    rewrite(&weir, &two(&slow, &quick, "b", "b"), "applied");
    wait_for_words(&weir, "service `a`: removed");
    gate.open();
    assert_eq!(running.response().text(), "slow");
    slow.wait_for_close(1);
}

#[test]
fn thirty_reloads_one_after_the_other_under_load_cost_no_request() {
    let endpoints: Vec<Endpoint> = (0..4).map(|_| Endpoint::replying(Reply::new(200))).collect();
    let toml = |round: usize| {
        // One endpoint comes or goes each time, and all weights change.
        let present = endpoints.iter().enumerate().filter(|(index, _)| index % 4 != round % 4);
        let list = present.map(|(index, endpoint)| {
            format!("{{ address = \"{}\", weight = {} }}", endpoint.address(), 1 + (index + round) % 5)
        });
        Setup::before(&[]).policy("weighted").endpoints(&list.collect::<Vec<_>>().join(", ")).toml()
    };
    let weir = Weir::start(WEIR, &toml(0));
    let (done, failed) = (AtomicBool::new(false), AtomicU32::new(0));
    let asked = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = Raw::connect(weir.address());
                while !done.load(Relaxed) {
                    let answered = ask(&mut client, get("/")).status == 200;
                    failed.fetch_add(u32::from(!answered), Relaxed);
                    asked.fetch_add(1, Relaxed);
                }
            });
        }
        for round in 1..=30 {
            rewrite(&weir, &toml(round), "applied");
            let before = asked.load(Relaxed);
            eventually("exchanges go on", || asked.load(Relaxed) > before + 20);
        }
        done.store(true, Relaxed);
    });
    assert_eq!(failed.load(Relaxed), 0, "of {}", asked.load(Relaxed));
    assert_metric(&weir, "weir_retries_total", &[], 0);
}
