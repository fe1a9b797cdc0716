//! What `explain` says of weirs with several listeners, and of exchanges that are not kept whole.

use std::net::SocketAddr;
use std::process::Command;

use serde_json::{Value, json};
use weir_testkit::{Endpoint, Raw, Reply, Weir, free_port};

use crate::support::{Setup, WEIR, ask, wait_for_exchanges};

fn explain(weir: &Weir, query: &str, status: u16) -> Value {
    let answer = Raw::get(weir.admin(), &format!("/api/explain?{query}"));
    assert_eq!(answer.status, status, "{query}: {}", answer.text());
    serde_json::from_slice(&answer.body.kept).unwrap()
}

/// A weir with two listeners: `/own/` is a route of the second alone, which takes only short targets.
fn two_listeners(endpoint: &Endpoint) -> (Weir, [SocketAddr; 2]) {
    let [one, two] = [(); 2].map(|()| SocketAddr::from(([127, 0, 0, 1], free_port())));
    let more = format!(
        "[[listener]]\naddress = \"{two}\"\nmax_head = \"2KiB\"\n\
         [[route]]\npath = \"/own/\"\nservice = \"s\"\nlisteners = [\"{two}\"]\n"
    );
    let toml = Setup::before(&[endpoint]).toml();
    let toml = toml.replace("[[listener]]\naddress = \"127.0.0.1:0\"", &format!("[[listener]]\naddress = \"{one}\""));
    (Weir::start(WEIR, &toml.replace("[[route]]", &format!("{more}[[route]]"))), [one, two])
}

#[test]
fn a_request_is_explained_as_at_the_listener_that_is_named() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let (weir, [one, two]) = two_listeners(&endpoint);
    for (listener, route) in [(one, "/".to_owned()), (two, format!("/own/@{two}"))] {
        let told = explain(&weir, &format!("url=/own/a.jpg&listener={listener}"), 200);
        assert_eq!((&told["route"]["name"], &told["listeners"]), (&json!(route), &json!([listener.to_string()])));
        assert_eq!(told["elsewhere"], json!([]));
    }
    let told = explain(&weir, "url=/&listener=127.0.0.1:1", 404);
    assert!(told["help"].as_str().unwrap().contains(&one.to_string()), "{told}");
    explain(&weir, "url=/&listener=here", 400);
}

#[test]
fn where_listeners_differ_each_of_them_is_explained() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let (weir, [one, two]) = two_listeners(&endpoint);
    let same = explain(&weir, "url=/a.jpg", 200);
    assert_eq!(same["listeners"], json!([one.to_string(), two.to_string()]));
    assert_eq!(same["elsewhere"], json!([]));
    let told = explain(&weir, "url=/own/a.jpg", 200);
    assert_eq!((&told["route"]["name"], &told["listeners"]), (&json!("/"), &json!([one.to_string()])));
    let other = &told["elsewhere"][0];
    assert_eq!(
        (&other["route"]["name"], &other["listeners"]),
        (&json!(format!("/own/@{two}")), &json!([two.to_string()]))
    );
    assert_eq!(other["outcome"]["endpoint"], endpoint.address().to_string());
    let admin = weir.admin().to_string();
    let said = Command::new(WEIR).args(["explain", "/own/a.jpg", "--admin", &admin]).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains(&format!("listener {one}\n")) && said.contains(&format!("listener {two}\n")), "{said}");
    assert_eq!(said.matches("\noutcome  ").count(), 2, "{said}");
    // One of them would not even read it.
    let long = "x".repeat(3000);
    let told = explain(&weir, &format!("url=/{long}"), 200);
    assert_eq!(
        (&told["outcome"]["what"], &told["elsewhere"][0]["outcome"]["what"]),
        (&json!("chosen"), &json!("refused"))
    );
}

#[test]
fn an_exchange_that_was_served_is_explained_as_at_the_listener_that_had_it() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let (weir, listeners) = two_listeners(&endpoint);
    let routes = ["/".to_owned(), format!("/own/@{}", listeners[1])];
    for (number, (listener, route)) in listeners.into_iter().zip(routes).enumerate() {
        let mut client = Raw::connect(listener);
        let head = format!("GET /own/a.jpg HTTP/1.1\r\nHost: weir.test\r\nX-Request-Id: its-{number}\r\n\r\n");
        assert_eq!(ask(&mut client, head).status, 200);
        wait_for_exchanges(&weir, u32::try_from(number).unwrap() + 1);
        let told = explain(&weir, &format!("id=its-{number}"), 200);
        assert_eq!((&told["recorded"]["route"], &told["route"]["name"]), (&json!(route), &json!(route)), "{told}");
        assert_eq!(told["recorded"]["listener"], listener.to_string());
    }
}

#[test]
fn an_exchange_whose_path_was_too_long_to_keep_is_not_explained_as_if_it_had_been_another() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let weir = Setup::before(&[&endpoint]).start();
    let send = |id: &str, path: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nHost: weir.test\r\nX-Request-Id: {id}\r\n\r\n");
        assert_eq!(ask(&mut Raw::connect(weir.address()), head).status, 200);
    };
    send("whole", &format!("/{}", "a".repeat(255)));
    send("longer", &format!("/{}", "a".repeat(256)));
    wait_for_exchanges(&weir, 2);
    let kept = Raw::get(weir.admin(), "/api/recent").text();
    let kept: Value = serde_json::from_str(&kept).unwrap();
    let shortened: Vec<_> = kept["exchanges"].as_array().unwrap().iter().map(|it| it["shortened"].clone()).collect();
    assert_eq!(shortened, [json!(true), json!(false)]);
    assert_eq!(explain(&weir, "id=whole", 200)["outcome"]["what"], "chosen");
    let told = explain(&weir, "id=longer", 409);
    assert!(told["error"].as_str().unwrap().contains("whole"), "{told}");
    assert!(told["help"].as_str().unwrap().contains("url="), "{told}");
}
