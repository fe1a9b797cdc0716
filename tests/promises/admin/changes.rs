//! What an operator changes: overrides, verdicts, the configuration.

use serde_json::json;
use weir_testkit::{Endpoint, Gate, Plan, Raw, Reply, Signal, Weir, eventually};

use super::{action, change, endpoint, look, named, served, service};
use crate::support::{Setup, WEIR, assert_metric, get, wait_for_words};

#[test]
fn a_drain_moves_traffic_away_and_outlasts_what_the_source_says() {
    let (one, other, third) = (named(), named(), named());
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.toml");
    let tell = |endpoints: &[&Endpoint]| {
        let all: Vec<String> = endpoints.iter().map(|endpoint| format!("\"{}\"", endpoint.address())).collect();
        let new = folder.path().join("new");
        std::fs::write(&new, format!("endpoints = [{}]", all.join(", "))).unwrap();
        std::fs::rename(new, &list).unwrap();
    };
    tell(&[&one, &other]);
    let toml = Setup::of(&[]).service(&format!("file = {{ path = \"{}\" }}", list.display())).toml();
    let weir = Weir::start(WEIR, &toml.replace("endpoints = []\n", ""));
    assert_eq!(served(&weir, &[&one, &other], 10), [5, 5]);

    let told = change(&weir, &action(one.address(), "drain"), "", 200);
    assert_eq!((&told["changed"], &told["drained"], &told["serving"]), (&true.into(), &true.into(), &1.into()));
    assert_eq!(served(&weir, &[&one, &other], 10), [0, 10]);
    assert_eq!(change(&weir, &action(one.address(), "drain"), "", 200)["changed"], false);
    tell(&[&one, &other, &third]);
    eventually("the source's list is taken over", || service(&weir)["counts"]["endpoints"] == 3);
    assert_eq!(served(&weir, &[&one, &other, &third], 10), [0, 5, 5]);

    let shown = endpoint(&weir, one.address());
    assert_eq!(
        shown["override"],
        json!({ "drained": true, "weight": 1, "believed": { "drained": false, "weight": 1 } })
    );
    assert_eq!(shown["source"], format!("file {}", list.display()));
    assert_eq!(
        service(&weir)["counts"],
        json!({ "endpoints": 3, "healthy": 2, "unproven": 0, "ejected": 0, "drained": 1 })
    );
    let said = look(&weir, "/api/overrides", 200);
    let address = one.address().to_string();
    let expected = json!([{ "service": "s", "address": address, "drain": true, "weight": null, "present": true }]);
    assert_eq!(said["overrides"], expected);

    let told = change(&weir, "DELETE /api/overrides?service=s", "", 200);
    assert_eq!(told, json!({ "overrides": [] }));
    assert_eq!(served(&weir, &[&one, &other, &third], 9), [3, 3, 3]);
    change(&weir, &action(one.address(), "drain"), "", 200);
    change(&weir, &action(one.address(), "undrain"), "", 200);
    assert_eq!(look(&weir, "/api/overrides", 200), json!({ "overrides": [] }), "what is so anyway is no override");
    wait_for_words(&weir, "1 overrides cleared");
}

#[test]
fn the_last_endpoint_may_be_drained_and_the_answer_says_what_that_means() {
    let one = named();
    let weir = Setup::before(&[&one]).start();
    let told = change(&weir, &action(one.address(), "drain"), "{}", 200);
    assert!(told["note"].as_str().unwrap().contains("refused"), "{told}");
    assert_eq!(Raw::ask(weir.address(), get("/")).status, 503);
    assert_eq!(look(&weir, "/api/status", 200)["readiness"]["state"], "not_ready");
}

#[test]
fn a_weight_shifts_traffic_at_once() {
    let (one, other) = (named(), named());
    let weir = Setup::before(&[&one, &other]).policy("weighted").start();
    assert_eq!(served(&weir, &[&one, &other], 10), [5, 5]);
    let told = change(&weir, &action(one.address(), "weight"), "{ \"weight\": 4 }", 200);
    assert_eq!((&told["weight"], &told["changed"]), (&4.into(), &true.into()));
    assert_eq!(served(&weir, &[&one, &other], 10), [8, 2]);
    assert_eq!(endpoint(&weir, one.address())["override"]["believed"]["weight"], 1);
    change(&weir, &action(one.address(), "clear"), "", 200);
    assert_eq!(served(&weir, &[&one, &other], 10), [5, 5]);
}

#[test]
fn an_ejected_endpoint_gets_nothing_until_it_is_restored() {
    let (one, other) = (named(), named());
    let weir = Setup::before(&[&one, &other]).service("health = { window = \"1h\" }").start();
    let told = change(&weir, &action(one.address(), "eject"), "", 200);
    assert_eq!((&told["state"], &told["changed"]), (&"ejected".into(), &true.into()));
    assert_eq!(served(&weir, &[&one, &other], 6), [0, 6]);
    let shown = endpoint(&weir, one.address());
    assert_eq!((&shown["state"], &shown["failures"][0]["by"]), (&"ejected".into(), &"operator".into()));
    let (since, from) = (&shown["since_unix_seconds"], &shown["trial_from_unix_seconds"]);
    assert!((from.as_f64().unwrap() - since.as_f64().unwrap() - 3600.0).abs() < 0.01, "{shown}");
    assert_metric(&weir, "weir_ejections_total", &[("cause", "operator")], 1);
    assert_eq!(change(&weir, &action(one.address(), "eject"), "", 200)["changed"], false);
    let told = change(&weir, &action(one.address(), "restore"), "", 200);
    assert_eq!((&told["state"], &told["changed"]), (&"healthy".into(), &true.into()));
    assert_eq!(served(&weir, &[&one, &other], 6), [3, 3]);
}

#[test]
fn an_endpoint_ejected_by_hand_comes_back_as_any_other_by_a_trial_or_by_its_probes() {
    for health in ["window = \"100ms\"", "kind = \"tcp\", interval = \"100ms\", timeout = \"100ms\""] {
        let (one, other) = (named(), named());
        let weir = Setup::before(&[&one, &other]).service(&format!("health = {{ {health} }}")).start();
        change(&weir, &action(one.address(), "eject"), "", 200);
        eventually("it is back", || {
            assert_eq!(Raw::ask(weir.address(), get("/")).status, 200);
            endpoint(&weir, one.address())["state"] == "healthy"
        });
    }
}

#[test]
fn a_reload_is_waited_for_and_told_with_all_that_is_different_or_wrong() {
    let (one, other) = (named(), named());
    let setup = Setup::before(&[&one]).policy("weighted");
    let weir = setup.start();
    let told = change(&weir, "POST /api/reload", "", 200);
    assert_eq!((&told["result"], &told["changes"]), (&"unchanged".into(), &json!([])));
    change(&weir, &action(one.address(), "weight"), "{ \"weight\": 4 }", 200);

    weir.rewrite(&Setup::before(&[&one, &other]).policy("weighted").toml().replace("[log]", "recent = 7\n[log]"));
    let told = change(&weir, "POST /api/reload", "", 200);
    // weir may have seen the change by itself a moment before.
    assert!(told["result"] == "applied" || told["result"] == "unchanged", "{told}");
    assert!(told["pending"].to_string().contains("recent"), "{told}");
    assert_eq!(served(&weir, &[&one, &other], 10), [8, 2], "the override has outlasted it");
    let status = look(&weir, "/api/status", 200);
    let reloads = status["configuration"]["reloads"].as_array().unwrap();
    let applied = reloads.iter().find(|reload| reload["result"] == "applied").unwrap();
    assert!(applied["changes"].to_string().contains(&other.address().to_string()), "{status}");
    assert_eq!(status["configuration"]["pending"], told["pending"]);

    weir.rewrite(&setup.toml().replace("weighted", "wieghted"));
    let told = change(&weir, "POST /api/reload", "", 422);
    assert_eq!(told["result"], "rejected");
    let problems = told["problems"].as_str().unwrap();
    assert!(problems.contains("did you mean `\"weighted\"`?") && problems.contains("weir.toml:"), "{problems}");
    assert_eq!(served(&weir, &[&one, &other], 5), [4, 1], "nothing has changed");
    assert_eq!(look(&weir, "/api/status", 200)["configuration"]["reloads"][0]["result"], "rejected");
}

/// A weir whose service lists its endpoints in a file, and what writes that.
fn listing(endpoints: &[&Endpoint]) -> (Weir, impl Fn(&[&Endpoint]) + use<>) {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.toml");
    let toml = Setup::of(&[]).service(&format!("file = {{ path = \"{}\" }}", list.display())).toml();
    let tell = move |endpoints: &[&Endpoint]| {
        let all: Vec<String> = endpoints.iter().map(|endpoint| format!("\"{}\"", endpoint.address())).collect();
        let new = folder.path().join("new");
        std::fs::write(&new, format!("endpoints = [{}]", all.join(", "))).unwrap();
        std::fs::rename(new, folder.path().join("list.toml")).unwrap();
    };
    tell(endpoints);
    (Weir::start(WEIR, &toml.replace("endpoints = []\n", "")), tell)
}

#[test]
fn what_was_said_of_an_endpoint_that_is_not_there_now_is_taken_back() {
    let (one, other) = (named(), named());
    let (weir, tell) = listing(&[&one, &other]);
    change(&weir, &action(one.address(), "drain"), "", 200);
    tell(&[&other]);
    eventually("it is gone", || service(&weir)["counts"]["endpoints"] == 1);
    let told = change(&weir, &action(one.address(), "clear"), "", 200);
    let expected = json!({
        "service": "s", "address": one.address().to_string(), "changed": true, "revision": told["revision"],
        "serving": 1, "drained": null, "weight": null, "state": "absent", "note": told["note"],
    });
    assert_eq!(told, expected);
    assert!(told["note"].as_str().unwrap().contains("no such endpoint"), "{told}");
    change(&weir, &action(one.address(), "clear"), "", 404);
    tell(&[&one, &other]);
    eventually("it is back", || service(&weir)["counts"]["endpoints"] == 2);
    assert_eq!(endpoint(&weir, one.address())["drained"], false);
}

#[test]
fn two_operators_who_clear_everything_at_once_are_both_told_that_nothing_is_left() {
    let service =
        |n: i32| format!("[[service]]\nname = \"s{n}\"\npolicy = \"random\"\nendpoints = [\"127.0.0.1:9\"]\n");
    let services = (0..40).map(service).collect::<Vec<_>>().concat();
    let weir = Weir::start(
        WEIR,
        &format!(
            "[server]\nshutdown_delay = \"0s\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
             [[listener]]\naddress = \"127.0.0.1:0\"\n[[route]]\nservice = \"s0\"\n{services}"
        ),
    );
    for n in 0..40 {
        change(&weir, &format!("POST /api/services/s{n}/endpoints/127.0.0.1:9/drain"), "", 200);
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let left = change(&weir, "DELETE /api/overrides", "", 200);
                assert_eq!(left, json!({ "overrides": [] }));
            });
        }
    });
}

/// A service that a reload asks for the first time, and waits for.
fn with_a_source_that_does_not_answer(setup: &Setup, agent: &Endpoint) -> String {
    let toml = setup.toml().replace("[log]", "[discovery]\nstart_wait = \"60s\"\n[log]");
    format!(
        "{toml}[[service]]\nname = \"slow\"\npolicy = \"random\"\n\
         consul = {{ address = \"http://{}\", service = \"shop\" }}\n",
        agent.address()
    )
}

#[test]
fn a_change_whose_caller_does_not_wait_is_carried_out_and_logged_all_the_same() {
    let gate = Gate::closed();
    let door = gate.clone();
    let agent = Endpoint::start(move |_| Plan::new().wait(&door).reply(Reply::new(500)));
    let one = named();
    let setup = Setup::before(&[&one]);
    let weir = setup.start();
    weir.rewrite(&with_a_source_that_does_not_answer(&setup, &agent));
    let fields = format!("Host: {}\r\nContent-Type: application/json\r\nContent-Length: 0\r\n", weir.admin());
    let mut caller = Raw::connect(weir.admin());
    caller.write(format!("POST /api/reload HTTP/1.1\r\n{fields}\r\n"));
    gate.wait_for_arrivals(1);
    caller.reset();
    // So that it is seen to have left: the same worker may have its hands full.
    look(&weir, "/api/status", 200);
    assert!(!weir.output().contains("admin change"));
    gate.open();
    wait_for_words(&weir, "path=\"/api/reload\" status=200");
}

#[test]
fn a_reload_that_the_end_of_weir_cuts_short_is_no_rejected_one() {
    let gate = Gate::closed();
    let door = gate.clone();
    let agent = Endpoint::start(move |_| Plan::new().wait(&door).reply(Reply::new(500)));
    let one = named();
    let setup = Setup::before(&[&one]);
    let weir = setup.start();
    weir.rewrite(&with_a_source_that_does_not_answer(&setup, &agent));
    let fields = format!("Host: {}\r\nContent-Type: application/json\r\nContent-Length: 0\r\n", weir.admin());
    let mut caller = Raw::connect(weir.admin());
    caller.write(format!("POST /api/reload HTTP/1.1\r\n{fields}\r\n"));
    gate.wait_for_arrivals(1);
    weir.signal(Signal::TERM);
    let answer = caller.response();
    let told: serde_json::Value = serde_json::from_slice(&answer.body.kept).unwrap();
    assert_eq!((answer.status, &told["result"]), (503, &"abandoned".into()), "{told}");
    wait_for_words(&weir, "path=\"/api/reload\" status=503");
    assert!(!weir.output().contains("the reload is rejected"), "{}", weir.output());
    gate.open();
    assert!(weir.stop().success());
}

#[test]
fn a_reload_of_very_much_is_told_whole_once_and_remembered_in_short() {
    let list = |weight: usize| -> String {
        let one = |n: usize| format!("{{ address = \"127.0.0.{}:{}\", weight = {weight} }}", n % 200 + 1, 9);
        (0..200).map(one).collect::<Vec<_>>().join(", ")
    };
    let setup = Setup::of(&[]).policy("weighted").endpoints(&list(1));
    let weir = setup.start();
    weir.rewrite(&setup.endpoints(&list(2)).toml());
    // Not the newest: the file may have been looked at once more since.
    let find = |result: &str| {
        let status = look(&weir, "/api/status", 200);
        status["configuration"]["reloads"].as_array().unwrap().iter().find(|it| it["result"] == result).cloned()
    };
    eventually("it is reloaded", || find("applied").is_some());
    let changes = find("applied").unwrap()["changes"].as_array().unwrap().clone();
    assert_eq!(changes.len(), 51, "{changes:?}");
    assert!(changes[50].as_str().unwrap().contains("150 more"), "{changes:?}");
    let wrong = (0..2000).map(|n| format!("nothing_{n} = 1\n")).collect::<Vec<_>>().concat();
    weir.rewrite(&format!("{wrong}{}", Setup::of(&[]).toml()));
    eventually("it is rejected", || find("rejected").is_some());
    let problems = find("rejected").unwrap()["problems"].as_str().unwrap().to_owned();
    assert!(problems.len() < 20_000 && problems.contains("nothing_0") && problems.contains("more lines"), "{problems}");
}
